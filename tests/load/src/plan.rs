//! What to do, as data: read from JSON, every field with a default.

use std::time::Duration;

use serde::Deserialize;

/// Which load.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Producers keep their queues full.
    Closed,
    /// Each producer sends one record and waits for its acknowledgement.
    Single,
    /// Records at a fixed rate, latency counted from the instant each was due; a consumer at the
    /// tail when `tail` is set.
    Open,
    /// Writes `fill_mb`, then `consumers` read all of it.
    Fetch,
    /// Writes `fill_mb` and ends.
    Fill,
}

/// The load.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Plan {
    /// Which load.
    pub kind: Kind,
    /// The topic, created first.
    pub topic: String,
    /// Its partitions.
    pub partitions: u32,
    /// Its configs, `name=value`.
    pub configs: Vec<String>,
    /// Producers, each a client with a connection of its own.
    pub producers: u32,
    /// Consumers.
    pub consumers: u32,
    /// Bytes of a value, the key not counted.
    pub record_bytes: usize,
    /// Distinct 16-byte keys; 0: no keys, and the partition is chosen record by record.
    pub keys: u64,
    /// `batch.size`.
    pub batch_bytes: u32,
    /// `linger.ms`.
    pub linger_ms: u32,
    /// `compression.type`.
    pub codec: String,
    /// `acks`.
    pub acks: String,
    /// Records per second times bytes, all producers together, in 10^6 bytes per second.
    pub rate_mb_per_s: f64,
    /// Whether a consumer reads at the tail.
    pub tail: bool,
    /// What is written before reading, in 10^6 bytes.
    pub fill_mb: u64,
    /// Not counted.
    pub warm_s: f64,
    /// Counted.
    pub run_s: f64,
}

impl Default for Plan {
    fn default() -> Plan {
        Plan {
            kind: Kind::Closed,
            topic: "load".to_owned(),
            partitions: 1,
            configs: Vec::new(),
            producers: 1,
            consumers: 1,
            record_bytes: 1024,
            keys: 0,
            batch_bytes: 1_000_000,
            linger_ms: 5,
            codec: "none".to_owned(),
            acks: "all".to_owned(),
            rate_mb_per_s: 5.0,
            tail: false,
            fill_mb: 1_000,
            warm_s: 4.0,
            run_s: 8.0,
        }
    }
}

impl Plan {
    pub(crate) fn warm(&self) -> Duration {
        Duration::from_secs_f64(self.warm_s)
    }

    pub(crate) fn run(&self) -> Duration {
        Duration::from_secs_f64(self.run_s)
    }

    pub(crate) fn partition_count(&self) -> i32 {
        i32::try_from(self.partitions).expect("a topic has fewer partitions than 2^31")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_names_only_what_differs() {
        let plan: Plan =
            serde_json::from_str(r#"{"kind":"single","producers":16}"#).expect("legal");
        assert_eq!((plan.kind, plan.producers, plan.record_bytes), (Kind::Single, 16, 1024));
    }

    #[test]
    fn an_unknown_field_is_refused() {
        assert!(serde_json::from_str::<Plan>(r#"{"producer":16}"#).is_err());
    }
}
