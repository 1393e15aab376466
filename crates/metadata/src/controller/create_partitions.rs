//! Adding partitions to topics.

use crate::image::{Image, Topic};
use crate::records::Record;

use super::{Decision, PlacementWhy, RECORDS_PER_REQUEST_MAX, placement, repeated};

/// How many partitions a topic shall have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MorePartitions {
    /// The topic.
    pub topic: String,
    /// Its number of partitions afterwards.
    pub count: i32,
    /// Replicas of each new partition; `None` to let the controller place them.
    pub assignments: Option<Vec<Vec<i32>>>,
}

/// Why a topic gets no partitions. Others of the same request may.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CreatePartitionsWhy {
    /// The request names the topic more than once.
    #[error("the request names the topic more than once")]
    Repeated,
    /// No topic has this name.
    #[error("topic {name} does not exist")]
    UnknownTopic {
        /// The name.
        name: String,
    },
    /// It has as many already.
    #[error("the topic already has {count} partition(s)")]
    SameCount {
        /// How many.
        count: i32,
    },
    /// It has more already: partitions never go.
    #[error("the topic has {current} partition(s); {asked} would not be an increase")]
    Fewer {
        /// How many it has.
        current: i32,
        /// How many were asked for.
        asked: i32,
    },
    /// The request as a whole would write more than [`RECORDS_PER_REQUEST_MAX`] records.
    #[error("the request adds too many partitions at once")]
    TooLarge,
    /// There is not one assignment for each new partition.
    #[error("{found} assignment(s) for {expected} new partition(s)")]
    AssignmentCount {
        /// New partitions.
        expected: i32,
        /// Assignments.
        found: usize,
    },
    /// There are too few brokers for the topic's replication factor.
    #[error(transparent)]
    Factor(PlacementWhy),
    /// An assignment cannot be.
    #[error(transparent)]
    Assignment(PlacementWhy),
}

/// Decides on a `CreatePartitions` request. With `validate_only` there are no records.
pub fn create_partitions(
    image: &Image,
    topics: &[MorePartitions],
    validate_only: bool,
) -> Decision<Result<(), CreatePartitionsWhy>> {
    let twice = repeated(topics.iter().map(|more| &more.topic));
    let mut decision = Decision::new();
    for more in topics {
        let room = RECORDS_PER_REQUEST_MAX - decision.records.len();
        let outcome = if twice.contains(&more.topic) {
            Err(CreatePartitionsWhy::Repeated)
        } else {
            grow(image, more, room).map(|records| decision.records.extend(records))
        };
        decision.outcomes.push(outcome);
    }
    if validate_only {
        decision.records.clear();
    }
    decision
}

fn grow(
    image: &Image,
    more: &MorePartitions,
    room: usize,
) -> Result<Vec<Record>, CreatePartitionsWhy> {
    let topic = image
        .topic_named(&more.topic)
        .ok_or_else(|| CreatePartitionsWhy::UnknownTopic { name: more.topic.clone() })?;
    let current = i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX);
    match more.count {
        same if same == current => return Err(CreatePartitionsWhy::SameCount { count: current }),
        fewer if fewer < current => {
            return Err(CreatePartitionsWhy::Fewer { current, asked: fewer });
        }
        _ => {}
    }
    if usize::try_from(more.count - current).is_ok_and(|added| added > room) {
        return Err(CreatePartitionsWhy::TooLarge);
    }
    match &more.assignments {
        None => placed(image, topic, current..more.count),
        Some(given) => assigned(image, topic, current..more.count, given),
    }
}

/// Replicas of each partition: as many as the topic's first has.
fn factor(topic: &Topic) -> usize {
    topic.partitions.values().next().map_or(1, |partition| partition.replicas.len())
}

fn placed(
    image: &Image,
    topic: &Topic,
    new: std::ops::Range<i32>,
) -> Result<Vec<Record>, CreatePartitionsWhy> {
    let factor = i16::try_from(factor(topic)).unwrap_or(i16::MAX);
    new.map(|index| {
        let replicas = placement::place(image, index, factor)?;
        placement::new_partition(image, topic.id, index, replicas).map(Record::from)
    })
    .collect::<Result<_, _>>()
    .map_err(CreatePartitionsWhy::Factor)
}

fn assigned(
    image: &Image,
    topic: &Topic,
    new: std::ops::Range<i32>,
    given: &[Vec<i32>],
) -> Result<Vec<Record>, CreatePartitionsWhy> {
    let count = new.end - new.start;
    if usize::try_from(count) != Ok(given.len()) {
        return Err(CreatePartitionsWhy::AssignmentCount { expected: count, found: given.len() });
    }
    let expected = factor(topic);
    new.zip(given)
        .map(|(partition, replicas)| {
            placement::check(image, partition, replicas)?;
            let found = replicas.len();
            if found != expected {
                return Err(PlacementWhy::Factor { partition, found, expected });
            }
            placement::new_partition(image, topic.id, partition, replicas.clone()).map(Record::from)
        })
        .collect::<Result<_, _>>()
        .map_err(CreatePartitionsWhy::Assignment)
}
