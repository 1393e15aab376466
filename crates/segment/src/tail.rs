//! The end of a segment in memory: the chunks that batches were appended to.

use std::collections::VecDeque;
use std::ops::Range;

use buf::{Chunk, OverBudget, PAGE, Pool, page_down, page_up};
use record::Offset;

use crate::image::Image;
use crate::limits::{CHUNK_BYTES_MAX, CHUNK_BYTES_MIN, CHUNK_FAST_MS, CHUNK_SLOW_MS, MARK_BYTES};

/// How large the next chunk of a log is: it follows how fast the last one was filled.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Growth {
    bytes: usize,
}

impl Default for Growth {
    fn default() -> Growth {
        Growth { bytes: CHUNK_BYTES_MIN }
    }
}

impl Growth {
    /// A chunk of this size was filled within `took_ms`.
    fn filled(&mut self, took_ms: i64) {
        self.bytes = match took_ms {
            ..=CHUNK_FAST_MS => (self.bytes * 4).min(CHUNK_BYTES_MAX),
            CHUNK_SLOW_MS.. => (self.bytes / 4).max(CHUNK_BYTES_MIN),
            _ => self.bytes,
        };
    }
}

/// A batch in a chunk whose place is remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    /// Its base offset.
    pub(crate) base: Offset,
    /// Where it begins in the segment.
    pub(crate) position: u64,
}

/// A chunk with the part of it that is the segment's.
#[derive(Debug)]
struct Piece {
    /// Where the chunk's first byte lies in the segment: a multiple of a page.
    position: u64,
    /// The bytes of `[from, to)`, by position in the segment, are here. What lies before `from`
    /// in the chunk has no meaning; what lies behind `to` was truncated.
    from: u64,
    to: u64,
    chunk: Chunk,
    began_ms: i64,
    marks: Vec<Mark>,
}

impl Piece {
    fn place(&self, position: u64) -> usize {
        usize::try_from(position - self.position).expect("within a chunk")
    }

    /// Whether bytes for position `at` can be appended.
    fn takes(&self, at: u64) -> bool {
        self.to == at && self.place(at) == self.chunk.len() && 0 < self.chunk.free()
    }
}

/// The chunks of one segment, in order and without gaps. Everything in them is frozen.
#[derive(Debug, Default)]
pub(crate) struct Tail {
    pieces: VecDeque<Piece>,
}

impl Tail {
    /// The positions whose bytes are here.
    pub(crate) fn range(&self) -> Range<u64> {
        match (self.pieces.front(), self.pieces.back()) {
            (Some(first), Some(last)) => first.from..last.to,
            _ => 0..0,
        }
    }

    /// Bytes of the chunks.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.pieces.iter().map(|piece| piece.chunk.capacity()).sum()
    }

    /// Copies a batch, given as `head` and `rest`, to position `at`, the end of the segment.
    /// `base` is its base offset. On an error nothing changed.
    pub(crate) fn append(
        &mut self,
        at: Mark,
        head: &[u8],
        rest: &[u8],
        source: &mut Source<'_>,
    ) -> Result<(), OverBudget> {
        let len = head.len() + rest.len();
        let room = self.pieces.back().filter(|piece| piece.takes(at.position));
        let room = room.map_or(0, |piece| piece.chunk.free());
        let mut fresh = VecDeque::new();
        if room < len {
            fresh = self.allocate(at.position + room as u64, len - room, source)?;
        }
        if room == 0 {
            self.begin(&mut fresh, at.position);
        }
        self.mark(at);
        for mut bytes in [head, rest] {
            while !bytes.is_empty() {
                let full = self.pieces.back().is_none_or(|piece| piece.chunk.free() == 0);
                if full {
                    self.pieces.extend(fresh.pop_front());
                }
                let piece = self.pieces.back_mut().expect("enough was allocated");
                let (now, later) = bytes.split_at(bytes.len().min(piece.chunk.free()));
                piece.chunk.append(now).expect("cut to what is free");
                piece.chunk.freeze();
                piece.to += now.len() as u64;
                bytes = later;
            }
        }
        Ok(())
    }

    /// Empty pieces for `len` bytes from position `at`.
    fn allocate(
        &self,
        at: u64,
        len: usize,
        source: &mut Source<'_>,
    ) -> Result<VecDeque<Piece>, OverBudget> {
        let mut growth = *source.growth;
        let fills = |piece: &&Piece| piece.chunk.free() == 0 || piece.to < at;
        if let Some(last) = self.pieces.back().filter(fills) {
            growth.filled(source.now_ms.saturating_sub(last.began_ms));
        }
        let mut position = page_down(at);
        let end = at + len as u64;
        let mut fresh = VecDeque::new();
        while position < end {
            let left = usize::try_from(end - position).unwrap_or(usize::MAX);
            let capacity = page_up(left.min(CHUNK_BYTES_MAX)).max(growth.bytes);
            // A smaller chunk than planned will do when memory is short.
            let least = page_up(left.min(CHUNK_BYTES_MIN));
            let chunk = source.pool.chunk(capacity).or_else(|_| source.pool.chunk(least))?;
            let capacity = chunk.capacity();
            let from = position.max(at);
            let began_ms = source.now_ms;
            fresh.push_back(Piece { position, from, to: from, chunk, began_ms, marks: Vec::new() });
            position += capacity as u64;
        }
        *source.growth = growth;
        Ok(fresh)
    }

    /// Takes the first of `fresh` as the piece for position `at`. If that is inside a page, the
    /// beginning of the page is copied from the last piece, as far as it is there.
    fn begin(&mut self, fresh: &mut VecDeque<Piece>, at: u64) {
        let mut piece = fresh.pop_front().expect("there was no room, so there is a fresh piece");
        let page = piece.position;
        if self.pieces.back().is_some_and(|last| last.to != at) {
            // Whatever is still here ends before: the image must not have a gap.
            self.pieces.clear();
        }
        if let Some(last) = self.pieces.back_mut().filter(|_| page < at) {
            piece.from = last.from.max(page);
            pad(&mut piece.chunk, piece.from - page);
            let known = last.chunk.lend(last.place(piece.from)..last.place(at));
            piece.chunk.append(&known).expect("less than a page");
            let moved = last.marks.partition_point(|mark| mark.position < piece.from);
            piece.marks = last.marks.split_off(moved);
            last.to = piece.from;
            if last.to == last.from {
                self.pieces.pop_back();
            }
        } else {
            pad(&mut piece.chunk, at - page);
        }
        piece.to = at;
        piece.chunk.freeze();
        self.pieces.push_back(piece);
    }

    fn mark(&mut self, at: Mark) {
        let Some(piece) = self.pieces.back_mut() else { return };
        if piece.to == at.position
            && piece.marks.last().is_none_or(|last| last.position + MARK_BYTES <= at.position)
        {
            piece.marks.push(at);
        }
    }

    /// The last remembered batch that begins at or below `target`.
    pub(crate) fn find(&self, target: Offset) -> Option<Mark> {
        self.last_mark(|mark| mark.base <= target)
    }

    /// The last remembered batch at or below both an offset and a position.
    pub(crate) fn find_within(&self, target: Offset, position: u64) -> Option<Mark> {
        self.last_mark(|mark| mark.base <= target && mark.position <= position)
    }

    fn last_mark(&self, fits: impl Fn(&Mark) -> bool) -> Option<Mark> {
        self.pieces.iter().rev().find_map(|piece| {
            let after = piece.marks.partition_point(&fits);
            after.checked_sub(1).map(|at| piece.marks[at])
        })
    }

    /// The bytes of `range` as far as they are here, from its start on.
    pub(crate) fn image(&self, range: Range<u64>) -> Image {
        let mut image = Image::default();
        let first = self.pieces.partition_point(|piece| piece.to <= range.start);
        for piece in self.pieces.range(first..) {
            let (from, to) = (piece.from.max(range.start), piece.to.min(range.end));
            if to <= from {
                break;
            }
            image.push(from, piece.chunk.lend(piece.place(from)..piece.place(to)));
        }
        image
    }

    /// Releases chunks from the front that lie below `clean`, until `want_bytes` are released;
    /// says how many were.
    pub(crate) fn evict(&mut self, clean: u64, want_bytes: usize) -> usize {
        let mut released = 0;
        while released < want_bytes
            && let Some(piece) = self.pieces.front().filter(|piece| piece.to <= clean)
        {
            released += piece.chunk.capacity();
            self.pieces.pop_front();
        }
        released
    }

    /// Forgets everything from position `to` on.
    pub(crate) fn truncate(&mut self, to: u64) {
        while self.pieces.back().is_some_and(|piece| to <= piece.from) {
            self.pieces.pop_back();
        }
        if let Some(piece) = self.pieces.back_mut() {
            piece.to = piece.to.min(to);
            piece.marks.retain(|mark| mark.position < to);
        }
    }
}

/// What chunks are made of.
pub(crate) struct Source<'a> {
    pub(crate) pool: &'a Pool,
    pub(crate) growth: &'a mut Growth,
    pub(crate) now_ms: i64,
}

/// Appends up to a page of zeros, which are no bytes of the segment.
fn pad(chunk: &mut Chunk, len: u64) {
    let len = usize::try_from(len).expect("less than a page");
    chunk.append(&[0; PAGE][..len]).expect("a chunk is at least a page");
}

#[cfg(test)]
mod tests;
