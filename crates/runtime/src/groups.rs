//! What each group gets unless told otherwise.

use env::Group;
use sched::Shares;
use sched::cpu::{Level, Params};

/// CPU shares and level at start.
pub(crate) fn params(group: Group) -> Params {
    let micros = |target: u64| Level::Latency { target_ns: target * 1000 };
    let (shares, level) = match group {
        Group::System => (2000, micros(400)),
        Group::Produce => (1000, micros(400)),
        Group::Fetch | Group::Coordinator => (1000, micros(1000)),
        Group::Admin => (300, micros(10_000)),
        Group::ColdRead => (500, Level::Batch),
        Group::Compaction | Group::Recovery | Group::Retention => (50, Level::Batch),
        Group::Telemetry => (20, Level::Batch),
    };
    Params { shares: Shares::new(shares).expect("constants are in range"), level }
}
