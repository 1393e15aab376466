//! Records about topics, partitions and configurations.

use record::TopicId;

use super::Uuid;
use super::table::fields;

fields! {
    /// A topic exists.
    TopicRecord {
        /// Name.
        name: String;
        /// Id, never used again for another topic.
        topic_id: TopicId;
    }

    /// A partition exists, in this state.
    PartitionRecord {
        /// Index within the topic.
        partition_id: i32 = -1;
        /// The topic.
        topic_id: TopicId;
        /// Node ids, preferred leader first.
        replicas: Vec<i32>;
        /// Node ids of the replicas in sync.
        isr: Vec<i32>;
        /// Replicas that a reassignment removes.
        removing_replicas: Vec<i32>;
        /// Replicas that a reassignment adds.
        adding_replicas: Vec<i32>;
        /// Node id, or -1 for none.
        leader: i32 = -1;
        /// 1 while a leader elected uncleanly recovers, else 0.
        leader_recovery_state: i8 [tag(0)];
        /// Grows with every election.
        leader_epoch: i32 = -1;
        /// Grows with every change.
        partition_epoch: i32 = -1;
        /// Directory of each replica, in the order of `replicas`.
        directories: Vec<Uuid> [since(1)];
        /// Replicas that may lead though not in sync (KIP-966).
        eligible_leader_replicas: Option<Vec<i32>> [since(2) tag(1)];
        /// The last members of that set (KIP-966).
        last_known_elr: Option<Vec<i32>> [since(2) tag(2)];
    }

    /// A part of a partition's state changed. Every such record adds one to the partition epoch,
    /// and one to the leader epoch if it names a leader, be it the same.
    PartitionChangeRecord {
        /// Index within the topic.
        partition_id: i32 = -1;
        /// The topic.
        topic_id: TopicId;
        /// New replicas in sync, if changed.
        isr: Option<Vec<i32>> [tag(0)];
        /// New leader, -1 for none, -2 if there was no election.
        leader: i32 [tag(1)] = NO_LEADER_CHANGE;
        /// New replicas, if changed.
        replicas: Option<Vec<i32>> [tag(2)];
        /// Replicas that a reassignment removes, if changed.
        removing_replicas: Option<Vec<i32>> [tag(3)];
        /// Replicas that a reassignment adds, if changed.
        adding_replicas: Option<Vec<i32>> [tag(4)];
        /// 0 or 1 as in a partition record, -1 if unchanged.
        leader_recovery_state: i8 [tag(5)] = -1;
        /// Replicas that may lead though not in sync, if changed.
        eligible_leader_replicas: Option<Vec<i32>> [since(2) tag(6)];
        /// The last members of that set, if changed.
        last_known_elr: Option<Vec<i32>> [since(2) tag(7)];
        /// Directory of each replica, if changed.
        directories: Option<Vec<Uuid>> [since(1) tag(8)];
    }

    /// A topic is gone, with its partitions and its configuration.
    RemoveTopicRecord {
        /// The topic.
        topic_id: TopicId;
    }

    /// One configuration of a resource was set or taken away.
    ConfigRecord {
        /// 2 topic, 4 broker, 16 client metrics, 32 group.
        resource_type: i8;
        /// Name; for a broker its node id, empty for all brokers.
        resource_name: String;
        /// The configuration.
        name: String;
        /// The value; `None` takes it away.
        value: Option<String>;
    }

    /// Partitions forget the replicas that may lead though not in sync.
    ClearElrRecord {
        /// The topic; empty for all topics.
        topic_name: String;
    }
}

/// The leader of a partition change that holds no election.
pub const NO_LEADER_CHANGE: i32 = -2;
/// The leader of a partition that has none.
pub const NO_LEADER: i32 = -1;
