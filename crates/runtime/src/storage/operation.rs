//! The future of an operation.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use super::StorageRing;
use super::slot::{Keep, State};

/// An operation that was queued. Gives the kernel's result and what was kept. When it is dropped
/// the slot keeps everything until the operation is over; one that the kernel does not have yet
/// is not issued.
pub(super) struct Operation {
    ring: Rc<StorageRing>,
    slot: Option<u32>,
}

impl Operation {
    pub(super) fn new(ring: &Rc<StorageRing>, slot: u32) -> Operation {
        Operation { ring: Rc::clone(ring), slot: Some(slot) }
    }
}

impl Future for Operation {
    type Output = (i32, Keep);

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<(i32, Keep)> {
        let slot = self.slot.expect("not polled after it was ready");
        let ring = Rc::clone(&self.ring);
        let mut inner = ring.inner.borrow_mut();
        let it = &mut inner.slots[slot as usize];
        if let State::Done(result) = it.state {
            self.slot = None;
            return Poll::Ready((result, inner.free_slot(slot)));
        }
        if !it.waker.as_ref().is_some_and(|waker| waker.will_wake(context.waker())) {
            it.waker = Some(context.waker().clone());
        }
        Poll::Pending
    }
}

impl Drop for Operation {
    fn drop(&mut self) {
        let Some(slot) = self.slot.take() else { return };
        let mut inner = self.ring.inner.borrow_mut();
        let it = &mut inner.slots[slot as usize];
        let waker = it.waker.take();
        let keep = if matches!(it.state, State::Done(_)) {
            Some(inner.free_slot(slot))
        } else {
            it.is_detached = true;
            None
        };
        drop(inner);
        drop(keep);
        drop(waker);
    }
}
