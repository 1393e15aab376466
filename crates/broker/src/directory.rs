//! Kafka's files in the root of a data directory: who it belongs to, whether it was left in order, and
//! where its logs end.

use std::collections::BTreeMap;
use std::path::Path;

use env::{Disk, Env, Group, IoFailure, read_all, replace_file};
use metadata::Uuid;
use metadata::kafka_files::{
    CLEAN_SHUTDOWN, CleanShutdown, FileError, LOG_START_CHECKPOINT, META_PROPERTIES,
    MetaProperties, OffsetCheckpoint, RECOVERY_POINT_CHECKPOINT, REPLICATION_CHECKPOINT,
    decode_clean_shutdown, decode_meta_properties, decode_offsets, encode_clean_shutdown,
    encode_meta_properties, encode_offsets,
};
use record::Offset;

use crate::message::KafkaEnds;
use crate::options::Options;
use crate::shard::Identity;

/// Largest of these files that is read: a checkpoint of a few hundred thousand partitions.
const FILE_BYTES_MAX: usize = 32 << 20;

/// The directory cannot be used. Nothing in it was changed.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// A file operation.
    #[error(transparent)]
    Io(#[from] IoFailure),
    /// A file is not what it should be.
    #[error("{file} cannot be read: {why}; restore it, or start with another --data directory")]
    Malformed {
        /// Which file.
        file: &'static str,
        /// What is wrong.
        why: FileError,
    },
    /// There is no `meta.properties`, yet the directory is not empty.
    #[error(
        "the directory has no meta.properties but holds '{found}': \
         choose an empty directory, or one that Kafka or Evenkeel formatted"
    )]
    Foreign {
        /// Something that is in it.
        found: String,
    },
}

/// Where one log ends after a clean stop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ends {
    /// Its topic's name.
    pub topic: String,
    /// Its partition.
    pub partition: i32,
    /// First readable offset.
    pub log_start: i64,
    /// High watermark.
    pub high_watermark: i64,
    /// Everything below it is flushed.
    pub recovery_point: i64,
}

/// Who the directory belongs to; an empty one is formatted for a new cluster.
pub(crate) async fn identify<E: Env>(
    env: &E,
    options: &Options,
) -> Result<Identity, DirectoryError> {
    let path = Path::new(META_PROPERTIES);
    if let Some(bytes) = read_all(env, path, FILE_BYTES_MAX, Group::System).await? {
        let found = decode_meta_properties(&bytes)
            .map_err(|why| DirectoryError::Malformed { file: META_PROPERTIES, why })?;
        let identity = Identity {
            cluster_id: found.cluster_id,
            node_id: found.node_id,
            directory_id: found.directory_id.unwrap_or_else(|| random_id(env)),
        };
        if found.directory_id.is_none() {
            write_identity(env, &identity).await?;
        }
        return Ok(identity);
    }
    refuse_foreign(env).await?;
    let identity = Identity {
        cluster_id: random_id(env).to_string(),
        node_id: options.node_id,
        directory_id: random_id(env),
    };
    write_identity(env, &identity).await?;
    tracing::info!(cluster = identity.cluster_id, node = identity.node_id, "directory formatted");
    Ok(identity)
}

async fn write_identity<E: Env>(env: &E, identity: &Identity) -> Result<(), IoFailure> {
    let content = encode_meta_properties(&MetaProperties {
        cluster_id: identity.cluster_id.clone(),
        node_id: identity.node_id,
        directory_id: Some(identity.directory_id),
    });
    replace_file(env, Path::new(META_PROPERTIES), &content, Group::System).await
}

/// Hidden files are nobody's data (`.lock`, `lost+found` is a directory that file systems make).
async fn refuse_foreign<E: Env>(env: &E) -> Result<(), DirectoryError> {
    let entries = env.disk().list(Path::new("")).await?;
    let ours = |name: &str| {
        name.starts_with('.') || name == "lost+found" || name == format!("{META_PROPERTIES}.tmp")
    };
    match entries.into_iter().find(|entry| !ours(&entry.name)) {
        None => Ok(()),
        Some(found) => Err(DirectoryError::Foreign { found: found.name }),
    }
}

/// Whether the last stop was clean, and what Kafka's checkpoints say. The marker is gone, durably,
/// before anything is written: whatever comes, this start ends clean or is known not to.
pub(crate) async fn take_marks<E: Env>(env: &E) -> Result<(bool, KafkaEnds), DirectoryError> {
    let path = Path::new(CLEAN_SHUTDOWN);
    let marker = read_all(env, path, FILE_BYTES_MAX, Group::System).await?;
    // Kafka, too, takes an unreadable marker for none.
    let clean = marker.is_some_and(|bytes| decode_clean_shutdown(&bytes).is_ok());
    if env.disk().stat(path).await?.is_some() {
        env.disk().remove_file(path).await?;
        env.disk().sync_dir(Path::new("")).await?;
    }
    let ends = KafkaEnds {
        log_starts: offsets(env, LOG_START_CHECKPOINT).await?,
        high_watermarks: offsets(env, REPLICATION_CHECKPOINT).await?,
        recovery_points: offsets(env, RECOVERY_POINT_CHECKPOINT).await?,
    };
    Ok((clean, ends))
}

/// A malformed checkpoint counts as none: everything is then looked at.
async fn offsets<E: Env>(
    env: &E,
    file: &'static str,
) -> Result<BTreeMap<(String, i32), i64>, IoFailure> {
    let bytes = read_all(env, Path::new(file), FILE_BYTES_MAX, Group::System).await?;
    let Some(bytes) = bytes else { return Ok(BTreeMap::new()) };
    match decode_offsets(&bytes) {
        Ok(offsets) => Ok(offsets.into_iter().map(|(key, at)| (key, at.raw())).collect()),
        Err(why) => {
            tracing::warn!(file, %why, "ignored");
            Ok(BTreeMap::new())
        }
    }
}

/// Leaves Kafka's checkpoints and, last of all, the marker of a clean stop.
pub(crate) async fn leave_marks<E: Env>(
    env: &E,
    ends: &[Ends],
    broker_epoch: i64,
) -> Result<(), IoFailure> {
    let table = |of: fn(&Ends) -> i64| -> OffsetCheckpoint {
        ends.iter()
            .map(|end| {
                let at = Offset::new(of(end)).unwrap_or(Offset::ZERO);
                ((end.topic.clone(), end.partition), at)
            })
            .collect()
    };
    for (file, of) in [
        (RECOVERY_POINT_CHECKPOINT, (|end| end.recovery_point) as fn(&Ends) -> i64),
        (REPLICATION_CHECKPOINT, |end| end.high_watermark),
        (LOG_START_CHECKPOINT, |end| end.log_start),
    ] {
        let content = encode_offsets(&table(of));
        replace_file(env, Path::new(file), &content, Group::System).await?;
    }
    let marker = encode_clean_shutdown(CleanShutdown { broker_epoch: Some(broker_epoch) });
    replace_file(env, Path::new(CLEAN_SHUTDOWN), &marker, Group::System).await
}

fn random_id<E: Env>(env: &E) -> Uuid {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&env.random().to_be_bytes());
    bytes[8..].copy_from_slice(&env.random().to_be_bytes());
    Uuid::from_random(bytes)
}
