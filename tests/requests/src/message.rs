//! The messages that are asked and answered, with their keys and first flexible versions.
//!
//! The keys and versions stand here once more, from Kafka's schemas, so that the broker's own table
//! is not its own judge.

use bytes::BytesMut;
use kit::{Failure, Outcome};

pub use bytes::Bytes;
pub use kacrab_protocol::generated as m;
pub use kacrab_protocol::{KafkaString, KafkaUuid};

/// A message's string.
#[must_use]
pub fn text(text: &str) -> KafkaString {
    KafkaString::from(text.to_owned())
}

/// A request that can be asked.
pub trait Ask {
    /// Kafka's number for it.
    const KEY: i16;
    /// From this version on it has compact lengths and tagged fields (KIP-482).
    const FLEXIBLE: i16;
    /// What is answered.
    type Answer: Answer;

    /// Appends the body.
    ///
    /// # Errors
    /// When this version cannot say it.
    fn put(&self, to: &mut BytesMut, version: i16) -> Outcome<()>;
}

/// An answer that can be read.
pub trait Answer: Sized {
    /// Takes the body from the front of `bytes`.
    ///
    /// # Errors
    /// When it is none.
    fn take(bytes: &mut Bytes, version: i16) -> Outcome<Self>;

    /// Appends the body as a broker would.
    ///
    /// # Errors
    /// When this version cannot say it.
    fn put(&self, to: &mut BytesMut, version: i16) -> Outcome<()>;
}

macro_rules! asks {
    ($($key:literal, flexible from $flexible:literal: $in:ident::$ask:ident => $out:ident::$answer:ident;)*) => { $(
        impl Ask for m::$in::$ask {
            const KEY: i16 = $key;
            const FLEXIBLE: i16 = $flexible;
            type Answer = m::$out::$answer;

            fn put(&self, to: &mut BytesMut, version: i16) -> Outcome<()> {
                self.write(to, version).map_err(|error| {
                    Failure::new(format!("{} {version}: {error}", stringify!($ask)))
                })
            }
        }

        impl Answer for m::$out::$answer {
            fn take(bytes: &mut Bytes, version: i16) -> Outcome<Self> {
                Self::read(bytes, version).map_err(|error| {
                    Failure::new(format!("{} {version}: {error}", stringify!($answer)))
                })
            }

            fn put(&self, to: &mut BytesMut, version: i16) -> Outcome<()> {
                self.write(to, version).map_err(|error| {
                    Failure::new(format!("{} {version}: {error}", stringify!($answer)))
                })
            }
        }
    )* };
}

asks! {
    0, flexible from 9: produce_request::ProduceRequestData => produce_response::ProduceResponseData;
    1, flexible from 12: fetch_request::FetchRequestData => fetch_response::FetchResponseData;
    2, flexible from 6: list_offsets_request::ListOffsetsRequestData => list_offsets_response::ListOffsetsResponseData;
    3, flexible from 9: metadata_request::MetadataRequestData => metadata_response::MetadataResponseData;
    18, flexible from 3: api_versions_request::ApiVersionsRequestData => api_versions_response::ApiVersionsResponseData;
    19, flexible from 5: create_topics_request::CreateTopicsRequestData => create_topics_response::CreateTopicsResponseData;
    20, flexible from 4: delete_topics_request::DeleteTopicsRequestData => delete_topics_response::DeleteTopicsResponseData;
    21, flexible from 2: delete_records_request::DeleteRecordsRequestData => delete_records_response::DeleteRecordsResponseData;
    22, flexible from 2: init_producer_id_request::InitProducerIdRequestData => init_producer_id_response::InitProducerIdResponseData;
    23, flexible from 4: offset_for_leader_epoch_request::OffsetForLeaderEpochRequestData => offset_for_leader_epoch_response::OffsetForLeaderEpochResponseData;
    32, flexible from 4: describe_configs_request::DescribeConfigsRequestData => describe_configs_response::DescribeConfigsResponseData;
    35, flexible from 2: describe_log_dirs_request::DescribeLogDirsRequestData => describe_log_dirs_response::DescribeLogDirsResponseData;
    37, flexible from 2: create_partitions_request::CreatePartitionsRequestData => create_partitions_response::CreatePartitionsResponseData;
    44, flexible from 1: incremental_alter_configs_request::IncrementalAlterConfigsRequestData => incremental_alter_configs_response::IncrementalAlterConfigsResponseData;
    46, flexible from 0: list_partition_reassignments_request::ListPartitionReassignmentsRequestData => list_partition_reassignments_response::ListPartitionReassignmentsResponseData;
    60, flexible from 0: describe_cluster_request::DescribeClusterRequestData => describe_cluster_response::DescribeClusterResponseData;
    74, flexible from 0: list_config_resources_request::ListConfigResourcesRequestData => list_config_resources_response::ListConfigResourcesResponseData;
    75, flexible from 0: describe_topic_partitions_request::DescribeTopicPartitionsRequestData => describe_topic_partitions_response::DescribeTopicPartitionsResponseData;
}
