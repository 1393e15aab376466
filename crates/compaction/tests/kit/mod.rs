//! Random histories of a compacted log, the map that they come to, and the comparison of both.
#![allow(dead_code, reason = "each test uses a part of it")]

use std::collections::BTreeMap;
use std::path::Path;

use env::{Env, Group};
use evenkeel_compaction::rules::LastOfProducer;
use evenkeel_compaction::{Aborted, Inputs, Pass, PassError, Report, Settings};
use index::AbortedTransaction;
use record::{
    Builder, Codec, EndTransaction, Header, Offset, Producer, ProducerEpoch, ProducerId, Records,
    payload,
};
use segment::{Known, Log, LogOptions};

pub(crate) const DIR: &str = "topic-0";

pub(crate) fn at(raw: i64) -> Offset {
    Offset::new(raw).expect("not negative")
}

/// Numbers from a seed.
#[derive(Clone, Debug)]
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % bound
    }
}

/// A record as it was produced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) value: Option<Vec<u8>>,
    pub(crate) timestamp_ms: i64,
}

/// A key and a value to be produced.
pub(crate) type KeyAndValue<'a> = (Option<&'a [u8]>, Option<&'a [u8]>);

/// Everything that was appended.
#[derive(Clone, Debug, Default)]
pub(crate) struct History {
    pub(crate) batches: Vec<Vec<u8>>,
    pub(crate) records: BTreeMap<Offset, Told>,
    pub(crate) aborted: Vec<AbortedTransaction>,
    pub(crate) producers: BTreeMap<i64, LastOfProducer>,
    pub(crate) end: Offset,
    /// Open transactions: first offset.
    open: BTreeMap<i64, Offset>,
    sequences: BTreeMap<i64, i32>,
    now_ms: i64,
}

impl History {
    fn push(&mut self, batch: Vec<u8>) {
        let header = Header::read(&batch).unwrap();
        if !header.is_control() {
            let bytes = payload(&batch, 1 << 20).unwrap();
            for record in Records::new(&header, &bytes) {
                let record = record.unwrap();
                let (key, value) =
                    (record.key.map(<[u8]>::to_vec), record.value.map(<[u8]>::to_vec));
                let told = Told { key, value, timestamp_ms: record.timestamp_ms };
                self.records.insert(record.offset, told);
            }
        }
        if header.has_producer() && !header.is_control() {
            let last = LastOfProducer {
                last_data_offset: Some(header.last_offset()),
                epoch: header.producer_epoch,
            };
            self.producers.insert(header.producer_id, last);
        }
        self.end = header.next_offset();
        self.batches.push(batch);
    }

    /// Appends one data batch.
    pub(crate) fn data(
        &mut self,
        codec: Codec,
        producer: Option<(i64, bool)>,
        records: &[KeyAndValue<'_>],
    ) {
        let mut builder = Builder::new(codec);
        builder.base_offset(self.end).leader_epoch(i32::try_from(self.end.raw() / 40).unwrap());
        if let Some((id, transactional)) = producer {
            let sequence = self.sequences.entry(id).or_default();
            builder.producer(id, 0, *sequence);
            *sequence += i32::try_from(records.len()).unwrap();
            if transactional {
                builder.transactional();
                self.open.entry(id).or_insert(self.end);
            }
        }
        for (key, value) in records {
            self.now_ms += 3;
            builder.record(self.now_ms, *key, *value, &[]);
        }
        self.push(builder.build());
    }

    /// Ends the transaction of a producer.
    pub(crate) fn marker(&mut self, id: i64, commit: bool) {
        let producer =
            Producer { id: ProducerId::new(id), epoch: ProducerEpoch::new(0), base_sequence: -1 };
        self.now_ms += 3;
        let mut batch =
            EndTransaction { commit, coordinator_epoch: 0 }.build(producer, self.now_ms);
        record::stamp(&mut batch, self.end, record::LeaderEpoch::ZERO);
        let first = self.open.remove(&id);
        if let Some(first_offset) = first.filter(|_| !commit) {
            let last_offset = self.end;
            let last_stable = self.stable().min(last_offset);
            let entry =
                AbortedTransaction { producer_id: id, first_offset, last_offset, last_stable };
            self.aborted.push(entry);
        }
        self.push(batch);
    }

    /// A random history: puts, deletes, records without a key, transactions, all codecs.
    pub(crate) fn random(seed: u64, batches: u64, keys: u64) -> History {
        let mut random = Random(seed);
        let mut history = History { now_ms: 1_000, ..History::default() };
        for _ in 0..batches {
            let producer = random.below(6);
            let transactional = producer < 2;
            let id = 100 + i64::try_from(producer).unwrap();
            if history.open.contains_key(&id) && random.below(3) == 0 {
                history.marker(id, random.below(2) == 0);
                continue;
            }
            let codec = Codec::ALL[usize::try_from(random.below(5)).unwrap()];
            let mut texts = Vec::new();
            for _ in 0..=random.below(5) {
                let key = format!("key-{}", random.below(keys)).into_bytes();
                let len = usize::try_from(random.below(60)).unwrap();
                let value = vec![u8::try_from(random.below(250)).unwrap(); len];
                let key = (random.below(40) != 0).then_some(key);
                texts.push((key, (random.below(6) != 0).then_some(value)));
            }
            let records: Vec<_> =
                texts.iter().map(|(key, value)| (key.as_deref(), value.as_deref())).collect();
            let producer = (producer < 5).then_some((id, transactional));
            history.data(codec, producer, &records);
        }
        for id in history.open.clone().into_keys() {
            if random.below(2) == 0 {
                history.marker(id, random.below(2) == 0);
            }
        }
        history
    }

    /// The last stable offset.
    pub(crate) fn stable(&self) -> Offset {
        self.open.values().min().copied().unwrap_or(self.end)
    }

    pub(crate) fn is_aborted(&self, offset: Offset, producer_id: i64, transactional: bool) -> bool {
        transactional
            && self.aborted.iter().any(|entry| {
                let inside = entry.first_offset <= offset && offset <= entry.last_offset;
                inside && entry.producer_id == producer_id
            })
    }

    /// The latest committed record of each key below `until`, tombstones included.
    pub(crate) fn latest(&self, until: Offset) -> BTreeMap<Vec<u8>, Offset> {
        let mut latest = BTreeMap::new();
        for batch in &self.batches {
            let header = Header::read(batch).unwrap();
            let (base, id) = (header.base_offset, header.producer_id);
            if header.is_control() || self.is_aborted(base, id, header.is_transactional()) {
                continue;
            }
            let range = base..header.next_offset().min(until).max(base);
            for (offset, told) in self.records.range(range) {
                if let Some(key) = &told.key {
                    latest.insert(key.clone(), *offset);
                }
            }
        }
        latest
    }

    /// What a consumer of everything ends with.
    pub(crate) fn map(&self) -> BTreeMap<Vec<u8>, Vec<u8>> {
        let latest = self.latest(self.stable()).into_iter();
        let value = |(key, offset)| Some((key, self.records[&offset].value.clone()?));
        latest.filter_map(value).collect()
    }

    pub(crate) fn inputs(&self, now_ms: i64) -> Inputs {
        Inputs {
            stable: self.stable(),
            now_ms,
            producers: self.producers.clone(),
            aborted: Aborted::Given(self.aborted.clone()),
        }
    }
}

pub(crate) fn options(segment_bytes: u64) -> LogOptions {
    LogOptions {
        segment_bytes,
        segment_ms: i64::MAX,
        index_interval_bytes: 300,
        file_delete_delay_ms: 0,
        ..LogOptions::default()
    }
}

pub(crate) fn settings() -> Settings {
    Settings {
        delete_retention_ms: 1_000,
        sort_bytes: 400,
        piece_bytes: 300,
        checkpoint_bytes: 1,
        ..Settings::default()
    }
}

/// A closed log with the history in it.
pub(crate) async fn fill<E: Env>(env: &E, history: &History, segment_bytes: u64) -> Log<E> {
    let log = Log::create(env, Path::new(DIR), options(segment_bytes), Offset::ZERO).await.unwrap();
    for batch in &history.batches {
        log.append_verbatim(batch, 0).unwrap();
        if 1 << 20 < log.unwritten_bytes() {
            log.write(Group::Produce).await.unwrap();
            log.evict(usize::MAX);
        }
    }
    log.close(Group::System).await.unwrap();
    log.evict(usize::MAX);
    log
}

pub(crate) async fn reopen<E: Env>(env: &E, segment_bytes: u64, recovery: Offset) -> Log<E> {
    let known = Known { start: Offset::ZERO, recovery_point: recovery, clean: false, tail: None };
    let options = options(segment_bytes);
    let (log, opened) =
        Log::open(env, Path::new(DIR), options, known, Group::Recovery).await.unwrap();
    assert_eq!((opened.damage, opened.cut), (vec![], None));
    log
}

pub(crate) async fn pass<E: Env>(
    env: &E,
    log: &Log<E>,
    history: &History,
    now_ms: i64,
) -> Result<Option<Report>, PassError> {
    match Pass::begin(log, env, settings(), history.inputs(now_ms)).await? {
        Some(mut pass) => pass.run().await.map(Some),
        None => Ok(None),
    }
}

/// Every batch from `from` on.
pub(crate) async fn batches<E: Env>(log: &Log<E>, mut from: Offset) -> Vec<Vec<u8>> {
    let (end, mut all) = (log.ends().end, Vec::new());
    while from < end {
        let read = log.read(from, end, 2_000, true, Group::Fetch).await.unwrap();
        let bytes: Vec<u8> = read.parts.iter().flat_map(|part| part.to_vec()).collect();
        for batch in record::Batches::new(&bytes) {
            all.push(batch.unwrap().1.to_vec());
        }
        from = read.next.expect("there is a batch");
    }
    all
}

/// What is in the log, record by record, as a consumer of committed records sees it below the last
/// stable offset, and as its map.
pub(crate) struct Seen {
    pub(crate) records: BTreeMap<Offset, Told>,
    pub(crate) map: BTreeMap<Vec<u8>, Vec<u8>>,
}

pub(crate) fn consume(history: &History, batches: &[Vec<u8>]) -> Seen {
    let mut seen = Seen { records: BTreeMap::new(), map: BTreeMap::new() };
    for batch in batches {
        let header = Header::read(batch).unwrap();
        assert!(record::crc_is_right(batch), "{header:?}");
        let (base, id) = (header.base_offset, header.producer_id);
        let hidden = history.is_aborted(base, id, header.is_transactional());
        if header.is_control() || hidden || history.stable() <= base {
            continue;
        }
        let bytes = payload(batch, 1 << 20).unwrap();
        for record in Records::new(&header, &bytes) {
            let record = record.unwrap();
            let (key, value) = (record.key.map(<[u8]>::to_vec), record.value.map(<[u8]>::to_vec));
            match (key.clone(), value.clone()) {
                (Some(key), Some(value)) => drop(seen.map.insert(key, value)),
                (Some(key), None) => drop(seen.map.remove(&key)),
                (None, _) => {}
            }
            let told = Told { key, value, timestamp_ms: record.timestamp_ms };
            seen.records.insert(record.offset, told);
        }
    }
    seen
}

/// Everything that must hold after any number of passes, finished or not.
pub(crate) async fn check<E: Env>(log: &Log<E>, history: &History) -> Seen {
    let found = batches(log, Offset::ZERO).await;
    assert_eq!(log.ends().end, history.end, "the end");
    let seen = consume(history, &found);
    assert_eq!(seen.map, history.map(), "what a consumer ends with");
    for (offset, told) in &seen.records {
        assert_eq!(Some(told), history.records.get(offset), "record {offset}");
    }
    let original: BTreeMap<Offset, Header> = history
        .batches
        .iter()
        .map(|batch| Header::read(batch).unwrap())
        .map(|header| (header.base_offset, header))
        .collect();
    for batch in &found {
        let header = Header::read(batch).unwrap();
        let was = original[&header.base_offset];
        assert_eq!(
            (header.last_offset(), header.leader_epoch, header.producer()),
            (was.last_offset(), was.leader_epoch, was.producer()),
            "a batch keeps its place and its producer"
        );
        assert_eq!(header.is_control(), was.is_control());
        assert_eq!(header.is_transactional(), was.is_transactional());
    }
    let last = found.last().map(|batch| Header::read(batch).unwrap().last_offset());
    assert_eq!(last, original.values().next_back().map(Header::last_offset), "the last batch");
    for (id, producer) in &history.producers {
        let holds = |batch: &&Vec<u8>| {
            let header = Header::read(batch).unwrap();
            header.producer_id == *id && Some(header.last_offset()) == producer.last_data_offset
        };
        assert!(found.iter().any(|batch| holds(&batch)), "the last batch of producer {id}");
    }
    seen
}

/// After a pass to `cleaned_to`: nothing that is superseded there is left.
pub(crate) fn check_clean(history: &History, seen: &Seen, cleaned_to: Offset) {
    let latest = history.latest(cleaned_to);
    for (offset, told) in seen.records.range(..cleaned_to) {
        let key = told.key.as_ref().expect("records without a key go");
        assert_eq!(latest.get(key), Some(offset), "the latest of its key");
    }
    for (key, offset) in latest {
        let value = &history.records[&offset].value;
        let there = seen.records.contains_key(&offset);
        assert!(there || value.is_none(), "{offset} of {key:?}");
    }
}
