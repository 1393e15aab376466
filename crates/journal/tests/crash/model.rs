//! What journals should remember: a list of what was committed, and what replay may say of it.

#![allow(dead_code, reason = "each test binary uses a part")]

use std::collections::{BTreeMap, BTreeSet};

use buf::Sealed;
use env::{Env, Group};
use evenkeel_journal::{Item, Replay};
use record::{Batches, Builder, Codec, LeaderEpoch, Offset, TopicId, TopicPartition};

/// One batch: where it is in its log, and a number that no other batch has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Batch {
    pub(crate) base: i64,
    pub(crate) next: i64,
    pub(crate) nonce: i64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Batches(TopicPartition, Vec<Batch>),
    Truncated(TopicPartition, i64),
    Dirty(TopicPartition, i64),
    Start(TopicPartition, i64),
    Deleted(TopicId),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Status {
    /// Its commit failed, or had not returned.
    InDoubt,
    Written,
    Durable,
}

#[derive(Clone, Debug)]
pub(crate) struct Op {
    pub(crate) kind: Kind,
    pub(crate) status: Status,
    pub(crate) failed: bool,
    /// A release was told that a checkpoint covers it.
    pub(crate) covered: bool,
}

/// The journal of one shard in the current run.
#[derive(Clone, Debug, Default)]
pub(crate) struct JournalModel {
    pub(crate) ops: Vec<Op>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Model {
    /// What earlier runs left, as replay found it.
    pub(crate) base: BTreeMap<TopicPartition, Vec<Batch>>,
    pub(crate) journals: BTreeMap<u16, JournalModel>,
    /// Batches, by nonce, that were said to be durable in their segments.
    pub(crate) settled: BTreeSet<i64>,
    pub(crate) next_nonce: i64,
    pub(crate) next_topic: u8,
}

pub(crate) fn at(raw: i64) -> Offset {
    Offset::new(raw).expect("not negative")
}

pub(crate) fn topic(n: u8) -> TopicId {
    TopicId::from_bytes([n; 16])
}

pub(crate) fn partition(topic_n: u8, partition: i32) -> TopicPartition {
    TopicPartition { topic: topic(topic_n), partition }
}

/// A whole record batch of about `bytes` bytes.
pub(crate) fn batch_bytes(env: &impl Env, batch: Batch, bytes: usize) -> Sealed {
    let mut builder = Builder::new(Codec::None);
    builder.base_offset(at(batch.base)).producer(batch.nonce, 0, 0);
    let value = vec![batch.nonce.to_le_bytes()[0]; bytes];
    for n in batch.base..batch.next {
        let value = if n == batch.base { &value[..] } else { b"" };
        builder.record(n, None, Some(value), &[]);
    }
    let built = builder.build();
    let mut buffer = env.pool().buffer(built.len()).expect("memory for a test");
    buffer.as_mut_slice()[..built.len()].copy_from_slice(&built);
    buffer.seal(built.len())
}

impl Kind {
    pub(crate) fn partition(&self) -> Option<TopicPartition> {
        match self {
            Kind::Batches(p, _) | Kind::Truncated(p, _) | Kind::Dirty(p, _) | Kind::Start(p, _) => {
                Some(*p)
            }
            Kind::Deleted(_) => None,
        }
    }

    /// The item for the journal; batches have about `bytes` bytes each.
    pub(crate) fn item(&self, env: &impl Env, bytes: usize) -> Item {
        match self {
            Kind::Batches(partition, batches) => Item::Batches {
                partition: *partition,
                base: at(batches[0].base),
                next: at(batches[batches.len() - 1].next),
                epoch: LeaderEpoch::ZERO,
                parts: batches.iter().map(|batch| batch_bytes(env, *batch, bytes)).collect(),
            },
            Kind::Truncated(partition, to) => {
                Item::Truncated { partition: *partition, to: at(*to) }
            }
            Kind::Dirty(partition, from) => Item::Dirty { partition: *partition, from: at(*from) },
            Kind::Start(partition, to) => {
                Item::StartAdvanced { partition: *partition, to: at(*to) }
            }
            Kind::Deleted(topic) => Item::Deleted { topic: *topic },
        }
    }

    fn apply(&self, to: TopicPartition, log: &mut Vec<Batch>) {
        match self {
            Kind::Batches(p, batches) if *p == to => {
                log.retain(|batch| batch.next <= batches[0].base);
                log.extend(batches);
            }
            Kind::Truncated(p, end) if *p == to => log.retain(|batch| batch.next <= *end),
            Kind::Deleted(topic) if *topic == to.topic => log.clear(),
            _ => {}
        }
    }
}

impl Model {
    pub(crate) fn begin(&mut self, shard: u16, kinds: &[Kind]) -> std::ops::Range<usize> {
        let ops = &mut self.journals.entry(shard).or_default().ops;
        let first = ops.len();
        let op = |kind| Op { kind, status: Status::InDoubt, failed: false, covered: false };
        for kind in kinds {
            match kind {
                // An item may be cut between its batches.
                Kind::Batches(id, batches) => {
                    ops.extend(batches.iter().map(|batch| op(Kind::Batches(*id, vec![*batch]))));
                }
                other => ops.push(op(other.clone())),
            }
        }
        first..ops.len()
    }

    /// The commit of `ops` returned.
    pub(crate) fn done(&mut self, shard: u16, ops: std::ops::Range<usize>, done: Result<bool, ()>) {
        let journal = self.journals.get_mut(&shard).expect("it began");
        for op in &mut journal.ops[ops.clone()] {
            op.status = if done.is_ok() { Status::Written } else { Status::InDoubt };
            op.failed = done.is_err();
        }
        if done == Ok(true) {
            // A flush covers everything committed before.
            for op in journal.ops[..ops.end].iter_mut().filter(|op| !op.failed) {
                op.status = Status::Durable;
            }
        }
    }

    /// The log of `partition` after everything that was begun.
    pub(crate) fn log(&self, partition: TopicPartition) -> Vec<Batch> {
        let mut log = self.base.get(&partition).cloned().unwrap_or_default();
        for journal in self.journals.values() {
            journal.ops.iter().for_each(|op| op.kind.apply(partition, &mut log));
        }
        log
    }

    pub(crate) fn partitions(&self) -> BTreeSet<TopicPartition> {
        let ops = self.journals.values().flat_map(|journal| &journal.ops);
        ops.filter_map(|op| op.kind.partition()).chain(self.base.keys().copied()).collect()
    }

    /// Notes that the segments of `partition` hold everything below `end`, and gives `end`.
    pub(crate) fn settle(&mut self, partition: TopicPartition, end: i64) -> i64 {
        let log = self.log(partition);
        self.settled.extend(log.iter().filter(|b| b.next <= end).map(|batch| batch.nonce));
        end
    }
}

/// What replay said, without the places.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) logs: BTreeMap<TopicPartition, Vec<Batch>>,
    pub(crate) dirty: BTreeMap<TopicPartition, i64>,
    pub(crate) starts: BTreeMap<TopicPartition, i64>,
    pub(crate) deleted: BTreeSet<TopicId>,
    pub(crate) damage: usize,
}

pub(crate) async fn said<E: Env>(replay: &Replay<E>) -> Said {
    let mut said = Said { damage: replay.damage().len(), ..Said::default() };
    for (id, partition) in replay.partitions() {
        let mut log = Vec::new();
        let mut end = Offset::ZERO;
        for piece in &partition.pieces {
            assert!(end <= piece.base && piece.base < piece.until, "pieces overlap: {piece:?}");
            end = piece.until;
            let bytes = replay.read(piece, Group::Recovery).await.expect("it was scanned");
            for batch in Batches::new(&bytes) {
                let (header, whole) = batch.expect("whole batches were committed");
                assert!(record::crc_is_right(whole), "a damaged batch was replayed");
                assert!(piece.base <= header.base_offset && header.next_offset() <= piece.until);
                let (base, next) = (header.base_offset.raw(), header.next_offset().raw());
                log.push(Batch { base, next, nonce: header.producer_id });
            }
        }
        said.logs.insert(*id, log);
        said.dirty.extend(partition.dirty_from.map(|from| (*id, from.raw())));
        said.starts.extend(partition.log_start.map(|to| (*id, to.raw())));
    }
    said.deleted = replay.deleted().clone();
    said
}

impl Model {
    /// Finds out which prefix of each journal `said` is, and gives the logs as they then are.
    /// Operations at or above `least` must be in it. Panics if there is none.
    pub(crate) fn explain(
        &self,
        said: &Said,
        least: Status,
    ) -> BTreeMap<TopicPartition, Vec<Batch>> {
        let mut logs = BTreeMap::new();
        let mut unowned = self.partitions();
        for (shard, journal) in &self.journals {
            let owned: BTreeSet<TopicPartition> =
                journal.ops.iter().filter_map(|op| op.kind.partition()).collect();
            unowned.retain(|partition| !owned.contains(partition));
            let chosen = self
                .choices(journal, least)
                .into_iter()
                .find_map(|ops| self.logs_after(&ops, &owned, said));
            logs.extend(chosen.unwrap_or_else(|| self.complain(*shard, journal, said)));
        }
        let rest = self.logs_after(&[], &unowned, said);
        logs.extend(rest.expect("what earlier runs left is lost or changed"));
        for id in said.logs.keys() {
            assert!(logs.contains_key(id), "{id} was never committed");
        }
        logs
    }

    fn complain(&self, shard: u16, journal: &JournalModel, said: &Said) -> ! {
        let ops: Vec<String> =
            journal.ops.iter().enumerate().map(|(n, op)| format!("{n}: {op:?}\n")).collect();
        panic!(
            "what was replayed is no history of shard {shard}: {said:?}\nsettled: {:?}\n\
             base: {:?}\n{}",
            self.settled,
            self.base,
            ops.concat()
        );
    }

    /// The sets of operations that may have survived: prefixes, less any that failed.
    fn choices<'a>(&self, journal: &'a JournalModel, least: Status) -> Vec<Vec<&'a Op>> {
        let ops = &journal.ops;
        let needed = ops.iter().rposition(|op| least <= op.status).map_or(0, |last| last + 1);
        let mut choices = Vec::new();
        for end in needed..=ops.len() {
            // One that was made again changes nothing, there or not; nor do markers.
            let counts = |n: usize| match &ops[n].kind {
                Kind::Dirty(..) | Kind::Start(..) => false,
                kind => !ops[n + 1..end].iter().any(|later| later.kind == *kind),
            };
            let failed: Vec<usize> = (0..end).filter(|n| ops[*n].failed && counts(*n)).collect();
            assert!(failed.len() < 12, "too many failures to try all: {failed:?}");
            for mask in 0..1_usize << failed.len() {
                let is_gone = |n: usize| {
                    failed.iter().position(|f| *f == n).is_some_and(|bit| mask >> bit & 1 == 1)
                };
                choices.push((0..end).filter(|n| !is_gone(*n)).map(|n| &ops[n]).collect());
            }
        }
        choices
    }

    fn logs_after(
        &self,
        ops: &[&Op],
        owned: &BTreeSet<TopicPartition>,
        said: &Said,
    ) -> Option<BTreeMap<TopicPartition, Vec<Batch>>> {
        let mut logs = BTreeMap::new();
        for id in owned {
            let mut log = self.base.get(id).cloned().unwrap_or_default();
            ops.iter().for_each(|op| op.kind.apply(*id, &mut log));
            let nothing = Vec::new();
            let found = said.logs.get(id).unwrap_or(&nothing);
            let must = log.iter().filter(|b| !self.settled.contains(&b.nonce) || found.contains(b));
            // In order, each once, nothing else.
            if !must.eq(found.iter()) {
                return None;
            }
            logs.insert(*id, log);
        }
        let deleted = |id: &TopicPartition| said.deleted.contains(&id.topic);
        let markers_are_told =
            ops.iter().filter(|op| !op.covered && !op.failed).all(|op| match &op.kind {
                Kind::Dirty(id, from) => {
                    deleted(id) || said.dirty.get(id).is_some_and(|said| said <= from)
                }
                Kind::Start(id, to) => {
                    deleted(id) || said.starts.get(id).is_some_and(|said| to <= said)
                }
                Kind::Deleted(topic) => said.deleted.contains(topic),
                Kind::Batches(..) | Kind::Truncated(..) => true,
            });
        markers_are_told.then_some(logs)
    }
}
