//! Opening a partition: behind damage, and when memory is short. In a simulated world.

#![expect(clippy::unwrap_used, reason = "a test that fails may panic")]

use std::future::Future;
use std::path::Path;

use env::sim::{Contents, Image, Sim, SimEnv, SimOptions};
use env::{Env, Group, ShardId};
use evenkeel_partition::{
    AckRule, FetchError, Isolation, Level, OpenOptions, Partition, PartitionOpenError, ReadBudget,
    Recovered,
};
use record::{Builder, Codec, LeaderEpoch, Offset, TopicId, TopicPartition};
use segment::{Known, KnownTail, LogOptions, ReadError};

type World = SimEnv<()>;

const BUDGET: ReadBudget = ReadBudget { max_bytes: 1 << 20, at_least_one: true };
/// Batches in the log, one record each.
const COUNT: i64 = 30;

fn at(raw: i64) -> Offset {
    Offset::new(raw).unwrap()
}

fn run_on<F: Future>(image: Image, main: impl FnOnce(World) -> F) -> (F::Output, Sim<()>) {
    let sim = Sim::restart(3, SimOptions::default(), image);
    let env = sim.env(ShardId(0));
    let output = sim.run(main(env)).done();
    (output, sim)
}

fn options(known: Known) -> OpenOptions {
    let log = LogOptions { segment_bytes: 8 << 10, ..LogOptions::default() };
    let ack = AckRule { level: Level::Durable, flush_records: u64::MAX, flush_ms: i64::MAX };
    OpenOptions { log, ack, known, high_watermark: known.recovery_point }
}

async fn opened(
    env: &World,
    known: Known,
) -> Result<(Partition<World>, Recovered), PartitionOpenError> {
    let id = TopicPartition { topic: TopicId::from_bytes([7; 16]), partition: 0 };
    let dir = Path::new("t-0");
    Partition::open(env, id, dir, options(known), None, Group::Recovery).await
}

fn known(recovery_point: Offset) -> Known {
    Known { start: Offset::ZERO, recovery_point, clean: false, tail: None }
}

/// A disk on which a log of several segments was closed.
fn disk() -> Contents {
    let nothing = Image::of(&Contents::default());
    let ((), sim) = run_on(nothing, |env| async move {
        let (partition, _) = opened(&env, known(Offset::ZERO)).await.unwrap();
        partition.follow(LeaderEpoch::ZERO);
        for base in 0..COUNT {
            let mut builder = Builder::new(Codec::None);
            builder.base_offset(at(base)).leader_epoch(0);
            builder.record(base, None, Some(&[7; 1_000]), &[]);
            partition.append_as_follower(&builder.build(), 0).unwrap();
        }
        partition.close(Group::System).await.unwrap();
    });
    sim.kill_process().contents()
}

/// The same, and the first segment is cut short in its second batch.
fn damaged() -> Contents {
    let mut contents = disk();
    let first = Path::new("t-0/00000000000000000000.log");
    contents.files.get_mut(first).unwrap().truncate(1_500);
    // Nothing spares the scan.
    contents.files.retain(|path, _| path.extension().is_none_or(|kind| kind != "snapshot"));
    contents
}

#[test]
fn records_behind_a_damaged_segment_are_served_and_those_in_it_are_an_error() {
    for clean in [false, true] {
        run_on(Image::of(&damaged()), |env| async move {
            let known = Known { clean, ..known(at(COUNT)) };
            let (partition, recovered) = opened(&env, known).await.unwrap();
            assert_eq!(recovered.damage.len(), 1, "clean {clean}: {:?}", recovered.damage);
            let damage = &recovered.damage[0];
            assert_eq!(damage.at.offset, at(1), "clean {clean}");
            partition.lead(1, LeaderEpoch::ZERO, [1]);
            let read = |from| partition.fetch(from, Isolation::HighWatermark, BUDGET, Group::Fetch);
            let behind = read(damage.until).await.unwrap();
            assert!(behind.next.is_some_and(|next| damage.until < next));
            let inside = read(at(1)).await;
            assert!(matches!(inside, Err(FetchError::Read(ReadError::Corrupt(_)))), "{inside:?}");
            assert_eq!(partition.bounds().log_end, at(COUNT));
        });
    }
}

#[test]
fn a_noted_end_is_not_believed_when_the_log_goes_on() {
    let batch_bytes = 1_070;
    for noted in [1, 4] {
        run_on(Image::of(&disk()), |env| async move {
            // The last segment begins at a multiple of seven and goes on behind what was noted.
            let segment_base = at(28);
            let end = at(28 + noted);
            let tail = KnownTail {
                segment_base,
                len_bytes: u64::try_from(noted).unwrap() * batch_bytes,
                end,
                largest_timestamp_ms: end.raw() - 1,
            };
            let known = Known { tail: Some(tail), ..known(at(29)) };
            let (partition, _) = opened(&env, known).await.unwrap();
            assert_eq!(partition.bounds().log_end, at(COUNT), "noted {noted}");
        });
    }
}

#[test]
fn want_of_memory_passes() {
    run_on(Image::of(&disk()), |env| async move {
        let mut everything = Vec::new();
        for bytes in [1 << 20, 64 << 10, 4 << 10] {
            while let Ok(buffer) = env.pool().buffer(bytes) {
                everything.push(buffer);
            }
        }
        let error = opened(&env, known(Offset::ZERO)).await.unwrap_err();
        assert!(error.passes(), "{error}");
        drop(everything);
        let (partition, _) = opened(&env, known(Offset::ZERO)).await.unwrap();
        assert_eq!(partition.bounds().log_end, at(COUNT));
    });
}
