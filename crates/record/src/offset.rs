//! Places in a log, and the generation of the leader that assigned them.

use std::fmt;

/// The place of a record in one partition's log. Never negative; "unknown" is `Option<Offset>`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Offset(i64);

impl Offset {
    /// The first offset of a new log.
    pub const ZERO: Offset = Offset(0);

    /// The largest offset there is.
    pub const MAX: Offset = Offset(i64::MAX);

    /// Wraps an offset read from the wire or from disk; negative input has no meaning here.
    #[must_use]
    pub const fn new(raw: i64) -> Option<Offset> {
        if raw < 0 { None } else { Some(Offset(raw)) }
    }

    /// The number for the wire or the disk, never negative.
    #[must_use]
    pub const fn raw(self) -> i64 {
        self.0
    }

    /// The offset `n` records further on, or back if `n` is negative. It stops at [`Offset::MAX`]
    /// and at [`Offset::ZERO`]: deltas come from outside, so nothing may wrap or panic here.
    #[must_use]
    pub const fn plus(self, n: i64) -> Offset {
        let raw = self.0.saturating_add(n);
        Offset(if raw < 0 { 0 } else { raw })
    }

    /// How many offsets lie in `[earlier, self)`; negative if `earlier` is the later one.
    #[must_use]
    pub const fn since(self, earlier: Offset) -> i64 {
        self.0 - earlier.0
    }
}

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The generation of a partition's leader. Never negative; "unknown" is `Option<LeaderEpoch>`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LeaderEpoch(i32);

impl LeaderEpoch {
    /// The epoch of a partition's first leader.
    pub const ZERO: LeaderEpoch = LeaderEpoch(0);

    /// Wraps an epoch read from the wire or from disk; negative input means that none is known.
    #[must_use]
    pub const fn new(raw: i32) -> Option<LeaderEpoch> {
        if raw < 0 { None } else { Some(LeaderEpoch(raw)) }
    }

    /// The number for the wire or the disk, never negative.
    #[must_use]
    pub const fn raw(self) -> i32 {
        self.0
    }

    /// The epoch of the leader after this one. The last of all, 2^31-1, is its own successor.
    #[must_use]
    pub const fn next(self) -> LeaderEpoch {
        LeaderEpoch(self.0.saturating_add(1))
    }
}

impl fmt::Display for LeaderEpoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offset_is_never_negative() {
        assert_eq!(Offset::new(-1), None);
        assert_eq!(Offset::ZERO.plus(-1), Offset::ZERO);
        assert_eq!(Offset::MAX.plus(1), Offset::MAX);
        assert_eq!(Offset::ZERO.plus(7).plus(-3).raw(), 4);
        assert_eq!(Offset::ZERO.since(Offset::MAX), -i64::MAX);
    }

    #[test]
    fn an_epoch_has_a_successor_until_the_last() {
        assert_eq!(LeaderEpoch::new(-1), None);
        assert_eq!(LeaderEpoch::ZERO.next().raw(), 1);
        assert_eq!(LeaderEpoch(i32::MAX).next(), LeaderEpoch(i32::MAX));
    }
}
