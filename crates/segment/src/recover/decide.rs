//! What to do with a segment that was scanned after an unclean stop. Pure and total, so that the
//! table in the tests is the whole policy.

use record::Offset;

use crate::Flaw;

/// What the scan of one segment found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Scanned {
    /// Offset after the last good batch.
    pub(crate) reached: Offset,
    /// What is wrong behind it; `None` if the file ends there.
    pub(crate) flaw: Option<Flaw>,
    /// If only the content of one batch is wrong: the offset behind that batch.
    pub(crate) step_over: Option<Offset>,
}

/// Where the segment stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// Below it everything was flushed.
    pub(crate) recovery_point: Offset,
    /// Where the next segment begins, if there is one.
    pub(crate) successor: Option<Offset>,
    /// An earlier recovery found damage in this segment, and began the next one.
    pub(crate) restarted: bool,
}

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// The segment is whole; go on with the next one, if there is one.
    Keep,
    /// The segment is whole, but for space that was allocated behind its last batch and is still
    /// there: the cut at its end was lost. Cut it again, and go on with the next one.
    Trim,
    /// Cut the segment behind the last good batch, and drop all later ones: none of that was ever
    /// flushed.
    Cut,
    /// One batch was flushed and is damaged inside. Name it, leave it, and scan on behind it.
    StepOver,
    /// The rest of the segment was flushed and is damaged. Name it, leave it, and go on with the
    /// next segment.
    Quarantine,
    /// The same, but nothing behind it was ever flushed: drop all later segments and go on with an
    /// empty one at the recovery point.
    QuarantineAndRestart,
}

/// Decides.
pub(crate) fn decide(scanned: Scanned, place: Place) -> Action {
    let Place { recovery_point, successor, restarted } = place;
    let Scanned { reached, flaw, step_over } = scanned;
    let was_flushed = reached < recovery_point;
    match (flaw, successor) {
        // Written by us segments follow each other without a gap. A gap behind the recovery point
        // is a segment or an end that was lost; below, compaction leaves some.
        (None, Some(next)) if next == reached => Action::Keep,
        // The next segment begins where this one's batches end, so none is missing between.
        (Some(Flaw::Zeros), Some(next)) if next == reached => Action::Trim,
        (None, Some(next)) if next <= recovery_point && !restarted => Action::Keep,
        (None, None) if !was_flushed => Action::Keep,
        (None, Some(_)) if !was_flushed => Action::Cut,
        (Some(_), _) if !was_flushed => Action::Cut,
        (Some(_), _) if step_over.is_some_and(|next| next <= recovery_point) => Action::StepOver,
        (_, Some(next)) if next <= recovery_point => Action::Quarantine,
        (_, _) => Action::QuarantineAndRestart,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(
        (reached, flaw, step_over): (i64, Option<Flaw>, Option<i64>),
        recovery_point: i64,
        successor: Option<i64>,
    ) -> Action {
        let at = |raw| Offset::new(raw).unwrap();
        let scanned = Scanned { reached: at(reached), flaw, step_over: step_over.map(at) };
        let (recovery_point, successor) = (at(recovery_point), successor.map(at));
        decide(scanned, Place { recovery_point, successor, restarted: false })
    }

    #[test]
    fn a_restart_is_no_gap_of_compaction() {
        let at = |raw| Offset::new(raw).unwrap();
        let scanned = Scanned { reached: at(10), flaw: None, step_over: None };
        let (recovery_point, successor) = (at(12), Some(at(12)));
        let place = Place { recovery_point, successor, restarted: true };
        assert_eq!(decide(scanned, place), Action::Quarantine);
        let place = Place { restarted: false, ..place };
        assert_eq!(decide(scanned, place), Action::Keep);
    }

    const ZEROS: Option<Flaw> = Some(Flaw::Zeros);
    const CRC: Option<Flaw> = Some(Flaw::Checksum);

    #[test]
    fn whole_segments_stay() {
        assert_eq!(check((10, None, None), 5, None), Action::Keep);
        assert_eq!(check((10, None, None), 10, None), Action::Keep);
        assert_eq!(check((10, None, None), 5, Some(10)), Action::Keep);
        assert_eq!(check((10, None, None), 15, Some(10)), Action::Keep);
        assert_eq!(check((10, None, None), 15, Some(12)), Action::Keep, "a gap of compaction");
    }

    #[test]
    fn zeros_between_a_last_batch_and_the_next_segment_are_only_space() {
        assert_eq!(check((10, ZEROS, None), 5, Some(10)), Action::Trim);
        assert_eq!(check((10, ZEROS, None), 15, Some(10)), Action::Trim);
        assert_eq!(check((10, ZEROS, None), 5, Some(11)), Action::Cut, "a batch is missing");
    }

    #[test]
    fn what_was_never_flushed_is_cut() {
        for flaw in [Flaw::Zeros, Flaw::Short, Flaw::Header, Flaw::Order, Flaw::Checksum] {
            assert_eq!(check((10, Some(flaw), None), 10, None), Action::Cut);
            assert_eq!(check((10, Some(flaw), Some(12)), 5, Some(20)), Action::Cut);
        }
        assert_eq!(check((10, None, None), 10, Some(12)), Action::Cut, "an end was lost");
    }

    #[test]
    fn what_was_flushed_is_never_dropped() {
        assert_eq!(check((10, CRC, Some(12)), 12, None), Action::StepOver);
        assert_eq!(check((10, CRC, Some(12)), 30, Some(20)), Action::StepOver);
        assert_eq!(check((10, CRC, Some(13)), 12, None), Action::QuarantineAndRestart);
        assert_eq!(check((10, ZEROS, None), 30, Some(20)), Action::Quarantine);
        assert_eq!(check((10, ZEROS, None), 20, Some(20)), Action::Quarantine);
        assert_eq!(check((10, ZEROS, None), 12, Some(20)), Action::QuarantineAndRestart);
        assert_eq!(check((10, ZEROS, None), 12, None), Action::QuarantineAndRestart);
        assert_eq!(check((10, None, None), 12, None), Action::QuarantineAndRestart, "too short");
        assert_eq!(check((10, None, None), 12, Some(20)), Action::QuarantineAndRestart);
    }
}
