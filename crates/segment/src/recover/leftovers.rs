//! Files that a compaction or a removal left half-way, as Kafka's `LogLoader` treats them.

use std::collections::BTreeSet;
use std::path::Path;

use env::{Disk, Env, Group, IoFailure, OpenMode};
use record::Offset;

use super::scan_file::end_of_batches;
use crate::layout::{self, Kind, Name, Stage};
use crate::truncate::remove_if_there;
use crate::{OpenError, ReadError};

/// The names of a directory, as far as they belong to segments, and what is to be removed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Sorted {
    /// Base offsets of the segments in use.
    pub(super) segments: BTreeSet<Offset>,
    /// Complete replacements, by the base offset of their batches.
    pub(super) swaps: BTreeSet<Offset>,
    /// Other files of replacements.
    swap_files: Vec<String>,
    /// To be removed, before `doomed`: as long as a `.cleaned` file is there they do not count.
    doomed_swaps: Vec<String>,
    /// To be removed.
    doomed: Vec<String>,
    /// Index files in use.
    indexes: Vec<(String, Offset)>,
}

/// Sorts the names. `.deleted` and `.cleaned` go; a `.swap` at or behind the first `.cleaned` is one
/// of several that did not all become complete, and goes too. Indexes without batches go.
pub(super) fn sort(names: &[String]) -> Sorted {
    let parsed: Vec<(&String, Name)> =
        names.iter().filter_map(|name| Some((name, Name::parse(name)?))).collect();
    let cleaned = parsed.iter().filter(|(_, name)| name.stage == Stage::Cleaned);
    let first_cleaned = cleaned.map(|(_, name)| name.base).min();
    let mut sorted = Sorted::default();
    for (text, Name { base, kind, stage }) in parsed {
        let text = text.clone();
        match (stage, kind) {
            (Stage::Deleted | Stage::Cleaned, _) => sorted.doomed.push(text),
            (Stage::Swap, _) if first_cleaned.is_some_and(|first| first <= base) => {
                sorted.doomed_swaps.push(text);
            }
            (Stage::Swap, Kind::Log) => {
                sorted.swaps.insert(base);
            }
            (Stage::Swap, _) => sorted.swap_files.push(text),
            (Stage::Live, Kind::Log) => {
                sorted.segments.insert(base);
            }
            (Stage::Live, Kind::Snapshot) => {}
            (Stage::Live, _) => sorted.indexes.push((text, base)),
        }
    }
    sorted
}

/// The segments of a directory.
#[derive(Debug, Default)]
pub(super) struct Tidied {
    /// Their base offsets.
    pub(super) segments: BTreeSet<Offset>,
    /// Those that have an index of aborted transactions.
    pub(super) aborted: BTreeSet<Offset>,
}

/// Brings the directory to the state it would have if nothing had been interrupted, and says which
/// segments there are. Doing it again changes nothing.
pub(super) async fn tidy<E: Env>(env: &E, dir: &Path, group: Group) -> Result<Tidied, OpenError> {
    let mut names = files_of(env, dir).await?;
    let mut sorted = sort(&names);
    let mut changed = !sorted.doomed.is_empty();
    for doomed in [&sorted.doomed_swaps, &sorted.doomed] {
        for name in doomed {
            remove_if_there(env, &dir.join(name)).await?;
            env.yield_if_needed().await;
        }
        if !doomed.is_empty() {
            env.disk().sync_dir(dir).await?;
        }
    }
    // An index alone is the rest of a replacement whose batches have their name already.
    if !sorted.swaps.is_empty() || !sorted.swap_files.is_empty() {
        swap_in(env, dir, &mut sorted, group).await?;
        names = files_of(env, dir).await?;
        changed = true;
    }
    for (name, base) in &sorted.indexes {
        if !sorted.segments.contains(base) {
            remove_if_there(env, &dir.join(name)).await?;
            changed = true;
        }
    }
    if changed {
        env.disk().sync_dir(dir).await?;
    }
    let aborted = names.iter().filter_map(|name| Name::parse(name)).filter(|name| {
        name.stage == Stage::Live
            && name.kind == Kind::TxnIndex
            && sorted.segments.contains(&name.base)
    });
    Ok(Tidied { aborted: aborted.map(|name| name.base).collect(), segments: sorted.segments })
}

async fn files_of<E: Env>(env: &E, dir: &Path) -> Result<Vec<String>, OpenError> {
    let entries = env.disk().list(dir).await?;
    Ok(entries.into_iter().filter(|entry| !entry.is_dir).map(|entry| entry.name).collect())
}

/// Puts complete replacements into the place of what they replace: first the originals go, then the
/// replacements get their names. Interrupted between the two, the next start finds the same.
async fn swap_in<E: Env>(
    env: &E,
    dir: &Path,
    sorted: &mut Sorted,
    group: Group,
) -> Result<(), OpenError> {
    let mut replaced_to = Offset::ZERO;
    for base in &sorted.swaps {
        let path = layout::swap_path(dir, *base, Kind::Log);
        let file = env.disk().open(&path, OpenMode::existing().direct()).await?;
        let end = end_of_batches(env, file, *base, group).await;
        replaced_to = replaced_to.max(end.map_err(open_error)?);
    }
    let first = sorted.swaps.first().copied().unwrap_or(Offset::MAX);
    let replaced: Vec<Offset> =
        sorted.segments.range(first..replaced_to.max(first)).copied().collect();
    for base in replaced {
        for kind in Kind::ALL {
            // Producer state at an offset does not change with the batches before it.
            if kind != Kind::Snapshot {
                remove_if_there(env, &layout::path(dir, base, kind)).await?;
            }
        }
        sorted.segments.remove(&base);
    }
    env.disk().sync_dir(dir).await?;
    for name in &sorted.swap_files {
        let to = dir.join(name.trim_end_matches(".swap"));
        env.disk().rename(&dir.join(name), &to).await?;
    }
    for base in &sorted.swaps {
        let to = layout::path(dir, *base, Kind::Log);
        env.disk().rename(&layout::swap_path(dir, *base, Kind::Log), &to).await?;
        sorted.segments.insert(*base);
    }
    sorted.indexes.clear();
    Ok(())
}

/// A failed read while a log is opened.
pub(super) fn open_error(error: ReadError) -> OpenError {
    match error {
        ReadError::Io(failure) => OpenError::Io(failure),
        ReadError::OverBudget(over) => OpenError::OverBudget(over),
        ReadError::Corrupt(corrupt) => {
            let kind = std::io::ErrorKind::InvalidData;
            OpenError::Io(IoFailure::of_kind("read", &corrupt.path, kind))
        }
        ReadError::OutOfRange { .. } => unreachable!("opening looks up no offset"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(names: &[&str]) -> (Vec<i64>, Vec<i64>, Vec<String>) {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let sorted = sort(&names);
        let raw = |set: &BTreeSet<Offset>| set.iter().map(|base| base.raw()).collect();
        let doomed = [sorted.doomed_swaps, sorted.doomed].concat();
        (raw(&sorted.segments), raw(&sorted.swaps), doomed)
    }

    #[test]
    fn leftovers_are_sorted_as_kafka_does() {
        let (segments, swaps, doomed) = check(&[
            "00000000000000000000.log",
            "00000000000000000000.index",
            "00000000000000000005.log.deleted",
            "00000000000000000010.log.swap",
            "00000000000000000010.index.swap",
            "00000000000000000020.log.swap",
            "00000000000000000020.log.cleaned",
            "leader-epoch-checkpoint",
        ]);
        assert_eq!(segments, [0]);
        assert_eq!(swaps, [10], "the other swap is as incomplete as the cleaned file");
        let gone = [
            "00000000000000000020.log.swap",
            "00000000000000000005.log.deleted",
            "00000000000000000020.log.cleaned",
        ];
        assert_eq!(doomed, gone);
    }

    #[test]
    fn a_swap_before_the_cleaned_files_is_complete() {
        let (_, swaps, _) =
            check(&["00000000000000000010.log.swap", "00000000000000000020.index.cleaned"]);
        assert_eq!(swaps, [10]);
    }
}
