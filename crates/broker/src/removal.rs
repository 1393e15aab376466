//! Directories of partitions that are no more: renamed at once, removed when their time has come.

use std::path::{Path, PathBuf};
use std::time::Duration;

use env::{Disk, Group, IoFailure};
use metadata::Image;
use record::TopicPartition;
use segment::{DELETE, STRAY, is_doomed_dir, remove_dir, set_aside_dir};

use crate::own::directory;
use crate::shard::{Shard, World};
use crate::table::SlotState;
use crate::topic;

impl<E: World> Shard<E> {
    /// Forgets a partition that `before` still names. Its directory is renamed before this
    /// returns, so that the name is free and a crash leaves something that Kafka, too, knows to
    /// delete; its files go after the topic's `file.delete.delay.ms`.
    pub(crate) async fn delete_partition(&self, id: TopicPartition, before: &Image) {
        let Some(slot) = self.inner.table.remove(id) else { return };
        if let Some(served) = self.inner.served.borrow().as_ref() {
            served.committer.forget(id);
        }
        if let SlotState::Open(partition) = &slot.state {
            partition.resign();
        }
        let Some(topic) = before.topic(id.topic) else { return };
        let delay_ms = topic::delete_delay_ms(&self.topic_config(before, &topic.name));
        let dir = directory(&topic.name, id.partition);
        match self.set_aside(&dir, DELETE).await {
            Ok(Some(doomed)) => self.remove_later(doomed, Duration::from_millis(delay_ms)),
            Ok(None) => {}
            Err(failure) => {
                tracing::warn!(partition = %id, %failure, "files of a deleted partition remain");
            }
        }
    }

    /// A directory of another topic id is left over from a topic of this name that was deleted:
    /// it is renamed as Kafka does, so that nothing of it is served.
    pub(crate) async fn set_stray_aside(
        &self,
        dir: &Path,
        id: TopicPartition,
    ) -> Result<(), IoFailure> {
        if self.env().disk().stat(dir).await?.is_none() {
            return Ok(());
        }
        let found = partition::read_topic_id(self.env(), dir).await?;
        if found.is_some_and(|topic| topic != id.topic) {
            tracing::warn!(dir = %dir.display(), "belongs to another topic id, set aside");
            self.set_aside(dir, STRAY).await?;
        }
        Ok(())
    }

    /// Gives the directory another name, durably; `None` if it is not there.
    async fn set_aside(&self, dir: &Path, ending: &str) -> Result<Option<PathBuf>, IoFailure> {
        let env = self.env();
        if env.disk().stat(dir).await?.is_none() {
            return Ok(None);
        }
        let aside = set_aside_dir(dir, [env.random(), env.random()], ending);
        env.disk().rename(dir, &aside).await?;
        env.disk().sync_dir(Path::new("")).await?;
        Ok(Some(aside))
    }

    fn remove_later(&self, doomed: PathBuf, delay: Duration) {
        let env = self.env().clone();
        self.env().spawn(Group::Retention, async move {
            env.sleep(delay).await;
            if let Err(failure) = remove_dir(&env, &doomed).await {
                tracing::warn!(%failure, "files of a deleted partition remain");
            }
        });
    }

    /// Removes what an earlier run, or Kafka, was about to remove when it ended. Runs on one shard.
    pub(crate) async fn remove_doomed(self) {
        let entries = match self.env().disk().list(Path::new("")).await {
            Ok(entries) => entries,
            Err(failure) => {
                tracing::warn!(%failure, "directories of deleted partitions remain");
                return;
            }
        };
        for entry in entries.iter().filter(|entry| entry.is_dir && is_doomed_dir(&entry.name)) {
            if self.inner.closing.get() {
                return;
            }
            if let Err(failure) = remove_dir(self.env(), Path::new(&entry.name)).await {
                tracing::warn!(%failure, "files of a deleted partition remain");
            }
        }
    }
}
