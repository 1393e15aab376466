//! Aborted transactions of a log: kept with the segment that holds their markers, in its `.txnindex`.
//!
//! The file of a segment that has transactional batches exists once the segment is full or the log
//! closed, empty if nothing was aborted. So a missing one is told from an empty one, and its content
//! must be found out anew before anybody relies on it. Who opened and ended transactions is the
//! partition's knowledge; here the entries are only kept.

use env::{Disk, Env, File, Group, IoFailure, OpenMode};
use index::{AbortedIndex, AbortedTransaction, Run, SearchError, last_before};
use record::Offset;

use crate::layout::{self, Kind};
use crate::limits::INDEX_PIECE_BYTES;
use crate::log::{FileOf, Log};
use crate::reader::is_missing;
use crate::{AbortedError, ReadError, WriteError};

const LEN: usize = AbortedTransaction::LEN;
/// Bytes of one read or write of whole entries.
const PIECE: usize = INDEX_PIECE_BYTES / LEN * LEN;

/// The aborted transactions of one segment.
#[derive(Debug)]
pub(crate) struct Aborted<F> {
    /// Those that come behind what the file says. Of the active segment at most what is not
    /// written yet; more only behind what is lost.
    pub(crate) recent: AbortedIndex,
    pub(crate) file: AbortedFile,
    /// The segment has a transactional batch: the file is to exist even if it is empty.
    pub(crate) wanted: bool,
    /// The file exists.
    pub(crate) exists: bool,
    /// The file goes on behind the entries that count.
    pub(crate) stale: bool,
    /// The open file while it has unflushed changes.
    pub(crate) handle: Option<F>,
    /// How often it was changed, and how many of the changes are flushed.
    pub(crate) changes: u64,
    pub(crate) flushed: u64,
}

/// What is known of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AbortedFile {
    /// So many entries count, from the first on.
    Holds(u64),
    /// It was not read yet; entries with markers below this offset count.
    Unread { below: Offset },
    /// It is missing or wrong: what was aborted with markers below this offset is not known.
    Lost { below: Offset },
}

impl<F> Aborted<F> {
    /// Those of a new segment.
    pub(crate) fn none() -> Aborted<F> {
        Aborted {
            recent: AbortedIndex::new(),
            file: AbortedFile::Holds(0),
            wanted: false,
            exists: false,
            stale: false,
            handle: None,
            changes: 0,
            flushed: 0,
        }
    }

    /// Those of a segment of `len` bytes that was opened and ends at `next`.
    pub(crate) fn found(len: u64, next: Offset, exists: bool) -> Aborted<F> {
        let file = match (len, exists) {
            (0, _) => AbortedFile::Holds(0),
            (_, true) => AbortedFile::Unread { below: next },
            (_, false) => AbortedFile::Lost { below: next },
        };
        Aborted { file, exists, stale: exists && len == 0, ..Aborted::none() }
    }

    /// Whether the file has what it can have: entries of markers below `written`, and its name.
    pub(crate) fn is_filed(&self, active: bool, written: Offset) -> bool {
        let waits = self.recent.entries().first().is_some_and(|entry| entry.last_offset < written);
        match self.file {
            AbortedFile::Holds(_) => {
                !waits && !self.stale && (active || !self.wanted || self.exists)
            }
            AbortedFile::Unread { .. } | AbortedFile::Lost { .. } => true,
        }
    }

    /// Forgets those whose markers lie at or above `end`. The file is not looked at.
    pub(crate) fn truncate(&mut self, end: Offset) {
        self.recent.truncate(end);
        self.file = match self.file {
            AbortedFile::Holds(0) => AbortedFile::Holds(0),
            AbortedFile::Holds(_) => AbortedFile::Unread { below: end },
            AbortedFile::Unread { below } => AbortedFile::Unread { below: below.min(end) },
            AbortedFile::Lost { below } => AbortedFile::Lost { below: below.min(end) },
        };
    }

    /// Nothing is known, and nothing that the file says counts.
    fn clear(&mut self) {
        self.recent = AbortedIndex::new();
        self.file = AbortedFile::Holds(0);
        self.stale = self.exists;
        self.wanted = false;
    }

    /// So many changes are flushed.
    pub(crate) fn flushed_to(&mut self, changes: u64) {
        self.flushed = self.flushed.max(changes);
        if self.flushed == self.changes {
            self.handle = None;
        }
    }
}

impl<E: Env> Log<E> {
    /// Notes a transaction whose marker, an abort, was just appended. It reaches the index with the
    /// next write of the log.
    ///
    /// # Panics
    /// If its marker does not lie in the log, or not behind the last one's.
    pub fn note_aborted(&self, entry: AbortedTransaction) {
        let mut state = self.inner.state.borrow_mut();
        assert!(entry.last_offset < state.end(), "{entry:?} in a log that ends at {}", state.end());
        let base = state.floor(entry.last_offset).expect("the segment of the marker");
        state.segment(base).aborted.recent.push(entry);
        self.refile(&mut state, base);
    }

    /// Notes that the segment of `offset` has a transactional batch, which a scan found.
    pub fn note_transactional(&self, offset: Offset) {
        let mut state = self.inner.state.borrow_mut();
        if let Some(base) = state.floor(offset) {
            state.segment(base).aborted.wanted = true;
            self.refile(&mut state, base);
        }
    }

    fn refile(&self, state: &mut crate::log::State<FileOf<E>>, base: Offset) {
        state.settled_below = state.settled_below.min(base);
        state.flushed_below = state.flushed_below.min(base);
    }

    /// Forgets every aborted transaction whose marker lies at or above `from`: the caller tells them
    /// again, from the batches. Below `from` the files are believed.
    pub async fn forget_aborted(&self, from: Offset, group: Group) -> Result<(), ReadError> {
        let holder = {
            let mut state = self.inner.state.borrow_mut();
            for segment in state.segments.values_mut() {
                if from <= segment.base {
                    segment.aborted.clear();
                } else if from <= segment.next {
                    segment.aborted.truncate(from);
                }
            }
            let first = state.first_base();
            self.refile(&mut state, first);
            state.floor(from)
        };
        match holder {
            Some(base) => self.load_aborted(base, group).await,
            None => Ok(()),
        }
    }

    /// Segments that have new entries which cannot be filed, because what comes before them is
    /// [lost](AbortedError::Lost); with the offset below which it is. Until it is
    /// [told](Log::restore_aborted) their index is missing.
    #[must_use]
    pub fn unfiled_aborted(&self) -> Vec<(Offset, Offset)> {
        let state = self.inner.state.borrow();
        let unfiled = state.segments.values().filter_map(|segment| match segment.aborted.file {
            AbortedFile::Lost { below } if !segment.aborted.recent.entries().is_empty() => {
                Some((segment.base, below))
            }
            _ => None,
        });
        unfiled.collect()
    }

    /// Tells anew what a segment, of which it was [lost](AbortedError::Lost), has of aborted
    /// transactions with markers below `below`. Nothing happens if that is known by now, or the
    /// segment is gone.
    pub fn restore_aborted(&self, segment: Offset, below: Offset, entries: &AbortedIndex) {
        let mut state = self.inner.state.borrow_mut();
        let Some(found) = state.segments.get_mut(&segment) else { return };
        if found.aborted.file != (AbortedFile::Lost { below }) {
            return;
        }
        let mut all = entries.clone();
        found.aborted.recent.entries().iter().for_each(|entry| all.push(*entry));
        found.aborted.recent = all;
        found.aborted.file = AbortedFile::Holds(0);
        found.aborted.stale = found.aborted.exists;
        found.aborted.wanted = true;
        self.refile(&mut state, segment);
    }

    /// Shows `each` the aborted transactions that have records in `[from, until)`, in the order of
    /// their markers, which may lie behind `until`. It reads the indexes of the segments from the
    /// one of `from` on, until an entry shows that there are no more. After an error `each` may
    /// have been shown some; a segment that was lost can be restored, and the call made again.
    pub async fn each_aborted(
        &self,
        from: Offset,
        until: Offset,
        group: Group,
        mut each: impl FnMut(&AbortedTransaction),
    ) -> Result<(), AbortedError> {
        let mut next = Some(self.inner.state.borrow().floor(from).unwrap_or(from));
        let mut show = |entry: &AbortedTransaction| {
            if entry.overlaps(from, until) {
                each(entry);
            }
            entry.is_last_for(until)
        };
        while let Some(at) = next {
            let Some((base, file, recent)) = self.aborted_from(at, from) else { return Ok(()) };
            match file {
                AbortedFile::Lost { below } => {
                    return Err(AbortedError::Lost { segment: base, below });
                }
                AbortedFile::Unread { .. } => {
                    self.load_aborted(base, group).await?;
                    continue;
                }
                AbortedFile::Holds(0) => {}
                AbortedFile::Holds(filed) => {
                    if self.filed_aborted((base, filed), from, group, &mut show).await? {
                        return Ok(());
                    }
                }
            }
            if recent.iter().any(&mut show) {
                return Ok(());
            }
            next = Some(base.plus(1));
        }
        Ok(())
    }

    /// The first segment at or behind `at`, what is known of its file, and its entries in memory
    /// with markers at or behind `from`.
    fn aborted_from(
        &self,
        at: Offset,
        from: Offset,
    ) -> Option<(Offset, AbortedFile, Vec<AbortedTransaction>)> {
        let state = self.inner.state.borrow();
        let (base, segment) = state.segments.range(at..).next()?;
        let entries = segment.aborted.recent.entries();
        let below = entries.partition_point(|entry| entry.last_offset < from);
        Some((*base, segment.aborted.file, entries[below..].to_vec()))
    }

    /// Shows the entries of a file, of which the first `filed` count, from the first one on whose
    /// marker lies at or behind `from`; `true` as soon as `show` says that it is enough.
    async fn filed_aborted(
        &self,
        (base, filed): (Offset, u64),
        from: Offset,
        group: Group,
        show: &mut impl FnMut(&AbortedTransaction) -> bool,
    ) -> Result<bool, AbortedError> {
        let path = layout::path(&self.inner.dir, base, Kind::TxnIndex);
        let file = match self.inner.env.disk().open(&path, OpenMode::existing()).await {
            Ok(file) => file,
            Err(failure) if is_missing(&failure) => return Err(self.lost(base)),
            Err(failure) => return Err(ReadError::from(failure).into()),
        };
        let decode = |bytes: &[u8]| bytes.first_chunk().and_then(AbortedTransaction::decode);
        let before = |bytes: &[u8]| decode(bytes).is_some_and(|entry| entry.last_offset < from);
        let run = Run { entry_len: LEN, entries: filed };
        let hit = match last_before(&self.inner.env, &file, run, before, group).await {
            Ok(hit) => hit,
            Err(SearchError::Short) => return Err(self.lost(base)),
            Err(SearchError::Io(failure)) => return Err(ReadError::from(failure).into()),
            Err(SearchError::OverBudget(over)) => return Err(ReadError::from(over).into()),
        };
        let first = hit.map_or(0, |hit| hit.entry + 1);
        let (mut position, end) = (first * LEN as u64, filed * LEN as u64);
        while position < end {
            let bytes = self.read_entries(&file, position, end, group).await?;
            for entry in bytes.chunks_exact(LEN) {
                match decode(entry) {
                    Some(entry) if show(&entry) => return Ok(true),
                    Some(_) => {}
                    None => return Err(self.lost(base)),
                }
            }
            if bytes.is_empty() {
                return Err(self.lost(base));
            }
            position += bytes.len() as u64;
            self.inner.env.yield_if_needed().await;
        }
        Ok(false)
    }

    /// Notes that the file of a segment turned out to be of no use.
    fn lost(&self, base: Offset) -> AbortedError {
        let mut state = self.inner.state.borrow_mut();
        let below = match state.segments.get_mut(&base) {
            Some(segment) => {
                let first = segment.aborted.recent.entries().first();
                let below = first.map_or(segment.next, |entry| entry.last_offset);
                segment.aborted.file = AbortedFile::Lost { below };
                below
            }
            None => base,
        };
        AbortedError::Lost { segment: base, below }
    }

    /// Some whole entries from `position` on, at most up to `end`; none if the file ends there.
    async fn read_entries(
        &self,
        file: &FileOf<E>,
        position: u64,
        end: u64,
        group: Group,
    ) -> Result<Vec<u8>, ReadError> {
        let len = usize::try_from(end - position).map_or(PIECE, |left| left.min(PIECE));
        let buffer = self.inner.env.pool().buffer(len)?;
        let (read, buffer) = file.read_at(buffer, len, position, group).await;
        let whole = read? / LEN * LEN;
        Ok(buffer.as_slice()[..whole.min(len)].to_vec())
    }

    /// Reads the file of a segment, if it was not read yet, and says what of it counts.
    pub(crate) async fn load_aborted(&self, base: Offset, group: Group) -> Result<(), ReadError> {
        let log = self.clone();
        self.to_its_end(group, async move {
            let _turn = log.inner.gate.enter().await;
            log.load_aborted_held(base, group).await
        })
        .await
    }

    /// [`load_aborted`](Log::load_aborted), by whoever holds the gate.
    async fn load_aborted_held(&self, base: Offset, group: Group) -> Result<(), ReadError> {
        let unread = {
            let state = self.inner.state.borrow();
            state.segments.get(&base).map(|segment| segment.aborted.file)
        };
        let Some(AbortedFile::Unread { below }) = unread else { return Ok(()) };
        let found = self.entries_below(base, below, group).await?;
        let mut state = self.inner.state.borrow_mut();
        let aborted = &mut state.segment(base).aborted;
        match found {
            Some((count, len)) => {
                aborted.file = AbortedFile::Holds(count);
                aborted.stale = count * (LEN as u64) < len;
            }
            None => aborted.file = AbortedFile::Lost { below },
        }
        self.refile(&mut state, base);
        Ok(())
    }

    /// How many entries of a file have markers below `below`, and its length; `None` if they are
    /// not those of the segment.
    async fn entries_below(
        &self,
        base: Offset,
        below: Offset,
        group: Group,
    ) -> Result<Option<(u64, u64)>, ReadError> {
        let path = layout::path(&self.inner.dir, base, Kind::TxnIndex);
        let file = match self.inner.env.disk().open(&path, OpenMode::existing()).await {
            Ok(file) => file,
            Err(failure) if is_missing(&failure) => return Ok(None),
            Err(failure) => return Err(failure.into()),
        };
        let len = file.len().await?;
        let (mut count, mut last) = (0_u64, None);
        while count * (LEN as u64) < len {
            let bytes = self.read_entries(&file, count * LEN as u64, len, group).await?;
            if bytes.is_empty() {
                return Ok(None);
            }
            for entry in bytes.as_chunks::<LEN>().0 {
                let Some(entry) = AbortedTransaction::decode(entry) else { return Ok(None) };
                if below <= entry.last_offset {
                    return Ok(Some((count, len)));
                }
                if entry.last_offset < base || last.is_some_and(|last| entry.last_offset <= last) {
                    return Ok(None);
                }
                last = Some(entry.last_offset);
                count += 1;
            }
            self.inner.env.yield_if_needed().await;
        }
        Ok(Some((count, len)))
    }

    /// Moves the entries whose markers are in the segment's file to the index; `complete` if the
    /// segment is full or closed. By whoever holds the gate.
    pub(crate) async fn file_aborted(
        &self,
        base: Offset,
        complete: bool,
        group: Group,
    ) -> Result<(), WriteError> {
        let (filed, entries, exists, handle) = {
            let mut state = self.inner.state.borrow_mut();
            let segment = state.segment(base);
            let written = segment.written_next;
            let aborted = &mut segment.aborted;
            let AbortedFile::Holds(filed) = aborted.file else { return Ok(()) };
            if aborted.is_filed(!complete, written) {
                return Ok(());
            }
            let recent = aborted.recent.entries();
            let ready = recent.partition_point(|entry| entry.last_offset < written);
            let entries: Vec<_> = recent[..ready].iter().map(AbortedTransaction::encode).collect();
            // Whatever part of it is written, it does not count before all of it is.
            aborted.stale |= !entries.is_empty();
            (filed, entries, aborted.exists, aborted.handle.clone())
        };
        let path = layout::path(&self.inner.dir, base, Kind::TxnIndex);
        let file = match handle {
            Some(file) => file,
            None => {
                let opened = self.inner.env.disk().open(&path, OpenMode::create()).await;
                opened.map_err(|failure| self.failed(failure))?
            }
        };
        let position = filed * LEN as u64;
        file.set_len(position).await.map_err(|failure| self.failed(failure))?;
        self.write_index_pieces(&file, entries.as_flattened(), position, group).await?;
        let mut state = self.inner.state.borrow_mut();
        state.dir_changes += u64::from(!exists);
        // A flush since the entries were noted has passed this segment.
        state.flushed_below = state.flushed_below.min(base);
        let aborted = &mut state.segment(base).aborted;
        aborted.recent.forget(entries.len());
        aborted.file = AbortedFile::Holds(filed + entries.len() as u64);
        (aborted.exists, aborted.stale) = (true, false);
        (aborted.handle, aborted.changes) = (Some(file), aborted.changes + 1);
        Ok(())
    }

    /// Cuts from the file of a segment that was truncated what lies behind its end, durably.
    pub(crate) async fn trim_aborted(&self, base: Offset, group: Group) -> Result<(), WriteError> {
        let loaded = self.load_aborted_held(base, group).await;
        // What is not cut off now might never be: nothing more is appended then.
        let fence = |failure: IoFailure| self.fence(failure);
        loaded.map_err(|error| match error {
            ReadError::Io(failure) => fence(failure),
            ReadError::OverBudget(_) => {
                let kind = std::io::ErrorKind::OutOfMemory;
                fence(IoFailure::of_kind("truncate", &self.inner.dir, kind))
            }
            ReadError::Corrupt(_) | ReadError::OutOfRange { .. } => {
                unreachable!("an index that is wrong is lost, not an error")
            }
        })?;
        let filed = self.file_aborted(base, false, group).await;
        filed.map_err(|error| match error {
            WriteError::Full(failure) | WriteError::Fenced(failure) => fence(failure),
        })?;
        let handle = {
            let mut state = self.inner.state.borrow_mut();
            let aborted = &state.segment(base).aborted;
            aborted.handle.clone().map(|file| (file, aborted.changes))
        };
        if let Some((file, changes)) = handle {
            file.sync(group).await.map_err(|failure| self.fence(failure))?;
            self.inner.state.borrow_mut().segment(base).aborted.flushed_to(changes);
        }
        Ok(())
    }
}
