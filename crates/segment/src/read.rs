//! Reads: whole batches by offset, from memory or from the files.

use std::ops::Bound;

use buf::Sealed;
use env::{Env, Group};
use record::Offset;

use crate::cursors::Cursor;
use crate::image::Image;
use crate::layout::{self, Kind};
use crate::limits::{HEADERS_PER_TURN, MARK_BYTES, PIECE_BYTES};
use crate::log::{FileOf, Log, State};
use crate::reader::FileReader;
use crate::segment::Segment;
use crate::tail::Mark;
use crate::walk::{Bounds, Miss, Step, Walk, Want, header_at};
use crate::{Corrupt, Flaw, Read, ReadError};

/// What the file of one segment gave.
struct Part {
    read: Read,
    /// There is no more in this segment; the next batch is at or behind this offset.
    go_on_at: Option<Offset>,
}

impl Target {
    /// Whether the damage at this position is known.
    fn knows(&self, position: u64) -> bool {
        self.bad.contains(&position)
            || self.broken.as_ref().is_some_and(|broken| broken.position == position)
    }
}

/// What a walk over a file ended with.
enum Walked {
    Part(Part),
    /// No batch could be taken: what is wrong, the position, and the offset expected there.
    Bad(Flaw, u64, Offset),
}

/// Where a read of a file begins.
struct Place<E: Env> {
    target: Target,
    walk: Walk,
    file: FileOf<E>,
    /// Somebody left off there.
    goes_on: bool,
}

/// What a read of a segment's file needs to know of it.
struct Target {
    base: Offset,
    limit: u64,
    next: Offset,
    bad: Vec<u64>,
    broken: Option<Corrupt>,
    /// When this was known.
    removals: u64,
}

impl<E: Env> Log<E> {
    /// Reads from memory: whole batches from the one that holds `from`, or the next one behind it,
    /// that end at or below `until`, at most `max_bytes` of them; with `at_least_one` the first
    /// even if it is larger. `None` if that batch is not in memory.
    #[must_use]
    pub fn read_hot(
        &self,
        from: Offset,
        until: Offset,
        max_bytes: usize,
        at_least_one: bool,
    ) -> Option<Read> {
        let want = Want { from, until, max_bytes, at_least_one };
        let state = self.inner.state.borrow();
        if state.end() <= from || until <= from {
            return Some(Read::default());
        }
        let mut segments = state.segments.range(state.holder(from)?..).map(|(_, s)| s);
        let HotPart { mut read, mut segment_over } = hot_part(segments.next()?, want)?;
        while segment_over {
            let part = segments.next().and_then(|s| hot_part(s, rest_of(want, &read)));
            let Some(part) = part else { break };
            merge(&mut read, part.read);
            segment_over = part.segment_over;
        }
        Some(read)
    }

    /// The bytes from `from`, where a batch begins, to the end of the log, whole batches in order.
    /// Nothing if that batch is not in memory any more; what is not written always is.
    #[must_use]
    pub fn unwritten(&self, from: Offset) -> Vec<Sealed> {
        let state = self.inner.state.borrow();
        let Some(holder) = state.holder(from).filter(|_| from < state.end()) else {
            return Vec::new();
        };
        let mut parts = Vec::new();
        for segment in state.segments.range(holder..).map(|(_, segment)| segment) {
            let position = if segment.base < from { start_in(segment, from) } else { Some(0) };
            let range = segment.tail.range();
            match position {
                Some(position) if range.start <= position && segment.len == range.end => {
                    parts.extend(segment.tail.image(position..segment.len).views(0..u64::MAX));
                }
                _ if segment.len == 0 => {}
                _ => return Vec::new(),
            }
        }
        parts
    }

    /// Reads whole batches, from the one that holds `from`, or the next one behind it, that end at
    /// or below `until`, at most `max_bytes` of them; with `at_least_one` the first even if it is
    /// larger. From memory where they are, else from the files, in aligned pieces whose memory is
    /// reserved first. At `from` at or behind the end there is nothing to read, which is no error.
    /// What was read before a failure is returned as if the budget ended there.
    pub async fn read(
        &self,
        from: Offset,
        until: Offset,
        max_bytes: usize,
        at_least_one: bool,
        group: Group,
    ) -> Result<Read, ReadError> {
        let mut want = Want { from, until, max_bytes, at_least_one };
        let mut read = Read::default();
        loop {
            let rest = rest_of(want, &read);
            if rest.until <= rest.from || (rest.max_bytes == 0 && !rest.at_least_one) {
                return Ok(read);
            }
            let Want { from, until, max_bytes, at_least_one } = rest;
            if let Some(hot) = self.read_hot(from, until, max_bytes, at_least_one) {
                merge(&mut read, hot);
                return Ok(read);
            }
            let removals = self.removals();
            match self.cold_part(rest, group).await {
                Ok(part) => {
                    merge(&mut read, part.read);
                    match part.go_on_at {
                        Some(next) if rest.from < next => want.from = next,
                        _ => return Ok(read),
                    }
                }
                // What it read may have been truncated under it: it proves nothing.
                Err(ReadError::Corrupt(_) | ReadError::Io(_)) if removals != self.removals() => {}
                Err(_) if read.next.is_some() => return Ok(read),
                Err(error) => return Err(error),
            }
            self.inner.env.yield_if_needed().await;
        }
    }

    fn removals(&self) -> u64 {
        self.inner.state.borrow().removals
    }

    /// Reads from the file of the segment that holds the offset.
    async fn cold_part(&self, want: Want, group: Group) -> Result<Part, ReadError> {
        let Place { target, walk, file, goes_on } = self.cold_place(want, group).await?;
        let Target { base, limit, removals, .. } = target;
        let mut reader = FileReader::new(&self.inner.env, file, limit, group);
        // Room for the headers before the batch that is wanted.
        let wanted = want.max_bytes.saturating_add(2 * buf::PAGE);
        reader.piece_bytes = wanted.min(PIECE_BYTES);
        if group == Group::ColdRead && goes_on {
            let image = self.image_ahead(base, walk.position()).await;
            // It may be that of a newer version of the segment.
            reader.image = if removals == self.removals() { image } else { Image::default() };
        }
        let from_start = walk.position() == 0;
        match self.walk_file(&mut reader, &target, walk).await? {
            Walked::Part(part) => {
                if group == Group::ColdRead && goes_on {
                    self.go_on_ahead(&part, limit);
                }
                return Ok(part);
            }
            Walked::Bad(what, at, offset) if from_start || target.knows(at) => {
                return Err(self.corrupt(base, at, offset, what));
            }
            // The place came from an index: only a walk from the beginning proves damage.
            Walked::Bad(..) if removals == self.removals() => self.distrust_index(base),
            Walked::Bad(..) => {}
        }
        let walk = Walk::new(want, 0, base);
        match self.walk_file(&mut reader, &target, walk).await? {
            Walked::Part(part) => Ok(part),
            Walked::Bad(what, at, offset) => Err(self.corrupt(base, at, offset, what)),
        }
    }

    /// A reader went on where it had left off, so it will do that again: reads ahead for it.
    fn go_on_ahead(&self, part: &Part, limit: u64) {
        let Some(next) = part.read.next.filter(|_| part.go_on_at.is_none()) else { return };
        let cursor = self.inner.state.borrow().cursors.last();
        if let Some(cursor) = cursor.filter(|cursor| cursor.next == next) {
            self.read_ahead(cursor, part.read.bytes, limit);
        }
    }

    /// Where to read, with a file that is the one of which that is known.
    async fn cold_place(&self, want: Want, group: Group) -> Result<Place<E>, ReadError> {
        loop {
            let target = self.inner.state.borrow().target(want.from)?;
            let base = target.base;
            let cursor = self.inner.state.borrow().cursors.find(want.from, base);
            let walk = match cursor {
                Some(position) => Walk::new(want, position, base),
                None => match self.position_before(base, want.from, group).await? {
                    0 => Walk::new(want, 0, base),
                    position => Walk::new(want, position, base).indexed(),
                },
            };
            let file = self.log_file(base).await?;
            // Otherwise position and file may be those of two versions of the segment.
            if target.removals == self.removals() {
                return Ok(Place { target, walk, file, goes_on: cursor.is_some() });
            }
        }
    }

    fn corrupt(&self, base: Offset, position: u64, offset: Offset, what: Flaw) -> ReadError {
        let path = layout::path(&self.inner.dir, base, Kind::Log);
        Corrupt { path, position, offset, what }.into()
    }

    async fn walk_file(
        &self,
        reader: &mut FileReader<E>,
        target: &Target,
        mut walk: Walk,
    ) -> Result<Walked, ReadError> {
        let bounds = Bounds { limit: target.limit, next: target.next, bad: &target.bad };
        let step = loop {
            match walk.advance(&reader.image, bounds, HEADERS_PER_TURN) {
                Step::More => self.inner.env.yield_if_needed().await,
                Step::Need { from, to } => {
                    reader.wanted_to = walk.budget_end().unwrap_or(u64::MAX);
                    match reader.need(from, to).await {
                        Ok(true) => {}
                        Ok(false) => break Step::Bad(Flaw::Short),
                        Err(ReadError::OverBudget(_)) if walk.taken().is_some() => {
                            break Step::Done { segment_over: false };
                        }
                        Err(error) => return Err(error),
                    }
                }
                step => break step,
            }
        };
        let over = step == Step::Done { segment_over: true };
        let Some(taken) = walk.taken() else {
            return Ok(match (step, &target.broken) {
                (Step::Bad(flaw), _) => Walked::Bad(flaw, walk.position(), walk.next()),
                (_, Some(broken)) if over => {
                    Walked::Bad(broken.what, broken.position, broken.offset)
                }
                // The offset lies in a gap at the end of the segment.
                _ => Walked::Part(Part {
                    read: Read::default(),
                    go_on_at: over.then_some(target.next),
                }),
            });
        };
        let read = Read {
            bytes: usize::try_from(taken.end - taken.start).expect("it is in memory"),
            parts: reader.image.views(taken),
            next: Some(walk.next()),
        };
        if target.removals == self.removals() {
            self.inner.state.borrow_mut().cursors.put(Cursor {
                next: walk.next(),
                base: target.base,
                position: walk.position(),
            });
        }
        let go_on_at = (over && target.broken.is_none()).then_some(target.next);
        Ok(Walked::Part(Part { read, go_on_at }))
    }
}

/// What one segment gave from memory.
struct HotPart {
    read: Read,
    segment_over: bool,
}

/// Reads from the chunks of one segment; `None` if the batch is not there.
fn hot_part<F>(segment: &Segment<F>, want: Want) -> Option<HotPart> {
    let Segment { len, next, ref tail, .. } = *segment;
    if len == 0 {
        return Some(HotPart { read: Read::default(), segment_over: true });
    }
    let in_memory = tail.range();
    let Mark { base, position } = segment.start_in_memory(want.from)?;
    // What is appended was not damaged when it was.
    let bounds = Bounds { limit: len, next, bad: &[] };
    let reach = (2 * MARK_BYTES).saturating_add(want.max_bytes as u64);
    let mut image = tail.image(position..position.saturating_add(reach));
    let mut walk = Walk::new(want, position, base);
    let mut jumped = false;
    let segment_over = loop {
        match walk.advance(&image, bounds, 1) {
            Step::More => {}
            Step::Need { from, to } if from >= in_memory.start && to <= in_memory.end => {
                image = tail.image(from..to.saturating_add(reach));
            }
            // What is missing is not in memory; what was taken before is an answer.
            Step::Need { .. } | Step::Bad(_) if walk.taken().is_none() => return None,
            Step::Need { .. } | Step::Bad(_) => break false,
            Step::Done { segment_over } => break segment_over,
        }
        if let Some(end) = walk.budget_end().filter(|_| !jumped) {
            // Whole batches up to the last remembered one within the budget need no look.
            jumped = true;
            if let Some(mark) = tail.find_within(want.until, end) {
                walk.jump(mark.position, mark.base);
            }
        }
    };
    let read = walk.taken().map(|taken| Read {
        bytes: usize::try_from(taken.end - taken.start).expect("it is in memory"),
        parts: tail.image(taken.clone()).views(taken),
        next: Some(walk.next()),
    });
    Some(HotPart { read: read.unwrap_or_default(), segment_over })
}

/// Where the batch that begins at `offset`, or the next one behind it, lies in the chunks.
fn start_in<F>(segment: &Segment<F>, offset: Offset) -> Option<u64> {
    let Segment { len, next, ref tail, .. } = *segment;
    let Mark { mut base, mut position } = segment.start_in_memory(offset)?;
    let bounds = Bounds { limit: len, next, bad: &[] };
    let mut image = tail.image(position..position + 2 * MARK_BYTES);
    while position < len {
        let header = match header_at(&image, position, base, bounds) {
            Err(Miss::Need { from, to }) if to <= tail.range().end => {
                image = tail.image(from..to + MARK_BYTES);
                header_at(&image, position, base, bounds).ok()?
            }
            header => header.ok()?,
        };
        if offset <= header.base_offset {
            return Some(position);
        }
        position += header.len as u64;
        base = header.next_offset();
    }
    None
}

/// What is left of `want` after `read`.
fn rest_of(want: Want, read: &Read) -> Want {
    Want {
        from: read.next.map_or(want.from, |next| next.max(want.from)),
        until: want.until,
        max_bytes: want.max_bytes.saturating_sub(read.bytes),
        at_least_one: want.at_least_one && read.bytes == 0,
    }
}

fn merge(read: &mut Read, more: Read) {
    read.parts.extend(more.parts);
    read.bytes += more.bytes;
    read.next = more.next.or(read.next);
}

impl<F> State<F> {
    /// The segment that holds `offset`, or the next batch behind it; `None` if the offset lies
    /// before the first segment.
    pub(crate) fn holder(&self, offset: Offset) -> Option<Offset> {
        let floor = self.floor(offset)?;
        let segment = &self.segments[&floor];
        if offset < segment.next || segment.broken.is_some() {
            return Some(floor);
        }
        let behind = (Bound::Excluded(floor), Bound::Unbounded);
        self.segments.range(behind).next().map(|(base, _)| *base).or(Some(floor))
    }

    fn target(&self, from: Offset) -> Result<Target, ReadError> {
        let first = self.first_base();
        let base = self.holder(from).ok_or(ReadError::OutOfRange { from, first })?;
        let segment = &self.segments[&base];
        Ok(Target {
            base,
            limit: segment.written,
            next: segment.written_next,
            bad: segment.bad.clone(),
            broken: segment.broken.clone(),
            removals: self.removals,
        })
    }
}
