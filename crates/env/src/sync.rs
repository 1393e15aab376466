//! Waiting inside one shard: a signal that many may wait for. No thread, no lock.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

/// Something that happens again and again, for tasks of one shard to wait for. A handle; clones
/// are the same signal.
///
/// The pattern is: take [`seen`](Signal::seen), look at the state, and if it is not yet as
/// wanted await [`after`](Signal::after) that count. A notification between the look and the
/// wait is not lost.
#[derive(Clone, Default)]
pub struct Signal {
    inner: Rc<Inner>,
}

#[derive(Default)]
struct Inner {
    count: Cell<u64>,
    waiting: RefCell<Vec<Waker>>,
}

impl Signal {
    /// A signal that was never notified.
    #[must_use]
    pub fn new() -> Signal {
        Signal::default()
    }

    /// How often it was notified.
    #[must_use]
    pub fn seen(&self) -> u64 {
        self.inner.count.get()
    }

    /// Wakes everybody who waits.
    pub fn notify(&self) {
        self.inner.count.set(self.inner.count.get() + 1);
        let waiting = std::mem::take(&mut *self.inner.waiting.borrow_mut());
        for waker in waiting {
            waker.wake();
        }
    }

    /// Ready once the signal was notified more than `seen` times. Dropping it is harmless.
    pub fn after(&self, seen: u64) -> After {
        After { signal: self.clone(), seen }
    }
}

impl fmt::Debug for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signal(seen {})", self.seen())
    }
}

/// The future of [`Signal::after`].
#[derive(Debug)]
pub struct After {
    signal: Signal,
    seen: u64,
}

impl Future for After {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.seen < self.signal.seen() {
            return Poll::Ready(());
        }
        let mut waiting = self.signal.inner.waiting.borrow_mut();
        if !waiting.iter().any(|waker| waker.will_wake(context.waker())) {
            waiting.push(context.waker().clone());
        }
        Poll::Pending
    }
}

/// The receiving half of [`oneshot`]: one value that another task will give.
pub struct Receiver<T> {
    slot: Rc<Slot<T>>,
}

/// The giving half of [`oneshot`].
pub struct Sender<T> {
    slot: Rc<Slot<T>>,
}

struct Slot<T> {
    value: RefCell<Option<T>>,
    closed: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl<T> Slot<T> {
    fn wake(&self) {
        let waker = self.waker.borrow_mut().take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// A channel for one value inside one shard.
#[must_use]
pub fn oneshot<T>() -> (Sender<T>, Receiver<T>) {
    let slot = Rc::new(Slot {
        value: RefCell::new(None),
        closed: Cell::new(false),
        waker: RefCell::new(None),
    });
    (Sender { slot: Rc::clone(&slot) }, Receiver { slot })
}

impl<T> Sender<T> {
    /// Gives the value. If the receiver is gone the value is dropped.
    pub fn send(self, value: T) {
        *self.slot.value.borrow_mut() = Some(value);
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        self.slot.closed.set(true);
        self.slot.wake();
    }
}

impl<T> Future for Receiver<T> {
    /// `None` if the sender was dropped without giving a value.
    type Output = Option<T>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<T>> {
        let value = self.slot.value.borrow_mut().take();
        if value.is_some() || self.slot.closed.get() {
            return Poll::Ready(value);
        }
        *self.slot.waker.borrow_mut() = Some(context.waker().clone());
        Poll::Pending
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Receiver")
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sender")
    }
}

/// Ready with the output of whichever is ready first; the other is dropped. `first` wins a tie.
pub async fn race<A, B, T>(first: A, second: B) -> T
where
    A: Future<Output = T>,
    B: Future<Output = T>,
{
    let mut first = std::pin::pin!(first);
    let mut second = std::pin::pin!(second);
    std::future::poll_fn(|context| match first.as_mut().poll(context) {
        Poll::Ready(value) => Poll::Ready(value),
        Poll::Pending => second.as_mut().poll(context),
    })
    .await
}

/// Runs `futures` side by side and gives their outputs in the same order.
pub async fn all<F: Future>(futures: Vec<F>) -> Vec<F::Output> {
    all_until(futures, std::future::pending()).await.into_iter().flatten().collect()
}

/// Runs `futures` side by side until all are done or `limit` is; `None` for those that were not.
/// What is not done then is dropped.
pub async fn all_until<F: Future>(
    futures: Vec<F>,
    limit: impl Future<Output = ()>,
) -> Vec<Option<F::Output>> {
    let mut limit = std::pin::pin!(limit);
    let mut running: Vec<Pin<Box<F>>> = futures.into_iter().map(Box::pin).collect();
    let mut done: Vec<Option<F::Output>> = running.iter().map(|_| None).collect();
    std::future::poll_fn(|context| {
        let mut pending = false;
        for (future, slot) in running.iter_mut().zip(&mut done) {
            if slot.is_none() {
                match future.as_mut().poll(context) {
                    Poll::Ready(value) => *slot = Some(value),
                    Poll::Pending => pending = true,
                }
            }
        }
        if pending && limit.as_mut().poll(context).is_pending() {
            Poll::Pending
        } else {
            Poll::Ready(())
        }
    })
    .await;
    done
}
