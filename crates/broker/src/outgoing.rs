//! Answers that are being written: whoever does not read his gives up their memory.
//!
//! A client that goes on reading, however slowly, keeps its connection. One that takes no byte for
//! [`STALL_MAX`] while others wait for memory is ended, and one that takes none for
//! [`SILENCE_MAX`] in any case.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use env::Nanos;

/// How long a write may take no byte while somebody waits for memory.
const STALL_MAX: Duration = Duration::from_secs(30);
/// How long it may in any case: Kafka's `connections.max.idle.ms`.
const SILENCE_MAX: Duration = Duration::from_secs(600);
/// Between two looks.
pub(crate) const LOOK_PAUSE: Duration = Duration::from_secs(5);

/// The connections of one shard that are being written to. Bounded by the connections.
#[derive(Default)]
pub(crate) struct Outgoing {
    writes: RefCell<BTreeMap<u64, Write>>,
    next: Cell<u64>,
}

/// One write under way.
struct Write {
    /// Bytes that the connection had taken at `since`.
    taken: u64,
    since: Nanos,
    written: Box<dyn Fn() -> u64>,
    close: Box<dyn Fn()>,
}

/// A write under way; it is over when this is dropped.
pub(crate) struct Writing {
    outgoing: Rc<Outgoing>,
    id: u64,
}

impl Drop for Writing {
    fn drop(&mut self) {
        self.outgoing.writes.borrow_mut().remove(&self.id);
    }
}

impl Outgoing {
    /// A write begins on a connection that says how much it has taken and can be ended.
    pub(crate) fn begin(
        self: &Rc<Self>,
        now: Nanos,
        written: impl Fn() -> u64 + 'static,
        close: impl Fn() + 'static,
    ) -> Writing {
        let id = self.next.get();
        self.next.set(id + 1);
        let write = Write {
            taken: written(),
            since: now,
            written: Box::new(written),
            close: Box::new(close),
        };
        self.writes.borrow_mut().insert(id, write);
        Writing { outgoing: Rc::clone(self), id }
    }

    /// Ends the connections that took nothing for too long; gives how many.
    pub(crate) fn end_stalled(&self, now: Nanos, is_short: bool) -> usize {
        let limit = if is_short { STALL_MAX } else { SILENCE_MAX };
        let mut ended = 0;
        for write in self.writes.borrow_mut().values_mut() {
            let taken = (write.written)();
            if write.taken < taken {
                (write.taken, write.since) = (taken, now);
            } else if limit <= now.since(write.since) {
                (write.close)();
                ended += 1;
            }
        }
        ended
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at_s(s: u64) -> Nanos {
        Nanos(s * 1_000_000_000)
    }

    #[test]
    fn a_write_that_gets_on_is_never_ended_and_one_that_does_not_is() {
        let outgoing = Rc::new(Outgoing::default());
        let closed = Rc::new(RefCell::new(Vec::new()));
        let taken = Rc::new(Cell::new(0));
        let write = |name: &'static str, written: Rc<Cell<u64>>| {
            let closed = Rc::clone(&closed);
            let close = move || closed.borrow_mut().push(name);
            outgoing.begin(at_s(0), move || written.get(), close)
        };
        let slow = write("slow", Rc::clone(&taken));
        let stalled = write("stalled", Rc::default());
        for s in 1..600 {
            taken.set(taken.get() + u64::from(s % 29 == 0));
            let is_short = s == 29;
            assert_eq!(outgoing.end_stalled(at_s(s), is_short), 0, "{s}");
        }
        assert_eq!(outgoing.end_stalled(at_s(600), true), 1);
        assert_eq!(*closed.borrow(), ["stalled"]);
        drop(stalled);
        assert_eq!(outgoing.end_stalled(at_s(611), true), 1, "it took nothing for thirty seconds");
        drop(slow);
        assert_eq!(outgoing.end_stalled(at_s(9_999), true), 0);
    }
}
