//! A topic and the state of its partitions.

use std::collections::BTreeMap;
use std::sync::Arc;

use record::{LeaderEpoch, TopicId};

use crate::records::{NO_LEADER, NO_LEADER_CHANGE, PartitionChangeRecord, PartitionRecord, Uuid};

use super::ApplyError;

/// A topic with its partitions.
#[derive(Clone, Debug, PartialEq)]
pub struct Topic {
    /// Name; a topic that is created again under it has another id.
    pub name: Arc<str>,
    /// Id.
    pub id: TopicId,
    /// Partitions by index. Kafka numbers them without gaps from 0.
    pub partitions: BTreeMap<i32, Partition>,
}

/// Whether a partition's leader still recovers from an election outside the ISR.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LeaderRecovery {
    /// The usual state.
    #[default]
    Recovered,
    /// Elected uncleanly, not yet recovered.
    Recovering,
}

/// The state of one partition.
#[derive(Clone, Debug, PartialEq)]
pub struct Partition {
    /// Node ids of the replicas, the preferred leader first.
    pub replicas: Vec<i32>,
    /// Directory of each replica, in the order of `replicas`; all zero when not known.
    pub directories: Vec<Uuid>,
    /// Node ids of the replicas in sync.
    pub isr: Vec<i32>,
    /// Replicas that a reassignment removes.
    pub removing: Vec<i32>,
    /// Replicas that a reassignment adds.
    pub adding: Vec<i32>,
    /// Node id of the leader, if there is one.
    pub leader: Option<i32>,
    /// Whether that leader recovers.
    pub leader_recovery: LeaderRecovery,
    /// Grows with every election.
    pub leader_epoch: LeaderEpoch,
    /// Grows with every change.
    pub partition_epoch: i32,
    /// Replicas that may lead though not in sync (KIP-966).
    pub eligible_leaders: Vec<i32>,
    /// The last members of that set (KIP-966).
    pub last_known_eligible: Vec<i32>,
}

impl Partition {
    /// The state that a partition record sets.
    pub(super) fn from_record(record: &PartitionRecord) -> Result<Partition, ApplyError> {
        let bad = |what| ApplyError::BadPartition {
            topic: record.topic_id,
            partition: record.partition_id,
            what,
        };
        if record.partition_id < 0 {
            return Err(bad("negative index"));
        }
        Ok(Partition {
            directories: directories(&record.directories, record.replicas.len())
                .ok_or(bad("directories and replicas differ in number"))?,
            replicas: record.replicas.clone(),
            isr: record.isr.clone(),
            removing: record.removing_replicas.clone(),
            adding: record.adding_replicas.clone(),
            leader: leader(record.leader).ok_or(bad("impossible leader"))?,
            leader_recovery: recovery(record.leader_recovery_state)
                .ok_or(bad("unknown recovery state"))?,
            leader_epoch: LeaderEpoch::new(record.leader_epoch)
                .ok_or(bad("negative leader epoch"))?,
            partition_epoch: record.partition_epoch,
            eligible_leaders: record.eligible_leader_replicas.clone().unwrap_or_default(),
            last_known_eligible: record.last_known_elr.clone().unwrap_or_default(),
        })
    }

    /// The state after a change: the partition epoch grows by one whatever the change names, the
    /// leader epoch whenever it names a leader, even the same one.
    pub(super) fn changed(&self, record: &PartitionChangeRecord) -> Result<Partition, ApplyError> {
        let bad = |what| ApplyError::BadPartition {
            topic: record.topic_id,
            partition: record.partition_id,
            what,
        };
        let keep = |new: &Option<Vec<i32>>, old: &Vec<i32>| new.as_ref().unwrap_or(old).clone();
        let replicas = keep(&record.replicas, &self.replicas);
        let (new_leader, leader_epoch) = if record.leader == NO_LEADER_CHANGE {
            (self.leader, Some(self.leader_epoch))
        } else {
            let next = self.leader_epoch.raw().checked_add(1).and_then(LeaderEpoch::new);
            (leader(record.leader).ok_or(bad("impossible leader"))?, next)
        };
        Ok(Partition {
            directories: directories(
                record.directories.as_ref().unwrap_or(&self.directories),
                replicas.len(),
            )
            .ok_or(bad("directories and replicas differ in number"))?,
            replicas,
            isr: keep(&record.isr, &self.isr),
            removing: keep(&record.removing_replicas, &self.removing),
            adding: keep(&record.adding_replicas, &self.adding),
            leader: new_leader,
            leader_recovery: match record.leader_recovery_state {
                -1 => self.leader_recovery,
                state => recovery(state).ok_or(bad("unknown recovery state"))?,
            },
            leader_epoch: leader_epoch.ok_or(bad("no leader epoch is left"))?,
            partition_epoch: self
                .partition_epoch
                .checked_add(1)
                .ok_or(bad("no partition epoch is left"))?,
            eligible_leaders: keep(&record.eligible_leader_replicas, &self.eligible_leaders),
            last_known_eligible: keep(&record.last_known_elr, &self.last_known_eligible),
        })
    }

    /// The record that sets this state, for a log at `metadata_version`.
    pub fn to_record(
        &self,
        topic_id: TopicId,
        partition_id: i32,
        metadata_version: i16,
    ) -> PartitionRecord {
        let some = |list: &Vec<i32>| (!list.is_empty()).then(|| list.clone());
        let has_directories = metadata_version >= 17;
        let has_eligible = metadata_version >= 23;
        PartitionRecord {
            partition_id,
            topic_id,
            replicas: self.replicas.clone(),
            isr: self.isr.clone(),
            removing_replicas: self.removing.clone(),
            adding_replicas: self.adding.clone(),
            leader: self.leader.unwrap_or(NO_LEADER),
            leader_recovery_state: i8::from(self.leader_recovery == LeaderRecovery::Recovering),
            leader_epoch: self.leader_epoch.raw(),
            partition_epoch: self.partition_epoch,
            directories: if has_directories { self.directories.clone() } else { Vec::new() },
            eligible_leader_replicas: some(&self.eligible_leaders).filter(|_| has_eligible),
            last_known_elr: some(&self.last_known_eligible).filter(|_| has_eligible),
        }
    }
}

/// `Some(None)` for no leader, `None` for a number that is no node.
fn leader(raw: i32) -> Option<Option<i32>> {
    match raw {
        NO_LEADER => Some(None),
        0.. => Some(Some(raw)),
        _ => None,
    }
}

fn recovery(raw: i8) -> Option<LeaderRecovery> {
    match raw {
        0 => Some(LeaderRecovery::Recovered),
        1 => Some(LeaderRecovery::Recovering),
        _ => None,
    }
}

/// Directories as Kafka completes them: when none is known, all are "migrating", one a replica.
fn directories(told: &[Uuid], replicas: usize) -> Option<Vec<Uuid>> {
    if told.iter().all(|directory| *directory == Uuid::ZERO) {
        return Some(vec![Uuid::ZERO; replicas]);
    }
    (told.len() == replicas).then(|| told.to_vec())
}
