//! Which batches a read returns: walks headers, does no I/O.

use std::ops::Range;

use record::layout::HEADER_LEN;
use record::{Header, HeaderError, Offset};

use crate::Flaw;
use crate::image::Image;

/// What a read asks for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Want {
    /// The first batch is the one that holds this offset, or the next one behind it.
    pub(crate) from: Offset,
    /// Batches end at or below this offset, exclusive.
    pub(crate) until: Offset,
    /// Most bytes in all.
    pub(crate) max_bytes: usize,
    /// Take the first batch even if it is larger.
    pub(crate) at_least_one: bool,
}

/// What a segment allows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds<'a> {
    /// No batch lies beyond this position.
    pub(crate) limit: u64,
    /// No batch has an offset at or above this one.
    pub(crate) next: Offset,
    /// Positions of batches that are known to be damaged inside, in order.
    pub(crate) bad: &'a [u64],
}

/// A walk over the batches of one segment.
#[derive(Clone, Debug)]
pub(crate) struct Walk {
    want: Want,
    /// Where the next header lies.
    position: u64,
    /// The next batch begins at or above this offset.
    next: Offset,
    /// The first batch must not begin behind the offset wanted.
    strict: bool,
    /// The batches taken, by position.
    taken: Option<Range<u64>>,
}

/// Where a walk stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// It goes on; this was enough for one turn.
    More,
    /// The image must hold `[from, to)`.
    Need { from: u64, to: u64 },
    /// It is over: at the end of the segment, of the budget or of the offsets.
    Done { segment_over: bool },
    /// The bytes at the position of the walk are no batch that belongs there.
    Bad(Flaw),
}

/// Why there is no header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Miss {
    /// The image must hold `[from, to)`.
    Need { from: u64, to: u64 },
    /// The bytes are no batch that belongs there.
    Bad(Flaw),
}

impl Walk {
    /// Begins at a batch that lies at `position`, and whose base offset is at least `base`.
    pub(crate) fn new(want: Want, position: u64, base: Offset) -> Walk {
        Walk { want, position, next: base, strict: false, taken: None }
    }

    /// Begins where an index says: the batch there must not lie behind the one wanted.
    pub(crate) fn indexed(self) -> Walk {
        Walk { strict: true, ..self }
    }

    /// The batches taken so far, by position.
    pub(crate) fn taken(&self) -> Option<Range<u64>> {
        self.taken.clone()
    }

    /// Offset after the last batch that was seen.
    pub(crate) fn next(&self) -> Offset {
        self.next
    }

    /// Where the next header lies.
    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    /// Where the budget ends, if anything was taken.
    pub(crate) fn budget_end(&self) -> Option<u64> {
        let start = self.taken.as_ref()?.start;
        Some(start.saturating_add(self.want.max_bytes as u64))
    }

    /// Takes everything before `position`, where a batch begins whose base offset is `base`: the
    /// caller knows that it is whole, below what is wanted, and within the budget.
    pub(crate) fn jump(&mut self, position: u64, base: Offset) {
        if let Some(taken) = self.taken.as_mut().filter(|taken| taken.end < position) {
            taken.end = position;
            self.position = position;
            self.next = base;
        }
    }

    /// Looks at up to `headers` batches. With `headers` 1 it stops after each.
    pub(crate) fn advance(&mut self, image: &Image, bounds: Bounds<'_>, headers: usize) -> Step {
        for _ in 0..headers {
            match self.one(image, bounds) {
                Step::More => {}
                step => return step,
            }
        }
        Step::More
    }

    fn one(&mut self, image: &Image, bounds: Bounds<'_>) -> Step {
        if bounds.limit <= self.position {
            return Step::Done { segment_over: true };
        }
        let header = match header_at(image, self.position, self.next, bounds) {
            Ok(header) => header,
            Err(Miss::Need { from, to }) => {
                let from = self.taken.as_ref().map_or(from, |taken| taken.start);
                return Step::Need { from, to };
            }
            Err(Miss::Bad(flaw)) => return Step::Bad(flaw),
        };
        if self.strict && self.want.from < header.base_offset {
            return Step::Bad(Flaw::Order);
        }
        self.strict = false;
        let end = self.position + header.len as u64;
        let next = header.next_offset();
        if header.last_offset() < self.want.from {
            self.position = end;
            self.next = next;
            return Step::More;
        }
        let start = self.taken.as_ref().map_or(self.position, |taken| taken.start);
        let forced = self.taken.is_none() && self.want.at_least_one;
        let over = start.saturating_add(self.want.max_bytes as u64) < end && !forced;
        if self.want.until < next || over {
            return Step::Done { segment_over: false };
        }
        if bounds.bad.binary_search(&self.position).is_ok() {
            return match self.taken {
                None => Step::Bad(Flaw::Checksum),
                Some(_) => Step::Done { segment_over: false },
            };
        }
        if !(image.reaches(self.position) && image.reaches(end)) {
            return Step::Need { from: start, to: end };
        }
        self.taken = Some(start..end);
        self.position = end;
        self.next = next;
        Step::More
    }
}

/// The header of the batch at `position`, before the limit, whose base offset is at least `base`, if it can belong
/// there.
pub(crate) fn header_at(
    image: &Image,
    position: u64,
    base: Offset,
    bounds: Bounds<'_>,
) -> Result<Header, Miss> {
    let left = bounds.limit - position;
    let to = position + left.min(HEADER_LEN as u64);
    if !(image.reaches(position) && image.reaches(to)) {
        return Err(Miss::Need { from: position, to });
    }
    let header = match image.header(position) {
        Ok(header) => header,
        Err(_) if image.is_zero(position) => return Err(Miss::Bad(Flaw::Zeros)),
        Err(HeaderError::Truncated { .. }) => return Err(Miss::Bad(Flaw::Short)),
        Err(_) => return Err(Miss::Bad(Flaw::Header)),
    };
    if left < header.len as u64 {
        return Err(Miss::Bad(Flaw::Short));
    }
    let in_order = base <= header.base_offset && 0 <= header.last_offset_delta;
    if !in_order || bounds.next < header.next_offset() {
        return Err(Miss::Bad(Flaw::Order));
    }
    Ok(header)
}
