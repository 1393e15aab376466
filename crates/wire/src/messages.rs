//! The plain structs of Kafka's messages, for the keys that are served.
//!
//! One module for each message (its nested structs live there, names repeat between messages), and
//! the outermost struct of each by its own name. They come from a pinned crate that nothing else of
//! the workspace names. Records inside them are opaque bytes.

pub use bytes::Bytes;
pub use kacrab_protocol::{KafkaString, KafkaUuid, RawTaggedField};

/// Re-exports the module and the outermost struct of each message.
macro_rules! messages {
    ($($module:ident :: $data:ident),* $(,)?) => {
        $(
            pub use kacrab_protocol::generated::$module;
            pub use kacrab_protocol::generated::$module::$data;
        )*
    };
}

messages! {
    produce_request::ProduceRequestData,
    produce_response::ProduceResponseData,
    fetch_request::FetchRequestData,
    fetch_response::FetchResponseData,
    list_offsets_request::ListOffsetsRequestData,
    list_offsets_response::ListOffsetsResponseData,
    metadata_request::MetadataRequestData,
    metadata_response::MetadataResponseData,
    api_versions_request::ApiVersionsRequestData,
    api_versions_response::ApiVersionsResponseData,
    create_topics_request::CreateTopicsRequestData,
    create_topics_response::CreateTopicsResponseData,
    delete_topics_request::DeleteTopicsRequestData,
    delete_topics_response::DeleteTopicsResponseData,
    delete_records_request::DeleteRecordsRequestData,
    delete_records_response::DeleteRecordsResponseData,
    init_producer_id_request::InitProducerIdRequestData,
    init_producer_id_response::InitProducerIdResponseData,
    offset_for_leader_epoch_request::OffsetForLeaderEpochRequestData,
    offset_for_leader_epoch_response::OffsetForLeaderEpochResponseData,
    describe_configs_request::DescribeConfigsRequestData,
    describe_configs_response::DescribeConfigsResponseData,
    describe_log_dirs_request::DescribeLogDirsRequestData,
    describe_log_dirs_response::DescribeLogDirsResponseData,
    create_partitions_request::CreatePartitionsRequestData,
    create_partitions_response::CreatePartitionsResponseData,
    incremental_alter_configs_request::IncrementalAlterConfigsRequestData,
    incremental_alter_configs_response::IncrementalAlterConfigsResponseData,
    list_partition_reassignments_request::ListPartitionReassignmentsRequestData,
    list_partition_reassignments_response::ListPartitionReassignmentsResponseData,
    describe_cluster_request::DescribeClusterRequestData,
    describe_cluster_response::DescribeClusterResponseData,
    list_config_resources_request::ListConfigResourcesRequestData,
    list_config_resources_response::ListConfigResourcesResponseData,
    describe_topic_partitions_request::DescribeTopicPartitionsRequestData,
    describe_topic_partitions_response::DescribeTopicPartitionsResponseData,
}

/// A message's string from a Rust string; copies it.
#[must_use]
pub fn string(text: &str) -> KafkaString {
    KafkaString::from(text.to_owned())
}

/// A message's 128-bit id from its sixteen bytes; `KafkaUuid::to_bytes` is the way back.
#[must_use]
pub fn uuid(bytes: [u8; 16]) -> KafkaUuid {
    let (high, low) = bytes.split_at(8);
    KafkaUuid::from_parts(
        u64::from_be_bytes(high.try_into().expect("eight of sixteen bytes")),
        u64::from_be_bytes(low.try_into().expect("eight of sixteen bytes")),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_keeps_its_bytes() {
        let bytes = *b"0123456789abcdef";
        assert_eq!(uuid(bytes).to_bytes(), bytes);
        assert_eq!(uuid([0; 16]), KafkaUuid::ZERO);
    }
}
