//! From the names and ids that clients send to topics of the image.

use metadata::Image;
use record::TopicId;
use wire::ErrorCode;
use wire::messages::KafkaUuid;

/// A topic that exists.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) id: TopicId,
    pub(crate) name: String,
    pub(crate) partitions: i32,
}

impl Found {
    pub(crate) fn has_partition(&self, index: i32) -> bool {
        (0..self.partitions).contains(&index)
    }
}

/// The topic of this name.
pub(crate) fn by_name(image: &Image, name: &str) -> Result<Found, ErrorCode> {
    let topic = image.topic_named(name).ok_or(ErrorCode::UnknownTopicOrPartition)?;
    Ok(found(topic))
}

/// The topic of this id.
pub(crate) fn by_id(image: &Image, id: KafkaUuid) -> Result<Found, ErrorCode> {
    let id = TopicId::from_bytes(id.to_bytes());
    let topic = image.topic(id).ok_or(ErrorCode::UnknownTopicId)?;
    Ok(found(topic))
}

fn found(topic: &metadata::image::Topic) -> Found {
    Found {
        id: topic.id,
        name: topic.name.to_string(),
        partitions: i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX),
    }
}
