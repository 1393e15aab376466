//! The configurations of a topic.

use super::{Check, ConfigDef, ConfigKind};
use Check::{Any, AtLeast, Fraction, GzipLevel, ListOf, OneOf, Range, ThrottledReplicas};
use ConfigKind::{Boolean, Double, Int, List, Long, String};

/// How a broker configuration's number becomes the topic configuration's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// It is the same value.
    Same,
    /// Minutes; the topic's is in milliseconds.
    Minutes,
    /// Hours; the topic's is in milliseconds.
    Hours,
}

/// A broker configuration that sets the default of a topic configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Synonym {
    /// Its name.
    pub name: &'static str,
    /// Its unit.
    pub unit: Unit,
}

/// A configuration of a topic, with the broker configurations that set its default, the first of
/// which that is set anywhere counts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TopicConfigDef {
    /// The configuration.
    pub config: ConfigDef,
    /// Broker configurations that set its default.
    pub synonyms: &'static [Synonym],
}

/// The configuration of this name.
pub fn topic_config(name: &str) -> Option<&'static TopicConfigDef> {
    let place = TOPIC_CONFIGS.binary_search_by(|def| def.config.name.cmp(name));
    place.ok().map(|place| &TOPIC_CONFIGS[place])
}

const fn same(name: &'static str) -> Synonym {
    Synonym { name, unit: Unit::Same }
}

const fn hours(name: &'static str) -> Synonym {
    Synonym { name, unit: Unit::Hours }
}

macro_rules! topic_configs {
    ($( $name:literal $kind:ident = $default:literal, $check:expr, [$($synonym:expr),*], $doc:literal; )*) => {
        &[ $( TopicConfigDef {
            config: ConfigDef {
                name: $name,
                kind: $kind,
                default: Some($default),
                check: $check,
                doc: $doc,
            },
            synonyms: &[$($synonym),*],
        }, )* ]
    };
}

/// Every configuration a topic can have, by name.
pub const TOPIC_CONFIGS: &[TopicConfigDef] = topic_configs! {
    "cleanup.policy" List = "delete", ListOf(&["compact", "delete"]), [same("log.cleanup.policy")],
        "What happens to old records: `delete` drops whole segments by age and size, `compact` keeps the last record of each key. Empty keeps everything.";
    "compression.gzip.level" Int = "-1", GzipLevel, [same("compression.gzip.level")],
        "Level at which the broker compresses with gzip; -1 is the library's own choice.";
    "compression.lz4.level" Int = "9", Range(1, 17), [same("compression.lz4.level")],
        "Level at which the broker compresses with lz4.";
    "compression.type" String = "producer",
        OneOf(&["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"]), [same("compression.type")],
        "Codec of the stored batches; `producer` keeps what the producer chose.";
    "compression.zstd.level" Int = "3", Range(-131_072, 22), [same("compression.zstd.level")],
        "Level at which the broker compresses with zstd.";
    "delete.retention.ms" Long = "86400000", AtLeast(0), [same("log.cleaner.delete.retention.ms")],
        "How long a compacted topic keeps a tombstone after it was cleaned, so that readers can see it.";
    "file.delete.delay.ms" Long = "60000", AtLeast(0), [same("log.segment.delete.delay.ms")],
        "How long a dropped file stays before it is removed from the file system.";
    "flush.messages" Long = "9223372036854775807", AtLeast(1), [same("log.flush.interval.messages")],
        "After how many records the log is flushed, for topics whose acknowledgement does not wait for a flush.";
    "flush.ms" Long = "9223372036854775807", AtLeast(0),
        [same("log.flush.interval.ms"), same("log.flush.scheduler.interval.ms")],
        "After how long the log is flushed, for topics whose acknowledgement does not wait for a flush.";
    "follower.replication.throttled.replicas" List = "", ThrottledReplicas, [],
        "Replicas whose follower side is held to the replication throttle: `*`, or partition:broker items.";
    "index.interval.bytes" Int = "4096", AtLeast(0), [same("log.index.interval.bytes")],
        "How many bytes of the log lie between two entries of its index.";
    "leader.replication.throttled.replicas" List = "", ThrottledReplicas, [],
        "Replicas whose leader side is held to the replication throttle: `*`, or partition:broker items.";
    "local.retention.bytes" Long = "-2", AtLeast(-2), [same("log.local.retention.bytes")],
        "Bytes kept on the broker when a topic has remote storage; -2 means as retention.bytes.";
    "local.retention.ms" Long = "-2", AtLeast(-2), [same("log.local.retention.ms")],
        "Time kept on the broker when a topic has remote storage; -2 means as retention.ms.";
    "max.compaction.lag.ms" Long = "9223372036854775807", AtLeast(1), [same("log.cleaner.max.compaction.lag.ms")],
        "How long a record of a compacted topic may wait until it takes part in a compaction.";
    "max.message.bytes" Int = "1048588", AtLeast(0), [same("message.max.bytes")],
        "Largest batch that is accepted, as it is sent, in bytes.";
    "message.timestamp.after.max.ms" Long = "3600000", AtLeast(0), [same("log.message.timestamp.after.max.ms")],
        "How far a producer's timestamp may lie ahead of the broker's clock.";
    "message.timestamp.before.max.ms" Long = "9223372036854775807", AtLeast(0), [same("log.message.timestamp.before.max.ms")],
        "How far a producer's timestamp may lie behind the broker's clock.";
    "message.timestamp.type" String = "CreateTime", OneOf(&["CreateTime", "LogAppendTime"]), [same("log.message.timestamp.type")],
        "Whose time a record has: the producer's, or the broker's at the append.";
    "min.cleanable.dirty.ratio" Double = "0.5", Fraction, [same("log.cleaner.min.cleanable.ratio")],
        "Which part of a compacted log must be new before it is compacted again.";
    "min.compaction.lag.ms" Long = "0", AtLeast(0), [same("log.cleaner.min.compaction.lag.ms")],
        "How long a record of a compacted topic stays as it is before it may be compacted away.";
    "min.insync.replicas" Int = "1", AtLeast(1), [same("min.insync.replicas")],
        "How many replicas must be in sync for a write with acks=all to be taken.";
    "preallocate" Boolean = "false", Any, [same("log.preallocate")],
        "Whether a new segment's space is taken at once. The broker preallocates busy logs whatever this says.";
    "remote.log.copy.disable" Boolean = "false", Any, [],
        "Whether a topic with remote storage stops copying to it.";
    "remote.log.delete.on.disable" Boolean = "false", Any, [],
        "Whether the remote data goes when a topic's remote storage is turned off.";
    "remote.storage.enable" Boolean = "false", Any, [],
        "Whether old segments move to remote storage. This broker has none.";
    "retention.bytes" Long = "-1", Any, [same("log.retention.bytes")],
        "Size of a partition above which its oldest segments go; -1 for no limit.";
    "retention.ms" Long = "604800000", AtLeast(-1),
        [same("log.retention.ms"), Synonym { name: "log.retention.minutes", unit: Unit::Minutes }, hours("log.retention.hours")],
        "Age above which a partition's oldest segments go; -1 for no limit.";
    "segment.bytes" Int = "1073741824", AtLeast(1_048_576), [same("log.segment.bytes")],
        "Size at which a new segment is begun. Retention drops whole segments.";
    "segment.index.bytes" Int = "10485760", AtLeast(4), [same("log.index.size.max.bytes")],
        "Size of a segment's index at which a new segment is begun.";
    "segment.jitter.ms" Long = "0", AtLeast(0), [same("log.roll.jitter.ms"), hours("log.roll.jitter.hours")],
        "Up to how much earlier than segment.ms a segment may end, by chance, so that not all end at once.";
    "segment.ms" Long = "604800000", AtLeast(1), [same("log.roll.ms"), hours("log.roll.hours")],
        "Age at which a new segment is begun though the last one is not full.";
    "unclean.leader.election.enable" Boolean = "false", Any, [same("unclean.leader.election.enable")],
        "Whether a replica that is not in sync may become leader when no other is left, which loses records.";
    "write.caching" Boolean = "false", Any, [same("log.write.caching")],
        "Whether a write is acknowledged when it is written, which survives the death of the process, instead of when it is flushed, which survives a power cut.";
};
