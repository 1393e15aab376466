//! How many shares work in the background needs to keep up, decided once a second.
//!
//! Feed-forward from measured cost: the bytes that must be worked on each second, times what a byte
//! was seen to cost, is the part of a core or device that is needed, and with the shares of those
//! who contend that is a number of shares. A slow trim corrects what the model misses, a veto holds
//! growth while the foreground is late, and floors act when the disk fills up. Owns no clock: one
//! call of [`BacklogControl::decide`] is one second.

use crate::Shares;

/// Fewest shares that are ever given.
pub const FLOOR: u16 = 50;
/// Most shares that are ever given.
pub const CEILING: u16 = 1000;
/// The backlog is to be gone after this many seconds, if the disk lasts twice as long.
pub const HORIZON_S: u64 = 600;
/// After this many seconds in a row with a late foreground nothing grows.
pub const VETO_AFTER_S: u32 = 5;
/// From this part of the disk in use, in thousandths, shares are at least [`FULL_FLOOR`].
pub const FULL_PERMILLE: u64 = 850;
/// The floor on a disk that fills up.
pub const FULL_FLOOR: u16 = 500;
/// From this part of the disk in use, in thousandths, shares are at the ceiling.
pub const EMERGENCY_PERMILLE: u64 = 920;

/// Of a resource, at most this part is planned for, in millionths.
const NEED_MAX_PPM: u64 = 950_000;
/// The trim's limits: factors of a quarter and of four, as thousandths of a power of two.
const TRIM_MAX: i64 = 2000;
/// The error divided by this acts at once.
const TRIM_AT_ONCE: i64 = 4;
/// The part of the trim that remembers moves by the error divided by this, each second.
const TRIM_SECONDS: i64 = 300;

/// What was seen in the last second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// Bytes that wait to be worked on, each as often as it has to be.
    pub backlog_bytes: u64,
    /// Bytes that were added to the backlog.
    pub added_bytes: u64,
    /// Bytes that were worked on.
    pub done_bytes: u64,
    /// CPU time that this took, in nanoseconds.
    pub cpu_ns: u64,
    /// Device time that this took, in nanoseconds.
    pub device_ns: u64,
    /// CPU shares of the other groups that had work, added up.
    pub cpu_contenders: u64,
    /// I/O shares of the other groups that had work, added up.
    pub io_contenders: u64,
    /// The group waited for CPU or I/O that others had.
    pub was_denied: bool,
    /// The foreground missed its latency goal.
    pub foreground_late: bool,
    /// Bytes of the disk that may still be used.
    pub disk_free_bytes: u64,
    /// Bytes of the disk.
    pub disk_bytes: u64,
}

/// What the group gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// CPU shares.
    pub cpu: Shares,
    /// I/O shares.
    pub io: Shares,
    /// The trim as thousandths of a power of two; 0 changes nothing.
    pub trim: i64,
    /// Growth was held because the foreground is late.
    pub is_vetoed: bool,
    /// The floor in force.
    pub floor: u16,
}

/// The controller of one group on one shard.
#[derive(Clone, Debug)]
pub struct BacklogControl {
    target_bytes: u64,
    cpu: Cost,
    io: Cost,
    /// The part of the trim that remembers.
    learnt: i64,
    late_s: u32,
}

/// What a resource costs, and what was given of it.
#[derive(Clone, Debug)]
struct Cost {
    /// Nanoseconds for each mebibyte, as seen lately; `None` before the first byte.
    mib_ns: Option<u64>,
    shares: u64,
}

impl Cost {
    fn new() -> Cost {
        Cost { mib_ns: None, shares: u64::from(FLOOR) }
    }

    /// Learns from `ns` that were spent on `bytes`; a sixteenth of a second's cost counts.
    fn learn(&mut self, ns: u64, bytes: u64) {
        if bytes < 1 << 16 {
            return;
        }
        let seen = u128::from(ns) * (1 << 20) / u128::from(bytes);
        let seen = u64::try_from(seen).unwrap_or(u64::MAX / 16).min(u64::MAX / 16);
        self.mib_ns = Some(self.mib_ns.map_or(seen, |known| known - known / 16 + seen / 16));
    }

    /// Shares that give `bytes_s` bytes a second beside `contenders`.
    fn needed(&self, bytes_s: u64, contenders: u64) -> u64 {
        let Some(mib_ns) = self.mib_ns else { return u64::from(FLOOR) };
        let ns = (u128::from(bytes_s) * u128::from(mib_ns)) >> 20;
        let ppm = u64::try_from(ns / 1000).unwrap_or(u64::MAX).min(NEED_MAX_PPM);
        contenders.saturating_mul(ppm) / (1_000_000 - ppm)
    }

    /// Moves to `wanted`, by at most a quarter; a difference below a twentieth is none. `floor`
    /// goes before everything else.
    fn move_to(&mut self, wanted: u64, may_grow: bool, floor: u64) {
        let now = self.shares;
        let step = (now / 4).max(1);
        let mut next = wanted.clamp(u64::from(FLOOR), u64::from(CEILING));
        if next.abs_diff(now) * 20 <= now {
            next = now;
        }
        next = next.clamp(now.saturating_sub(step), now + step);
        if !may_grow {
            next = next.min(now);
        }
        self.shares = next.clamp(floor, u64::from(CEILING));
    }

    fn shares(&self) -> Shares {
        let shares = u16::try_from(self.shares).unwrap_or(CEILING);
        Shares::new(shares).expect("between floor and ceiling")
    }
}

impl BacklogControl {
    /// A controller that aims at a backlog of `target_bytes`, at least 1.
    #[must_use]
    pub fn new(target_bytes: u64) -> BacklogControl {
        BacklogControl {
            target_bytes: target_bytes.max(1),
            cpu: Cost::new(),
            io: Cost::new(),
            learnt: 0,
            late_s: 0,
        }
    }

    /// Aims at `target_bytes` from now on: bytes like those of [`new`](BacklogControl::new) and of
    /// [`Reading::backlog_bytes`].
    pub fn set_target(&mut self, target_bytes: u64) {
        self.target_bytes = target_bytes.max(1);
    }

    /// A second is over.
    pub fn decide(&mut self, seen: &Reading) -> Decision {
        self.cpu.learn(seen.cpu_ns, seen.done_bytes);
        self.io.learn(seen.device_ns, seen.done_bytes);
        self.late_s = if seen.foreground_late { self.late_s.saturating_add(1) } else { 0 };
        let is_vetoed = VETO_AFTER_S <= self.late_s;
        let floor = disk_floor(seen);
        let bytes_s = seen.added_bytes + seen.backlog_bytes / horizon_s(seen);
        let error = log2_milli(seen.backlog_bytes.max(1)) - log2_milli(self.target_bytes);
        let error = error.clamp(-TRIM_MAX, TRIM_MAX);
        let trim = (self.learnt + error / TRIM_AT_ONCE).clamp(-TRIM_MAX, TRIM_MAX);
        let cpu = trimmed(self.cpu.needed(bytes_s, seen.cpu_contenders), trim);
        let io = trimmed(self.io.needed(bytes_s, seen.io_contenders), trim);
        self.cpu.move_to(cpu, !is_vetoed, u64::from(floor));
        self.io.move_to(io, !is_vetoed, u64::from(floor));
        // Integrated only where it can act: not at a limit, and not while nobody else wanted what
        // the group did not use.
        let is_free = |wanted: u64| u64::from(FLOOR) < wanted && wanted < u64::from(CEILING);
        let may_raise = seen.was_denied && !is_vetoed && (is_free(cpu) || is_free(io));
        if may_raise || (error < 0 && 0 < self.learnt) {
            self.learnt = (self.learnt + error / TRIM_SECONDS).clamp(-TRIM_MAX, TRIM_MAX);
        }
        Decision { cpu: self.cpu.shares(), io: self.io.shares(), trim, is_vetoed, floor }
    }
}

/// Seconds in which the backlog is to be gone: half of the time until the disk is full, if that is
/// less than [`HORIZON_S`].
fn horizon_s(seen: &Reading) -> u64 {
    let grows = seen.added_bytes.saturating_sub(seen.done_bytes);
    let lasts_s = seen.disk_free_bytes.checked_div(grows).unwrap_or(u64::MAX);
    (lasts_s / 2).clamp(1, HORIZON_S)
}

fn disk_floor(seen: &Reading) -> u16 {
    let used = seen.disk_bytes.saturating_sub(seen.disk_free_bytes);
    let permille = u128::from(used) * 1000 / u128::from(seen.disk_bytes.max(1));
    if u128::from(EMERGENCY_PERMILLE) <= permille {
        CEILING
    } else if u128::from(FULL_PERMILLE) <= permille {
        FULL_FLOOR
    } else {
        FLOOR
    }
}

/// `1000 * log2(n)`, linear between powers of two.
fn log2_milli(n: u64) -> i64 {
    let whole = n.max(1).ilog2();
    let rest = u128::from(n.max(1)) - (1u128 << whole);
    let part = i64::try_from((rest * 1000) >> whole).unwrap_or(0);
    i64::from(whole) * 1000 + part
}

/// `shares * 2^(trim / 1000)`, linear between powers of two.
fn trimmed(shares: u64, trim: i64) -> u64 {
    let part = 1000 + trim.rem_euclid(1000).unsigned_abs();
    let scaled = shares.min(1 << 40) * part / 1000;
    let whole = trim.div_euclid(1000);
    if whole < 0 { scaled >> whole.unsigned_abs() } else { scaled << whole.unsigned_abs() }
}

#[cfg(test)]
mod tests;
