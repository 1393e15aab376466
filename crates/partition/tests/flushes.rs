//! When a flush happens: `write.caching`, `flush.messages`, `flush.ms`, and many partitions in one
//! round. By count, in a simulated world.

#![expect(clippy::unwrap_used, reason = "a test that fails may panic")]

use std::path::Path;
use std::time::Duration;

use env::sim::{Sim, SimEnv, SimOptions};
use env::{Env, Group, ShardId};
use evenkeel_partition::{AckRule, AckWait, Committer, Level, OpenOptions, Partition};
use journal::{Journal, JournalOptions, checkpoint};
use record::{
    Builder, Codec, Compression, LeaderEpoch, Offset, Rules, Timestamps, TopicId, TopicPartition,
    validate,
};
use segment::{Known, LogOptions};

type World = SimEnv<()>;

const NEVER: i64 = i64::MAX;

/// Partitions of one shard, with their committer.
struct Shard {
    env: World,
    committer: Committer<World>,
    partitions: Vec<Partition<World>>,
}

impl Shard {
    async fn start(env: World, partitions: i32, ack: AckRule) -> Shard {
        let points = checkpoint::load(&env, Group::System).await.unwrap().unwrap_or_default();
        let replay = journal::replay(&env, &points, Group::System).await.unwrap();
        let journal =
            Journal::open(env.clone(), JournalOptions::new(replay.start())).await.unwrap();
        let committer = Committer::new(&env, journal, points);
        env.spawn(Group::Produce, committer.clone().run());
        env.spawn(Group::Retention, committer.clone().upkeep());
        let mut shard = Shard { env, committer, partitions: Vec::new() };
        for partition in 0..partitions {
            shard.open(partition, ack).await;
        }
        shard
    }

    async fn open(&mut self, partition: i32, ack: AckRule) {
        let known =
            Known { start: Offset::ZERO, recovery_point: Offset::ZERO, clean: true, tail: None };
        let log = LogOptions::default();
        let options = OpenOptions { log, ack, known, high_watermark: Offset::ZERO };
        let id = TopicPartition { topic: TopicId::from_bytes([7; 16]), partition };
        let dir = format!("t-{partition}");
        let opening =
            Partition::open(&self.env, id, Path::new(&dir), options, None, Group::Recovery);
        let (partition, _) = opening.await.unwrap();
        partition.lead(1, LeaderEpoch::ZERO, [1]);
        self.partitions.push(partition);
    }

    /// Appends a batch of one record, and tells the committer.
    fn append(&self, partition: usize) -> Offset {
        let now_ms = self.env.wall_ms();
        let mut builder = Builder::new(Codec::None);
        builder.record(now_ms, None, Some(&[3; 100]), &[]);
        let batch = builder.build();
        let rules = Rules {
            zstd_allowed: true,
            batch_bytes_max: 1 << 20,
            timestamps: Timestamps::LogAppendTime,
            compression: Compression::Producer,
            compacted: false,
            decompressed_bytes_max: 1 << 20,
            from_client: true,
        };
        let checked = validate(&batch, &rules, now_ms).unwrap();
        let partition = &self.partitions[partition];
        let placed = partition.append_as_leader(&batch, &checked, now_ms).unwrap();
        self.committer.enqueue(partition);
        placed.next
    }

    /// The same, and waits until it is committed.
    async fn produce(&self, partition: usize) {
        let next = self.append(partition);
        self.partitions[partition].acknowledged(next, AckWait::Committed).await.unwrap();
    }

    fn flushes(&self) -> u64 {
        self.committer.counts().flushes.get()
    }
}

fn run<T>(partitions: i32, ack: AckRule, main: impl AsyncFnOnce(Shard) -> T) -> T {
    let sim = Sim::new(11, SimOptions::default());
    let env: World = sim.env(ShardId(0));
    sim.run(async move { main(Shard::start(env, partitions, ack).await).await }).done()
}

fn written(flush_records: u64, flush_ms: i64) -> AckRule {
    AckRule { level: Level::Written, flush_records, flush_ms }
}

#[test]
fn a_write_caching_topic_acknowledges_what_is_written_and_a_sync_topic_what_is_flushed() {
    let flushes = run(1, written(u64::MAX, NEVER), async |shard| {
        for _ in 0..20 {
            shard.produce(0).await;
        }
        assert_eq!(shard.partitions[0].bounds().high_watermark, Offset::new(20).unwrap());
        shard.flushes()
    });
    assert_eq!(flushes, 0);
    let ack = AckRule { level: Level::Durable, flush_records: u64::MAX, flush_ms: NEVER };
    let flushes = run(1, ack, async |shard| {
        for _ in 0..20 {
            shard.produce(0).await;
        }
        shard.flushes()
    });
    assert_eq!(flushes, 20);
}

#[test]
fn flush_messages_counts_records() {
    run(1, written(3, NEVER), async |shard| {
        for records in 1..=12 {
            shard.produce(0).await;
            assert_eq!(shard.flushes(), records / 3, "after {records} records");
        }
    });
}

#[test]
fn flush_ms_flushes_what_nothing_follows() {
    run(1, written(u64::MAX, 200), async |shard| {
        let durable = || shard.partitions[0].log().ends().durable;
        shard.produce(0).await;
        shard.env.sleep(Duration::from_millis(100)).await;
        assert_eq!(durable(), Offset::ZERO, "before its time");
        shard.env.sleep(Duration::from_millis(300)).await;
        assert_eq!(durable(), Offset::new(1).unwrap());
    });
}

/// Flushes for `batches` batches, one each 100 us, spread over `partitions`.
fn flushes_at_a_rate(partitions: i32, batches: usize) -> u64 {
    let ack = AckRule { level: Level::Durable, flush_records: u64::MAX, flush_ms: NEVER };
    run(partitions, ack, async |shard| {
        let before = shard.flushes();
        let count = shard.partitions.len();
        let mut last = Vec::new();
        for batch in 0..batches {
            last.push((batch % count, shard.append(batch % count)));
            shard.env.sleep(Duration::from_micros(100)).await;
        }
        for (partition, next) in last {
            shard.partitions[partition].acknowledged(next, AckWait::Committed).await.unwrap();
        }
        shard.flushes() - before
    })
}

#[test]
fn a_thousand_partitions_share_the_flushes_of_one() {
    let (one, thousand) = (flushes_at_a_rate(1, 3_000), flushes_at_a_rate(1_000, 3_000));
    assert!(0 < one && thousand <= 2 * one, "{thousand} flushes instead of {one}");
}
