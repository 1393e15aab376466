//! What differs between two images: what a broker must act on after a batch of records.

use std::sync::Arc;

use record::{TopicId, TopicPartition};

use super::{Image, Resource};

/// What happened to a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PartitionChangeKind {
    /// It is new.
    Created,
    /// Its state changed.
    Changed,
    /// It is gone, alone or with its topic.
    Removed,
}

/// The differences that a broker acts on, each list in ascending order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Topics that are new.
    pub created: Vec<TopicId>,
    /// Topics that are gone. Their configurations are in `configs` too.
    pub removed: Vec<TopicId>,
    /// Partitions that are new, changed or gone.
    pub partitions: Vec<(TopicPartition, PartitionChangeKind)>,
    /// Resources whose configurations changed.
    pub configs: Vec<Resource>,
    /// Node ids of brokers that registered, changed or went.
    pub brokers: Vec<i32>,
    /// Whether a feature's level changed.
    pub features: bool,
}

impl Image {
    /// What changed since an earlier image of the same log. Costs a walk over the topics, and
    /// over the partitions of the topics that changed; nothing where the images share their maps.
    pub fn changes_since(&self, before: &Image) -> Changes {
        let mut changes =
            Changes { features: self.features != before.features, ..Changes::default() };
        if !Arc::ptr_eq(&self.topics, &before.topics) {
            self.topics_changed(before, &mut changes);
        }
        if !Arc::ptr_eq(&self.configs, &before.configs) {
            let all = self.configs.keys().chain(before.configs.keys());
            let differ =
                |resource: &&Resource| self.configs.get(resource) != before.configs.get(resource);
            changes.configs = all.filter(differ).cloned().collect();
            changes.configs.sort();
            changes.configs.dedup();
        }
        if !Arc::ptr_eq(&self.brokers, &before.brokers) {
            let all = self.brokers.keys().chain(before.brokers.keys());
            let differ = |id: &&i32| self.brokers.get(id) != before.brokers.get(id);
            changes.brokers = all.filter(differ).copied().collect();
            changes.brokers.sort_unstable();
            changes.brokers.dedup();
        }
        changes
    }

    fn topics_changed(&self, before: &Image, changes: &mut Changes) {
        use PartitionChangeKind::{Changed, Created, Removed};
        let place = |topic, partition: &i32| TopicPartition { topic, partition: *partition };
        for (id, topic) in self.topics.iter() {
            let Some(old) = before.topics.get(id) else {
                changes.created.push(*id);
                let new = topic.partitions.keys().map(|index| (place(*id, index), Created));
                changes.partitions.extend(new);
                continue;
            };
            if Arc::ptr_eq(topic, old) {
                continue;
            }
            for (index, partition) in &topic.partitions {
                match old.partitions.get(index) {
                    None => changes.partitions.push((place(*id, index), Created)),
                    Some(old) if old != partition => {
                        changes.partitions.push((place(*id, index), Changed));
                    }
                    Some(_) => {}
                }
            }
            let is_gone = |index: &&i32| !topic.partitions.contains_key(index);
            let gone = old.partitions.keys().filter(is_gone);
            changes.partitions.extend(gone.map(|index| (place(*id, index), Removed)));
        }
        for (id, old) in before.topics.iter().filter(|(id, _)| !self.topics.contains_key(id)) {
            changes.removed.push(*id);
            let gone = old.partitions.keys().map(|index| (place(*id, index), Removed));
            changes.partitions.extend(gone);
        }
        changes.partitions.sort_by_key(|(partition, _)| *partition);
    }
}
