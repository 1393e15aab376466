//! Creating topics.

use record::TopicId;

use crate::configs::{
    BROKER_CONFIGS, ConfigWhy, Described, Node, check_topic_set, check_topic_value, describe_topic,
};
use crate::image::{Configs, Image, Resource, ResourceKind};
use crate::records::{ConfigRecord, PartitionRecord, Record, TopicRecord, Uuid};

use super::names::Collisions;
use super::{
    Decision, NameWhy, PlacementWhy, RECORDS_PER_REQUEST_MAX, check_topic_name, placement, repeated,
};

/// Name of the topic that is the metadata log itself.
const CLUSTER_METADATA: &str = "__cluster_metadata";

/// A topic that is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewTopic {
    /// Its name.
    pub name: String,
    /// Number of partitions; -1 for the default, or with an assignment.
    pub num_partitions: i32,
    /// Replicas of each; -1 for the default, or with an assignment.
    pub replication_factor: i16,
    /// Replicas by partition; empty to let the controller place them.
    pub assignment: Vec<(i32, Vec<i32>)>,
    /// Configurations to set.
    pub configs: Vec<(String, Option<String>)>,
}

/// A topic as it was created, or would have been.
#[derive(Clone, Debug, PartialEq)]
pub struct CreatedTopic {
    /// Its name.
    pub name: String,
    /// Its id; all zero when it was only checked.
    pub id: TopicId,
    /// Number of partitions.
    pub num_partitions: i32,
    /// Replicas of each.
    pub replication_factor: i16,
    /// Every configuration that holds for it.
    pub configs: Vec<Described>,
}

/// Why a topic is not created. Others of the same request may be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CreateTopicWhy {
    /// The request names it more than once.
    #[error("the request names the topic more than once")]
    Repeated,
    /// It cannot have this name.
    #[error(transparent)]
    Name(#[from] NameWhy),
    /// The name belongs to the broker itself.
    #[error("the topic {CLUSTER_METADATA} cannot be created")]
    Reserved,
    /// There is such a topic.
    #[error("topic {name} exists already")]
    Exists {
        /// Its name.
        name: String,
    },
    /// The number of partitions is zero or below -1.
    #[error("the number of partitions, {asked}, is not positive")]
    PartitionsNotPositive {
        /// What was asked for.
        asked: i32,
    },
    /// The request as a whole would write more than [`RECORDS_PER_REQUEST_MAX`] records.
    #[error("the request creates too many partitions at once")]
    TooLarge,
    /// An assignment came with a number of partitions.
    #[error("an assignment and a number of partitions exclude each other")]
    AssignmentAndPartitions,
    /// An assignment came with a replication factor.
    #[error("an assignment and a replication factor exclude each other")]
    AssignmentAndFactor,
    /// The replication factor cannot be.
    #[error(transparent)]
    Factor(PlacementWhy),
    /// The assignment cannot be.
    #[error(transparent)]
    Assignment(PlacementWhy),
    /// A configuration has no value.
    #[error("configuration {name} has no value")]
    NoValue {
        /// The configuration.
        name: String,
    },
    /// A configuration is refused.
    #[error(transparent)]
    Config(#[from] ConfigWhy),
}

/// Decides on a `CreateTopics` request. `random` gives 16 random bytes for each topic's id. With
/// `validate_only` there are no records, and the outcomes are what they would have been.
pub fn create_topics(
    image: &Image,
    node: &Node,
    topics: &[NewTopic],
    validate_only: bool,
    random: &mut dyn FnMut() -> [u8; 16],
) -> Decision<Result<CreatedTopic, CreateTopicWhy>> {
    let twice = repeated(topics.iter().map(|topic| &topic.name));
    let mut collisions = Collisions::new(image, topics.iter().map(|topic| topic.name.as_str()));
    let mut decision = Decision::new();
    let mut ids = Vec::new();
    for topic in topics {
        let outcome = if twice.contains(&topic.name) {
            Err(CreateTopicWhy::Repeated)
        } else {
            let room = RECORDS_PER_REQUEST_MAX - decision.records.len();
            let plan = plan(image, node, topic, &collisions, room);
            plan.map(|plan| {
                collisions.take(&topic.name);
                let id = fresh_id(image, &ids, random());
                ids.push(id);
                let created = plan.created(image, node, topic, id);
                decision.records.extend(plan.into_records(image, topic, id));
                created
            })
        };
        decision.outcomes.push(outcome);
    }
    if validate_only {
        decision.records.clear();
        for created in decision.outcomes.iter_mut().flatten() {
            created.id = TopicId::ZERO;
        }
    }
    decision
}

/// What creating one topic takes.
struct Plan {
    partitions: Vec<PartitionRecord>,
    configs: Configs,
}

fn plan(
    image: &Image,
    node: &Node,
    topic: &NewTopic,
    collisions: &Collisions,
    room: usize,
) -> Result<Plan, CreateTopicWhy> {
    if topic.name == CLUSTER_METADATA {
        return Err(CreateTopicWhy::Reserved);
    }
    check_topic_name(&topic.name)?;
    if image.topic_named(&topic.name).is_some() {
        return Err(CreateTopicWhy::Exists { name: topic.name.clone() });
    }
    collisions.check(&topic.name)?;
    let partitions = if topic.assignment.is_empty() {
        placed(image, node, topic, room)?
    } else {
        assigned(image, topic)?
    };
    if 1 + partitions.len() + 2 * topic.configs.len() > room {
        return Err(CreateTopicWhy::TooLarge);
    }
    let mut configs = Configs::new();
    for (name, value) in &topic.configs {
        let no_value = || CreateTopicWhy::NoValue { name: name.clone() };
        let value = value.as_ref().ok_or_else(no_value)?;
        check_topic_value(name, value)?;
        configs.insert(name.clone(), value.clone());
    }
    check_topic_set(&configs)?;
    Ok(Plan { partitions, configs })
}

/// Partitions that the controller places. The topic's id is put in later.
fn placed(
    image: &Image,
    node: &Node,
    topic: &NewTopic,
    room: usize,
) -> Result<Vec<PartitionRecord>, CreateTopicWhy> {
    let count = match topic.num_partitions {
        -1 => started_with(node, "num.partitions"),
        asked => asked,
    };
    if count < 1 {
        return Err(CreateTopicWhy::PartitionsNotPositive { asked: count });
    }
    let factor = match topic.replication_factor {
        -1 => i16::try_from(started_with(node, "default.replication.factor")).unwrap_or(i16::MAX),
        asked => asked,
    };
    if usize::try_from(count).is_ok_and(|count| count > room) {
        return Err(CreateTopicWhy::TooLarge);
    }
    (0..count)
        .map(|index| {
            let replicas = placement::place(image, index, factor)?;
            placement::new_partition(image, TopicId::ZERO, index, replicas)
        })
        .collect::<Result<_, _>>()
        .map_err(CreateTopicWhy::Factor)
}

/// Partitions whose replicas the request gives.
fn assigned(image: &Image, topic: &NewTopic) -> Result<Vec<PartitionRecord>, CreateTopicWhy> {
    if topic.num_partitions != -1 {
        return Err(CreateTopicWhy::AssignmentAndPartitions);
    }
    if topic.replication_factor != -1 {
        return Err(CreateTopicWhy::AssignmentAndFactor);
    }
    let mut assignment: Vec<&(i32, Vec<i32>)> = topic.assignment.iter().collect();
    assignment.sort_by_key(|(partition, _)| *partition);
    let factor = assignment[0].1.len();
    let partition = |(expected, (partition, replicas)): (i32, &(i32, Vec<i32>))| {
        if *partition != expected {
            return Err(PlacementWhy::Gap { expected });
        }
        placement::check(image, *partition, replicas)?;
        let found = replicas.len();
        if found != factor {
            return Err(PlacementWhy::Factor { partition: *partition, found, expected: factor });
        }
        placement::new_partition(image, TopicId::ZERO, *partition, replicas.clone())
    };
    let partitions = (0..).zip(assignment).map(partition);
    partitions.collect::<Result<_, _>>().map_err(CreateTopicWhy::Assignment)
}

/// A number that the broker was started with, or its default.
fn started_with(node: &Node, name: &str) -> i32 {
    let default = BROKER_CONFIGS.iter().find(|def| def.config.name == name);
    let default = default.and_then(|def| def.config.default).unwrap_or("1");
    let value = node.configs.get(name).map_or(default, String::as_str);
    value.trim().parse().unwrap_or(1)
}

impl Plan {
    fn created(&self, image: &Image, node: &Node, topic: &NewTopic, id: TopicId) -> CreatedTopic {
        let mut after = image.clone();
        for record in config_records(image, &topic.name, &self.configs) {
            after.apply_record(&record).expect("a configuration can always be set");
        }
        let replicas = self.partitions.first().map_or(0, |partition| partition.replicas.len());
        CreatedTopic {
            name: topic.name.clone(),
            id,
            num_partitions: i32::try_from(self.partitions.len()).unwrap_or(i32::MAX),
            replication_factor: i16::try_from(replicas).unwrap_or(i16::MAX),
            configs: describe_topic(&after, node, &topic.name, None),
        }
    }

    fn into_records(self, image: &Image, topic: &NewTopic, topic_id: TopicId) -> Vec<Record> {
        let mut records = vec![Record::from(TopicRecord { name: topic.name.clone(), topic_id })];
        records.extend(config_records(image, &topic.name, &self.configs));
        let partitions = self.partitions.into_iter();
        records.extend(partitions.map(|body| PartitionRecord { topic_id, ..body }.into()));
        records
    }
}

/// Sets these configurations, and takes away any that the image still holds for the name: Kafka
/// can leave those of a removed topic in a snapshot.
fn config_records(image: &Image, topic: &str, configs: &Configs) -> Vec<Record> {
    let record = |name: &String, value: Option<String>| {
        Record::from(ConfigRecord {
            resource_type: ResourceKind::TOPIC.0,
            resource_name: topic.to_owned(),
            name: name.clone(),
            value,
        })
    };
    let stale = image.configs(&Resource::topic(topic)).into_iter().flat_map(Configs::keys);
    let stale = stale.filter(|name| !configs.contains_key(*name)).map(|name| record(name, None));
    let set = configs.iter().map(|(name, value)| record(name, Some(value.clone())));
    stale.chain(set).collect()
}

/// An id that no topic has and no rule excludes, near the random bytes.
fn fresh_id(image: &Image, taken: &[TopicId], random: [u8; 16]) -> TopicId {
    let mut bits = u128::from_be_bytes(Uuid::from_random(random).bytes());
    loop {
        let id = TopicId::from_bytes(bits.to_be_bytes());
        if image.topic(id).is_none() && !taken.contains(&id) {
            return id;
        }
        bits = bits.wrapping_add(1);
    }
}
