//! Which group runs next on one core, and for how long.
//!
//! Owns virtual time, wake placement, the debt cap, the starvation guard and the slice. It does
//! not know tasks, queues or clocks: the caller says what became runnable, what ran for how long
//! and what time it is, in nanoseconds of a monotonic clock.
//!
//! Virtual time is integer nanoseconds scaled by 1024 / shares, with wrapping comparisons. A
//! group that wakes is placed at `vmin - credit` at best, and only latency groups have credit; a
//! group that overran is charged at most [`DEBT_CAP_NS`] beyond the others. `vmin` is taken
//! before a slice is charged: taken after it, a light group loses its turn after every burst.

use crate::Shares;

/// A latency group may wake this much service before the others.
pub const CREDIT_NS: u64 = 1_000_000;
/// No group is charged more than this beyond the group furthest behind.
pub const DEBT_CAP_NS: u64 = 5_000_000;
/// A batch group keeps the core against other batch groups for this long.
pub const SLICE_NS: u64 = 500_000;
/// A group that was runnable for this long without a turn gets one from the guard.
pub const GUARD_WAIT_NS: u64 = 200_000_000;
/// How long a turn from the guard is.
pub const GUARD_TURN_NS: u64 = 100_000;
/// Between two looks at the driver while a latency group is hot.
pub const HOT_POLL_NS: u64 = 100_000;
/// Between two looks at the driver otherwise.
pub const COLD_POLL_NS: u64 = 500_000;
/// How long a latency group stays hot after it ran.
pub const HOT_FOR_NS: u64 = 10_000_000;
/// Groups are numbered below this.
pub const GROUPS_MAX: usize = 64;

/// One in this many nanoseconds may go to guard turns.
const GUARD_FRACTION: u64 = 10;
/// Guard time that can be saved up.
const GUARD_SAVED_MAX_NS: u64 = 1_000_000;

/// What a group's work is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Somebody waits: it should run within `target_ns` of becoming runnable.
    Latency {
        /// Nanoseconds from runnable to running.
        target_ns: u64,
    },
    /// Nobody waits for a single piece of it.
    Batch,
}

/// What a group gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Params {
    /// Its weight.
    pub shares: Shares,
    /// Its kind.
    pub level: Level,
}

/// Why a group was picked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// It is furthest behind.
    Least,
    /// A latency group with credit left, the one whose target is nearest.
    Deadline,
    /// It waited too long.
    Guard,
    /// It runs already and its slice is not used up.
    Keep,
}

/// A decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pick {
    /// Who runs.
    pub group: usize,
    /// Until when at most, exclusive, in the caller's clock.
    pub until_ns: u64,
    /// Why.
    pub why: Why,
}

#[derive(Clone, Debug)]
struct Group {
    params: Params,
    virtual_ns: i64,
    /// Remainder of the division by shares, so that short turns are charged exactly.
    carry: u64,
    /// When it became runnable or, if it was since, when its last turn ended.
    ready_ns: u64,
    ran_ns: u64,
    waited_ns: u64,
}

/// The policy of one core. Cost of a pick: one pass over the runnable groups.
#[derive(Clone, Debug)]
pub struct CpuPolicy {
    groups: Vec<Group>,
    runnable: u64,
    /// Never moves back. Everything is placed relative to it.
    vmin: i64,
    /// The group that ran last, and how much of its slice it used.
    current: Option<(usize, u64)>,
    turn_is_guard: bool,
    guard_saved_ns: u64,
    guard_counted_ns: u64,
    latency_ran_ns: Option<u64>,
    forgiven_ns: u64,
    guard_turns: u64,
}

fn is_before(a: i64, b: i64) -> bool {
    a.wrapping_sub(b) < 0
}

impl CpuPolicy {
    /// A policy of the groups `0..params.len()`, none of them runnable.
    ///
    /// # Panics
    /// If there are more than [`GROUPS_MAX`].
    #[must_use]
    pub fn new(params: &[Params]) -> CpuPolicy {
        CpuPolicy::starting_at(params, 0)
    }

    /// The same with virtual time starting at `vmin`, which changes no decision.
    #[must_use]
    pub fn starting_at(params: &[Params], vmin: i64) -> CpuPolicy {
        assert!(params.len() <= GROUPS_MAX, "{} groups", params.len());
        let group = |params: &Params| Group {
            params: *params,
            virtual_ns: vmin,
            carry: 0,
            ready_ns: 0,
            ran_ns: 0,
            waited_ns: 0,
        };
        CpuPolicy {
            groups: params.iter().map(group).collect(),
            runnable: 0,
            vmin,
            current: None,
            turn_is_guard: false,
            guard_saved_ns: 0,
            guard_counted_ns: 0,
            latency_ran_ns: None,
            forgiven_ns: 0,
            guard_turns: 0,
        }
    }

    /// `group` has something to run. Nothing happens if it had before.
    pub fn wake(&mut self, group: usize, now_ns: u64) {
        if self.runnable & (1 << group) != 0 {
            return;
        }
        self.runnable |= 1 << group;
        let vmin = self.vmin;
        let it = &mut self.groups[group];
        let credit = match it.params.level {
            Level::Latency { .. } => it.params.shares.virtual_ns(CREDIT_NS),
            Level::Batch => 0,
        };
        let debt = it.params.shares.virtual_ns(DEBT_CAP_NS);
        let lag = it.virtual_ns.wrapping_sub(vmin).clamp(-credit, debt);
        it.virtual_ns = vmin.wrapping_add(lag);
        it.ready_ns = now_ns;
    }

    /// Whether anything is runnable.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.runnable == 0
    }

    /// Whether `group` is runnable.
    #[must_use]
    pub fn is_runnable(&self, group: usize) -> bool {
        self.runnable & (1 << group) != 0
    }

    /// Whether a group other than `group` is runnable.
    #[must_use]
    pub fn others_runnable(&self, group: usize) -> bool {
        self.runnable & !(1 << group) != 0
    }

    /// Who runs next; `None` only if nothing is runnable.
    pub fn pick(&mut self, now_ns: u64) -> Option<Pick> {
        let least = self.least(self.runnable)?;
        if is_before(self.vmin, self.groups[least].virtual_ns) {
            self.vmin = self.groups[least].virtual_ns;
        }
        self.save_guard_time(now_ns);
        if let Some(group) = self.guarded(now_ns) {
            self.turn_is_guard = true;
            self.guard_turns += 1;
            return Some(Pick { group, until_ns: now_ns + GUARD_TURN_NS, why: Why::Guard });
        }
        self.turn_is_guard = false;
        if let Some(group) = self.nearest_deadline(least) {
            let until_ns = now_ns + SLICE_NS;
            return Some(Pick { group, until_ns, why: Why::Deadline });
        }
        if let Some((group, used_ns)) = self.current
            && self.is_runnable(group)
            && used_ns < SLICE_NS
            && self.groups[least].params.level == Level::Batch
            && self.groups[group].params.level == Level::Batch
        {
            let until_ns = now_ns + (SLICE_NS - used_ns);
            return Some(Pick { group, until_ns, why: Why::Keep });
        }
        self.current = None;
        Some(Pick { group: least, until_ns: now_ns + SLICE_NS, why: Why::Least })
    }

    /// `group` ran for `ran_ns`, and `still` says whether it has more to run.
    pub fn ran(&mut self, group: usize, ran_ns: u64, still: bool, now_ns: u64) {
        let others = self.least(self.runnable & !(1 << group));
        let base = others.map(|other| self.groups[other].virtual_ns);
        let it = &mut self.groups[group];
        let shares = u64::from(it.params.shares.get());
        let base = base.unwrap_or(it.virtual_ns);
        let charge = u128::from(ran_ns) * 1024 + u128::from(it.carry);
        let whole = i64::try_from(charge / u128::from(shares)).unwrap_or(i64::MAX / 4);
        it.carry = u64::try_from(charge % u128::from(shares)).expect("less than the shares");
        it.ran_ns += ran_ns;
        let limit = base.wrapping_add(it.params.shares.virtual_ns(DEBT_CAP_NS));
        let charged = it.virtual_ns.wrapping_add(whole.min(i64::MAX / 4));
        if is_before(limit, charged) {
            let over = u64::try_from(charged.wrapping_sub(limit)).unwrap_or(0);
            self.forgiven_ns = self.forgiven_ns.saturating_add(over.saturating_mul(shares) / 1024);
            it.virtual_ns = limit;
        } else {
            it.virtual_ns = charged;
        }
        let began_ns = now_ns.saturating_sub(ran_ns);
        it.waited_ns += began_ns.saturating_sub(it.ready_ns);
        it.ready_ns = now_ns;
        if matches!(it.params.level, Level::Latency { .. }) {
            self.latency_ran_ns = Some(now_ns);
        }
        if self.turn_is_guard {
            self.guard_saved_ns = self.guard_saved_ns.saturating_sub(ran_ns);
        } else {
            let used_ns = match self.current {
                Some((current, used_ns)) if current == group => used_ns,
                _ => 0,
            };
            self.current = Some((group, used_ns + ran_ns));
        }
        if !still {
            self.runnable &= !(1 << group);
        }
    }

    /// Changes what `group` gets. What it is ahead or behind, in nanoseconds of service, stays.
    pub fn set(&mut self, group: usize, params: Params) {
        let vmin = self.vmin;
        let it = &mut self.groups[group];
        let lag = i128::from(it.virtual_ns.wrapping_sub(vmin));
        let scaled = lag * i128::from(it.params.shares.get()) / i128::from(params.shares.get());
        let scaled = i64::try_from(scaled).unwrap_or(i64::MAX / 4);
        it.virtual_ns = vmin.wrapping_add(scaled);
        it.carry = 0;
        it.params = params;
    }

    /// What `group` gets.
    #[must_use]
    pub fn params(&self, group: usize) -> Params {
        self.groups[group].params
    }

    /// How long to run between two looks at the driver. Short while a latency group is hot: it
    /// ran lately, or the caller knows of operations in flight for one.
    #[must_use]
    pub fn poll_interval_ns(&self, now_ns: u64, latency_in_flight: bool) -> u64 {
        let ran_lately =
            self.latency_ran_ns.is_some_and(|ran| now_ns.saturating_sub(ran) < HOT_FOR_NS);
        if latency_in_flight || ran_lately { HOT_POLL_NS } else { COLD_POLL_NS }
    }

    /// Nanoseconds that `group` ran so far.
    #[must_use]
    pub fn ran_ns(&self, group: usize) -> u64 {
        self.groups[group].ran_ns
    }

    /// Nanoseconds that `group` was runnable and did not run, up to its last turn.
    #[must_use]
    pub fn waited_ns(&self, group: usize) -> u64 {
        self.groups[group].waited_ns
    }

    /// Nanoseconds of service that the debt cap did not charge.
    #[must_use]
    pub fn forgiven_ns(&self) -> u64 {
        self.forgiven_ns
    }

    /// Turns that the guard gave.
    #[must_use]
    pub fn guard_turns(&self) -> u64 {
        self.guard_turns
    }

    /// Virtual time of the group furthest behind, as of the last pick.
    #[must_use]
    pub fn vmin(&self) -> i64 {
        self.vmin
    }

    /// How far `group` is from `vmin`, in nanoseconds of its own service; positive is ahead.
    #[must_use]
    pub fn lag_ns(&self, group: usize) -> i64 {
        let it = &self.groups[group];
        let lag = i128::from(it.virtual_ns.wrapping_sub(self.vmin));
        i64::try_from(lag * i128::from(it.params.shares.get()) / 1024).unwrap_or(i64::MAX)
    }

    fn least(&self, among: u64) -> Option<usize> {
        let mut best: Option<usize> = None;
        for group in Bits(among) {
            if best.is_none_or(|best| {
                is_before(self.groups[group].virtual_ns, self.groups[best].virtual_ns)
            }) {
                best = Some(group);
            }
        }
        best
    }

    fn save_guard_time(&mut self, now_ns: u64) {
        let passed = now_ns.saturating_sub(self.guard_counted_ns);
        self.guard_counted_ns = now_ns;
        self.guard_saved_ns =
            (self.guard_saved_ns + passed / GUARD_FRACTION).min(GUARD_SAVED_MAX_NS);
    }

    fn guarded(&self, now_ns: u64) -> Option<usize> {
        if self.guard_saved_ns < GUARD_TURN_NS {
            return None;
        }
        Bits(self.runnable)
            .filter(|group| GUARD_WAIT_NS < now_ns.saturating_sub(self.groups[*group].ready_ns))
            .min_by_key(|group| self.groups[*group].ready_ns)
    }

    /// Among the latency groups that are not ahead of any batch group, and ahead of the furthest
    /// behind by less than their credit, the one whose target comes first. The second condition
    /// keeps the shares among latency groups.
    fn nearest_deadline(&self, least: usize) -> Option<usize> {
        let floor = self.groups[least].virtual_ns;
        let is_batch = |group: &usize| self.groups[*group].params.level == Level::Batch;
        let batch = Bits(self.runnable)
            .filter(is_batch)
            .map(|group| self.groups[group].virtual_ns)
            .reduce(|a, b| if is_before(b, a) { b } else { a });
        let mut best: Option<(u64, usize)> = None;
        for group in Bits(self.runnable) {
            let it = &self.groups[group];
            let Level::Latency { target_ns } = it.params.level else { continue };
            let ahead = it.virtual_ns.wrapping_sub(floor);
            if batch.is_some_and(|batch| is_before(batch, it.virtual_ns))
                || it.params.shares.virtual_ns(CREDIT_NS) < ahead
            {
                continue;
            }
            let deadline_ns = it.ready_ns.saturating_add(target_ns);
            if best.is_none_or(|(best_ns, _)| deadline_ns < best_ns) {
                best = Some((deadline_ns, group));
            }
        }
        best.map(|(_, group)| group)
    }
}

struct Bits(u64);

impl Iterator for Bits {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        if self.0 == 0 {
            return None;
        }
        let bit = self.0.trailing_zeros();
        self.0 &= self.0 - 1;
        usize::try_from(bit).ok()
    }
}

#[cfg(test)]
mod tests;
