//! A model of a log, batches to append, and the comparison of the two.
#![allow(dead_code, reason = "each test uses a part of it")]

use std::path::Path;

use env::{Env, Group};
use evenkeel_segment::{Known, Log, LogOptions, Read, Stamp};
use record::{Builder, Codec, Header, LeaderEpoch, Offset};

pub(crate) const DIR: &str = "topic-0";

pub(crate) fn at(raw: i64) -> Offset {
    Offset::new(raw).expect("not negative")
}

pub(crate) fn dir() -> &'static Path {
    Path::new(DIR)
}

/// Small segments, so that little data has all there is.
pub(crate) fn small() -> LogOptions {
    LogOptions {
        segment_bytes: 40_000,
        segment_ms: 1_000_000,
        segment_jitter_ms: 0,
        index_interval_bytes: 1000,
        index_bytes_max: 1 << 20,
        file_delete_delay_ms: 0,
    }
}

/// A batch as a client sends it: `records` records of `value_len` bytes, which differ by `seed`.
pub(crate) fn batch(records: usize, value_len: usize, timestamp_ms: i64, seed: u64) -> Vec<u8> {
    let mut builder = Builder::new(Codec::None);
    for number in 0..records {
        let byte = (seed.wrapping_mul(31).wrapping_add(number as u64) % 251) as u8;
        let value = vec![byte; value_len];
        builder.record(timestamp_ms + number as i64, None, Some(&value), &[]);
    }
    builder.build()
}

/// A batch of the model, as it must be in the log.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    pub(crate) base: Offset,
    pub(crate) next: Offset,
    pub(crate) bytes: Vec<u8>,
}

/// What a log must hold.
#[derive(Clone, Debug, Default)]
pub(crate) struct Model {
    pub(crate) batches: Vec<Kept>,
    pub(crate) start: Offset,
    pub(crate) end: Offset,
}

impl Model {
    pub(crate) fn append(&mut self, bytes: &[u8], base: Offset, epoch: LeaderEpoch) {
        let mut bytes = bytes.to_vec();
        record::stamp(&mut bytes, base, epoch);
        let next = Header::read(&bytes).expect("a batch").next_offset();
        self.batches.push(Kept { base, next, bytes });
        self.end = next;
    }

    /// Keeps the batches that end at or below `end`.
    pub(crate) fn cut(&mut self, end: Offset) {
        self.batches.retain(|batch| batch.next <= end);
        self.end = self.batches.last().map_or(self.start.min(end), |batch| batch.next);
    }

    pub(crate) fn read(
        &self,
        from: Offset,
        until: Offset,
        max_bytes: usize,
        at_least_one: bool,
    ) -> (Vec<u8>, Option<Offset>) {
        let (mut bytes, mut next) = (Vec::new(), None);
        for batch in self.batches.iter().filter(|batch| from < batch.next) {
            let forced = bytes.is_empty() && at_least_one;
            if until < batch.next || (max_bytes < bytes.len() + batch.bytes.len() && !forced) {
                break;
            }
            bytes.extend(&batch.bytes);
            next = Some(batch.next);
        }
        (bytes, next)
    }
}

pub(crate) fn bytes_of(read: &Read) -> Vec<u8> {
    let bytes: Vec<u8> = read.parts.iter().flat_map(|part| part.to_vec()).collect();
    assert_eq!(bytes.len(), read.bytes);
    bytes
}

/// Appends to both.
pub(crate) fn append<E: Env>(log: &Log<E>, model: &mut Model, bytes: &[u8], now_ms: i64) -> bool {
    let stamp = Stamp { base: model.end, epoch: LeaderEpoch::ZERO };
    let appended = log.append(bytes, stamp, now_ms).expect("there is memory");
    model.append(bytes, stamp.base, stamp.epoch);
    assert_eq!(appended.next, model.end);
    appended.rolled
}

/// Everything in the log is what the model holds, read in pieces.
pub(crate) async fn check<E: Env>(log: &Log<E>, model: &Model) {
    let ends = log.ends();
    assert_eq!(ends.end, model.end, "the end");
    assert!(ends.durable <= ends.written && ends.written <= ends.end, "{ends:?}");
    for max_bytes in [700, 9_000, 10_000_000] {
        let mut from = model.batches.first().map_or(model.end, |batch| batch.base);
        let mut bytes = Vec::new();
        while from < model.end {
            let read = log.read(from, model.end, max_bytes, true, Group::Fetch).await;
            let read = read.expect("it is readable");
            bytes.extend(bytes_of(&read));
            from = read.next.expect("there is a batch");
        }
        let want: Vec<u8> = model.batches.iter().flat_map(|batch| batch.bytes.clone()).collect();
        assert!(bytes == want, "{} bytes of {} differ", bytes.len(), want.len());
    }
    let mut seen = Vec::new();
    let first = model.batches.first().map_or(model.end, |batch| batch.base);
    log.scan(first, Group::Fetch, |batch| seen.push(batch.header.base_offset))
        .await
        .expect("readable");
    let want: Vec<Offset> = model.batches.iter().map(|batch| batch.base).collect();
    assert_eq!(seen, want);
}

pub(crate) fn unclean(recovery_point: Offset) -> Known {
    Known { start: Offset::ZERO, recovery_point, clean: false, tail: None }
}

pub(crate) fn closed(recovery_point: Offset) -> Known {
    Known { clean: true, ..unclean(recovery_point) }
}
