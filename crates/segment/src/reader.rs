//! Aligned reads of a segment file, in bounded pieces.

use buf::{PAGE, page_down};
use env::{Env, File, Group, IoFailure};

use crate::ReadError;
use crate::image::Image;
use crate::limits::PIECE_BYTES;
use crate::log::FileOf;

/// Reads forward through one segment file.
pub(crate) struct FileReader<E: Env> {
    pub(crate) env: E,
    pub(crate) file: FileOf<E>,
    /// Nothing behind this position is read.
    pub(crate) limit: u64,
    /// Nothing behind this position is read unless it is needed.
    pub(crate) wanted_to: u64,
    /// Bytes of one read, unless more are needed at once.
    pub(crate) piece_bytes: usize,
    pub(crate) group: Group,
    /// What was read and is still wanted.
    pub(crate) image: Image,
}

impl<E: Env> FileReader<E> {
    pub(crate) fn new(env: &E, file: FileOf<E>, limit: u64, group: Group) -> FileReader<E> {
        let (env, image) = (env.clone(), Image::default());
        let (wanted_to, piece_bytes) = (u64::MAX, PIECE_BYTES);
        FileReader { env, file, limit, wanted_to, piece_bytes, group, image }
    }

    /// Makes the image hold `[from, to)`, where `to` is at most the limit, and lets go of what
    /// lies before. `false` if the file ends before `to`. Memory is reserved before it is read
    /// into.
    pub(crate) async fn need(&mut self, from: u64, to: u64) -> Result<bool, ReadError> {
        if self.image.reaches(from) {
            self.image.forget_before(from);
        } else {
            self.image.clear();
        }
        while !self.image.reaches(to) {
            let at = self.image.end().unwrap_or_else(|| page_down(from));
            if !self.piece(at, to).await? {
                return Ok(false);
            }
            self.env.yield_if_needed().await;
        }
        Ok(true)
    }

    /// Reads one piece from `at`, a page's beginning, for somebody who needs the bytes below `to`.
    async fn piece(&mut self, at: u64, to: u64) -> Result<bool, ReadError> {
        let page = PAGE as u64;
        let pages = |bytes: u64| {
            let bytes = bytes.div_ceil(page) * page;
            usize::try_from(bytes).unwrap_or(PIECE_BYTES).min(PIECE_BYTES)
        };
        let left = self.limit.saturating_sub(at);
        let least = pages(to.saturating_sub(at));
        let ahead = self.wanted_to.min(self.limit).saturating_sub(at);
        let wanted = pages((self.piece_bytes as u64).min(ahead)).max(least);
        let pool = self.env.pool();
        // A smaller piece than planned will do when memory is short.
        let buffer = pool.buffer(wanted).or_else(|_| pool.buffer(least))?;
        let len = buffer.capacity().min(wanted);
        let (read, buffer) = self.file.read_at(buffer, len, at, self.group).await;
        let useful = read.map_err(ReadError::Io)?.min(usize::try_from(left).unwrap_or(len));
        if useful == 0 {
            return Ok(false);
        }
        let whole = useful.is_multiple_of(PAGE);
        self.image.push(at, buffer.seal(useful));
        // The next piece must begin at a page: after a partial one the file, or what is wanted of
        // it, is over.
        Ok(whole || self.image.reaches(to))
    }
}

/// A read that failed although the file should hold the bytes.
pub(crate) fn is_missing(failure: &IoFailure) -> bool {
    failure.kind == std::io::ErrorKind::NotFound
}
