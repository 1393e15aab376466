//! What a simulated machine is like.

use std::time::Duration;

use super::faults::Fault;
use crate::ShardId;

/// What a simulated machine is like. Every delay is drawn from the seed.
#[derive(Clone, Debug)]
pub struct SimOptions {
    /// Number of shards, at least one.
    pub shards: u16,
    /// Memory of each shard and of each client, in bytes.
    pub memory_bytes: usize,
    /// How often tasks may run before the run panics.
    pub steps_max: u64,
    /// Virtual time after which the run panics.
    pub time_max: Duration,
    /// The wall clock at the start, in milliseconds since 1970.
    pub wall_ms: i64,
    /// Messages of one group that wait between two shards before a sender waits.
    pub lane_messages: usize,
    /// The longest that a message is on its way.
    pub message_latency_max: Duration,
    /// A shard that stops running now and then, with its stalls.
    pub slow_shard: Option<(ShardId, Stalls)>,
    /// After so many mutations of the disk the next one does not happen: the power is cut in
    /// its place, and [`Sim::run`](super::Sim::run) returns. See
    /// [`SimDisk::mutations`](super::SimDisk::mutations) for what counts.
    pub cut_after_mutations: Option<u64>,
    /// What its disk is like.
    pub disk: DiskOptions,
}

impl Default for SimOptions {
    /// One shard, 64 MiB, a healthy disk, ten million steps, a day.
    fn default() -> SimOptions {
        SimOptions {
            shards: 1,
            memory_bytes: 64 << 20,
            steps_max: 10_000_000,
            time_max: Duration::from_secs(24 * 3600),
            wall_ms: 1_700_000_000_000,
            lane_messages: 64,
            message_latency_max: Duration::from_micros(50),
            slow_shard: None,
            cut_after_mutations: None,
            disk: DiskOptions::default(),
        }
    }
}

/// What a simulated disk is like.
#[derive(Clone, Debug)]
pub struct DiskOptions {
    /// The longest that an operation takes; a flush takes up to four times as long.
    pub latency_max: Duration,
    /// Operations that take much longer.
    pub stalls: Option<Stalls>,
    /// Size of the device in bytes; files take whole pages of 4,096.
    pub bytes_max: Option<u64>,
    /// Whether it knows direct files. If not they are buffered.
    pub direct: bool,
    /// Operations that fail.
    pub faults: Vec<Fault>,
}

impl Default for DiskOptions {
    /// Healthy, without end, up to 100 microseconds for an operation, knows direct files.
    fn default() -> DiskOptions {
        DiskOptions {
            latency_max: Duration::from_micros(100),
            stalls: None,
            bytes_max: None,
            direct: true,
            faults: Vec::new(),
        }
    }
}

/// Something that stops now and then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stalls {
    /// How many of 1,000 times it stops.
    pub per_mille: u32,
    /// The longest that it stops.
    pub longest: Duration,
}
