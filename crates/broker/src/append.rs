//! Produce on the shard that owns the partition: stage 1 in order, stage 2 when it is safe.

use std::future::Future;
use std::time::Duration;

use env::Group;
use env::sync::{all_until, oneshot};
use partition::{AckError, AckWait, AppendRefusal, Partition, Placed};
use record::TopicPartition;
use wire::ErrorCode;

use crate::error_code;
use crate::message::{Acks, ProduceCall, ProduceFailure, ProducePart, Produced};
use crate::shard::{Shard, World};
use crate::table::{SlotState, WAITING_MAX, Waiting};

/// How long a batch waits for memory or for its partition to open before it is refused.
const WAIT_MAX: Duration = Duration::from_secs(20);

/// Between two looks for memory.
const MEMORY_PAUSE: Duration = Duration::from_millis(5);

type Outcome = (usize, Result<Produced, ProduceFailure>);

enum Begun {
    Placed(Placed),
    Refused(ProduceFailure),
    Waits(env::sync::Receiver<Result<Placed, ProduceFailure>>),
}

impl<E: World> Shard<E> {
    /// Appends every batch of `call` now, in order (stage 1), and gives the future of their
    /// acknowledgements (stage 2).
    pub(crate) fn append(&self, call: ProduceCall) -> impl Future<Output = Vec<Outcome>> + use<E> {
        let ProduceCall { parts, acks, timeout_ms } = call;
        let mut begun = Vec::with_capacity(parts.len());
        for part in parts {
            let (slot, id) = (part.slot, part.partition);
            begun.push((slot, id, self.begin_append(part)));
        }
        let shard = self.clone();
        async move {
            let waits = begun
                .into_iter()
                .map(|(slot, id, begun)| shard.clone().finish(slot, id, begun, acks))
                .collect();
            let limit = Duration::from_millis(u64::from(timeout_ms).max(1));
            // What is not done by then is answered as timed out; it may still be committed.
            all_until(waits, shard.env().sleep(limit)).await.into_iter().flatten().collect()
        }
    }

    fn begin_append(&self, part: ProducePart) -> Begun {
        let id = part.partition;
        let open = self.inner.table.with(id, |slot| match &slot.state {
            SlotState::Open(partition) if slot.waiting.is_empty() => Some(partition.clone()),
            _ => None,
        });
        match open {
            None => Begun::Refused(failure(ErrorCode::UnknownTopicOrPartition)),
            Some(None) => self.wait_in_line(part),
            Some(Some(partition)) => match self.append_now(&partition, &part) {
                Ok(placed) => Begun::Placed(placed),
                Err(AppendRefusal::OverBudget) => self.wait_in_line(part),
                Err(refusal) => Begun::Refused(error_code::of_append(&refusal)),
            },
        }
    }

    fn append_now(
        &self,
        partition: &Partition<E>,
        part: &ProducePart,
    ) -> Result<Placed, AppendRefusal> {
        if !has_headroom(self.env().pool(), part.batch.len()) {
            return Err(AppendRefusal::OverBudget);
        }
        let now_ms = self.env().wall_ms();
        let placed = partition.append_as_leader(&part.batch, &part.checked, now_ms)?;
        self.committer().enqueue(partition);
        self.inner.tally.produced(part.batch.len());
        Ok(placed)
    }

    fn wait_in_line(&self, part: ProducePart) -> Begun {
        let id = part.partition;
        let (done, receiver) = oneshot();
        let first = self.inner.table.with(id, |slot| {
            if WAITING_MAX <= slot.waiting.len() {
                return None;
            }
            slot.waiting.push_back(Waiting { part, done });
            Some(slot.waiting.len() == 1)
        });
        match first.flatten() {
            None => Begun::Refused(failure(ErrorCode::RequestTimedOut)),
            Some(first) => {
                if first {
                    let shard = self.clone();
                    self.env().spawn(Group::Produce, async move { shard.serve_line(id).await });
                }
                Begun::Waits(receiver)
            }
        }
    }

    /// Appends what waits for `id`, in order, until nothing does.
    async fn serve_line(&self, id: TopicPartition) {
        let opened = self.open_partition(id, Group::Produce).await;
        let deadline = self.env().now().plus(WAIT_MAX);
        loop {
            let next = self.inner.table.with(id, |slot| slot.waiting.pop_front()).flatten();
            let Some(waiting) = next else { return };
            let outcome = match &opened {
                Err(code) => Err(failure(*code)),
                Ok(partition) => match self.append_now(partition, &waiting.part) {
                    Ok(placed) => Ok(placed),
                    Err(AppendRefusal::OverBudget) if self.env().now() < deadline => {
                        self.inner.table.with(id, |slot| slot.waiting.push_front(waiting));
                        self.make_room().await;
                        continue;
                    }
                    Err(refusal) => Err(error_code::of_append(&refusal)),
                },
            };
            waiting.done.send(outcome);
        }
    }

    /// Drops clean cached memory and asks for write-back; waits a moment for both.
    async fn make_room(&self) {
        let wanted = self.env().pool().limit() / 8;
        self.inner.was_short.set(true);
        self.evict(wanted);
        self.committer().memory_wanted();
        self.env().pool().collect();
        self.env().sleep(MEMORY_PAUSE).await;
    }

    async fn finish(self, slot: usize, id: TopicPartition, begun: Begun, acks: Acks) -> Outcome {
        let placed = match begun {
            Begun::Placed(placed) => Ok(placed),
            Begun::Refused(failure) => Err(failure),
            // A dropped sender: the partition was deleted while the batch waited.
            Begun::Waits(receiver) => {
                receiver.await.unwrap_or(Err(failure(ErrorCode::UnknownTopicOrPartition)))
            }
        };
        let outcome = match placed {
            Ok(placed) => self.acknowledge(id, placed, acks).await,
            Err(failure) => Err(failure),
        };
        (slot, outcome)
    }

    async fn acknowledge(
        &self,
        id: TopicPartition,
        placed: Placed,
        acks: Acks,
    ) -> Result<Produced, ProduceFailure> {
        let Some(partition) = self.inner.table.get(id) else {
            return Err(failure(ErrorCode::UnknownTopicOrPartition));
        };
        let wait = match acks {
            Acks::None => None,
            Acks::Leader => Some(AckWait::Written),
            Acks::All => Some(AckWait::Committed),
        };
        if let Some(wait) = wait {
            partition.acknowledged(placed.next, wait).await.map_err(|error| match error {
                AckError::Storage(why) => ProduceFailure {
                    code: ErrorCode::KafkaStorageError,
                    message: Some(why.to_string()),
                },
                AckError::NotLeader => failure(ErrorCode::NotLeaderOrFollower),
            })?;
        }
        Ok(Produced { placed, log_start: partition.bounds().log_start })
    }
}

/// How much of the pool records and requests may take. An eighth is left to the writes and reads that
/// free the rest.
pub(crate) fn most_used(pool: &buf::Pool) -> usize {
    pool.limit() - pool.limit() / 8
}

/// Whether `bytes` may be taken for records or requests.
pub(crate) fn has_headroom(pool: &buf::Pool, bytes: usize) -> bool {
    let most = most_used(pool);
    pool.collect_down_to(most.saturating_sub(bytes));
    pool.used() + bytes <= most
}

/// A failure that its code explains.
pub(crate) fn failure(code: ErrorCode) -> ProduceFailure {
    ProduceFailure { code, message: None }
}
