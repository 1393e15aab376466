//! What an answer to Fetch says, as plain structs.
//!
//! Knows no version's layout; see the encoder above it.

use buf::Sealed;

use crate::messages::fetch_response::{
    AbortedTransaction, EpochEndOffset, FetchResponseData, FetchableTopicResponse,
    LeaderIdAndEpoch, NodeEndpoint, PartitionData, SnapshotId,
};
use crate::messages::{Bytes, KafkaString, KafkaUuid};

/// An answer to Fetch, versions 4 to 18. A field that the version of the answer does not have is
/// left out without an error.
#[derive(Clone, Debug, Default)]
pub struct FetchAnswer {
    /// How long the client was held back by a quota, in milliseconds.
    pub throttle_time_ms: i32,
    /// An error of the whole request (version 7 and later).
    pub error_code: i16,
    /// The fetch session, 0 for none (version 7 and later).
    pub session_id: i32,
    /// What was fetched.
    pub topics: Vec<FetchedTopic>,
    /// Where the current leaders of refused partitions are (version 16 and later).
    pub node_endpoints: Vec<NodeEndpoint>,
}

/// The partitions of one topic. Only one of name and id travels.
#[derive(Clone, Debug, Default)]
pub struct FetchedTopic {
    /// The name (version 12 and earlier).
    pub name: KafkaString,
    /// The id (version 13 and later).
    pub id: KafkaUuid,
    /// The partitions, in the order of the answer.
    pub partitions: Vec<FetchedPartition>,
}

/// What was fetched of one partition.
#[derive(Clone, Debug)]
pub struct FetchedPartition {
    /// The partition.
    pub partition: i32,
    /// An error of this partition, 0 for none.
    pub error_code: i16,
    /// The high watermark, exclusive; -1 with an error.
    pub high_watermark: i64,
    /// The last stable offset, exclusive; -1 when not known.
    pub last_stable_offset: i64,
    /// The log's start, inclusive; -1 when not known (version 5 and later).
    pub log_start_offset: i64,
    /// Where the follower's log leaves the leader's (version 12 and later).
    pub diverging_epoch: Option<EpochEndOffset>,
    /// The leader to ask instead (version 12 and later).
    pub current_leader: Option<LeaderIdAndEpoch>,
    /// The snapshot to fetch instead (version 12 and later).
    pub snapshot_id: Option<SnapshotId>,
    /// Aborted transactions among the records, by first offset; `None` if the client did not ask
    /// for committed records only.
    pub aborted_transactions: Option<Vec<AbortedTransaction>>,
    /// The replica to read from, -1 for this one (version 11 and later).
    pub preferred_read_replica: i32,
    /// Whole batches, in order. None at all is sent as records of length 0, never as null.
    pub records: Vec<Sealed>,
}

impl Default for FetchedPartition {
    fn default() -> FetchedPartition {
        FetchedPartition {
            partition: 0,
            error_code: 0,
            high_watermark: -1,
            last_stable_offset: -1,
            log_start_offset: -1,
            diverging_epoch: None,
            current_leader: None,
            snapshot_id: None,
            aborted_transactions: None,
            preferred_read_replica: -1,
            records: Vec::new(),
        }
    }
}

impl FetchedPartition {
    /// An answer of nothing but an error, which is one of [`crate::ErrorCode`].
    #[must_use]
    pub fn failed(partition: i32, error_code: i16) -> FetchedPartition {
        FetchedPartition { partition, error_code, ..FetchedPartition::default() }
    }

    /// Bytes of the records.
    #[must_use]
    pub fn records_bytes(&self) -> usize {
        self.records.iter().map(|part| part.len()).sum()
    }
}

impl FetchAnswer {
    /// Bytes of all records.
    #[must_use]
    pub fn records_bytes(&self) -> usize {
        let partitions = self.topics.iter().flat_map(|topic| &topic.partitions);
        partitions.map(FetchedPartition::records_bytes).sum()
    }

    /// The answer of a decoded message. `frame` is what it was decoded from: records become views
    /// of it.
    pub(crate) fn of_message(message: FetchResponseData, frame: &Sealed) -> FetchAnswer {
        FetchAnswer {
            throttle_time_ms: message.throttle_time_ms,
            error_code: message.error_code,
            session_id: message.session_id,
            topics: message
                .responses
                .into_iter()
                .map(|topic| fetched_topic(topic, frame))
                .collect(),
            node_endpoints: message.node_endpoints,
        }
    }
}

fn fetched_topic(topic: FetchableTopicResponse, frame: &Sealed) -> FetchedTopic {
    let partitions = topic.partitions.into_iter();
    FetchedTopic {
        name: topic.topic,
        id: topic.topic_id,
        partitions: partitions.map(|partition| fetched_partition(partition, frame)).collect(),
    }
}

fn fetched_partition(partition: PartitionData, frame: &Sealed) -> FetchedPartition {
    let records = partition.records.filter(|records| !records.is_empty());
    FetchedPartition {
        partition: partition.partition_index,
        error_code: partition.error_code,
        high_watermark: partition.high_watermark,
        last_stable_offset: partition.last_stable_offset,
        log_start_offset: partition.log_start_offset,
        diverging_epoch: Some(partition.diverging_epoch).filter(|it| *it != Default::default()),
        current_leader: Some(partition.current_leader).filter(|it| *it != Default::default()),
        snapshot_id: Some(partition.snapshot_id).filter(|it| *it != Default::default()),
        aborted_transactions: partition.aborted_transactions,
        preferred_read_replica: partition.preferred_read_replica,
        records: records.map(|records| view_of(&records, frame)).into_iter().collect(),
    }
}

/// The view of `frame` that `slice`, which was cut out of it, covers.
fn view_of(slice: &Bytes, frame: &Sealed) -> Sealed {
    let at = slice.as_ptr().addr() - frame.as_ptr().addr();
    frame.slice(at..at + slice.len())
}
