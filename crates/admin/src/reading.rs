//! What a shard tells of itself: plain numbers, read at one moment, that only grow unless said
//! otherwise.

/// One shard at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShardReading {
    /// By number of the group.
    pub groups: Vec<GroupReading>,
    /// How long requests took, by number of the group in which they are served.
    pub latencies: Vec<Latency>,
    /// Kafka requests by name, in the order of the shard's table; the same on every shard.
    pub requests: Vec<RequestReading>,
    /// Bytes of record batches that were produced to partitions of this shard.
    pub produced_bytes: u64,
    /// Bytes of record batches in answers to fetches on this shard's connections.
    pub fetched_bytes: u64,
    /// Connections that are open.
    pub connections_open: u64,
    /// Connections that were accepted.
    pub connections_accepted: u64,
    /// Memory of the shard's budget that is in use, in bytes; goes up and down.
    pub memory_used_bytes: u64,
    /// The shard's budget, in bytes.
    pub memory_limit_bytes: u64,
    /// The journal.
    pub journal: JournalReading,
}

/// A scheduling group on one shard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GroupReading {
    /// Its shares; they change.
    pub shares: GroupShares,
    /// Nanoseconds that it ran.
    pub cpu_used_ns: u64,
    /// Nanoseconds in which it had something to run and did not run.
    pub cpu_waited_ns: u64,
    /// Reads, writes and flushes done for it.
    pub io_requests: u64,
    /// Bytes that were read.
    pub io_read_bytes: u64,
    /// Bytes that were written.
    pub io_written_bytes: u64,
    /// Nanoseconds of the device that they cost, by the broker's model of it.
    pub io_used_ns: u64,
    /// Nanoseconds that they waited before they were given to the kernel, all added.
    pub io_waited_ns: u64,
}

/// Bounds of [`Latency`]'s counts in microseconds, inclusive; one more count is for what took
/// longer.
pub const LATENCY_BOUNDS_US: [u64; 14] = [
    50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 1_000_000,
    5_000_000,
];

/// How long something took, as counts by [`LATENCY_BOUNDS_US`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Latency {
    /// How many took no longer than their bound and longer than the one before.
    pub counts: [u64; LATENCY_BOUNDS_US.len() + 1],
    /// All added, in nanoseconds.
    pub sum_ns: u64,
}

impl Latency {
    /// How many there were.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Both together.
    pub fn add(&mut self, other: &Latency) {
        for (mine, more) in self.counts.iter_mut().zip(other.counts) {
            *mine += more;
        }
        self.sum_ns += other.sum_ns;
    }
}

/// Kafka requests of one key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RequestReading {
    /// Kafka's name of the request.
    pub name: &'static str,
    /// Answers that were given.
    pub answered: u64,
    /// Answers among them that hold an error.
    pub failed: u64,
}

/// The journal of one shard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JournalReading {
    /// Frames that were written.
    pub frames: u64,
    /// Bytes that were written for them, whole pages.
    pub written_bytes: u64,
    /// Flushes.
    pub flushes: u64,
}

/// The shares of one group on one shard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GroupShares {
    /// Weight for the CPU.
    pub cpu: u32,
    /// Weight for storage.
    pub io: u32,
    /// Somebody set them: the broker's own controllers leave them alone.
    pub is_held: bool,
}

/// A change of shares; what is `None` stays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SharesChange {
    /// Weight for the CPU.
    pub cpu: Option<u32>,
    /// Weight for storage.
    pub io: Option<u32>,
}
