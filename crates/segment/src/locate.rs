//! Where a batch lies: index lookups, and what to do when an index is of no use.

use env::{Disk, Env, File, Group, IoFailure, OpenMode};
use index::{Building, OffsetEntry, Run, SearchError, last_before};
use record::Offset;

use crate::ReadError;
use crate::headers::{Headers, Next};
use crate::layout::{self, Kind};
use crate::limits::{SCAN_BYTES, SEALED_FILES_MAX, UNINDEXED_BYTES_MAX};
use crate::log::{FileOf, Log, State};
use crate::reader::{FileReader, is_missing};
use crate::segment::{Filed, Files};
use crate::walk::Bounds;

impl<E: Env> Log<E> {
    /// An open handle of a segment that exists in the files. A few handles of sealed segments stay
    /// open. If segments were removed or replaced meanwhile it may be that of another file.
    pub(crate) async fn log_file(&self, base: Offset) -> Result<FileOf<E>, IoFailure> {
        let (known, removals) = {
            let state = self.inner.state.borrow();
            let segment = state.segments.get(&base);
            (segment.and_then(|segment| segment.log_file.handle.clone()), state.removals)
        };
        if let Some(file) = known {
            return Ok(file);
        }
        let path = layout::path(&self.inner.dir, base, Kind::Log);
        let file = self.inner.env.disk().open(&path, OpenMode::existing().direct()).await?;
        let mut state = self.inner.state.borrow_mut();
        if removals != state.removals {
            return Ok(file);
        }
        state.close_sealed_files(SEALED_FILES_MAX);
        if let Some(segment) = state.segments.get_mut(&base) {
            segment.log_file.handle = Some(file.clone());
        }
        Ok(file)
    }

    /// Closes file handles that nothing unflushed needs, and says how many are left. They are
    /// opened again when they are needed.
    pub fn release_files(&self) -> usize {
        let mut state = self.inner.state.borrow_mut();
        state.close_sealed_files(0);
        if state.active().written == state.active().len && !state.active().is_unflushed() {
            state.active_mut().log_file.handle = None;
        }
        state.segments.values().filter(|segment| segment.log_file.handle.is_some()).count()
    }

    /// A position at or before the batch of `target` in a segment, where a batch begins.
    pub(crate) async fn position_before(
        &self,
        base: Offset,
        target: Offset,
        group: Group,
    ) -> Result<u64, ReadError> {
        for _ in 0..2 {
            let files = {
                let state = self.inner.state.borrow();
                let Some(segment) = state.segments.get(&base) else { return Ok(0) };
                let building = segment.indexes.building.as_ref();
                if let Some(entry) = building.and_then(|b| b.offsets.lookup(target)) {
                    return Ok(u64::from(entry.position));
                }
                segment.indexes.files
            };
            if let Some(position) = self.filed_position(base, files, target, group).await? {
                return Ok(position);
            }
            self.distrust_index(base);
            if self.is_short(base) {
                return Ok(0);
            }
            self.rebuild(base, group).await?;
        }
        Ok(0)
    }

    fn is_short(&self, base: Offset) -> bool {
        let state = self.inner.state.borrow();
        state.segments.get(&base).is_none_or(|segment| segment.written <= UNINDEXED_BYTES_MAX)
    }

    /// Notes that the index files of a segment are missing or wrong.
    pub(crate) fn distrust_index(&self, base: Offset) {
        if let Some(segment) = self.inner.state.borrow_mut().segments.get_mut(&base) {
            segment.indexes.files = Files::Useless;
        }
    }

    /// Looks `target` up in the index file. `None` if the file is of no use.
    async fn filed_position(
        &self,
        base: Offset,
        files: Files,
        target: Offset,
        group: Group,
    ) -> Result<Option<u64>, ReadError> {
        match files {
            Files::Useless => return Ok(None),
            Files::Hold(Filed { offsets: 0, .. }) => return Ok(Some(0)),
            Files::Unread | Files::Hold(_) => {}
        }
        let len = OffsetEntry::LEN as u64;
        let path = layout::path(&self.inner.dir, base, Kind::Index);
        let file = match self.inner.env.disk().open(&path, OpenMode::existing()).await {
            Ok(file) => file,
            Err(failure) if is_missing(&failure) => return Ok(None),
            Err(failure) => return Err(failure.into()),
        };
        let entries = match files {
            Files::Hold(filed) => filed.offsets,
            Files::Unread | Files::Useless => match file.len().await? {
                bytes if bytes % len == 0 => bytes / len,
                _ => return Ok(None),
            },
        };
        let decode =
            |bytes: &[u8]| bytes.first_chunk().and_then(|bytes| OffsetEntry::decode(base, bytes));
        let run = Run { entry_len: OffsetEntry::LEN, entries };
        let before = |bytes: &[u8]| decode(bytes).is_some_and(|entry| entry.offset <= target);
        match last_before(&self.inner.env, &file, run, before, group).await {
            Ok(None) => Ok(Some(0)),
            Ok(Some(hit)) => Ok(decode(&hit.bytes).map(|entry| u64::from(entry.position))),
            Err(SearchError::Short) => Ok(None),
            Err(SearchError::Io(failure)) => Err(failure.into()),
            Err(SearchError::OverBudget(over)) => Err(over.into()),
        }
    }

    /// Builds the index of a segment anew from the headers of its batches.
    async fn rebuild(&self, base: Offset, group: Group) -> Result<(), ReadError> {
        let log = self.clone();
        self.to_its_end(group, async move {
            let _structure_turn = log.inner.structure_gate.enter().await;
            let _turn = log.inner.gate.enter().await;
            let useless = {
                let state = log.inner.state.borrow();
                state.segments.get(&base).is_some_and(|s| s.indexes.files == Files::Useless)
            };
            if !useless {
                // Somebody else did it meanwhile, or the segment is gone.
                return Ok(());
            }
            log.rebuild_held(base, group).await?;
            let sealed = log.inner.state.borrow().active_base() != base;
            if sealed {
                // If the files cannot be written the entries stay in memory.
                let _ = log.finish(base, group).await;
            }
            Ok(())
        })
        .await
    }

    /// [`rebuild`](Log::rebuild), by whoever holds the gate. Then the entries are in memory, and
    /// what the files held has no meaning. Behind damage there are no entries.
    pub(crate) async fn rebuild_held(&self, base: Offset, group: Group) -> Result<(), ReadError> {
        let (limit, next, interval_bytes) = {
            let mut state = self.inner.state.borrow_mut();
            let interval_bytes = state.options.index_interval_bytes;
            let segment = state.segment(base);
            let limit = match segment.indexes.building {
                // What is behind has its entries in memory.
                Some(_) => segment.indexes.filed_to.min(segment.written),
                None => segment.written,
            };
            (limit, segment.written_next, interval_bytes)
        };
        let mut built = Building::new(base);
        if 0 < limit {
            let file = self.log_file(base).await?;
            let mut reader = FileReader::new(&self.inner.env, file, limit, group);
            reader.piece_bytes = SCAN_BYTES;
            let mut headers = Headers::new(0, base);
            // An entry has 31 bits for each of the two.
            let limit = limit.min(u64::from(i32::MAX.unsigned_abs()));
            let next = next.min(base.plus(i64::from(i32::MAX)).plus(1));
            let bounds = Bounds { limit, next, bad: &[] };
            while let Next::Batch(position, header) = headers.next(&mut reader, bounds).await? {
                let position = u32::try_from(position).expect("a segment is below 2 GiB");
                built.add(&header, position, interval_bytes);
            }
        }
        let mut state = self.inner.state.borrow_mut();
        let segment = state.segment(base);
        if let Some(later) = &segment.indexes.building {
            built.extend(later);
        }
        segment.indexes.building = Some(built);
        segment.indexes.files = Files::Hold(Filed::default());
        segment.indexes.filed_to = 0;
        segment.indexes.exist = false;
        state.settled_below = state.settled_below.min(base);
        Ok(())
    }
}

impl<F> State<F> {
    /// Closes handles of sealed segments that nothing unflushed needs, but for `keep` of them, the
    /// newest.
    fn close_sealed_files(&mut self, keep: usize) {
        let mut open = 0;
        for segment in self.segments.values_mut().rev().skip(1) {
            let settled = segment.written == segment.len && !segment.is_unflushed();
            let idle = settled && !segment.log_file.pinned;
            if segment.log_file.handle.is_some() && idle {
                open += 1;
                if keep < open {
                    segment.log_file.handle = None;
                }
            }
        }
    }
}
