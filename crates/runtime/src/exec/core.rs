//! The state of one shard's executor: queues by group, the policy, and a turn of running tasks.
//!
//! Owns which task runs. It does not own the driver: `root.rs` decides when to go there.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::VecDeque;
use std::future::Future;
use std::panic::Location;
use std::ptr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Waker;

use async_task::Runnable;
use env::Group;
use env::sync::Signal;
use sched::Shares;
use sched::cpu::{CpuPolicy, Params};

use super::turn::Turn;
use super::{Meta, RingMap, task};
use crate::delay::Delay;
use crate::remote::{self, Remote};
use crate::shares::Count;
use crate::timer::Timers;
use crate::{clock, groups, watchdog};

const GROUPS: usize = Group::ALL.len();
/// After a poll longer than this, it is asked whether the operating system ran somebody else.
const SUSPICIOUS_NS: u64 = 1_000_000;
/// A part of the shard that the loop looks at on every turn.
pub(crate) trait Station {
    /// Takes what came; true if a task was woken.
    fn collect(&self) -> bool;
    /// Sends what tasks left to be sent.
    fn flush(&self);
    /// Whether `collect` would find something. Called before the shard blocks.
    fn has_work(&self) -> bool;
}

/// What a shard did, for tests and metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counters {
    /// Task polls.
    pub polls: u64,
    /// Turns of a group.
    pub switches: u64,
    /// Trips to the driver with work left to do.
    pub kicks: u64,
    /// Times the shard blocked.
    pub parks: u64,
    /// Times it found work while spinning.
    pub spins_won: u64,
    /// Polls that took longer than [`crate::STALL_NS`].
    pub stalls: u64,
    /// Nanoseconds in which the operating system ran others, as far as they were noticed; charged
    /// to nobody.
    pub delayed_ns: u64,
}

/// One shard's executor.
pub(crate) struct Core {
    remote: Remote,
    policy: RefCell<CpuPolicy>,
    queues: [RefCell<VecDeque<Runnable<Meta>>>; GROUPS],
    /// Wakers of all tasks that live, to wake and drop them at the end.
    tasks: RefCell<Vec<Option<Waker>>>,
    free_tasks: RefCell<Vec<usize>>,
    /// The clock as it was last read; at most a poll old while tasks run.
    now_ns: Cell<u64>,
    turn: Turn,
    /// Wakes the root; only needed while `is_idle`.
    root: RefCell<Option<Waker>>,
    is_idle: Cell<bool>,
    running: Cell<Option<(Group, &'static Location<'static>)>>,
    done: Cell<bool>,
    /// The driver's ring and the storage ring, where they could be mapped.
    maps: OnceCell<[RingMap; 2]>,
    delay: Delay,
    pub(crate) timers: Timers,
    pub(crate) stopped: Signal,
    counters: Cell<Counters>,
}

impl Core {
    pub(crate) fn new(remote: Remote) -> Rc<Core> {
        let params: Vec<Params> = Group::ALL.into_iter().map(groups::params).collect();
        Rc::new(Core {
            remote,
            policy: RefCell::new(CpuPolicy::new(&params)),
            queues: std::array::from_fn(|_| RefCell::default()),
            tasks: RefCell::default(),
            free_tasks: RefCell::default(),
            now_ns: Cell::new(0),
            turn: Turn::new(),
            root: RefCell::default(),
            is_idle: Cell::new(false),
            running: Cell::new(None),
            done: Cell::new(false),
            maps: OnceCell::new(),
            delay: Delay::of_this_thread(),
            timers: Timers::default(),
            stopped: Signal::new(),
            counters: Cell::default(),
        })
    }

    /// Wakes on this thread come to this core from now on.
    pub(crate) fn install(self: &Rc<Core>) {
        task::set_current(Some(Rc::clone(self)));
    }

    /// Lets the core see completions ahead.
    pub(crate) fn set_maps(&self, driver: RingMap, storage: RingMap) {
        let _ = self.maps.set([driver, storage]);
    }

    pub(crate) fn remote(&self) -> &Arc<remote::Inner> {
        &self.remote.inner
    }

    pub(crate) fn handle(&self) -> Remote {
        self.remote.clone()
    }

    pub(crate) fn running(&self) -> Option<(Group, &'static Location<'static>)> {
        self.running.get()
    }

    pub(crate) fn spawn(
        self: &Rc<Core>,
        group: Group,
        site: &'static Location<'static>,
        future: impl Future<Output = ()> + 'static,
    ) {
        if self.remote().is_closed() {
            return;
        }
        task::spawn(self, group, site, future);
    }

    pub(super) fn reserve_task(&self) -> usize {
        if let Some(place) = self.free_tasks.borrow_mut().pop() {
            return place;
        }
        let mut tasks = self.tasks.borrow_mut();
        tasks.push(None);
        tasks.len() - 1
    }

    pub(super) fn keep_task(&self, place: usize, waker: Waker) {
        self.tasks.borrow_mut()[place] = Some(waker);
    }

    pub(super) fn forget_task(&self, place: usize) {
        let waker = self.tasks.borrow_mut()[place].take();
        self.free_tasks.borrow_mut().push(place);
        drop(waker);
    }

    /// Queues a task that was woken on this thread.
    pub(super) fn push(&self, task: Runnable<Meta>) {
        let group = task.metadata().group as usize;
        let mut queue = self.queues[group].borrow_mut();
        queue.push_back(task);
        if queue.len() == 1 {
            drop(queue);
            self.policy.borrow_mut().wake(group, self.now_ns.get());
        }
        if self.is_idle.replace(false)
            && let Some(root) = self.root.borrow().as_ref()
        {
            root.wake_by_ref();
        }
    }

    /// Takes tasks that other threads woke, and the request to stop.
    pub(super) fn collect(&self) -> bool {
        self.now_ns.set(clock::now_ns());
        let mut any = false;
        while let Some(task) = self.remote().take_injected() {
            self.push(task);
            any = true;
        }
        if self.remote().stop.load(Ordering::Relaxed) && self.stopped.seen() == 0 {
            self.stopped.notify();
            any = true;
        }
        any
    }

    pub(super) fn has_work(&self) -> bool {
        self.has_runnable()
            || self.remote().has_injected()
            || (self.remote().stop.load(Ordering::Relaxed) && self.stopped.seen() == 0)
    }

    pub(super) fn has_runnable(&self) -> bool {
        !self.policy.borrow().is_idle()
    }

    /// Runs tasks until the poll interval is over, completions wait, a group switch would leave
    /// submissions behind, or nothing is runnable. True if anything ran.
    pub(super) fn run(&self, foreground_in_flight: bool) -> bool {
        let mut now_ns = self.now_ns.get();
        self.delay.refresh(now_ns);
        let interval_ns = self.policy.borrow().poll_interval_ns(now_ns, foreground_in_flight);
        let trip_ns = now_ns + interval_ns;
        let mut any = false;
        loop {
            let Some(pick) = self.policy.borrow_mut().pick(now_ns) else { return any };
            let until_ns = pick.until_ns.min(trip_ns);
            any = true;
            now_ns = self.run_group(pick.group, now_ns, until_ns);
            if trip_ns <= now_ns || self.sees_completions() {
                return true;
            }
            if self.sees_submissions() && self.policy.borrow().others_runnable(pick.group) {
                return true;
            }
        }
    }

    /// One turn of one group. Gives the time at its end.
    fn run_group(&self, group: usize, start_ns: u64, until_ns: u64) -> u64 {
        self.turn.begin(until_ns);
        let mut now_ns = start_ns;
        let mut delayed_ns = 0;
        let mut counters = self.counters.get();
        counters.switches += 1;
        loop {
            // The borrow ends before the task runs: it may wake others of its group.
            let next = self.queues[group].borrow_mut().pop_front();
            let Some(task) = next else { break };
            let (task_group, site) = (task.metadata().group, task.metadata().site);
            self.begin_poll(task_group, site, now_ns);
            task.run();
            let end_ns = clock::now_ns();
            self.now_ns.set(end_ns);
            self.end_poll();
            counters.polls += 1;
            if SUSPICIOUS_NS < end_ns - now_ns {
                let lost_ns = self.delay.take_ns().min(end_ns - now_ns);
                delayed_ns += lost_ns;
                let took_ns = end_ns - now_ns - lost_ns;
                if watchdog::STALL_NS < took_ns {
                    counters.stalls += 1;
                    watchdog::report(self.remote(), task_group, site, took_ns);
                }
            }
            now_ns = end_ns;
            if until_ns <= now_ns || self.sees_completions() {
                break;
            }
        }
        counters.delayed_ns += delayed_ns;
        self.counters.set(counters);
        let still = !self.queues[group].borrow().is_empty();
        let ran_ns = now_ns - start_ns - delayed_ns;
        let mut policy = self.policy.borrow_mut();
        policy.ran(group, ran_ns, still, now_ns);
        let cell = self.remote().groups.cell(group);
        cell.set(Count::CpuNs, policy.ran_ns(group));
        cell.set(Count::CpuWaitedNs, policy.waited_ns(group));
        now_ns
    }

    fn begin_poll(&self, group: Group, site: &'static Location<'static>, now_ns: u64) {
        self.turn.begin_poll(now_ns);
        self.running.set(Some((group, site)));
        let running = &self.remote().running;
        running.group.store(group as u8, Ordering::Relaxed);
        running.site.store(ptr::from_ref(site).cast_mut(), Ordering::Relaxed);
        let sequence = running.sequence.load(Ordering::Relaxed);
        running.sequence.store(sequence + 1, Ordering::Release);
    }

    fn end_poll(&self) {
        self.running.set(None);
        let running = &self.remote().running;
        let sequence = running.sequence.load(Ordering::Relaxed);
        running.sequence.store(sequence + 1, Ordering::Release);
    }

    /// Whether the running task should give way.
    #[inline]
    pub(crate) fn should_yield(&self) -> bool {
        self.sees_completions() || self.turn.is_over()
    }

    /// Whether completions wait in a ring; false when that cannot be seen.
    #[inline]
    pub(super) fn sees_completions(&self) -> bool {
        self.maps.get().is_some_and(|maps| maps.iter().any(RingMap::has_completions))
    }

    /// The driver was visited since the last call.
    pub(super) fn note_trip(&self) {
        self.maps.get().into_iter().flatten().for_each(RingMap::note_trip);
    }

    /// Whether submissions wait for the driver; true when that cannot be seen.
    #[inline]
    pub(super) fn sees_submissions(&self) -> bool {
        self.maps.get().is_none_or(|maps| maps.iter().any(RingMap::has_submissions))
    }

    /// Whether completions can be seen ahead, so that spinning makes sense.
    pub(super) fn can_peek(&self) -> bool {
        self.maps.get().is_some()
    }

    /// Operations in the driver's ring; `None` when that cannot be seen.
    pub(super) fn driver_in_flight(&self) -> Option<u32> {
        self.maps.get().map(|maps| maps[0].in_flight())
    }

    pub(super) fn set_root(&self, waker: &Waker) {
        let mut root = self.root.borrow_mut();
        if !root.as_ref().is_some_and(|root| root.will_wake(waker)) {
            *root = Some(waker.clone());
        }
    }

    pub(super) fn set_idle(&self, is_idle: bool) {
        self.is_idle.set(is_idle);
    }

    pub(crate) fn finish(&self) {
        self.done.set(true);
    }

    pub(super) fn is_done(&self) -> bool {
        self.done.get()
    }

    /// Drops every task, on the thread that they belong to.
    pub(super) fn drop_tasks(&self) {
        self.remote().close();
        // Dropping a task may wake others, which are queued and dropped on the next round.
        loop {
            let tasks: Vec<Waker> =
                self.tasks.borrow_mut().iter_mut().filter_map(Option::take).collect();
            tasks.into_iter().for_each(Waker::wake);
            let mut any = self.collect();
            for queue in &self.queues {
                while let Some(task) = { queue.borrow_mut().pop_front() } {
                    any = true;
                    drop(task);
                }
            }
            if !any {
                break;
            }
        }
        task::set_current(None);
        while let Some(task) = self.remote().take_injected() {
            drop(task);
        }
    }

    pub(super) fn count(&self, change: impl FnOnce(&mut Counters)) {
        let mut counters = self.counters.get();
        change(&mut counters);
        self.counters.set(counters);
    }

    pub(crate) fn counters(&self) -> Counters {
        self.counters.get()
    }

    pub(crate) fn set_shares(&self, group: Group, shares: Shares) {
        let mut policy = self.policy.borrow_mut();
        let level = policy.params(group as usize).level;
        policy.set(group as usize, Params { shares, level });
    }

    pub(crate) fn shares(&self, group: Group) -> Shares {
        self.policy.borrow().params(group as usize).shares
    }

    pub(crate) fn ran_ns(&self, group: Group) -> u64 {
        self.policy.borrow().ran_ns(group as usize)
    }
}
