//! Scheduling groups: who a piece of work is done for.

/// On whose behalf CPU, I/O and cross-core messages are spent. The same on every shard; a task
/// never changes its group. Fetch never shares a group with produce, and a hog never shares one
/// with request work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Group {
    /// The shard's own upkeep, metadata, heartbeats.
    System = 0,
    /// Produce requests, from the socket to the flush.
    Produce = 1,
    /// Fetch requests that memory answers.
    Fetch = 2,
    /// Group and transaction coordinators.
    Coordinator = 3,
    /// The admin plane and administrative requests.
    Admin = 4,
    /// Fetch requests that the disk answers.
    ColdRead = 5,
    /// Compaction of logs.
    Compaction = 6,
    /// Recovery of partitions that nobody waits for.
    Recovery = 7,
    /// Retention, checkpoints, deletion of old files.
    Retention = 8,
    /// Metrics and self-observation.
    Telemetry = 9,
}

impl Group {
    /// Every group, in the order of its number.
    pub const ALL: [Group; 10] = [
        Group::System,
        Group::Produce,
        Group::Fetch,
        Group::Coordinator,
        Group::Admin,
        Group::ColdRead,
        Group::Compaction,
        Group::Recovery,
        Group::Retention,
        Group::Telemetry,
    ];

    /// The name in metrics, commands and logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Group::System => "system",
            Group::Produce => "produce",
            Group::Fetch => "fetch",
            Group::Coordinator => "coordinator",
            Group::Admin => "admin",
            Group::ColdRead => "cold_read",
            Group::Compaction => "compaction",
            Group::Recovery => "recovery",
            Group::Retention => "retention",
            Group::Telemetry => "telemetry",
        }
    }

    /// Whether somebody waits for this work: such groups are served within their latency target
    /// and bypass the window that holds background I/O.
    #[must_use]
    pub const fn is_foreground(self) -> bool {
        match self {
            Group::System | Group::Produce | Group::Fetch | Group::Coordinator | Group::Admin => {
                true
            }
            Group::ColdRead
            | Group::Compaction
            | Group::Recovery
            | Group::Retention
            | Group::Telemetry => false,
        }
    }
}
