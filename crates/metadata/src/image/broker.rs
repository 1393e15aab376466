//! A registered broker.

use crate::records::{
    BrokerRegistrationChangeRecord, Endpoint, FeatureRange, RegisterBrokerRecord, Uuid,
};

use super::ApplyError;

/// A broker as it registered, with the changes since.
#[derive(Clone, Debug, PartialEq)]
pub struct Broker {
    /// Node id.
    pub id: i32,
    /// Epoch of the registration: the offset of its record.
    pub epoch: i64,
    /// Identity of the process.
    pub incarnation_id: Uuid,
    /// Listeners, in the order they were registered.
    pub endpoints: Vec<Endpoint>,
    /// Supported features.
    pub features: Vec<FeatureRange>,
    /// Rack.
    pub rack: Option<String>,
    /// Whether it takes no leadership.
    pub fenced: bool,
    /// Whether it is going away in good order.
    pub in_controlled_shutdown: bool,
    /// A relic, always false in Kafka 4.
    pub is_migrating_zk_broker: bool,
    /// Directory ids that are online.
    pub directories: Vec<Uuid>,
    /// Directory ids that get no new replica; `None` when never told.
    pub cordoned_directories: Option<Vec<Uuid>>,
}

impl Broker {
    /// Whether it may lead partitions: neither fenced nor shutting down.
    pub const fn is_active(&self) -> bool {
        !self.fenced && !self.in_controlled_shutdown
    }

    /// The listener of this name.
    pub fn endpoint(&self, listener: &str) -> Option<&Endpoint> {
        self.endpoints.iter().find(|endpoint| endpoint.name == listener)
    }

    /// The record that registers this broker as it is now.
    pub fn to_record(&self) -> RegisterBrokerRecord {
        RegisterBrokerRecord {
            broker_id: self.id,
            is_migrating_zk_broker: self.is_migrating_zk_broker,
            incarnation_id: self.incarnation_id,
            broker_epoch: self.epoch,
            end_points: self.endpoints.clone(),
            features: self.features.clone(),
            rack: self.rack.clone(),
            fenced: self.fenced,
            in_controlled_shutdown: self.in_controlled_shutdown,
            log_dirs: self.directories.clone(),
            cordoned_log_dirs: self.cordoned_directories.clone(),
        }
    }

    /// Takes over what the change names.
    pub(super) fn change(
        &mut self,
        change: &BrokerRegistrationChangeRecord,
    ) -> Result<(), ApplyError> {
        let bad = |value| ApplyError::BadBrokerChange { broker: change.broker_id, value };
        let fenced = match change.fenced {
            0 => self.fenced,
            1 => true,
            -1 => false,
            other => return Err(bad(other)),
        };
        let in_controlled_shutdown = match change.in_controlled_shutdown {
            0 => self.in_controlled_shutdown,
            1 => true,
            other => return Err(bad(other)),
        };
        self.fenced = fenced;
        self.in_controlled_shutdown = in_controlled_shutdown;
        if !change.log_dirs.is_empty() {
            self.directories.clone_from(&change.log_dirs);
        }
        if change.cordoned_log_dirs.is_some() {
            self.cordoned_directories.clone_from(&change.cordoned_log_dirs);
        }
        Ok(())
    }
}

impl From<&RegisterBrokerRecord> for Broker {
    fn from(record: &RegisterBrokerRecord) -> Broker {
        Broker {
            id: record.broker_id,
            epoch: record.broker_epoch,
            incarnation_id: record.incarnation_id,
            endpoints: record.end_points.clone(),
            features: record.features.clone(),
            rack: record.rack.clone(),
            fenced: record.fenced,
            in_controlled_shutdown: record.in_controlled_shutdown,
            is_migrating_zk_broker: record.is_migrating_zk_broker,
            directories: record.log_dirs.clone(),
            cordoned_directories: record.cordoned_log_dirs.clone(),
        }
    }
}
