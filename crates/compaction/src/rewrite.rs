//! One batch: what the rules make of it, and the bytes of that.

use std::borrow::Cow;

use env::Env;
use record::{Codec, EndTransaction, Header, Rewrite, crc_is_right, emptied, rewrite};
use segment::Flaw;

use crate::PassError;
use crate::build::{Payload, PayloadError};
use crate::marks::Marks;
use crate::rules::{self, BatchFacts, BatchFate, PassTime, RecordKind};

/// How batches are compressed that are not copied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Compression {
    /// The topic's codec; `None` keeps that of the batch.
    pub codec: Option<Codec>,
    /// The level of the codec; `None` is the default.
    pub level: Option<i32>,
}

/// A batch, and what is known of it beside its bytes.
pub(crate) struct Candidate<'a> {
    pub(crate) header: Header,
    pub(crate) bytes: &'a [u8],
    /// Its transaction was aborted.
    pub(crate) aborted: bool,
    /// For a marker: nothing is left of its transaction.
    pub(crate) empty_transaction: bool,
    pub(crate) last_of_producer: bool,
    pub(crate) last_of_file: bool,
}

/// What becomes of a batch.
#[derive(Debug)]
pub(crate) struct Outcome<'a> {
    pub(crate) fate: BatchFate,
    /// Its bytes, if something stays.
    pub(crate) bytes: Option<Cow<'a, [u8]>>,
    /// Records that go.
    pub(crate) dropped: u64,
    /// Its tombstones went: their horizon has passed.
    pub(crate) expired: bool,
    /// The delete horizon of what stays, if that holds a tombstone or an empty marker.
    pub(crate) horizon_ms: Option<i64>,
}

/// Why a batch could not be decided.
pub(crate) enum Refused {
    Damaged(Flaw),
    Pass(PassError),
}

/// Decides and, where it must, writes the batch again.
pub(crate) fn apply<'a, E: Env>(
    env: &E,
    candidate: &Candidate<'a>,
    marks: &Marks<E>,
    payload: &mut Payload,
    time: PassTime,
    compression: Compression,
) -> Result<Outcome<'a>, Refused> {
    let header = &candidate.header;
    let horizon_ms = header.delete_horizon_ms();
    let (kept, dates) = if header.is_control() {
        let kind = control_kind(candidate)?;
        let stays = rules::keeps(kind, horizon_ms, time);
        (if stays { header.records } else { 0 }, stays && rules::wants_horizon(kind))
    } else {
        data(candidate, marks, time)?
    };
    let facts = BatchFacts {
        records: header.records,
        kept,
        needs_horizon: dates && horizon_ms.is_none(),
        last_of_producer: candidate.last_of_producer,
        last_of_file: candidate.last_of_file,
    };
    let fate = rules::batch(facts);
    let bytes = match fate {
        BatchFate::Drop => None,
        BatchFate::Copy => Some(Cow::Borrowed(candidate.bytes)),
        BatchFate::Header => Some(Cow::Owned(emptied(header))),
        BatchFate::Rewrite => {
            Some(Cow::Owned(written(env, candidate, marks, payload, time, compression)?))
        }
    };
    let new_horizon_ms = horizon_ms.unwrap_or_else(|| time.new_horizon_ms());
    Ok(Outcome {
        fate,
        bytes,
        dropped: u64::try_from(header.records - kept).unwrap_or(0),
        expired: !header.is_control() && !dates && !marks.tombstones.is_empty(),
        horizon_ms: dates.then_some(new_horizon_ms),
    })
}

fn control_kind(candidate: &Candidate<'_>) -> Result<RecordKind, Refused> {
    let marker = EndTransaction::read(candidate.bytes);
    Ok(match marker.map_err(|_| Refused::Damaged(Flaw::Records))? {
        Some(_) if candidate.empty_transaction => RecordKind::EmptyMarker,
        Some(_) => RecordKind::Marker,
        None => RecordKind::Control,
    })
}

/// How many records of a data batch stay, and whether one of them is a tombstone.
fn data<E: Env>(
    candidate: &Candidate<'_>,
    marks: &Marks<E>,
    time: PassTime,
) -> Result<(i32, bool), Refused> {
    if candidate.aborted {
        return Ok((0, false));
    }
    let horizon_ms = candidate.header.delete_horizon_ms();
    let tombstones_stay = rules::keeps(RecordKind::Tombstone, horizon_ms, time);
    let expired = if tombstones_stay { 0 } else { marks.tombstones.len() };
    let gone = i32::try_from(marks.dead.len() + expired);
    let kept = gone.ok().and_then(|gone| candidate.header.records.checked_sub(gone));
    let kept = kept.filter(|kept| 0 <= *kept).ok_or(Refused::Damaged(Flaw::Records))?;
    Ok((kept, tombstones_stay && !marks.tombstones.is_empty()))
}

/// The batch with the records that stay.
fn written<E: Env>(
    env: &E,
    candidate: &Candidate<'_>,
    marks: &Marks<E>,
    payload: &mut Payload,
    time: PassTime,
    compression: Compression,
) -> Result<Vec<u8>, Refused> {
    let header = &candidate.header;
    let flaw = |what| Refused::Damaged(what);
    if !crc_is_right(candidate.bytes) {
        return Err(flaw(Flaw::Checksum));
    }
    let own = header.codec().map_err(|_| flaw(Flaw::Records))?;
    let codec = if header.is_control() { own } else { compression.codec.unwrap_or(own) };
    let level = compression.level.filter(|_| compression.codec.is_none_or(|it| it == codec));
    let records = match payload.of(env, header, candidate.bytes) {
        Ok(records) => records,
        Err(PayloadError::Damaged) => return Err(flaw(Flaw::Records)),
        Err(PayloadError::Pass(error)) => return Err(Refused::Pass(error)),
    };
    // What is written and compressed lies beside what was read.
    let room = env.pool().charge(2 * records.len());
    let _room = room.map_err(|over| Refused::Pass(over.into()))?;
    let horizon_ms = header.delete_horizon_ms();
    let tombstones_stay = rules::keeps(RecordKind::Tombstone, horizon_ms, time);
    let dates = header.is_control() || (tombstones_stay && !marks.tombstones.is_empty());
    let how = Rewrite { codec, level, delete_horizon_ms: dates.then(|| time.new_horizon_ms()) };
    let base = marks.base();
    let bytes = rewrite(header, records, how, |record| {
        if header.is_control() {
            return true;
        }
        let delta = u32::try_from(record.offset.since(base)).unwrap_or(u32::MAX);
        let gone = marks.dead.holds(delta) || (!tombstones_stay && marks.tombstones.holds(delta));
        !gone
    });
    let bytes = bytes.map_err(|_| flaw(Flaw::Records))?;
    bytes.ok_or(flaw(Flaw::Records))
}
