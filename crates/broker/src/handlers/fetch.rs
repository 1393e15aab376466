//! Fetch (key 1) on the connection's shard: session, reads on the owners, one answer.

use std::collections::BTreeMap;
use std::rc::Rc;

use env::sync::{all, race};
use env::{Group, ShardId};
use metadata::Image;
use record::{LeaderEpoch, Offset, TopicId, TopicPartition};
use wire::ErrorCode;
use wire::fetch_rope::{FetchAnswer, FetchedPartition, FetchedTopic};
use wire::messages::fetch_response::{AbortedTransaction, EpochEndOffset};
use wire::messages::{FetchRequestData, KafkaUuid, string, uuid};

use crate::fetch_session::{Asked, Plan, SessionPlace, SessionRefusal, Told, Wanted};
use crate::handlers::fetch_codecs::{FIRST_WITH_ZSTD, hold_zstd};
use crate::message::{Call, FetchCall, Fetched, Reply};
use crate::names;
use crate::shard::{Shard, World};

/// Most bytes of one answer (Kafka: `fetch.max.bytes` of a broker).
const ANSWER_BYTES_MAX: usize = 57_671_680;
/// Fetch has sessions from this version on.
const FIRST_WITH_SESSIONS: i16 = 7;
/// Fetch names topics by id from this version on.
const FIRST_WITH_TOPIC_IDS: i16 = 13;

/// What is asked, after the session: every partition in the order of serving, and what it is called here.
struct Work {
    session: i32,
    incremental: bool,
    wanted: Vec<(Asked, Wanted, Result<TopicPartition, ErrorCode>)>,
    committed_only: bool,
}

impl Work {
    /// What can be read.
    fn readable(&self) -> Vec<(TopicPartition, Wanted)> {
        let readable = |(_, wanted, found): &(_, Wanted, Result<TopicPartition, _>)| {
            found.as_ref().ok().map(|id| (*id, *wanted))
        };
        self.wanted.iter().filter_map(readable).collect()
    }
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
        // A full answer tells at once what cannot be resolved; an incremental one has told it before, and
        // must not keep its consumer from waiting.
        let at_once = !work.incremental && work.wanted.iter().any(|(.., found)| found.is_err());
        let call = FetchCall {
            wanted: work.readable(),
            max_bytes: max_bytes.min(ANSWER_BYTES_MAX).min(memory_max),
            min_bytes: usize::try_from(request.min_bytes.max(0)).unwrap_or(0),
            max_wait_ms: if at_once { 0 } else { request.max_wait_ms.max(0).unsigned_abs() },
            committed_only: work.committed_only,
        };
        let mut fetched = self.fetch_anywhere(call).await;
        if version < FIRST_WITH_ZSTD {
            for one in fetched.iter_mut().filter(|one| hold_zstd(&one.records)) {
                one.code = ErrorCode::UnsupportedCompressionType;
                one.records.clear();
                one.aborted.clear();
            }
        }
        self.fetch_answer(work, fetched)
    }

    fn plan_fetch(&self, version: i16, request: &FetchRequestData) -> Result<Work, SessionRefusal> {
        let mut added = Vec::new();
        for topic in &request.topics {
            let asked = Asking::new(version, topic.topic.as_str(), topic.topic_id);
            added.extend(topic.partitions.iter().map(|partition| {
                let wanted = Wanted {
                    fetch_offset: partition.fetch_offset,
                    max_bytes: partition.partition_max_bytes,
                    current_leader_epoch: partition.current_leader_epoch,
                    last_fetched_epoch: partition.last_fetched_epoch,
                    log_start_offset: partition.log_start_offset,
                };
                (asked.partition(partition.partition), wanted)
            }));
        }
        let committed_only = request.isolation_level == 1;
        if version < FIRST_WITH_SESSIONS {
            let wanted = self.resolve_all(added);
            return Ok(Work { session: 0, incremental: false, wanted, committed_only });
        }
        let mut forgotten = Vec::new();
        for topic in &request.forgotten_topics_data {
            let asked = Asking::new(version, topic.topic.as_str(), topic.topic_id);
            forgotten.extend(topic.partitions.iter().map(|index| asked.partition(*index)));
        }
        let place = SessionPlace { id: request.session_id, epoch: request.session_epoch };
        let fresh = i32::try_from(self.env().random() >> 33).unwrap_or(1);
        let now_ms = self.env().now().0 / 1_000_000;
        let plan =
            self.inner.sessions.borrow_mut().begin(place, added, &forgotten, fresh, now_ms)?;
        let (session, incremental, wanted) = match plan {
            Plan::Full(wanted) => (0, false, wanted),
            Plan::Session { id, incremental, wanted } => (id, incremental, wanted),
        };
        let wanted = self.resolve_all(wanted);
        Ok(Work { session, incremental, wanted, committed_only })
    }

    /// Looks up each partition in the image; neighbours are mostly of one topic.
    fn resolve_all(
        &self,
        wanted: Vec<(Asked, Wanted)>,
    ) -> Vec<(Asked, Wanted, Result<TopicPartition, ErrorCode>)> {
        let image = self.image();
        let mut last: Option<(Asked, Result<names::Found, ErrorCode>)> = None;
        let mut resolved = Vec::with_capacity(wanted.len());
        for (asked, wanted) in wanted {
            let known = last.take().filter(|(known, _)| {
                known.topic_id == asked.topic_id && known.topic == asked.topic
            });
            let found = known.map_or_else(|| resolve(&image, &asked), |(_, found)| found);
            let id = match &found {
                Ok(found) if found.has_partition(asked.partition) => {
                    Ok(TopicPartition { topic: found.id, partition: asked.partition })
                }
                Ok(_) => Err(ErrorCode::UnknownTopicOrPartition),
                Err(code) => Err(*code),
            };
            last = Some((asked.clone(), found));
            resolved.push((asked, wanted, id));
        }
        resolved
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
        let mut fetched: BTreeMap<TopicPartition, Fetched> =
            fetched.into_iter().map(|one| (one.partition, one)).collect();
        let mut places: BTreeMap<(Rc<str>, [u8; 16]), usize> = BTreeMap::new();
        let mut topics: Vec<FetchedTopic> = Vec::new();
        let mut sessions = self.inner.sessions.borrow_mut();
        for (asked, _, found) in work.wanted {
            let one = match found.map(|id| fetched.remove(&id)) {
                Ok(Some(one)) => one,
                // Its owner did not answer, or it was asked for twice.
                Ok(None) => continue,
                Err(code) => unresolved(asked.partition, code),
            };
            let told = Told {
                high_watermark: one.bounds.map_or(-1, |bounds| bounds.high_watermark.raw()),
                log_start: one.bounds.map_or(-1, |bounds| bounds.log_start.raw()),
                error: one.code != ErrorCode::None || one.diverging.is_some(),
            };
            let news = sessions.tell(work.session, &asked, told, 0 < one.len_bytes());
            if work.incremental && !news {
                continue;
            }
            let place = *places.entry((asked.topic, asked.topic_id)).or_insert_with_key(|topic| {
                topics.push(FetchedTopic {
                    name: string(&topic.0),
                    id: uuid(topic.1),
                    partitions: Vec::new(),
                });
                topics.len() - 1
            });
            self.inner.tally.fetched(one.len_bytes());
            topics[place].partitions.push(answered(one, work.committed_only));
        }
        FetchAnswer { session_id: work.session, topics, ..FetchAnswer::default() }
    }
}

/// A topic of the request, in the way that the request's version names it.
struct Asking {
    name: Rc<str>,
    id: [u8; 16],
}

impl Asking {
    fn new(version: i16, name: &str, id: KafkaUuid) -> Asking {
        if version < FIRST_WITH_TOPIC_IDS {
            Asking { name: name.into(), id: [0; 16] }
        } else {
            Asking { name: "".into(), id: id.to_bytes() }
        }
    }

    fn partition(&self, partition: i32) -> Asked {
        Asked { topic: Rc::clone(&self.name), topic_id: self.id, partition }
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
    for (id, wanted) in &call.wanted {
        let Some(mut one) = by_id.remove(id) else { continue };
        let bytes = one.len_bytes();
        // Only the very first batch may exceed a budget, and each owner believed that it had it.
        let most = left.min(usize::try_from(wanted.max_bytes.max(0)).unwrap_or(0));
        if most < bytes && any {
            one.records.clear();
            one.aborted.clear();
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
    let aborted = |(producer_id, first): (i64, Offset)| AbortedTransaction {
        producer_id,
        first_offset: first.raw(),
        ..AbortedTransaction::default()
    };
    partition.aborted_transactions =
        committed_only.then(|| one.aborted.into_iter().map(aborted).collect());
    partition.records = one.records;
    partition
}

/// A partition that does not exist, as if it had been read.
fn unresolved(partition: i32, code: ErrorCode) -> Fetched {
    let partition = TopicPartition { topic: TopicId::ZERO, partition };
    Fetched {
        partition,
        code,
        bounds: None,
        diverging: None,
        records: Vec::new(),
        aborted: Vec::new(),
    }
}

fn resolve(image: &Image, asked: &Asked) -> Result<names::Found, ErrorCode> {
    if asked.topic.is_empty() {
        names::by_id(image, uuid(asked.topic_id))
    } else {
        names::by_name(image, &asked.topic)
    }
}
