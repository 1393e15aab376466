//! The metadata log as bytes: batches of records, and reading them back.
//!
//! Batches are ordinary record batches of version 2, uncompressed, stamped with the raft epoch as
//! leader epoch; data records have a null key and no headers, control records stand in control
//! batches. Not here: files, and how a log is cut after a crash.

mod replay;
pub mod snapshot;

pub use replay::{Quorum, Replay, ReplayError};

use record::{Builder, Codec, Header, LeaderEpoch, Offset, Records, crc_is_right, payload};

use crate::records::{
    BeginTransactionRecord, ControlRecord, EndTransactionRecord, LeaderChangeRecord, LeaderVoter,
    Record, RecordError,
};

/// The largest batch that Kafka's quorum writes or reads, header included.
pub const BATCH_BYTES_MAX: usize = 8 << 20;

/// The most records that Kafka's controller puts into one batch.
pub const BATCH_RECORDS_MAX: usize = 10_000;

/// Where a batch of the metadata log goes and when it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// Offset of its first record.
    pub base: Offset,
    /// Raft epoch of the writer.
    pub epoch: LeaderEpoch,
    /// Time of the append, milliseconds; Kafka gives all records of a batch the same.
    pub now_ms: i64,
}

/// Why records do not make a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// A record has no bytes.
    #[error("a metadata record cannot be encoded")]
    Record(#[from] RecordError),
    /// The batch would be larger than [`BATCH_BYTES_MAX`]: split it, in a metadata transaction if
    /// it must count as one.
    #[error("{len} bytes of metadata records are more than a batch holds")]
    TooLarge {
        /// Bytes of the batch.
        len: usize,
    },
    /// A batch holds at least one record.
    #[error("no record to write")]
    Empty,
}

/// One batch of records, each at the version written at `metadata_version`.
///
/// # Errors
///
/// See [`BatchError`].
pub fn batch(
    records: &[Record],
    metadata_version: i16,
    stamp: Stamp,
) -> Result<Vec<u8>, BatchError> {
    let versioned = records.iter().map(|record| (record, record.version_at(metadata_version)));
    batch_of_versions(versioned, stamp)
}

/// One batch of records at the versions given, as they were read.
///
/// # Errors
///
/// See [`BatchError`].
pub fn batch_of_versions<'a>(
    records: impl IntoIterator<Item = (&'a Record, i16)>,
    stamp: Stamp,
) -> Result<Vec<u8>, BatchError> {
    let mut builder = begin(stamp);
    let mut value = Vec::new();
    for (record, version) in records {
        value.clear();
        record.encode(version, &mut value)?;
        builder.record(stamp.now_ms, None, Some(&value), &[]);
        within_limit(&builder)?;
    }
    finish(builder)
}

/// The batches that append all of `records`, each with its first offset: one if they fit, else
/// several inside a metadata transaction, so that they count together or not at all (KIP-868).
///
/// # Errors
///
/// See [`BatchError`].
pub fn batches(
    records: &[Record],
    metadata_version: i16,
    stamp: Stamp,
) -> Result<Vec<(Offset, Vec<u8>)>, BatchError> {
    if records.len() <= BATCH_RECORDS_MAX {
        match batch(records, metadata_version, stamp) {
            Err(BatchError::TooLarge { .. }) => {}
            whole => return Ok(vec![(stamp.base, whole?)]),
        }
    }
    let begin = [BeginTransactionRecord::default().into()];
    let end = [EndTransactionRecord {}.into()];
    let pieces = pieces(records, metadata_version)?;
    let (mut stamp, mut batches) = (stamp, Vec::new());
    for piece in std::iter::once(&begin[..]).chain(pieces).chain([&end[..]]) {
        batches.push((stamp.base, batch(piece, metadata_version, stamp)?));
        let count = i64::try_from(piece.len()).expect("a slice's length fits");
        stamp.base = stamp.base.plus(count);
    }
    Ok(batches)
}

/// Cuts records into runs that fit a batch each with much room: by number and by bytes.
fn pieces(mut records: &[Record], metadata_version: i16) -> Result<Vec<&[Record]>, RecordError> {
    let (mut pieces, mut bytes) = (Vec::new(), Vec::new());
    let mut len = 0;
    while len < records.len() {
        let record = &records[len];
        record.encode(record.version_at(metadata_version), &mut bytes)?;
        len += 1;
        if len == BATCH_RECORDS_MAX / 10 || bytes.len() >= BATCH_BYTES_MAX / 8 {
            let (piece, rest) = records.split_at(len);
            pieces.push(piece);
            (records, len) = (rest, 0);
            bytes.clear();
        }
    }
    if !records.is_empty() {
        pieces.push(records);
    }
    Ok(pieces)
}

/// One control batch.
///
/// # Errors
///
/// See [`BatchError`].
pub fn control_batch(records: &[ControlRecord], stamp: Stamp) -> Result<Vec<u8>, BatchError> {
    let mut builder = begin(stamp);
    builder.control();
    for record in records {
        let (key, value) = record.encode()?;
        builder.record(stamp.now_ms, Some(&key), Some(&value), &[]);
        within_limit(&builder)?;
    }
    finish(builder)
}

/// The control record that opens the raft epoch of a quorum of one.
pub fn leader_change(node_id: i32) -> ControlRecord {
    let voter = LeaderVoter { voter_id: node_id, ..LeaderVoter::default() };
    ControlRecord::LeaderChange(LeaderChangeRecord {
        version: 0,
        leader_id: node_id,
        voters: vec![voter.clone()],
        granting_voters: vec![voter],
    })
}

fn begin(stamp: Stamp) -> Builder {
    let mut builder = Builder::new(Codec::None);
    builder.base_offset(stamp.base).leader_epoch(stamp.epoch.raw());
    builder
}

fn within_limit(builder: &Builder) -> Result<(), BatchError> {
    match builder.len_bytes() {
        len if len > BATCH_BYTES_MAX => Err(BatchError::TooLarge { len }),
        _ => Ok(()),
    }
}

fn finish(builder: Builder) -> Result<Vec<u8>, BatchError> {
    if builder.records() == 0 {
        return Err(BatchError::Empty);
    }
    Ok(builder.build())
}

/// What one record of the log is.
#[derive(Clone, Debug, PartialEq)]
pub enum Entry {
    /// A record of the image, with the version it was written at.
    Data(Record, i16),
    /// A record of the quorum or of a snapshot.
    Control(ControlRecord),
}

/// Why bytes are not a batch of the metadata log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// No whole batch, or a batch above [`BATCH_BYTES_MAX`].
    #[error("not one whole batch of a metadata log")]
    NotABatch,
    /// The checksum differs.
    #[error("the checksum of the batch at offset {base} is wrong")]
    Checksum {
        /// The batch's first offset.
        base: Offset,
    },
    /// The records cannot be walked, or have a key, headers or times that a controller never writes.
    #[error("the batch at offset {base} is not of a metadata log: {what}")]
    Malformed {
        /// The batch's first offset.
        base: Offset,
        /// What is wrong.
        what: &'static str,
    },
    /// A record cannot be decoded: written by a newer controller, or damaged.
    #[error("the record at offset {offset} cannot be read")]
    Record {
        /// Where it lies.
        offset: Offset,
        /// Why.
        #[source]
        source: RecordError,
    },
}

/// Reads one whole batch: its header, and its records with their offsets.
///
/// # Errors
///
/// See [`ReadError`]. Nothing of the batch may be used then.
pub fn read_batch(bytes: &[u8]) -> Result<(Header, Vec<(Offset, Entry)>), ReadError> {
    let header = Header::read(bytes).map_err(|_| ReadError::NotABatch)?;
    if header.len != bytes.len() || header.len > BATCH_BYTES_MAX {
        return Err(ReadError::NotABatch);
    }
    let base = header.base_offset;
    let malformed = |what| ReadError::Malformed { base, what };
    if !crc_is_right(bytes) {
        return Err(ReadError::Checksum { base });
    }
    if header.producer_id != -1 || header.is_transactional() {
        return Err(malformed("it has a producer"));
    }
    let bytes =
        payload(bytes, BATCH_BYTES_MAX).map_err(|_| malformed("its records do not decompress"))?;
    let mut entries = Vec::new();
    for record in Records::new(&header, &bytes) {
        let record = record.map_err(|_| malformed("its records cannot be walked"))?;
        if record.timestamp_ms != header.base_timestamp_ms {
            return Err(malformed("its records differ in time"));
        }
        entries.push((record.offset, entry(&header, &record)?));
    }
    Ok((header, entries))
}

fn entry(header: &Header, record: &record::Record<'_>) -> Result<Entry, ReadError> {
    let malformed = |what| ReadError::Malformed { base: header.base_offset, what };
    let undecodable = |source| ReadError::Record { offset: record.offset, source };
    if record.headers.len() > 0 {
        return Err(malformed("a record has headers"));
    }
    let value = record.value.ok_or(malformed("a record has no value"))?;
    match (header.is_control(), record.key) {
        (true, Some(key)) => {
            ControlRecord::decode(key, value).map(Entry::Control).map_err(undecodable)
        }
        (true, None) => Err(malformed("a control record has no key")),
        (false, Some(_)) => Err(malformed("a record has a key")),
        (false, None) => {
            let decoded = Record::decode(value).map_err(undecodable)?;
            Ok(Entry::Data(decoded.0, decoded.1))
        }
    }
}

#[cfg(test)]
mod tests;
