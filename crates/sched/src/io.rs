//! Which background I/O may be in flight on one shard.
//!
//! What hurts a small foreground write is the number of background bytes that the device works
//! on, not their rate: so background requests queue here, by group, and are admitted into a
//! window of bytes. Foreground requests do not come here at all. The window shrinks when the
//! foreground's measured latency passes twice its own quiet latency, and grows back slowly while
//! background work waits (additive increase, multiplicative decrease).
//!
//! Owns the queues of request numbers, the window and the split rule. It does not issue, and it
//! knows no device. Cost is counted when a request is admitted, not when it is queued.

use std::collections::VecDeque;

use crate::Shares;
use crate::device::Kind;

/// The window a shard starts with, and returns to when the foreground comes back: 2 x 128 KiB.
pub const WINDOW_START_BYTES: u64 = 2 * 128 * 1024;
/// The window never shrinks below this.
pub const WINDOW_MIN_BYTES: u64 = 64 * 1024;
/// The window's limit while the foreground does I/O.
pub const WINDOW_MAX_BYTES: u64 = 1024 * 1024;
/// The window's limit when the foreground does none.
pub const WINDOW_MAX_ALONE_BYTES: u64 = 4 * 1024 * 1024;
/// The largest piece that a background request is split into.
pub const PIECE_MAX_BYTES: u64 = 128 * 1024;
/// How often the window is adapted.
pub const ADAPT_INTERVAL_NS: u64 = 20_000_000;
/// Without foreground I/O for this long the background counts as alone.
pub const ALONE_AFTER_NS: u64 = 1_000_000_000;

const PIECE_MIN_BYTES: u64 = 32 * 1024;
const GOAL_MIN_NS: u64 = 300_000;
const GOAL_MAX_NS: u64 = 20_000_000;
const GOAL_UNKNOWN_NS: u64 = 1_000_000;

/// A request that may be issued now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Admitted {
    /// The number it was queued under.
    pub id: u64,
    /// Its bytes, to give back with [`Admission::complete`].
    pub bytes: u64,
}

#[derive(Clone, Debug)]
struct Queue {
    shares: Shares,
    /// Bytes admitted, scaled by 1024 / shares.
    virtual_bytes: u64,
    waiting: VecDeque<Admitted>,
}

/// The background I/O of one shard: queues by group, and the window.
#[derive(Clone, Debug)]
pub struct Admission {
    queues: Vec<Queue>,
    virtual_now: u64,
    in_flight_bytes: u64,
    window: Window,
}

impl Admission {
    /// Queues for the groups `0..shares.len()`; the window at its start.
    #[must_use]
    pub fn new(shares: &[Shares]) -> Admission {
        let queue =
            |shares: &Shares| Queue { shares: *shares, virtual_bytes: 0, waiting: VecDeque::new() };
        Admission {
            queues: shares.iter().map(queue).collect(),
            virtual_now: 0,
            in_flight_bytes: 0,
            window: Window::new(),
        }
    }

    /// Queues request `id` of `group`. In order within the group.
    pub fn enqueue(&mut self, group: usize, id: u64, bytes: u64) {
        let queue = &mut self.queues[group];
        if queue.waiting.is_empty() {
            queue.virtual_bytes = queue.virtual_bytes.max(self.virtual_now);
        }
        queue.waiting.push_back(Admitted { id, bytes });
    }

    /// The next request that the window has room for. One is always admitted when none is in
    /// flight, however large.
    pub fn admit(&mut self) -> Option<Admitted> {
        let waiting = self.queues.iter_mut().filter(|queue| !queue.waiting.is_empty());
        let queue = waiting.min_by_key(|queue| queue.virtual_bytes)?;
        let next = *queue.waiting.front()?;
        let after = self.in_flight_bytes + next.bytes;
        if 0 < self.in_flight_bytes && self.window.bytes() < after {
            self.window.limited = true;
            return None;
        }
        queue.waiting.pop_front();
        self.virtual_now = self.virtual_now.max(queue.virtual_bytes);
        queue.virtual_bytes += next.bytes * 1024 / u64::from(queue.shares.get());
        self.in_flight_bytes = after;
        Some(next)
    }

    /// An admitted request of `bytes` is over, or was never issued.
    ///
    /// # Panics
    /// If more is given back than was admitted.
    pub fn complete(&mut self, bytes: u64) {
        assert!(bytes <= self.in_flight_bytes, "more background I/O ended than began");
        self.in_flight_bytes -= bytes;
    }

    /// Changes the weight of `group`; what it was admitted before does not count again.
    pub fn set_shares(&mut self, group: usize, shares: Shares) {
        self.queues[group].shares = shares;
    }

    /// Background bytes that are in flight.
    #[must_use]
    pub fn in_flight_bytes(&self) -> u64 {
        self.in_flight_bytes
    }

    /// Whether a request waits.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        self.queues.iter().any(|queue| !queue.waiting.is_empty())
    }

    /// The window.
    #[must_use]
    pub fn window(&self) -> &Window {
        &self.window
    }

    /// The window, to tell it of foreground requests.
    pub fn window_mut(&mut self) -> &mut Window {
        &mut self.window
    }

    /// Into pieces of how many bytes, a multiple of 4096, a background request is split.
    #[must_use]
    pub fn piece_bytes(&self) -> u64 {
        let half = self.window.bytes() / 2;
        half.clamp(PIECE_MIN_BYTES, PIECE_MAX_BYTES) / 4096 * 4096
    }
}

/// How many background bytes may be in flight.
#[derive(Clone, Debug)]
pub struct Window {
    bytes: u64,
    /// Quiet latency by [`Kind`]: of requests during which no background I/O was in flight.
    quiet_ns: [Option<u64>; 3],
    samples: u64,
    over: u64,
    /// Whether a background request had to wait since the last adaption.
    limited: bool,
    adapted_ns: u64,
    foreground_ns: Option<u64>,
}

impl Window {
    fn new() -> Window {
        Window {
            bytes: WINDOW_START_BYTES,
            quiet_ns: [None; 3],
            samples: 0,
            over: 0,
            limited: false,
            adapted_ns: 0,
            foreground_ns: None,
        }
    }

    /// The window in bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// A foreground request starts.
    pub fn foreground_starts(&mut self, now_ns: u64) {
        if self.is_alone(now_ns) {
            self.bytes = self.bytes.min(WINDOW_START_BYTES);
        }
        self.foreground_ns = Some(now_ns);
    }

    /// A foreground request ended. `quiet` says that no background I/O was in flight from its
    /// start to its end. Latency counts without the time that its bytes need on a fast device.
    pub fn foreground_ended(&mut self, kind: Kind, bytes: u64, latency_ns: u64, quiet: bool) {
        let latency_ns = latency_ns.saturating_sub(bytes);
        if quiet {
            let known = &mut self.quiet_ns[kind as usize];
            *known = Some(known.map_or(latency_ns, |known| (known * 7 + latency_ns) / 8));
            return;
        }
        self.samples += 1;
        if self.goal_ns(kind) < latency_ns {
            self.over += 1;
        }
    }

    /// The latency that the foreground's requests of `kind` should stay below.
    #[must_use]
    pub fn goal_ns(&self, kind: Kind) -> u64 {
        self.quiet_ns[kind as usize]
            .map_or(GOAL_UNKNOWN_NS, |quiet_ns| (2 * quiet_ns).clamp(GOAL_MIN_NS, GOAL_MAX_NS))
    }

    /// Adapts the window if it is time to: down by 30 % when more than a tenth of the
    /// foreground's requests missed their goal, up by 5 % when none did and work waited.
    pub fn adapt(&mut self, now_ns: u64) {
        if now_ns.saturating_sub(self.adapted_ns) < ADAPT_INTERVAL_NS {
            return;
        }
        self.adapted_ns = now_ns;
        if self.samples < 10 * self.over {
            self.bytes = (self.bytes * 7 / 10).max(WINDOW_MIN_BYTES);
        } else if self.limited {
            let max = if self.is_alone(now_ns) { WINDOW_MAX_ALONE_BYTES } else { WINDOW_MAX_BYTES };
            self.bytes = (self.bytes + (self.bytes / 20).max(4096)).min(max.max(self.bytes));
        }
        self.samples = 0;
        self.over = 0;
        self.limited = false;
    }

    fn is_alone(&self, now_ns: u64) -> bool {
        self.foreground_ns.is_none_or(|last| ALONE_AFTER_NS <= now_ns.saturating_sub(last))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admission() -> Admission {
        Admission::new(&[100, 300].map(|shares| Shares::new(shares).unwrap()))
    }

    #[test]
    fn the_window_holds_and_the_shares_decide_within_it() {
        let mut io = admission();
        for id in 0..400 {
            io.enqueue(usize::from(id % 2 == 1), id, PIECE_MAX_BYTES);
        }
        let mut by_group = [0; 2];
        for _ in 0..200 {
            let admitted = io.admit().unwrap();
            by_group[usize::from(admitted.id % 2 == 1)] += 1;
            io.complete(admitted.bytes);
        }
        assert!((48..=52).contains(&by_group[0]), "{by_group:?}");
        assert!(io.admit().is_some() && io.admit().is_some());
        assert_eq!(io.admit(), None);
        assert_eq!(io.in_flight_bytes(), WINDOW_START_BYTES);
    }

    #[test]
    fn a_request_larger_than_the_window_goes_alone() {
        let mut io = admission();
        io.enqueue(0, 1, 10 * WINDOW_START_BYTES);
        io.enqueue(0, 2, 1);
        assert_eq!(io.admit().unwrap().id, 1);
        assert_eq!(io.admit(), None);
        io.complete(10 * WINDOW_START_BYTES);
        assert_eq!(io.admit().unwrap().id, 2);
    }

    #[test]
    fn slow_foreground_shrinks_the_window_and_fast_foreground_lets_it_grow() {
        let mut io = admission();
        let mut now_ns = ADAPT_INTERVAL_NS;
        io.window_mut().foreground_starts(now_ns);
        io.window_mut().foreground_ended(Kind::Sync, 0, 200_000, true);
        assert_eq!(io.window().goal_ns(Kind::Sync), 400_000);
        for _ in 0..20 {
            now_ns += ADAPT_INTERVAL_NS;
            io.window_mut().foreground_starts(now_ns);
            io.window_mut().foreground_ended(Kind::Sync, 0, 900_000, false);
            io.window_mut().adapt(now_ns);
        }
        assert_eq!(io.window().bytes(), WINDOW_MIN_BYTES);
        assert_eq!(io.piece_bytes(), PIECE_MIN_BYTES);
        for _ in 0..200 {
            now_ns += ADAPT_INTERVAL_NS;
            for id in 0..100 {
                io.enqueue(0, id, PIECE_MIN_BYTES);
            }
            while let Some(_admitted) = io.admit() {}
            io.window_mut().foreground_starts(now_ns);
            io.window_mut().foreground_ended(Kind::Sync, 0, 300_000, false);
            io.window_mut().adapt(now_ns);
            io.complete(io.in_flight_bytes());
        }
        assert_eq!(io.window().bytes(), WINDOW_MAX_BYTES);
    }

    #[test]
    fn the_foreground_finds_the_start_window_after_a_pause() {
        let mut io = admission();
        let mut now_ns = ALONE_AFTER_NS;
        for _ in 0..200 {
            now_ns += ADAPT_INTERVAL_NS;
            io.window_mut().limited = true;
            io.window_mut().adapt(now_ns);
        }
        assert_eq!(io.window().bytes(), WINDOW_MAX_ALONE_BYTES);
        io.window_mut().foreground_starts(now_ns);
        assert_eq!(io.window().bytes(), WINDOW_START_BYTES);
    }
}
