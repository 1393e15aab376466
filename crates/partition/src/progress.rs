//! How far the bytes of one log have come: appended, written, durable.
//!
//! Pure. Two places hold a log's bytes until its segments have them all: the segment files and the
//! journal. This is the arithmetic that says what both together guarantee.

use record::Offset;

/// What an acknowledgement, or a reader, needs of an offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// The write completed: it survives the death of the process.
    Written,
    /// It was flushed after that write: it survives the loss of power.
    Durable,
}

/// Entries of this log in the journal that follow each other without a gap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct JournalRun {
    /// Where the first entry begins.
    from: Offset,
    /// Below it: in the journal.
    written: Offset,
    /// Below it: in the journal and flushed.
    durable: Offset,
}

/// ```text
/// durable <= written <= end
/// ```
///
/// Each is exclusive, covers the whole prefix below it, and only rises, until a truncation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    end: Offset,
    written: Offset,
    durable: Offset,
    segment_written: Offset,
    segment_durable: Offset,
    run: Option<JournalRun>,
}

impl Progress {
    /// A log that was recovered up to `end`, of which the segments hold everything below
    /// `segment_written`, flushed below `segment_durable`. What lies above was replayed from the
    /// journal, where it is durable.
    #[must_use]
    pub fn recovered(segment_durable: Offset, segment_written: Offset, end: Offset) -> Progress {
        assert!(segment_durable <= segment_written && segment_written <= end, "recovered ends");
        let run = (segment_written < end).then_some(JournalRun {
            from: segment_written,
            written: end,
            durable: end,
        });
        Progress {
            end,
            written: end,
            durable: if run.is_some() { end } else { segment_durable },
            segment_written,
            segment_durable,
            run,
        }
    }

    /// The next offset to be assigned.
    #[must_use]
    pub fn end(&self) -> Offset {
        self.end
    }

    /// The end of what a level guarantees.
    #[must_use]
    pub fn reached(&self, level: Level) -> Offset {
        match level {
            Level::Written => self.written,
            Level::Durable => self.durable,
        }
    }

    /// Below it the segment files are flushed: where recovery may begin.
    #[must_use]
    pub fn segment_durable(&self) -> Offset {
        self.segment_durable
    }

    /// Below it the segment files are written.
    #[must_use]
    pub fn segment_written(&self) -> Offset {
        self.segment_written
    }

    /// Whether a flush of the journal alone, with everything up to `written` in it, would leave
    /// written bytes that only an unflushed segment holds.
    #[must_use]
    pub fn needs_segment_flush(&self) -> bool {
        let covered = match self.run {
            Some(run) => run.from,
            None => self.written,
        };
        self.durable < covered && self.segment_durable < covered
    }

    /// The log grew to `end`.
    pub fn appended(&mut self, end: Offset) {
        assert!(self.end <= end, "log end moved back");
        self.end = end;
    }

    /// `[from, to)` was written to the journal; `flushed`: and everything that is in the journal
    /// was flushed.
    pub fn journaled(&mut self, from: Offset, to: Offset, flushed: bool) {
        let extended = match self.run {
            Some(run) if run.written == from => JournalRun { written: to, ..run },
            _ => JournalRun { from, written: to, durable: from },
        };
        let durable = if flushed { to } else { extended.durable };
        self.run = Some(JournalRun { durable, ..extended });
        self.settle();
    }

    /// The segment files hold everything below `to`.
    pub fn segment_wrote(&mut self, to: Offset) {
        self.segment_written = self.segment_written.max(to);
        self.settle();
    }

    /// The segment files were flushed up to `to`.
    pub fn segment_flushed(&mut self, to: Offset) {
        self.segment_written = self.segment_written.max(to);
        self.segment_durable = self.segment_durable.max(to);
        self.settle();
    }

    /// The log was cut at `end`.
    pub fn truncated(&mut self, end: Offset) {
        let cut = |at: Offset| at.min(end);
        self.end = cut(self.end);
        self.written = cut(self.written);
        self.durable = cut(self.durable);
        self.segment_written = cut(self.segment_written);
        self.segment_durable = cut(self.segment_durable);
        self.run = self.run.filter(|run| run.from < end).map(|run| JournalRun {
            from: run.from,
            written: cut(run.written),
            durable: cut(run.durable),
        });
    }

    fn settle(&mut self) {
        self.written = self.written.max(self.segment_written);
        self.durable = self.durable.max(self.segment_durable);
        if let Some(run) = self.run {
            if run.from <= self.written {
                self.written = self.written.max(run.written);
            }
            if run.from <= self.durable {
                self.durable = self.durable.max(run.durable);
            }
        }
        assert!(self.durable <= self.written && self.written <= self.end, "{self:?}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(raw: i64) -> Offset {
        Offset::new(raw).unwrap()
    }

    fn ends(progress: &Progress) -> (i64, i64) {
        (progress.reached(Level::Durable).raw(), progress.reached(Level::Written).raw())
    }

    fn empty(end: i64) -> Progress {
        let mut progress = Progress::recovered(at(0), at(0), at(0));
        progress.appended(at(end));
        progress
    }

    #[test]
    fn the_journal_alone_makes_a_prefix_durable() {
        let mut progress = empty(30);
        progress.journaled(at(0), at(10), false);
        assert_eq!(ends(&progress), (0, 10));
        progress.journaled(at(10), at(20), true);
        assert_eq!(ends(&progress), (20, 20), "a flush covers the frames before it");
    }

    #[test]
    fn a_journal_entry_above_an_unflushed_segment_write_is_not_durable() {
        let mut progress = empty(300);
        progress.segment_wrote(at(200));
        progress.journaled(at(200), at(210), true);
        assert_eq!(ends(&progress), (0, 210));
        assert!(progress.needs_segment_flush());
        progress.segment_flushed(at(200));
        assert_eq!(ends(&progress), (210, 210));
        assert!(!progress.needs_segment_flush());
    }

    #[test]
    fn what_was_durable_stays_so_when_a_new_run_begins() {
        let mut progress = empty(300);
        progress.journaled(at(0), at(100), true);
        progress.segment_wrote(at(200));
        progress.journaled(at(200), at(201), true);
        assert_eq!(ends(&progress), (100, 201));
    }

    #[test]
    fn a_replayed_tail_is_durable_in_the_journal() {
        let mut progress = Progress::recovered(at(5), at(8), at(12));
        assert_eq!(ends(&progress), (12, 12));
        progress.appended(at(13));
        progress.journaled(at(12), at(13), true);
        assert_eq!(ends(&progress), (13, 13));
    }

    #[test]
    fn a_scanned_tail_in_unflushed_segments_is_only_written() {
        let progress = Progress::recovered(at(5), at(8), at(8));
        assert_eq!(ends(&progress), (5, 8));
    }

    #[test]
    fn truncation_cuts_every_end() {
        let mut progress = empty(300);
        progress.journaled(at(0), at(100), true);
        progress.segment_flushed(at(50));
        progress.truncated(at(40));
        assert_eq!(ends(&progress), (40, 40));
        progress.appended(at(60));
        progress.journaled(at(40), at(60), true);
        assert_eq!(ends(&progress), (60, 60));
    }
}
