//! File names of a log directory: the only place that formats or parses one. They are Kafka's.

use std::path::{Path, PathBuf};

use record::Offset;

/// A file of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// The batches.
    Log,
    /// From offset to position.
    Index,
    /// From timestamp to offset.
    TimeIndex,
    /// Aborted transactions.
    TxnIndex,
    /// Producer state at the base offset. Written by the partition, removed with the segment.
    Snapshot,
    /// The latest record of each key: our own, written by compaction.
    Keys,
}

impl Kind {
    /// Every kind; the batches come last, so that a segment whose removal is interrupted still
    /// has them and is found again.
    pub(crate) const ALL: [Kind; 6] =
        [Kind::Index, Kind::TimeIndex, Kind::TxnIndex, Kind::Snapshot, Kind::Keys, Kind::Log];

    const fn suffix(self) -> &'static str {
        match self {
            Kind::Log => ".log",
            Kind::Index => ".index",
            Kind::TimeIndex => ".timeindex",
            Kind::TxnIndex => ".txnindex",
            Kind::Snapshot => ".snapshot",
            Kind::Keys => ".evenkeel-keys",
        }
    }
}

/// What is to happen with a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// In use.
    Live,
    /// Being written to replace segments; worth nothing yet.
    Cleaned,
    /// Complete, and about to replace segments.
    Swap,
    /// About to be removed.
    Deleted,
}

/// A file name taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Name {
    pub(crate) base: Offset,
    pub(crate) kind: Kind,
    pub(crate) stage: Stage,
}

const DELETED: &str = ".deleted";
const CLEANED: &str = ".cleaned";
const SWAP: &str = ".swap";

impl Name {
    /// Takes `name` apart; `None` if it is no file of a segment.
    pub(crate) fn parse(name: &str) -> Option<Name> {
        let stages = [(DELETED, Stage::Deleted), (CLEANED, Stage::Cleaned), (SWAP, Stage::Swap)];
        let staged = stages
            .iter()
            .find_map(|(suffix, stage)| name.strip_suffix(suffix).map(|name| (name, *stage)));
        let (name, stage) = staged.unwrap_or((name, Stage::Live));
        let (digits, _) = name.split_once('.')?;
        let kind = Kind::ALL.into_iter().find(|kind| name[digits.len()..] == *kind.suffix())?;
        if digits.len() != 20 || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
            return None;
        }
        let base = Offset::new(digits.parse().ok()?)?;
        Some(Name { base, kind, stage })
    }
}

/// Ends the name of a file that is being written to replace segments, before it is complete. Neither
/// Kafka nor the opening of a log touches one: a compaction that was interrupted goes on with it.
const PART: &str = ".evenkeel-part";

/// The path of a live file of the segment that begins at `base`, relative to what `dir` is.
#[must_use]
pub fn path(dir: &Path, base: Offset, kind: Kind) -> PathBuf {
    dir.join(format!("{:020}{}", base.raw(), kind.suffix()))
}

/// Ends the name of a log's directory that waits to be removed.
pub const DELETE: &str = "-delete";

/// Ends the name of a log's directory that belongs to no topic.
pub const STRAY: &str = "-stray";

/// The path of a file that is being written for the segment that will begin at `base`.
#[must_use]
pub fn part_path(dir: &Path, base: Offset, kind: Kind) -> PathBuf {
    with_suffix(&path(dir, base, kind), PART)
}

/// Whether a file of this name is being written to replace segments.
#[must_use]
pub fn is_part(name: &str) -> bool {
    name.strip_suffix(PART)
        .is_some_and(|live| Name::parse(live).is_some_and(|name| name.stage == Stage::Live))
}

/// The path of a file that replaces segments, once it is whole.
pub(crate) fn cleaned_path(dir: &Path, base: Offset, kind: Kind) -> PathBuf {
    with_suffix(&path(dir, base, kind), CLEANED)
}

/// The path of a file that is about to replace one.
pub(crate) fn swap_path(dir: &Path, base: Offset, kind: Kind) -> PathBuf {
    with_suffix(&path(dir, base, kind), SWAP)
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// The path under which a live file waits to be removed.
pub(crate) fn deleted_path(dir: &Path, base: Offset, kind: Kind) -> PathBuf {
    dir.join(format!("{:020}{}{DELETED}", base.raw(), kind.suffix()))
}

/// The directory under which a whole log waits to be removed (`ending` is [`DELETE`]) or is kept out
/// of the way ([`STRAY`]): Kafka knows the form. `unique` makes room for a log of the same name; a
/// long topic name is cut so that the whole is a file name.
#[must_use]
pub fn set_aside_dir(dir: &Path, unique: [u64; 2], ending: &str) -> PathBuf {
    /// Longest file name that every file system takes.
    const NAME_MAX: usize = 255;
    let name = dir.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let suffix = format!(".{:016x}{:016x}{ending}", unique[0], unique[1]);
    // What is cut is the topic: the partition's number must stay.
    let (topic, partition) = name.rsplit_once('-').unwrap_or((name, "0"));
    let room = NAME_MAX.saturating_sub(suffix.len() + partition.len() + 1).min(topic.len());
    let topic = &topic[..topic.floor_char_boundary(room)];
    dir.with_file_name(format!("{topic}-{partition}{suffix}"))
}

/// Whether a directory of this name waits to be removed: it ends with 32 hexadecimal digits between
/// a dot and [`DELETE`].
#[must_use]
pub fn is_doomed_dir(name: &str) -> bool {
    let rest = name.strip_suffix(DELETE).and_then(|rest| rest.rsplit_once('.'));
    rest.is_some_and(|(_, unique)| {
        unique.len() == 32 && unique.bytes().all(|digit| digit.is_ascii_hexdigit())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_kafkas() {
        let base = Offset::new(i64::MAX).unwrap();
        let path = path(Path::new("t-0"), base, Kind::TimeIndex);
        assert_eq!(path, Path::new("t-0/09223372036854775807.timeindex"));
        let name = Name::parse("09223372036854775807.timeindex");
        assert_eq!(name, Some(Name { base, kind: Kind::TimeIndex, stage: Stage::Live }));
        let staged = |suffix: &str| {
            Name::parse(&format!("00000000000000000007.log{suffix}")).map(|name| name.stage)
        };
        assert_eq!(staged(".deleted"), Some(Stage::Deleted));
        assert_eq!(staged(".cleaned"), Some(Stage::Cleaned));
        assert_eq!(staged(".swap"), Some(Stage::Swap));
        assert_eq!(staged(".other"), None);
        let part = part_path(Path::new(""), Offset::ZERO, Kind::Keys);
        assert!(is_part(part.to_str().unwrap()) && Name::parse(part.to_str().unwrap()).is_none());
        assert!(!is_part("00000000000000000000.log.swap.evenkeel-part") && !is_part("x.log"));
    }

    #[test]
    fn other_files_are_left_alone() {
        for name in [
            "leader-epoch-checkpoint",
            "partition.metadata",
            "0.log",
            "0000000000000000000x.log",
            "+0000000000000000001.log",
            "99999999999999999999.log",
            "00000000000000000000.logs",
            "00000000000000000000.log.deleted.deleted",
            "00000000000000000000",
            "",
        ] {
            assert_eq!(Name::parse(name), None, "{name}");
        }
    }

    #[test]
    fn the_name_of_a_deleted_directory_fits() {
        let deleted = set_aside_dir(Path::new("topic-7"), [1, 2], DELETE);
        let want = "topic-7.00000000000000010000000000000002-delete";
        assert_eq!(deleted, Path::new(want));
        let long = format!("{}-12", "t".repeat(249));
        let deleted = set_aside_dir(Path::new(&long), [u64::MAX, 0], DELETE);
        let name = deleted.to_str().unwrap();
        assert_eq!(name.len(), 255);
        assert!(name.contains("t-12.ffff"));
        assert!(is_doomed_dir(want) && is_doomed_dir(name));
        let stray = set_aside_dir(Path::new("topic-7"), [1, 2], STRAY);
        assert!(!is_doomed_dir(stray.to_str().unwrap()));
        assert!(!is_doomed_dir("topic.0-delete") && !is_doomed_dir("t-0") && !is_doomed_dir(""));
    }
}
