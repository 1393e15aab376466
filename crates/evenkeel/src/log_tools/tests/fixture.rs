//! A small data directory, made by the broker library and by hand.

use std::fs;
use std::path::{Path, PathBuf};

use env::Group;
use env::std_world::StdEnv;
use index::Building;
use journal::checkpoint::Checkpoint;
use journal::{Item, Journal, JournalOptions};
use metadata::Record;
use metadata::kafka_files::{
    CLEAN_SHUTDOWN, MetaProperties, OffsetCheckpoint, encode_meta_properties, encode_offsets,
    encode_partition_metadata,
};
use metadata::log::{Stamp, batch};
use metadata::records::{PartitionRecord, TopicRecord};
use record::{Builder, Codec, Header, LeaderEpoch, Offset, TopicId, TopicPartition};

use crate::log_tools::{close, directory, fold};

/// The one topic, with one partition.
pub(super) const TOPIC: TopicId = TopicId::from_bytes([7; 16]);

pub(super) fn at(raw: i64) -> Offset {
    Offset::new(raw).unwrap()
}

/// A batch of two records at `base`.
pub(super) fn batch_at(base: i64) -> Vec<u8> {
    let mut builder = Builder::new(Codec::Lz4);
    builder.base_offset(at(base)).leader_epoch(0);
    builder.record(1_000 + base, Some(b"key"), Some(&[7; 200]), &[]);
    builder.record(1_001 + base, Some(b"key"), Some(b"value"), &[]);
    builder.build()
}

/// A directory that was stopped cleanly: a topic `t` with 40 records in two segments.
pub(super) struct Fixture {
    dir: tempfile::TempDir,
}

impl Fixture {
    pub(super) fn new() -> Fixture {
        let dir = tempfile::tempdir().unwrap();
        let identity =
            MetaProperties { cluster_id: "cluster".to_owned(), node_id: 1, directory_id: None };
        fs::write(dir.path().join("meta.properties"), encode_meta_properties(&identity)).unwrap();
        // A broker that started and stopped leaves a formatted, empty directory.
        close::close(dir.path()).unwrap();
        let fixture = Fixture { dir };
        fixture.add_topic();
        fixture.add_log();
        fixture
    }

    pub(super) fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(super) fn env(&self) -> StdEnv {
        StdEnv::new(self.dir(), 64 << 20)
    }

    /// Names and contents of all files.
    pub(super) fn contents(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let mut all = Vec::new();
        let mut left = vec![self.dir().to_path_buf()];
        while let Some(dir) = left.pop() {
            for entry in fs::read_dir(dir).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    left.push(path);
                } else {
                    let content = fs::read(&path).unwrap();
                    all.push((path, content));
                }
            }
        }
        all.sort();
        all
    }

    /// Changes the bytes of a file.
    pub(super) fn change(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let mut bytes = fs::read(self.path(name)).unwrap();
        change(&mut bytes);
        fs::write(self.path(name), bytes).unwrap();
    }

    /// As a kill leaves it: without the marker, and with what Kafka's checkpoints said before.
    pub(super) fn kill(&self) {
        fs::remove_file(self.path(CLEAN_SHUTDOWN)).unwrap();
    }

    /// Puts batches of two records each, from `base` on, into a journal.
    pub(super) fn journal(&self, base: i64, batches: i64) {
        let env = self.env();
        env.block_on(async {
            let replay =
                journal::replay(&env, &Checkpoint::default(), Group::System).await.unwrap();
            let options =
                JournalOptions { file_bytes: 1 << 20, ..JournalOptions::new(replay.start()) };
            let journal = Journal::open(env.clone(), options).await.unwrap();
            for n in 0..batches {
                let base = at(base + n * 2);
                let bytes: &'static [u8] = Box::leak(batch_at(base.raw()).into_boxed_slice());
                let item = Item::Batches {
                    partition: TopicPartition { topic: TOPIC, partition: 0 },
                    base,
                    next: base.plus(2),
                    epoch: LeaderEpoch::ZERO,
                    parts: vec![buf::Sealed::of_static(bytes)],
                };
                journal.commit(vec![item], true, Group::System).await.unwrap();
            }
        });
    }

    fn add_topic(&self) {
        let env = self.env();
        let (next, epoch) = env.block_on(async {
            let found = directory::read(&env).await.unwrap();
            let files = &found.logs[&("__cluster_metadata".to_owned(), 0)];
            let folded = fold::fold(&env, files).await.unwrap();
            assert_eq!(folded.stopped, None);
            (folded.end.unwrap(), LeaderEpoch::new(1_000).unwrap())
        });
        let records = [
            Record::Topic(TopicRecord { name: "t".to_owned(), topic_id: TOPIC }),
            Record::Partition(PartitionRecord {
                partition_id: 0,
                topic_id: TOPIC,
                replicas: vec![1],
                isr: vec![1],
                leader: 1,
                leader_epoch: 0,
                partition_epoch: 0,
                ..PartitionRecord::default()
            }),
        ];
        let bytes = batch(&records, 0, Stamp { base: next, epoch, now_ms: 5 }).unwrap();
        let name = "__cluster_metadata-0/00000000000000000000.log";
        self.change(name, |log| log.extend_from_slice(&bytes));
        let times = "__cluster_metadata-0/00000000000000000000.timeindex";
        assert!(!fs::read(self.path(times)).unwrap().is_empty(), "later than the batch above");
    }

    fn add_log(&self) {
        fs::create_dir(self.path("t-0")).unwrap();
        for base in [0, 20] {
            let mut bytes = Vec::new();
            let mut building = Building::new(at(base));
            for n in 0..10 {
                let batch = batch_at(base + n * 2);
                let position = u32::try_from(bytes.len()).unwrap();
                building.add(&Header::read(&batch).unwrap(), position, 300);
                bytes.extend_from_slice(&batch);
            }
            building.finish();
            let file = |suffix: &str| self.path(&format!("t-0/{base:020}{suffix}"));
            fs::write(file(".log"), bytes).unwrap();
            let offsets = building.offsets.encode(0, building.offsets.len());
            assert!(16 <= offsets.len(), "there are entries to damage");
            fs::write(file(".index"), offsets).unwrap();
            let times = building.times.encode(0, building.times.len());
            fs::write(file(".timeindex"), times).unwrap();
        }
        let snapshot = partition::snapshot::encode(&partition::producers::Producers::default());
        fs::write(self.path("t-0/00000000000000000040.snapshot"), snapshot).unwrap();
        fs::write(self.path("t-0/leader-epoch-checkpoint"), "0\n1\n0 0\n").unwrap();
        fs::write(self.path("t-0/partition.metadata"), encode_partition_metadata(TOPIC)).unwrap();
        let checkpoint =
            |offset| encode_offsets(&OffsetCheckpoint::from([(("t".to_owned(), 0), at(offset))]));
        fs::write(self.path("recovery-point-offset-checkpoint"), checkpoint(40)).unwrap();
        fs::write(self.path("replication-offset-checkpoint"), checkpoint(40)).unwrap();
        fs::write(self.path("log-start-offset-checkpoint"), checkpoint(4)).unwrap();
    }
}
