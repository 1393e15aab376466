//! The image of the metadata log of a directory, read without opening it as a log.

use std::path::Path;

use env::std_world::StdEnv;
use env::{Group, IoFailure, read_all};
use metadata::Image;
use metadata::log::Replay;
use metadata::log::snapshot::{self, SnapshotId};
use record::{Header, Offset};

use super::directory::{Kind, LogFiles};
use super::reader::Reader;

/// Largest snapshot that is read, in bytes.
const SNAPSHOT_BYTES_MAX: usize = 64 << 20;
/// Longest batch of a metadata log that is read, in bytes.
const BATCH_BYTES_MAX: usize = 64 << 20;

/// What the metadata log says.
#[derive(Debug)]
pub(super) struct Folded {
    /// Everything up to `end`.
    pub(super) image: Image,
    /// Offset after the last record that was taken.
    pub(super) end: Option<Offset>,
    /// Why it ends there, if that is not the end of the files.
    pub(super) stopped: Option<String>,
}

/// Folds the newest snapshot of `files` and what the segments hold beyond it.
pub(super) async fn fold(env: &StdEnv, files: &LogFiles) -> Result<Folded, IoFailure> {
    let mut replay = Replay::new();
    if let Some((id, bytes)) = newest_snapshot(env, files).await? {
        match snapshot::read(&bytes, id) {
            Ok((image, quorum)) => replay = Replay::from_snapshot(image, quorum, id.end),
            Err(error) => return Ok(ended(&replay, Some(format!("snapshot {id}: {error}")))),
        }
    }
    for base in files.segments.keys() {
        let path = files.path(*base, Kind::Log);
        if let Some(why) = fold_segment(env, &path, &mut replay).await? {
            return Ok(ended(&replay, Some(format!("{}: {why}", path.display()))));
        }
    }
    Ok(ended(&replay, None))
}

fn ended(replay: &Replay, stopped: Option<String>) -> Folded {
    Folded { image: replay.image().clone(), end: replay.next(), stopped }
}

/// Takes the batches of one segment; says why it stopped before the end of the file.
async fn fold_segment(
    env: &StdEnv,
    path: &Path,
    replay: &mut Replay,
) -> Result<Option<String>, IoFailure> {
    let mut reader = Reader::open(env, path).await?;
    let mut position = 0;
    while position < reader.len() {
        let at = |why: String| format!("byte {position}: {why}");
        let header = match Header::read(reader.at(position, record::layout::HEADER_LEN).await?) {
            Ok(header) if header.len <= BATCH_BYTES_MAX => header,
            Ok(_) => return Ok(Some(at("a batch is too long".to_owned()))),
            Err(error) => return Ok(Some(at(error.to_string()))),
        };
        let batch = reader.at(position, header.len).await?;
        if batch.len() < header.len {
            return Ok(Some(at("the last batch is cut off".to_owned())));
        }
        // What a snapshot holds already is skipped.
        if replay.next().is_none_or(|next| next <= header.base_offset)
            && let Err(error) = replay.batch(batch)
        {
            return Ok(Some(at(error.to_string())));
        }
        position += header.len as u64;
    }
    Ok(None)
}

async fn newest_snapshot(
    env: &StdEnv,
    files: &LogFiles,
) -> Result<Option<(SnapshotId, Vec<u8>)>, IoFailure> {
    let newest = files.others.iter().filter_map(|name| SnapshotId::from_file_name(name)).max();
    let Some(id) = newest else { return Ok(None) };
    let path = files.dir.join(id.to_string());
    let bytes = read_all(env, &path, SNAPSHOT_BYTES_MAX, Group::System).await?;
    Ok(bytes.map(|bytes| (id, bytes)))
}
