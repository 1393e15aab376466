//! Segments that need no scan: nothing was appended since their end was noted, or they were closed.

use buf::PAGE;
use env::{Disk, Env, File, OpenMode};
use index::{Building, OffsetEntry, TimeEntry};
use record::Offset;

use super::Opening;
use super::leftovers::open_error;
use crate::headers::{Headers, Next};
use crate::layout::{self, Kind};
use crate::limits::SCAN_BYTES;
use crate::reader::FileReader;
use crate::segment::{Filed, Files, Segment};
use crate::walk::Bounds;
use crate::{Flaw, Known, KnownTail, OpenError};

/// The last entries of both index files of the active segment.
struct LastEntries {
    files: Files,
    offset: Option<OffsetEntry>,
    time: Option<TimeEntry>,
}

impl<E: Env> Opening<'_, E> {
    /// `tail` if the last segment is the one it speaks of, long enough, and nothing lies behind. A
    /// batch there was appended after the tail was noted; it may have been acknowledged as soon as
    /// it was in the file.
    pub(super) async fn fitting_tail(
        &self,
        last: Offset,
        tail: Option<KnownTail>,
    ) -> Result<Option<KnownTail>, OpenError> {
        let Some(tail) = tail.filter(|tail| tail.segment_base == last && last <= tail.end) else {
            return Ok(None);
        };
        let file_len = self.file_len(last).await?;
        if file_len < tail.len_bytes || self.goes_on(last, tail, file_len).await? {
            return Ok(None);
        }
        Ok(Some(tail))
    }

    /// Whether anything but space lies behind `tail`.
    async fn goes_on(
        &self,
        last: Offset,
        tail: KnownTail,
        file_len: u64,
    ) -> Result<bool, OpenError> {
        if file_len == tail.len_bytes {
            return Ok(false);
        }
        let path = layout::path(self.dir, last, Kind::Log);
        let file = self.env.disk().open(&path, OpenMode::existing().direct()).await?;
        let mut reader = FileReader::new(self.env, file, file_len, self.group);
        reader.piece_bytes = PAGE;
        let bounds = Bounds { limit: file_len, next: Offset::MAX, bad: &[] };
        let next = Headers::new(tail.len_bytes, tail.end).next(&mut reader, bounds).await;
        Ok(!matches!(next.map_err(open_error)?, Next::End | Next::Bad(Flaw::Zeros)))
    }

    /// A sealed segment, all of which is flushed.
    pub(super) async fn trust_sealed(
        &mut self,
        base: Offset,
        next: Offset,
    ) -> Result<(), OpenError> {
        let len = self.file_len(base).await?;
        let mut segment = Segment::existing(base, next, len, len);
        segment.indexes.building = None;
        segment.indexes.files = Files::Unread;
        self.state.segments.insert(base, segment);
        Ok(())
    }

    /// The last segment of a log whose end is known.
    pub(super) async fn trust_active(
        &mut self,
        base: Offset,
        known: Known,
    ) -> Result<(), OpenError> {
        let file_len = self.file_len(base).await?;
        let Some(tail) = known.tail else {
            return self.walk_active(base, file_len, known.recovery_point).await;
        };
        let KnownTail { end, len_bytes, largest_timestamp_ms, .. } = tail;
        let mut segment = Segment::existing(base, end, len_bytes, file_len);
        segment.largest_ms = Some(largest_timestamp_ms);
        // The batch that has it is not known; the entry is in the file, if the file is complete.
        let floor = TimeEntry { timestamp_ms: largest_timestamp_ms, offset: base };
        let floor = Some(floor).filter(|_| 0 <= largest_timestamp_ms);
        segment.indexes.building = Some(Building::resume(base, floor));
        segment.indexes.filed_to = len_bytes;
        segment.indexes.files = if known.clean {
            self.index_files(base).await?
        } else if len_bytes == 0 {
            Files::Hold(Filed::default())
        } else {
            // Entries are written when a segment is full or closed: after a crash they lack.
            Files::Useless
        };
        segment.indexes.exist = known.clean && segment.indexes.files != Files::Useless;
        self.state.segments.insert(base, segment);
        Ok(())
    }

    /// Finds the end of a closed segment: from the last index entry on, header by header. If that
    /// does not work out, the segment is checked like after an unclean stop.
    async fn walk_active(
        &mut self,
        base: Offset,
        file_len: u64,
        recovery_point: Offset,
    ) -> Result<(), OpenError> {
        let path = layout::path(self.dir, base, Kind::Log);
        let file = self.env.disk().open(&path, OpenMode::existing().direct()).await?;
        let entries = self.last_entries(base).await?;
        let indexed = matches!(entries.files, Files::Hold(_));
        let position = entries.offset.map_or(0, |entry| u64::from(entry.position));
        let mut reader = FileReader::new(self.env, file, file_len, self.group);
        reader.piece_bytes = SCAN_BYTES;
        let mut headers = Headers::new(position, base);
        let bounds = Bounds { limit: file_len, next: Offset::MAX, bad: &[] };
        let mut largest = entries.time;
        let mut fits = true;
        let flaw = loop {
            match headers.next(&mut reader, bounds).await.map_err(open_error)? {
                Next::Batch(at, header) => {
                    let entry = entries.offset.filter(|_| at == position);
                    fits &= entry.is_none_or(|entry| entry.offset == header.last_offset());
                    if largest.map_or(-1, |most| most.timestamp_ms) < header.max_timestamp_ms {
                        let timestamp_ms = header.max_timestamp_ms;
                        largest = Some(TimeEntry { timestamp_ms, offset: header.last_offset() });
                    }
                }
                Next::End => break None,
                Next::Bad(flaw) => break Some(flaw),
            }
        };
        // A segment with index entries and no time entry has lost the latter, or has no timestamps.
        let known_times = entries.time.is_some() || position == 0;
        if !fits || flaw.is_some_and(|flaw| flaw != Flaw::Zeros) || !(indexed && known_times) {
            self.recover_segment(base, recovery_point, &[]).await?;
            return Ok(());
        }
        let mut segment = Segment::existing(base, headers.next, headers.position, file_len);
        segment.largest_ms = Some(largest.map_or(-1, |largest| largest.timestamp_ms));
        segment.indexes.building = Some(Building::resume(base, entries.time));
        segment.indexes.filed_to = headers.position;
        segment.indexes.files = entries.files;
        segment.indexes.exist = true;
        self.state.segments.insert(base, segment);
        Ok(())
    }

    async fn index_files(&self, base: Offset) -> Result<Files, OpenError> {
        let disk = self.env.disk();
        let index = disk.stat(&layout::path(self.dir, base, Kind::Index)).await?;
        let times = disk.stat(&layout::path(self.dir, base, Kind::TimeIndex)).await?;
        Ok(Files::of_lengths(index.map(|stat| stat.len), times.map(|stat| stat.len)))
    }

    async fn last_entries(&self, base: Offset) -> Result<LastEntries, OpenError> {
        let files = self.index_files(base).await?;
        let none = LastEntries { files: Files::Useless, offset: None, time: None };
        let Files::Hold(Filed { offsets, times }) = files else { return Ok(none) };
        let offset = self.last_entry(base, Kind::Index, offsets).await?;
        let offset = offset
            .map(|bytes| bytes.first_chunk().and_then(|bytes| OffsetEntry::decode(base, bytes)));
        let time = self.last_entry(base, Kind::TimeIndex, times).await?;
        let time =
            time.map(|bytes| bytes.first_chunk().and_then(|bytes| TimeEntry::decode(base, bytes)));
        match (offset, time) {
            // An index that was never trimmed ends with zeros.
            (Some(None), _) | (_, Some(None)) => Ok(none),
            (offset, time) => {
                Ok(LastEntries { files, offset: offset.flatten(), time: time.flatten() })
            }
        }
    }

    async fn last_entry(
        &self,
        base: Offset,
        kind: Kind,
        entries: u64,
    ) -> Result<Option<Vec<u8>>, OpenError> {
        let entry_len = if kind == Kind::Index { OffsetEntry::LEN } else { TimeEntry::LEN };
        let path = layout::path(self.dir, base, kind);
        let file = self.env.disk().open(&path, OpenMode::existing()).await?;
        let last = entries.checked_sub(1).map(|before| before * entry_len as u64);
        let Some(at) = last else { return Ok(None) };
        let buffer = self.env.pool().buffer(entry_len)?;
        let (read, buffer) = file.read_at(buffer, entry_len, at, self.group).await;
        let read = read?;
        Ok((read == entry_len).then(|| buffer.as_slice()[..entry_len].to_vec()))
    }
}
