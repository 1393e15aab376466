//! Tasks and events of a simulation: one thread, virtual time, every choice from the seed.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use super::rng::{Rng, mix};
use super::{Outcome, SimOptions, Stalls};
use crate::{Group, ShardId};

/// The future that `run` was called with.
const MAIN: u64 = 0;

/// What happens at a time.
pub(crate) enum Event {
    Wake(Waker),
    Run(Box<dyn FnOnce()>),
}

struct Task {
    future: Pin<Box<dyn Future<Output = ()>>>,
    shard: ShardId,
    group: Group,
    spawned_at: &'static Location<'static>,
    waker: Arc<TaskWaker>,
}

struct TaskWaker {
    id: u64,
    shard: Option<ShardId>,
    queued: AtomicBool,
    ready: Arc<Ready>,
}

#[derive(Default)]
struct Ready {
    tasks: Mutex<Vec<Arc<TaskWaker>>>,
}

impl Ready {
    fn lock(&self) -> MutexGuard<'_, Vec<Arc<TaskWaker>>> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        if !self.queued.swap(true, Ordering::Relaxed) {
            let ready = Arc::clone(&self.ready);
            ready.lock().push(self);
        }
    }
}

/// Everything that happens in a simulation happens through this.
pub(crate) struct Engine {
    pub(crate) seed: u64,
    /// Virtual nanoseconds since the start.
    now: Cell<u64>,
    /// Added to the virtual time to give the wall clock, in milliseconds.
    wall_ms: Cell<i64>,
    rng: Rng,
    trace: Cell<u64>,
    steps: Cell<u64>,
    cut: Cell<bool>,
    ready: Arc<Ready>,
    tasks: RefCell<BTreeMap<u64, Task>>,
    next_task: Cell<u64>,
    events: RefCell<BTreeMap<(u64, u64), Event>>,
    next_event: Cell<u64>,
    slow_shard: Option<(ShardId, Stalls)>,
    /// Until when the slow shard does nothing.
    stalled_until: Cell<u64>,
    steps_max: u64,
    time_max: u64,
}

pub(crate) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

impl Engine {
    pub(crate) fn new(seed: u64, options: &SimOptions) -> Engine {
        Engine {
            seed,
            now: Cell::new(0),
            wall_ms: Cell::new(options.wall_ms),
            rng: Rng::new(seed, 1),
            trace: Cell::new(mix(seed)),
            steps: Cell::new(0),
            cut: Cell::new(false),
            ready: Arc::default(),
            tasks: RefCell::default(),
            next_task: Cell::new(MAIN + 1),
            events: RefCell::default(),
            next_event: Cell::new(0),
            slow_shard: options.slow_shard,
            stalled_until: Cell::new(0),
            steps_max: options.steps_max,
            time_max: nanos(options.time_max),
        }
    }

    pub(crate) fn now(&self) -> u64 {
        self.now.get()
    }

    pub(crate) fn wall_ms(&self) -> i64 {
        let since_start = i64::try_from(self.now() / 1_000_000).unwrap_or(i64::MAX);
        self.wall_ms.get().saturating_add(since_start)
    }

    pub(crate) fn shift_wall_ms(&self, by_ms: i64) {
        self.wall_ms.set(self.wall_ms.get().saturating_add(by_ms));
    }

    pub(crate) fn rng(&self) -> &Rng {
        &self.rng
    }

    /// Folds something that happened into the trace.
    pub(crate) fn trace(&self, what: u64, detail: u64) {
        let folded = self.trace.get().rotate_left(5) ^ mix(what ^ detail.rotate_left(17));
        self.trace.set(folded.wrapping_mul(0x9E37_79B9_7F4A_7C15));
    }

    pub(crate) fn trace_hash(&self) -> u64 {
        self.trace.get()
    }

    pub(crate) fn steps(&self) -> u64 {
        self.steps.get()
    }

    /// Ends the run: from now on nothing happens.
    pub(crate) fn cut_now(&self) {
        self.cut.set(true);
    }

    /// A random virtual time in `[1, max]` nanoseconds.
    pub(crate) fn latency(&self, max: u64) -> u64 {
        1 + self.rng.below(max)
    }

    /// Lets `event` happen `after` nanoseconds from now; where it is kept until then.
    pub(crate) fn after(&self, after: u64, event: Event) -> (u64, u64) {
        let key = (self.now().saturating_add(after), self.next_event.get());
        self.next_event.set(key.1 + 1);
        self.events.borrow_mut().insert(key, event);
        key
    }

    #[track_caller]
    pub(crate) fn spawn(
        &self,
        shard: ShardId,
        group: Group,
        future: impl Future<Output = ()> + 'static,
    ) {
        let id = self.next_task.get();
        self.next_task.set(id + 1);
        let waker = self.waker(id, Some(shard));
        let task = Task {
            future: Box::pin(future),
            shard,
            group,
            spawned_at: Location::caller(),
            waker: Arc::clone(&waker),
        };
        self.tasks.borrow_mut().insert(id, task);
        waker.wake();
    }

    fn waker(&self, id: u64, shard: Option<ShardId>) -> Arc<TaskWaker> {
        let ready = Arc::clone(&self.ready);
        Arc::new(TaskWaker { id, shard, queued: AtomicBool::new(false), ready })
    }

    pub(crate) fn run<F: Future>(&self, main: F) -> Outcome<F::Output> {
        let _told = TellSeed(self.seed);
        let mut main = std::pin::pin!(main);
        let main_waker = self.waker(MAIN, None);
        Arc::clone(&main_waker).wake();
        loop {
            self.fire_due();
            if self.cut.get() {
                return Outcome::Cut;
            }
            let Some(next) = self.pick() else {
                self.jump();
                continue;
            };
            self.step(next.id);
            if next.id != MAIN {
                self.poll(next.id);
            } else if Arc::ptr_eq(&next, &main_waker) {
                let waker = Waker::from(next);
                if let Poll::Ready(output) = main.as_mut().poll(&mut Context::from_waker(&waker)) {
                    return Outcome::Done(output);
                }
            }
        }
    }

    /// Counts a step, takes its virtual time, and keeps the limits.
    fn step(&self, id: u64) {
        self.steps.set(self.steps.get() + 1);
        self.now.set(self.now() + 100 + self.rng.below(2_000));
        self.trace(id, self.now());
        assert!(
            self.steps.get() <= self.steps_max,
            "the simulation takes more than {} steps; it is at {} ns\n{}",
            self.steps_max,
            self.now(),
            self.waiting()
        );
    }

    fn poll(&self, id: u64) {
        // Taken out while it runs: it may spawn.
        let task = self.tasks.borrow_mut().remove(&id);
        let Some(mut task) = task else { return };
        self.stall(task.shard);
        let waker = Waker::from(Arc::clone(&task.waker));
        if task.future.as_mut().poll(&mut Context::from_waker(&waker)).is_pending() {
            self.tasks.borrow_mut().insert(id, task);
        }
    }

    fn stall(&self, shard: ShardId) {
        if let Some((slow, stalls)) = self.slow_shard
            && slow == shard
            && self.rng.per_mille(stalls.per_mille)
        {
            self.stalled_until.set(self.now() + self.latency(nanos(stalls.longest)));
        }
    }

    /// Takes one of the runnable tasks out of the ready list.
    fn pick(&self) -> Option<Arc<TaskWaker>> {
        let mut ready = self.ready.lock();
        let held = match self.slow_shard {
            Some((slow, _)) if self.now() < self.stalled_until.get() => Some(slow),
            _ => None,
        };
        let picked = match held {
            None if ready.is_empty() => return None,
            None => self.rng.index(ready.len()),
            Some(held) => {
                let runnable = |task: &Arc<TaskWaker>| task.shard != Some(held);
                let n = ready.iter().filter(|task| runnable(task)).count();
                if n == 0 {
                    return None;
                }
                let nth = self.rng.index(n);
                let mut places = ready.iter().enumerate().filter(|(_, task)| runnable(task));
                places.nth(nth).expect("counted").0
            }
        };
        let next = ready.swap_remove(picked);
        next.queued.store(false, Ordering::Relaxed);
        Some(next)
    }

    fn fire_due(&self) {
        while !self.cut.get() {
            let mut events = self.events.borrow_mut();
            let Some(first) = events.first_entry() else { return };
            if self.now() < first.key().0 {
                return;
            }
            let event = first.remove();
            drop(events);
            match event {
                Event::Wake(waker) => waker.wake(),
                Event::Run(effect) => effect(),
            }
        }
    }

    /// Nothing is runnable: goes on at the next event, or at the end of a stall.
    fn jump(&self) {
        let event = self.events.borrow().keys().next().map(|(at, _)| *at);
        let stall = (!self.ready.lock().is_empty()).then(|| self.stalled_until.get());
        let next = match (event, stall) {
            (Some(event), Some(stall)) => event.min(stall),
            (Some(at), None) | (None, Some(at)) => at,
            (None, None) => {
                panic!("deadlock: no task can run and none waits for time\n{}", self.waiting())
            }
        };
        self.now.set(self.now().max(next));
        assert!(
            self.now() <= self.time_max,
            "the simulation passes {} ns of virtual time\n{}",
            self.time_max,
            self.waiting()
        );
    }

    /// The tasks that are not done, for a failure.
    fn waiting(&self) -> String {
        let tasks = self.tasks.borrow();
        let mut text = format!("{} tasks are not done:\n", tasks.len());
        for (id, task) in tasks.iter().take(50) {
            let (shard, group, at) = (task.shard.0, task.group.name(), task.spawned_at);
            let _ = writeln!(text, "  task {id} on shard {shard} in {group}, spawned at {at}");
        }
        text
    }

    /// Drops all tasks and events; nothing of them runs but their destructors.
    pub(crate) fn clear(&self) {
        self.cut.set(true);
        loop {
            let tasks = std::mem::take(&mut *self.tasks.borrow_mut());
            let events = std::mem::take(&mut *self.events.borrow_mut());
            if tasks.is_empty() && events.is_empty() {
                return;
            }
        }
    }
}

/// Says with which seed a run panicked.
struct TellSeed(u64);

impl Drop for TellSeed {
    #[expect(clippy::print_stderr, reason = "a failing simulation must name its seed")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the simulation that failed has seed {}", self.0);
        }
    }
}

/// Waits until a virtual time; leaves no event behind when it is dropped.
pub(crate) struct Sleep {
    engine: Rc<Engine>,
    until: u64,
    event: Option<(u64, u64)>,
}

impl Sleep {
    pub(crate) fn new(engine: Rc<Engine>, duration: Duration) -> Sleep {
        let late = engine.rng.below(20_000);
        let until = engine.now().saturating_add(nanos(duration)).saturating_add(late);
        Sleep { engine, until, event: None }
    }

    fn forget(&mut self) {
        if let Some(key) = self.event.take() {
            self.engine.events.borrow_mut().remove(&key);
        }
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        self.forget();
        if self.until <= self.engine.now() {
            return Poll::Ready(());
        }
        let after = self.until - self.engine.now();
        self.event = Some(self.engine.after(after, Event::Wake(context.waker().clone())));
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        self.forget();
    }
}
