//! What lies in a data directory: its logs with their files, who it is, how it was left. Names and lengths
//! only; no file of a log is opened here.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use env::std_world::StdEnv;
use env::{Disk, Group, IoFailure, read_all};
use metadata::kafka_files::{
    CLEAN_SHUTDOWN, CleanShutdown, FILE_BYTES_MAX, FileError, META_PROPERTIES, MetaProperties,
    decode_clean_shutdown, decode_meta_properties,
};
use record::Offset;

use env::Env;

/// The topic of the metadata log.
pub(super) const METADATA_TOPIC: &str = "__cluster_metadata";
/// What the names of journal files begin with.
const JOURNAL_PREFIX: &str = "evenkeel-journal-";

/// A data directory by the names in it.
#[derive(Debug)]
pub(super) struct Directory {
    /// Whose it is.
    pub(super) identity: Result<MetaProperties, String>,
    /// The marker of a clean stop, if there is one.
    pub(super) clean: Option<CleanShutdown>,
    /// Every log, by topic and partition; the metadata log too.
    pub(super) logs: BTreeMap<(String, i32), LogFiles>,
    /// Directories that wait to be removed or were set aside: nothing of them is served.
    pub(super) aside: Vec<String>,
    /// Journal files and their lengths in bytes.
    pub(super) journals: Vec<(String, u64)>,
    /// Other files in the root, by name.
    pub(super) files: Vec<String>,
}

/// The files of one log.
#[derive(Clone, Debug, Default)]
pub(super) struct LogFiles {
    /// Its directory, relative to the data directory.
    pub(super) dir: PathBuf,
    /// The segments by base offset.
    pub(super) segments: BTreeMap<Offset, SegmentFiles>,
    /// Offsets of the producer snapshots.
    pub(super) snapshots: Vec<Offset>,
    /// Every other file, by name.
    pub(super) others: Vec<String>,
}

/// Lengths in bytes of the files of a segment; `None` for one that does not exist.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct SegmentFiles {
    pub(super) log: Option<u64>,
    pub(super) index: Option<u64>,
    pub(super) time_index: Option<u64>,
    pub(super) txn_index: Option<u64>,
}

/// A file of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Log,
    Index,
    TimeIndex,
    TxnIndex,
    Snapshot,
}

impl Kind {
    const ALL: [(Kind, &str); 5] = [
        (Kind::Log, ".log"),
        (Kind::Index, ".index"),
        (Kind::TimeIndex, ".timeindex"),
        (Kind::TxnIndex, ".txnindex"),
        (Kind::Snapshot, ".snapshot"),
    ];

    fn suffix(self) -> &'static str {
        Kind::ALL.iter().find(|(kind, _)| *kind == self).map_or("", |(_, suffix)| suffix)
    }

    /// The base offset and the kind that a file's name says.
    fn parse(name: &str) -> Option<(Offset, Kind)> {
        let (digits, _) = name.split_once('.')?;
        let (kind, _) = Kind::ALL.iter().find(|(_, suffix)| name[digits.len()..] == **suffix)?;
        if digits.len() != 20 || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
            return None;
        }
        Some((Offset::new(digits.parse().ok()?)?, *kind))
    }
}

impl LogFiles {
    /// The path of a file of the segment that begins at `base`, relative to the data directory.
    pub(super) fn path(&self, base: Offset, kind: Kind) -> PathBuf {
        self.dir.join(format!("{:020}{}", base.raw(), kind.suffix()))
    }

    /// Bytes of all segments.
    pub(super) fn log_bytes(&self) -> u64 {
        self.segments.values().filter_map(|segment| segment.log).sum()
    }
}

/// Reads the names in the data directory of `env`.
pub(super) async fn read(env: &StdEnv) -> Result<Directory, IoFailure> {
    let mut directory = Directory {
        identity: identity(env).await?,
        clean: clean_marker(env).await?,
        logs: BTreeMap::new(),
        aside: Vec::new(),
        journals: Vec::new(),
        files: Vec::new(),
    };
    for entry in env.disk().list(Path::new("")).await? {
        if !entry.is_dir && entry.name.starts_with(JOURNAL_PREFIX) {
            let len = length(env, Path::new(&entry.name)).await?;
            directory.journals.push((entry.name, len));
        } else if !entry.is_dir {
            directory.files.push(entry.name);
        } else if let Some(key) = parse_log(&entry.name) {
            let files = log_files(env, Path::new(&entry.name)).await?;
            directory.logs.insert(key, files);
        } else {
            directory.aside.push(entry.name);
        }
    }
    Ok(directory)
}

/// Topic and partition of the directory called `name`; `None` for one that is set aside.
fn parse_log(name: &str) -> Option<(String, i32)> {
    let (topic, digits) = name.rsplit_once('-')?;
    if topic.is_empty() || digits.is_empty() || !digits.bytes().all(|d| d.is_ascii_digit()) {
        return None;
    }
    Some((topic.to_owned(), digits.parse().ok()?))
}

async fn log_files(env: &StdEnv, dir: &Path) -> Result<LogFiles, IoFailure> {
    let mut files = LogFiles { dir: dir.to_path_buf(), ..LogFiles::default() };
    for entry in env.disk().list(dir).await? {
        let Some((base, kind)) = Kind::parse(&entry.name) else {
            files.others.push(entry.name);
            continue;
        };
        if kind == Kind::Snapshot {
            files.snapshots.push(base);
            continue;
        }
        let len = length(env, &dir.join(&entry.name)).await?;
        let segment = files.segments.entry(base).or_default();
        match kind {
            Kind::Log => segment.log = Some(len),
            Kind::Index => segment.index = Some(len),
            Kind::TimeIndex => segment.time_index = Some(len),
            Kind::TxnIndex | Kind::Snapshot => segment.txn_index = Some(len),
        }
    }
    Ok(files)
}

async fn length(env: &StdEnv, path: &Path) -> Result<u64, IoFailure> {
    Ok(env.disk().stat(path).await?.map_or(0, |stat| stat.len))
}

/// Reads a small file with `decode`. `Ok(None)` if it does not exist; the inner error is the text of what is
/// wrong with its content.
pub(super) async fn small_file<T>(
    env: &StdEnv,
    path: &Path,
    decode: impl FnOnce(&[u8]) -> Result<T, FileError>,
) -> Result<Option<Result<T, String>>, IoFailure> {
    let content = read_all(env, path, FILE_BYTES_MAX, Group::System).await?;
    Ok(content.map(|bytes| decode(&bytes).map_err(|error| error.to_string())))
}

async fn identity(env: &StdEnv) -> Result<Result<MetaProperties, String>, IoFailure> {
    let found = small_file(env, Path::new(META_PROPERTIES), decode_meta_properties).await?;
    Ok(found.unwrap_or_else(|| Err(format!("{META_PROPERTIES} is missing"))))
}

async fn clean_marker(env: &StdEnv) -> Result<Option<CleanShutdown>, IoFailure> {
    let found = small_file(env, Path::new(CLEAN_SHUTDOWN), decode_clean_shutdown).await?;
    // Its being there is what it says.
    Ok(found.map(Result::unwrap_or_default))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_a_log_or_set_aside() {
        assert_eq!(parse_log("flights-0"), Some(("flights".to_owned(), 0)));
        assert_eq!(parse_log("a-b-12"), Some(("a-b".to_owned(), 12)));
        for name in ["flights-0.0f-delete", "flights-1.0f-stray", "-3", "flights-", "x", "t-+1"] {
            assert_eq!(parse_log(name), None, "{name}");
        }
    }

    #[test]
    fn a_name_of_a_segment_is_taken_apart() {
        let parsed = Kind::parse("00000000000000000042.timeindex");
        assert_eq!(parsed, Some((Offset::ZERO.plus(42), Kind::TimeIndex)));
        for name in ["42.log", "00000000000000000042.log.deleted", "0000000000000000004x.log", ""] {
            assert_eq!(Kind::parse(name), None, "{name}");
        }
    }
}
