//! The checkpoint files: what is known of every partition without looking at its segments.
//! `docs/design/format.md` is the normative text.
//!
//! One file for each shard, replaced atomically. They are no source of truth: without them, or
//! when one is damaged, logs are scanned.

use std::collections::BTreeMap;
use std::path::Path;

use env::{Disk, Env, File, Group, IoFailure, OpenMode, ShardId};
use record::{LeaderEpoch, Offset, TopicId, TopicPartition};

use crate::layout::{Mark, bytes_at, put};
use crate::limits::CHECKPOINT_PARTITIONS_MAX;

/// What the name of every checkpoint file begins with; the number of a shard follows.
pub const CHECKPOINT_FILE_PREFIX: &str = "evenkeel-checkpoint-";

fn file_name(shard: ShardId) -> String {
    format!("{CHECKPOINT_FILE_PREFIX}{}", shard.0)
}

/// Whether a file in the root is a checkpoint of some shard.
fn is_checkpoint(name: &str) -> bool {
    name.strip_prefix(CHECKPOINT_FILE_PREFIX)
        .is_some_and(|shard| !shard.is_empty() && shard.bytes().all(|byte| byte.is_ascii_digit()))
}

const MAGIC: [u8; 8] = *b"EKCHECKP";
const VERSION: u16 = 1;
const HEADER_LEN: usize = 32;
const ENTRY_LEN: usize = 96;
/// Entries that share a checksum.
const BLOCK_ENTRIES: usize = 512;
const BLOCK_BYTES_MAX: usize = BLOCK_ENTRIES * ENTRY_LEN + 4;

/// What is known of one partition.
///
/// Make one in this order: take the journal's [`mark`](crate::Journal::mark) and let later
/// writes name the partition dirty again, then write and flush its segments, then describe it.
/// What the journal says of the partition below the mark is then in the description.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartitionPoint {
    /// Which partition.
    pub partition: TopicPartition,
    /// The journal's mark before its segments were flushed.
    pub mark: Mark,
    /// First readable offset.
    pub log_start: Offset,
    /// Below it the segment files hold everything, flushed. Exclusive.
    pub recovery_point: Offset,
    /// The next offset behind the batches in `segment_len_bytes`.
    pub end: Offset,
    /// Base offset of the segment that is appended to.
    pub segment_base: Offset,
    /// Bytes of it that are whole batches and flushed.
    pub segment_len_bytes: u64,
    /// The largest timestamp in that segment, in milliseconds since 1970; -1 if there is none.
    pub largest_timestamp_ms: i64,
    /// The newest leader epoch.
    pub leader_epoch: LeaderEpoch,
    /// Below it records were committed, exclusive.
    pub high_watermark: Offset,
}

/// What is known of all partitions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checkpoint {
    points: BTreeMap<TopicPartition, PartitionPoint>,
}

/// The checkpoint file cannot be used. Whoever reads it goes on without one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    /// The device refused.
    #[error("checkpoint not read: {0}")]
    Io(IoFailure),
    /// Its bytes are not what was written.
    #[error("checkpoint is damaged: {what}")]
    Damaged {
        /// What is wrong.
        what: &'static str,
    },
    /// Written by another version of this program.
    #[error("checkpoint has format {version}, which this version cannot read")]
    Version {
        /// The format it has.
        version: u16,
    },
}

/// The checkpoint file was not replaced. The one before is still there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SaveError {
    /// The device refused.
    #[error("checkpoint not written: {0}")]
    Io(IoFailure),
    /// More partitions than the format has room for.
    #[error("checkpoint not written: {partitions} partitions are too many")]
    TooMany {
        /// How many there are.
        partitions: usize,
    },
}

impl From<IoFailure> for LoadError {
    fn from(failure: IoFailure) -> LoadError {
        LoadError::Io(failure)
    }
}

impl From<IoFailure> for SaveError {
    fn from(failure: IoFailure) -> SaveError {
        SaveError::Io(failure)
    }
}

impl Checkpoint {
    /// What is known of `partition`.
    #[must_use]
    pub fn get(&self, partition: TopicPartition) -> Option<&PartitionPoint> {
        self.points.get(&partition)
    }

    /// Replaces what is known of a partition.
    pub fn insert(&mut self, point: PartitionPoint) {
        self.points.insert(point.partition, point);
    }

    /// Forgets a partition.
    pub fn remove(&mut self, partition: TopicPartition) {
        self.points.remove(&partition);
    }

    /// Forgets all partitions for which `keep` is false.
    pub fn retain(&mut self, mut keep: impl FnMut(&PartitionPoint) -> bool) {
        self.points.retain(|_, point| keep(point));
    }

    /// All partitions, in order.
    pub fn iter(&self) -> impl Iterator<Item = &PartitionPoint> {
        self.points.values()
    }

    /// Number of partitions.
    #[must_use]
    pub fn len(&self) -> usize {
        self.points.len()
    }

    /// Whether nothing is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.points.is_empty()
    }

    /// The newest run that any mark names; 0 without any.
    #[must_use]
    pub(crate) fn run_max(&self) -> u64 {
        self.points.values().map(|point| point.mark.run).max().unwrap_or(0)
    }
}

fn encode_header(count: u32) -> [u8; HEADER_LEN] {
    let mut header = [0; HEADER_LEN];
    put(&mut header, 0, &MAGIC);
    put(&mut header, 8, &VERSION.to_be_bytes());
    put(&mut header, 12, &count.to_be_bytes());
    let crc = crc32c::crc32c(&header[..HEADER_LEN - 4]);
    put(&mut header, HEADER_LEN - 4, &crc.to_be_bytes());
    header
}

fn decode_header(header: &[u8; HEADER_LEN]) -> Result<u32, LoadError> {
    let damaged = |what| Err(LoadError::Damaged { what });
    let crc = u32::from_be_bytes(bytes_at(header, HEADER_LEN - 4));
    if header[..8] != MAGIC || crc != crc32c::crc32c(&header[..HEADER_LEN - 4]) {
        return damaged("header");
    }
    let version = u16::from_be_bytes(bytes_at(header, 8));
    if version != VERSION {
        return Err(LoadError::Version { version });
    }
    match u32::from_be_bytes(bytes_at(header, 12)) {
        count if count <= CHECKPOINT_PARTITIONS_MAX => Ok(count),
        _ => damaged("number of partitions"),
    }
}

impl PartitionPoint {
    fn encode(&self, entry: &mut [u8]) {
        put(entry, 0, &self.partition.topic.bytes());
        put(entry, 16, &self.partition.partition.to_be_bytes());
        put(entry, 20, &self.leader_epoch.raw().to_be_bytes());
        put(entry, 24, &self.log_start.raw().to_be_bytes());
        put(entry, 32, &self.recovery_point.raw().to_be_bytes());
        put(entry, 40, &self.end.raw().to_be_bytes());
        put(entry, 48, &self.high_watermark.raw().to_be_bytes());
        put(entry, 56, &self.segment_base.raw().to_be_bytes());
        put(entry, 64, &self.segment_len_bytes.to_be_bytes());
        put(entry, 72, &self.largest_timestamp_ms.to_be_bytes());
        put(entry, 80, &self.mark.run.to_be_bytes());
        put(entry, 88, &self.mark.sequence.to_be_bytes());
    }

    fn decode(entry: &[u8]) -> Option<PartitionPoint> {
        let offset = |at| Offset::new(i64::from_be_bytes(bytes_at(entry, at)));
        let topic = TopicId::from_bytes(bytes_at(entry, 0));
        let partition = i32::from_be_bytes(bytes_at(entry, 16));
        Some(PartitionPoint {
            partition: TopicPartition { topic, partition },
            leader_epoch: LeaderEpoch::new(i32::from_be_bytes(bytes_at(entry, 20)))?,
            log_start: offset(24)?,
            recovery_point: offset(32)?,
            end: offset(40)?,
            high_watermark: offset(48)?,
            segment_base: offset(56)?,
            segment_len_bytes: u64::from_be_bytes(bytes_at(entry, 64)),
            largest_timestamp_ms: i64::from_be_bytes(bytes_at(entry, 72)),
            mark: Mark {
                run: u64::from_be_bytes(bytes_at(entry, 80)),
                sequence: u64::from_be_bytes(bytes_at(entry, 88)),
            },
        })
    }
}

/// Writes `points` and their checksum to the front of `block`; says how long that is.
fn encode_block(points: &[&PartitionPoint], block: &mut [u8]) -> usize {
    for (point, entry) in points.iter().zip(block.chunks_exact_mut(ENTRY_LEN)) {
        point.encode(entry);
    }
    let at = points.len() * ENTRY_LEN;
    let crc = crc32c::crc32c(&block[..at]);
    put(block, at, &crc.to_be_bytes());
    at + 4
}

/// Adds the entries of `block`, checksum at its end, to `checkpoint`.
fn decode_block(block: &[u8], checkpoint: &mut Checkpoint) -> Result<(), LoadError> {
    let damaged = |what| LoadError::Damaged { what };
    let (entries, crc) = block.split_last_chunk::<4>().ok_or(damaged("length"))?;
    if u32::from_be_bytes(*crc) != crc32c::crc32c(entries) {
        return Err(damaged("checksum"));
    }
    for entry in entries.chunks_exact(ENTRY_LEN) {
        let point = PartitionPoint::decode(entry).ok_or(damaged("negative number"))?;
        // In rising order, so that there is one file for one content.
        let last = checkpoint.points.last_key_value();
        if last.is_some_and(|(last, _)| point.partition <= *last) {
            return Err(damaged("order of partitions"));
        }
        checkpoint.insert(point);
    }
    Ok(())
}

/// Reads the checkpoint files of all shards, however many there were; `None` if there is none. Of
/// a partition that several name, the point with the highest mark counts: a partition is one
/// shard's in one run. Holds one block beside the result.
pub async fn load<E: Env>(env: &E, group: Group) -> Result<Option<Checkpoint>, LoadError> {
    let mut merged: Option<Checkpoint> = None;
    for entry in env.disk().list(Path::new("")).await? {
        if entry.is_dir || !is_checkpoint(&entry.name) {
            continue;
        }
        let merged = merged.get_or_insert_default();
        for (partition, point) in load_file(env, Path::new(&entry.name), group).await?.points {
            if merged.get(partition).is_none_or(|known| known.mark < point.mark) {
                merged.insert(point);
            }
        }
    }
    Ok(merged)
}

/// Removes the checkpoint files of all shards, durably: after a clean stop they say nothing.
pub async fn remove_all<E: Env>(env: &E) -> Result<(), IoFailure> {
    for entry in env.disk().list(Path::new("")).await? {
        if !entry.is_dir && is_checkpoint(&entry.name) {
            env.disk().remove_file(Path::new(&entry.name)).await?;
        }
    }
    env.disk().sync_dir(Path::new("")).await
}

async fn load_file<E: Env>(env: &E, path: &Path, group: Group) -> Result<Checkpoint, LoadError> {
    let file = env.disk().open(path, OpenMode::existing()).await?;
    let out_of_memory = || IoFailure::of_kind("read", path, std::io::ErrorKind::OutOfMemory);
    let mut buffer = env.pool().buffer(BLOCK_BYTES_MAX).map_err(|_| out_of_memory())?;
    let mut read;
    (read, buffer) = file.read_at(buffer, HEADER_LEN, 0, group).await;
    if read? < HEADER_LEN {
        return Err(LoadError::Damaged { what: "length" });
    }
    let header = buffer.as_slice().first_chunk().expect("a buffer is a page at least");
    let mut left = usize::try_from(decode_header(header)?).unwrap_or(usize::MAX);
    let mut checkpoint = Checkpoint::default();
    let mut position = HEADER_LEN as u64;
    while 0 < left {
        let entries = left.min(BLOCK_ENTRIES);
        let len = entries * ENTRY_LEN + 4;
        (read, buffer) = file.read_at(buffer, len, position, group).await;
        if read? < len {
            return Err(LoadError::Damaged { what: "length" });
        }
        decode_block(&buffer.as_slice()[..len], &mut checkpoint)?;
        position += len as u64;
        left -= entries;
        env.yield_if_needed().await;
    }
    if file.len().await? != position {
        return Err(LoadError::Damaged { what: "length" });
    }
    Ok(checkpoint)
}

/// Replaces this shard's checkpoint file so that a loss of power leaves the old or the new one;
/// when this returns the new one is durable. There is one call at a time. Holds two blocks at most.
pub async fn save<E: Env>(env: &E, checkpoint: &Checkpoint, group: Group) -> Result<(), SaveError> {
    let partitions = checkpoint.len();
    let count = u32::try_from(partitions).ok().filter(|n| *n <= CHECKPOINT_PARTITIONS_MAX);
    let count = count.ok_or(SaveError::TooMany { partitions })?;
    let name = file_name(env.shard());
    let temporary = name.clone() + ".tmp";
    let (path, temporary) = (Path::new(&name), Path::new(&temporary));
    let file = env.disk().open(temporary, OpenMode::create()).await?;
    file.set_len(0).await?;
    let mut points = checkpoint.iter();
    let mut position = 0;
    let mut block: Vec<&PartitionPoint> = Vec::with_capacity(BLOCK_ENTRIES);
    loop {
        block.clear();
        block.extend(points.by_ref().take(BLOCK_ENTRIES));
        if block.is_empty() && 0 < position {
            break;
        }
        let out_of_memory =
            |_| IoFailure::of_kind("write", temporary, std::io::ErrorKind::OutOfMemory);
        let mut buffer = env.pool().buffer(HEADER_LEN + BLOCK_BYTES_MAX).map_err(out_of_memory)?;
        let mut len = 0;
        if position == 0 {
            put(buffer.as_mut_slice(), 0, &encode_header(count));
            len = HEADER_LEN;
        }
        if !block.is_empty() {
            len += encode_block(&block, &mut buffer.as_mut_slice()[len..]);
        }
        file.write_at(buffer.seal(len), position, group).await?;
        position += len as u64;
        env.yield_if_needed().await;
    }
    file.sync(group).await?;
    env.disk().rename(temporary, path).await?;
    env.disk().sync_dir(Path::new("")).await?;
    Ok(())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use env::std_world::StdEnv;

    pub(crate) fn point(partition: TopicPartition) -> PartitionPoint {
        let at = |raw| Offset::new(raw).unwrap();
        PartitionPoint {
            partition,
            mark: Mark { run: 3, sequence: 1 << 40 },
            log_start: at(1),
            recovery_point: at(20),
            end: at(i64::MAX),
            segment_base: at(15),
            segment_len_bytes: 4_567,
            largest_timestamp_ms: -1,
            leader_epoch: LeaderEpoch::new(7).unwrap(),
            high_watermark: at(19),
        }
    }

    fn checkpoint(partitions: i32) -> Checkpoint {
        let mut checkpoint = Checkpoint::default();
        for partition in 0..partitions {
            checkpoint.insert(point(TopicPartition { topic: TopicId::ZERO, partition }));
        }
        checkpoint
    }

    fn saved(checkpoint: &Checkpoint) -> (tempfile::TempDir, StdEnv) {
        let dir = tempfile::tempdir().unwrap();
        let env = StdEnv::new(dir.path(), 1 << 20);
        env.block_on(save(&env, checkpoint, Group::Retention)).unwrap();
        (dir, env)
    }

    #[test]
    fn what_was_saved_is_loaded_at_any_size() {
        let none = tempfile::tempdir().unwrap();
        let env = StdEnv::new(none.path(), 1 << 20);
        assert_eq!(env.block_on(load(&env, Group::Recovery)), Ok(None));
        for partitions in [0, 1, 511, 512, 513, 1500] {
            let checkpoint = checkpoint(partitions);
            let (_dir, env) = saved(&checkpoint);
            let loaded = env.block_on(load(&env, Group::Recovery)).unwrap();
            assert_eq!(loaded, Some(checkpoint), "{partitions} partitions");
        }
    }

    #[test]
    fn a_smaller_checkpoint_replaces_a_larger_one() {
        let (_dir, env) = saved(&checkpoint(700));
        env.block_on(save(&env, &checkpoint(2), Group::Retention)).unwrap();
        assert_eq!(env.block_on(load(&env, Group::Recovery)), Ok(Some(checkpoint(2))));
    }

    #[test]
    fn of_what_several_shards_say_the_newest_counts() {
        let old = checkpoint(3);
        let (dir, env) = saved(&old);
        let file = |shard| dir.path().join(file_name(ShardId(shard)));
        std::fs::rename(file(0), file(12)).unwrap();
        std::fs::write(dir.path().join("evenkeel-checkpoint-1.tmp"), b"half").unwrap();
        let mut new = Checkpoint::default();
        for (partition, run) in [(1, 4), (2, 2), (7, 1)] {
            let id = TopicPartition { topic: TopicId::ZERO, partition };
            let mark = Mark { run, sequence: 0 };
            new.insert(PartitionPoint { mark, segment_len_bytes: 1, ..point(id) });
        }
        env.block_on(save(&env, &new, Group::Retention)).unwrap();
        let loaded = env.block_on(load(&env, Group::Recovery)).unwrap().unwrap();
        let lens: Vec<u64> = loaded.iter().map(|point| point.segment_len_bytes).collect();
        assert_eq!(lens, [4567, 1, 4567, 1]);
        env.block_on(remove_all(&env)).unwrap();
        assert_eq!(env.block_on(load(&env, Group::Recovery)), Ok(None));
    }

    #[test]
    fn every_changed_bit_and_every_cut_is_damage() {
        let (dir, env) = saved(&checkpoint(3));
        let path = dir.path().join(file_name(ShardId(0)));
        let bytes = std::fs::read(&path).unwrap();
        assert_eq!(bytes.len(), HEADER_LEN + 3 * ENTRY_LEN + 4);
        let refused = |bytes: &[u8]| {
            std::fs::write(&path, bytes).unwrap();
            let loaded = env.block_on(load(&env, Group::Recovery));
            assert!(matches!(loaded, Err(LoadError::Damaged { .. })), "{loaded:?}");
        };
        for bit in (0..bytes.len() * 8).step_by(7) {
            let mut changed = bytes.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            refused(&changed);
        }
        (0..bytes.len()).for_each(|len| refused(&bytes[..len]));
        refused(&[&bytes[..], &[0]].concat());
    }

    #[test]
    fn the_bytes_are_those_of_the_specification() {
        let (dir, _env) = saved(&checkpoint(1));
        let bytes = std::fs::read(dir.path().join(file_name(ShardId(0)))).unwrap();
        assert_eq!(&bytes[..16], b"EKCHECKP\0\x01\0\0\0\0\0\x01");
        let entry = &bytes[32..128];
        assert_eq!(&entry[16..24], [0, 0, 0, 0, 0, 0, 0, 7]);
        assert_eq!(entry[24..32], 1_u64.to_be_bytes());
        assert_eq!(entry[72..80], (-1_i64).to_be_bytes());
        assert_eq!(entry[80..88], 3_u64.to_be_bytes());
        assert_eq!(bytes[128..], crc32c::crc32c(entry).to_be_bytes());
    }
}
