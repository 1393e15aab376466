//! Who may have memory for a frame that is not whole yet, and who must give it up.
//!
//! A frame that has begun takes memory for what has come of it and a piece more, never for what it
//! announces. All such frames of a shard share a part of its pool. When that or the pool runs short,
//! the frames that took longest to fill their last piece lose their connections, and one frame at a
//! time may pass the share, so that frames which wait for each other end. Counts only; the memory
//! itself is the pool's.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use env::{Gate, Nanos, Turn};

/// First piece of a frame when memory is short, in bytes, and the least ever.
const PIECE_BYTES_MIN: usize = 16 << 10;
/// Largest piece by which a frame grows, in bytes.
const PIECE_BYTES_MAX: usize = 1 << 20;
/// When memory is short, a frame that took longer than this over its last piece may be ended.
const PIECE_PATIENCE: Duration = Duration::from_millis(500);
/// A frame of which no byte came for so long is ended, however much memory there is. Kafka's limit
/// for idle connections (`connections.max.idle.ms`, ten minutes) is for those between frames.
pub(crate) const SILENCE_MAX: Duration = Duration::from_secs(60);

/// The frames of one shard that have begun and are not whole.
pub(crate) struct Admission {
    /// The most bytes that they hold together, but for the one that passes.
    share_bytes: usize,
    held_bytes: Cell<usize>,
    next: Cell<u64>,
    frames: RefCell<BTreeMap<u64, Frame>>,
    /// The frame that may pass the share.
    passing: Cell<Option<u64>>,
    /// Those that want to begin, and those that want to grow, wait in lines of their own: what is
    /// held is given back only when the latter go on.
    beginning: Line,
    growing: Line,
    pub(crate) is_watched: Cell<bool>,
}

/// Those that wait for memory, in the order in which they came.
#[derive(Default)]
struct Line {
    gate: Gate,
    waiting: Cell<usize>,
}

/// A place in a line; given up when dropped, and with it the turn.
pub(crate) struct Place<'a> {
    line: &'a Line,
    turn: Option<Turn>,
}

impl Place<'_> {
    /// Waits until it is first.
    pub(crate) async fn come_first(&mut self) {
        if self.turn.is_none() {
            self.turn = Some(self.line.gate.enter().await);
        }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.line.waiting.set(self.line.waiting.get() - 1);
    }
}

/// What is known of a frame that its connection waits for.
struct Frame {
    bytes: usize,
    /// When it got its last piece.
    piece_since: Nanos,
    /// When its last bytes came.
    heard_at: Nanos,
    /// It waits for memory: that it makes no progress is not its peer's fault.
    waits: bool,
    closing: bool,
    close: Box<dyn Fn()>,
}

impl Admission {
    /// For a pool of `memory_bytes`. The largest frame is a quarter of that: with the one that passes
    /// unfinished frames take five eighths at most.
    pub(crate) fn new(memory_bytes: usize) -> Admission {
        Admission {
            share_bytes: memory_bytes / 8 * 3,
            held_bytes: Cell::new(0),
            next: Cell::new(0),
            frames: RefCell::default(),
            passing: Cell::new(None),
            beginning: Line::default(),
            growing: Line::default(),
            is_watched: Cell::new(false),
        }
    }

    /// A frame that has begun, with no memory yet.
    pub(crate) fn begin(self: &Rc<Self>) -> Begun {
        let id = self.next.get();
        self.next.set(id + 1);
        Begun { admission: Rc::clone(self), id, bytes: Cell::new(0), is_known: Cell::new(false) }
    }

    /// Whether unfinished frames hold little: then one that is like its connection's last gets its
    /// memory at once.
    fn is_calm(&self) -> bool {
        self.held_bytes.get() <= self.share_bytes / 2
    }

    /// How much a frame gets before its length is known; `expected` is the length of the last one.
    pub(crate) fn first_bytes(&self, expected: usize) -> usize {
        expected.min(if self.is_calm() {
            PIECE_BYTES_MAX + PIECE_BYTES_MIN
        } else {
            PIECE_BYTES_MIN
        })
    }

    /// How long the buffer of a frame of `total` bytes is to be after it has filled `have`.
    pub(crate) fn next_bytes(&self, have: usize, total: usize) -> usize {
        let piece = if self.is_calm() {
            (3 * have).clamp(4 * PIECE_BYTES_MIN, PIECE_BYTES_MAX)
        } else {
            PIECE_BYTES_MIN.max(have / 8).min(4 * PIECE_BYTES_MIN)
        };
        total.min(have + piece)
    }

    /// Ends the connections of frames until `bytes` come back, as far as there are frames that took
    /// too long over their last piece: those that took longest first. Says how many it ended.
    pub(crate) fn make_way(&self, bytes: usize, now: Nanos) -> usize {
        let mut coming: usize = self.closing_bytes();
        let mut ended = 0;
        while coming < bytes {
            let mut frames = self.frames.borrow_mut();
            let slow = frames.values_mut().filter(|frame| {
                !frame.closing && !frame.waits && PIECE_PATIENCE <= now.since(frame.piece_since)
            });
            let Some(slowest) = slow.min_by_key(|frame| frame.piece_since) else { break };
            slowest.closing = true;
            coming += slowest.bytes;
            ended += 1;
            (slowest.close)();
        }
        ended
    }

    fn closing_bytes(&self) -> usize {
        self.frames.borrow().values().filter(|frame| frame.closing).map(|frame| frame.bytes).sum()
    }

    /// Ends the connections of frames of which nothing came for [`SILENCE_MAX`]; whether there are
    /// others.
    pub(crate) fn end_silent(&self, now: Nanos) -> bool {
        let mut frames = self.frames.borrow_mut();
        for frame in frames.values_mut() {
            if !frame.closing && !frame.waits && SILENCE_MAX <= now.since(frame.heard_at) {
                frame.closing = true;
                (frame.close)();
            }
        }
        !frames.is_empty()
    }
}

/// A frame that has begun; dropped when it is whole or its connection ends.
pub(crate) struct Begun {
    admission: Rc<Admission>,
    id: u64,
    bytes: Cell<usize>,
    is_known: Cell<bool>,
}

impl Begun {
    /// Whether the share has room for `more` bytes of this frame. Only one that has some already may
    /// pass it.
    pub(crate) fn may_take(&self, more: usize) -> bool {
        let admission = &self.admission;
        if admission.held_bytes.get() + more <= admission.share_bytes || self.passes() {
            return true;
        }
        if 0 < self.bytes.get() && admission.passing.get().is_none() {
            admission.passing.set(Some(self.id));
            return true;
        }
        false
    }

    /// Whether this is the frame that may pass the share.
    pub(crate) fn passes(&self) -> bool {
        self.admission.passing.get() == Some(self.id)
    }

    fn line(&self) -> &Line {
        if 0 < self.bytes.get() { &self.admission.growing } else { &self.admission.beginning }
    }

    /// Whether nobody waits who would be overtaken.
    pub(crate) fn is_next(&self) -> bool {
        self.line().waiting.get() == 0 || self.passes()
    }

    /// It waits for memory from here on, until it [`took`](Begun::took) some.
    pub(crate) fn queue(&self) -> Place<'_> {
        self.with_frame(|frame| frame.waits = true);
        let line = self.line();
        line.waiting.set(line.waiting.get() + 1);
        Place { line, turn: None }
    }

    /// It got memory: `bytes` in all.
    pub(crate) fn took(&self, bytes: usize, now: Nanos) {
        let held = self.admission.held_bytes.get() - self.bytes.get() + bytes;
        self.admission.held_bytes.set(held);
        self.bytes.set(bytes);
        self.with_frame(|frame| {
            frame.bytes = bytes;
            frame.waits = false;
            (frame.piece_since, frame.heard_at) = (now, now);
        });
    }

    /// It is not whole and its reader waits for more, so that it may have to be ended.
    pub(crate) fn heard(&self, now: Nanos, close: impl FnOnce() -> Box<dyn Fn()>) {
        if self.is_known.replace(true) {
            self.with_frame(|frame| frame.heard_at = now);
            return;
        }
        let frame = Frame {
            bytes: self.bytes.get(),
            piece_since: now,
            heard_at: now,
            waits: false,
            closing: false,
            close: close(),
        };
        self.admission.frames.borrow_mut().insert(self.id, frame);
    }

    fn with_frame(&self, change: impl FnOnce(&mut Frame)) {
        if self.is_known.get()
            && let Some(frame) = self.admission.frames.borrow_mut().get_mut(&self.id)
        {
            change(frame);
        }
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        let admission = &self.admission;
        admission.held_bytes.set(admission.held_bytes.get() - self.bytes.get());
        if self.is_known.get() {
            admission.frames.borrow_mut().remove(&self.id);
        }
        if self.passes() {
            admission.passing.set(None);
        }
    }
}

impl fmt::Debug for Admission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admission")
            .field("held_bytes", &self.held_bytes.get())
            .field("share_bytes", &self.share_bytes)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1 << 20;

    fn at_ms(ms: u64) -> Nanos {
        Nanos(ms * 1_000_000)
    }

    /// Frames of `bytes` each that got their piece at 0, 1, 2 ... ms; which were ended, in order.
    fn started(
        admission: &Rc<Admission>,
        count: u64,
        bytes: usize,
    ) -> (Vec<Begun>, Rc<RefCell<Vec<u64>>>) {
        let ended: Rc<RefCell<Vec<u64>>> = Rc::default();
        let frames = (0..count)
            .map(|n| {
                let frame = admission.begin();
                frame.took(bytes, at_ms(n));
                let ended = Rc::clone(&ended);
                frame.heard(at_ms(n), || Box::new(move || ended.borrow_mut().push(n)));
                frame
            })
            .collect();
        (frames, ended)
    }

    #[test]
    fn unfinished_frames_share_a_part_of_the_pool_and_one_may_pass() {
        let admission = Rc::new(Admission::new(16 * MIB));
        let (frames, _) = started(&admission, 6, MIB);
        assert!(!admission.begin().may_take(1), "six MiB are the share");
        assert!(frames[3].may_take(MIB), "one passes");
        assert!(!frames[4].may_take(MIB), "not two");
        assert!(frames[3].may_take(3 * MIB), "the one goes on");
        drop(frames);
        assert_eq!(admission.held_bytes.get(), 0);
        assert!(admission.begin().may_take(6 * MIB), "all is given back");
    }

    #[test]
    fn whoever_took_longest_over_a_piece_is_ended_first_and_no_more_than_needed() {
        let admission = Rc::new(Admission::new(16 * MIB));
        let (frames, ended) = started(&admission, 6, MIB);
        assert_eq!(admission.make_way(MIB, at_ms(499)), 0, "nobody took too long");
        frames[0].took(2 * MIB, at_ms(400));
        let waits = frames[1].queue();
        assert!(!frames[2].is_next(), "it would overtake");
        assert_eq!(admission.make_way(2 * MIB, at_ms(600)), 2);
        assert_eq!(*ended.borrow(), [2, 3], "not who went on, nor who waits for us");
        assert_eq!(admission.make_way(2 * MIB, at_ms(600)), 0, "two MiB are coming");
        assert_eq!(admission.make_way(100 * MIB, at_ms(600)), 2);
        assert_eq!(*ended.borrow(), [2, 3, 4, 5]);
        drop(waits);
        assert!(frames[2].is_next());
    }

    #[test]
    fn a_byte_now_and_then_is_no_progress_when_memory_is_short() {
        let admission = Rc::new(Admission::new(16 * MIB));
        let (frames, ended) = started(&admission, 1, MIB);
        frames[0].heard(at_ms(590), || unreachable!("it is known"));
        assert_eq!(admission.make_way(1, at_ms(600)), 1);
        assert_eq!(*ended.borrow(), [0]);
    }

    #[test]
    fn a_silent_frame_ends_even_when_there_is_room() {
        let admission = Rc::new(Admission::new(16 * MIB));
        let (frames, ended) = started(&admission, 2, 4096);
        frames[1].heard(at_ms(10_000), || unreachable!("it is known"));
        assert!(admission.end_silent(at_ms(59_000)));
        assert!(ended.borrow().is_empty());
        assert!(admission.end_silent(at_ms(60_000)));
        assert_eq!(*ended.borrow(), [0]);
        drop(frames);
        assert!(!admission.end_silent(at_ms(60_000)), "none is left");
    }

    #[test]
    fn pieces_grow_with_what_has_come_and_are_small_when_memory_is_short() {
        let admission = Rc::new(Admission::new(64 * MIB));
        let pieces = |total: usize| {
            let mut have = admission.first_bytes(4096);
            let mut all = vec![have];
            while have < total {
                have = admission.next_bytes(have, total);
                all.push(have);
            }
            all
        };
        assert_eq!(pieces(MIB), [4096, 68 << 10, 272 << 10, MIB]);
        assert_eq!(admission.first_bytes(MIB + 100), MIB + 100, "as its last one was");
        let (frames, _) = started(&admission, 13, MIB);
        assert_eq!(admission.first_bytes(MIB + 100), 16 << 10);
        assert_eq!(admission.next_bytes(16 << 10, MIB), 32 << 10);
        assert_eq!(admission.next_bytes(MIB, 8 * MIB), MIB + (64 << 10));
        drop(frames);
    }
}
