//! Tasks of one thread, woken from any.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Instant;

type Task = Pin<Box<dyn Future<Output = ()>>>;

/// The task that `block_on` was called with.
const MAIN: u64 = 0;

#[derive(Default)]
pub(crate) struct Executor {
    ready: Arc<Ready>,
    tasks: RefCell<BTreeMap<u64, Task>>,
    next_id: Cell<u64>,
    timers: RefCell<BTreeMap<(Instant, u64), Waker>>,
    next_timer: Cell<u64>,
}

/// Tasks that were woken, in order.
#[derive(Default)]
struct Ready {
    queue: Mutex<VecDeque<u64>>,
    woken: Condvar,
}

struct TaskWaker {
    id: u64,
    ready: Arc<Ready>,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        self.ready.push(self.id);
    }
}

impl Ready {
    fn push(&self, id: u64) {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).push_back(id);
        self.woken.notify_one();
    }

    /// The next woken task; waits for one, at most until `deadline`.
    fn pop(&self, deadline: Option<Instant>) -> Option<u64> {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(id) = queue.pop_front() {
                return Some(id);
            }
            queue = match deadline {
                None => self.woken.wait(queue).unwrap_or_else(PoisonError::into_inner),
                Some(deadline) => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        return None;
                    }
                    self.woken.wait_timeout(queue, left).unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }
}

impl Executor {
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        let id = self.next_id.get() + 1;
        self.next_id.set(id);
        self.tasks.borrow_mut().insert(id, Box::pin(task));
        self.ready.push(id);
    }

    pub(crate) fn block_on<F: Future>(&self, main: F) -> F::Output {
        let mut main = std::pin::pin!(main);
        self.ready.push(MAIN);
        loop {
            self.fire_timers();
            let deadline = self.timers.borrow().keys().next().map(|(at, _)| *at);
            let Some(id) = self.ready.pop(deadline) else { continue };
            let waker = Waker::from(Arc::new(TaskWaker { id, ready: Arc::clone(&self.ready) }));
            let mut context = Context::from_waker(&waker);
            if id == MAIN {
                if let Poll::Ready(output) = main.as_mut().poll(&mut context) {
                    return output;
                }
                continue;
            }
            // Taken out while it runs: it may spawn.
            let task = self.tasks.borrow_mut().remove(&id);
            if let Some(mut task) = task
                && task.as_mut().poll(&mut context).is_pending()
            {
                self.tasks.borrow_mut().insert(id, task);
            }
        }
    }

    fn fire_timers(&self) {
        let now = Instant::now();
        loop {
            let mut timers = self.timers.borrow_mut();
            let Some(first) = timers.first_entry() else { return };
            if now < first.key().0 {
                return;
            }
            let waker = first.remove();
            drop(timers);
            waker.wake();
        }
    }

    pub(crate) fn sleep_until(&self, at: Instant) -> impl Future<Output = ()> + '_ {
        std::future::poll_fn(move |context| {
            if at <= Instant::now() {
                return Poll::Ready(());
            }
            let id = self.next_timer.get() + 1;
            self.next_timer.set(id);
            self.timers.borrow_mut().insert((at, id), context.waker().clone());
            Poll::Pending
        })
    }
}

/// Goes to the end of the queue once.
pub(crate) async fn yield_once() {
    let mut yielded = false;
    std::future::poll_fn(|context| {
        if yielded {
            return Poll::Ready(());
        }
        yielded = true;
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
