//! Topics and their configs: create, list, describe, alter, delete; partitions; records deleted.

use kit::Broker;
use rdkafka::admin::{
    AdminOptions, ConfigResource, ConfigSource, NewPartitions, NewTopic, ResourceSpecifier,
    TopicReplication,
};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use crate::support::{
    PARTITIONS, Record, TopicAnswer, admin, create, ends, fetch, partition_count, patient,
    produce_all, read_all, scenarios, topic_names, try_create, until, wait,
};

scenarios!(
    a_created_topic_is_listed_and_a_deleted_one_is_not,
    a_topic_that_is_created_again_is_empty,
    wrong_topics_are_refused_with_kafkas_errors,
    validate_only_creates_nothing,
    partitions_are_added_and_serve,
    wrong_partition_counts_are_refused_for_each_topic,
    configs_are_described_with_value_and_source,
    every_broker_config_is_described,
    deleted_records_are_gone_and_the_start_moves,
    an_unknown_topic_is_created_when_it_is_produced_to,
);

fn code(answer: TopicAnswer) -> RDKafkaErrorCode {
    answer.expect_err("it must be refused").1
}

fn delete(broker: &Broker, topic: &str) -> TopicAnswer {
    let mut answers = wait(admin(broker).delete_topics(&[topic], &patient())).expect("an answer");
    answers.pop().expect("one answer for one topic")
}

fn a_created_topic_is_listed_and_a_deleted_one_is_not(broker: &mut Broker) {
    let names: Vec<String> = (0..6).map(|number| format!("listed-{number}")).collect();
    for name in &names {
        create(broker, name, PARTITIONS, &[]);
    }
    assert_eq!(topic_names(broker), names);
    assert_eq!(delete(broker, "listed-3"), Ok("listed-3".to_owned()));
    until(|| !topic_names(broker).contains(&"listed-3".to_owned()));
    assert_eq!(topic_names(broker).len(), 5);
    assert_eq!(code(delete(broker, "listed-3")), RDKafkaErrorCode::UnknownTopicOrPartition);
}

fn a_topic_that_is_created_again_is_empty(broker: &mut Broker) {
    create(broker, "again", PARTITIONS, &[]);
    let records: Vec<Record> =
        (0..PARTITIONS).map(|partition| Record::new(partition, "old")).collect();
    produce_all(broker, "again", &[], &records);
    delete(broker, "again").expect("it exists");
    until(|| partition_count(broker, "again").is_none());
    create(broker, "again", 2, &[]);
    assert_eq!(ends(broker, "again", 1), (0, 0));
    produce_all(broker, "again", &[], &[Record::new(1, "new")]);
    let read = read_all(broker, "again", 2);
    assert_eq!(read.len(), 1);
    assert_eq!(read[0].1.value.as_deref(), Some(&b"new"[..]));
}

fn wrong_topics_are_refused_with_kafkas_errors(broker: &mut Broker) {
    create(broker, "taken", 1, &[]);
    let refused = |topic: &str, partitions, configs: &[(&str, &str)]| {
        code(try_create(broker, topic, partitions, configs))
    };
    assert_eq!(refused("taken", 1, &[]), RDKafkaErrorCode::TopicAlreadyExists);
    assert_eq!(refused("a/b", 1, &[]), RDKafkaErrorCode::InvalidTopic);
    assert_eq!(refused(&"n".repeat(250), 1, &[]), RDKafkaErrorCode::InvalidTopic);
    assert_eq!(refused("..", 1, &[]), RDKafkaErrorCode::InvalidTopic);
    let unknown = [("no.such.config", "1")];
    assert_eq!(refused("configured", 1, &unknown), RDKafkaErrorCode::InvalidConfig);
    let wrong = [("segment.bytes", "many")];
    assert_eq!(refused("configured", 1, &wrong), RDKafkaErrorCode::InvalidConfig);
    let replicated = NewTopic::new("replicated", 1, TopicReplication::Fixed(3));
    let mut answers =
        wait(admin(broker).create_topics([&replicated], &patient())).expect("an answer");
    let answer = answers.pop().expect("one answer");
    assert_eq!(code(answer), RDKafkaErrorCode::InvalidReplicationFactor);
    assert_eq!(topic_names(broker), ["taken"]);
}

fn validate_only_creates_nothing(broker: &mut Broker) {
    let new = NewTopic::new("only-validated", 3, TopicReplication::Fixed(1));
    let options = AdminOptions::new().validate_only(true);
    let answers = wait(admin(broker).create_topics([&new], &options)).expect("an answer");
    assert_eq!(answers, [Ok("only-validated".to_owned())]);
    assert_eq!(partition_count(broker, "only-validated"), None);
}

fn partitions_are_added_and_serve(broker: &mut Broker) {
    create(broker, "grown", 1, &[]);
    produce_all(broker, "grown", &[], &[Record::new(0, "before")]);
    let more = NewPartitions::new("grown", usize::try_from(PARTITIONS).expect("small"));
    let answers = wait(admin(broker).create_partitions([&more], &patient())).expect("an answer");
    assert_eq!(answers, [Ok("grown".to_owned())]);
    until(|| partition_count(broker, "grown") == Some(PARTITIONS));
    let records: Vec<Record> =
        (1..PARTITIONS).map(|partition| Record::new(partition, "after")).collect();
    produce_all(broker, "grown", &[], &records);
    let read = read_all(broker, "grown", PARTITIONS);
    assert_eq!(read.len(), usize::try_from(PARTITIONS).expect("small"));
}

fn wrong_partition_counts_are_refused_for_each_topic(broker: &mut Broker) {
    create(broker, "three", 3, &[]);
    create(broker, "four", 4, &[]);
    let wanted = [
        NewPartitions::new("three", 2),
        NewPartitions::new("absent", 9),
        NewPartitions::new("four", 5),
    ];
    let answers = wait(admin(broker).create_partitions(&wanted, &patient())).expect("an answer");
    let by_name = |name: &str| {
        let named = |answer: &&TopicAnswer| match answer {
            Ok(topic) | Err((topic, _)) => topic == name,
        };
        answers.iter().find(named).expect("an answer for each topic").clone()
    };
    assert_eq!(code(by_name("three")), RDKafkaErrorCode::InvalidPartitions);
    assert_eq!(code(by_name("absent")), RDKafkaErrorCode::UnknownTopicOrPartition);
    assert_eq!(by_name("four"), Ok("four".to_owned()));
    assert_eq!(partition_count(broker, "three"), Some(3));
    until(|| partition_count(broker, "four") == Some(5));
}

fn describe(broker: &Broker, resource: ResourceSpecifier<'_>) -> ConfigResource {
    let mut answers =
        wait(admin(broker).describe_configs([&resource], &patient())).expect("an answer");
    answers.pop().expect("one answer").expect("it can be described")
}

fn configs_are_described_with_value_and_source(broker: &mut Broker) {
    create(broker, "described", 1, &[("retention.ms", "123456"), ("segment.bytes", "2097152")]);
    let resource = describe(broker, ResourceSpecifier::Topic("described"));
    let entry = |name: &str| resource.get(name).expect("every topic config is listed");
    assert_eq!(entry("retention.ms").value.as_deref(), Some("123456"));
    assert_eq!(entry("retention.ms").source, ConfigSource::DynamicTopic);
    assert!(!entry("retention.ms").is_default);
    assert_eq!(entry("segment.bytes").value.as_deref(), Some("2097152"));
    assert_eq!(entry("max.message.bytes").value.as_deref(), Some("1048588"));
    assert!(entry("max.message.bytes").is_default);
    for name in [
        "cleanup.policy",
        "compression.type",
        "delete.retention.ms",
        "file.delete.delay.ms",
        "flush.messages",
        "flush.ms",
        "index.interval.bytes",
        "max.compaction.lag.ms",
        "message.timestamp.after.max.ms",
        "message.timestamp.before.max.ms",
        "message.timestamp.type",
        "min.cleanable.dirty.ratio",
        "min.compaction.lag.ms",
        "min.insync.replicas",
        "preallocate",
        "retention.bytes",
        "segment.index.bytes",
        "segment.jitter.ms",
        "segment.ms",
        "unclean.leader.election.enable",
    ] {
        entry(name);
    }
}

fn every_broker_config_is_described(broker: &mut Broker) {
    let resource = describe(broker, ResourceSpecifier::Broker(1));
    for name in ["log.retention.hours", "num.partitions", "auto.create.topics.enable", "node.id"] {
        assert!(resource.get(name).is_some(), "{name} is not listed");
    }
}

fn deleted_records_are_gone_and_the_start_moves(broker: &mut Broker) {
    create(broker, "shortened", PARTITIONS, &[]);
    let all: Vec<Record> = (0..PARTITIONS)
        .flat_map(|partition| {
            (0..50).map(move |number| Record::new(partition, format!("r{number}")))
        })
        .collect();
    produce_all(broker, "shortened", &[], &all);
    let mut wanted = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        let before = Offset::Offset(i64::from(10 + partition));
        wanted.add_partition_offset("shortened", partition, before).expect("legal");
    }
    let answer = wait(admin(broker).delete_records(&wanted, &patient())).expect("an answer");
    for element in answer.elements() {
        element.error().expect("each partition is shortened");
        assert_eq!(element.offset(), Offset::Offset(i64::from(10 + element.partition())));
    }
    for partition in 0..PARTITIONS {
        assert_eq!(ends(broker, "shortened", partition), (i64::from(10 + partition), 50));
        let starts = [(partition, Offset::Beginning)];
        let (offset, record) = fetch(broker, "shortened", &starts, 1, &[]).remove(0);
        assert_eq!(offset, i64::from(10 + partition));
        assert_eq!(record.value, Some(format!("r{}", 10 + partition).into_bytes()));
    }
}

fn an_unknown_topic_is_created_when_it_is_produced_to(broker: &mut Broker) {
    produce_all(broker, "made-by-need", &[], &[Record::new(0, "first")]);
    assert_eq!(partition_count(broker, "made-by-need"), Some(1));
    assert_eq!(read_all(broker, "made-by-need", 1).len(), 1);
}
