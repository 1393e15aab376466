//! Records about brokers, controllers, features and the metadata log itself.

use super::Uuid;
use super::table::fields;

fields! {
    /// Where a broker or controller listens.
    Endpoint {
        /// The listener's name.
        name: String;
        /// Host name or address that clients are told.
        host: String;
        /// Port that clients are told.
        port: u16;
        /// 0 PLAINTEXT, 1 SSL, 2 SASL_PLAINTEXT, 3 SASL_SSL.
        security_protocol: i16;
    }

    /// The levels of one feature that a node supports, both inclusive.
    FeatureRange {
        /// The feature's name.
        name: String;
        /// Lowest level.
        min: i16;
        /// Highest level.
        max: i16;
    }

    /// A broker has registered: replaces what was known of it.
    RegisterBrokerRecord {
        /// Node id.
        broker_id: i32;
        /// Always false since ZooKeeper is gone.
        is_migrating_zk_broker: bool [since(2)];
        /// New at each start of the process.
        incarnation_id: Uuid;
        /// Offset of this record in the metadata log.
        broker_epoch: i64;
        /// Listeners.
        end_points: Vec<Endpoint>;
        /// Supported features.
        features: Vec<FeatureRange>;
        /// Rack, if one is configured.
        rack: Option<String>;
        /// Whether the broker takes no leadership yet.
        fenced: bool = true;
        /// Whether it is going away in good order.
        in_controlled_shutdown: bool [since(1)];
        /// Directory ids of the log directories that are online.
        log_dirs: Vec<Uuid> [since(3) tag(0)];
        /// Directories that get no new replica (KIP-1066); `None` when never told.
        cordoned_log_dirs: Option<Vec<Uuid>> [since(4) tag(1)];
    }

    /// A broker was taken out of the cluster.
    UnregisterBrokerRecord {
        /// Node id.
        broker_id: i32;
        /// Epoch of the registration that goes.
        broker_epoch: i64;
    }

    /// A broker was fenced. Written by old controllers only.
    FenceBrokerRecord {
        /// Node id.
        id: i32;
        /// Epoch of its registration.
        epoch: i64;
    }

    /// A broker was unfenced. Written by old controllers only.
    UnfenceBrokerRecord {
        /// Node id.
        id: i32;
        /// Epoch of its registration.
        epoch: i64;
    }

    /// A part of a broker's registration changed.
    BrokerRegistrationChangeRecord {
        /// Node id.
        broker_id: i32;
        /// Epoch of its registration.
        broker_epoch: i64;
        /// 1 fences, -1 unfences, 0 changes nothing.
        fenced: i8 [tag(0)];
        /// 1 begins a controlled shutdown, 0 changes nothing.
        in_controlled_shutdown: i8 [since(1) tag(1)];
        /// The online directories; empty changes nothing.
        log_dirs: Vec<Uuid> [since(2) tag(2)];
        /// The cordoned directories; `None` changes nothing.
        cordoned_log_dirs: Option<Vec<Uuid>> [since(3) tag(3)];
    }

    /// A controller has registered.
    RegisterControllerRecord {
        /// Node id.
        controller_id: i32;
        /// New at each start of the process.
        incarnation_id: Uuid;
        /// A relic of the migration from ZooKeeper.
        zk_migration_ready: bool;
        /// Listeners.
        end_points: Vec<Endpoint>;
        /// Supported features.
        features: Vec<FeatureRange>;
    }

    /// A feature was finalized at a level.
    FeatureLevelRecord {
        /// The feature's name.
        name: String;
        /// The level; 0 takes the feature away.
        feature_level: i16;
    }

    /// The next block of producer ids begins here.
    ProducerIdsRecord {
        /// The broker that asked for the block below.
        broker_id: i32;
        /// Epoch of its registration.
        broker_epoch: i64 = -1;
        /// First id that no block holds yet.
        next_producer_id: i64;
    }

    /// Takes an offset and means nothing: an idle controller shows that it lives.
    NoOpRecord {}

    /// A relic of the migration from ZooKeeper; changes nothing.
    ZkMigrationStateRecord {
        /// The state that was reached.
        zk_migration_state: i8;
    }

    /// What follows is held back until the transaction ends (KIP-868).
    BeginTransactionRecord {
        /// What the transaction is for.
        name: Option<String> [tag(0)];
    }

    /// Everything since the begin of the transaction counts.
    EndTransactionRecord {}

    /// Nothing since the begin of the transaction counts.
    AbortTransactionRecord {
        /// Why.
        reason: Option<String> [tag(0)];
    }
}
