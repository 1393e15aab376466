//! CreateTopics (19), CreatePartitions (37), and topics that clients create by asking about them.

use metadata::controller::{
    CreatePartitionsWhy, CreateTopicWhy, CreatedTopic, MorePartitions, NewTopic, create_partitions,
    create_topics,
};
use wire::ErrorCode;
use wire::messages::create_partitions_response::CreatePartitionsTopicResult;
use wire::messages::create_topics_request::CreatableTopic;
use wire::messages::create_topics_response::{CreatableTopicConfigs, CreatableTopicResult};
use wire::messages::{
    CreatePartitionsRequestData, CreatePartitionsResponseData, CreateTopicsRequestData,
    CreateTopicsResponseData, KafkaString, string, uuid,
};

use crate::error_code;
use crate::shard::{Shard, World};

impl<E: World> Shard<E> {
    pub(crate) async fn create_topics(
        &self,
        request: CreateTopicsRequestData,
        _version: i16,
    ) -> CreateTopicsResponseData {
        let names: Vec<KafkaString> =
            request.topics.iter().map(|topic| topic.name.clone()).collect();
        let wanted: Vec<NewTopic> = request.topics.iter().map(new_topic).collect();
        let outcomes = self.decide_topics(&wanted, request.validate_only).await;
        let topics = match outcomes {
            Some(outcomes) => names.into_iter().zip(outcomes).map(topic_result).collect(),
            None => names.into_iter().map(storage_failed).collect(),
        };
        CreateTopicsResponseData { topics, ..CreateTopicsResponseData::default() }
    }

    /// Creates those of `names` that do not exist, with the broker's defaults. What cannot be
    /// created is not; the client sees that when it looks.
    pub(crate) async fn auto_create_here(&self, names: Vec<String>) {
        let image = self.image();
        let wanted: Vec<NewTopic> = names
            .into_iter()
            .filter(|name| image.topic_named(name).is_none())
            .map(|name| NewTopic {
                name,
                num_partitions: -1,
                replication_factor: -1,
                assignment: Vec::new(),
                configs: Vec::new(),
            })
            .collect();
        if let Some(outcomes) = self.decide_topics(&wanted, false).await {
            for why in outcomes.into_iter().filter_map(Result::err) {
                tracing::debug!(%why, "a topic was asked about and not created");
            }
        }
    }

    async fn decide_topics(
        &self,
        wanted: &[NewTopic],
        validate_only: bool,
    ) -> Option<Vec<Result<CreatedTopic, CreateTopicWhy>>> {
        let env = self.env();
        let mut random = || {
            let mut bytes = [0; 16];
            bytes[..8].copy_from_slice(&env.random().to_be_bytes());
            bytes[8..].copy_from_slice(&env.random().to_be_bytes());
            bytes
        };
        self.change(|image, node| create_topics(image, node, wanted, validate_only, &mut random))
            .await
            .ok()
    }

    pub(crate) async fn create_partitions(
        &self,
        request: CreatePartitionsRequestData,
    ) -> CreatePartitionsResponseData {
        let names: Vec<KafkaString> =
            request.topics.iter().map(|topic| topic.name.clone()).collect();
        let wanted: Vec<MorePartitions> = request
            .topics
            .iter()
            .map(|topic| MorePartitions {
                topic: topic.name.as_str().to_owned(),
                count: topic.count,
                assignments: topic.assignments.as_ref().map(|assignments| {
                    assignments.iter().map(|one| one.broker_ids.clone()).collect()
                }),
            })
            .collect();
        let outcomes = self
            .change(|image, _| create_partitions(image, &wanted, request.validate_only))
            .await
            .ok();
        let result = |name: KafkaString, outcome: Option<Result<(), CreatePartitionsWhy>>| {
            let (code, message) = match outcome {
                Some(Ok(())) => (ErrorCode::None, None),
                Some(Err(why)) => (error_code::of_create_partitions(&why), Some(why.to_string())),
                None => (ErrorCode::KafkaStorageError, None),
            };
            CreatePartitionsTopicResult {
                name,
                error_code: code.code(),
                error_message: message.map(|text| string(&text)),
                ..CreatePartitionsTopicResult::default()
            }
        };
        let mut outcomes = outcomes.map(Vec::into_iter);
        let results = names
            .into_iter()
            .map(|name| result(name, outcomes.as_mut().and_then(Iterator::next)))
            .collect();
        CreatePartitionsResponseData { results, ..CreatePartitionsResponseData::default() }
    }
}

fn new_topic(topic: &CreatableTopic) -> NewTopic {
    NewTopic {
        name: topic.name.as_str().to_owned(),
        num_partitions: topic.num_partitions,
        replication_factor: topic.replication_factor,
        assignment: topic
            .assignments
            .iter()
            .map(|one| (one.partition_index, one.broker_ids.clone()))
            .collect(),
        configs: topic
            .configs
            .iter()
            .map(|config| {
                let value = config.value.as_ref().map(|value| value.as_str().to_owned());
                (config.name.as_str().to_owned(), value)
            })
            .collect(),
    }
}

fn topic_result(
    (name, outcome): (KafkaString, Result<CreatedTopic, CreateTopicWhy>),
) -> CreatableTopicResult {
    match outcome {
        Err(why) => CreatableTopicResult {
            name,
            error_code: error_code::of_create_topic(&why).code(),
            error_message: Some(string(&why.to_string())),
            num_partitions: -1,
            replication_factor: -1,
            configs: None,
            ..CreatableTopicResult::default()
        },
        Ok(created) => CreatableTopicResult {
            name,
            topic_id: uuid(created.id.bytes()),
            num_partitions: created.num_partitions,
            replication_factor: created.replication_factor,
            configs: Some(
                created
                    .configs
                    .into_iter()
                    .map(|config| CreatableTopicConfigs {
                        name: string(config.name),
                        value: config.value.map(|value| string(&value)),
                        read_only: config.read_only,
                        config_source: config.source.code(),
                        is_sensitive: config.sensitive,
                        ..CreatableTopicConfigs::default()
                    })
                    .collect(),
            ),
            ..CreatableTopicResult::default()
        },
    }
}

fn storage_failed(name: KafkaString) -> CreatableTopicResult {
    CreatableTopicResult {
        name,
        error_code: ErrorCode::KafkaStorageError.code(),
        error_message: Some(string("the metadata log takes nothing; restart the broker")),
        num_partitions: -1,
        replication_factor: -1,
        configs: None,
        ..CreatableTopicResult::default()
    }
}
