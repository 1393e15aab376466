//! The handle.

use std::marker::PhantomData;
use std::path::Path;

use buf::Sealed;
use env::{Env, Group};
use record::{Header, Offset};

use crate::{
    AppendError, Appended, Ends, Found, Known, KnownTail, LogOptions, OpenError, Opened, Read,
    ReadError, SegmentView, Stamp, WriteError,
};

/// One log.
#[derive(Clone, Debug)]
pub struct Log<E: Env> {
    env: PhantomData<E>,
}

impl<E: Env> Log<E> {
    /// Creates.
    pub async fn create(
        _env: &E,
        _dir: &Path,
        _options: LogOptions,
        _start: Offset,
    ) -> Result<Log<E>, OpenError> {
        unimplemented!()
    }
    /// Opens.
    pub async fn open(
        _env: &E,
        _dir: &Path,
        _options: LogOptions,
        _known: Known,
        _group: Group,
    ) -> Result<(Log<E>, Opened), OpenError> {
        unimplemented!()
    }
    /// Changes the options.
    pub fn set_options(&self, _options: LogOptions) {}
    /// Appends a batch with new offsets.
    pub fn append(
        &self,
        _batch: &[u8],
        _stamp: Stamp,
        _now_ms: i64,
    ) -> Result<Appended, AppendError> {
        unimplemented!()
    }
    /// Appends a batch as it is.
    pub fn append_verbatim(&self, _batch: &[u8], _now_ms: i64) -> Result<Appended, AppendError> {
        unimplemented!()
    }
    /// Where it begins and ends.
    #[must_use]
    pub fn ends(&self) -> Ends {
        unimplemented!()
    }
    /// Where the files end, for a checkpoint; `None` unless everything is flushed.
    #[must_use]
    pub fn tail(&self) -> Option<KnownTail> {
        unimplemented!()
    }
    /// Bytes not written.
    #[must_use]
    pub fn unwritten_bytes(&self) -> u64 {
        unimplemented!()
    }
    /// Frozen bytes from `from` (a batch boundary) to the end.
    #[must_use]
    pub fn unwritten(&self, _from: Offset) -> Vec<Sealed> {
        unimplemented!()
    }
    /// Writes.
    pub async fn write(&self, _group: Group) -> Result<Offset, WriteError> {
        unimplemented!()
    }
    /// Flushes what was written; gives the new recovery point.
    pub async fn flush(&self, _group: Group) -> Result<Offset, WriteError> {
        unimplemented!()
    }
    /// Reads from memory.
    #[must_use]
    pub fn read_hot(
        &self,
        _from: Offset,
        _until: Offset,
        _max_bytes: usize,
        _at_least_one: bool,
    ) -> Option<Read> {
        unimplemented!()
    }
    /// Reads.
    pub async fn read(
        &self,
        _from: Offset,
        _until: Offset,
        _max_bytes: usize,
        _at_least_one: bool,
        _group: Group,
    ) -> Result<Read, ReadError> {
        unimplemented!()
    }
    /// First record at or after a timestamp.
    pub async fn find_time(
        &self,
        _timestamp_ms: i64,
        _group: Group,
    ) -> Result<Option<Found>, ReadError> {
        unimplemented!()
    }
    /// Record with the largest timestamp.
    pub async fn max_timestamp(&self, _group: Group) -> Result<Option<Found>, ReadError> {
        unimplemented!()
    }
    /// Loads largest timestamps of all segments.
    pub async fn load_timestamps(&self, _group: Group) -> Result<(), ReadError> {
        unimplemented!()
    }
    /// Headers from the batch containing `from`.
    pub async fn scan(
        &self,
        _from: Offset,
        _group: Group,
        _each: impl FnMut(&Header),
    ) -> Result<(), ReadError> {
        unimplemented!()
    }
    /// Drops everything from `to` on.
    pub async fn truncate(&self, _to: Offset, _group: Group) -> Result<(), WriteError> {
        unimplemented!()
    }
    /// Drops whole segments below `to`.
    pub async fn advance_start(&self, _to: Offset, _group: Group) -> Result<(), WriteError> {
        unimplemented!()
    }
    /// Segments in order.
    #[must_use]
    pub fn segments(&self) -> Vec<SegmentView> {
        unimplemented!()
    }
    /// Write, flush, cut, index.
    pub async fn close(&self, _group: Group) -> Result<(), WriteError> {
        unimplemented!()
    }
    /// Removes the files.
    pub async fn remove(self, _group: Group) -> Result<(), WriteError> {
        unimplemented!()
    }
    /// Bytes of chunks.
    #[must_use]
    pub fn cached_bytes(&self) -> usize {
        unimplemented!()
    }
    /// Releases clean chunks.
    pub fn evict(&self, _bytes: usize) -> usize {
        unimplemented!()
    }
    /// Closes file handles that nothing unflushed needs; says how many are left.
    pub fn release_files(&self) -> usize {
        unimplemented!()
    }
}
