//! What was found, and how it is told. Pure.

use std::path::Path;

use record::Offset;

use crate::table::{bytes, counted};

/// Findings of one kind that are kept; the others are counted.
const KEPT_MAX: usize = 1_000;

/// Where something was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Place {
    file: String,
    position: Option<u64>,
    offset: Option<Offset>,
}

impl Place {
    /// A file as a whole, by its path in the data directory.
    pub(super) fn file(path: &Path) -> Place {
        Place { file: path.display().to_string(), ..Place::default() }
    }

    /// At a position in the file, in bytes.
    #[must_use]
    pub(super) fn at(self, position: u64) -> Place {
        Place { position: Some(position), ..self }
    }

    /// At an offset of the log.
    #[must_use]
    pub(super) fn offset(self, offset: Offset) -> Place {
        Place { offset: Some(offset), ..self }
    }
}

/// Something found somewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Finding {
    place: Place,
    what: String,
}

impl Finding {
    fn line(&self, kind: &str) -> String {
        let Place { file, position, offset } = &self.place;
        let position = position.map_or_else(String::new, |at| format!(" at byte {at}"));
        let offset = offset.map_or_else(String::new, |at| format!(", offset {}", at.raw()));
        format!("{kind}  {file}{position}{offset}: {}\n", self.what)
    }
}

/// Findings of one kind.
#[derive(Debug, Default)]
struct Kept {
    first: Vec<Finding>,
    count: u64,
}

impl Kept {
    fn push(&mut self, place: Place, what: String) {
        self.count += 1;
        if self.first.len() < KEPT_MAX {
            self.first.push(Finding { place, what });
        }
    }

    fn render(&self, kind: &str) -> String {
        let mut text: String = self.first.iter().map(|finding| finding.line(kind)).collect();
        let hidden = self.count - self.first.len() as u64;
        if 0 < hidden {
            text.push_str(&format!("{kind}  and {hidden} more\n"));
        }
        text
    }
}

/// Everything that was found, and how much was looked at.
#[derive(Debug, Default)]
pub(super) struct Findings {
    damages: Kept,
    notes: Kept,
    pub(super) logs: u64,
    pub(super) segments: u64,
    pub(super) bytes: u64,
    pub(super) batches: u64,
    pub(super) records: u64,
    pub(super) journal_batches: u64,
}

impl Findings {
    /// Something is not as it was written.
    pub(super) fn damage(&mut self, place: Place, what: impl Into<String>) {
        self.damages.push(place, what.into());
    }

    /// Something that the next start settles.
    pub(super) fn note(&mut self, place: Place, what: impl Into<String>) {
        self.notes.push(place, what.into());
    }

    /// Whether anything is damaged.
    pub(super) fn is_damaged(&self) -> bool {
        0 < self.damages.count
    }

    /// A line for each finding, then a summary.
    pub(super) fn render(&self) -> String {
        let mut text = self.damages.render("damage");
        text.push_str(&self.notes.render("note  "));
        let journal = match self.journal_batches {
            0 => String::new(),
            batches => format!(", {batches} more in the journal"),
        };
        text.push_str(&format!(
            "{}, {}, {}: {} with {}{journal}\n",
            counted(self.logs, "log"),
            counted(self.segments, "segment"),
            bytes(self.bytes),
            if self.batches == 1 {
                "1 batch".to_owned()
            } else {
                format!("{} batches", self.batches)
            },
            counted(self.records, "record"),
        ));
        let verdict = match self.damages.count {
            0 => "no damage\n".to_owned(),
            1 => "1 damage\n".to_owned(),
            count => format!("{count} damages\n"),
        };
        text.push_str(&verdict);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_names_file_position_and_offset() {
        let mut findings = Findings { logs: 1, segments: 2, batches: 1, ..Findings::default() };
        let place = Place::file(Path::new("t-0/x.log")).at(61).offset(Offset::ZERO.plus(7));
        findings.damage(place, "the checksum is wrong");
        findings.note(Place::file(Path::new("t-0/x.index")), "it is missing");
        assert!(findings.is_damaged());
        let wanted = "damage  t-0/x.log at byte 61, offset 7: the checksum is wrong\n\
                      note    t-0/x.index: it is missing\n\
                      1 log, 2 segments, 0 B: 1 batch with 0 records\n\
                      1 damage\n";
        assert_eq!(findings.render(), wanted);
    }

    #[test]
    fn what_is_too_much_is_counted() {
        let mut findings = Findings::default();
        for _ in 0..KEPT_MAX + 5 {
            findings.damage(Place::default(), "bad");
        }
        let text = findings.render();
        assert_eq!(text.lines().count(), KEPT_MAX + 3);
        assert!(text.contains("damage  and 5 more\n") && text.ends_with("1005 damages\n"));
    }
}
