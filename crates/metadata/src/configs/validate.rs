//! Whether a configuration may be set: the tables' rules, and what this broker does not do yet.

use crate::image::Configs;

use super::{BadValue, ConfigDef, Update, broker_config, list_items, topic_config};

/// The longest value that fits a record, in bytes.
const VALUE_BYTES_MAX: usize = 0x7fff;

/// Why a configuration is refused. Nothing of its resource is changed then.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigWhy {
    /// No configuration of this kind of resource has the name.
    #[error("unknown configuration {name}")]
    Unknown {
        /// The name.
        name: String,
    },
    /// The value is none of this configuration's.
    #[error("invalid value {value} for configuration {name}: {why}")]
    Invalid {
        /// The name.
        name: String,
        /// The value.
        value: String,
        /// What is wrong with it.
        why: BadValue,
    },
    /// The value is longer than a record can hold.
    #[error("the value of configuration {name} is longer than 32767 bytes")]
    TooLong {
        /// The name.
        name: String,
    },
    /// The value asks for something that this broker does not do.
    #[error("{name}={value} is not supported: {reason}")]
    Unsupported {
        /// The name.
        name: String,
        /// The value.
        value: String,
        /// What is missing.
        reason: &'static str,
    },
    /// The configuration can only be set when the broker starts.
    #[error("configuration {name} cannot be changed while the broker runs")]
    ReadOnly {
        /// The name.
        name: String,
    },
    /// Two configurations contradict each other.
    #[error("min.compaction.lag.ms ({min}) is above max.compaction.lag.ms ({max})")]
    LagConflict {
        /// The least lag.
        min: i64,
        /// The greatest lag.
        max: i64,
    },
    /// While eligible leader replicas are kept, only a topic or all brokers have this.
    #[error(
        "min.insync.replicas of one broker cannot be set while eligible leader replicas are on"
    )]
    MinInsyncOfOneBroker,
    /// While eligible leader replicas are kept, the cluster's value must stay.
    #[error(
        "min.insync.replicas of all brokers cannot be removed while eligible leader replicas are on"
    )]
    MinInsyncRemoved,
}

/// Checks a value for a topic.
pub(crate) fn check_topic_value(name: &str, value: &str) -> Result<(), ConfigWhy> {
    let def = topic_config(name).ok_or_else(|| ConfigWhy::Unknown { name: name.to_owned() })?;
    check_value(&def.config, value)?;
    let unsupported = |reason| {
        let (name, value) = (name.to_owned(), value.to_owned());
        Err(ConfigWhy::Unsupported { name, value, reason })
    };
    let is_true = value.trim().eq_ignore_ascii_case("true");
    match name {
        "cleanup.policy" if compacts(value) => unsupported(NO_COMPACTION),
        "remote.storage.enable" | "remote.log.copy.disable" | "remote.log.delete.on.disable"
            if is_true =>
        {
            unsupported("this broker has no remote storage")
        }
        _ => Ok(()),
    }
}

/// Checks a value for one broker or for all.
pub(crate) fn check_broker_value(name: &str, value: &str) -> Result<(), ConfigWhy> {
    let def = broker_config(name).ok_or_else(|| ConfigWhy::Unknown { name: name.to_owned() })?;
    if def.update == Update::ReadOnly {
        return Err(ConfigWhy::ReadOnly { name: name.to_owned() });
    }
    check_value(&def.config, value)?;
    if name == "log.cleanup.policy" && compacts(value) {
        let (name, value) = (name.to_owned(), value.to_owned());
        return Err(ConfigWhy::Unsupported { name, value, reason: NO_COMPACTION });
    }
    Ok(())
}

const NO_COMPACTION: &str = "this broker does not compact logs yet";

fn compacts(value: &str) -> bool {
    list_items(value).any(|item| item == "compact")
}

fn check_value(def: &ConfigDef, value: &str) -> Result<(), ConfigWhy> {
    let name = || def.name.to_owned();
    if value.len() > VALUE_BYTES_MAX {
        return Err(ConfigWhy::TooLong { name: name() });
    }
    def.check(value).map_err(|why| ConfigWhy::Invalid {
        name: name(),
        value: value.to_owned(),
        why,
    })
}

/// Checks that what is set for one topic goes together.
pub(crate) fn check_topic_set(configs: &Configs) -> Result<(), ConfigWhy> {
    let long = |name: &str, default| {
        configs.get(name).and_then(|value| value.trim().parse().ok()).unwrap_or(default)
    };
    let (min, max) = (long("min.compaction.lag.ms", 0), long("max.compaction.lag.ms", i64::MAX));
    if min > max { Err(ConfigWhy::LagConflict { min, max }) } else { Ok(()) }
}
