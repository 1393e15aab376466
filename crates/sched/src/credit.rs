//! Credits: how many messages of a group may be outstanding at one target.
//!
//! Owns the arithmetic only: how a budget is divided by shares, and the count of one group. The
//! mailbox today bounds its lanes; when calls take credits, these are the ones they take.

use crate::Shares;

/// The least that a group with work gets, whatever its shares.
pub const CREDITS_MIN: u32 = 2;

/// Divides `budget` by `shares`: each gets its part rounded down, but at least
/// [`CREDITS_MIN`]. The sum exceeds the budget by at most `CREDITS_MIN` for each group.
#[must_use]
pub fn divide(budget: u32, shares: &[Shares]) -> Vec<u32> {
    let total: u64 = shares.iter().map(|shares| u64::from(shares.get())).sum();
    shares
        .iter()
        .map(|shares| {
            let part = u64::from(budget) * u64::from(shares.get()) / total.max(1);
            u32::try_from(part).unwrap_or(u32::MAX).max(CREDITS_MIN)
        })
        .collect()
}

/// The credits of one group at one target. Taken with a message, given back with its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Credits {
    limit: u32,
    taken: u32,
}

impl Credits {
    /// `limit` credits, none taken.
    #[must_use]
    pub const fn new(limit: u32) -> Credits {
        Credits { limit, taken: 0 }
    }

    /// Takes one; false, and nothing changes, if all are taken.
    #[must_use]
    pub const fn take(&mut self) -> bool {
        if self.limit <= self.taken {
            return false;
        }
        self.taken += 1;
        true
    }

    /// Gives one back.
    ///
    /// # Panics
    /// If none is taken.
    pub const fn give_back(&mut self) {
        assert!(0 < self.taken, "a credit was given back twice");
        self.taken -= 1;
    }

    /// Changes the limit. What is taken beyond it stays taken; nothing more is until it came
    /// back.
    pub const fn set_limit(&mut self, limit: u32) {
        self.limit = limit;
    }

    /// How many are taken.
    #[must_use]
    pub const fn taken(&self) -> u32 {
        self.taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_is_divided_by_shares() {
        let shares = [1000, 1000, 50, 1].map(|shares| Shares::new(shares).unwrap());
        assert_eq!(divide(4096, &shares), [1997, 1997, 99, CREDITS_MIN]);
        assert_eq!(divide(4096, &[]), []);
    }

    #[test]
    fn no_more_than_the_limit_is_taken() {
        let mut credits = Credits::new(2);
        assert!(credits.take() && credits.take() && !credits.take());
        credits.set_limit(1);
        credits.give_back();
        assert!(!credits.take(), "one is still out");
        credits.give_back();
        assert!(credits.take());
    }
}
