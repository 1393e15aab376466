//! Trials: shares that go back by themselves. Which group has one, what it goes back to, and when.
//! Time is a parameter; nothing is changed here.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::reading::GroupShares;

/// The longest trial.
pub const TRIAL_MAX: Duration = Duration::from_secs(86_400);

/// An open trial. `T` is a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Trial<T> {
    pub(crate) before: GroupShares,
    pub(crate) until: T,
}

/// The open trials by number of the group: at most one each.
#[derive(Debug)]
pub(crate) struct Trials<T> {
    open: BTreeMap<usize, Trial<T>>,
}

impl<T> Default for Trials<T> {
    fn default() -> Trials<T> {
        Trials { open: BTreeMap::new() }
    }
}

impl<T: Copy + Ord> Trials<T> {
    /// Opens a trial of `group`, which had `before`, or makes the open one end at `until`; what
    /// that goes back to stays.
    pub(crate) fn open(&mut self, group: usize, before: GroupShares, until: T) -> Trial<T> {
        let before = self.open.get(&group).map_or(before, |trial| trial.before);
        let trial = Trial { before, until };
        self.open.insert(group, trial);
        trial
    }

    /// Ends the trial of `group` without going back; gives it if there was one.
    pub(crate) fn close(&mut self, group: usize) -> Option<Trial<T>> {
        self.open.remove(&group)
    }

    pub(crate) fn get(&self, group: usize) -> Option<Trial<T>> {
        self.open.get(&group).copied()
    }

    /// When the first of them ends.
    pub(crate) fn next(&self) -> Option<T> {
        self.open.values().map(|trial| trial.until).min()
    }

    /// A group whose trial is over at `now`, and what it goes back to. The trial stays open until
    /// it is closed: going back may fail.
    pub(crate) fn due(&self, now: T) -> Option<(usize, GroupShares)> {
        let mut over = self.open.iter().filter(|(_, trial)| trial.until <= now);
        over.next().map(|(group, trial)| (*group, trial.before))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEFORE: GroupShares = GroupShares { cpu: 50, io: 60, is_held: false };
    const TRIED: GroupShares = GroupShares { cpu: 500, io: 60, is_held: true };

    #[test]
    fn a_trial_is_due_when_its_time_has_come_and_not_before() {
        let mut trials = Trials::default();
        trials.open(6, BEFORE, 100);
        assert_eq!(trials.next(), Some(100));
        assert_eq!(trials.due(99), None);
        assert_eq!(trials.due(100), Some((6, BEFORE)));
        assert_eq!(trials.due(100), Some((6, BEFORE)), "until it is closed");
        trials.close(6);
        assert_eq!((trials.due(1_000), trials.next()), (None, None));
    }

    #[test]
    fn a_second_trial_goes_back_to_what_was_before_the_first() {
        let mut trials = Trials::default();
        trials.open(6, BEFORE, 100);
        let second = trials.open(6, TRIED, 200);
        assert_eq!(second, Trial { before: BEFORE, until: 200 });
        assert_eq!(trials.due(150), None);
        assert_eq!(trials.due(200), Some((6, BEFORE)));
    }

    #[test]
    fn a_closed_trial_does_not_go_back() {
        let mut trials = Trials::default();
        trials.open(6, BEFORE, 100);
        trials.open(1, TRIED, 90);
        assert_eq!(trials.next(), Some(90));
        assert!(trials.close(1).is_some() && trials.close(1).is_none());
        assert_eq!(trials.due(95), None);
        assert_eq!(trials.get(6).map(|trial| trial.before), Some(BEFORE));
    }
}
