//! The weight of a group.

/// How much of a contended resource a group gets relative to the others: 1 to 10,000.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Shares(u16);

impl Shares {
    /// The least weight.
    pub const MIN: Shares = Shares(1);
    /// The greatest weight.
    pub const MAX: Shares = Shares(10_000);

    /// `None` outside `1..=10_000`.
    #[must_use]
    pub const fn new(shares: u16) -> Option<Shares> {
        if shares == 0 || Shares::MAX.0 < shares { None } else { Some(Shares(shares)) }
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u16 {
        self.0
    }

    /// `ns` of service in virtual time: what a group of 1,024 shares is charged for it, scaled.
    pub(crate) fn virtual_ns(self, ns: u64) -> i64 {
        let scaled = u128::from(ns) * 1024 / u128::from(self.0);
        i64::try_from(scaled).unwrap_or(i64::MAX / 4).min(i64::MAX / 4)
    }
}
