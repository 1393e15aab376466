//! What a topic's configuration means to the crates that obey it.

use metadata::Image;
use metadata::configs::{CompressionType, TopicConfig, effective_topic_config};
use partition::retention::Retention;
use partition::{AckRule, Level};
use record::{Codec, Compression, Rules, TimestampType, Timestamps};
use segment::LogOptions;

use crate::names::Found;
use crate::shard::{Shard, World};

/// How long a silent producer is remembered (Kafka: `producer.id.expiration.ms`).
pub(crate) const PRODUCER_EXPIRATION_MS: i64 = 86_400_000;

/// Most bytes that one batch may become when decompressed. Kafka has no bound; a bomb must not
/// take the shard.
const DECOMPRESSED_BYTES_MAX: usize = 128 << 20;

/// Produce may carry zstd from this version on (KIP-110).
const FIRST_WITH_ZSTD: i16 = 7;

impl<E: World> Shard<E> {
    /// The configuration of a topic as it holds now.
    pub(crate) fn topic_config(&self, image: &Image, topic: &str) -> TopicConfig {
        effective_topic_config(image, &self.inner.node.borrow(), topic)
    }

    /// What a batch produced to it now must fulfil.
    pub(crate) fn rules(&self, found: &Found, version: i16) -> Rules {
        let mut known = self.inner.topic_configs.borrow_mut();
        let config = known
            .entry(found.id)
            .or_insert_with(|| self.topic_config(&self.inner.image.borrow(), &found.name));
        rules(config, version)
    }

    /// Whether clients may have topics created by asking about them.
    pub(crate) fn auto_create(&self) -> bool {
        let node = self.inner.node.borrow();
        node.configs.get("auto.create.topics.enable").is_none_or(|value| value != "false")
    }
}

fn rules(config: &TopicConfig, version: i16) -> Rules {
    Rules {
        zstd_allowed: FIRST_WITH_ZSTD <= version,
        batch_bytes_max: usize::try_from(config.max_message_bytes).unwrap_or(usize::MAX),
        timestamps: match config.timestamp_type {
            TimestampType::LogAppendTime => Timestamps::LogAppendTime,
            TimestampType::CreateTime => Timestamps::CreateTime {
                before_max_ms: config.timestamp_before_max_ms,
                after_max_ms: config.timestamp_after_max_ms,
            },
        },
        compression: compression(config),
        compacted: config.cleanup.compact,
        decompressed_bytes_max: DECOMPRESSED_BYTES_MAX,
        from_client: true,
    }
}

fn compression(config: &TopicConfig) -> Compression {
    let codec = match config.compression {
        CompressionType::Producer => return Compression::Producer,
        CompressionType::Uncompressed => Codec::None,
        CompressionType::Gzip => Codec::Gzip,
        CompressionType::Snappy => Codec::Snappy,
        CompressionType::Lz4 => Codec::Lz4,
        CompressionType::Zstd => Codec::Zstd,
    };
    Compression::To { codec, level: config.level(codec) }
}

/// Whether the topic stamps batches with its own clock.
pub(crate) fn stamps(rules: &Rules) -> bool {
    rules.timestamps == Timestamps::LogAppendTime
}

/// How the topic's logs are kept.
pub(crate) fn log_options(config: &TopicConfig) -> LogOptions {
    LogOptions {
        segment_bytes: u64::from(config.segment_bytes),
        segment_ms: config.segment_ms,
        segment_jitter_ms: config.segment_jitter_ms,
        index_interval_bytes: config.index_interval_bytes,
        index_bytes_max: config.segment_index_bytes,
        file_delete_delay_ms: delete_delay_ms(config),
    }
}

/// How long the files of what was dropped stay.
pub(crate) fn delete_delay_ms(config: &TopicConfig) -> u64 {
    u64::try_from(config.file_delete_delay_ms).unwrap_or(0)
}

/// What an acknowledgement of the topic means.
pub(crate) fn ack_rule(config: &TopicConfig) -> AckRule {
    AckRule {
        level: if config.write_caching { Level::Written } else { Level::Durable },
        flush_records: u64::try_from(config.flush_messages).unwrap_or(u64::MAX),
        flush_ms: config.flush_ms,
    }
}

/// What the topic keeps; `None` if nothing is ever deleted.
pub(crate) fn retention(config: &TopicConfig) -> Option<Retention> {
    let rule = Retention { max_bytes: config.retention_bytes, max_age_ms: config.retention_ms };
    config.cleanup.delete.then_some(rule)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zstd_needs_produce_version_seven() {
        let image = Image::new();
        let node = metadata::configs::Node { id: 1, configs: Default::default() };
        let config = effective_topic_config(&image, &node, "t");
        assert!(!rules(&config, 6).zstd_allowed);
        assert!(rules(&config, 7).zstd_allowed);
    }
}
