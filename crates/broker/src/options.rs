//! How a broker is started. Plain values, given by whoever starts it; no defaults here but sizes.

/// What the broker must be told.
#[derive(Clone, Debug)]
pub struct Options {
    /// The id of this node, if the directory has none yet.
    pub node_id: i32,
    /// Host that clients are told to connect to.
    pub advertised_host: String,
    /// Port that clients are told to connect to.
    pub advertised_port: u16,
    /// Where the data directory is, for answers that name it.
    pub log_dir: String,
    /// Broker configuration that was set explicitly, by Kafka's names.
    pub configs: std::collections::BTreeMap<String, String>,
    /// Sizes of what is bounded.
    pub limits: Limits,
}

/// Sizes of what is bounded, for one shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Requests of one connection that are being served or whose answers wait to be written,
    /// Produce apart.
    pub requests_in_flight: usize,
    /// Produce requests of one connection that are not answered yet. Their answers are small, and
    /// a client that sends one batch for each request fills a commit round with many of them.
    pub produces_in_flight: usize,
    /// Length of one journal file in bytes.
    pub journal_file_bytes: u64,
    /// Journal files.
    pub journal_files: usize,
}

impl Limits {
    /// What a server uses.
    #[must_use]
    pub const fn server() -> Limits {
        Limits {
            requests_in_flight: 64,
            produces_in_flight: 1_024,
            journal_file_bytes: 32 << 20,
            journal_files: 4,
        }
    }
}

/// The most of a shard's memory that one request may take: a quarter.
#[must_use]
pub(crate) fn frame_bytes_max(memory_limit_bytes: usize) -> usize {
    (memory_limit_bytes / 4).min(100 << 20)
}
