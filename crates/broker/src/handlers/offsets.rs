//! ListOffsets (2), OffsetForLeaderEpoch (23), DeleteRecords (21): one question for each partition,
//! answered by its owner.

use std::collections::BTreeMap;

use env::sync::all;
use env::{Group, ShardId};
use record::{Offset, TopicPartition};
use wire::ErrorCode;
use wire::messages::delete_records_response::{
    DeleteRecordsPartitionResult, DeleteRecordsTopicResult,
};
use wire::messages::list_offsets_response::{
    ListOffsetsPartitionResponse, ListOffsetsTopicResponse,
};
use wire::messages::offset_for_leader_epoch_response::{
    EpochEndOffset, OffsetForLeaderTopicResult,
};
use wire::messages::{
    DeleteRecordsRequestData, DeleteRecordsResponseData, KafkaString, ListOffsetsRequestData,
    ListOffsetsResponseData, OffsetForLeaderEpochRequestData, OffsetForLeaderEpochResponseData,
};

use crate::message::{Call, EpochQuery, FoundOffset, OffsetQuery, Reply};
use crate::names;
use crate::read;
use crate::shard::{Shard, World};

/// DeleteRecords: everything below the high watermark.
const TO_HIGH_WATERMARK: i64 = -1;

/// One partition of a request, as sent, with what it was resolved to.
struct Asked<Q> {
    topic: KafkaString,
    partition: i32,
    query: Result<(TopicPartition, Q), ErrorCode>,
}

impl<E: World> Shard<E> {
    pub(crate) async fn list_offsets(
        &self,
        version: i16,
        request: ListOffsetsRequestData,
    ) -> ListOffsetsResponseData {
        let committed_only = request.isolation_level == 1;
        let mut asked = Vec::new();
        for topic in request.topics {
            for one in topic.partitions {
                let resolved = self.resolve(&topic.name, one.partition_index);
                let query = resolved.and_then(|partition| {
                    if !read::may_ask(version, one.timestamp) {
                        return Err(ErrorCode::UnsupportedVersion);
                    }
                    let query = OffsetQuery {
                        partition,
                        timestamp: one.timestamp,
                        current_leader_epoch: one.current_leader_epoch,
                        committed_only,
                    };
                    Ok((partition, query))
                });
                asked.push(Asked {
                    topic: topic.name.clone(),
                    partition: one.partition_index,
                    query,
                });
            }
        }
        let answered = self
            .ask_owners(asked, Call::ListOffsets, |reply| match reply {
                Reply::Offsets(found) => found,
                _ => Vec::new(),
            })
            .await;
        let nothing = FoundOffset { offset: -1, timestamp_ms: -1, leader_epoch: -1 };
        let topics = by_topic(answered, |partition_index, found| {
            let (error, found) = split(found, nothing);
            ListOffsetsPartitionResponse {
                partition_index,
                error_code: error.code(),
                timestamp: found.timestamp_ms,
                offset: found.offset,
                leader_epoch: found.leader_epoch,
                ..ListOffsetsPartitionResponse::default()
            }
        });
        ListOffsetsResponseData {
            topics: topics
                .into_iter()
                .map(|(name, partitions)| ListOffsetsTopicResponse {
                    name,
                    partitions,
                    ..ListOffsetsTopicResponse::default()
                })
                .collect(),
            ..ListOffsetsResponseData::default()
        }
    }

    pub(crate) async fn offset_for_leader_epoch(
        &self,
        request: OffsetForLeaderEpochRequestData,
    ) -> OffsetForLeaderEpochResponseData {
        let mut asked = Vec::new();
        for topic in request.topics {
            for one in topic.partitions {
                let query = self.resolve(&topic.topic, one.partition).map(|partition| {
                    let query = EpochQuery {
                        partition,
                        epoch: one.leader_epoch,
                        current_leader_epoch: one.current_leader_epoch,
                    };
                    (partition, query)
                });
                asked.push(Asked { topic: topic.topic.clone(), partition: one.partition, query });
            }
        }
        let answered = self
            .ask_owners(asked, Call::EpochEnds, |reply| match reply {
                Reply::EpochEnds(ends) => ends,
                _ => Vec::new(),
            })
            .await;
        let topics = by_topic(answered, |partition, found| {
            let (error, end) = split(found, None);
            EpochEndOffset {
                error_code: error.code(),
                partition,
                leader_epoch: end.map_or(-1, |(epoch, _)| epoch.raw()),
                end_offset: end.map_or(-1, |(_, end)| end.raw()),
                ..EpochEndOffset::default()
            }
        });
        OffsetForLeaderEpochResponseData {
            topics: topics
                .into_iter()
                .map(|(topic, partitions)| OffsetForLeaderTopicResult {
                    topic,
                    partitions,
                    ..OffsetForLeaderTopicResult::default()
                })
                .collect(),
            ..OffsetForLeaderEpochResponseData::default()
        }
    }

    pub(crate) async fn delete_records(
        &self,
        request: DeleteRecordsRequestData,
    ) -> DeleteRecordsResponseData {
        let mut asked = Vec::new();
        for topic in request.topics {
            for one in topic.partitions {
                let to = match one.offset {
                    TO_HIGH_WATERMARK => Ok(None),
                    raw => Offset::new(raw).map(Some).ok_or(ErrorCode::OffsetOutOfRange),
                };
                let query = self
                    .resolve(&topic.name, one.partition_index)
                    .and_then(|partition| to.map(|to| (partition, (partition, to))));
                asked.push(Asked {
                    topic: topic.name.clone(),
                    partition: one.partition_index,
                    query,
                });
            }
        }
        let answered = self
            .ask_owners(asked, Call::DeleteRecords, |reply| match reply {
                Reply::Deleted(starts) => starts,
                _ => Vec::new(),
            })
            .await;
        let topics = by_topic(answered, |partition_index, found| {
            let (error, start) = match found {
                Ok(start) => (ErrorCode::None, start.raw()),
                Err(code) => (code, -1),
            };
            DeleteRecordsPartitionResult {
                partition_index,
                low_watermark: start,
                error_code: error.code(),
                ..DeleteRecordsPartitionResult::default()
            }
        });
        DeleteRecordsResponseData {
            topics: topics
                .into_iter()
                .map(|(name, partitions)| DeleteRecordsTopicResult {
                    name,
                    partitions,
                    ..DeleteRecordsTopicResult::default()
                })
                .collect(),
            ..DeleteRecordsResponseData::default()
        }
    }

    /// DeleteRecords for partitions of this shard.
    pub(crate) async fn delete_records_here(
        &self,
        parts: Vec<(TopicPartition, Option<Offset>)>,
    ) -> Vec<Result<Offset, ErrorCode>> {
        let mut starts = Vec::with_capacity(parts.len());
        for (id, to) in parts {
            starts.push(self.delete_records_of(id, to).await);
        }
        starts
    }

    async fn delete_records_of(
        &self,
        id: TopicPartition,
        to: Option<Offset>,
    ) -> Result<Offset, ErrorCode> {
        let partition = self.open_partition(id, Group::Admin).await?;
        let committer = self.committer();
        partition
            .delete_records(to, &committer)
            .await
            .map_err(|error| crate::error_code::of_delete_records(&error))
    }

    fn resolve(&self, topic: &KafkaString, partition: i32) -> Result<TopicPartition, ErrorCode> {
        let found = names::by_name(&self.image(), topic.as_str())?;
        if found.has_partition(partition) {
            Ok(TopicPartition { topic: found.id, partition })
        } else {
            Err(ErrorCode::UnknownTopicOrPartition)
        }
    }

    /// Sends each query to the owner of its partition and puts the answers in the order of the
    /// request. An owner that does not answer counts as not the leader.
    async fn ask_owners<Q, A: Clone>(
        &self,
        asked: Vec<Asked<Q>>,
        call: impl Fn(Vec<Q>) -> Call,
        open: impl Fn(Reply) -> Vec<Result<A, ErrorCode>>,
    ) -> Vec<(KafkaString, i32, Result<A, ErrorCode>)> {
        let mut queries: BTreeMap<ShardId, (Vec<usize>, Vec<Q>)> = BTreeMap::new();
        let mut answered = Vec::with_capacity(asked.len());
        for (at, one) in asked.into_iter().enumerate() {
            let placeholder = match one.query {
                Err(code) => Err(code),
                Ok((partition, query)) => {
                    let owner = queries.entry(self.owner(partition)).or_default();
                    owner.0.push(at);
                    owner.1.push(query);
                    Err(ErrorCode::NotLeaderOrFollower)
                }
            };
            answered.push((one.topic, one.partition, placeholder));
        }
        let asks = queries
            .into_iter()
            .map(|(owner, (places, queries))| {
                let call = call(queries);
                async move { (places, self.ask(owner, Group::Fetch, call).await) }
            })
            .collect();
        for (places, reply) in all(asks).await {
            let answers = reply.map(&open).unwrap_or_default();
            for (place, answer) in places.into_iter().zip(answers) {
                answered[place].2 = answer;
            }
        }
        answered
    }
}

fn split<A>(found: Result<A, ErrorCode>, nothing: A) -> (ErrorCode, A) {
    match found {
        Ok(found) => (ErrorCode::None, found),
        Err(code) => (code, nothing),
    }
}

/// Groups answers by topic, in the order of the request.
fn by_topic<A, R>(
    answered: Vec<(KafkaString, i32, Result<A, ErrorCode>)>,
    row: impl Fn(i32, Result<A, ErrorCode>) -> R,
) -> Vec<(KafkaString, Vec<R>)> {
    let mut topics: Vec<(KafkaString, Vec<R>)> = Vec::new();
    for (topic, partition, answer) in answered {
        let row = row(partition, answer);
        match topics.last_mut() {
            Some((last, rows)) if *last == topic => rows.push(row),
            _ => topics.push((topic, vec![row])),
        }
    }
    topics
}
