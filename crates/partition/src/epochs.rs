//! Which leader epoch wrote which offsets of one log: the leader-epoch cache and its file.
//!
//! Format of the file `leader-epoch-checkpoint` (Kafka, storage `LeaderEpochCheckpointFile`): text; a
//! line with the version 0, a line with the number of entries, then `epoch offset` lines.

use record::{LeaderEpoch, Offset};

/// Most epochs remembered; older ones are forgotten from the front. A fetch that asks about a
/// forgotten epoch is answered as for an epoch before the first known one.
pub const EPOCHS_MAX: usize = 10_000;

/// The epochs of one log in ascending order, each with the first offset written under it.
/// Epochs and offsets both rise strictly.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Epochs {
    entries: Vec<(LeaderEpoch, Offset)>,
}

/// Where an epoch ends, as `OffsetForLeaderEpoch` answers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpochEnd {
    /// The largest known epoch not above the one asked for.
    pub epoch: LeaderEpoch,
    /// The first offset after it, exclusive end of what it wrote.
    pub end: Offset,
}

/// The file is not a leader-epoch checkpoint.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("leader-epoch-checkpoint line {line}: {what}")]
pub struct MalformedEpochs {
    /// Which line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub what: &'static str,
}

impl Epochs {
    /// The epoch of the last entry.
    #[must_use]
    pub fn latest(&self) -> Option<LeaderEpoch> {
        self.entries.last().map(|(epoch, _)| *epoch)
    }

    /// The entries, ascending.
    #[must_use]
    pub fn entries(&self) -> &[(LeaderEpoch, Offset)] {
        &self.entries
    }

    /// Says that `epoch` begins at `start`. An epoch that is known already changes nothing.
    /// Entries that contradict the new one (a later epoch, or a later start) are dropped: the log
    /// was truncated there. Returns whether anything changed.
    pub fn assign(&mut self, epoch: LeaderEpoch, start: Offset) -> bool {
        if self.latest().is_some_and(|latest| latest == epoch) {
            return false;
        }
        self.entries.retain(|(known, at)| *known < epoch && *at < start);
        self.entries.push((epoch, start));
        if EPOCHS_MAX < self.entries.len() {
            self.entries.remove(0);
        }
        true
    }

    /// Forgets epochs that begin at or after `end`: the log was cut there.
    pub fn truncate_end(&mut self, end: Offset) {
        self.entries.retain(|(_, start)| *start < end);
    }

    /// The log now starts at `start`: epochs wholly below it are forgotten and the one that
    /// covers it begins there.
    pub fn truncate_start(&mut self, start: Offset) {
        let covering = self.entries.partition_point(|(_, at)| *at <= start);
        if covering == 0 {
            return;
        }
        self.entries.drain(..covering - 1);
        if let Some(first) = self.entries.first_mut() {
            first.1 = start;
        }
    }

    /// The epoch that wrote `offset`.
    #[must_use]
    pub fn epoch_of(&self, offset: Offset) -> Option<LeaderEpoch> {
        let after = self.entries.partition_point(|(_, start)| *start <= offset);
        after.checked_sub(1).and_then(|at| self.entries.get(at)).map(|(epoch, _)| *epoch)
    }

    /// Where `asked` ends in a log whose end is `log_end`. `None`: nothing is known of it (it is
    /// above every known epoch, or no epoch is known).
    #[must_use]
    pub fn end_of(&self, asked: LeaderEpoch, log_end: Offset) -> Option<EpochEnd> {
        let latest = self.latest()?;
        if asked == latest {
            return Some(EpochEnd { epoch: asked, end: log_end });
        }
        if latest < asked {
            return None;
        }
        let above = self.entries.partition_point(|(epoch, _)| *epoch <= asked);
        let end = self.entries.get(above)?.1;
        match above.checked_sub(1).and_then(|at| self.entries.get(at)) {
            Some((epoch, _)) => Some(EpochEnd { epoch: *epoch, end }),
            // Below every known epoch: it wrote nothing that is still here.
            None => Some(EpochEnd { epoch: asked, end }),
        }
    }

    /// The file's content.
    #[must_use]
    pub fn encode(&self) -> String {
        use std::fmt::Write;
        let mut text = format!("0\n{}\n", self.entries.len());
        for (epoch, start) in &self.entries {
            writeln!(text, "{} {}", epoch.raw(), start.raw()).expect("a string takes all writes");
        }
        text
    }

    /// Reads the file's content. At most [`EPOCHS_MAX`] of the last entries are kept.
    pub fn decode(text: &str) -> Result<Epochs, MalformedEpochs> {
        let malformed = |line: usize, what| MalformedEpochs { line, what };
        let mut lines = text.lines();
        if lines.next().map(str::trim) != Some("0") {
            return Err(malformed(1, "version 0 expected"));
        }
        let count: usize = lines
            .next()
            .and_then(|line| line.trim().parse().ok())
            .ok_or(malformed(2, "number of entries expected"))?;
        let mut epochs = Epochs::default();
        let mut read = 0;
        for (index, line) in lines.enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let entry =
                parse_entry(line).ok_or(malformed(index + 3, "epoch and offset expected"))?;
            epochs.assign(entry.0, entry.1);
            read += 1;
        }
        if read == count { Ok(epochs) } else { Err(malformed(2, "wrong number of entries")) }
    }
}

fn parse_entry(line: &str) -> Option<(LeaderEpoch, Offset)> {
    let (epoch, offset) = line.trim().split_once(' ')?;
    Some((LeaderEpoch::new(epoch.parse().ok()?)?, Offset::new(offset.trim().parse().ok()?)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(raw: i64) -> Offset {
        Offset::new(raw).unwrap()
    }

    fn ep(raw: i32) -> LeaderEpoch {
        LeaderEpoch::new(raw).unwrap()
    }

    fn three() -> Epochs {
        let mut epochs = Epochs::default();
        epochs.assign(ep(1), at(0));
        epochs.assign(ep(3), at(10));
        epochs.assign(ep(4), at(25));
        epochs
    }

    #[test]
    fn an_epoch_ends_where_the_next_begins() {
        let end = |asked| three().end_of(ep(asked), at(40)).map(|e| (e.epoch.raw(), e.end.raw()));
        assert_eq!(end(0), Some((0, 0)), "below every known epoch");
        assert_eq!(end(1), Some((1, 10)));
        assert_eq!(end(2), Some((1, 10)), "the floor epoch answers");
        assert_eq!(end(3), Some((3, 25)));
        assert_eq!(end(4), Some((4, 40)), "the latest ends at the log end");
        assert_eq!(end(5), None);
    }

    #[test]
    fn truncation_forgets_what_it_cuts() {
        let mut epochs = three();
        epochs.truncate_end(at(25));
        assert_eq!(epochs.latest(), Some(ep(3)));
        epochs.truncate_start(at(12));
        assert_eq!(epochs.entries(), [(ep(3), at(12))]);
    }

    #[test]
    fn an_empty_epoch_is_replaced_by_the_next() {
        let mut epochs = three();
        assert!(epochs.assign(ep(5), at(25)), "epoch 4 wrote nothing");
        assert_eq!(epochs.latest(), Some(ep(5)));
        assert_eq!(epochs.entries().len(), 3);
        assert!(!epochs.assign(ep(5), at(30)));
    }

    #[test]
    fn the_file_reads_back_and_rejects_nonsense() {
        let epochs = three();
        assert_eq!(epochs.encode(), "0\n3\n1 0\n3 10\n4 25\n");
        assert_eq!(Epochs::decode(&epochs.encode()), Ok(epochs));
        for bad in ["", "1\n0\n", "0\n", "0\n2\n1 0\n", "0\n1\n1 -5\n", "0\n1\nx y\n"] {
            assert!(Epochs::decode(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn who_wrote_an_offset() {
        assert_eq!(three().epoch_of(at(9)), Some(ep(1)));
        assert_eq!(three().epoch_of(at(10)), Some(ep(3)));
        assert_eq!(Epochs::default().epoch_of(at(0)), None);
    }
}
