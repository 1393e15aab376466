//! Giving way to other tasks.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use super::Core;

/// The future of `yield_if_needed`: ready at once unless the running group has had its turn or
/// completions wait; then the task goes to the end of its group's queue once.
pub(crate) struct YieldIfNeeded {
    core: Rc<Core>,
    yielded: bool,
}

impl YieldIfNeeded {
    pub(crate) fn new(core: Rc<Core>) -> YieldIfNeeded {
        YieldIfNeeded { core, yielded: false }
    }
}

impl Future for YieldIfNeeded {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.yielded || !self.core.should_yield() {
            return Poll::Ready(());
        }
        self.yielded = true;
        context.waker().wake_by_ref();
        Poll::Pending
    }
}
