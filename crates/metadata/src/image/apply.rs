//! What each record does to the image.
//!
//! The rules are those of Kafka's controller and brokers, which agree: a record that names
//! something unknown is an error, since the log that holds it was not written by a controller. An
//! image that refused a record must not be used further.

use std::sync::Arc;

use record::{Offset, TopicId};

use crate::records::{
    BrokerRegistrationChangeRecord, ClientQuotaRecord, ConfigRecord, FeatureLevelRecord,
    PartitionChangeRecord, PartitionRecord, ProducerIdsRecord, Record, RemoveTopicRecord,
    TopicRecord, Uuid,
};

use super::{Broker, Image, METADATA_VERSION, Partition, Resource, ResourceKind, Topic, quota_key};

/// Why a record cannot follow the records before it. The image may hold a part of the record and
/// is of no further use: the log is damaged, or written by something that is no controller.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApplyError {
    /// The record's offset does not come after the last one.
    #[error("offset {offset} does not come after {applied}")]
    OffsetWentBack {
        /// The record's offset.
        offset: Offset,
        /// The last offset in the image.
        applied: Offset,
    },
    /// A transaction's frame; [`super::Fold`] handles these.
    #[error("{record} belongs to a metadata transaction")]
    TransactionFrame {
        /// Name of the record type.
        record: &'static str,
    },
    /// The topic was never created, or was removed.
    #[error("{record} names the unknown topic {topic}")]
    UnknownTopic {
        /// Name of the record type.
        record: &'static str,
        /// The topic's id or name.
        topic: String,
    },
    /// The name or the id is taken by a topic.
    #[error("topic {name} ({id}) exists already")]
    TopicExists {
        /// Name of the second topic.
        name: String,
        /// Id of the second topic.
        id: TopicId,
    },
    /// The partition was never created.
    #[error("partition {partition} of topic {topic} does not exist")]
    UnknownPartition {
        /// The topic.
        topic: TopicId,
        /// The partition's index.
        partition: i32,
    },
    /// A partition would get an impossible state.
    #[error("partition {partition} of topic {topic}: {what}")]
    BadPartition {
        /// The topic.
        topic: TopicId,
        /// The partition's index.
        partition: i32,
        /// What is wrong.
        what: &'static str,
    },
    /// No broker of this id is registered at this epoch.
    #[error("{record} names broker {broker} at epoch {epoch}, which is not registered")]
    UnknownBroker {
        /// Name of the record type.
        record: &'static str,
        /// Node id.
        broker: i32,
        /// Epoch.
        epoch: i64,
    },
    /// A change of a registration holds a value without meaning.
    #[error("the change of broker {broker} holds the unknown value {value}")]
    BadBrokerChange {
        /// Node id.
        broker: i32,
        /// The value.
        value: i8,
    },
    /// A feature has a negative level.
    #[error("feature {name} cannot have level {level}")]
    BadFeatureLevel {
        /// The feature.
        name: String,
        /// The level.
        level: i16,
    },
    /// The next producer id is negative.
    #[error("the next producer id cannot be {next}")]
    BadProducerId {
        /// The id.
        next: i64,
    },
    /// The access rule does not exist.
    #[error("access rule {id} does not exist")]
    UnknownRule {
        /// Its id.
        id: Uuid,
    },
}

impl Image {
    /// Applies the record at `offset`.
    ///
    /// # Errors
    ///
    /// See [`ApplyError`]: the image must then be thrown away.
    pub fn apply(&mut self, offset: Offset, record: &Record) -> Result<(), ApplyError> {
        if let Some(applied) = self.applied.filter(|applied| *applied >= offset) {
            return Err(ApplyError::OffsetWentBack { offset, applied });
        }
        self.apply_record(record)?;
        self.applied = Some(offset);
        Ok(())
    }

    /// Applies a record without looking at offsets.
    pub(crate) fn apply_record(&mut self, record: &Record) -> Result<(), ApplyError> {
        match record {
            Record::RegisterBroker(body) => {
                let broker = Arc::new(Broker::from(body));
                Arc::make_mut(&mut self.brokers).insert(body.broker_id, broker);
                Ok(())
            }
            Record::UnregisterBroker(body) => {
                self.known_broker(record, body.broker_id, body.broker_epoch)?;
                Arc::make_mut(&mut self.brokers).remove(&body.broker_id);
                Ok(())
            }
            Record::FenceBroker(body) => {
                self.known_broker(record, body.id, body.epoch)?.fenced = true;
                Ok(())
            }
            Record::UnfenceBroker(body) => {
                self.known_broker(record, body.id, body.epoch)?.fenced = false;
                Ok(())
            }
            Record::BrokerRegistrationChange(body) => self.change_broker(record, body),
            Record::RegisterController(body) => {
                let controllers = Arc::make_mut(&mut self.controllers);
                controllers.insert(body.controller_id, body.clone());
                Ok(())
            }
            Record::FeatureLevel(body) => self.set_feature(body),
            Record::ProducerIds(body) => self.set_producer_ids(body),
            Record::Topic(body) => self.add_topic(body),
            Record::Partition(body) => self.add_partition(record, body),
            Record::PartitionChange(body) => self.change_partition(record, body),
            Record::RemoveTopic(body) => self.remove_topic(record, body),
            Record::ClearElr(body) => self.clear_eligible(record, &body.topic_name),
            Record::Config(body) => {
                self.set_config(body);
                Ok(())
            }
            Record::NoOp(_) | Record::ZkMigrationState(_) => Ok(()),
            Record::BeginTransaction(_)
            | Record::EndTransaction(_)
            | Record::AbortTransaction(_) => {
                Err(ApplyError::TransactionFrame { record: record.name() })
            }
            access => self.apply_access(access),
        }
    }

    fn apply_access(&mut self, record: &Record) -> Result<(), ApplyError> {
        if let Record::ClientQuota(body) = record {
            self.set_quota(body);
            return Ok(());
        }
        let access = Arc::make_mut(&mut self.access);
        match record {
            Record::UserScramCredential(body) => {
                access.scram.insert((body.name.clone(), body.mechanism), body.clone());
            }
            Record::RemoveUserScramCredential(body) => {
                access.scram.remove(&(body.name.clone(), body.mechanism));
            }
            Record::DelegationToken(body) => {
                access.tokens.insert(body.token_id.clone(), body.clone());
            }
            Record::RemoveDelegationToken(body) => {
                access.tokens.remove(&body.token_id);
            }
            Record::AccessControlEntry(body) => {
                access.rules.insert(body.id, body.clone());
            }
            Record::RemoveAccessControlEntry(body) => {
                let known = access.rules.remove(&body.id);
                known.ok_or(ApplyError::UnknownRule { id: body.id })?;
            }
            other => unreachable!("{} is applied before access records", other.name()),
        }
        Ok(())
    }

    fn known_broker(
        &mut self,
        record: &Record,
        id: i32,
        epoch: i64,
    ) -> Result<&mut Broker, ApplyError> {
        let broker = Arc::make_mut(&mut self.brokers).get_mut(&id).map(Arc::make_mut);
        broker.filter(|broker| broker.epoch == epoch).ok_or(ApplyError::UnknownBroker {
            record: record.name(),
            broker: id,
            epoch,
        })
    }

    fn change_broker(
        &mut self,
        record: &Record,
        body: &BrokerRegistrationChangeRecord,
    ) -> Result<(), ApplyError> {
        self.known_broker(record, body.broker_id, body.broker_epoch)?.change(body)
    }

    fn set_feature(&mut self, body: &FeatureLevelRecord) -> Result<(), ApplyError> {
        let bad =
            || ApplyError::BadFeatureLevel { name: body.name.clone(), level: body.feature_level };
        let features = Arc::make_mut(&mut self.features);
        match body.feature_level {
            0 if body.name == METADATA_VERSION => return Err(bad()),
            ..0 => return Err(bad()),
            0 => features.remove(&body.name),
            level => features.insert(body.name.clone(), level),
        };
        Ok(())
    }

    fn set_producer_ids(&mut self, body: &ProducerIdsRecord) -> Result<(), ApplyError> {
        if body.next_producer_id < 0 {
            return Err(ApplyError::BadProducerId { next: body.next_producer_id });
        }
        self.next_producer_id = Some(body.next_producer_id);
        Ok(())
    }

    fn add_topic(&mut self, body: &TopicRecord) -> Result<(), ApplyError> {
        let taken = self.topic_ids.contains_key(body.name.as_str());
        if taken || self.topics.contains_key(&body.topic_id) {
            return Err(ApplyError::TopicExists { name: body.name.clone(), id: body.topic_id });
        }
        let name: Arc<str> = body.name.as_str().into();
        Arc::make_mut(&mut self.topic_ids).insert(Arc::clone(&name), body.topic_id);
        let topic = Topic { name, id: body.topic_id, partitions: Default::default() };
        Arc::make_mut(&mut self.topics).insert(body.topic_id, Arc::new(topic));
        Ok(())
    }

    fn known_topic(&mut self, record: &Record, id: TopicId) -> Result<&mut Topic, ApplyError> {
        let topic = Arc::make_mut(&mut self.topics).get_mut(&id).map(Arc::make_mut);
        topic.ok_or(ApplyError::UnknownTopic { record: record.name(), topic: id.to_string() })
    }

    fn add_partition(&mut self, record: &Record, body: &PartitionRecord) -> Result<(), ApplyError> {
        let partition = Partition::from_record(body)?;
        self.known_topic(record, body.topic_id)?.partitions.insert(body.partition_id, partition);
        Ok(())
    }

    fn change_partition(
        &mut self,
        record: &Record,
        body: &PartitionChangeRecord,
    ) -> Result<(), ApplyError> {
        let topic = self.known_topic(record, body.topic_id)?;
        let partition =
            topic.partitions.get_mut(&body.partition_id).ok_or(ApplyError::UnknownPartition {
                topic: body.topic_id,
                partition: body.partition_id,
            })?;
        *partition = partition.changed(body)?;
        Ok(())
    }

    fn remove_topic(
        &mut self,
        record: &Record,
        body: &RemoveTopicRecord,
    ) -> Result<(), ApplyError> {
        let removed = Arc::make_mut(&mut self.topics).remove(&body.topic_id);
        let removed = removed.ok_or_else(|| ApplyError::UnknownTopic {
            record: record.name(),
            topic: body.topic_id.to_string(),
        })?;
        Arc::make_mut(&mut self.topic_ids).remove(&removed.name);
        let resource = Resource::topic(&removed.name);
        if self.configs.contains_key(&resource) {
            Arc::make_mut(&mut self.configs).remove(&resource);
        }
        Ok(())
    }

    /// Forgets the eligible leaders of one topic, or of all for the empty name. Counts as a change
    /// of each partition that had any.
    fn clear_eligible(&mut self, record: &Record, name: &str) -> Result<(), ApplyError> {
        let ids: Vec<TopicId> = if name.is_empty() {
            self.topics.keys().copied().collect()
        } else {
            let unknown =
                || ApplyError::UnknownTopic { record: record.name(), topic: name.to_owned() };
            vec![*self.topic_ids.get(name).ok_or_else(unknown)?]
        };
        for id in ids {
            let changes: Vec<PartitionChangeRecord> = self
                .topic(id)
                .into_iter()
                .flat_map(|topic| &topic.partitions)
                .filter(|(_, partition)| {
                    let sets = [&partition.eligible_leaders, &partition.last_known_eligible];
                    sets.iter().any(|set| !set.is_empty())
                })
                .map(|(index, _)| PartitionChangeRecord {
                    partition_id: *index,
                    topic_id: id,
                    eligible_leader_replicas: Some(Vec::new()),
                    last_known_elr: Some(Vec::new()),
                    ..PartitionChangeRecord::default()
                })
                .collect();
            for change in &changes {
                self.change_partition(record, change)?;
            }
        }
        Ok(())
    }

    fn set_config(&mut self, body: &ConfigRecord) {
        let resource =
            Resource { kind: ResourceKind(body.resource_type), name: body.resource_name.clone() };
        let configs = Arc::make_mut(&mut self.configs);
        match &body.value {
            Some(value) => {
                let of_resource = configs.entry(resource).or_default();
                Arc::make_mut(of_resource).insert(body.name.clone(), value.clone());
            }
            None => {
                let Some(of_resource) = configs.get_mut(&resource) else { return };
                Arc::make_mut(of_resource).remove(&body.name);
                if of_resource.is_empty() {
                    configs.remove(&resource);
                }
            }
        }
    }

    fn set_quota(&mut self, body: &ClientQuotaRecord) {
        let key = quota_key(&body.entity);
        let quotas = Arc::make_mut(&mut self.quotas);
        if !body.remove {
            quotas.entry(key).or_default().insert(body.key.clone(), body.value);
        } else if let Some(of_entity) = quotas.get_mut(&key) {
            of_entity.remove(&body.key);
            if of_entity.is_empty() {
                quotas.remove(&key);
            }
        }
    }
}
