//! DescribeConfigs (32), IncrementalAlterConfigs (44), ListConfigResources (74), in every version.

use std::collections::BTreeMap;

use evenkeel_requests::{Client, error, everywhere, everywhere_with, holds, m, same, text};
use kit::{Failure, Outcome};
use m::describe_configs_request::{DescribeConfigsRequestData, DescribeConfigsResource};
use m::describe_configs_response::{DescribeConfigsResourceResult, DescribeConfigsResult};
use m::incremental_alter_configs_request::{
    AlterConfigsResource, AlterableConfig, IncrementalAlterConfigsRequestData,
};
use m::list_config_resources_request::ListConfigResourcesRequestData;

const TOPIC: i8 = 2;
const BROKER: i8 = 4;
/// Where a value comes from (Kafka: `DescribeConfigsResponse.ConfigSource`).
const OF_TOPIC: i8 = 1;
const OF_ALL_BROKERS: i8 = 3;
const OF_FILE: i8 = 4;
const DEFAULT: i8 = 5;

/// Every config of a topic in Kafka 4.3 (`TopicConfig.java`), and ours.
const TOPIC_CONFIGS: [&str; 34] = [
    "cleanup.policy",
    "compression.gzip.level",
    "compression.lz4.level",
    "compression.type",
    "compression.zstd.level",
    "delete.retention.ms",
    "file.delete.delay.ms",
    "flush.messages",
    "flush.ms",
    "follower.replication.throttled.replicas",
    "index.interval.bytes",
    "leader.replication.throttled.replicas",
    "local.retention.bytes",
    "local.retention.ms",
    "max.compaction.lag.ms",
    "max.message.bytes",
    "message.timestamp.after.max.ms",
    "message.timestamp.before.max.ms",
    "message.timestamp.type",
    "min.cleanable.dirty.ratio",
    "min.compaction.lag.ms",
    "min.insync.replicas",
    "preallocate",
    "remote.log.copy.disable",
    "remote.log.delete.on.disable",
    "remote.storage.enable",
    "retention.bytes",
    "retention.ms",
    "segment.bytes",
    "segment.index.bytes",
    "segment.jitter.ms",
    "segment.ms",
    "unclean.leader.election.enable",
    "write.caching",
];

/// How one resource is asked about.
struct Question<'a> {
    kind: i8,
    name: &'a str,
    keys: Option<&'a [&'a str]>,
    synonyms: bool,
    documentation: bool,
}

impl<'a> Question<'a> {
    fn about(kind: i8, name: &'a str) -> Question<'a> {
        Question { kind, name, keys: None, synonyms: false, documentation: false }
    }

    fn ask(&self, client: &mut Client, version: i16) -> Outcome<DescribeConfigsResult> {
        let resource = DescribeConfigsResource {
            resource_type: self.kind,
            resource_name: text(self.name),
            configuration_keys: self.keys.map(|keys| keys.iter().map(|key| text(key)).collect()),
            ..DescribeConfigsResource::default()
        };
        let request = DescribeConfigsRequestData {
            resources: vec![resource],
            include_synonyms: self.synonyms,
            include_documentation: self.documentation,
            ..DescribeConfigsRequestData::default()
        };
        let mut answer = client.ask(version, &request)?;
        answer.results.pop().ok_or_else(|| "no result".into())
    }
}

fn row(result: &DescribeConfigsResult, name: &str) -> Outcome<DescribeConfigsResourceResult> {
    let row = result.configs.iter().find(|config| config.name.as_str() == name);
    row.cloned().ok_or_else(|| Failure::new(format!("no {name}")))
}

fn value(row: &DescribeConfigsResourceResult) -> &str {
    row.value.as_ref().map_or("", |value| value.as_str())
}

#[test]
fn describe_configs_tells_values_sources_and_types_of_a_topic() {
    everywhere_with(&["log.retention.hours=5"], |site| {
        site.topic("t", &[("segment.bytes", "2000000")])?;
        let mut client = site.client()?;
        for version in 1..=4 {
            let what = format!("version {version}");
            let mut question = Question::about(TOPIC, "t");
            (question.synonyms, question.documentation) = (true, 3 <= version);
            let all = question.ask(&mut client, version)?;
            same(all.error_code, error::NONE, &what)?;
            let names: Vec<&str> = all.configs.iter().map(|config| config.name.as_str()).collect();
            same(names, TOPIC_CONFIGS, "every config is told")?;
            let cases = [
                ("segment.bytes", "2000000", OF_TOPIC, 3),
                ("retention.ms", "18000000", OF_FILE, 5),
                ("cleanup.policy", "delete", DEFAULT, 7),
                ("preallocate", "false", DEFAULT, 1),
                ("write.caching", "false", DEFAULT, 1),
                ("compression.type", "producer", DEFAULT, 2),
                ("min.cleanable.dirty.ratio", "0.5", DEFAULT, 6),
            ];
            for (name, wanted, source, kind) in cases {
                let row = row(&all, name)?;
                let told = (value(&row), row.config_source, row.is_sensitive, row.read_only);
                same(told, (wanted, source, false, false), &format!("{name}, {what}"))?;
                same(row.config_type, if version < 3 { 0 } else { kind }, &format!("{name} type"))?;
                let documented = row.documentation.is_some_and(|doc| !doc.as_str().is_empty());
                same(documented, 3 <= version, &format!("{name} documentation, {what}"))?;
            }
            let set = row(&all, "segment.bytes")?;
            let synonyms: Vec<_> =
                set.synonyms.iter().map(|one| (one.name.as_str(), one.source)).collect();
            let wanted = [("segment.bytes", OF_TOPIC), ("log.segment.bytes", DEFAULT)];
            same(synonyms, wanted, &format!("synonyms, {what}"))?;
            question.synonyms = false;
            question.documentation = false;
            question.keys = Some(&["retention.ms", "no.such"]);
            let one = question.ask(&mut client, version)?;
            same(one.configs.len(), 1, "configs that were asked for")?;
            same(
                (one.configs[0].synonyms.len(), &one.configs[0].documentation),
                (0, &None),
                &what,
            )?;
        }
        Ok(())
    });
}

#[test]
fn describe_configs_of_brokers_and_of_what_does_not_exist() {
    everywhere_with(&["log.retention.hours=5"], |site| {
        let mut client = site.client()?;
        for version in 1..=4 {
            let what = format!("version {version}");
            let broker = Question::about(BROKER, "1").ask(&mut client, version)?;
            same(broker.error_code, error::NONE, &what)?;
            let hours = row(&broker, "log.retention.hours")?;
            same((value(&hours), hours.config_source), ("5", OF_FILE), &what)?;
            let node = row(&broker, "node.id")?;
            same((value(&node), node.read_only), ("1", true), &what)?;
            let all = Question::about(BROKER, "").ask(&mut client, version)?;
            same(all.error_code, error::NONE, &what)?;
            let sources: Vec<i8> = all.configs.iter().map(|config| config.config_source).collect();
            holds(sources.iter().all(|one| *one == OF_ALL_BROKERS), sources, "all brokers' own")?;
            let cases = [
                (TOPIC, "gone", error::UNKNOWN_TOPIC_OR_PARTITION),
                (TOPIC, "no/name", error::INVALID_TOPIC_EXCEPTION),
                (BROKER, "77", error::INVALID_REQUEST),
                (99, "x", error::INVALID_REQUEST),
            ];
            for (kind, name, code) in cases {
                let told = Question::about(kind, name).ask(&mut client, version)?;
                same((told.error_code, told.configs.len()), (code, 0), &format!("{name}, {what}"))?;
                same(told.error_message.is_some(), true, &what)?;
            }
        }
        Ok(())
    });
}

const SET: i8 = 0;
const DELETE: i8 = 1;
const APPEND: i8 = 2;
const SUBTRACT: i8 = 3;

/// IncrementalAlterConfigs of one resource: its error.
fn alter(
    client: &mut Client,
    (version, validate_only): (i16, bool),
    (kind, name): (i8, &str),
    changes: &[(&str, i8, Option<&str>)],
) -> Outcome<i16> {
    let change = |(name, op, value): &(&str, i8, Option<&str>)| AlterableConfig {
        name: text(name),
        config_operation: *op,
        value: value.map(text),
        ..AlterableConfig::default()
    };
    let resource = AlterConfigsResource {
        resource_type: kind,
        resource_name: text(name),
        configs: changes.iter().map(change).collect(),
        ..AlterConfigsResource::default()
    };
    let request = IncrementalAlterConfigsRequestData {
        resources: vec![resource],
        validate_only,
        ..IncrementalAlterConfigsRequestData::default()
    };
    let answer = client.ask(version, &request)?;
    Ok(answer.responses[0].error_code)
}

/// What is set for the topic itself.
fn set(client: &mut Client, topic: &str) -> Outcome<BTreeMap<String, String>> {
    let told = Question::about(TOPIC, topic).ask(client, 4)?;
    let own = told.configs.iter().filter(|config| config.config_source == OF_TOPIC);
    Ok(own.map(|row| (row.name.as_str().to_owned(), value(row).to_owned())).collect())
}

fn pairs(wanted: &[(&str, &str)]) -> BTreeMap<String, String> {
    wanted.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

const LIST: &str = "leader.replication.throttled.replicas";

#[test]
fn incremental_alter_configs_changes_what_it_names_and_nothing_else() {
    everywhere(|site| {
        let mut client = site.client()?;
        for version in 0..=1 {
            let name = format!("t{version}");
            site.topic(&name, &[("segment.bytes", "2000000"), (LIST, "0:1")])?;
            let steps: [(&[_], &[(&str, &str)]); 5] = [
                (
                    &[("retention.ms", SET, Some("5000"))],
                    &[(LIST, "0:1"), ("retention.ms", "5000"), ("segment.bytes", "2000000")],
                ),
                (&[("segment.bytes", DELETE, None)], &[(LIST, "0:1"), ("retention.ms", "5000")]),
                (&[(LIST, APPEND, Some("1:1"))], &[(LIST, "0:1,1:1"), ("retention.ms", "5000")]),
                (&[(LIST, SUBTRACT, Some("0:1"))], &[(LIST, "1:1"), ("retention.ms", "5000")]),
                (
                    &[("retention.ms", SET, Some("7000")), ("flush.ms", SET, Some("9"))],
                    &[(LIST, "1:1"), ("flush.ms", "9"), ("retention.ms", "7000")],
                ),
            ];
            for (changes, wanted) in steps {
                let before = set(&mut client, &name)?;
                let code = alter(&mut client, (version, true), (TOPIC, &name), changes)?;
                same(code, error::NONE, "validate only")?;
                same(set(&mut client, &name)?, before, "after validate only")?;
                let code = alter(&mut client, (version, false), (TOPIC, &name), changes)?;
                same(code, error::NONE, &format!("{changes:?}"))?;
                same(set(&mut client, &name)?, pairs(wanted), &format!("after {changes:?}"))?;
            }
        }
        Ok(())
    });
}

#[test]
fn incremental_alter_configs_refuses_the_whole_resource() {
    everywhere(|site| {
        let mut client = site.client()?;
        let mine = [("retention.ms", "5000")];
        site.topic("t", &mine)?;
        let good = ("flush.ms", SET, Some("9"));
        let cases: [(_, &[_], _); 9] = [
            ((TOPIC, "t"), &[good, ("no.such", SET, Some("1"))], error::INVALID_CONFIG),
            ((TOPIC, "t"), &[good, ("retention.ms", SET, Some("soon"))], error::INVALID_CONFIG),
            ((TOPIC, "t"), &[good, ("retention.ms", APPEND, Some("1"))], error::INVALID_CONFIG),
            (
                (TOPIC, "t"),
                &[good, ("cleanup.policy", SET, Some("compact"))],
                error::INVALID_CONFIG,
            ),
            ((TOPIC, "t"), &[good, ("retention.ms", 9, Some("1"))], error::INVALID_REQUEST),
            ((TOPIC, "t"), &[good, good], error::INVALID_REQUEST),
            ((TOPIC, "gone"), &[good], error::UNKNOWN_TOPIC_OR_PARTITION),
            ((BROKER, "77"), &[("log.flush.interval.ms", SET, Some("9"))], error::INVALID_REQUEST),
            ((99, "t"), &[good], error::INVALID_REQUEST),
        ];
        for version in 0..=1 {
            for (resource, changes, code) in cases {
                let told = alter(&mut client, (version, false), resource, changes)?;
                same(told, code, &format!("{resource:?} {changes:?}, version {version}"))?;
                same(set(&mut client, "t")?, pairs(&mine), "what is set")?;
            }
        }
        Ok(())
    });
}

#[test]
fn list_config_resources_lists_topics_and_brokers_from_version_1() {
    everywhere(|site| {
        site.topic("a", &[])?;
        site.topic("b", &[])?;
        let mut client = site.client()?;
        let mut list = |version, kinds: &[i8]| -> Outcome<(i16, Vec<(i8, String)>)> {
            let request = ListConfigResourcesRequestData {
                resource_types: kinds.to_vec(),
                ..ListConfigResourcesRequestData::default()
            };
            let answer = client.ask(version, &request)?;
            let mut all: Vec<_> = answer
                .config_resources
                .iter()
                .map(|one| (one.resource_type, one.resource_name.as_str().to_owned()))
                .collect();
            all.sort();
            Ok((answer.error_code, all))
        };
        let named = |kind, name: &str| (kind, name.to_owned());
        let topics = vec![named(TOPIC, "a"), named(TOPIC, "b")];
        // Version 0 knows client metrics only, and there are none.
        same(list(0, &[])?, (error::NONE, vec![]), "version 0")?;
        same(list(1, &[TOPIC])?, (error::NONE, topics.clone()), "topics")?;
        same(list(1, &[BROKER])?, (error::NONE, vec![named(BROKER, "1")]), "brokers")?;
        let mut all = topics;
        all.extend([named(BROKER, "1"), named(8, "1")]);
        same(list(1, &[])?, (error::NONE, all), "everything")?;
        same(list(1, &[99])?, (error::UNSUPPORTED_VERSION, vec![]), "what does not exist")
    });
}
