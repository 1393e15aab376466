//! DeleteTopics (20), by name or by id.

use metadata::controller::{DeleteTopicWhy, DeletedTopic, TopicKey, delete_topics};
use record::TopicId;
use wire::ErrorCode;
use wire::messages::delete_topics_response::DeletableTopicResult;
use wire::messages::{DeleteTopicsRequestData, DeleteTopicsResponseData, string, uuid};

use crate::error_code;
use crate::shard::{Shard, World};

/// Topics are named one by one, by name or id, from this version on.
const FIRST_WITH_TOPIC_IDS: i16 = 6;

impl<E: World> Shard<E> {
    pub(crate) async fn delete_topics(
        &self,
        request: DeleteTopicsRequestData,
        version: i16,
    ) -> DeleteTopicsResponseData {
        let keys: Vec<TopicKey> = if version < FIRST_WITH_TOPIC_IDS {
            request
                .topic_names
                .iter()
                .map(|name| TopicKey::Name(name.as_str().to_owned()))
                .collect()
        } else {
            request
                .topics
                .iter()
                .map(|topic| match &topic.name {
                    Some(name) => TopicKey::Name(name.as_str().to_owned()),
                    None => TopicKey::Id(TopicId::from_bytes(topic.topic_id.to_bytes())),
                })
                .collect()
        };
        let outcomes = self.change(|image, _| delete_topics(image, &keys)).await.ok();
        let mut outcomes = outcomes.map(Vec::into_iter);
        let responses = keys
            .into_iter()
            .map(|key| result(key, outcomes.as_mut().and_then(Iterator::next)))
            .collect();
        DeleteTopicsResponseData { responses, ..DeleteTopicsResponseData::default() }
    }
}

fn result(
    key: TopicKey,
    outcome: Option<Result<DeletedTopic, DeleteTopicWhy>>,
) -> DeletableTopicResult {
    let (name, id) = match key {
        TopicKey::Name(name) => (Some(string(&name)), TopicId::ZERO),
        TopicKey::Id(id) => (None, id),
    };
    let failed = |code: ErrorCode, message: &str| DeletableTopicResult {
        name: name.clone(),
        topic_id: uuid(id.bytes()),
        error_code: code.code(),
        error_message: Some(string(message)),
        ..DeletableTopicResult::default()
    };
    match outcome {
        Some(Ok(deleted)) => DeletableTopicResult {
            name: Some(string(&deleted.name)),
            topic_id: uuid(deleted.id.bytes()),
            ..DeletableTopicResult::default()
        },
        Some(Err(why)) => failed(error_code::of_delete_topic(&why), &why.to_string()),
        None => failed(ErrorCode::KafkaStorageError, "the metadata log takes nothing"),
    }
}
