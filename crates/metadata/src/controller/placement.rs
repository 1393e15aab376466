//! Which brokers hold a partition.

use record::TopicId;

use crate::image::{Broker, Image};
use crate::records::{PartitionRecord, Uuid};

/// Why replicas cannot be placed, or a given placement cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlacementWhy {
    /// The replication factor is zero or below -1.
    #[error("replication factor {asked} is not positive")]
    FactorNotPositive {
        /// What was asked for.
        asked: i16,
    },
    /// There are not as many brokers as replicas.
    #[error("replication factor {asked} is larger than the number of available brokers, {brokers}")]
    FactorTooLarge {
        /// What was asked for.
        asked: i16,
        /// Brokers that take new replicas.
        brokers: usize,
    },
    /// A given placement is empty.
    #[error("the assignment of partition {partition} is empty")]
    Empty {
        /// The partition's index.
        partition: i32,
    },
    /// A given placement names a broker twice.
    #[error("the assignment of partition {partition} names broker {broker} twice")]
    Duplicate {
        /// The partition's index.
        partition: i32,
        /// The broker.
        broker: i32,
    },
    /// A given placement names a broker that is not registered.
    #[error(
        "the assignment of partition {partition} names broker {broker}, which is not registered"
    )]
    UnknownBroker {
        /// The partition's index.
        partition: i32,
        /// The broker.
        broker: i32,
    },
    /// Given placements differ in their number of replicas.
    #[error("the assignment of partition {partition} has {found} replicas instead of {expected}")]
    Factor {
        /// The partition's index.
        partition: i32,
        /// Its number of replicas.
        found: usize,
        /// What the others have.
        expected: usize,
    },
    /// Given placements are not for partitions numbered without gaps.
    #[error("the assignment for partition {expected} is missing")]
    Gap {
        /// The first index that is missing.
        expected: i32,
    },
    /// No broker of a given placement may lead now.
    #[error("no broker in the assignment of partition {partition} is active")]
    NoneActive {
        /// The partition's index.
        partition: i32,
    },
}

/// Places replicas on the brokers that take new ones, in turns that begin at `first`, so that
/// leaders and replicas spread evenly.
pub(super) fn place(image: &Image, first: i32, factor: i16) -> Result<Vec<i32>, PlacementWhy> {
    let wanted = usize::try_from(factor)
        .ok()
        .filter(|wanted| *wanted > 0)
        .ok_or(PlacementWhy::FactorNotPositive { asked: factor })?;
    let usable: Vec<i32> = image
        .brokers()
        .values()
        .filter(|broker| broker.is_active() && takes_new_replicas(broker))
        .map(|broker| broker.id)
        .collect();
    if wanted > usable.len() {
        return Err(PlacementWhy::FactorTooLarge { asked: factor, brokers: usable.len() });
    }
    let first = usize::try_from(first).unwrap_or(0);
    Ok((first..first + wanted).map(|turn| usable[turn % usable.len()]).collect())
}

/// Whether the broker has a directory that is not cordoned.
fn takes_new_replicas(broker: &Broker) -> bool {
    let cordoned = broker.cordoned_directories.as_deref().unwrap_or(&[]);
    broker.directories.is_empty()
        || broker.directories.iter().any(|directory| !cordoned.contains(directory))
}

/// Checks a placement that was given for a partition.
pub(super) fn check(image: &Image, partition: i32, replicas: &[i32]) -> Result<(), PlacementWhy> {
    if replicas.is_empty() {
        return Err(PlacementWhy::Empty { partition });
    }
    for (place, &broker) in replicas.iter().enumerate() {
        if replicas[..place].contains(&broker) {
            return Err(PlacementWhy::Duplicate { partition, broker });
        }
        if image.broker(broker).is_none() {
            return Err(PlacementWhy::UnknownBroker { partition, broker });
        }
    }
    Ok(())
}

/// The record of a new partition: led by the first active replica, in sync on all active ones.
pub(super) fn new_partition(
    image: &Image,
    topic_id: TopicId,
    partition_id: i32,
    replicas: Vec<i32>,
) -> Result<PartitionRecord, PlacementWhy> {
    let is_active = |id: &i32| image.broker(*id).is_some_and(Broker::is_active);
    let isr: Vec<i32> = replicas.iter().copied().filter(is_active).collect();
    let leader = *isr.first().ok_or(PlacementWhy::NoneActive { partition: partition_id })?;
    Ok(PartitionRecord {
        partition_id,
        topic_id,
        directories: replicas.iter().map(|id| directory_of(image, *id)).collect(),
        replicas,
        isr,
        leader,
        leader_epoch: 0,
        partition_epoch: 0,
        ..PartitionRecord::default()
    })
}

/// The directory that a new replica on this broker gets: its only one, else the broker chooses.
fn directory_of(image: &Image, broker: i32) -> Uuid {
    match image.broker(broker).map(|broker| broker.directories.as_slice()) {
        Some([only]) => *only,
        _ => Uuid::UNASSIGNED,
    }
}
