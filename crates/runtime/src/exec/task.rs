//! One task: where it was spawned, in which group, and how its wakes come home.
//!
//! A task's future is not `Send`. It is polled and dropped on its own shard only: a wake on
//! another thread sends the task home through the shard's queue, and a shard that ends drops its
//! tasks itself.

use std::cell::RefCell;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use async_task::Runnable;
use env::Group;

use super::Core;
use crate::remote;

/// What the wake of a task must know.
pub(crate) struct Meta {
    pub(crate) home: Arc<remote::Inner>,
    pub(crate) group: Group,
    pub(crate) site: &'static Location<'static>,
}

thread_local! {
    static CURRENT: RefCell<Option<Rc<Core>>> = const { RefCell::new(None) };
}

/// Makes `core` the one that wakes on this thread come to; `None` at its end.
pub(super) fn set_current(core: Option<Rc<Core>>) {
    CURRENT.with(|current| *current.borrow_mut() = core);
}

/// Shard, group and spawn site of the task that runs on this thread, for a panic message.
pub(crate) fn running_here() -> Option<(u16, Option<(Group, &'static Location<'static>)>)> {
    CURRENT
        .try_with(|current| {
            let current = current.try_borrow().ok()?;
            let core = current.as_ref()?;
            Some((core.remote().shard, core.running()))
        })
        .ok()
        .flatten()
}

fn schedule(task: Runnable<Meta>) {
    let mut task = Some(task);
    // Where this thread's values are gone already, the wake is a foreign one.
    let _ = CURRENT.try_with(|current| {
        let Ok(current) = current.try_borrow() else { return };
        if let Some(core) = current.as_ref()
            && let Some(home) = task.as_ref().map(|task| &task.metadata().home)
            && Arc::ptr_eq(core.remote(), home)
            && let Some(task) = task.take()
        {
            core.push(task);
        }
    });
    if let Some(task) = task {
        let home = Arc::clone(&task.metadata().home);
        home.inject(task);
    }
}

/// A future that tells the core when it is dropped, done or not.
struct Tracked<F> {
    core: Rc<Core>,
    place: usize,
    future: F,
}

impl<F: Future<Output = ()>> Future for Tracked<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        // SAFETY: `future` is never moved out of the pinned `Tracked`, which has no other
        // structurally pinned field and no `Unpin` of its own; its `Drop` does not touch it.
        #[expect(unsafe_code, reason = "pin projection without a macro crate")]
        let future = unsafe { self.map_unchecked_mut(|tracked| &mut tracked.future) };
        future.poll(context)
    }
}

impl<F> Drop for Tracked<F> {
    fn drop(&mut self) {
        self.core.forget_task(self.place);
    }
}

/// Makes `future` a task of `core` and queues it.
pub(super) fn spawn(
    core: &Rc<Core>,
    group: Group,
    site: &'static Location<'static>,
    future: impl Future<Output = ()> + 'static,
) {
    let place = core.reserve_task();
    let tracked = Tracked { core: Rc::clone(core), place, future };
    let meta = Meta { home: Arc::clone(core.remote()), group, site };
    // SAFETY: the future is not `Send`, so the task must be run and dropped on this thread only.
    // It is: `schedule` hands a task to this thread's core, or to the queue of its home, which
    // only that thread takes from, and which leaks what is left when the shard is gone. The
    // future is 'static, and `schedule` is a function, so it is `Send`, `Sync` and 'static.
    #[expect(unsafe_code, reason = "tasks that stay on one thread, woken from any")]
    let (runnable, task) = unsafe {
        async_task::Builder::new().metadata(meta).spawn_unchecked(move |_| tracked, schedule)
    };
    core.keep_task(place, runnable.waker());
    runnable.schedule();
    task.detach();
}
