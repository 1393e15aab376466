//! What a shard does with the partitions it owns: take in an image, open, keep.

use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use env::sync::{Signal, all};
use env::{Env, Group};
use journal::PartitionReplay;
use journal::checkpoint::PartitionPoint;
use metadata::Image;
use metadata::image::PartitionChangeKind;
use partition::{OpenOptions, Partition, PartitionOpenError};
use record::{Offset, TopicPartition};
use segment::{Known, KnownTail};
use wire::ErrorCode;

use crate::message::Begin;
use crate::shard::{Shard, World};
use crate::table::{Slot, SlotState};
use crate::topic;

/// Logs that recovery opens side by side. A request that waits for one is served at its own priority.
pub(crate) const OPENED_AT_ONCE: usize = 8;

/// How often the journals' rest is brought into the segments to make room for one more log, at most.
const OPENS_MAX: u32 = 4;

/// Between two rounds of retention over the open partitions. Kafka looks every five minutes
/// (`log.retention.check.interval.ms`); small pieces more often keep the disk level.
const RETENTION_PAUSE: Duration = Duration::from_secs(10);

impl<E: World> Shard<E> {
    /// Takes in an image: partitions that appear are there when this returns, those that are gone
    /// are deleted, changed settings hold.
    pub(crate) async fn publish(&self, image: Image) {
        let before = self.inner.image.replace(image.clone());
        self.inner.topic_configs.borrow_mut().clear();
        let changes = image.changes_since(&before);
        let here = self.env().shard();
        for (id, kind) in changes.partitions {
            match kind {
                _ if self.owner(id) != here => {}
                PartitionChangeKind::Created => self.inner.table.insert(id),
                PartitionChangeKind::Changed => {
                    if let Some(partition) = self.inner.table.get(id) {
                        self.configure(&image, &partition);
                    }
                }
                PartitionChangeKind::Removed => {
                    self.delete_partition(id, &before).await;
                }
            }
        }
        if !changes.configs.is_empty() {
            for partition in self.inner.table.open_ones() {
                self.configure(&image, &partition);
            }
        }
        self.inner.published.notify();
    }

    /// The partitions of `image` that this shard owns.
    pub(crate) fn owned(&self, image: &Image) -> Vec<TopicPartition> {
        let here = self.env().shard();
        let mut owned = Vec::new();
        for topic in image.topics() {
            for partition in topic.partitions.keys().copied() {
                let id = TopicPartition { topic: topic.id, partition };
                if self.owner(id) == here {
                    owned.push(id);
                }
            }
        }
        owned
    }

    fn configure(&self, image: &Image, partition: &Partition<E>) {
        let id = partition.id();
        let (Some(topic), Some(state)) = (image.topic(id.topic), image.partition(id)) else {
            return;
        };
        let config = self.topic_config(image, &topic.name);
        partition.set_log_options(topic::log_options(&config));
        partition.set_ack_rule(topic::ack_rule(&config));
        let node = self.node_id();
        if state.leader == Some(node) {
            partition.lead(node, state.leader_epoch, state.isr.iter().copied());
        } else if state.replicas.contains(&node) {
            partition.follow(state.leader_epoch);
        } else {
            partition.resign();
        }
    }

    /// The open partition `id` of this shard; opens it if nobody did yet. Waits while somebody
    /// else opens it.
    pub(crate) async fn open_partition(
        &self,
        id: TopicPartition,
        group: Group,
    ) -> Result<Partition<E>, ErrorCode> {
        loop {
            enum Found<E: Env> {
                Open(Partition<E>),
                Wait(Signal, u64),
                Mine(Signal),
                Failed,
            }
            let found = self.inner.table.with(id, |slot: &mut Slot<E>| match &slot.state {
                SlotState::Open(partition) => Found::Open(partition.clone()),
                SlotState::Opening(signal) => Found::Wait(signal.clone(), signal.seen()),
                SlotState::Failed => Found::Failed,
                SlotState::Closed => {
                    let signal = Signal::new();
                    slot.state = SlotState::Opening(signal.clone());
                    Found::Mine(signal)
                }
            });
            match found {
                None => return Err(ErrorCode::UnknownTopicOrPartition),
                Some(Found::Open(partition)) => return Ok(partition),
                Some(Found::Failed) => return Err(ErrorCode::KafkaStorageError),
                Some(Found::Wait(signal, seen)) => signal.after(seen).await,
                Some(Found::Mine(signal)) => {
                    let (state, result) = match self.open_now(id, group).await {
                        Ok(partition) => (SlotState::Open(partition.clone()), Ok(partition)),
                        Err(NotOpened::Now(why)) => {
                            tracing::warn!(partition = %id, %why, "partition not opened now");
                            self.evict(self.env().pool().limit() / 8);
                            // Retriable: by then there may be room again.
                            (SlotState::Closed, Err(ErrorCode::RequestTimedOut))
                        }
                        Err(NotOpened::Ever(why)) => {
                            tracing::error!(partition = %id, %why, "partition not opened");
                            (SlotState::Failed, Err(ErrorCode::KafkaStorageError))
                        }
                    };
                    let there = self.inner.table.with(id, |slot| slot.state = state);
                    signal.notify();
                    return there.map_or(Err(ErrorCode::UnknownTopicOrPartition), |()| result);
                }
            }
        }
    }

    async fn open_now(&self, id: TopicPartition, group: Group) -> Result<Partition<E>, NotOpened> {
        let ever = |why: &str| NotOpened::Ever(why.to_owned());
        let image = self.image();
        let topic = image.topic(id.topic).ok_or_else(|| ever("its topic is gone"))?;
        let config = self.topic_config(&image, &topic.name);
        let dir = directory(&topic.name, id.partition);
        self.set_stray_aside(&dir, id).await.map_err(PartitionOpenError::Io)?;
        let (replay, points, begin) = {
            let served = self.inner.served.borrow();
            let served = served.as_ref().ok_or_else(|| ever("the shard has not begun"))?;
            (Rc::clone(&served.replay), Rc::clone(&served.points), Rc::clone(&served.begin))
        };
        let held = replay.partition(id);
        let (known, high_watermark) = known(&begin, points.get(id), held, &topic.name, id);
        let options = OpenOptions {
            log: topic::log_options(&config),
            ack: topic::ack_rule(&config),
            known,
            high_watermark,
        };
        let (partition, recovered) =
            Partition::open(self.env(), id, &dir, options, Some(&replay), group).await?;
        for damage in &recovered.damage {
            tracing::error!(partition = %id, ?damage, "records that were flushed once are damaged");
        }
        if held.is_some() {
            self.committer().adopt(&partition).await.map_err(|error| ever(&error.to_string()))?;
        }
        self.configure(&image, &partition);
        Ok(partition)
    }

    /// Drops cached bytes that are on disk, at least `bytes` if there are so many.
    pub(crate) fn evict(&self, bytes: usize) {
        let mut left = bytes;
        for partition in self.inner.table.open_ones() {
            if left == 0 {
                return;
            }
            left = left.saturating_sub(partition.log().evict(left));
        }
    }

    /// Applies retention to every partition, one after the other, for ever.
    pub(crate) async fn keep_retention(self) {
        while !self.inner.closing.get() {
            self.env().sleep(RETENTION_PAUSE).await;
            for partition in self.inner.table.open_ones() {
                if self.inner.closing.get() {
                    return;
                }
                self.retain(&partition).await;
                self.env().yield_if_needed().await;
            }
        }
    }

    async fn retain(&self, partition: &Partition<E>) {
        let image = self.image();
        let Some(topic) = image.topic(partition.id().topic) else { return };
        let config = self.topic_config(&image, &topic.name);
        let Some(rule) = topic::retention(&config) else { return };
        let committer = self.committer();
        let now_ms = self.env().wall_ms();
        if let Err(error) = partition.retain(rule, &committer, now_ms).await {
            tracing::warn!(partition = %partition.id(), %error, "retention");
        }
        partition.expire_producers(now_ms, topic::PRODUCER_EXPIRATION_MS);
    }

    /// Opens a partition that the journals name. What was replayed stays in memory until it is
    /// written: when there is no more, that comes first.
    pub(crate) async fn open_making_room(&self, id: TopicPartition) -> bool {
        for _ in 0..OPENS_MAX {
            match self.open_partition(id, Group::Recovery).await {
                Ok(_) => return true,
                Err(ErrorCode::RequestTimedOut) => {
                    if let Err(error) = self.committer().checkpoint(Group::Recovery).await {
                        tracing::warn!(%error, "making room for what the journals hold");
                    }
                    self.evict(self.env().pool().limit());
                }
                Err(_) => return false,
            }
        }
        false
    }

    /// Opens every partition that the journals of earlier runs name; whether all could be.
    pub(crate) async fn open_named_by_journal(&self) -> bool {
        let replay = self.inner.served.borrow().as_ref().map(|served| Rc::clone(&served.replay));
        let Some(replay) = replay else { return false };
        let ids = self.inner.table.ids();
        let named: Vec<_> = ids.into_iter().filter(|id| replay.partition(*id).is_some()).collect();
        let mut all_open = true;
        for some in named.chunks(OPENED_AT_ONCE) {
            if self.inner.closing.get() {
                return false;
            }
            let opening = some.iter().map(|id| self.open_making_room(*id));
            all_open &= all(opening.collect()).await.into_iter().all(|open| open);
            self.env().yield_if_needed().await;
        }
        all_open
    }
}

/// Why a partition is not open.
enum NotOpened {
    /// Memory or room was wanting: the next one who asks tries again.
    Now(String),
    /// Nothing changes that until the broker is started again.
    Ever(String),
}

impl From<PartitionOpenError> for NotOpened {
    fn from(error: PartitionOpenError) -> NotOpened {
        let why = error.to_string();
        if error.passes() { NotOpened::Now(why) } else { NotOpened::Ever(why) }
    }
}

/// The directory of a partition, relative to the data directory.
pub(crate) fn directory(topic: &str, partition: i32) -> PathBuf {
    PathBuf::from(format!("{topic}-{partition}"))
}

/// What is known of a partition's end before its files are looked at, and its high watermark.
fn known(
    begin: &Begin,
    point: Option<&PartitionPoint>,
    held: Option<&PartitionReplay>,
    topic: &str,
    id: TopicPartition,
) -> (Known, Offset) {
    if let Some(point) = point {
        let dirty_from = held.and_then(|held| held.dirty_from);
        let known = Known {
            start: point.log_start,
            recovery_point: dirty_from
                .map_or(point.recovery_point, |from| from.min(point.recovery_point)),
            clean: false,
            tail: match held {
                Some(_) => None,
                None => Some(KnownTail {
                    segment_base: point.segment_base,
                    len_bytes: point.segment_len_bytes,
                    end: point.end,
                    largest_timestamp_ms: point.largest_timestamp_ms,
                }),
            },
        };
        return (known, point.high_watermark);
    }
    let offset = |raw: Option<&i64>| raw.and_then(|raw| Offset::new(*raw));
    let key = (topic.to_owned(), id.partition);
    let start = offset(begin.kafka_ends.log_starts.get(&key)).unwrap_or(Offset::ZERO);
    let recovery_point = offset(begin.kafka_ends.recovery_points.get(&key)).unwrap_or(start);
    let high_watermark = offset(begin.kafka_ends.high_watermarks.get(&key)).unwrap_or(start);
    let clean = begin.clean && held.is_none();
    (Known { start, recovery_point, clean, tail: None }, high_watermark)
}
