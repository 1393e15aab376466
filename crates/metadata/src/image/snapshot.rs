//! The records that rebuild an image, in the order in which Kafka writes a snapshot.

use crate::records::{
    ClientQuotaRecord, ConfigRecord, FeatureLevelRecord, ProducerIdsRecord, QuotaEntity, Record,
    TopicRecord,
};

use super::{Image, METADATA_VERSION};

/// The records of a snapshot: features with `metadata.version` first, brokers and controllers,
/// topics each with its partitions, configurations, quotas, producer ids, access rules,
/// credentials, tokens. They are to be written at the image's metadata version.
pub fn to_records(image: &Image) -> Vec<Record> {
    let mut records = Vec::new();
    features(image, &mut records);
    records.extend(image.brokers.values().map(|broker| broker.to_record().into()));
    records.extend(image.controllers.values().cloned().map(Record::from));
    topics(image, &mut records);
    configs(image, &mut records);
    quotas(image, &mut records);
    if let Some(next_producer_id) = image.next_producer_id {
        let block = ProducerIdsRecord { broker_id: -1, broker_epoch: -1, next_producer_id };
        records.push(block.into());
    }
    records.extend(image.access.rules.values().cloned().map(Record::from));
    records.extend(image.access.scram.values().cloned().map(Record::from));
    records.extend(image.access.tokens.values().cloned().map(Record::from));
    records
}

fn features(image: &Image, records: &mut Vec<Record>) {
    let is_first = |name: &str| name == METADATA_VERSION;
    for first in [true, false] {
        for (name, level) in image.features.iter().filter(|(name, _)| is_first(name) == first) {
            records.push(FeatureLevelRecord { name: name.clone(), feature_level: *level }.into());
        }
    }
}

fn topics(image: &Image, records: &mut Vec<Record>) {
    let metadata_version = image.metadata_version();
    for topic in image.topics.values() {
        records.push(TopicRecord { name: topic.name.to_string(), topic_id: topic.id }.into());
        for (index, partition) in &topic.partitions {
            records.push(partition.to_record(topic.id, *index, metadata_version).into());
        }
    }
}

fn configs(image: &Image, records: &mut Vec<Record>) {
    for (resource, configs) in image.configs.iter() {
        for (name, value) in configs.iter() {
            let record = ConfigRecord {
                resource_type: resource.kind.0,
                resource_name: resource.name.clone(),
                name: name.clone(),
                value: Some(value.clone()),
            };
            records.push(record.into());
        }
    }
}

fn quotas(image: &Image, records: &mut Vec<Record>) {
    for (entity, quotas) in image.quotas.iter() {
        let parts = entity.iter().map(|(entity_type, entity_name)| QuotaEntity {
            entity_type: entity_type.clone(),
            entity_name: entity_name.clone(),
        });
        let entity: Vec<QuotaEntity> = parts.collect();
        for (key, value) in quotas {
            let record = ClientQuotaRecord {
                entity: entity.clone(),
                key: key.clone(),
                value: *value,
                remove: false,
            };
            records.push(record.into());
        }
    }
}
