//! What the image says: Metadata (3), DescribeCluster (60), DescribeTopicPartitions (75),
//! ListPartitionReassignments (46).

use env::Group;
use metadata::Image;
use metadata::image::{Partition, Topic};
use record::TopicId;
use wire::ErrorCode;
use wire::messages::describe_cluster_response::DescribeClusterBroker;
use wire::messages::describe_topic_partitions_response::{
    Cursor, DescribeTopicPartitionsResponsePartition, DescribeTopicPartitionsResponseTopic,
};
use wire::messages::metadata_request::MetadataRequestTopic;
use wire::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use wire::messages::{
    DescribeClusterRequestData, DescribeClusterResponseData, DescribeTopicPartitionsRequestData,
    DescribeTopicPartitionsResponseData, KafkaString, ListPartitionReassignmentsRequestData,
    ListPartitionReassignmentsResponseData, MetadataRequestData, MetadataResponseData, string,
    uuid,
};

use crate::message::Call;
use crate::shard::{Shard, World};

/// Operations are not reported (no authorizer): Kafka's marker for "not asked or not known".
const OPERATIONS_UNKNOWN: i32 = i32::MIN;
/// DescribeCluster's endpoint type for brokers.
const ENDPOINT_BROKERS: i8 = 1;
/// Most partitions in one DescribeTopicPartitions answer (Kafka:
/// `max.request.partition.size.limit`).
const PARTITIONS_MAX: i32 = 2_000;

impl<E: World> Shard<E> {
    pub(crate) async fn metadata(
        &self,
        version: i16,
        request: MetadataRequestData,
    ) -> MetadataResponseData {
        let mut image = self.image();
        let may_create = version < 4 || request.allow_auto_topic_creation;
        let asked = match request.topics {
            // In version 0 an empty list means every topic.
            Some(topics) if version == 0 && topics.is_empty() => None,
            topics => topics,
        };
        if let Some(asked) = &asked
            && may_create
            && self.auto_create()
        {
            let missing = missing_names(&image, asked);
            if !missing.is_empty() {
                let call = Call::AutoCreate(missing);
                self.ask(crate::controller::SHARD, Group::Admin, call).await;
                image = self.image();
            }
        }
        let topics = match asked {
            None => image.topics_by_name().map(described).collect(),
            Some(asked) => asked.iter().map(|one| self.metadata_of(&image, one)).collect(),
        };
        MetadataResponseData {
            brokers: brokers(&image, |node_id, host, port, rack| MetadataResponseBroker {
                node_id,
                host,
                port,
                rack,
                ..MetadataResponseBroker::default()
            }),
            cluster_id: Some(string(&self.cluster_id())),
            controller_id: self.node_id(),
            topics,
            cluster_authorized_operations: OPERATIONS_UNKNOWN,
            ..MetadataResponseData::default()
        }
    }

    fn metadata_of(&self, image: &Image, asked: &MetadataRequestTopic) -> MetadataResponseTopic {
        let found = match &asked.name {
            Some(name) => image.topic_named(name.as_str()),
            None => image.topic(TopicId::from_bytes(asked.topic_id.to_bytes())),
        };
        if let Some(topic) = found {
            return described(topic);
        }
        let code = match &asked.name {
            None => ErrorCode::UnknownTopicId,
            Some(name) if metadata::controller::check_topic_name(name.as_str()).is_ok() => {
                ErrorCode::UnknownTopicOrPartition
            }
            Some(_) => ErrorCode::InvalidTopicException,
        };
        MetadataResponseTopic {
            error_code: code.code(),
            name: asked.name.clone(),
            topic_id: asked.topic_id,
            topic_authorized_operations: OPERATIONS_UNKNOWN,
            ..MetadataResponseTopic::default()
        }
    }

    pub(crate) fn node_id(&self) -> i32 {
        self.inner.identity.borrow().node_id
    }

    pub(crate) fn cluster_id(&self) -> String {
        self.inner.identity.borrow().cluster_id.clone()
    }

    pub(crate) fn describe_cluster(
        &self,
        request: &DescribeClusterRequestData,
    ) -> DescribeClusterResponseData {
        let image = self.image();
        if request.endpoint_type != ENDPOINT_BROKERS {
            let code = if request.endpoint_type == 2 {
                ErrorCode::MismatchedEndpointType
            } else {
                ErrorCode::UnsupportedEndpointType
            };
            return DescribeClusterResponseData {
                error_code: code.code(),
                error_message: Some(string(code.message())),
                ..DescribeClusterResponseData::default()
            };
        }
        DescribeClusterResponseData {
            endpoint_type: ENDPOINT_BROKERS,
            cluster_id: string(&self.cluster_id()),
            controller_id: self.node_id(),
            brokers: brokers(&image, |broker_id, host, port, rack| DescribeClusterBroker {
                broker_id,
                host,
                port,
                rack,
                ..DescribeClusterBroker::default()
            }),
            cluster_authorized_operations: OPERATIONS_UNKNOWN,
            ..DescribeClusterResponseData::default()
        }
    }

    pub(crate) fn describe_topic_partitions(
        &self,
        request: DescribeTopicPartitionsRequestData,
    ) -> DescribeTopicPartitionsResponseData {
        let image = self.image();
        let mut names: Vec<String> = if request.topics.is_empty() {
            image.topics_by_name().map(|topic| topic.name.to_string()).collect()
        } else {
            request.topics.iter().map(|topic| topic.name.as_str().to_owned()).collect()
        };
        names.sort();
        names.dedup();
        let cursor = request.cursor.as_ref();
        let from =
            cursor.map(|cursor| (cursor.topic_name.as_str().to_owned(), cursor.partition_index));
        let mut left = request.response_partition_limit.clamp(1, PARTITIONS_MAX);
        let mut topics = Vec::new();
        let mut next_cursor = None;
        for name in names {
            let first = match &from {
                Some((at, _)) if name < *at => continue,
                Some((at, partition)) if name == *at => (*partition).max(0),
                _ => 0,
            };
            if left == 0 {
                next_cursor = Some(Box::new(cursor_at(&name, 0)));
                break;
            }
            let (topic, cut) = partitions_page(&image, &name, first, &mut left);
            topics.push(topic);
            if let Some(partition) = cut {
                next_cursor = Some(Box::new(cursor_at(&name, partition)));
                break;
            }
        }
        DescribeTopicPartitionsResponseData {
            topics,
            next_cursor,
            ..DescribeTopicPartitionsResponseData::default()
        }
    }

    pub(crate) fn list_partition_reassignments(
        &self,
        _request: ListPartitionReassignmentsRequestData,
    ) -> ListPartitionReassignmentsResponseData {
        // One node: no partition is ever on its way to another.
        ListPartitionReassignmentsResponseData::default()
    }
}

fn missing_names(image: &Image, asked: &[MetadataRequestTopic]) -> Vec<String> {
    asked
        .iter()
        .filter_map(|topic| topic.name.as_ref())
        .filter(|name| image.topic_named(name.as_str()).is_none())
        .map(|name| name.as_str().to_owned())
        .collect()
}

/// A row for each broker that serves: its id, host, port and rack.
fn brokers<B>(
    image: &Image,
    row: impl Fn(i32, KafkaString, i32, Option<KafkaString>) -> B,
) -> Vec<B> {
    let serving = image.brokers().values().filter(|broker| !broker.fenced);
    serving
        .filter_map(|broker| {
            let endpoint = broker.endpoints.first()?;
            let rack = broker.rack.as_deref().map(string);
            Some(row(broker.id, string(&endpoint.host), i32::from(endpoint.port), rack))
        })
        .collect()
}

fn is_internal(name: &str) -> bool {
    matches!(name, "__consumer_offsets" | "__transaction_state" | "__share_group_state")
}

fn described(topic: &Topic) -> MetadataResponseTopic {
    MetadataResponseTopic {
        name: Some(string(&topic.name)),
        topic_id: uuid(topic.id.bytes()),
        is_internal: is_internal(&topic.name),
        partitions: topic
            .partitions
            .iter()
            .map(|(index, partition)| MetadataResponsePartition {
                error_code: leader_error(partition).code(),
                partition_index: *index,
                leader_id: partition.leader.unwrap_or(-1),
                leader_epoch: partition.leader_epoch.raw(),
                replica_nodes: partition.replicas.clone(),
                isr_nodes: partition.isr.clone(),
                ..MetadataResponsePartition::default()
            })
            .collect(),
        topic_authorized_operations: OPERATIONS_UNKNOWN,
        ..MetadataResponseTopic::default()
    }
}

fn leader_error(partition: &Partition) -> ErrorCode {
    if partition.leader.is_none() { ErrorCode::LeaderNotAvailable } else { ErrorCode::None }
}

/// One topic from partition `first` on, at most `left` of them; and where it was cut, if it was.
fn partitions_page(
    image: &Image,
    name: &str,
    first: i32,
    left: &mut i32,
) -> (DescribeTopicPartitionsResponseTopic, Option<i32>) {
    let Some(topic) = image.topic_named(name) else {
        let code = if metadata::controller::check_topic_name(name).is_ok() {
            ErrorCode::UnknownTopicOrPartition
        } else {
            ErrorCode::InvalidTopicException
        };
        let unknown = DescribeTopicPartitionsResponseTopic {
            error_code: code.code(),
            name: Some(string(name)),
            topic_authorized_operations: OPERATIONS_UNKNOWN,
            ..DescribeTopicPartitionsResponseTopic::default()
        };
        return (unknown, None);
    };
    let mut partitions = Vec::new();
    let mut cut = None;
    for (index, partition) in topic.partitions.range(first..) {
        if *left == 0 {
            cut = Some(*index);
            break;
        }
        *left -= 1;
        partitions.push(DescribeTopicPartitionsResponsePartition {
            error_code: leader_error(partition).code(),
            partition_index: *index,
            leader_id: partition.leader.unwrap_or(-1),
            leader_epoch: partition.leader_epoch.raw(),
            replica_nodes: partition.replicas.clone(),
            isr_nodes: partition.isr.clone(),
            eligible_leader_replicas: Some(Vec::new()),
            last_known_elr: Some(Vec::new()),
            ..DescribeTopicPartitionsResponsePartition::default()
        });
    }
    let page = DescribeTopicPartitionsResponseTopic {
        name: Some(string(&topic.name)),
        topic_id: uuid(topic.id.bytes()),
        is_internal: is_internal(&topic.name),
        partitions,
        topic_authorized_operations: OPERATIONS_UNKNOWN,
        ..DescribeTopicPartitionsResponseTopic::default()
    };
    (page, cut)
}

fn cursor_at(name: &str, partition_index: i32) -> Cursor {
    Cursor { topic_name: string(name), partition_index, ..Cursor::default() }
}
