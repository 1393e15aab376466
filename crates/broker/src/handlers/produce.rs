//! Produce (key 0) on the connection's shard: validate, hand each batch to its owner in order,
//! then gather the acknowledgements.

use std::collections::BTreeMap;
use std::future::Future;

use buf::Charge;
use env::sync::{Receiver, all};
use env::{Group, ShardId};
use metadata::Image;
use record::{Refusal, Rules, TopicPartition};
use wire::ErrorCode;
use wire::messages::produce_request::{PartitionProduceData, TopicProduceData};
use wire::messages::produce_response::{
    BatchIndexAndErrorMessage, LeaderIdAndEpoch, PartitionProduceResponse, TopicProduceResponse,
};
use wire::messages::{ProduceRequestData, ProduceResponseData, string};

use crate::append::failure;
use crate::connection::Answer;
use crate::error_code;
use crate::message::{Acks, Call, ProduceCall, ProduceFailure, ProducePart, Produced, Reply};
use crate::names;
use crate::shard::{Shard, World};
use crate::topic;

/// Produce names topics by id from this version on (KIP-516).
const FIRST_WITH_TOPIC_IDS: i16 = 13;

/// One partition of the request, in request order.
struct Slot {
    topic: usize,
    index: i32,
    /// The topic stamps batches itself: the answer names the time.
    stamped: bool,
    outcome: Option<Outcome>,
}

enum Outcome {
    Produced(Produced),
    Failed(ProduceFailure),
    Refused(Box<Refusal>),
}

struct Request {
    version: i16,
    acks: Acks,
    topics: Vec<TopicProduceData>,
    slots: Vec<Slot>,
}

impl<E: World> Shard<E> {
    /// Stage 1 of a produce request; the future it gives is stage 2.
    pub(crate) async fn begin_produce(
        &self,
        version: i16,
        request: ProduceRequestData,
    ) -> impl Future<Output = ProduceAnswer> + use<E> {
        let acks = match request.acks {
            0 => Some(Acks::None),
            1 => Some(Acks::Leader),
            -1 => Some(Acks::All),
            _ => None,
        };
        let timeout_ms = request.timeout_ms.max(0).unsigned_abs();
        let mut work = Request {
            version,
            acks: acks.unwrap_or(Acks::All),
            topics: request.topic_data,
            slots: Vec::new(),
        };
        let (parts, built) =
            self.validate_all(&mut work, acks.is_none(), request.transactional_id.is_some()).await;
        let waits = self.hand_over(parts, work.acks, timeout_ms).await;
        let shard = self.clone();
        async move {
            let outcomes = all(waits).await;
            drop(built);
            for (slot, result) in outcomes.into_iter().flatten() {
                work.slots[slot].outcome = Some(match result {
                    Ok(produced) => Outcome::Produced(produced),
                    Err(failure) => Outcome::Failed(failure),
                });
            }
            shard.produce_answer(work)
        }
    }

    /// Checks every batch; what is good comes back by owner, with the charges for those that were built
    /// anew; the rest has its outcome.
    async fn validate_all(
        &self,
        work: &mut Request,
        bad_acks: bool,
        transactional: bool,
    ) -> (BTreeMap<ShardId, Vec<ProducePart>>, Vec<Charge>) {
        let image = self.image();
        let mut built = Vec::new();
        let mut by_owner: BTreeMap<ShardId, Vec<ProducePart>> = BTreeMap::new();
        for (topic, data) in work.topics.iter().enumerate() {
            let found = resolve(&image, work.version, data);
            let rules = found.as_ref().ok().map(|found| self.rules(found, work.version));
            for partition in &data.partition_data {
                let slot = work.slots.len();
                let checked = match (&found, bad_acks, transactional) {
                    (_, true, _) => Err(Outcome::Failed(failure(ErrorCode::InvalidRequiredAcks))),
                    (Err(code), ..) => Err(Outcome::Failed(failure(*code))),
                    (_, _, true) => Err(Outcome::Failed(failure(ErrorCode::InvalidTxnState))),
                    (Ok(found), ..) => {
                        let rules = rules.as_ref().expect("a found topic has rules");
                        self.check(slot, found, partition, rules).await
                    }
                };
                let outcome = match checked {
                    Err(outcome) => Some(outcome),
                    Ok((part, charge)) => {
                        built.extend(charge);
                        by_owner.entry(self.owner(part.partition)).or_default().push(part);
                        None
                    }
                };
                let stamped = rules.as_ref().is_some_and(topic::stamps);
                work.slots.push(Slot { topic, index: partition.index, stamped, outcome });
            }
        }
        (by_owner, built)
    }

    async fn check(
        &self,
        slot: usize,
        found: &names::Found,
        data: &PartitionProduceData,
        rules: &Rules,
    ) -> Result<(ProducePart, Option<Charge>), Outcome> {
        if !found.has_partition(data.index) {
            return Err(Outcome::Failed(failure(ErrorCode::UnknownTopicOrPartition)));
        }
        let batch = data.records.clone().unwrap_or_default();
        let (checked, charge) = self
            .validate_in_budget(&batch, rules)
            .await
            // Retriable: by then memory is free again.
            .map_err(|_| Outcome::Failed(failure(ErrorCode::RequestTimedOut)))?
            .map_err(|refusal| Outcome::Refused(Box::new(refusal)))?;
        // There is no transaction coordinator yet, which would know of the transaction.
        if checked.header.is_transactional() {
            return Err(Outcome::Failed(failure(ErrorCode::InvalidTxnState)));
        }
        let partition = TopicPartition { topic: found.id, partition: data.index };
        Ok((ProducePart { slot, partition, batch, checked }, charge))
    }

    /// Gives each owner its batches; after this their order is decided.
    async fn hand_over(
        &self,
        by_owner: BTreeMap<ShardId, Vec<ProducePart>>,
        acks: Acks,
        timeout_ms: u32,
    ) -> Vec<Wait> {
        let mut waits = Vec::with_capacity(by_owner.len());
        for (owner, parts) in by_owner {
            let call = ProduceCall { parts, acks, timeout_ms };
            if owner == self.env().shard() {
                waits.push(wait_here(self.append(call)));
            } else {
                let call = Call::Produce(call);
                let sent = self.inner.calls.send(self.env(), owner, Group::Produce, call).await;
                waits.push(wait_there(sent.receiver));
            }
        }
        waits
    }

    fn produce_answer(&self, work: Request) -> ProduceAnswer {
        let Request { version, acks, topics, slots } = work;
        let mut responses: Vec<TopicProduceResponse> = topics
            .into_iter()
            .map(|topic| TopicProduceResponse {
                name: topic.name,
                topic_id: topic.topic_id,
                ..TopicProduceResponse::default()
            })
            .collect();
        let mut failed = false;
        for slot in slots {
            let topic = slot.topic;
            let response = partition_response(slot, version);
            failed |= response.error_code != ErrorCode::None.code();
            responses[topic].partition_responses.push(response);
        }
        match (acks, failed) {
            (Acks::None, false) => ProduceAnswer::Nothing,
            // Nothing can be said to a client that wants no answer but by ending the connection.
            (Acks::None, true) => ProduceAnswer::Close,
            _ => ProduceAnswer::Body(ProduceResponseData {
                responses,
                ..ProduceResponseData::default()
            }),
        }
    }
}

/// What a produce request ends in.
pub(crate) enum ProduceAnswer {
    Body(ProduceResponseData),
    Nothing,
    Close,
}

impl ProduceAnswer {
    /// The body, or the answer that has none.
    pub(crate) fn into_body(self) -> Result<ProduceResponseData, Answer> {
        match self {
            ProduceAnswer::Body(body) => Ok(body),
            ProduceAnswer::Nothing => Err(Answer::Nothing),
            ProduceAnswer::Close => Err(Answer::Close),
        }
    }
}

type Outcomes = Vec<(usize, Result<Produced, ProduceFailure>)>;
type Wait = std::pin::Pin<Box<dyn Future<Output = Outcomes>>>;

fn wait_here(stage_two: impl Future<Output = Outcomes> + 'static) -> Wait {
    Box::pin(stage_two)
}

fn wait_there(receiver: Receiver<Reply>) -> Wait {
    Box::pin(async move {
        match receiver.await {
            Some(Reply::Produced(outcomes)) => outcomes,
            // The owner went away: the slots stay open and are answered as timed out.
            _ => Vec::new(),
        }
    })
}

fn resolve(
    image: &Image,
    version: i16,
    data: &TopicProduceData,
) -> Result<names::Found, ErrorCode> {
    if version < FIRST_WITH_TOPIC_IDS {
        names::by_name(image, data.name.as_str())
    } else {
        names::by_id(image, data.topic_id)
    }
}

fn partition_response(slot: Slot, version: i16) -> PartitionProduceResponse {
    let Slot { index, stamped, outcome, .. } = slot;
    let failed = |code: ErrorCode, message: Option<String>| PartitionProduceResponse {
        index,
        error_code: code.code(),
        base_offset: -1,
        log_append_time_ms: -1,
        log_start_offset: -1,
        error_message: message.filter(|_| 8 <= version).map(|text| string(&text)),
        current_leader: LeaderIdAndEpoch { leader_id: -1, leader_epoch: -1, ..Default::default() },
        ..PartitionProduceResponse::default()
    };
    match outcome {
        None => failed(ErrorCode::RequestTimedOut, None),
        Some(Outcome::Failed(failure)) => failed(failure.code, failure.message),
        Some(Outcome::Refused(refusal)) => {
            let mut response = failed(error_code::of_refusal(&refusal), Some(refusal.to_string()));
            if 8 <= version {
                response.record_errors = error_code::record_errors(&refusal)
                    .into_iter()
                    .map(|(batch_index, text)| BatchIndexAndErrorMessage {
                        batch_index,
                        batch_index_error_message: Some(string(&text)),
                        ..BatchIndexAndErrorMessage::default()
                    })
                    .collect();
            }
            response
        }
        Some(Outcome::Produced(produced)) => PartitionProduceResponse {
            index,
            error_code: ErrorCode::None.code(),
            base_offset: produced.placed.base.raw(),
            log_append_time_ms: if stamped { produced.placed.timestamp_ms } else { -1 },
            log_start_offset: produced.log_start.raw(),
            current_leader: LeaderIdAndEpoch {
                leader_id: -1,
                leader_epoch: -1,
                ..Default::default()
            },
            ..PartitionProduceResponse::default()
        },
    }
}
