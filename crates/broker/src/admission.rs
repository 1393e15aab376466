//! Who may have memory for a frame that is not whole yet, and who must give it up.
//!
//! [`policy`] decides; here are the turns of those that wait and the connections of those that are
//! ended. A reservation is a count: memory is taken for what has come of a frame and a piece more,
//! never for what it announces, and is the pool's.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use env::sync::{Receiver, Sender, Signal, oneshot};
use env::{Gate, Nanos};

use policy::{FrameId, Policy, SILENCE_MAX};

mod policy;

/// First memory of a frame, in bytes: a page, in which most requests are whole.
pub(crate) const FIRST_BYTES: usize = 4 << 10;
/// Smallest piece by which a frame grows, in bytes, unless less is missing.
const PIECE_BYTES_MIN: usize = 16 << 10;
/// Largest piece by which a frame grows, in bytes.
const PIECE_BYTES_MAX: usize = 1 << 20;
/// Between two looks at the frames when memory is short.
pub(crate) const LOOK_PAUSE: Duration = Duration::from_millis(100);

/// The frames of one shard that have begun and are not whole.
pub(crate) struct Admission {
    clock: Box<dyn Fn() -> Nanos>,
    policy: RefCell<Policy>,
    known: RefCell<BTreeMap<FrameId, Known>>,
    /// Frames that were granted their length and wait for a piece of the pool, one after the other.
    pub(crate) pieces: Gate,
    piece_waiters: Cell<usize>,
    /// Notified when somebody begins to wait.
    shortage: Signal,
    pub(crate) is_watched: Cell<bool>,
}

/// How a frame is told what becomes of it.
struct Known {
    granted: Option<Sender<()>>,
    close: Box<dyn Fn()>,
}

impl Admission {
    /// For a pool of `memory_bytes`.
    pub(crate) fn new(memory_bytes: usize, clock: impl Fn() -> Nanos + 'static) -> Admission {
        Admission {
            clock: Box::new(clock),
            policy: RefCell::new(Policy::new(memory_bytes)),
            known: RefCell::default(),
            pieces: Gate::default(),
            piece_waiters: Cell::new(0),
            shortage: Signal::new(),
            is_watched: Cell::new(false),
        }
    }

    /// A frame that begins, with no memory yet; `close` ends its connection.
    pub(crate) fn begin(self: &Rc<Self>, close: Box<dyn Fn()>) -> Begun {
        let id = self.policy.borrow_mut().begin(self.now());
        self.known.borrow_mut().insert(id, Known { granted: None, close });
        Begun { admission: Rc::clone(self), id }
    }

    /// How long the buffer of a frame of `total` bytes is to be after it has filled `have`.
    pub(crate) fn next_bytes(&self, have: usize, total: usize) -> usize {
        let piece = if self.policy.borrow().is_calm() {
            (3 * have).clamp(4 * PIECE_BYTES_MIN, PIECE_BYTES_MAX)
        } else {
            PIECE_BYTES_MIN.max(have / 8).min(4 * PIECE_BYTES_MIN)
        };
        total.min(have + piece)
    }

    /// Ends connections until `bytes` of the pool come back, as far as there are frames that do not
    /// get on.
    pub(crate) fn make_way(&self, bytes: usize) {
        let ended = self.policy.borrow_mut().make_way(bytes, self.now());
        self.end(&ended);
    }

    /// Ends the connections of frames that are silent or keep others waiting; how long until the
    /// next look, `None` if there is no frame.
    pub(crate) fn look(&self) -> Option<Duration> {
        let ended = self.policy.borrow_mut().overdue(self.now());
        self.end(&ended);
        let policy = self.policy.borrow();
        let pause = if policy.is_short() { LOOK_PAUSE } else { SILENCE_MAX / 8 };
        (!policy.is_empty()).then_some(pause)
    }

    /// Notified when somebody begins to wait.
    pub(crate) fn shortage(&self) -> &Signal {
        &self.shortage
    }

    /// Whether somebody waits for memory.
    pub(crate) fn is_short(&self) -> bool {
        self.policy.borrow().is_short()
    }

    /// Whether a frame waits for a piece of the pool.
    pub(crate) fn has_piece_waiters(&self) -> bool {
        0 < self.piece_waiters.get()
    }

    /// Somebody waits for memory of the pool until this is dropped.
    pub(crate) fn wait_for_memory(&self) -> MemoryWait<'_> {
        self.policy.borrow_mut().memory_wait_began(self.now());
        self.shortage.notify();
        MemoryWait { admission: self }
    }

    fn now(&self) -> Nanos {
        (self.clock)()
    }

    fn end(&self, frames: &[FrameId]) {
        let known = self.known.borrow();
        for id in frames {
            (known[id].close)();
        }
    }

    fn tell(&self, granted: Vec<FrameId>) {
        for id in granted {
            let sender = self.known.borrow_mut().get_mut(&id).and_then(|one| one.granted.take());
            if let Some(sender) = sender {
                sender.send(());
            }
        }
    }
}

/// See [`Admission::wait_for_memory`].
pub(crate) struct MemoryWait<'a> {
    admission: &'a Admission,
}

impl Drop for MemoryWait<'_> {
    fn drop(&mut self) {
        self.admission.policy.borrow_mut().memory_wait_ended(self.admission.now());
    }
}

/// A frame that has begun; dropped when it is whole or its connection ends.
pub(crate) struct Begun {
    admission: Rc<Admission>,
    id: FrameId,
}

impl Begun {
    /// Reserves `bytes` before its length is known, if there is room for that.
    pub(crate) fn take_head(&self, bytes: usize) -> bool {
        self.admission.policy.borrow_mut().take_head(self.id, bytes, FIRST_BYTES)
    }

    /// Gives that back.
    pub(crate) fn release_head(&self) {
        self.admission.policy.borrow_mut().release_head(self.id);
    }

    /// How much is read at once before the length is known, if the last frame had `expected` bytes.
    pub(crate) fn head_bytes(expected: usize) -> usize {
        expected.clamp(FIRST_BYTES, PIECE_BYTES_MAX + PIECE_BYTES_MIN)
    }

    /// Reserves all `bytes` of it; `Some` is ready when its turn has come.
    pub(crate) fn ask(&self, bytes: usize) -> Option<Receiver<()>> {
        let now = self.admission.now();
        if self.admission.policy.borrow_mut().ask(self.id, bytes, now) {
            return None;
        }
        let (sender, turn) = oneshot();
        if let Some(known) = self.admission.known.borrow_mut().get_mut(&self.id) {
            known.granted = Some(sender);
        }
        self.admission.shortage.notify();
        Some(turn)
    }

    /// `have` bytes of it have come.
    pub(crate) fn heard(&self, have: usize) {
        self.admission.policy.borrow_mut().heard(self.id, have, self.admission.now());
    }

    /// It has `bytes` of memory in all.
    pub(crate) fn took(&self, bytes: usize) {
        self.admission.policy.borrow_mut().took(self.id, bytes);
    }

    /// From here on it is not its sender that has to get on, or it is again.
    pub(crate) fn excuse(&self, is_excused: bool) {
        self.admission.policy.borrow_mut().excuse(self.id, is_excused, self.admission.now());
    }

    /// It waits for a piece of the pool until this is dropped.
    pub(crate) fn wait_for_piece(&self) -> PieceWait<'_> {
        let waiters = &self.admission.piece_waiters;
        waiters.set(waiters.get() + 1);
        PieceWait(waiters)
    }
}

/// See [`Begun::wait_for_piece`].
pub(crate) struct PieceWait<'a>(&'a Cell<usize>);

impl Drop for PieceWait<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        self.admission.known.borrow_mut().remove(&self.id);
        let granted = self.admission.policy.borrow_mut().leave(self.id, self.admission.now());
        self.admission.tell(granted);
    }
}

impl fmt::Debug for Admission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admission").field("policy", &self.policy.borrow()).finish_non_exhaustive()
    }
}
