//! Fetch (key 1) on the connection's shard: session, reads on the owners, one answer.

use std::collections::BTreeMap;

use env::sync::{all, race};
use env::{Group, ShardId};
use metadata::Image;
use record::{LeaderEpoch, TopicPartition};
use wire::ErrorCode;
use wire::fetch_rope::{FetchAnswer, FetchedPartition, FetchedTopic};
use wire::messages::fetch_response::EpochEndOffset;
use wire::messages::{FetchRequestData, string, uuid};

use crate::fetch_session::{Plan, SessionPlace, SessionRefusal, Told, Wanted};
use crate::message::{Call, FetchCall, Fetched, Reply};
use crate::names;
use crate::shard::{Shard, World};

/// Most bytes of one answer (Kafka: `fetch.max.bytes` of a broker).
const ANSWER_BYTES_MAX: usize = 57_671_680;
/// Fetch has sessions from this version on.
const FIRST_WITH_SESSIONS: i16 = 7;
/// Fetch names topics by id from this version on.
const FIRST_WITH_TOPIC_IDS: i16 = 13;

/// What is asked, after the session.
struct Work {
    session: i32,
    incremental: bool,
    wanted: Vec<(TopicPartition, Wanted)>,
    /// Partitions that could not be resolved: topic as sent, partition, error.
    unknown: Vec<(Named, i32, ErrorCode)>,
    committed_only: bool,
}

/// A topic as the client named it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Named {
    name: String,
    id: [u8; 16],
}

impl<E: World> Shard<E> {
    /// Answers a fetch request, waiting as it says.
    pub(crate) async fn fetch(&self, version: i16, request: FetchRequestData) -> FetchAnswer {
        let work = match self.plan_fetch(version, &request) {
            Ok(work) => work,
            Err(refusal) => {
                let code = match refusal {
                    SessionRefusal::UnknownId => ErrorCode::FetchSessionIdNotFound,
                    SessionRefusal::WrongEpoch => ErrorCode::InvalidFetchSessionEpoch,
                };
                return FetchAnswer { error_code: code.code(), ..FetchAnswer::default() };
            }
        };
        let memory_max = self.env().pool().limit() / 4;
        let max_bytes = usize::try_from(request.max_bytes.max(0)).unwrap_or(0);
        let call = FetchCall {
            wanted: work.wanted.clone(),
            max_bytes: max_bytes.min(ANSWER_BYTES_MAX).min(memory_max),
            min_bytes: usize::try_from(request.min_bytes.max(0)).unwrap_or(0),
            // What cannot be resolved is told at once.
            max_wait_ms: if work.unknown.is_empty() {
                request.max_wait_ms.max(0).unsigned_abs()
            } else {
                0
            },
            committed_only: work.committed_only,
        };
        let fetched = self.fetch_anywhere(call).await;
        self.fetch_answer(work, fetched)
    }

    fn plan_fetch(&self, version: i16, request: &FetchRequestData) -> Result<Work, SessionRefusal> {
        let image = self.image();
        let mut added = Vec::new();
        let mut unknown = Vec::new();
        for topic in &request.topics {
            let found = resolve(&image, version, topic.topic.as_str(), topic.topic_id);
            for partition in &topic.partitions {
                match &found {
                    Ok(found) if found.has_partition(partition.partition) => added.push((
                        TopicPartition { topic: found.id, partition: partition.partition },
                        Wanted {
                            fetch_offset: partition.fetch_offset,
                            max_bytes: partition.partition_max_bytes,
                            current_leader_epoch: partition.current_leader_epoch,
                            last_fetched_epoch: partition.last_fetched_epoch,
                            log_start_offset: partition.log_start_offset,
                        },
                    )),
                    other => {
                        let named = Named {
                            name: topic.topic.as_str().to_owned(),
                            id: topic.topic_id.to_bytes(),
                        };
                        let code = other
                            .as_ref()
                            .err()
                            .copied()
                            .unwrap_or(ErrorCode::UnknownTopicOrPartition);
                        unknown.push((named, partition.partition, code));
                    }
                }
            }
        }
        let mut forgotten = Vec::new();
        for topic in &request.forgotten_topics_data {
            if let Ok(found) = resolve(&image, version, topic.topic.as_str(), topic.topic_id) {
                forgotten.extend(
                    topic
                        .partitions
                        .iter()
                        .map(|index| TopicPartition { topic: found.id, partition: *index }),
                );
            }
        }
        let committed_only = request.isolation_level == 1;
        if version < FIRST_WITH_SESSIONS {
            return Ok(Work {
                session: 0,
                incremental: false,
                wanted: added,
                unknown,
                committed_only,
            });
        }
        let place = SessionPlace { id: request.session_id, epoch: request.session_epoch };
        let fresh = i32::try_from(self.env().random() >> 33).unwrap_or(1);
        let now_ms = self.env().now().0 / 1_000_000;
        let mut sessions = self.inner.sessions.borrow_mut();
        let (session, incremental, wanted) =
            match sessions.begin(place, added, &forgotten, fresh, now_ms)? {
                Plan::Full(wanted) => (0, false, wanted),
                Plan::Session { id, incremental, wanted } => (id, incremental, wanted),
            };
        Ok(Work { session, incremental, wanted, unknown, committed_only })
    }

    /// Reads on every owner. Alone it may wait there; with several, all are asked at once, and if
    /// there is too little the first that has news decides when all are asked again.
    async fn fetch_anywhere(&self, call: FetchCall) -> Vec<Fetched> {
        let mut by_owner: BTreeMap<ShardId, Vec<(TopicPartition, Wanted)>> = BTreeMap::new();
        for (id, wanted) in &call.wanted {
            by_owner.entry(self.owner(*id)).or_default().push((*id, *wanted));
        }
        if by_owner.len() <= 1 {
            let Some((owner, _)) = by_owner.pop_first() else {
                self.env().sleep(std::time::Duration::from_millis(call.max_wait_ms.into())).await;
                return Vec::new();
            };
            return self.fetch_at(owner, call).await;
        }
        self.fetch_from_several(by_owner, &call).await
    }

    async fn fetch_from_several(
        &self,
        by_owner: BTreeMap<ShardId, Vec<(TopicPartition, Wanted)>>,
        call: &FetchCall,
    ) -> Vec<Fetched> {
        let deadline =
            self.env().now().plus(std::time::Duration::from_millis(u64::from(call.max_wait_ms)));
        loop {
            let asks = by_owner
                .iter()
                .map(|(owner, wanted)| self.fetch_at(*owner, part_of(call, wanted, 0, 0)))
                .collect();
            let fetched: Vec<Fetched> = all(asks).await.into_iter().flatten().collect();
            let bytes: usize = fetched.iter().map(Fetched::len_bytes).sum();
            let failed =
                fetched.iter().any(|one| one.code != ErrorCode::None || one.diverging.is_some());
            let left = deadline.since(self.env().now());
            if call.min_bytes <= bytes || failed || left.is_zero() {
                return within_budget(call, fetched);
            }
            // News is one byte more than there is; whoever has it first ends the wait.
            let wait_ms = u32::try_from(left.as_millis()).unwrap_or(u32::MAX).max(1);
            let known: BTreeMap<TopicPartition, usize> =
                fetched.iter().map(|one| (one.partition, one.len_bytes())).collect();
            drop(fetched);
            self.wait_for_any(&by_owner, call, &known, wait_ms).await;
        }
    }

    async fn wait_for_any(
        &self,
        by_owner: &BTreeMap<ShardId, Vec<(TopicPartition, Wanted)>>,
        call: &FetchCall,
        known: &BTreeMap<TopicPartition, usize>,
        wait_ms: u32,
    ) {
        let here = self.env().shard();
        let mut sent = Vec::new();
        let mut local = None;
        for (owner, wanted) in by_owner {
            let have: usize = wanted.iter().filter_map(|(id, _)| known.get(id)).sum();
            let wait = part_of(call, wanted, have + 1, wait_ms);
            if *owner == here {
                local = Some(wait);
            } else {
                let call = Call::Fetch(wait);
                sent.push((
                    *owner,
                    self.inner.calls.send(self.env(), *owner, Group::Fetch, call).await,
                ));
            }
        }
        let ids: Vec<_> = sent.iter().map(|(owner, pending)| (*owner, pending.id)).collect();
        let mut receivers: Vec<_> =
            sent.into_iter().map(|(_, pending)| Box::pin(pending.receiver)).collect();
        let remote = std::future::poll_fn(|context| {
            let ready =
                receivers.iter_mut().any(|receiver| receiver.as_mut().poll(context).is_ready());
            if ready { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
        });
        match local {
            Some(wait) => {
                let here = async {
                    self.fetch_here(wait, Group::Fetch, None).await;
                };
                race(remote, here).await;
            }
            None => remote.await,
        }
        for (owner, id) in ids {
            self.cancel(owner, Group::Fetch, id).await;
        }
    }

    async fn fetch_at(&self, owner: ShardId, call: FetchCall) -> Vec<Fetched> {
        if owner == self.env().shard() {
            return self.fetch_here(call, Group::Fetch, None).await;
        }
        match self.ask(owner, Group::Fetch, Call::Fetch(call)).await {
            Some(Reply::Fetched(fetched)) => fetched,
            _ => Vec::new(),
        }
    }

    fn fetch_answer(&self, work: Work, fetched: Vec<Fetched>) -> FetchAnswer {
        let image = self.image();
        let mut topics: BTreeMap<Named, Vec<FetchedPartition>> = BTreeMap::new();
        for (named, partition, code) in &work.unknown {
            let failed = FetchedPartition::failed(*partition, code.code());
            topics.entry(named.clone()).or_default().push(failed);
        }
        let mut sessions = self.inner.sessions.borrow_mut();
        for one in fetched {
            let told = Told {
                high_watermark: one.bounds.map_or(-1, |bounds| bounds.high_watermark.raw()),
                log_start: one.bounds.map_or(-1, |bounds| bounds.log_start.raw()),
                error: one.code != ErrorCode::None || one.diverging.is_some(),
            };
            let id = one.partition;
            let news = sessions.tell(work.session, id, told, 0 < one.len_bytes());
            if work.incremental && !news {
                continue;
            }
            let name = image.topic(id.topic).map(|topic| topic.name.to_string());
            let named = Named { name: name.unwrap_or_default(), id: id.topic.bytes() };
            topics.entry(named).or_default().push(answered(one, work.committed_only));
        }
        FetchAnswer {
            session_id: work.session,
            topics: topics
                .into_iter()
                .map(|(named, partitions)| FetchedTopic {
                    name: string(&named.name),
                    id: uuid(named.id),
                    partitions,
                })
                .collect(),
            ..FetchAnswer::default()
        }
    }
}

fn part_of(
    call: &FetchCall,
    wanted: &[(TopicPartition, Wanted)],
    min_bytes: usize,
    max_wait_ms: u32,
) -> FetchCall {
    FetchCall {
        wanted: wanted.to_vec(),
        max_bytes: call.max_bytes,
        min_bytes,
        max_wait_ms,
        committed_only: call.committed_only,
    }
}

/// Each owner filled the whole budget; together they may exceed it. What is beyond is left for the
/// next request, in the order of this one.
fn within_budget(call: &FetchCall, fetched: Vec<Fetched>) -> Vec<Fetched> {
    let mut by_id: BTreeMap<TopicPartition, Fetched> =
        fetched.into_iter().map(|one| (one.partition, one)).collect();
    let mut left = call.max_bytes;
    let mut any = false;
    let mut kept = Vec::with_capacity(call.wanted.len());
    for (id, _) in &call.wanted {
        let Some(mut one) = by_id.remove(id) else { continue };
        let bytes = one.len_bytes();
        if left < bytes && any {
            one.records.clear();
        } else {
            left = left.saturating_sub(bytes);
            any |= 0 < bytes;
        }
        kept.push(one);
    }
    kept
}

fn answered(one: Fetched, committed_only: bool) -> FetchedPartition {
    let mut partition = FetchedPartition::failed(one.partition.partition, one.code.code());
    if let Some(bounds) = one.bounds {
        partition.high_watermark = bounds.high_watermark.raw();
        partition.last_stable_offset = bounds.last_stable.raw();
        partition.log_start_offset = bounds.log_start.raw();
    }
    partition.diverging_epoch = one.diverging.map(|(epoch, end)| EpochEndOffset {
        epoch: LeaderEpoch::raw(epoch),
        end_offset: end.raw(),
        ..EpochEndOffset::default()
    });
    partition.aborted_transactions = committed_only.then(Vec::new);
    partition.records = one.records;
    partition
}

fn resolve(
    image: &Image,
    version: i16,
    name: &str,
    id: wire::messages::KafkaUuid,
) -> Result<names::Found, ErrorCode> {
    if version < FIRST_WITH_TOPIC_IDS {
        names::by_name(image, name)
    } else {
        names::by_id(image, id)
    }
}
