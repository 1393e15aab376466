//! What a broker that is its own controller writes when it starts and stops.
//!
//! 1. [`bootstrap`], once in the life of a cluster.
//! 2. [`register_broker`]: the broker is known, fenced.
//! 3. [`elect_at_start`] and [`unfence_broker`], when its logs are recovered.
//! 4. [`fence_broker`] when it stops in good order.

use record::Offset;

use crate::image::{Image, LeaderRecovery, METADATA_VERSION, Partition, ResourceKind};
use crate::records::{
    BeginTransactionRecord, BrokerRegistrationChangeRecord, ConfigRecord, EndTransactionRecord,
    Endpoint, FeatureLevelRecord, FeatureRange, NO_LEADER_CHANGE, PartitionChangeRecord, Record,
    RegisterBrokerRecord, Uuid,
};

use super::Decision;

/// The features of a new cluster, as Kafka 4.3.1 finalizes them, without share and streams groups:
/// those stay at level 0.
const NEW_CLUSTER: [(&str, i16); 4] = [
    (METADATA_VERSION, 30),
    ("eligible.leader.replicas.version", 1),
    ("group.version", 1),
    ("transaction.version", 2),
];

/// The levels of features that this broker can live with. `share.version` and `streams.version`
/// are among them up to 1, although nothing is done for them: a directory of Kafka 4.3 has them
/// finalized, and their requests are refused one by one.
pub fn supported_features() -> Vec<FeatureRange> {
    [
        ("eligible.leader.replicas.version", 0, 1),
        ("group.version", 0, 1),
        ("kraft.version", 0, 1),
        (METADATA_VERSION, 25, 30),
        ("share.version", 0, 1),
        ("streams.version", 0, 1),
        ("transaction.version", 0, 2),
    ]
    .into_iter()
    .map(|(name, min, max)| FeatureRange { name: name.to_owned(), min, max })
    .collect()
}

/// The first records of a new cluster, in the metadata transaction in which Kafka writes them.
/// Nothing when the image holds features already.
pub fn bootstrap(image: &Image) -> Vec<Record> {
    if !image.is_empty_cluster() {
        return Vec::new();
    }
    let name = Some("Bootstrap records".to_owned());
    let mut records = vec![Record::from(BeginTransactionRecord { name })];
    records.extend(NEW_CLUSTER.map(|(name, feature_level)| {
        FeatureLevelRecord { name: name.to_owned(), feature_level }.into()
    }));
    // With eligible leader replicas the cluster's value must be in the log (KIP-966).
    let min_insync = ConfigRecord {
        resource_type: ResourceKind::BROKER.0,
        resource_name: String::new(),
        name: "min.insync.replicas".to_owned(),
        value: Some("1".to_owned()),
    };
    records.push(min_insync.into());
    records.push(EndTransactionRecord {}.into());
    records
}

/// A broker that wants to be known.
#[derive(Clone, Debug, PartialEq)]
pub struct Registration {
    /// Node id.
    pub node_id: i32,
    /// New at each start of the process.
    pub incarnation_id: Uuid,
    /// Where clients reach it.
    pub endpoints: Vec<Endpoint>,
    /// Levels of features that it supports; [`supported_features`] are this crate's.
    pub features: Vec<FeatureRange>,
    /// Rack.
    pub rack: Option<String>,
    /// Ids of its log directories.
    pub directories: Vec<Uuid>,
}

/// Why a broker is not registered or unfenced. It must not serve then.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BrokerWhy {
    /// The node id is negative.
    #[error("node id {node_id} is negative")]
    BadNodeId {
        /// The id.
        node_id: i32,
    },
    /// It has no directory, or one with a reserved or repeated id.
    #[error("the ids of the log directories are missing, reserved or repeated")]
    BadDirectories,
    /// Another broker has one of its directories.
    #[error("log directory {directory} belongs to broker {broker}")]
    ForeignDirectory {
        /// The directory.
        directory: Uuid,
        /// Its broker.
        broker: i32,
    },
    /// A finalized feature is at a level that the broker does not support.
    #[error("feature {name} is finalized at level {level}, which this broker does not support")]
    UnsupportedFeature {
        /// The feature.
        name: String,
        /// Its level.
        level: i16,
    },
    /// It is not registered at this epoch.
    #[error("broker {node_id} is not registered at epoch {epoch}")]
    Stale {
        /// Node id.
        node_id: i32,
        /// Epoch.
        epoch: i64,
    },
}

/// Decides on the registration of a broker, fenced at first. `next` is the offset that the first
/// record of the decision will get: it is the epoch, which is the one outcome.
pub fn register_broker(
    image: &Image,
    registration: &Registration,
    next: Offset,
) -> Decision<Result<i64, BrokerWhy>> {
    let mut decision = Decision::new();
    let outcome = check_registration(image, registration).map(|()| {
        let record = RegisterBrokerRecord {
            broker_id: registration.node_id,
            is_migrating_zk_broker: false,
            incarnation_id: registration.incarnation_id,
            broker_epoch: next.raw(),
            end_points: registration.endpoints.clone(),
            features: registration.features.clone(),
            rack: registration.rack.clone(),
            fenced: true,
            in_controlled_shutdown: false,
            log_dirs: registration.directories.clone(),
            cordoned_log_dirs: None,
        };
        decision.records.push(record.into());
        next.raw()
    });
    decision.outcomes.push(outcome);
    decision
}

fn check_registration(image: &Image, registration: &Registration) -> Result<(), BrokerWhy> {
    let node_id = registration.node_id;
    if node_id < 0 {
        return Err(BrokerWhy::BadNodeId { node_id });
    }
    let directories = &registration.directories;
    let repeated = super::repeated(directories.iter());
    let reserved = directories.iter().any(|directory| directory.is_reserved());
    if directories.is_empty() || reserved || !repeated.is_empty() {
        return Err(BrokerWhy::BadDirectories);
    }
    for broker in image.brokers().values().filter(|broker| broker.id != node_id) {
        let mut shared = broker.directories.iter().filter(|known| directories.contains(known));
        if let Some(&directory) = shared.next() {
            return Err(BrokerWhy::ForeignDirectory { directory, broker: broker.id });
        }
    }
    for (name, &level) in image.features() {
        let supported = registration.features.iter().find(|range| range.name == *name);
        if supported.is_none_or(|range| !(range.min..=range.max).contains(&level)) {
            return Err(BrokerWhy::UnsupportedFeature { name: name.clone(), level });
        }
    }
    Ok(())
}

/// Decides that a registered broker may lead.
pub fn unfence_broker(image: &Image, node_id: i32, epoch: i64) -> Decision<Result<(), BrokerWhy>> {
    set_fenced(image, node_id, epoch, false)
}

/// Decides that a broker leads no more: the last record of a clean stop, by which a controller that
/// takes over the log knows that it need not wait for the broker's session to end.
pub fn fence_broker(image: &Image, node_id: i32, epoch: i64) -> Decision<Result<(), BrokerWhy>> {
    set_fenced(image, node_id, epoch, true)
}

fn set_fenced(
    image: &Image,
    node_id: i32,
    epoch: i64,
    fenced: bool,
) -> Decision<Result<(), BrokerWhy>> {
    let mut decision = Decision::new();
    let known = image.broker(node_id).filter(|broker| broker.epoch == epoch);
    let before = known.map(|broker| broker.fenced).ok_or(BrokerWhy::Stale { node_id, epoch });
    if before == Ok(!fenced) {
        let record = BrokerRegistrationChangeRecord {
            broker_id: node_id,
            broker_epoch: epoch,
            fenced: if fenced { 1 } else { -1 },
            ..BrokerRegistrationChangeRecord::default()
        };
        decision.records.push(record.into());
    }
    decision.outcomes.push(before.map(|_| ()));
    decision
}

/// How the broker stopped last time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// In good order: everything it held is still there.
    Clean,
    /// Otherwise: records that were never acknowledged may be gone, so that their offsets will be
    /// given again, in another epoch.
    Unclean,
}

/// The elections of a start: this broker leads every partition it holds alone or first. After an
/// unclean stop each of them gets a new leader epoch; after a clean one only those that another
/// broker led or nobody. Partitions get their replica's directory where it is not `directory`.
pub fn elect_at_start(image: &Image, node_id: i32, directory: Uuid, start: Start) -> Vec<Record> {
    let mut records = Vec::new();
    for topic in image.topics() {
        for (index, partition) in &topic.partitions {
            let change = elect(partition, node_id, directory, start);
            records.extend(change.map(|change| {
                let place = (topic.id, *index);
                Record::from(PartitionChangeRecord {
                    topic_id: place.0,
                    partition_id: place.1,
                    ..change
                })
            }));
        }
    }
    records
}

fn elect(
    partition: &Partition,
    node_id: i32,
    directory: Uuid,
    start: Start,
) -> Option<PartitionChangeRecord> {
    let place = partition.replicas.iter().position(|replica| *replica == node_id)?;
    let leads = partition.leader == Some(node_id);
    let is_first_in_sync = partition.isr.first() == Some(&node_id) || partition.isr.is_empty();
    if !leads && !is_first_in_sync {
        return None;
    }
    let mut change = PartitionChangeRecord::default();
    if !leads || start == Start::Unclean {
        change.leader = node_id;
    }
    if partition.isr.is_empty() {
        change.isr = Some(vec![node_id]);
    }
    if partition.leader_recovery == LeaderRecovery::Recovering {
        change.leader_recovery_state = 0;
    }
    let forget = |set: &Vec<i32>| (!set.is_empty()).then(Vec::new);
    change.eligible_leader_replicas = forget(&partition.eligible_leaders);
    change.last_known_elr = forget(&partition.last_known_eligible);
    if partition.directories.get(place) != Some(&directory) {
        let mut directories = partition.directories.clone();
        directories[place] = directory;
        change.directories = Some(directories);
    }
    let nothing = PartitionChangeRecord { leader: NO_LEADER_CHANGE, ..Default::default() };
    (change != nothing).then_some(change)
}
