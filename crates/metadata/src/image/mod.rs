//! The state that the records of the metadata log fold into.
//!
//! An [`Image`] is a value: cloning it copies a few pointers, applying a record to a clone leaves
//! the original as it was, and it can be sent to every shard. Its maps are shared until one of the
//! holders changes them.
//!
//! Not here: who may write records, and where they are kept.

mod apply;
mod broker;
mod changes;
mod fold;
mod partition;
mod snapshot;

pub use apply::ApplyError;
pub use broker::Broker;
pub use changes::{Changes, PartitionChangeKind};
pub use fold::{Fold, FoldError};
pub use partition::{LeaderRecovery, Partition, Topic};
pub use snapshot::to_records;

use std::collections::BTreeMap;
use std::sync::Arc;

use record::{Offset, TopicId, TopicPartition};

use crate::records::{
    AccessControlEntryRecord, DelegationTokenRecord, QuotaEntity, RegisterControllerRecord,
    UserScramCredentialRecord, Uuid,
};

/// Name of the feature that says which versions of records are written.
pub const METADATA_VERSION: &str = "metadata.version";

/// The metadata version of an image that holds none: the lowest that Kafka 4 knows.
pub const METADATA_VERSION_MIN: i16 = 7;

/// What kind of thing a configuration belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ResourceKind(pub i8);

impl ResourceKind {
    /// A topic, by name.
    pub const TOPIC: ResourceKind = ResourceKind(2);
    /// A broker by its node id, or all brokers by the empty name.
    pub const BROKER: ResourceKind = ResourceKind(4);
    /// A subscription to client metrics.
    pub const CLIENT_METRICS: ResourceKind = ResourceKind(16);
    /// A group.
    pub const GROUP: ResourceKind = ResourceKind(32);
}

/// A thing that has configurations.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Resource {
    /// Its kind.
    pub kind: ResourceKind,
    /// Its name within the kind.
    pub name: String,
}

impl Resource {
    /// A topic.
    pub fn topic(name: &str) -> Resource {
        Resource { kind: ResourceKind::TOPIC, name: name.to_owned() }
    }

    /// One broker.
    pub fn broker(node_id: i32) -> Resource {
        Resource { kind: ResourceKind::BROKER, name: node_id.to_string() }
    }

    /// The defaults of all brokers.
    pub fn all_brokers() -> Resource {
        Resource { kind: ResourceKind::BROKER, name: String::new() }
    }
}

/// The configurations of one resource, by name.
pub type Configs = BTreeMap<String, String>;

/// The parts of a quota's entity, sorted by type: type, then name or `None` for the default.
pub type QuotaKey = Vec<(String, Option<String>)>;

/// What the broker keeps of access control until it acts on it: the records as they are.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Access {
    /// Access rules by id.
    pub rules: BTreeMap<Uuid, AccessControlEntryRecord>,
    /// Credentials by user and mechanism.
    pub scram: BTreeMap<(String, i8), UserScramCredentialRecord>,
    /// Delegation tokens by id.
    pub tokens: BTreeMap<String, DelegationTokenRecord>,
}

/// The state of the cluster's metadata after a record. Equal images hold equal state.
///
/// More than a dozen fields because it is the whole state; each is a map that a record type owns.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Image {
    applied: Option<Offset>,
    features: Arc<BTreeMap<String, i16>>,
    brokers: Arc<BTreeMap<i32, Arc<Broker>>>,
    controllers: Arc<BTreeMap<i32, RegisterControllerRecord>>,
    topics: Arc<BTreeMap<TopicId, Arc<Topic>>>,
    topic_ids: Arc<BTreeMap<Arc<str>, TopicId>>,
    configs: Arc<BTreeMap<Resource, Arc<Configs>>>,
    quotas: Arc<BTreeMap<QuotaKey, BTreeMap<String, f64>>>,
    access: Arc<Access>,
    next_producer_id: Option<i64>,
}

impl Image {
    /// The state before the first record.
    pub fn new() -> Image {
        Image::default()
    }

    /// Offset of the last record in this image.
    pub const fn applied(&self) -> Option<Offset> {
        self.applied
    }

    /// Says that this image holds everything up to and with `applied`: after records that change
    /// nothing.
    pub(crate) const fn set_applied(&mut self, applied: Offset) {
        self.applied = Some(applied);
    }

    /// Says that this image holds everything below `end`: after a snapshot, whose records have
    /// offsets of their own.
    pub(crate) const fn set_end(&mut self, end: Offset) {
        self.applied = Offset::new(end.raw() - 1);
    }

    /// Finalized features with their levels.
    pub fn features(&self) -> &BTreeMap<String, i16> {
        &self.features
    }

    /// The level of one feature; 0 when it is not finalized.
    pub fn feature(&self, name: &str) -> i16 {
        self.features.get(name).copied().unwrap_or(0)
    }

    /// The finalized `metadata.version`, or the lowest one when none is.
    pub fn metadata_version(&self) -> i16 {
        self.features.get(METADATA_VERSION).copied().unwrap_or(METADATA_VERSION_MIN)
    }

    /// Whether nothing was ever finalized: the log of a cluster that was not begun.
    pub fn is_empty_cluster(&self) -> bool {
        self.features.is_empty()
    }

    /// Registered brokers by node id, fenced ones too.
    pub fn brokers(&self) -> &BTreeMap<i32, Arc<Broker>> {
        &self.brokers
    }

    /// One registered broker.
    pub fn broker(&self, node_id: i32) -> Option<&Broker> {
        self.brokers.get(&node_id).map(Arc::as_ref)
    }

    /// Registered controllers by node id.
    pub fn controllers(&self) -> &BTreeMap<i32, RegisterControllerRecord> {
        &self.controllers
    }

    /// All topics, in the order of their ids.
    pub fn topics(&self) -> impl ExactSizeIterator<Item = &Topic> {
        self.topics.values().map(Arc::as_ref)
    }

    /// All topics, in the order of their names.
    pub fn topics_by_name(&self) -> impl ExactSizeIterator<Item = &Topic> {
        self.topic_ids.values().map(|id| self.topic_of_name_index(*id))
    }

    fn topic_of_name_index(&self, id: TopicId) -> &Topic {
        self.topics.get(&id).expect("every name belongs to a topic of the image")
    }

    /// A topic by its id.
    pub fn topic(&self, id: TopicId) -> Option<&Topic> {
        self.topics.get(&id).map(Arc::as_ref)
    }

    /// A topic by its name.
    pub fn topic_named(&self, name: &str) -> Option<&Topic> {
        self.topic_ids.get(name).and_then(|id| self.topic(*id))
    }

    /// A partition.
    pub fn partition(&self, partition: TopicPartition) -> Option<&Partition> {
        self.topic(partition.topic)?.partitions.get(&partition.partition)
    }

    /// The configurations set for a resource; `None` when none are.
    pub fn configs(&self, resource: &Resource) -> Option<&Configs> {
        self.configs.get(resource).map(Arc::as_ref)
    }

    /// One configuration set for a resource.
    pub fn config(&self, resource: &Resource, name: &str) -> Option<&str> {
        self.configs(resource)?.get(name).map(String::as_str)
    }

    /// Every resource that has configurations.
    pub fn resources(&self) -> impl ExactSizeIterator<Item = (&Resource, &Configs)> {
        self.configs.iter().map(|(resource, configs)| (resource, configs.as_ref()))
    }

    /// Client quotas: for each entity the values by key.
    pub fn quotas(&self) -> &BTreeMap<QuotaKey, BTreeMap<String, f64>> {
        &self.quotas
    }

    /// Access rules, credentials and tokens.
    pub fn access(&self) -> &Access {
        &self.access
    }

    /// First producer id that no block holds yet; `None` before the first block.
    pub const fn next_producer_id(&self) -> Option<i64> {
        self.next_producer_id
    }
}

/// The key under which a quota's entity is kept: its parts in the order of their types.
pub fn quota_key(entity: &[QuotaEntity]) -> QuotaKey {
    let parts = entity.iter().map(|part| (part.entity_type.clone(), part.entity_name.clone()));
    let mut key: QuotaKey = parts.collect();
    key.sort();
    key
}

#[cfg(test)]
mod tests;
