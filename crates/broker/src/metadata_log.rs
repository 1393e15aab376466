//! The metadata log of a single node: Kafka's `__cluster_metadata-0`, written by shard 0 alone.
//!
//! Owns the log, the fold over it and the raft epoch of this start. A record is appended and flushed before
//! anybody acts on it. Decides nothing about what is recorded.

use std::path::{Path, PathBuf};

use env::{Disk, Env, Group, IoFailure, read_all, replace_file};
use metadata::log::snapshot::{self, SnapshotError, SnapshotId};
use metadata::log::{
    BatchError, Replay, ReplayError, Stamp, batches, control_batch, leader_change,
};
use metadata::{Image, Record, Uuid};
use partition::epochs::Epochs;
use record::{LeaderEpoch, Offset, TopicId};
use segment::{AppendError, Known, Log, LogOptions, OpenError, ReadError, WriteError};

/// Where the log lies, relative to the data directory.
const DIRECTORY: &str = "__cluster_metadata-0";
/// The id of the metadata topic (Kafka: `Uuid.METADATA_TOPIC_ID`).
const TOPIC: [u8; 16] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
/// Largest snapshot that is read.
const SNAPSHOT_BYTES_MAX: usize = 64 << 20;
/// Bytes read of the log at a time.
const READ_BYTES: usize = 256 << 10;

/// The log and everything folded from it.
pub(crate) struct MetadataLog<E: Env> {
    env: E,
    log: Log<E>,
    replay: Replay,
    epochs: Epochs,
    epoch: LeaderEpoch,
}

/// The metadata log cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum MetadataLogError {
    /// Its files.
    #[error("metadata log: {0}")]
    Open(#[from] OpenError),
    /// A file beside it.
    #[error("metadata log: {0}")]
    Io(#[from] IoFailure),
    /// It cannot be read.
    #[error("metadata log: {0}")]
    Read(#[from] ReadError),
    /// It cannot be written.
    #[error("metadata log: {0}")]
    Write(#[from] WriteError),
    /// A record does not fit.
    #[error("metadata log: {0}")]
    Append(#[from] AppendError),
    /// A record that this version does not know, or that contradicts what came before.
    #[error("metadata log: {0}")]
    Replay(#[from] ReplayError),
    /// A snapshot cannot be read.
    #[error("metadata snapshot: {0}")]
    Snapshot(#[from] SnapshotError),
    /// A record cannot be written.
    #[error("metadata log: {0}")]
    Batch(#[from] BatchError),
}

impl<E: Env> MetadataLog<E> {
    /// Opens the log, or creates it; folds everything in it.
    pub(crate) async fn open(env: &E) -> Result<MetadataLog<E>, MetadataLogError> {
        let dir = Path::new(DIRECTORY);
        let start = Offset::ZERO;
        let exists = env.disk().stat(dir).await?.is_some();
        let mut replay = Replay::new();
        if exists && let Some((id, bytes)) = newest_snapshot(env, dir).await? {
            let (image, quorum) = snapshot::read(&bytes, id)?;
            replay = Replay::from_snapshot(image, quorum, id.end);
        }
        let from = replay.next().unwrap_or(start);
        let known = Known { start: from, recovery_point: from, clean: false, tail: None };
        let log = if exists {
            Log::open(env, dir, LogOptions::default(), known, Group::System).await?.0
        } else {
            let log = Log::create(env, dir, LogOptions::default(), start).await?;
            partition::write_topic_id(env, dir, TopicId::from_bytes(TOPIC)).await?;
            log
        };
        let epochs = fold(&log, &mut replay, from).await?;
        let epoch = replay.quorum().epoch.map_or(LeaderEpoch::ZERO, LeaderEpoch::next);
        // What was scanned may lie in the page cache only, and everything acts on it from now.
        log.flush(Group::System).await?;
        Ok(MetadataLog { env: env.clone(), log, replay, epochs, epoch })
    }

    /// The image of everything that is durable in the log.
    pub(crate) fn image(&self) -> &Image {
        self.replay.image()
    }

    /// Offset that the next record will have.
    pub(crate) fn next(&self) -> Offset {
        self.log.ends().end
    }

    /// Opens the raft epoch of this start: the first batch of an epoch is its leader change.
    pub(crate) async fn begin_epoch(
        &mut self,
        node_id: i32,
        directory: Uuid,
    ) -> Result<(), MetadataLogError> {
        let state = format!(
            "{{\"leaderId\":{node_id},\"leaderEpoch\":{epoch},\"votedId\":{node_id},\
             \"votedDirectoryId\":\"{directory}\",\"data_version\":1}}",
            epoch = self.epoch.raw(),
        );
        let path = PathBuf::from(DIRECTORY).join("quorum-state");
        replace_file(&self.env, &path, state.as_bytes(), Group::System).await?;
        let bytes = control_batch(&[leader_change(node_id)], self.stamp())?;
        let start = self.next();
        self.append_batch(&bytes).await?;
        self.epochs.assign(self.epoch, start);
        if self.replay.in_transaction() {
            let abort = Record::AbortTransaction(metadata::records::AbortTransactionRecord {
                reason: Some("the writer stopped inside it".to_owned()),
            });
            self.append(&[abort]).await?;
        }
        self.save_epochs().await
    }

    /// Appends `records` so that they count together; when it returns they are durable and folded. After an
    /// error the log must not be appended to again.
    pub(crate) async fn append(&mut self, records: &[Record]) -> Result<(), MetadataLogError> {
        if records.is_empty() {
            return Ok(());
        }
        let version = self.image().metadata_version();
        for (_, bytes) in batches(records, version, self.stamp())? {
            self.append_batch(&bytes).await?;
        }
        Ok(())
    }

    async fn append_batch(&mut self, bytes: &[u8]) -> Result<(), MetadataLogError> {
        self.log.append_verbatim(bytes, self.env.wall_ms())?;
        self.log.write(Group::System).await?;
        self.log.flush(Group::System).await?;
        self.replay.batch(bytes)?;
        Ok(())
    }

    /// A clean stop: the files are as Kafka expects them.
    pub(crate) async fn close(&self) -> Result<(), MetadataLogError> {
        self.log.close(Group::System).await?;
        self.save_epochs().await
    }

    async fn save_epochs(&self) -> Result<(), MetadataLogError> {
        let path = PathBuf::from(DIRECTORY).join("leader-epoch-checkpoint");
        let text = self.epochs.encode();
        Ok(replace_file(&self.env, &path, text.as_bytes(), Group::System).await?)
    }

    fn stamp(&self) -> Stamp {
        Stamp { base: self.next(), epoch: self.epoch, now_ms: self.env.wall_ms() }
    }
}

/// Folds what is in the log from `from` on; gives the epochs found in it.
async fn fold<E: Env>(
    log: &Log<E>,
    replay: &mut Replay,
    from: Offset,
) -> Result<Epochs, MetadataLogError> {
    let end = log.ends().end;
    let mut at = from.max(log.ends().start);
    let mut epochs = Epochs::default();
    while at < end {
        let read = log.read(at, end, READ_BYTES, true, Group::System).await?;
        let bytes: Vec<u8> = read.parts.iter().flat_map(|part| part.to_vec()).collect();
        for batch in record::Batches::new(&bytes) {
            let Ok((header, batch)) = batch else { break };
            if header.base_offset < at {
                continue;
            }
            if let Some(epoch) = LeaderEpoch::new(header.leader_epoch) {
                epochs.assign(epoch, header.base_offset);
            }
            at = replay.batch(batch)?;
        }
        if read.next.is_none() {
            break;
        }
    }
    Ok(epochs)
}

/// The newest complete snapshot beside the log. The bootstrap snapshot `0-0` counts only if
/// there is no other: it may be all that a formatted directory has.
async fn newest_snapshot<E: Env>(
    env: &E,
    dir: &Path,
) -> Result<Option<(SnapshotId, Vec<u8>)>, MetadataLogError> {
    let entries = env.disk().list(dir).await?;
    let newest = entries.iter().filter_map(|entry| SnapshotId::from_file_name(&entry.name)).max();
    let Some(id) = newest else { return Ok(None) };
    let path = dir.join(id.to_string());
    let bytes = read_all(env, &path, SNAPSHOT_BYTES_MAX, Group::System).await?;
    Ok(bytes.map(|bytes| (id, bytes)))
}
