//! Reads the frames of one journal file, up to where they end, in a window of bounded size.

use buf::{Buffer, PAGE, page_up};
use env::{Env, File, Group};

use crate::error::ReplayError;
use crate::layout::{FRAME_HEADER_LEN, FileId, FilePage, FrameHeader};
use crate::limits::{FRAME_BYTES_MAX, SCAN_FIRST_BYTES};

/// A part of a file in memory.
pub(crate) struct Window<F> {
    file: F,
    group: Group,
    buffer: Option<Buffer>,
    start: u64,
    filled: usize,
    /// How much the next read takes, unless more is wanted.
    read_ahead: usize,
}

/// A frame that is where it belongs, intact.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FoundFrame {
    pub(crate) header: FrameHeader,
    pub(crate) position: u64,
}

impl FoundFrame {
    /// Where the payload begins in the file.
    pub(crate) fn payload_position(&self) -> u64 {
        self.position + FRAME_HEADER_LEN as u64
    }

    /// Where the next frame begins.
    pub(crate) fn end(&self) -> u64 {
        self.position + page_up(self.header.frame_len()) as u64
    }
}

impl<F: File> Window<F> {
    pub(crate) fn new<E: Env>(env: &E, file: F, group: Group) -> Result<Window<F>, ReplayError> {
        let buffer = Some(env.pool().buffer(FRAME_BYTES_MAX)?);
        Ok(Window { file, group, buffer, start: 0, filled: 0, read_ahead: SCAN_FIRST_BYTES })
    }

    /// Goes on with another file in the same memory.
    pub(crate) fn turn_to(&mut self, file: F) {
        self.file = file;
        self.start = 0;
        self.filled = 0;
        self.read_ahead = SCAN_FIRST_BYTES;
    }

    /// The bytes `[position, position + len)`, or fewer at the end of the file. `position` is the
    /// start of a page and `len` at most [`FRAME_BYTES_MAX`].
    async fn at(&mut self, position: u64, len: usize) -> Result<&[u8], ReplayError> {
        let inside = (position.checked_sub(self.start))
            .and_then(|at| usize::try_from(at).ok())
            .filter(|at| at + len <= self.filled);
        let at = match inside {
            Some(at) => at,
            None => {
                self.load(position, len).await?;
                0
            }
        };
        let buffer = self.buffer.as_ref().expect("lent to reads only");
        Ok(&buffer.as_slice()[at..self.filled.min(at + len)])
    }

    async fn load(&mut self, position: u64, len: usize) -> Result<(), ReplayError> {
        let want = page_up(len).max(self.read_ahead).min(FRAME_BYTES_MAX);
        self.read_ahead = FRAME_BYTES_MAX;
        let buffer = self.buffer.take().expect("lent to reads only");
        let (read, buffer) = self.file.read_at(buffer, want, position, self.group).await;
        self.buffer = Some(buffer);
        self.filled = 0;
        self.start = position;
        self.filled = read?;
        Ok(())
    }

    /// What the header page says.
    pub(crate) async fn file_page(&mut self) -> Result<FilePage, ReplayError> {
        Ok(FileId::read_page(self.at(0, PAGE).await?))
    }

    /// Whether something that looks like a frame of any file lies at the first place for one.
    pub(crate) async fn has_frame_magic(&mut self) -> Result<bool, ReplayError> {
        Ok(FrameHeader::read(self.at(PAGE as u64, PAGE).await?).is_some())
    }

    /// What the frame at `position` says of itself, if it claims to be of `id`. Its checksum is
    /// not looked at.
    pub(crate) async fn claim(
        &mut self,
        id: FileId,
        position: u64,
    ) -> Result<Option<FrameHeader>, ReplayError> {
        let header = FrameHeader::read(self.at(position, FRAME_HEADER_LEN).await?);
        Ok(header.filter(|header| header.id == id && header.frame_len() <= FRAME_BYTES_MAX))
    }

    /// The frame of `id` at `position`, if it is intact.
    pub(crate) async fn frame(
        &mut self,
        id: FileId,
        position: u64,
    ) -> Result<Option<FoundFrame>, ReplayError> {
        let Some(header) = self.claim(id, position).await? else { return Ok(None) };
        let frame = self.at(position, header.frame_len()).await?;
        Ok(header.crc_is_right(frame).then_some(FoundFrame { header, position }))
    }

    /// The payload of `frame`, which this window just gave.
    pub(crate) fn payload(&self, frame: &FoundFrame) -> &[u8] {
        let at = usize::try_from(frame.position - self.start).expect("inside the window");
        let buffer = self.buffer.as_ref().expect("lent to reads only");
        &buffer.as_slice()[at + FRAME_HEADER_LEN..at + frame.header.frame_len()]
    }

    /// The next intact frame of `id` above `position` whose ordinal is above `ordinal`, as far
    /// as the longest frame reaches: what was at `position` may be damaged, and so may its
    /// length be.
    pub(crate) async fn next_frame(
        &mut self,
        id: FileId,
        position: u64,
        ordinal: u32,
    ) -> Result<Option<FoundFrame>, ReplayError> {
        for page in 1..=(FRAME_BYTES_MAX / PAGE) as u64 {
            let position = position + page * PAGE as u64;
            let claim = self.claim(id, position).await?;
            if claim.is_some_and(|header| ordinal < header.ordinal)
                && let Some(frame) = self.frame(id, position).await?
            {
                return Ok(Some(frame));
            }
        }
        Ok(None)
    }
}
