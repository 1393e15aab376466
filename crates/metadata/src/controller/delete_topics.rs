//! Deleting topics.

use record::TopicId;

use crate::image::Image;
use crate::records::RemoveTopicRecord;

use super::{Decision, repeated};

/// How a request names a topic.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TopicKey {
    /// By its name.
    Name(String),
    /// By its id.
    Id(TopicId),
}

/// A topic that goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeletedTopic {
    /// Its name.
    pub name: String,
    /// Its id.
    pub id: TopicId,
}

/// Why a topic is not deleted. Others of the same request may be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeleteTopicWhy {
    /// The request names it more than once, be it once by name and once by id.
    #[error("the request names the topic more than once")]
    Repeated,
    /// No topic has this name.
    #[error("topic {name} does not exist")]
    UnknownName {
        /// The name.
        name: String,
    },
    /// No topic has this id.
    #[error("topic id {id} does not exist")]
    UnknownId {
        /// The id.
        id: TopicId,
    },
}

/// Decides on a `DeleteTopics` request.
pub fn delete_topics(
    image: &Image,
    topics: &[TopicKey],
) -> Decision<Result<DeletedTopic, DeleteTopicWhy>> {
    let found: Vec<Result<DeletedTopic, DeleteTopicWhy>> =
        topics.iter().map(|key| find(image, key)).collect();
    let twice = repeated(topics.iter());
    let ids: Vec<TopicId> = found.iter().flatten().map(|topic| topic.id).collect();
    let twice_by_id = repeated(ids.iter());
    let mut decision = Decision::new();
    for (key, found) in topics.iter().zip(found) {
        let is_repeated = twice.contains(key)
            || found.as_ref().is_ok_and(|topic| twice_by_id.contains(&topic.id));
        let outcome = if is_repeated { Err(DeleteTopicWhy::Repeated) } else { found };
        if let Ok(topic) = &outcome {
            decision.records.push(RemoveTopicRecord { topic_id: topic.id }.into());
        }
        decision.outcomes.push(outcome);
    }
    decision
}

fn find(image: &Image, key: &TopicKey) -> Result<DeletedTopic, DeleteTopicWhy> {
    let topic = match key {
        TopicKey::Name(name) => image
            .topic_named(name)
            .ok_or_else(|| DeleteTopicWhy::UnknownName { name: name.clone() })?,
        TopicKey::Id(id) => image.topic(*id).ok_or(DeleteTopicWhy::UnknownId { id: *id })?,
    };
    Ok(DeletedTopic { name: topic.name.to_string(), id: topic.id })
}
