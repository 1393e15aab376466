//! Kafka's small files in a partition's directory, beside the segments: `partition.metadata`,
//! `leader-epoch-checkpoint`, `<offset>.snapshot`.

use std::path::{Path, PathBuf};

use env::{Disk, Env, Group, IoFailure, read_all, replace_file};
use record::{Offset, TopicId};

use crate::Partition;
use crate::epochs::Epochs;
use crate::producers::Producers;
use crate::snapshot;

/// Largest snapshot that is read: [`crate::producers::PRODUCERS_MAX`] entries and some.
const SNAPSHOT_BYTES_MAX: usize = 4 << 20;
/// Largest `leader-epoch-checkpoint` or `partition.metadata` that is read.
const TEXT_BYTES_MAX: usize = 1 << 20;

const EPOCHS_FILE: &str = "leader-epoch-checkpoint";
const METADATA_FILE: &str = "partition.metadata";
const SNAPSHOT_SUFFIX: &str = ".snapshot";

/// Producer state at an offset, encoded.
pub(crate) type Snapshot = (Offset, Vec<u8>);

fn snapshot_path(dir: &Path, at: Offset) -> PathBuf {
    dir.join(format!("{:020}{SNAPSHOT_SUFFIX}", at.raw()))
}

/// The topic id that a partition's directory was made for; `None` if the file is missing or is
/// not one.
pub async fn read_topic_id<E: Env>(env: &E, dir: &Path) -> Result<Option<TopicId>, IoFailure> {
    let path = dir.join(METADATA_FILE);
    let content = read_all(env, &path, TEXT_BYTES_MAX, Group::Recovery).await?;
    let text = content.as_deref().and_then(|bytes| std::str::from_utf8(bytes).ok());
    Ok(text.and_then(|text| {
        text.lines().find_map(|line| line.strip_prefix("topic_id:")?.trim().parse().ok())
    }))
}

/// Writes `partition.metadata` (Kafka: `PartitionMetadataFile`); durable when it returns.
pub async fn write_topic_id<E: Env>(env: &E, dir: &Path, topic: TopicId) -> Result<(), IoFailure> {
    let content = format!("version: 0\ntopic_id: {topic}");
    replace_file(env, &dir.join(METADATA_FILE), content.as_bytes(), Group::System).await
}

/// The leader epochs of a log. A missing or malformed file counts as empty: epochs are in every
/// batch too.
pub(crate) async fn read_epochs<E: Env>(env: &E, dir: &Path) -> Result<Epochs, IoFailure> {
    let content = read_all(env, &dir.join(EPOCHS_FILE), TEXT_BYTES_MAX, Group::Recovery).await?;
    let text = content.as_deref().and_then(|bytes| std::str::from_utf8(bytes).ok());
    Ok(text.and_then(|text| Epochs::decode(text).ok()).unwrap_or_default())
}

/// The newest readable producer snapshot at or below `end`, and its offset.
pub(crate) async fn read_snapshot<E: Env>(
    env: &E,
    dir: &Path,
    end: Offset,
) -> Result<Option<(Offset, Producers)>, IoFailure> {
    let mut offsets = snapshots(env, dir).await?;
    offsets.retain(|at| *at <= end);
    while let Some(at) = offsets.pop() {
        let path = snapshot_path(dir, at);
        let content = read_all(env, &path, SNAPSHOT_BYTES_MAX, Group::Recovery).await?;
        if let Some(producers) = content.and_then(|content| snapshot::decode(&content).ok()) {
            return Ok(Some((at, producers)));
        }
    }
    Ok(None)
}

/// Offsets of the snapshots in `dir`, ascending.
async fn snapshots<E: Env>(env: &E, dir: &Path) -> Result<Vec<Offset>, IoFailure> {
    let entries = env.disk().list(dir).await?;
    let parse = |name: &str| {
        let digits = name.strip_suffix(SNAPSHOT_SUFFIX)?;
        if digits.len() == 20 { Offset::new(digits.parse().ok()?) } else { None }
    };
    Ok(entries.iter().filter_map(|entry| parse(&entry.name)).collect())
}

impl<E: Env> Partition<E> {
    /// The producer state as of the log end, if there is any worth a file.
    pub(crate) fn snapshot_now(&self) -> Option<Snapshot> {
        let state = self.inner.state.borrow();
        let worth = !state.producers.is_empty();
        worth.then(|| (state.progress.end(), snapshot::encode(&state.producers)))
    }

    /// Saves producer state and epochs; what a roll left due goes with them. The log below the
    /// snapshot's offset must be durable already.
    pub(crate) async fn save_beside(
        &self,
        now: Option<Snapshot>,
        group: Group,
    ) -> Result<(), IoFailure> {
        let _turn = self.inner.saving.enter().await;
        let rolled = self.inner.state.borrow_mut().snapshot_due.take();
        let epochs = {
            let mut state = self.inner.state.borrow_mut();
            let due = std::mem::take(&mut state.epochs_due);
            due.then(|| state.epochs.encode())
        };
        if let Some(text) = epochs {
            let path = self.inner.dir.join(EPOCHS_FILE);
            if let Err(failure) = replace_file(&self.inner.env, &path, text.as_bytes(), group).await
            {
                self.inner.state.borrow_mut().epochs_due = true;
                return Err(failure);
            }
        }
        for (at, content) in rolled.into_iter().chain(now) {
            let path = snapshot_path(&self.inner.dir, at);
            if self.inner.state.borrow().last_snapshot == Some(at) {
                continue;
            }
            replace_file(&self.inner.env, &path, &content, group).await?;
            self.inner.state.borrow_mut().last_snapshot = Some(at);
        }
        self.prune_snapshots().await
    }

    /// Removes the snapshots above `end`, durably, and forgets what is to become one: the log is about
    /// to be cut there.
    pub(crate) async fn drop_snapshots_above(&self, end: Offset) -> Result<(), IoFailure> {
        let offsets = snapshots(&self.inner.env, &self.inner.dir).await?;
        {
            let mut state = self.inner.state.borrow_mut();
            state.snapshot_due = state.snapshot_due.take().filter(|(at, _)| *at <= end);
            state.last_snapshot = state.last_snapshot.filter(|at| *at <= end);
        }
        let gone: Vec<Offset> = offsets.into_iter().filter(|at| end < *at).collect();
        for at in &gone {
            self.inner.env.disk().remove_file(&snapshot_path(&self.inner.dir, *at)).await?;
        }
        if !gone.is_empty() {
            self.inner.env.disk().sync_dir(&self.inner.dir).await?;
        }
        Ok(())
    }

    /// Keeps the snapshots at segment bases, and the newest; the others only cost recovery time.
    async fn prune_snapshots(&self) -> Result<(), IoFailure> {
        let mut offsets = snapshots(&self.inner.env, &self.inner.dir).await?;
        offsets.pop();
        let bases: Vec<Offset> =
            self.inner.log.segments().iter().map(|segment| segment.base).collect();
        for at in offsets.into_iter().filter(|at| !bases.contains(at)) {
            self.inner.env.disk().remove_file(&snapshot_path(&self.inner.dir, at)).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use env::ShardId;
    use env::sim::{Sim, SimEnv, SimOptions};
    use env::sync::all;
    use record::{LeaderEpoch, TopicId, TopicPartition};
    use segment::{Known, LogOptions};

    use crate::{AckRule, Level, OpenOptions};

    async fn save(partition: &Partition<SimEnv<()>>) -> Result<(), IoFailure> {
        partition.inner.state.borrow_mut().epochs_due = true;
        partition.save_beside(None, Group::System).await
    }

    #[test]
    fn a_checkpoint_and_a_close_save_one_after_the_other() {
        let sim = Sim::new(5, SimOptions::default());
        let env: SimEnv<()> = sim.env(ShardId(0));
        let saved = sim.run(async move {
            let known = Known {
                start: Offset::ZERO,
                recovery_point: Offset::ZERO,
                clean: true,
                tail: None,
            };
            let options = OpenOptions {
                log: LogOptions::default(),
                ack: AckRule { level: Level::Durable, flush_records: u64::MAX, flush_ms: i64::MAX },
                known,
                high_watermark: Offset::ZERO,
            };
            let id = TopicPartition { topic: TopicId::from_bytes([7; 16]), partition: 0 };
            let opening =
                Partition::open(&env, id, Path::new("t-0"), options, None, Group::Recovery);
            let (partition, _) = opening.await.expect("a new directory");
            partition.follow(LeaderEpoch::ZERO);
            all((0..8).map(|_| save(&partition)).collect()).await
        });
        for result in saved.done() {
            result.expect("nobody takes another's file away");
        }
    }
}
