//! What holds for a topic, as numbers instead of texts.

use record::TimestampType;

use crate::image::Image;

use super::layers::Layers;
use super::{Node, TopicConfigDef, list_items, topic_config, value::parse_bool};

/// What happens to old records. With neither, everything is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cleanup {
    /// Whole segments go by age and size.
    pub delete: bool,
    /// The last record of each key stays.
    pub compact: bool,
}

/// The codec of stored batches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CompressionType {
    /// As the producer sent them.
    Producer,
    /// Not compressed.
    Uncompressed,
    /// gzip.
    Gzip,
    /// snappy.
    Snappy,
    /// lz4.
    Lz4,
    /// zstd.
    Zstd,
}

/// Everything that holds for one topic on one broker. `i64::MAX` in a time means never.
///
/// More than a dozen fields because it is the list of all configurations that something acts on.
#[derive(Clone, Debug, PartialEq)]
pub struct TopicConfig {
    /// `cleanup.policy`.
    pub cleanup: Cleanup,
    /// `compression.type`.
    pub compression: CompressionType,
    /// `compression.gzip.level`; `None` for the library's own choice.
    pub gzip_level: Option<i32>,
    /// `compression.lz4.level`.
    pub lz4_level: i32,
    /// `compression.zstd.level`.
    pub zstd_level: i32,
    /// `delete.retention.ms`.
    pub delete_retention_ms: i64,
    /// `file.delete.delay.ms`.
    pub file_delete_delay_ms: i64,
    /// `flush.messages`.
    pub flush_messages: i64,
    /// `flush.ms`.
    pub flush_ms: i64,
    /// `index.interval.bytes`.
    pub index_interval_bytes: u32,
    /// `max.compaction.lag.ms`.
    pub max_compaction_lag_ms: i64,
    /// `max.message.bytes`.
    pub max_message_bytes: u32,
    /// `message.timestamp.type`.
    pub timestamp_type: TimestampType,
    /// `message.timestamp.before.max.ms`.
    pub timestamp_before_max_ms: i64,
    /// `message.timestamp.after.max.ms`.
    pub timestamp_after_max_ms: i64,
    /// `min.cleanable.dirty.ratio`.
    pub min_cleanable_dirty_ratio: f64,
    /// `min.compaction.lag.ms`.
    pub min_compaction_lag_ms: i64,
    /// `min.insync.replicas`.
    pub min_insync_replicas: u32,
    /// `preallocate`.
    pub preallocate: bool,
    /// `retention.bytes`; `None` for no limit.
    pub retention_bytes: Option<u64>,
    /// `retention.ms`; `None` for no limit.
    pub retention_ms: Option<i64>,
    /// `segment.bytes`.
    pub segment_bytes: u32,
    /// `segment.index.bytes`.
    pub segment_index_bytes: u32,
    /// `segment.jitter.ms`.
    pub segment_jitter_ms: i64,
    /// `segment.ms`.
    pub segment_ms: i64,
    /// `unclean.leader.election.enable`.
    pub unclean_leader_election: bool,
    /// `write.caching`: acknowledge what is written instead of what is flushed.
    pub write_caching: bool,
}

impl TopicConfig {
    /// The level for a codec when the broker compresses; `None` for the codec's own.
    pub const fn level(&self, codec: record::Codec) -> Option<i32> {
        match codec {
            record::Codec::Gzip => self.gzip_level,
            record::Codec::Lz4 => Some(self.lz4_level),
            record::Codec::Zstd => Some(self.zstd_level),
            record::Codec::None | record::Codec::Snappy => None,
        }
    }
}

/// What holds for the topic of this name on this broker. The topic need not exist: then it is what
/// would hold. A stored value that is none (a newer broker may have written it) counts as not set.
pub fn effective_topic_config(image: &Image, node: &Node, topic: &str) -> TopicConfig {
    let values = Values(Layers::new(image, node, Some(topic)));
    TopicConfig {
        cleanup: values.cleanup(),
        compression: values.compression(),
        gzip_level: Some(values.int("compression.gzip.level")).filter(|level| *level >= 0),
        lz4_level: values.int("compression.lz4.level"),
        zstd_level: values.int("compression.zstd.level"),
        delete_retention_ms: values.long("delete.retention.ms"),
        file_delete_delay_ms: values.long("file.delete.delay.ms"),
        flush_messages: values.long("flush.messages"),
        flush_ms: values.long("flush.ms"),
        index_interval_bytes: values.size("index.interval.bytes"),
        max_compaction_lag_ms: values.long("max.compaction.lag.ms"),
        max_message_bytes: values.size("max.message.bytes"),
        timestamp_type: match values.text("message.timestamp.type").as_str() {
            "LogAppendTime" => TimestampType::LogAppendTime,
            _ => TimestampType::CreateTime,
        },
        timestamp_before_max_ms: values.long("message.timestamp.before.max.ms"),
        timestamp_after_max_ms: values.long("message.timestamp.after.max.ms"),
        min_cleanable_dirty_ratio: values.double("min.cleanable.dirty.ratio"),
        min_compaction_lag_ms: values.long("min.compaction.lag.ms"),
        min_insync_replicas: values.size("min.insync.replicas"),
        preallocate: values.boolean("preallocate"),
        retention_bytes: u64::try_from(values.long("retention.bytes")).ok(),
        retention_ms: Some(values.long("retention.ms")).filter(|age| *age >= 0),
        segment_bytes: values.size("segment.bytes"),
        segment_index_bytes: values.size("segment.index.bytes"),
        segment_jitter_ms: values.long("segment.jitter.ms"),
        segment_ms: values.long("segment.ms"),
        unclean_leader_election: values.boolean("unclean.leader.election.enable"),
        write_caching: values.boolean("write.caching"),
    }
}

/// The values of one topic, typed. The names are those of the table, so a miss is a bug here.
struct Values<'a>(Layers<'a>);

impl Values<'_> {
    fn def(name: &str) -> &'static TopicConfigDef {
        topic_config(name).expect("a name of the table")
    }

    /// The strongest value that is one.
    fn text(&self, name: &str) -> String {
        let def = Self::def(name);
        let mut candidates = self.0.candidates(def);
        let found = candidates.find(|found| def.config.check(&found.value).is_ok());
        let value = found.map(|found| found.value);
        value.unwrap_or_else(|| def.config.default.unwrap_or_default().to_owned()).trim().to_owned()
    }

    fn long(&self, name: &str) -> i64 {
        self.text(name).parse().expect("checked to be a 64-bit integer")
    }

    fn int(&self, name: &str) -> i32 {
        self.text(name).parse().expect("checked to be a 32-bit integer")
    }

    fn size(&self, name: &str) -> u32 {
        u32::try_from(self.int(name)).expect("checked not to be negative")
    }

    fn double(&self, name: &str) -> f64 {
        self.text(name).parse().expect("checked to be a number")
    }

    fn boolean(&self, name: &str) -> bool {
        parse_bool(&self.text(name)).expect("checked to be true or false")
    }

    fn cleanup(&self) -> Cleanup {
        let policy = self.text("cleanup.policy");
        let has = |word| list_items(&policy).any(|item| item == word);
        Cleanup { delete: has("delete"), compact: has("compact") }
    }

    fn compression(&self) -> CompressionType {
        match self.text("compression.type").as_str() {
            "uncompressed" => CompressionType::Uncompressed,
            "gzip" => CompressionType::Gzip,
            "snappy" => CompressionType::Snappy,
            "lz4" => CompressionType::Lz4,
            "zstd" => CompressionType::Zstd,
            _ => CompressionType::Producer,
        }
    }
}
