//! A clean stop: everything is in flushed segments, cut to their ends, with Kafka's checkpoints and the clean
//! marker, so that Apache Kafka, or the next start, trusts the directory as it is.

use std::time::Duration;

use env::sync::all;
use env::{Group, ShardId};
use journal::checkpoint;
use partition::Partition;
use record::TopicPartition;

use crate::controller::SHARD;
use crate::directory::{self, Ends};
use crate::message::{Call, Reply};
use crate::own::OPENED_AT_ONCE;
use crate::shard::{Shard, World};

/// Logs that are closed side by side: their flushes share commits of the file system.
const CLOSED_AT_ONCE: usize = 32;

/// How long requests that are being served may take to end.
const DRAIN_MAX: Duration = Duration::from_millis(500);

impl<E: World> Shard<E> {
    /// Stops the broker cleanly. Called on shard 0 after no connection is accepted any more;
    /// the other shards follow. An error leaves a directory that recovers like one after a kill.
    pub async fn stop(&self) -> Result<(), String> {
        let shards = (0..self.env().shards()).map(ShardId);
        let asks = shards.map(|shard| self.ask(shard, Group::System, Call::Close)).collect();
        let mut ends = Vec::new();
        for reply in all(asks).await {
            match reply {
                Some(Reply::Closed(more)) => ends.extend(more),
                Some(Reply::Failed(why)) => return Err(why),
                _ => return Err("a shard does not answer".to_owned()),
            }
        }
        let controller = self.inner.controller.borrow().clone();
        let controller = controller.ok_or("the metadata was never opened")?;
        controller.close().await.map_err(|error| error.to_string())?;
        let epoch = controller.broker_epoch();
        checkpoint::remove_all(self.env()).await.map_err(|failure| failure.to_string())?;
        directory::leave_marks(self.env(), &ends, epoch).await.map_err(|f| f.to_string())
    }

    /// Waits until shard 0 had this shard close.
    pub async fn closed(&self) {
        loop {
            let seen = self.inner.published.seen();
            if self.inner.closed.get() {
                return;
            }
            self.inner.published.after(seen).await;
        }
    }

    /// Closes every log of this shard; gives where each ends.
    pub(crate) async fn close(&self) -> Result<Vec<Ends>, String> {
        self.inner.closing.set(true);
        self.inner.cancel_seen.notify();
        self.env().sleep(DRAIN_MAX.min(Duration::from_millis(20))).await;
        let committer = self.committer();
        let unopened = self.open_unclosed().await;
        committer.stop();
        let mut ends = Vec::new();
        for some in self.inner.table.open_ones().chunks(CLOSED_AT_ONCE) {
            for closed in all(some.iter().map(|one| self.close_log(one)).collect()).await {
                ends.extend(closed?);
            }
        }
        self.ends_of_unopened(&mut ends);
        // Until the marks are left, a loss of power finds the checkpoint: it must say where the logs
        // end now, before the journal, which knew, is void.
        committer.checkpoint(Group::System).await.map_err(|error| error.to_string())?;
        committer.close_journal().await.map_err(|error| error.to_string())?;
        // Acknowledgements are on their way to the sockets.
        self.env().sleep(Duration::from_millis(50)).await;
        self.inner.closed.set(true);
        self.inner.published.notify();
        match unopened {
            None => Ok(ends),
            Some(id) => Err(format!(
                "{id} could not be opened, so it may still have the tail of an unclean stop; \
                 the log of the broker says why"
            )),
        }
    }

    /// Closes one log; gives where it ends, or nothing if its topic is gone.
    async fn close_log(&self, partition: &Partition<E>) -> Result<Option<Ends>, String> {
        partition
            .close(Group::System)
            .await
            .map_err(|trouble| format!("{} does not close: {trouble:?}", partition.id()))?;
        let image = self.image();
        let Some(topic) = image.topic(partition.id().topic) else { return Ok(None) };
        let bounds = partition.bounds();
        Ok(Some(Ends {
            topic: topic.name.to_string(),
            partition: partition.id().partition,
            log_start: bounds.log_start.raw(),
            high_watermark: bounds.high_watermark.raw(),
            recovery_point: partition.log().ends().durable.raw(),
        }))
    }

    /// After an unclean stop a log that nobody asked for may still have an uncut tail: it is
    /// opened, so that it can be closed. Gives one that could not be opened, if there is any.
    async fn open_unclosed(&self) -> Option<TopicPartition> {
        let clean = self.inner.served.borrow().as_ref().is_some_and(|served| served.begin.clean);
        let ids = self.inner.table.ids();
        let unclosed: Vec<_> =
            ids.into_iter().filter(|id| !clean || self.was_replayed(*id)).collect();
        let mut unopened = None;
        for some in unclosed.chunks(OPENED_AT_ONCE) {
            let opening = some.iter().map(|id| async {
                !self.exists_on_disk(*id).await || self.open_making_room(*id).await
            });
            for (id, opened) in some.iter().zip(all(opening.collect()).await) {
                if !opened {
                    unopened.get_or_insert(*id);
                }
            }
        }
        unopened
    }

    /// Whether a journal of an earlier run holds something of it.
    fn was_replayed(&self, id: TopicPartition) -> bool {
        let served = self.inner.served.borrow();
        served.as_ref().is_some_and(|served| served.replay.partition(id).is_some())
    }

    /// Partitions that were clean and never opened end where they did.
    fn ends_of_unopened(&self, ends: &mut Vec<Ends>) {
        let image = self.image();
        let served = self.inner.served.borrow();
        let Some(served) = served.as_ref() else { return };
        for id in self.inner.table.ids() {
            if self.inner.table.get(id).is_some() {
                continue;
            }
            let Some(topic) = image.topic(id.topic) else { continue };
            let key = (topic.name.to_string(), id.partition);
            let kafka = &served.begin.kafka_ends;
            if let Some(recovery_point) = kafka.recovery_points.get(&key) {
                ends.push(Ends {
                    topic: topic.name.to_string(),
                    partition: id.partition,
                    log_start: kafka.log_starts.get(&key).copied().unwrap_or(0),
                    high_watermark: kafka.high_watermarks.get(&key).copied().unwrap_or(0),
                    recovery_point: *recovery_point,
                });
            }
        }
    }

    async fn exists_on_disk(&self, id: TopicPartition) -> bool {
        use env::Disk;
        let image = self.image();
        let Some(topic) = image.topic(id.topic) else { return false };
        let dir = crate::own::directory(&topic.name, id.partition);
        // What cannot be looked at may be there.
        !matches!(self.env().disk().stat(&dir).await, Ok(None))
    }

    /// Whether this shard is the one that leads.
    #[must_use]
    pub fn leads(&self) -> bool {
        self.env().shard() == SHARD
    }
}
