//! Tests of `configs`.

use std::collections::BTreeMap;

use super::*;
use crate::image::{Image, Resource, ResourceKind};
use crate::records::ConfigRecord;

const VALUES: &str = include_str!("../../fixtures/kafka-4.3.1/topic-config-values.tsv");

fn with(configs: &[(Resource, &str, &str)]) -> Image {
    let mut image = Image::new();
    for (resource, name, value) in configs {
        let record = ConfigRecord {
            resource_type: resource.kind.0,
            resource_name: resource.name.clone(),
            name: (*name).to_owned(),
            value: Some((*value).to_owned()),
        };
        image.apply_record(&record.into()).expect("applies");
    }
    image
}

fn node(configs: &[(&str, &str)]) -> Node {
    let configs = configs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Node { id: 1, configs: configs.collect() }
}

#[test]
fn the_tables_are_sorted_and_every_default_is_a_value() {
    assert!(TOPIC_CONFIGS.is_sorted_by(|a, b| a.config.name < b.config.name));
    assert!(BROKER_CONFIGS.is_sorted_by(|a, b| a.config.name < b.config.name));
    let topics = TOPIC_CONFIGS.iter().map(|def| &def.config);
    for config in topics.chain(BROKER_CONFIGS.iter().map(|def| &def.config)) {
        if let Some(default) = config.default {
            assert_eq!(config.check(default), Ok(()), "{}", config.name);
        }
    }
    assert!(TOPIC_CONFIGS.iter().all(|def| !def.config.doc.is_empty()));
}

#[test]
fn a_topics_default_is_its_broker_configurations_default() {
    for def in TOPIC_CONFIGS {
        let defaults = def.synonyms.iter().filter_map(|synonym| {
            let broker = broker_config(synonym.name).expect("every synonym is a broker config");
            synonym.convert(broker.config.default?)
        });
        if let Some(default) = defaults.into_iter().next() {
            assert_eq!(Some(default.as_str()), def.config.default, "{}", def.config.name);
        }
    }
}

#[test]
fn values_are_taken_and_refused_as_by_kafka() {
    let mut names: Vec<&str> = Vec::new();
    for line in VALUES.lines() {
        let fields: Vec<&str> = line.split('\t').collect();
        let [name, value, outcome] = fields[..] else { panic!("three fields: {line}") };
        names.push(name);
        let ours = check_topic_value(name, value);
        // What is a value but not supported here is refused for another reason.
        let ours = match ours {
            Err(ConfigWhy::Unsupported { .. }) if name != "remote.storage.enable" => Ok(()),
            other => other,
        };
        let agreed = if outcome == "ok" { ours.is_ok() } else { ours.is_err() };
        // Kafka's remote.storage.enable=false check depends on more than its value.
        assert!(agreed, "{name}={value:?}: Kafka says {outcome}, we {ours:?}");
    }
    names.dedup();
    let ours: Vec<&str> = TOPIC_CONFIGS.iter().map(|def| def.config.name).collect();
    let ours: Vec<&str> = ours.into_iter().filter(|name| *name != "write.caching").collect();
    assert_eq!(names, ours, "the same names as Kafka, and write.caching");
}

#[test]
fn compaction_and_remote_storage_are_refused_with_a_reason() {
    for (name, value) in [
        ("cleanup.policy", "compact"),
        ("cleanup.policy", "delete, compact"),
        ("remote.storage.enable", " TRUE "),
    ] {
        let why = check_topic_value(name, value).expect_err("unsupported");
        assert!(matches!(why, ConfigWhy::Unsupported { .. }), "{why}");
    }
    assert!(check_topic_value("cleanup.policy", "").is_ok());
    assert!(check_broker_value("log.cleanup.policy", "compact").is_err());
    assert!(matches!(check_topic_value("no.such", "1"), Err(ConfigWhy::Unknown { .. })));
    assert!(matches!(check_broker_value("no.such", "1"), Err(ConfigWhy::Unknown { .. })));
    assert!(matches!(check_broker_value("node.id", "1"), Err(ConfigWhy::ReadOnly { .. })));
    let long = "x".repeat(40_000);
    let too_long = check_topic_value("compression.type", &long);
    assert!(matches!(too_long, Err(ConfigWhy::TooLong { .. })));
}

/// Topic configurations that act on nothing here. Apache Kafka does nothing with them either on one
/// node without remote storage, which is refused.
const WITHOUT_EFFECT: [&str; 7] = [
    "follower.replication.throttled.replicas",
    "leader.replication.throttled.replicas",
    "local.retention.bytes",
    "local.retention.ms",
    "remote.log.copy.disable",
    "remote.log.delete.on.disable",
    "remote.storage.enable",
];

/// A value that is not the default.
fn another_value(config: &ConfigDef) -> String {
    let default = config.default.expect("a topic configuration has a default");
    match (config.kind, default) {
        (ConfigKind::Boolean, "false") => "true".to_owned(),
        (ConfigKind::Double, _) => "0.7".to_owned(),
        (ConfigKind::Int | ConfigKind::Long, "9223372036854775807") => "1000".to_owned(),
        (ConfigKind::Int | ConfigKind::Long, number) => {
            let number: i64 = number.parse().expect("a number");
            (number.max(4) + 1).to_string()
        }
        (_, "producer") => "zstd".to_owned(),
        (_, "CreateTime") => "LogAppendTime".to_owned(),
        (_, "delete") => "compact".to_owned(),
        (_, "") => "*".to_owned(),
        (kind, default) => panic!("{}: {kind:?} {default}", config.name),
    }
}

#[test]
fn every_topic_configuration_acts_on_something_or_is_named_as_without_effect() {
    let unset = effective_topic_config(&Image::new(), &node(&[]), "t");
    for def in TOPIC_CONFIGS {
        let value = another_value(&def.config);
        let set = with(&[(Resource::topic("t"), def.config.name, value.as_str())]);
        let acts = effective_topic_config(&set, &node(&[]), "t") != unset;
        assert_eq!(
            acts,
            !WITHOUT_EFFECT.contains(&def.config.name),
            "{} = {value}",
            def.config.name
        );
    }
}

#[test]
fn the_strongest_layer_that_has_a_value_wins() {
    let topic = Resource::topic("t");
    let all = (Resource::all_brokers(), "log.retention.ms", "3");
    let one = (Resource::broker(1), "log.retention.ms", "2");
    let own = (topic, "retention.ms", "1");
    let other = (Resource::broker(2), "log.retention.ms", "9");
    let retention = |image: &Image, node: &Node| {
        effective_topic_config(image, node, "t").retention_ms.expect("limited")
    };
    let started = node(&[("log.retention.ms", "4"), ("log.retention.minutes", "5")]);
    let week = 7 * 24 * 3_600_000;
    assert_eq!(retention(&Image::new(), &node(&[])), week);
    assert_eq!(retention(&with(&[other]), &node(&[])), week);
    assert_eq!(retention(&Image::new(), &node(&[("log.retention.hours", "2")])), 7_200_000);
    assert_eq!(retention(&Image::new(), &node(&[("log.retention.minutes", "5")])), 300_000);
    assert_eq!(retention(&Image::new(), &started), 4);
    assert_eq!(retention(&with(std::slice::from_ref(&all)), &started), 3);
    assert_eq!(retention(&with(&[all.clone(), one.clone()]), &started), 2);
    assert_eq!(retention(&with(&[all, one, own]), &started), 1);
}

#[test]
fn a_stored_value_that_is_none_counts_as_not_set() {
    let image = with(&[
        (Resource::topic("t"), "segment.bytes", "1"),
        (Resource::all_brokers(), "log.segment.bytes", "2000000"),
        (Resource::topic("t"), "flush.ms", "soon"),
        (Resource::topic("t"), "from.the.future", "1"),
    ]);
    let config = effective_topic_config(&image, &node(&[]), "t");
    assert_eq!(config.segment_bytes, 2_000_000);
    assert_eq!(config.flush_ms, i64::MAX);
}

#[test]
fn the_defaults_are_kafkas_and_writes_are_durable() {
    let config = effective_topic_config(&Image::new(), &node(&[]), "t");
    assert_eq!(config.cleanup, Cleanup { delete: true, compact: false });
    assert_eq!(config.compression, CompressionType::Producer);
    assert_eq!((config.gzip_level, config.lz4_level, config.zstd_level), (None, 9, 3));
    assert_eq!(config.max_message_bytes, 1_048_588);
    assert_eq!(config.segment_bytes, 1 << 30);
    assert_eq!((config.retention_bytes, config.retention_ms), (None, Some(604_800_000)));
    assert_eq!(config.timestamp_after_max_ms, 3_600_000);
    assert!(!config.write_caching && !config.preallocate && !config.unclean_leader_election);
}

#[test]
fn no_limit_is_no_number() {
    let topic = Resource::topic("t");
    let image = with(&[
        (topic.clone(), "retention.ms", "-1"),
        (topic.clone(), "retention.bytes", "10"),
        (topic, "cleanup.policy", ""),
    ]);
    let config = effective_topic_config(&image, &node(&[]), "t");
    assert_eq!((config.retention_bytes, config.retention_ms), (Some(10), None));
    assert_eq!(config.cleanup, Cleanup { delete: false, compact: false });
}

#[test]
fn a_description_names_every_layer_and_the_one_that_holds() {
    let image = with(&[
        (Resource::topic("t"), "retention.ms", "1"),
        (Resource::all_brokers(), "log.retention.ms", "3600000"),
    ]);
    let started = node(&[("log.retention.hours", "2")]);
    let only = ["retention.ms".to_owned()];
    let described = describe_topic(&image, &started, "t", Some(&only));
    let [retention] = &described[..] else { panic!("one entry: {described:?}") };
    assert_eq!(retention.value.as_deref(), Some("1"));
    assert_eq!((retention.source.code(), retention.is_default), (1, false));
    let synonyms: Vec<_> = retention
        .synonyms
        .iter()
        .map(|synonym| (synonym.name, synonym.value.as_deref().unwrap_or(""), synonym.source))
        .collect();
    assert_eq!(
        synonyms,
        [
            ("retention.ms", "1", Source::DynamicTopic),
            ("log.retention.ms", "3600000", Source::DynamicDefaultBroker),
            ("log.retention.hours", "2", Source::StaticBroker),
            ("log.retention.hours", "168", Source::Default),
        ]
    );
    let other = describe_topic(&image, &started, "other", Some(&only));
    assert_eq!(other[0].value.as_deref(), Some("3600000"));
    assert_eq!(other[0].source, Source::DynamicDefaultBroker);
    let from_hours = describe_topic(&Image::new(), &started, "t", Some(&only));
    assert_eq!(from_hours[0].value.as_deref(), Some("7200000"), "told in milliseconds");
}

#[test]
fn every_configuration_is_told_and_secrets_are_not() {
    let started = node(&[("node.id", "1"), ("ssl.keystore.password", "secret")]);
    let described = describe_broker(&Image::new(), &started, None);
    assert_eq!(described.len(), BROKER_CONFIGS.len());
    let by_name: BTreeMap<&str, &Described> =
        described.iter().map(|entry| (entry.name, entry)).collect();
    let password = by_name["ssl.keystore.password"];
    assert!(password.sensitive && password.value.is_none());
    assert!(password.synonyms.iter().all(|synonym| synonym.value.is_none()));
    assert_eq!(by_name["node.id"].source, Source::StaticBroker);
    assert!(by_name["node.id"].read_only && !by_name["message.max.bytes"].read_only);
    assert_eq!(describe_topic(&Image::new(), &started, "t", None).len(), TOPIC_CONFIGS.len());
    assert!(describe_all_brokers(&Image::new(), None).is_empty());
    let image = with(&[(Resource::all_brokers(), "message.max.bytes", "5")]);
    let all = describe_all_brokers(&image, None);
    assert_eq!((all.len(), all[0].source.code()), (1, 3));
    assert_eq!(ResourceKind::BROKER.0, 4);
}
