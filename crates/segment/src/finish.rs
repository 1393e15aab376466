//! What turns the files of a segment into what Kafka expects: cut to the length, indexed.

use env::{Disk, Env, File, Group, IoFailure, OpenMode};
use index::{OffsetEntry, TimeEntry};
use record::Offset;

use crate::layout::{self, Kind};
use crate::limits::INDEX_PIECE_BYTES;
use crate::log::Log;
use crate::segment::{Filed, Files};
use crate::{ReadError, WriteError};

/// Index entries on their way into the files.
struct Entries {
    filed: Filed,
    /// The segment's length when they were all.
    len: u64,
    /// Whether the files exist.
    exist: bool,
    offsets: Vec<u8>,
    times: Vec<u8>,
}

impl<E: Env> Log<E> {
    /// Writes, cuts and indexes every segment, the active one too, and flushes it all: then the
    /// directory is as Kafka leaves it after a clean stop. The log may be used on. If the future
    /// is dropped the work goes on.
    pub async fn close(&self, group: Group) -> Result<(), WriteError> {
        let log = self.clone();
        self.to_its_end(group, async move {
            let _structure_turn = log.inner.structure_gate.enter().await;
            let _turn = log.inner.gate.enter().await;
            log.write_held(group).await?;
            let active = log.inner.state.borrow().active_base();
            log.settle_active(active, group).await?;
            let _turn = log.inner.flush_gate.enter().await;
            log.flush_held(group).await?;
            Ok(())
        })
        .await
    }

    /// Cuts and indexes the active segment as it is now.
    async fn settle_active(&self, base: Offset, group: Group) -> Result<(), WriteError> {
        self.cut_to_length(base).await?;
        self.file_aborted(base, true, group).await?;
        self.file_index_entries_with_last(base, group).await
    }

    /// Cuts a sealed segment, all of which is written, to its length, and writes the rest of its
    /// indexes.
    pub(crate) async fn finish(&self, base: Offset, group: Group) -> Result<(), WriteError> {
        self.cut_to_length(base).await?;
        self.file_index_entries_with_last(base, group).await?;
        self.inner.state.borrow_mut().segment(base).indexes.building = None;
        Ok(())
    }

    /// Cuts the file behind the written batches. A damaged file is left as it is.
    async fn cut_to_length(&self, base: Offset) -> Result<(), WriteError> {
        let len = {
            let mut state = self.inner.state.borrow_mut();
            let segment = state.segment(base);
            let exact = segment.log_file.len == segment.written || segment.broken.is_some();
            (!exact).then_some(segment.written)
        };
        let Some(len) = len else { return Ok(()) };
        let file = self.log_file(base).await.map_err(|failure| self.failed(failure))?;
        file.set_len(len).await.map_err(|failure| self.failed(failure))?;
        let mut state = self.inner.state.borrow_mut();
        let log_file = &mut state.segment(base).log_file;
        log_file.len = len;
        log_file.stale = false;
        log_file.changes += 1;
        Ok(())
    }

    /// Writes the index entries that are in memory, the last time entry of a closed segment
    /// included.
    async fn file_index_entries_with_last(
        &self,
        base: Offset,
        group: Group,
    ) -> Result<(), WriteError> {
        let ready = {
            let mut state = self.inner.state.borrow_mut();
            let indexes = &mut state.segment(base).indexes;
            matches!(indexes.files, Files::Hold(_)) || indexes.building.is_none()
        };
        if !ready {
            self.rebuild_held(base, group).await.map_err(|error| self.rebuild_failed(error))?;
        }
        if let Some(building) = &mut self.inner.state.borrow_mut().segment(base).indexes.building {
            building.finish();
        }
        self.file_index_entries(base, group).await
    }

    fn rebuild_failed(&self, error: ReadError) -> WriteError {
        match error {
            ReadError::Io(failure) => self.failed(failure),
            ReadError::OverBudget(over) => self.no_memory(over),
            ReadError::Corrupt(corrupt) => {
                let kind = std::io::ErrorKind::InvalidData;
                self.fence(IoFailure::of_kind("index", &corrupt.path, kind))
            }
            ReadError::OutOfRange { .. } => unreachable!("a rebuild looks up no offset"),
        }
    }

    /// Moves the index entries that are in memory to the files. If those must be rebuilt nothing
    /// happens: it is done when the segment is finished.
    pub(crate) async fn file_index_entries(
        &self,
        base: Offset,
        group: Group,
    ) -> Result<(), WriteError> {
        let Some(entries) = self.entries_to_file(base) else { return Ok(()) };
        let Entries { filed, len, offsets, times, exist } = entries;
        if exist && offsets.is_empty() && times.is_empty() {
            return Ok(());
        }
        self.append_to_index((base, Kind::Index), filed.offsets * 8, &offsets, group).await?;
        self.append_to_index((base, Kind::TimeIndex), filed.times * 12, &times, group).await?;
        let (n_offsets, n_times) = (offsets.len() / OffsetEntry::LEN, times.len() / TimeEntry::LEN);
        let mut state = self.inner.state.borrow_mut();
        let indexes = &mut state.segment(base).indexes;
        if let Some(building) = &mut indexes.building {
            building.offsets.forget(n_offsets);
            building.times.forget(n_times);
        }
        indexes.filed_to = len;
        indexes.exist = true;
        indexes.files = Files::Hold(Filed {
            offsets: filed.offsets + n_offsets as u64,
            times: filed.times + n_times as u64,
        });
        Ok(())
    }

    fn entries_to_file(&self, base: Offset) -> Option<Entries> {
        let mut state = self.inner.state.borrow_mut();
        let segment = state.segment(base);
        let (indexes, len) = (&segment.indexes, segment.len);
        let (Files::Hold(filed), Some(building)) = (indexes.files, &indexes.building) else {
            return None;
        };
        let offsets = building.offsets.encode(0, building.offsets.len());
        let times = building.times.encode(0, building.times.len());
        Some(Entries { filed, len, exist: indexes.exist, offsets, times })
    }

    /// Writes `bytes` to an index file from `at` on. At 0 the file is created, or emptied: what it
    /// holds has no meaning.
    async fn append_to_index(
        &self,
        (base, kind): (Offset, Kind),
        at: u64,
        bytes: &[u8],
        group: Group,
    ) -> Result<(), WriteError> {
        if bytes.is_empty() && at != 0 {
            return Ok(());
        }
        let path = layout::path(&self.inner.dir, base, kind);
        let opened = self.inner.env.disk().open(&path, OpenMode::create()).await;
        let file = opened.map_err(|failure| self.failed(failure))?;
        if at == 0 {
            file.set_len(0).await.map_err(|failure| self.failed(failure))?;
        }
        self.write_index_pieces(&file, bytes, at, group).await?;
        let mut state = self.inner.state.borrow_mut();
        state.dir_changes += u64::from(at == 0);
        state.segment(base).indexes.unflushed.push(file);
        Ok(())
    }

    /// Writes `bytes` of an index from `position` on, in pieces whose memory is reserved first.
    pub(crate) async fn write_index_pieces(
        &self,
        file: &crate::log::FileOf<E>,
        bytes: &[u8],
        mut position: u64,
        group: Group,
    ) -> Result<(), WriteError> {
        for part in bytes.chunks(INDEX_PIECE_BYTES) {
            let buffer = self.inner.env.pool().buffer(part.len());
            let mut buffer = buffer.map_err(|over| self.no_memory(over))?;
            buffer.as_mut_slice()[..part.len()].copy_from_slice(part);
            let written = file.write_at(buffer.seal(part.len()), position, group).await;
            written.map_err(|failure| self.failed(failure))?;
            position += part.len() as u64;
            self.inner.env.yield_if_needed().await;
        }
        Ok(())
    }
}
