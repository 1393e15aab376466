//! How far a long reading is: at most a few lines a second on stderr.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use crate::table::bytes;

/// Between two lines on a terminal, where each replaces the one before.
const TERMINAL_PAUSE: Duration = Duration::from_millis(250);
/// Between two lines in a file.
const PLAIN_PAUSE: Duration = Duration::from_secs(2);

/// Counts bytes that were read and says when a line is due. Pure.
#[derive(Debug)]
pub(super) struct Meter {
    total: u64,
    done: u64,
    pause: Duration,
    due: Duration,
}

impl Meter {
    /// A meter for `total` bytes that says at most one line every `pause`.
    pub(super) fn new(total: u64, pause: Duration) -> Meter {
        Meter { total, done: 0, pause, due: pause }
    }

    /// `more` bytes were read, `at` after the beginning. The line to show, if one is due.
    pub(super) fn add(&mut self, more: u64, at: Duration) -> Option<String> {
        self.done = self.done.saturating_add(more).min(self.total);
        if at < self.due {
            return None;
        }
        self.due = at + self.pause;
        Some(self.line())
    }

    fn line(&self) -> String {
        let percent = self.done.saturating_mul(100).checked_div(self.total).unwrap_or(100);
        format!("{} of {} read ({percent} %)", bytes(self.done), bytes(self.total))
    }
}

/// Where the lines of a [`Meter`] go.
#[derive(Debug)]
pub(super) struct Progress {
    meter: Meter,
    started: Instant,
    to: To,
    shown: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum To {
    Terminal,
    Plain,
    #[cfg(test)]
    Nowhere,
}

impl Progress {
    /// Progress over `total` bytes, on stderr.
    pub(super) fn on_stderr(total: u64) -> Progress {
        let terminal = std::io::stderr().is_terminal();
        let (to, pause) =
            if terminal { (To::Terminal, TERMINAL_PAUSE) } else { (To::Plain, PLAIN_PAUSE) };
        Progress { meter: Meter::new(total, pause), started: Instant::now(), to, shown: false }
    }

    /// Progress that nobody sees.
    #[cfg(test)]
    pub(super) fn silent() -> Progress {
        let meter = Meter::new(0, PLAIN_PAUSE);
        Progress { meter, started: Instant::now(), to: To::Nowhere, shown: false }
    }

    /// `more` bytes were read.
    pub(super) fn add(&mut self, more: u64) {
        if let Some(line) = self.meter.add(more, self.started.elapsed()) {
            self.show(&line);
        }
    }

    fn show(&mut self, line: &str) {
        self.shown = true;
        // Whoever does not want to see it may close stderr.
        let _ = match self.to {
            To::Terminal => write!(std::io::stderr(), "\r{line}\x1b[K"),
            To::Plain => writeln!(std::io::stderr(), "{line}"),
            #[cfg(test)]
            To::Nowhere => Ok(()),
        };
    }

    /// Clears the line on a terminal, so that what follows begins at the left.
    pub(super) fn finish(self) {
        if self.shown && self.to == To::Terminal {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_comes_at_most_every_pause() {
        let mut meter = Meter::new(4 << 20, Duration::from_millis(250));
        let at = Duration::from_millis;
        assert_eq!(meter.add(1 << 20, at(10)), None);
        assert_eq!(meter.add(0, at(249)), None);
        let line = meter.add(1 << 20, at(260)).expect("it is due");
        assert_eq!(line, "2.0 MiB of 4.0 MiB read (50 %)");
        assert_eq!(meter.add(1, at(509)), None);
        let line = meter.add(9 << 20, at(510)).expect("it is due again");
        assert_eq!(line, "4.0 MiB of 4.0 MiB read (100 %)", "never more than all");
    }

    #[test]
    fn nothing_to_read_is_all_of_it() {
        let line = Meter::new(0, Duration::ZERO).add(0, Duration::ZERO);
        assert_eq!(line.expect("it is due"), "0 B of 0 B read (100 %)");
    }
}
