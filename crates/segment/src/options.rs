//! How a log rolls and indexes: topic configs, changeable while the log is open.

/// The settings of one log, named as Kafka's topic configs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogOptions {
    /// `segment.bytes`: most bytes of one segment.
    pub segment_bytes: u64,
    /// `segment.ms`: most milliseconds between the first timestamp of a segment and the batch to
    /// be appended.
    pub segment_ms: i64,
    /// `segment.jitter.ms`: up to so many milliseconds, drawn for each segment, are taken off
    /// [`segment_ms`](LogOptions::segment_ms), so that logs do not roll at the same time.
    pub segment_jitter_ms: i64,
    /// `index.interval.bytes`: bytes of batches between two index entries.
    pub index_interval_bytes: u32,
    /// `segment.index.bytes`: most bytes of each index of one segment; a full one makes it roll.
    pub index_bytes_max: u32,
    /// `file.delete.delay.ms`: how long the files of a dropped segment stay, renamed, before they
    /// are removed. What is left of them when the process ends goes when the log is opened.
    pub file_delete_delay_ms: u64,
}

impl Default for LogOptions {
    /// Kafka's defaults.
    fn default() -> LogOptions {
        LogOptions {
            segment_bytes: 1 << 30,
            segment_ms: 7 * 24 * 3600 * 1000,
            segment_jitter_ms: 0,
            index_interval_bytes: 4096,
            index_bytes_max: 10 << 20,
            file_delete_delay_ms: 60_000,
        }
    }
}
