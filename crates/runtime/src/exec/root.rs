//! The loop of a shard: the one task that the driver knows.
//!
//! Each turn takes what came, runs groups, sends what they left, and then either goes to the
//! driver or spins for a moment or blocks. It never wakes itself: with io_uring that keeps the
//! driver on a path that fires no completions of deferred work. With work left it starts an
//! operation that the kernel completes at once (the *kick*), so that the driver takes its
//! ordinary path of submit, wait, reap. This file and `net` are all that know the driver.

use std::cell::Cell;
use std::fs::File as StdFile;
use std::future::Future;
use std::io;
use std::net::TcpStream as StdTcpStream;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use buf::Pool;

use super::{Core, Station};
use crate::storage::StorageRing;
use crate::{clock, descriptor};

/// Spinning stops paying after this many losses more than wins, and starts again after a win.
const SPIN_SCORE_MAX: i32 = 8;
/// Trips to the driver that its last operations get before the ring is given up.
const DRAIN_TRIPS: u32 = 1000;

type Loop = Pin<Box<dyn Future<Output = ()>>>;

/// The kernel objects that a shard's loop waits on.
pub(crate) struct Bells {
    /// Always ready.
    pub(crate) kick: StdFile,
    /// Rung by other threads.
    pub(crate) doorbell: StdFile,
    pub(crate) timer: StdFile,
    /// The storage ring, ready when it has completions.
    pub(crate) storage: OwnedFd,
}

/// Whether an operation of a [`Loop`] may start, and whether it runs.
#[derive(Default)]
struct Gate {
    is_wanted: Cell<bool>,
    is_armed: Cell<bool>,
}

impl Gate {
    async fn wanted(&self) {
        std::future::poll_fn(|_| {
            if self.is_wanted.replace(false) { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        self.is_armed.set(true);
    }

    /// Polls `bell` so that an operation is in the ring.
    fn arm(&self, bell: &mut Loop, context: &mut Context<'_>) {
        if !self.is_armed.get() {
            self.is_wanted.set(true);
            let _ = bell.as_mut().poll(context);
        }
    }
}

/// Reads eight bytes of `file` whenever the gate lets it.
async fn read_when_wanted(file: StdFile, gate: Rc<Gate>) {
    let Ok(file) = monoio::fs::File::from_std(file) else { return };
    let mut buffer = vec![0u8; 8];
    loop {
        gate.wanted().await;
        (_, buffer) = file.read_at(buffer, 0).await;
        gate.is_armed.set(false);
    }
}

/// Waits for readiness of `ring` whenever the gate lets it.
async fn poll_when_wanted(ring: OwnedFd, gate: Rc<Gate>) {
    // The driver polls any descriptor, but only its sockets offer that.
    let Ok(ring) = monoio::net::TcpStream::from_std(StdTcpStream::from(ring)) else { return };
    loop {
        gate.wanted().await;
        let _ = ring.readable(false).await;
        gate.is_armed.set(false);
    }
}

struct Bell {
    gate: Rc<Gate>,
    run: Loop,
}

impl Bell {
    fn new<F: Future<Output = ()> + 'static>(run: impl FnOnce(Rc<Gate>) -> F) -> Bell {
        let gate = Rc::new(Gate::default());
        Bell { run: Box::pin(run(Rc::clone(&gate))), gate }
    }

    /// Takes a completion if one is there.
    fn look(&mut self, context: &mut Context<'_>) {
        if self.gate.is_armed.get() {
            let _ = self.run.as_mut().poll(context);
        }
    }

    fn arm(&mut self, context: &mut Context<'_>) {
        self.gate.arm(&mut self.run, context);
    }
}

struct SleepBells {
    doorbell: Bell,
    timer: Bell,
    storage: Bell,
}

/// The loop as a future; ready when the shard's main task is done and all tasks are dropped.
pub(crate) struct Root {
    core: Rc<Core>,
    storage: Rc<StorageRing>,
    stations: Vec<Rc<dyn Station>>,
    pool: Pool,
    kick: Bell,
    /// Gone when draining: dropping them cancels their operations.
    bells: Option<SleepBells>,
    timer_file: StdFile,
    /// When the armed timer fires.
    timer_ns: Option<u64>,
    spin_ns: u64,
    spin_score: i32,
    /// When the running idle phase began.
    idle_since_ns: Option<u64>,
    has_parked: bool,
    /// More memory came home than one turn takes back.
    has_returned: Cell<bool>,
    drained: Rc<Cell<bool>>,
    drain_trips: u32,
}

impl Root {
    pub(crate) fn new(
        core: Rc<Core>,
        storage: Rc<StorageRing>,
        stations: Vec<Rc<dyn Station>>,
        pool: Pool,
        bells: Bells,
        spin: Duration,
    ) -> io::Result<Root> {
        let Bells { kick, doorbell, timer, storage: ring } = bells;
        let timer_file = timer.try_clone()?;
        Ok(Root {
            core,
            storage,
            stations,
            pool,
            kick: Bell::new(|gate| read_when_wanted(kick, gate)),
            bells: Some(SleepBells {
                doorbell: Bell::new(|gate| read_when_wanted(doorbell, gate)),
                timer: Bell::new(|gate| read_when_wanted(timer, gate)),
                storage: Bell::new(|gate| poll_when_wanted(ring, gate)),
            }),
            timer_file,
            timer_ns: None,
            spin_ns: u64::try_from(spin.as_nanos()).unwrap_or(u64::MAX),
            spin_score: SPIN_SCORE_MAX / 2,
            idle_since_ns: None,
            has_parked: false,
            has_returned: Cell::new(false),
            drained: Rc::default(),
            drain_trips: 0,
        })
    }

    /// True once the driver's ring is known to be empty.
    pub(crate) fn drained(&self) -> Rc<Cell<bool>> {
        Rc::clone(&self.drained)
    }

    fn collect(&self) -> bool {
        let mut any = self.core.collect();
        any |= self.storage.collect();
        any |= self.core.timers.fire();
        for station in &self.stations {
            any |= station.collect();
        }
        any
    }

    fn flush(&self) {
        for station in &self.stations {
            station.flush();
        }
        self.storage.submit();
        self.has_returned.set(self.pool.collect());
    }

    fn has_work(&self) -> bool {
        self.core.has_work()
            || self.storage.has_completions()
            || self.storage.has_unsent()
            || self.has_returned.get()
            || self.stations.iter().any(|station| station.has_work())
            || self.core.timers.earliest_ns().is_some_and(|due_ns| due_ns <= clock::now_ns())
    }

    fn go_to_driver(&mut self, context: &mut Context<'_>) -> Poll<()> {
        self.core.count(|counters| counters.kicks += 1);
        self.kick.arm(context);
        Poll::Pending
    }

    /// Blocks in the driver until something comes; false if there is something already.
    fn park(&mut self, context: &mut Context<'_>) -> bool {
        self.core.remote().announce_sleep();
        if self.has_work() {
            self.core.remote().announce_awake();
            return false;
        }
        self.arm_timer(context);
        if self.storage.in_flight() != 0
            && let Some(bells) = &mut self.bells
        {
            bells.storage.arm(context);
        }
        self.core.set_idle(true);
        self.has_parked = true;
        self.core.count(|counters| counters.parks += 1);
        true
    }

    fn arm_timer(&mut self, context: &mut Context<'_>) {
        let Some(due_ns) = self.core.timers.earliest_ns() else { return };
        let now_ns = clock::now_ns();
        let is_armed = self.timer_ns.is_some_and(|at_ns| now_ns < at_ns && at_ns <= due_ns);
        if !is_armed {
            let after = Duration::from_nanos(due_ns.saturating_sub(now_ns));
            if descriptor::arm(&self.timer_file, after).is_ok() {
                self.timer_ns = Some(due_ns);
            }
        }
        if let Some(bells) = &mut self.bells {
            bells.timer.arm(context);
        }
    }

    /// Work came after an idle phase: learns whether a spin would have been, or was, worth it.
    fn note_work(&mut self) {
        let Some(since_ns) = self.idle_since_ns.take() else { return };
        let idle_ns = clock::now_ns().saturating_sub(since_ns);
        let change = if idle_ns <= self.spin_ns { 1 } else { -1 };
        self.spin_score = (self.spin_score + change).clamp(-SPIN_SCORE_MAX, SPIN_SCORE_MAX);
        if !self.has_parked {
            self.core.count(|counters| counters.spins_won += 1);
        }
        self.has_parked = false;
    }

    /// Whether to look again instead of blocking.
    fn should_spin(&mut self) -> bool {
        let now_ns = clock::now_ns();
        let since_ns = *self.idle_since_ns.get_or_insert(now_ns);
        !self.has_parked
            && 0 < self.spin_score
            && self.core.can_peek()
            && now_ns - since_ns < self.spin_ns
    }

    fn turn(&mut self, context: &mut Context<'_>) -> Poll<()> {
        loop {
            self.collect();
            let ran = self.core.run(self.storage.has_foreground_in_flight());
            self.flush();
            if self.core.is_done() {
                return Poll::Ready(());
            }
            if ran {
                self.note_work();
            }
            if self.core.has_runnable() {
                return self.go_to_driver(context);
            }
            if self.core.sees_completions() {
                // What is in the storage ring already needs no system call.
                if self.storage.has_completions() {
                    continue;
                }
                return self.go_to_driver(context);
            }
            if self.should_spin() {
                if ran && self.core.sees_submissions() {
                    return self.go_to_driver(context);
                }
                std::hint::spin_loop();
                continue;
            }
            if self.park(context) {
                return Poll::Pending;
            }
        }
    }

    /// Makes trips until the driver's ring holds nothing any more.
    fn drain(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let is_empty = self.core.driver_in_flight() == Some(0);
        if is_empty || self.drain_trips == DRAIN_TRIPS {
            self.drained.set(is_empty);
            return Poll::Ready(());
        }
        self.drain_trips += 1;
        self.kick.arm(context);
        Poll::Pending
    }
}

impl Future for Root {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let root = &mut *self;
        root.core.remote().announce_awake();
        root.core.set_idle(false);
        root.core.set_root(context.waker());
        root.core.note_trip();
        root.kick.look(context);
        if let Some(bells) = &mut root.bells {
            bells.timer.look(context);
            bells.storage.look(context);
            bells.doorbell.look(context);
            bells.doorbell.arm(context);
            if root.turn(context).is_pending() {
                return Poll::Pending;
            }
            root.bells = None;
            root.core.drop_tasks();
            root.storage.drain();
            root.stations.clear();
        }
        root.drain(context)
    }
}
