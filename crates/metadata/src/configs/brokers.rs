//! The configurations of a broker that tools ask for.
//!
//! Names, types and defaults are Kafka 4.3's, so that what reads them finds them. Three defaults
//! differ because this broker is alone: the replication factors and the least in-sync replicas of
//! the internal topics are 1. Whatever the broker was started with stands in [`super::Node`] and is
//! told instead of the default. Only what this broker acts on while it runs can be altered.

use super::{Check, ConfigDef, ConfigKind};
use Check::{Any, AtLeast, Fraction, GzipLevel, ListOf, OneOf, Range};
use ConfigKind::{Boolean, Class, Double, Int, List, Long, Password, Short, String};
use Update::{ClusterWide, ReadOnly};

/// Whether a configuration can be altered while the broker runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Update {
    /// Only by a restart.
    ReadOnly,
    /// For one broker, or as the default of all.
    ClusterWide,
}

/// A configuration of a broker.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BrokerConfigDef {
    /// The configuration.
    pub config: ConfigDef,
    /// Whether it can be altered.
    pub update: Update,
}

/// The configuration of this name.
pub fn broker_config(name: &str) -> Option<&'static BrokerConfigDef> {
    let place = BROKER_CONFIGS.binary_search_by(|def| def.config.name.cmp(name));
    place.ok().map(|place| &BROKER_CONFIGS[place])
}

macro_rules! broker_configs {
    ($( $name:literal $kind:ident = $default:expr, $check:expr, $update:ident; )*) => {
        &[ $( BrokerConfigDef {
            config: ConfigDef { name: $name, kind: $kind, default: $default, check: $check, doc: "" },
            update: $update,
        }, )* ]
    };
}

/// Every configuration of a broker that is told, by name.
pub const BROKER_CONFIGS: &[BrokerConfigDef] = broker_configs! {
    "advertised.listeners" List = None, Any, ReadOnly;
    "alter.config.policy.class.name" Class = None, Any, ReadOnly;
    "authorizer.class.name" String = Some(""), Any, ReadOnly;
    "auto.create.topics.enable" Boolean = Some("true"), Any, ReadOnly;
    "auto.leader.rebalance.enable" Boolean = Some("true"), Any, ReadOnly;
    "background.threads" Int = Some("10"), AtLeast(1), ReadOnly;
    "broker.heartbeat.interval.ms" Int = Some("2000"), Any, ReadOnly;
    "broker.id" Int = Some("-1"), Any, ReadOnly;
    "broker.rack" String = None, Any, ReadOnly;
    "broker.session.timeout.ms" Int = Some("9000"), Any, ReadOnly;
    "compression.gzip.level" Int = Some("-1"), GzipLevel, ClusterWide;
    "compression.lz4.level" Int = Some("9"), Range(1, 17), ClusterWide;
    "compression.type" String = Some("producer"), OneOf(&["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"]), ClusterWide;
    "compression.zstd.level" Int = Some("3"), Range(-131_072, 22), ClusterWide;
    "config.providers" List = Some(""), Any, ReadOnly;
    "connection.failed.authentication.delay.ms" Int = Some("100"), AtLeast(0), ReadOnly;
    "connections.max.idle.ms" Long = Some("600000"), Any, ReadOnly;
    "connections.max.reauth.ms" Long = Some("0"), Any, ReadOnly;
    "controlled.shutdown.enable" Boolean = Some("true"), Any, ReadOnly;
    "controller.listener.names" List = None, Any, ReadOnly;
    "controller.quorum.bootstrap.servers" List = Some(""), Any, ReadOnly;
    "controller.quorum.request.timeout.ms" Int = Some("2000"), AtLeast(0), ReadOnly;
    "controller.quorum.voters" List = Some(""), Any, ReadOnly;
    "controller.socket.timeout.ms" Int = Some("30000"), Any, ReadOnly;
    "cordoned.log.dirs" List = Some(""), Any, ReadOnly;
    "create.topic.policy.class.name" Class = None, Any, ReadOnly;
    "default.replication.factor" Int = Some("1"), Any, ReadOnly;
    "delete.records.purgatory.purge.interval.requests" Int = Some("1"), Any, ReadOnly;
    "delete.topic.enable" Boolean = Some("true"), Any, ReadOnly;
    "fetch.max.bytes" Int = Some("57671680"), AtLeast(1024), ReadOnly;
    "fetch.purgatory.purge.interval.requests" Int = Some("1000"), Any, ReadOnly;
    "group.consumer.assignors" List = Some("uniform,range"), Any, ReadOnly;
    "group.consumer.heartbeat.interval.ms" Int = Some("5000"), AtLeast(1), ReadOnly;
    "group.consumer.max.heartbeat.interval.ms" Int = Some("15000"), AtLeast(1), ReadOnly;
    "group.consumer.max.session.timeout.ms" Int = Some("60000"), AtLeast(1), ReadOnly;
    "group.consumer.max.size" Int = Some("2147483647"), AtLeast(1), ReadOnly;
    "group.consumer.migration.policy" String = Some("bidirectional"), Any, ReadOnly;
    "group.consumer.min.heartbeat.interval.ms" Int = Some("5000"), AtLeast(1), ReadOnly;
    "group.consumer.min.session.timeout.ms" Int = Some("45000"), AtLeast(1), ReadOnly;
    "group.consumer.session.timeout.ms" Int = Some("45000"), AtLeast(1), ReadOnly;
    "group.coordinator.rebalance.protocols" List = Some("classic,consumer,streams"), Any, ReadOnly;
    "group.coordinator.threads" Int = Some("4"), AtLeast(1), ReadOnly;
    "group.initial.rebalance.delay.ms" Int = Some("3000"), Any, ReadOnly;
    "group.max.session.timeout.ms" Int = Some("1800000"), Any, ReadOnly;
    "group.max.size" Int = Some("2147483647"), AtLeast(1), ReadOnly;
    "group.min.session.timeout.ms" Int = Some("6000"), Any, ReadOnly;
    "inter.broker.listener.name" String = None, Any, ReadOnly;
    "leader.imbalance.check.interval.seconds" Long = Some("300"), AtLeast(1), ReadOnly;
    "listener.security.protocol.map" String = Some("SASL_SSL:SASL_SSL,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT"), Any, ReadOnly;
    "listeners" List = Some("PLAINTEXT://127.0.0.1:9092"), Any, ReadOnly;
    "log.cleaner.backoff.ms" Long = Some("15000"), AtLeast(0), ReadOnly;
    "log.cleaner.dedupe.buffer.size" Long = Some("134217728"), Any, ReadOnly;
    "log.cleaner.delete.retention.ms" Long = Some("86400000"), AtLeast(0), ClusterWide;
    "log.cleaner.enable" Boolean = Some("true"), Any, ReadOnly;
    "log.cleaner.io.buffer.load.factor" Double = Some("0.9"), Any, ReadOnly;
    "log.cleaner.io.buffer.size" Int = Some("524288"), AtLeast(0), ReadOnly;
    "log.cleaner.io.max.bytes.per.second" Double = Some("1.7976931348623157E308"), Any, ReadOnly;
    "log.cleaner.max.compaction.lag.ms" Long = Some("9223372036854775807"), AtLeast(1), ClusterWide;
    "log.cleaner.min.cleanable.ratio" Double = Some("0.5"), Fraction, ClusterWide;
    "log.cleaner.min.compaction.lag.ms" Long = Some("0"), AtLeast(0), ClusterWide;
    "log.cleaner.threads" Int = Some("1"), AtLeast(0), ReadOnly;
    "log.cleanup.policy" List = Some("delete"), ListOf(&["compact", "delete"]), ClusterWide;
    "log.dir" List = None, Any, ReadOnly;
    "log.dir.failure.timeout.ms" Long = Some("30000"), AtLeast(1), ReadOnly;
    "log.dirs" List = None, Any, ReadOnly;
    "log.flush.interval.messages" Long = Some("9223372036854775807"), AtLeast(1), ClusterWide;
    "log.flush.interval.ms" Long = None, AtLeast(0), ClusterWide;
    "log.flush.offset.checkpoint.interval.ms" Int = Some("60000"), AtLeast(0), ReadOnly;
    "log.flush.scheduler.interval.ms" Long = Some("9223372036854775807"), Any, ReadOnly;
    "log.flush.start.offset.checkpoint.interval.ms" Int = Some("60000"), AtLeast(0), ReadOnly;
    "log.index.interval.bytes" Int = Some("4096"), AtLeast(0), ClusterWide;
    "log.index.size.max.bytes" Int = Some("10485760"), AtLeast(4), ClusterWide;
    "log.local.retention.bytes" Long = Some("-2"), AtLeast(-2), ReadOnly;
    "log.local.retention.ms" Long = Some("-2"), AtLeast(-2), ReadOnly;
    "log.message.timestamp.after.max.ms" Long = Some("3600000"), AtLeast(0), ClusterWide;
    "log.message.timestamp.before.max.ms" Long = Some("9223372036854775807"), AtLeast(0), ClusterWide;
    "log.message.timestamp.type" String = Some("CreateTime"), OneOf(&["CreateTime", "LogAppendTime"]), ClusterWide;
    "log.preallocate" Boolean = Some("false"), Any, ClusterWide;
    "log.retention.bytes" Long = Some("-1"), Any, ClusterWide;
    "log.retention.check.interval.ms" Long = Some("300000"), AtLeast(1), ReadOnly;
    "log.retention.hours" Int = Some("168"), Any, ReadOnly;
    "log.retention.minutes" Int = None, Any, ReadOnly;
    "log.retention.ms" Long = None, AtLeast(-1), ClusterWide;
    "log.roll.hours" Int = Some("168"), AtLeast(1), ReadOnly;
    "log.roll.jitter.hours" Int = Some("0"), AtLeast(0), ReadOnly;
    "log.roll.jitter.ms" Long = None, AtLeast(0), ClusterWide;
    "log.roll.ms" Long = None, AtLeast(1), ClusterWide;
    "log.segment.bytes" Int = Some("1073741824"), AtLeast(1_048_576), ClusterWide;
    "log.segment.delete.delay.ms" Long = Some("60000"), AtLeast(0), ClusterWide;
    "log.write.caching" Boolean = Some("false"), Any, ClusterWide;
    "max.connection.creation.rate" Int = Some("2147483647"), AtLeast(0), ReadOnly;
    "max.connections" Int = Some("2147483647"), AtLeast(0), ReadOnly;
    "max.connections.per.ip" Int = Some("2147483647"), AtLeast(0), ReadOnly;
    "max.connections.per.ip.overrides" String = Some(""), Any, ReadOnly;
    "max.incremental.fetch.session.cache.slots" Int = Some("1000"), AtLeast(0), ReadOnly;
    "max.request.partition.size.limit" Int = Some("2000"), AtLeast(1), ReadOnly;
    "message.max.bytes" Int = Some("1048588"), AtLeast(0), ClusterWide;
    "metadata.log.dir" String = None, Any, ReadOnly;
    "metadata.log.max.record.bytes.between.snapshots" Long = Some("20971520"), AtLeast(1), ReadOnly;
    "metadata.log.max.snapshot.interval.ms" Long = Some("3600000"), AtLeast(0), ReadOnly;
    "metadata.log.segment.bytes" Int = Some("1073741824"), AtLeast(8_388_608), ReadOnly;
    "metadata.log.segment.ms" Long = Some("604800000"), Any, ReadOnly;
    "metadata.max.idle.interval.ms" Int = Some("500"), AtLeast(0), ReadOnly;
    "metadata.max.retention.bytes" Long = Some("104857600"), Any, ReadOnly;
    "metadata.max.retention.ms" Long = Some("604800000"), Any, ReadOnly;
    "metric.reporters" List = Some(""), Any, ReadOnly;
    "min.insync.replicas" Int = Some("1"), AtLeast(1), ClusterWide;
    "node.id" Int = Some("1"), AtLeast(0), ReadOnly;
    "num.io.threads" Int = Some("8"), AtLeast(1), ReadOnly;
    "num.network.threads" Int = Some("3"), AtLeast(1), ReadOnly;
    "num.partitions" Int = Some("1"), AtLeast(1), ReadOnly;
    "num.recovery.threads.per.data.dir" Int = Some("2"), AtLeast(1), ReadOnly;
    "num.replica.alter.log.dirs.threads" Int = None, Any, ReadOnly;
    "num.replica.fetchers" Int = Some("1"), AtLeast(1), ReadOnly;
    "offset.metadata.max.bytes" Int = Some("4096"), Any, ReadOnly;
    "offsets.commit.timeout.ms" Int = Some("5000"), AtLeast(1), ReadOnly;
    "offsets.load.buffer.size" Int = Some("5242880"), AtLeast(1), ReadOnly;
    "offsets.retention.check.interval.ms" Long = Some("600000"), AtLeast(1), ReadOnly;
    "offsets.retention.minutes" Int = Some("10080"), AtLeast(1), ReadOnly;
    "offsets.topic.compression.codec" Int = Some("0"), Any, ReadOnly;
    "offsets.topic.num.partitions" Int = Some("50"), AtLeast(1), ReadOnly;
    "offsets.topic.replication.factor" Short = Some("1"), AtLeast(1), ReadOnly;
    "offsets.topic.segment.bytes" Int = Some("104857600"), AtLeast(1), ReadOnly;
    "principal.builder.class" Class = None, Any, ReadOnly;
    "process.roles" List = Some("broker"), Any, ReadOnly;
    "producer.id.expiration.ms" Int = Some("86400000"), AtLeast(1), ReadOnly;
    "producer.purgatory.purge.interval.requests" Int = Some("1000"), Any, ReadOnly;
    "queued.max.request.bytes" Long = Some("-1"), Any, ReadOnly;
    "queued.max.requests" Int = Some("500"), AtLeast(1), ReadOnly;
    "replica.fetch.backoff.ms" Int = Some("1000"), AtLeast(0), ReadOnly;
    "replica.fetch.max.bytes" Int = Some("1048576"), AtLeast(0), ReadOnly;
    "replica.fetch.min.bytes" Int = Some("1"), Any, ReadOnly;
    "replica.fetch.response.max.bytes" Int = Some("10485760"), AtLeast(0), ReadOnly;
    "replica.fetch.wait.max.ms" Int = Some("500"), Any, ReadOnly;
    "replica.high.watermark.checkpoint.interval.ms" Long = Some("5000"), Any, ReadOnly;
    "replica.lag.time.max.ms" Long = Some("30000"), Any, ReadOnly;
    "replica.selector.class" String = None, Any, ReadOnly;
    "replica.socket.receive.buffer.bytes" Int = Some("65536"), Any, ReadOnly;
    "replica.socket.timeout.ms" Int = Some("30000"), Any, ReadOnly;
    "request.timeout.ms" Int = Some("30000"), Any, ReadOnly;
    "sasl.enabled.mechanisms" List = Some("GSSAPI"), Any, ReadOnly;
    "sasl.mechanism.inter.broker.protocol" String = Some("GSSAPI"), Any, ReadOnly;
    "security.inter.broker.protocol" String = Some("PLAINTEXT"), Any, ReadOnly;
    "socket.connection.setup.timeout.max.ms" Long = Some("30000"), Any, ReadOnly;
    "socket.connection.setup.timeout.ms" Long = Some("10000"), Any, ReadOnly;
    "socket.listen.backlog.size" Int = Some("50"), AtLeast(1), ReadOnly;
    "socket.receive.buffer.bytes" Int = Some("102400"), Any, ReadOnly;
    "socket.request.max.bytes" Int = Some("104857600"), AtLeast(1), ReadOnly;
    "socket.send.buffer.bytes" Int = Some("102400"), Any, ReadOnly;
    "ssl.client.auth" String = Some("none"), Any, ReadOnly;
    "ssl.enabled.protocols" List = Some("TLSv1.2,TLSv1.3"), Any, ReadOnly;
    "ssl.keystore.location" String = None, Any, ReadOnly;
    "ssl.keystore.password" Password = None, Any, ReadOnly;
    "ssl.keystore.type" String = Some("JKS"), Any, ReadOnly;
    "ssl.protocol" String = Some("TLSv1.3"), Any, ReadOnly;
    "ssl.truststore.location" String = None, Any, ReadOnly;
    "ssl.truststore.password" Password = None, Any, ReadOnly;
    "ssl.truststore.type" String = Some("JKS"), Any, ReadOnly;
    "transaction.abort.timed.out.transaction.cleanup.interval.ms" Int = Some("10000"), AtLeast(1), ReadOnly;
    "transaction.max.timeout.ms" Int = Some("900000"), AtLeast(1), ReadOnly;
    "transaction.partition.verification.enable" Boolean = Some("true"), Any, ReadOnly;
    "transaction.remove.expired.transaction.cleanup.interval.ms" Int = Some("3600000"), AtLeast(1), ReadOnly;
    "transaction.state.log.load.buffer.size" Int = Some("5242880"), AtLeast(1), ReadOnly;
    "transaction.state.log.min.isr" Int = Some("1"), AtLeast(1), ReadOnly;
    "transaction.state.log.num.partitions" Int = Some("50"), AtLeast(1), ReadOnly;
    "transaction.state.log.replication.factor" Short = Some("1"), AtLeast(1), ReadOnly;
    "transaction.state.log.segment.bytes" Int = Some("104857600"), AtLeast(1), ReadOnly;
    "transactional.id.expiration.ms" Int = Some("604800000"), AtLeast(1), ReadOnly;
    "unclean.leader.election.enable" Boolean = Some("false"), Any, ClusterWide;
};
