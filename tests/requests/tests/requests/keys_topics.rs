//! Metadata (3), CreateTopics (19), DeleteTopics (20), CreatePartitions (37), in every version.

use evenkeel_requests::{
    Client, KafkaUuid, error, everywhere, everywhere_with, holds, m, same, text,
};
use kit::Outcome;
use m::create_partitions_request::{
    CreatePartitionsAssignment, CreatePartitionsRequestData, CreatePartitionsTopic,
};
use m::create_topics_request::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig, CreateTopicsRequestData,
};
use m::delete_topics_request::{DeleteTopicState, DeleteTopicsRequestData};
use m::metadata_request::{MetadataRequestData, MetadataRequestTopic};
use m::metadata_response::MetadataResponseData;

/// Metadata of this topic, which is not created.
fn about(client: &mut Client, version: i16, name: &str) -> Outcome<MetadataResponseData> {
    let topic = MetadataRequestTopic { name: Some(text(name)), ..Default::default() };
    let mut request = MetadataRequestData { topics: Some(vec![topic]), ..Default::default() };
    request.allow_auto_topic_creation = version < 4;
    client.ask(version, &request)
}

/// How many partitions a topic has; 0 when it does not exist.
fn partitions(client: &mut Client, name: &str) -> Outcome<usize> {
    about(client, 12, name).map(|answer| answer.topics[0].partitions.len())
}

#[test]
fn metadata_says_who_leads_in_every_version() {
    everywhere(|site| {
        let topic = site.topic_of("t", 3, &[])?;
        let mut client = site.client()?;
        for version in 0..=13 {
            let what = format!("version {version}");
            let answer = about(&mut client, version, "t")?;
            let [broker] = &answer.brokers[..] else { return Err("not one broker".into()) };
            let address = format!("{}:{}", broker.host, broker.port);
            same(address, site.broker.address().to_string(), "the address we connected to")?;
            if 1 <= version {
                same(answer.controller_id, broker.node_id, &what)?;
            }
            let cluster = answer.cluster_id.as_ref().map(|id| id.as_str().len());
            same(cluster, (2 <= version).then_some(22), "the cluster id")?;
            let [told] = &answer.topics[..] else { return Err("not one topic".into()) };
            same((told.error_code, told.is_internal), (0, false), &what)?;
            let id = if version < 10 { KafkaUuid::ZERO } else { topic.id };
            same(told.topic_id, id, &what)?;
            let mut indexes = Vec::new();
            for part in &told.partitions {
                let node = broker.node_id;
                same((part.error_code, part.leader_id), (error::NONE, node), &what)?;
                same((&part.replica_nodes, &part.isr_nodes), (&vec![node], &vec![node]), &what)?;
                same(part.leader_epoch, if version < 7 { -1 } else { 0 }, &what)?;
                same(part.offline_replicas.len(), 0, &what)?;
                indexes.push(part.partition_index);
            }
            same(indexes, [0, 1, 2], &what)?;
        }
        Ok(())
    });
}

#[test]
fn metadata_of_all_of_none_and_by_id() {
    everywhere(|site| {
        let topics = [site.topic("a", &[])?, site.topic("b", &[])?];
        let mut client = site.client()?;
        let mut names = |version: i16, topics: Option<Vec<MetadataRequestTopic>>| {
            let request = MetadataRequestData { topics, ..Default::default() };
            let answer = client.ask(version, &request)?;
            let name = |topic: &m::metadata_response::MetadataResponseTopic| {
                let name = topic.name.as_ref().map(|name| name.as_str().to_owned());
                (topic.error_code, name.unwrap_or_default(), topic.topic_id)
            };
            Outcome::Ok(answer.topics.iter().map(name).collect::<Vec<_>>())
        };
        for version in 0..=13 {
            let all = if version == 0 { Some(Vec::new()) } else { None };
            same(names(version, all)?.len(), 2, &format!("all in version {version}"))?;
            if 1 <= version {
                same(names(version, Some(Vec::new()))?, [], &format!("none in {version}"))?;
            }
            if 12 <= version {
                let by_id = |topic_id| MetadataRequestTopic { topic_id, ..Default::default() };
                let unknown = KafkaUuid::from_parts(1, 2);
                let found = names(version, Some(vec![by_id(topics[1].id), by_id(unknown)]))?;
                let wanted = [
                    (error::NONE, "b".to_owned(), topics[1].id),
                    (error::UNKNOWN_TOPIC_ID, String::new(), unknown),
                ];
                same(found, wanted, &format!("by id in {version}"))?;
            }
        }
        Ok(())
    });
}

#[test]
fn metadata_creates_topics_only_when_it_may() {
    everywhere_with(&["num.partitions=3"], |site| {
        for version in 0..=13 {
            let mut client = site.client()?;
            let name = format!("auto{version}");
            if 4 <= version {
                let told = about(&mut client, version, &name)?.topics[0].error_code;
                same(told, error::UNKNOWN_TOPIC_OR_PARTITION, &format!("asked in {version}"))?;
            }
            let topic = MetadataRequestTopic { name: Some(text(&name)), ..Default::default() };
            let bad = MetadataRequestTopic { name: Some(text("no/name")), ..Default::default() };
            let request = MetadataRequestData {
                topics: Some(vec![topic, bad]),
                allow_auto_topic_creation: true,
                ..Default::default()
            };
            let answer = client.ask(version, &request)?;
            let errors: Vec<i16> = answer.topics.iter().map(|topic| topic.error_code).collect();
            same(errors, [error::NONE, error::INVALID_TOPIC_EXCEPTION], &name)?;
            same(partitions(&mut site.client()?, &name)?, 3, &name)?;
        }
        Ok(())
    });
    everywhere_with(&["auto.create.topics.enable=false"], |site| {
        let topic = MetadataRequestTopic { name: Some(text("t")), ..Default::default() };
        let request = MetadataRequestData {
            topics: Some(vec![topic]),
            allow_auto_topic_creation: true,
            ..Default::default()
        };
        let told = site.client()?.ask(9, &request)?.topics[0].error_code;
        same(told, error::UNKNOWN_TOPIC_OR_PARTITION, "a broker that creates none")
    });
}

fn new_topic(name: &str) -> CreatableTopic {
    CreatableTopic {
        name: text(name),
        num_partitions: 2,
        replication_factor: 1,
        ..CreatableTopic::default()
    }
}

fn assigned(name: &str, brokers: &[i32]) -> CreatableTopic {
    let one = |index| CreatableReplicaAssignment {
        partition_index: index,
        broker_ids: brokers.to_vec(),
        ..CreatableReplicaAssignment::default()
    };
    CreatableTopic {
        name: text(name),
        num_partitions: -1,
        replication_factor: -1,
        assignments: vec![one(0), one(1), one(2)],
        ..CreatableTopic::default()
    }
}

fn configured(name: &str, config: &str, value: &str) -> CreatableTopic {
    let config = CreatableTopicConfig {
        name: text(config),
        value: Some(text(value)),
        ..CreatableTopicConfig::default()
    };
    CreatableTopic { configs: vec![config], ..new_topic(name) }
}

/// Topics of one request, their errors, and how many partitions they have then.
fn creations() -> Vec<(CreatableTopic, i16, usize)> {
    let with = |name: &str, num_partitions, replication_factor| CreatableTopic {
        num_partitions,
        replication_factor,
        ..new_topic(name)
    };
    vec![
        (new_topic("good"), error::NONE, 2),
        (new_topic("there"), error::TOPIC_ALREADY_EXISTS, 2),
        (new_topic("no name"), error::INVALID_TOPIC_EXCEPTION, 0),
        (new_topic(".."), error::INVALID_TOPIC_EXCEPTION, 0),
        (new_topic(&"x".repeat(250)), error::INVALID_TOPIC_EXCEPTION, 0),
        (with("none", 0, 1), error::INVALID_PARTITIONS, 0),
        (with("three", 1, 3), error::INVALID_REPLICATION_FACTOR, 0),
        (assigned("placed", &[1]), error::NONE, 3),
        (assigned("elsewhere", &[9]), error::INVALID_REPLICA_ASSIGNMENT, 0),
        (configured("set", "retention.ms", "5000"), error::NONE, 2),
        (configured("unknown", "retention.hours", "5"), error::INVALID_CONFIG, 0),
        (configured("wrong", "retention.ms", "soon"), error::INVALID_CONFIG, 0),
        (configured("compacted", "cleanup.policy", "compact"), error::INVALID_CONFIG, 0),
    ]
}

#[test]
fn create_topics_says_for_each_topic_what_became_of_it() {
    for version in 2..=7 {
        everywhere(|site| {
            site.topic("there", &[])?;
            for validate_only in [true, false] {
                let what = format!("version {version}, validate only {validate_only}");
                let topics = creations();
                let request = CreateTopicsRequestData {
                    topics: topics.iter().map(|(topic, ..)| topic.clone()).collect(),
                    timeout_ms: 10_000,
                    validate_only,
                    ..CreateTopicsRequestData::default()
                };
                let mut client = site.client()?;
                let answer = client.ask(version, &request)?;
                same(answer.topics.len(), topics.len(), &what)?;
                for (told, (topic, code, count)) in answer.topics.iter().zip(topics) {
                    let name = topic.name.as_str();
                    let what = format!("{what}, topic {name:?}: {:?}", told.error_message);
                    same((told.name.as_str(), told.error_code), (name, code), &what)?;
                    same(told.error_message.is_some(), code != 0, &what)?;
                    let made = !validate_only || name == "there";
                    let found = partitions(&mut client, name)?;
                    same(found, if made { count } else { 0 }, &what)?;
                    let real = told.topic_id != KafkaUuid::ZERO;
                    let wanted = 7 <= version && code == 0 && !validate_only;
                    holds(real == wanted || validate_only, told, &what)?;
                }
            }
            Ok(())
        });
    }
}

#[test]
fn create_topics_tells_configs_and_counts_from_version_5() {
    everywhere(|site| {
        for version in 5..=7 {
            let name = format!("t{version}");
            let mut topic = configured(&name, "retention.ms", "5000");
            (topic.num_partitions, topic.replication_factor) = (-1, -1);
            let request = CreateTopicsRequestData {
                topics: vec![topic],
                timeout_ms: 10_000,
                ..CreateTopicsRequestData::default()
            };
            let answer = site.client()?.ask(version, &request)?;
            let told = &answer.topics[0];
            same(
                (told.error_code, told.num_partitions, told.replication_factor),
                (0, 1, 1),
                &name,
            )?;
            let configs = told.configs.as_ref().ok_or("no configs")?;
            let row = |name: &str| configs.iter().find(|config| config.name.as_str() == name);
            let retention = row("retention.ms").ok_or("no retention.ms")?;
            same(retention.value.as_ref().map(|value| value.as_str()), Some("5000"), &name)?;
            // Set for the topic, and the default.
            same(retention.config_source, 1, &name)?;
            same(row("segment.bytes").map(|config| config.config_source), Some(5), &name)?;
        }
        Ok(())
    });
}

#[test]
fn delete_topics_by_name_and_by_id() {
    everywhere(|site| {
        let mut client = site.client()?;
        for version in 1..=6 {
            let topics = [site.topic("a", &[])?, site.topic("b", &[])?];
            let mut request = DeleteTopicsRequestData { timeout_ms: 10_000, ..Default::default() };
            if version < 6 {
                request.topic_names = ["a", "b", "c"].map(text).to_vec();
            } else {
                let (gone, by) = (KafkaUuid::from_parts(1, 2), DeleteTopicState::default);
                request.topics = vec![
                    DeleteTopicState { name: Some(text("a")), ..by() },
                    DeleteTopicState { topic_id: topics[1].id, ..by() },
                    DeleteTopicState { name: Some(text("c")), ..by() },
                    DeleteTopicState { topic_id: gone, ..by() },
                ];
            }
            let answer = client.ask(version, &request)?;
            let errors: Vec<i16> = answer.responses.iter().map(|one| one.error_code).collect();
            let mut wanted = vec![0, 0, error::UNKNOWN_TOPIC_OR_PARTITION];
            wanted.extend((version == 6).then_some(error::UNKNOWN_TOPIC_ID));
            same(errors, wanted, &format!("version {version}"))?;
            if version == 6 {
                let told = &answer.responses[1];
                same(told.name.as_ref().map(|name| name.as_str()), Some("b"), "its name")?;
                same(answer.responses[0].topic_id, topics[0].id, "its id")?;
            }
            same(partitions(&mut client, "a")? + partitions(&mut client, "b")?, 0, "what is left")?;
        }
        Ok(())
    });
}

#[test]
fn create_partitions_answers_for_each_topic() {
    everywhere(|site| {
        let mut client = site.client()?;
        for version in 0..=3 {
            let name = format!("t{version}");
            site.topic(&name, &[])?;
            for validate_only in [true, false] {
                let more = |name: &str, count, brokers: Option<&[i32]>| CreatePartitionsTopic {
                    name: text(name),
                    count,
                    assignments: brokers.map(|ids| {
                        vec![CreatePartitionsAssignment {
                            broker_ids: ids.to_vec(),
                            ..CreatePartitionsAssignment::default()
                        }]
                    }),
                    ..CreatePartitionsTopic::default()
                };
                let others = [format!("{name}same"), format!("{name}far"), format!("{name}placed")];
                for other in others.iter().filter(|_| validate_only) {
                    site.topic(other, &[])?;
                }
                let request = CreatePartitionsRequestData {
                    topics: vec![
                        more(&name, 5, None),
                        more("gone", 5, None),
                        more(&others[0], 2, None),
                        more(&others[1], 3, Some(&[9])),
                        more(&others[2], 3, Some(&[1])),
                    ],
                    timeout_ms: 10_000,
                    validate_only,
                    ..CreatePartitionsRequestData::default()
                };
                let answer = client.ask(version, &request)?;
                let errors: Vec<i16> = answer.results.iter().map(|one| one.error_code).collect();
                let wanted = [
                    error::NONE,
                    error::UNKNOWN_TOPIC_OR_PARTITION,
                    error::INVALID_PARTITIONS,
                    error::INVALID_REPLICA_ASSIGNMENT,
                    error::NONE,
                ];
                same(errors, wanted, &format!("version {version}"))?;
                let found = [&name, &others[0], &others[1], &others[2]]
                    .map(|name| partitions(&mut client, name));
                let grown = if validate_only { [2, 2, 2, 2] } else { [5, 2, 2, 3] };
                same(found, grown.map(Ok), &format!("partitions, validate only {validate_only}"))?;
            }
        }
        Ok(())
    });
}
