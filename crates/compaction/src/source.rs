//! The batches of a segment file, one whole batch after the other.

use std::path::PathBuf;

use buf::{Buffer, PAGE};
use env::{Disk, Env, File, Group, OpenMode};
use record::layout::HEADER_LEN;
use record::{Header, HeaderError, Offset};
use segment::{Corrupt, Flaw, SegmentFile, SegmentView, segment_path};

use crate::PassError;

/// Bytes of one read. A longer batch is read at once.
const READ_BYTES: usize = 256 << 10;

/// Reads one segment forward.
pub(crate) struct Source<E: Env> {
    env: E,
    file: <E::Disk as Disk>::File,
    path: PathBuf,
    view: SegmentView,
    buffer: Option<Buffer>,
    /// Position of the buffer's first byte, a multiple of a page, and how many bytes are there.
    start: u64,
    filled: usize,
    /// Where the next batch begins, and its least base offset.
    position: u64,
    next: Offset,
    last: Option<(u64, usize)>,
    /// Bytes that were read from the file.
    pub(crate) read_bytes: u64,
}

impl<E: Env> Source<E> {
    /// Opens the sealed segment `view` of the log in `dir`, at the batch at `position`.
    pub(crate) async fn open(
        env: &E,
        dir: &std::path::Path,
        view: SegmentView,
        position: u64,
    ) -> Result<Source<E>, PassError> {
        let path = segment_path(dir, view.base, SegmentFile::Log);
        let file = env.disk().open(&path, OpenMode::existing().direct()).await?;
        Ok(Source::at(env, file, path, view, position))
    }

    /// Opens a part of `len` bytes at its begin.
    pub(crate) async fn open_part(
        env: &E,
        path: PathBuf,
        base: Offset,
        len_bytes: u64,
    ) -> Result<Source<E>, PassError> {
        let file = env.disk().open(&path, OpenMode::existing().direct()).await?;
        let view = SegmentView {
            base,
            next: Offset::MAX,
            len_bytes,
            largest_timestamp_ms: None,
            since_ms: 0,
            active: false,
            durable: true,
        };
        Ok(Source::at(env, file, path, view, 0))
    }

    fn at(
        env: &E,
        file: <E::Disk as Disk>::File,
        path: PathBuf,
        view: SegmentView,
        position: u64,
    ) -> Source<E> {
        Source {
            env: env.clone(),
            file,
            path,
            view,
            buffer: None,
            start: 0,
            filled: 0,
            position,
            next: view.base,
            last: None,
            read_bytes: 0,
        }
    }

    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    pub(crate) fn corrupt(&self, position: u64, offset: Offset, what: Flaw) -> PassError {
        Corrupt { path: self.path.clone(), position, offset, what }.into()
    }

    /// The next batch with its position; `None` at the end of the segment. Then
    /// [`batch`](Source::batch) has its bytes.
    pub(crate) async fn next(&mut self) -> Result<Option<(u64, Header)>, PassError> {
        let (position, len) = (self.position, self.view.len_bytes);
        if len <= position {
            self.buffer = None;
            return Ok(None);
        }
        self.need(position, len.min(position + HEADER_LEN as u64)).await?;
        let header = match Header::read(self.bytes(position, HEADER_LEN)) {
            Ok(header) => header,
            Err(HeaderError::Truncated { .. }) => {
                return Err(self.corrupt(position, self.next, Flaw::Short));
            }
            Err(_) => return Err(self.corrupt(position, self.next, Flaw::Header)),
        };
        let end = position + header.len as u64;
        if len < end {
            return Err(self.corrupt(position, self.next, Flaw::Short));
        }
        let in_order = self.next <= header.base_offset && 0 <= header.last_offset_delta;
        if !in_order || self.view.next < header.next_offset() {
            return Err(self.corrupt(position, self.next, Flaw::Order));
        }
        self.need(position, end).await?;
        self.last = Some((position, header.len));
        self.position = end;
        self.next = header.next_offset();
        Ok(Some((position, header)))
    }

    /// The bytes of the batch that [`next`](Source::next) gave.
    pub(crate) fn batch(&self) -> &[u8] {
        let (position, len) = self.last.expect("a batch was given");
        self.bytes(position, len)
    }

    fn bytes(&self, position: u64, len: usize) -> &[u8] {
        let from = usize::try_from(position - self.start).expect("it is in the buffer");
        let to = self.filled.min(from + len);
        &self.buffer.as_ref().expect("it was read").as_slice()[from..to]
    }

    /// Makes the buffer hold `[from, to)`, which is inside the segment.
    async fn need(&mut self, from: u64, to: u64) -> Result<(), PassError> {
        if self.buffer.is_some() && self.start <= from && to <= self.start + self.filled as u64 {
            return Ok(());
        }
        let page = from / PAGE as u64 * PAGE as u64;
        let wanted = usize::try_from(to - page).expect("a segment is below 2 GiB");
        let capacity = wanted.max(READ_BYTES).div_ceil(PAGE) * PAGE;
        let old_end = self.start + self.filled as u64;
        // What is already there of the pages is kept; the file is read from a page's begin.
        let known = page.max(self.start)..old_end / PAGE as u64 * PAGE as u64;
        let mut held = 0;
        let mut buffer = match self.buffer.take() {
            Some(mut buffer) if capacity <= buffer.capacity() => {
                if known.start == page && page < known.end {
                    let at = usize::try_from(page - self.start).expect("it is in the buffer");
                    held = usize::try_from(known.end - page).expect("it is in the buffer");
                    buffer.as_mut_slice().copy_within(at..at + held, 0);
                }
                buffer
            }
            // A smaller one is given back before a larger one is asked for.
            _ => self.env.pool().buffer(capacity)?,
        };
        let limit = usize::try_from(self.view.len_bytes - page).unwrap_or(usize::MAX);
        let most = buffer.capacity().min(limit.div_ceil(PAGE) * PAGE);
        while held < most && held < wanted.max(READ_BYTES) {
            // Into a buffer of its own: a read begins at the front.
            let len = (most - held).min(READ_BYTES);
            if held == 0 {
                let (read, back) = self.file.read_at(buffer, len, page, Group::Compaction).await;
                buffer = back;
                held = read?;
            } else {
                let piece = self.env.pool().buffer(len)?;
                let at = page + held as u64;
                let (read, piece) = self.file.read_at(piece, len, at, Group::Compaction).await;
                let read = read?;
                buffer.as_mut_slice()[held..held + read].copy_from_slice(&piece.as_slice()[..read]);
                held += read;
                if read == 0 {
                    break;
                }
            }
            self.read_bytes += len as u64;
            if held == 0 || !held.is_multiple_of(PAGE) {
                break;
            }
            self.env.yield_if_needed().await;
        }
        (self.start, self.filled) = (page, held.min(limit));
        self.buffer = Some(buffer);
        if self.filled < wanted {
            return Err(self.corrupt(from, self.next, Flaw::Short));
        }
        Ok(())
    }
}
