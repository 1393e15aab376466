//! Reads what `inspect` shows.

use std::path::Path;

use env::std_world::StdEnv;
use env::{Group, IoFailure};
use index::{OffsetEntry, TimeEntry};
use journal::Replay;
use journal::checkpoint::{self, Checkpoint};
use metadata::Image;
use metadata::kafka_files::{
    LEADER_EPOCH_CHECKPOINT, LOG_START_CHECKPOINT, OffsetCheckpoint, REPLICATION_CHECKPOINT,
    decode_leader_epochs, decode_offsets,
};
use record::layout::HEADER_LEN;
use record::{Header, Offset, TopicPartition, crc_is_right};

use super::{Batches, JournalFile, LogView, MetadataLog, Pending, Report, SegmentLine, TopicLine};
use crate::log_tools::directory::{self, Directory, Kind, LogFiles, METADATA_TOPIC, SegmentFiles};
use crate::log_tools::fold::fold;
use crate::log_tools::reader::Reader;

/// Bytes at the beginning of a segment from which the number of its batches is estimated.
const SAMPLE_BYTES: u64 = 64 << 10;
/// Longest batch that is read, in bytes.
const BATCH_BYTES_MAX: usize = 1 << 30;

/// Everything beside the segments that says something about a log.
struct Beside {
    starts: OffsetCheckpoint,
    high_watermarks: OffsetCheckpoint,
    points: Checkpoint,
    replay: Option<Replay<StdEnv>>,
}

/// Reads the data directory of `env`. Damage is told in the report; only a failing device is an error.
pub(super) async fn gather(env: &StdEnv) -> Result<Report, IoFailure> {
    let found = directory::read(env).await?;
    let (image, metadata) = metadata(env, &found).await?;
    let loaded = checkpoint::load(env, Group::System).await;
    let checkpoints = match &loaded {
        Ok(points) => Ok(points.iter().flat_map(Checkpoint::iter).copied().collect()),
        Err(error) => Err(error.to_string()),
    };
    let points = loaded.ok().flatten().unwrap_or_default();
    let mut journal_troubles = Vec::new();
    let replay = match journal::replay(env, &points, Group::System).await {
        Ok(replay) => Some(replay),
        Err(error) => {
            journal_troubles.push(error.to_string());
            None
        }
    };
    if let Some(replay) = &replay {
        journal_troubles.extend(replay.damage().iter().map(|damage| format!("{damage:?}")));
    }
    let journals = journal_files(&found, replay.as_ref());
    let beside = Beside {
        starts: offsets(env, LOG_START_CHECKPOINT).await?,
        high_watermarks: offsets(env, REPLICATION_CHECKPOINT).await?,
        points,
        replay,
    };
    let mut logs = Vec::new();
    for ((topic, partition), files) in &found.logs {
        let topic_id = image.topic_named(topic).map(|topic| topic.id);
        let id = topic_id.map(|topic| TopicPartition { topic, partition: *partition });
        let known = id.is_some_and(|id| image.partition(id).is_some()) || topic == METADATA_TOPIC;
        let mut view = log(env, files, &beside, (topic, *partition), id).await?;
        view.known = known;
        logs.push(view);
    }
    Ok(Report {
        topics: topics(&image, &found),
        identity: found.identity,
        clean: found.clean,
        metadata,
        logs,
        journals,
        journal_troubles,
        checkpoints,
        aside: found.aside,
    })
}

async fn metadata(env: &StdEnv, found: &Directory) -> Result<(Image, MetadataLog), IoFailure> {
    let Some(files) = found.logs.get(&(METADATA_TOPIC.to_owned(), 0)) else {
        let stopped = Some("there is no metadata log".to_owned());
        return Ok((Image::new(), MetadataLog { end: None, stopped }));
    };
    let folded = fold(env, files).await?;
    let end = folded.end.map(Offset::raw);
    Ok((folded.image, MetadataLog { end, stopped: folded.stopped }))
}

async fn offsets(env: &StdEnv, name: &str) -> Result<OffsetCheckpoint, IoFailure> {
    let found = directory::small_file(env, Path::new(name), decode_offsets).await?;
    Ok(found.and_then(Result::ok).unwrap_or_default())
}

fn topics(image: &Image, found: &Directory) -> Vec<TopicLine> {
    let line = |topic: &metadata::image::Topic| TopicLine {
        name: topic.name.to_string(),
        id: topic.id.to_string(),
        partitions: topic.partitions.len(),
        here: (topic.partitions.keys())
            .filter(|partition| found.logs.contains_key(&(topic.name.to_string(), **partition)))
            .count(),
    };
    image.topics_by_name().map(line).collect()
}

fn journal_files(found: &Directory, replay: Option<&Replay<StdEnv>>) -> Vec<JournalFile> {
    let frames = |name: &str| {
        let files = replay.map_or(&[][..], |replay| replay.old_files().files());
        files.iter().find(|file| file.path == Path::new(name)).map_or(0, |file| file.frames)
    };
    let file = |(name, bytes): &(String, u64)| JournalFile {
        name: name.clone(),
        bytes: *bytes,
        frames: frames(name),
    };
    found.journals.iter().map(file).collect()
}

async fn log(
    env: &StdEnv,
    files: &LogFiles,
    beside: &Beside,
    (topic, partition): (&str, i32),
    id: Option<TopicPartition>,
) -> Result<LogView, IoFailure> {
    let mut segments = Vec::new();
    for (base, lengths) in &files.segments {
        segments.push(segment(env, files, *base, *lengths).await?);
    }
    let first = files.segments.keys().next().copied().unwrap_or(Offset::ZERO);
    let (end, unfinished_bytes) = tail(env, files).await?;
    let key = (topic.to_owned(), partition);
    let point = id.and_then(|id| beside.points.get(id));
    let replayed = id.and_then(|id| beside.replay.as_ref().and_then(|r| r.partition(id)));
    let starts = [
        Some(first),
        beside.starts.get(&key).copied(),
        point.map(|point| point.log_start),
        replayed.and_then(|said| said.log_start),
    ];
    let marks = [point.map(|p| p.high_watermark), beside.high_watermarks.get(&key).copied()];
    let pending = replayed.map(|said| Pending {
        pieces: said.pieces.len(),
        bytes: said.pieces.iter().map(journal::Piece::len_bytes).sum(),
        until: said.pieces.last().map(|piece| piece.until.raw()),
        dirty_from: said.dirty_from.map(Offset::raw),
    });
    Ok(LogView {
        name: format!("{topic}-{partition}"),
        start: starts.into_iter().flatten().max().unwrap_or(first).raw(),
        end: end.raw(),
        high_watermark: marks.into_iter().flatten().max().map(Offset::raw),
        segments,
        epochs: epochs(env, files).await?,
        pending,
        unfinished_bytes,
        known: true,
    })
}

async fn epochs(
    env: &StdEnv,
    files: &LogFiles,
) -> Result<Result<Vec<(i32, i64)>, String>, IoFailure> {
    let path = files.dir.join(LEADER_EPOCH_CHECKPOINT);
    let found = directory::small_file(env, &path, decode_leader_epochs).await?;
    let found = found.unwrap_or_else(|| Ok(Vec::new()));
    Ok(found.map(|epochs| epochs.iter().map(|e| (e.epoch.raw(), e.start.raw())).collect()))
}

async fn segment(
    env: &StdEnv,
    files: &LogFiles,
    base: Offset,
    lengths: SegmentFiles,
) -> Result<SegmentLine, IoFailure> {
    let batches = match lengths.log {
        Some(_) => count_batches(env, files, base).await?,
        None => Batches::Exactly(0),
    };
    Ok(SegmentLine {
        base: base.raw(),
        bytes: lengths.log.unwrap_or(0),
        batches,
        index_entries: lengths.index.map(|len| len / OffsetEntry::LEN as u64),
        time_entries: lengths.time_index.map(|len| len / TimeEntry::LEN as u64),
    })
}

/// Counts the batches at the beginning of a segment, and estimates if there are more.
async fn count_batches(env: &StdEnv, files: &LogFiles, base: Offset) -> Result<Batches, IoFailure> {
    let mut reader = Reader::open(env, &files.path(base, Kind::Log)).await?;
    let (mut position, mut count) = (0, 0);
    while position < reader.len().min(SAMPLE_BYTES) {
        let Ok(header) = Header::read(reader.at(position, HEADER_LEN).await?) else {
            return Ok(Batches::Exactly(count));
        };
        if reader.len() < position + header.len as u64 {
            return Ok(Batches::Exactly(count));
        }
        position += header.len as u64;
        count += 1;
    }
    if position == reader.len() {
        return Ok(Batches::Exactly(count));
    }
    let all = u128::from(count) * u128::from(reader.len()) / u128::from(position.max(1));
    Ok(Batches::About(u64::try_from(all).unwrap_or(u64::MAX)))
}

/// Where the log ends, from the last index entry on, and how many bytes behind are no whole batch.
async fn tail(env: &StdEnv, files: &LogFiles) -> Result<(Offset, u64), IoFailure> {
    let last = files.segments.iter().rev().find(|(_, lengths)| lengths.log.is_some());
    let Some((base, lengths)) = last else { return Ok((Offset::ZERO, 0)) };
    let mut reader = Reader::open(env, &files.path(*base, Kind::Log)).await?;
    let mut position = last_indexed(env, files, *base, *lengths).await?;
    let mut end = walk(&mut reader, &mut position, *base).await?;
    if position == 0 || end.is_none() {
        // The index led nowhere: from the beginning then.
        position = 0;
        end = walk(&mut reader, &mut position, *base).await?;
    }
    Ok((end.unwrap_or(*base), reader.len() - position))
}

/// Walks whole, intact batches from `position`; gives the offset after the last one.
async fn walk(
    reader: &mut Reader,
    position: &mut u64,
    base: Offset,
) -> Result<Option<Offset>, IoFailure> {
    let mut end = None;
    while *position < reader.len() {
        let Ok(header) = Header::read(reader.at(*position, HEADER_LEN).await?) else { break };
        let next = end.unwrap_or(base);
        let fits = *position + header.len as u64 <= reader.len() && header.len <= BATCH_BYTES_MAX;
        if !fits || header.base_offset < next {
            break;
        }
        if !crc_is_right(reader.at(*position, header.len).await?) {
            break;
        }
        *position += header.len as u64;
        end = Some(header.next_offset());
    }
    Ok(end)
}

/// The position in the last entry of the index that is one.
async fn last_indexed(
    env: &StdEnv,
    files: &LogFiles,
    base: Offset,
    lengths: SegmentFiles,
) -> Result<u64, IoFailure> {
    if lengths.index.unwrap_or(0) == 0 {
        return Ok(0);
    }
    let mut reader = Reader::open(env, &files.path(base, Kind::Index)).await?;
    let len = OffsetEntry::LEN;
    let mut entry = reader.len() / len as u64;
    while 0 < entry {
        entry -= 1;
        let bytes = reader.at(entry * len as u64, len).await?;
        let found = bytes.first_chunk().and_then(|bytes| OffsetEntry::decode(base, bytes));
        if let Some(found) = found {
            return Ok(u64::from(found.position));
        }
    }
    Ok(0)
}
