//! From memory into the segment files, in large aligned pieces.

use buf::{OverBudget, PAGE, Sealed, page_down};
use env::sync::all;
use env::{Disk, Env, File, Group, IoFailure, OpenMode};
use record::{Header, Offset};
use std::io;

use crate::limits::{ALLOCATE_BYTES_MAX, INDEX_ENTRIES_MAX, PIECE_BYTES, WRITES_IN_FLIGHT};
use crate::log::{FileOf, Log, State};
use crate::segment::{Lead, Segment};
use crate::{WriteError, layout};

/// One write: where it begins in the file, and its bytes.
struct Piece {
    position: u64,
    bytes: Sealed,
}

/// What one pass writes of one segment.
struct Pass {
    /// Bytes and offset that the file holds after it.
    len: u64,
    next: Offset,
    pieces: Vec<Piece>,
    /// The page that must be composed: its bytes before `written` are in the file only.
    first_page: Option<u64>,
}

impl<E: Env> Log<E> {
    /// Writes everything that was appended before the call into the segment files and gives the
    /// offset up to which they hold everything. Segments that are full are cut to their length
    /// and indexed before the next one is begun. On [`WriteError::Full`] what was written counts
    /// and the rest stays in memory; any other failure fences the log. If the future is dropped
    /// the write goes on.
    pub async fn write(&self, group: Group) -> Result<Offset, WriteError> {
        let log = self.clone();
        self.to_its_end(group, async move {
            let _turn = log.inner.gate.enter().await;
            log.write_held(group).await
        })
        .await
    }

    /// [`write`](Log::write), by whoever holds the gate.
    pub(crate) async fn write_held(&self, group: Group) -> Result<Offset, WriteError> {
        let target = self.inner.state.borrow().end();
        loop {
            let (base, active) = {
                let mut state = self.inner.state.borrow_mut();
                state.check_fence()?;
                let active_base = state.active_base();
                let unsettled = state.first_unsettled();
                state.settled_below = unsettled.unwrap_or(active_base);
                let written = state.written();
                match unsettled {
                    None => return Ok(written),
                    Some(base) => {
                        let active = base == active_base;
                        // What was appended since the call is for the next one.
                        if active && target <= written && state.active().is_filed() {
                            return Ok(written);
                        }
                        (base, active)
                    }
                }
            };
            self.write_segment(base, group).await?;
            self.file_aborted(base, !active, group).await?;
            if !active {
                self.finish(base, group).await?;
            } else if self.index_entries_in_memory(base) >= INDEX_ENTRIES_MAX {
                self.file_index_entries(base, group).await?;
            }
            self.inner.env.yield_if_needed().await;
        }
    }

    fn index_entries_in_memory(&self, base: Offset) -> usize {
        let state = self.inner.state.borrow();
        let building = state.segments.get(&base).and_then(|s| s.indexes.building.as_ref());
        building.map_or(0, |building| building.offsets.len())
    }

    /// Writes what one segment lacks.
    async fn write_segment(&self, base: Offset, group: Group) -> Result<(), WriteError> {
        {
            let mut state = self.inner.state.borrow_mut();
            let segment = state.segment(base);
            if segment.written == segment.len && segment.log_file.exists {
                return Ok(());
            }
        }
        let file = self.file_to_write(base).await?;
        self.load_first_timestamp(base, &file, group).await?;
        let aligned = file.alignment() != 1;
        let pass = {
            let mut state = self.inner.state.borrow_mut();
            let segment = state.segment(base);
            if segment.written == segment.len {
                return Ok(());
            }
            let pass = plan(segment, aligned);
            // Counted before anything is written: a failed write may leave any part of it.
            let file_end = if aligned { page_up_u64(pass.len) } else { pass.len };
            segment.log_file.len = segment.log_file.len.max(file_end);
            segment.log_file.stale = true;
            pass
        };
        let mut pass = pass;
        if aligned {
            self.compose_pages(base, &file, &mut pass, group).await?;
        }
        let Pass { len, next, pieces, .. } = pass;
        self.write_pieces(&file, pieces, group).await?;
        let mut state = self.inner.state.borrow_mut();
        let segment = state.segment(base);
        // A flush that began meanwhile does not cover it: it counts from now on.
        segment.log_file.changes += 1;
        segment.log_file.stale = false;
        segment.written = len;
        segment.written_next = next;
        segment.lead = segment.lead.take().filter(|lead| lead.page == page_down(len));
        Ok(())
    }

    /// Writes `pieces`, a few at a time, in order.
    async fn write_pieces(
        &self,
        file: &FileOf<E>,
        pieces: Vec<Piece>,
        group: Group,
    ) -> Result<(), WriteError> {
        let mut pieces = pieces.into_iter();
        loop {
            let now: Vec<_> = pieces.by_ref().take(WRITES_IN_FLIGHT).collect();
            if now.is_empty() {
                return Ok(());
            }
            let writes =
                now.into_iter().map(|piece| file.write_at(piece.bytes, piece.position, group));
            for written in all(writes.collect()).await {
                written.map_err(|failure| self.failed(failure))?;
            }
        }
    }

    /// Adds the pages that cannot be written from the chunks: the first, if its beginning is only
    /// in the file, and the last, if it is still appended to. Each is a copy of its own.
    async fn compose_pages(
        &self,
        base: Offset,
        file: &FileOf<E>,
        pass: &mut Pass,
        group: Group,
    ) -> Result<(), WriteError> {
        if let Some(page) = pass.first_page {
            self.load_lead(base, file, page, group).await?;
            pass.pieces.insert(0, self.composed(base, page, pass.len)?);
        }
        let last = page_down(pass.len);
        if last != pass.len && pass.first_page != Some(last) {
            pass.pieces.push(self.composed(base, last, pass.len)?);
        }
        Ok(())
    }

    /// Reads the beginning of the page that holds the end of the file, unless it is known.
    async fn load_lead(
        &self,
        base: Offset,
        file: &FileOf<E>,
        page: u64,
        group: Group,
    ) -> Result<(), WriteError> {
        let written = {
            let mut state = self.inner.state.borrow_mut();
            let segment = state.segment(base);
            let tail_start = segment.tail.range().start;
            let known = |lead: &Lead| lead.page == page && tail_start <= lead.end();
            if segment.lead.as_ref().is_some_and(known) {
                return Ok(());
            }
            segment.written
        };
        let buffer = self.inner.env.pool().buffer(PAGE).map_err(|over| self.no_memory(over))?;
        let (read, buffer) = file.read_at(buffer, PAGE, page, group).await;
        let read = read.map_err(|failure| self.failed(failure))?;
        let lead = usize::try_from(written - page).expect("less than a page");
        if read < lead {
            let path = layout::path(&self.inner.dir, base, layout::Kind::Log);
            let short = IoFailure::of_kind("read", &path, io::ErrorKind::UnexpectedEof);
            return Err(self.failed(short));
        }
        let bytes = buffer.as_slice()[..lead].to_vec();
        self.inner.state.borrow_mut().segment(base).lead = Some(Lead { page, bytes });
        Ok(())
    }

    /// A copy of one page up to `len`, zeros behind it.
    fn composed(&self, base: Offset, page: u64, len: u64) -> Result<Piece, WriteError> {
        let buffer = self.inner.env.pool().buffer(PAGE);
        let mut buffer = buffer.map_err(|over| self.no_memory(over))?;
        let bytes = buffer.as_mut_slice();
        bytes.fill(0);
        let mut state = self.inner.state.borrow_mut();
        let segment = state.segment(base);
        let mut from = page;
        if let Some(lead) = segment.lead.as_ref().filter(|lead| lead.page == page) {
            bytes[..lead.bytes.len()].copy_from_slice(&lead.bytes);
            from += lead.bytes.len() as u64;
        }
        let to = len.min(page + PAGE as u64);
        let place = |position: u64| usize::try_from(position - page).expect("within a page");
        let copied = segment.tail.image(from..to).copy(from, &mut bytes[place(from)..place(to)]);
        assert!(copied == place(to) - place(from), "what is not written is in memory");
        self.inner.env.pool().note_copy(PAGE);
        Ok(Piece { position: page, bytes: buffer.seal(PAGE) })
    }

    /// The file of a segment, created if it does not exist, with what a former run left behind
    /// its end cut off, and with space for what will be written.
    async fn file_to_write(&self, base: Offset) -> Result<FileOf<E>, WriteError> {
        let path = layout::path(&self.inner.dir, base, layout::Kind::Log);
        let (handle, exists) = {
            let mut state = self.inner.state.borrow_mut();
            let log_file = &state.segment(base).log_file;
            (log_file.handle.clone(), log_file.exists)
        };
        let file = match handle {
            Some(file) => file,
            None => {
                let mode = if exists { OpenMode::existing() } else { OpenMode::create() };
                let opened = self.inner.env.disk().open(&path, mode.direct()).await;
                let file = opened.map_err(|failure| self.failed(failure))?;
                let mut state = self.inner.state.borrow_mut();
                state.dir_changes += u64::from(!exists);
                let log_file = &mut state.segment(base).log_file;
                log_file.handle = Some(file.clone());
                log_file.changes += u64::from(!exists);
                log_file.exists = true;
                file
            }
        };
        self.cut_stale_bytes(base, &file).await?;
        self.allocate(base, &file).await;
        Ok(file)
    }

    /// Reads the timestamp by which a segment that was opened with batches in it grows old.
    async fn load_first_timestamp(
        &self,
        base: Offset,
        file: &FileOf<E>,
        group: Group,
    ) -> Result<(), WriteError> {
        {
            let mut state = self.inner.state.borrow_mut();
            let segment = state.segment(base);
            if segment.first_timestamp_ms.is_some() || segment.written == 0 {
                return Ok(());
            }
        }
        let buffer = self.inner.env.pool().buffer(PAGE).map_err(|over| self.no_memory(over))?;
        let (read, buffer) = file.read_at(buffer, PAGE, 0, group).await;
        let read = read.map_err(|failure| self.failed(failure))?;
        // What cannot be read as a header has no timestamp: the segment ages by the clock.
        let header = Header::read(&buffer.as_slice()[..read]);
        let first_ms = header.map_or(-1, |header| header.max_timestamp_ms);
        self.inner.state.borrow_mut().segment(base).first_timestamp_ms = Some(first_ms);
        Ok(())
    }

    /// Cuts off what lies behind the end of the file and is not known to be zeros: a later
    /// recovery could take it for batches.
    async fn cut_stale_bytes(&self, base: Offset, file: &FileOf<E>) -> Result<(), WriteError> {
        let cut = {
            let mut state = self.inner.state.borrow_mut();
            let segment = state.segment(base);
            let behind = segment.written < segment.log_file.len;
            (segment.log_file.stale && behind).then_some(segment.written)
        };
        let Some(len) = cut else { return Ok(()) };
        file.set_len(len).await.map_err(|failure| self.failed(failure))?;
        let mut state = self.inner.state.borrow_mut();
        let segment = state.segment(base);
        segment.log_file.len = len;
        segment.log_file.stale = false;
        segment.log_file.changes += 1;
        Ok(())
    }

    /// Allocates space ahead of what is written, if the segment has filled a chunk. A file system
    /// that cannot is not asked twice; a write says whether there is room.
    async fn allocate(&self, base: Offset, file: &FileOf<E>) {
        let wanted = {
            let mut state = self.inner.state.borrow_mut();
            let segment_bytes = state.options.segment_bytes;
            allocation(state.segment(base), segment_bytes)
        };
        let Some(len) = wanted else { return };
        let allocated = file.allocate(len).await;
        let mut state = self.inner.state.borrow_mut();
        let log_file = &mut state.segment(base).log_file;
        log_file.changes += 1;
        match allocated {
            Ok(()) => log_file.len = log_file.len.max(len),
            Err(_) => log_file.no_allocation = true,
        }
    }

    /// Tells a failure: a full device passes, anything else fences the log.
    pub(crate) fn failed(&self, failure: IoFailure) -> WriteError {
        if failure.is_full() { WriteError::Full(failure) } else { self.fence(failure) }
    }

    /// Fences the log: what was written before a failed flush may be gone.
    pub(crate) fn fence(&self, failure: IoFailure) -> WriteError {
        self.inner.state.borrow_mut().fence(failure)
    }

    /// Nothing of the pool is left for a page: as a full device, it passes.
    pub(crate) fn no_memory(&self, _over: OverBudget) -> WriteError {
        let dir = &self.inner.dir;
        WriteError::Full(IoFailure::of_kind("write", dir, io::ErrorKind::OutOfMemory))
    }
}

impl<F> State<F> {
    /// A segment that whoever holds the gate knows to exist.
    pub(crate) fn segment(&mut self, base: Offset) -> &mut Segment<F> {
        self.segments.get_mut(&base).expect("segments go only while the gate is held")
    }

    /// The first segment that is not written, cut and indexed.
    fn first_unsettled(&self) -> Option<Offset> {
        let active_base = self.active_base();
        let mut rest = self.segments.range(self.settled_below..);
        rest.find(|(base, segment)| !segment.is_settled(**base == active_base))
            .map(|(base, _)| *base)
    }
}

/// What a pass writes: exact bytes into a buffered file, whole pages into a direct one.
fn plan<F>(segment: &Segment<F>, aligned: bool) -> Pass {
    let Segment { written, len, next, .. } = *segment;
    let (mut from, mut to, mut first_page) = (written, len, None);
    if aligned {
        let page = page_down(written);
        to = page_down(len);
        from = page;
        if page != written && page < segment.tail.range().start {
            // The beginning of the page is in the file only.
            first_page = Some(page);
            from += PAGE as u64;
        }
    }
    let mut pieces = Vec::new();
    if from < to {
        let image = segment.tail.image(from..to);
        let mut position = from;
        for view in image.views(from..to) {
            // Chunks are no larger than a piece.
            debug_assert!(view.len() <= PIECE_BYTES, "a chunk of {}", view.len());
            let end = position + view.len() as u64;
            pieces.push(Piece { position, bytes: view });
            position = end;
        }
        assert!(position == to, "what is not written is in memory");
    }
    Pass { len, next, pieces, first_page }
}

/// How long the file should be made, if it should: twice what is needed, at most
/// [`ALLOCATE_BYTES_MAX`] ahead, at most a whole segment.
fn allocation<F>(segment: &Segment<F>, segment_bytes: u64) -> Option<u64> {
    let needed = page_up_u64(segment.len);
    let log_file = &segment.log_file;
    let filled_a_chunk = crate::limits::CHUNK_BYTES_MIN as u64 <= segment.len;
    let is_written = segment.written == segment.len;
    if log_file.no_allocation || is_written || !filled_a_chunk || needed <= log_file.len {
        return None;
    }
    let ahead = needed.min(ALLOCATE_BYTES_MAX);
    let wanted = page_up_u64(needed + ahead).min(page_up_u64(segment_bytes));
    (log_file.len.max(needed) < wanted).then_some(wanted)
}

fn page_up_u64(position: u64) -> u64 {
    page_down(position + PAGE as u64 - 1)
}
