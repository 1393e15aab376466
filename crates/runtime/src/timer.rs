//! Deadlines of one shard. Kept in order; the loop fires what is due and arms a timerfd only
//! when it blocks.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use crate::clock;
use crate::exec::Core;

/// Waiting tasks by deadline. Bounded by the number of tasks.
#[derive(Default)]
pub(crate) struct Timers {
    waiting: RefCell<BTreeMap<(u64, u64), Waker>>,
    sequence: Cell<u64>,
    /// The earliest deadline; `u64::MAX` for none.
    earliest_ns: Cell<Option<u64>>,
}

impl Timers {
    /// Wakes whoever is due; true if anybody was.
    pub(crate) fn fire(&self) -> bool {
        let Some(earliest_ns) = self.earliest_ns.get() else { return false };
        let now_ns = clock::now_ns();
        if now_ns < earliest_ns {
            return false;
        }
        loop {
            let due = {
                let mut waiting = self.waiting.borrow_mut();
                match waiting.first_entry() {
                    Some(first) if first.key().0 <= now_ns => Some(first.remove()),
                    _ => None,
                }
            };
            let Some(waker) = due else { break };
            waker.wake();
        }
        self.note_earliest();
        true
    }

    /// The earliest deadline.
    pub(crate) fn earliest_ns(&self) -> Option<u64> {
        self.earliest_ns.get()
    }

    fn insert(&self, deadline_ns: u64, waker: Waker) -> (u64, u64) {
        let sequence = self.sequence.get();
        self.sequence.set(sequence + 1);
        let key = (deadline_ns, sequence);
        self.waiting.borrow_mut().insert(key, waker);
        if self.earliest_ns.get().is_none_or(|earliest_ns| deadline_ns < earliest_ns) {
            self.earliest_ns.set(Some(deadline_ns));
        }
        key
    }

    fn remove(&self, key: (u64, u64)) {
        let waker = self.waiting.borrow_mut().remove(&key);
        if self.earliest_ns.get() == Some(key.0) {
            self.note_earliest();
        }
        drop(waker);
    }

    fn note_earliest(&self) {
        let waiting = self.waiting.borrow();
        self.earliest_ns.set(waiting.first_key_value().map(|(key, _)| key.0));
    }
}

/// Ready at its deadline, not before. Dropping it is harmless.
pub(crate) struct Sleep {
    core: Rc<Core>,
    deadline_ns: u64,
    key: Option<(u64, u64)>,
}

impl Sleep {
    pub(crate) fn until(core: Rc<Core>, deadline_ns: u64) -> Sleep {
        Sleep { core, deadline_ns, key: None }
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.deadline_ns <= clock::now_ns() {
            return Poll::Ready(());
        }
        if let Some(key) = self.key.take() {
            self.core.timers.remove(key);
        }
        let key = self.core.timers.insert(self.deadline_ns, context.waker().clone());
        self.key = Some(key);
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(key) = self.key.take() {
            self.core.timers.remove(key);
        }
    }
}
