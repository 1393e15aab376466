//! Tests of `image`.

use record::{LeaderEpoch, Offset, TopicId, TopicPartition};

use super::*;
use crate::records::*;

pub(crate) fn id(n: u8) -> TopicId {
    TopicId::from_bytes([n; 16])
}

fn at(raw: i64) -> Offset {
    Offset::new(raw).expect("not negative")
}

fn topic(name: &str, n: u8) -> Record {
    TopicRecord { name: name.into(), topic_id: id(n) }.into()
}

fn partition(n: u8, index: i32) -> Record {
    PartitionRecord {
        partition_id: index,
        topic_id: id(n),
        replicas: vec![1],
        isr: vec![1],
        leader: 1,
        leader_epoch: 0,
        partition_epoch: 0,
        directories: vec![Uuid::from_bytes([9; 16])],
        ..Default::default()
    }
    .into()
}

fn config(kind: ResourceKind, resource: &str, name: &str, value: Option<&str>) -> Record {
    ConfigRecord {
        resource_type: kind.0,
        resource_name: resource.into(),
        name: name.into(),
        value: value.map(str::to_owned),
    }
    .into()
}

fn fold(records: &[Record]) -> Image {
    let mut image = Image::new();
    for (offset, record) in (0..).zip(records) {
        image.apply(at(offset), record).expect("applies");
    }
    image
}

#[test]
fn a_change_counts_an_epoch_and_an_election_two() {
    let mut image = fold(&[topic("a", 1), partition(1, 0)]);
    let place = TopicPartition { topic: id(1), partition: 0 };
    let change = PartitionChangeRecord { partition_id: 0, topic_id: id(1), ..Default::default() };
    let election = PartitionChangeRecord { leader: 1, ..change.clone() };
    image.apply(at(5), &change.into()).expect("applies");
    let after = image.partition(place).expect("exists");
    assert_eq!((after.leader_epoch.raw(), after.partition_epoch), (0, 1));
    image.apply(at(6), &election.into()).expect("applies");
    let after = image.partition(place).expect("exists");
    assert_eq!((after.leader_epoch.raw(), after.partition_epoch), (1, 2));
    assert_eq!(after.leader, Some(1), "an election of the same leader counts too");
}

#[test]
fn a_removed_topic_takes_its_configs_along() {
    let image = fold(&[
        topic("a", 1),
        partition(1, 0),
        config(ResourceKind::TOPIC, "a", "retention.ms", Some("1")),
        config(ResourceKind::TOPIC, "b", "retention.ms", Some("2")),
        RemoveTopicRecord { topic_id: id(1) }.into(),
    ]);
    assert_eq!(image.configs(&Resource::topic("a")), None);
    assert_eq!(image.config(&Resource::topic("b"), "retention.ms"), Some("2"));
    assert!(image.topic_named("a").is_none() && image.topic(id(1)).is_none());
    assert_eq!(image.topics_by_name().len(), 0);
}

#[test]
fn a_config_without_value_goes_and_the_last_one_takes_the_resource_along() {
    let image = fold(&[
        config(ResourceKind::BROKER, "", "log.retention.ms", Some("1")),
        config(ResourceKind::BROKER, "", "log.retention.ms", None),
        config(ResourceKind::BROKER, "7", "never.set", None),
    ]);
    assert_eq!(image.resources().len(), 0);
}

#[test]
fn records_about_unknown_things_are_errors() {
    let image = fold(&[topic("a", 1)]);
    for record in [
        partition(2, 0),
        RemoveTopicRecord { topic_id: id(2) }.into(),
        ClearElrRecord { topic_name: "b".into() }.into(),
        PartitionChangeRecord { partition_id: 0, topic_id: id(1), ..Default::default() }.into(),
        UnregisterBrokerRecord { broker_id: 1, broker_epoch: 0 }.into(),
        FenceBrokerRecord { id: 1, epoch: 0 }.into(),
        BrokerRegistrationChangeRecord { broker_id: 1, ..Default::default() }.into(),
        RemoveAccessControlEntryRecord { id: Uuid::ZERO }.into(),
        EndTransactionRecord {}.into(),
        topic("a", 3),
        topic("b", 1),
        FeatureLevelRecord { name: METADATA_VERSION.into(), feature_level: 0 }.into(),
        ProducerIdsRecord { next_producer_id: -1, ..Default::default() }.into(),
    ] {
        let mut copy = image.clone();
        assert!(copy.apply(at(9), &record).is_err(), "{} must be refused", record.name());
    }
}

#[test]
fn an_offset_never_goes_back() {
    let mut image = fold(&[topic("a", 1)]);
    let again = image.apply(at(0), &NoOpRecord {}.into());
    assert_eq!(again, Err(ApplyError::OffsetWentBack { offset: at(0), applied: at(0) }));
}

#[test]
fn a_broker_changes_only_in_its_own_epoch() {
    let register = RegisterBrokerRecord { broker_id: 1, broker_epoch: 7, ..Default::default() };
    let mut image = fold(&[register.into()]);
    assert!(image.broker(1).expect("registered").fenced);
    let unfence = BrokerRegistrationChangeRecord {
        broker_id: 1,
        broker_epoch: 7,
        fenced: -1,
        ..Default::default()
    };
    let stale = BrokerRegistrationChangeRecord { broker_epoch: 6, ..unfence.clone() };
    assert!(image.clone().apply(at(8), &stale.into()).is_err());
    let unknown = BrokerRegistrationChangeRecord { fenced: 2, ..unfence.clone() };
    assert!(image.clone().apply(at(8), &unknown.into()).is_err());
    image.apply(at(8), &unfence.into()).expect("applies");
    assert!(image.broker(1).expect("registered").is_active());
}

#[test]
fn clearing_eligible_leaders_counts_only_where_there_were_any() {
    let mut with = PartitionRecord {
        partition_id: 0,
        topic_id: id(1),
        replicas: vec![1, 2],
        isr: vec![],
        leader_epoch: 3,
        partition_epoch: 4,
        eligible_leader_replicas: Some(vec![2]),
        ..Default::default()
    };
    with.last_known_elr = Some(vec![1]);
    let image = fold(&[
        topic("a", 1),
        with.into(),
        partition(1, 1),
        ClearElrRecord { topic_name: String::new() }.into(),
    ]);
    let partitions = &image.topic(id(1)).expect("exists").partitions;
    assert_eq!(partitions[&0].partition_epoch, 5);
    assert_eq!(partitions[&0].leader_epoch, LeaderEpoch::new(3).expect("valid"));
    assert!(partitions[&0].eligible_leaders.is_empty());
    assert!(partitions[&0].last_known_eligible.is_empty());
    assert_eq!(partitions[&1].partition_epoch, 0);
}

#[test]
fn directories_are_completed_or_must_match_the_replicas() {
    let record = PartitionRecord {
        partition_id: 0,
        topic_id: id(1),
        replicas: vec![1, 2],
        leader_epoch: 0,
        ..Default::default()
    };
    let image = fold(&[topic("a", 1), record.clone().into()]);
    let known = &image.topic(id(1)).expect("exists").partitions[&0];
    assert_eq!(known.directories, [Uuid::ZERO; 2]);
    let odd = PartitionRecord { directories: vec![Uuid::LOST], ..record };
    assert!(fold(&[topic("a", 1)]).apply(at(1), &odd.into()).is_err());
}

#[test]
fn a_transaction_is_seen_at_its_end_or_never() {
    let mut fold = Fold::new();
    fold.apply(at(0), &topic("before", 1)).expect("applies");
    fold.apply(at(1), &BeginTransactionRecord::default().into()).expect("begins");
    fold.apply(at(2), &topic("inside", 2)).expect("applies");
    assert!(fold.image().topic_named("before").is_some());
    assert!(fold.image().topic_named("inside").is_none());
    assert!(fold.in_transaction());
    let mut aborted = fold.clone();
    fold.apply(at(3), &EndTransactionRecord {}.into()).expect("ends");
    assert!(fold.image().topic_named("inside").is_some());
    aborted.apply(at(3), &AbortTransactionRecord::default().into()).expect("aborts");
    assert!(aborted.image().topic_named("inside").is_none());
    for end in [&fold, &aborted] {
        assert_eq!(end.image().applied(), Some(at(3)));
        assert!(!end.in_transaction());
    }
}

#[test]
fn a_transaction_neither_nests_nor_ends_twice_and_a_failed_fold_stays_failed() {
    let begin = Record::from(BeginTransactionRecord::default());
    let end = Record::from(EndTransactionRecord {});
    let mut fold = Fold::new();
    assert_eq!(fold.apply(at(0), &end), Err(FoldError::NoTransaction { offset: at(0) }));
    assert_eq!(fold.apply(at(1), &topic("a", 1)), Err(FoldError::Failed));
    let mut fold = Fold::new();
    fold.apply(at(0), &begin).expect("begins");
    assert_eq!(fold.apply(at(1), &begin), Err(FoldError::NestedTransaction { offset: at(1) }));
}

#[test]
fn a_clone_keeps_its_state_while_the_image_goes_on() {
    let mut image = fold(&[topic("a", 1), partition(1, 0)]);
    let before = image.clone();
    image.apply(at(2), &partition(1, 1)).expect("applies");
    image.apply(at(3), &topic("b", 2)).expect("applies");
    image.apply(at(4), &partition(2, 0)).expect("applies");
    image.apply(at(5), &config(ResourceKind::TOPIC, "a", "flush.ms", Some("1"))).expect("applies");
    assert_eq!(before.topic(id(1)).expect("exists").partitions.len(), 1);
    let changes = image.changes_since(&before);
    assert_eq!(changes.created, [id(2)]);
    assert_eq!(
        changes.partitions,
        [
            (TopicPartition { topic: id(1), partition: 1 }, PartitionChangeKind::Created),
            (TopicPartition { topic: id(2), partition: 0 }, PartitionChangeKind::Created),
        ]
    );
    assert_eq!(changes.configs, [Resource::topic("a")]);
    let back = before.changes_since(&image);
    assert_eq!(back.removed, [id(2)]);
    let kinds: Vec<_> = back.partitions.iter().map(|(_, kind)| *kind).collect();
    assert_eq!(kinds, [PartitionChangeKind::Removed; 2]);
    assert_eq!(image.changes_since(&image.clone()), Changes::default());
}

#[test]
fn an_image_can_be_sent_to_other_threads() {
    fn assert_send_sync<T: Send + Sync>() {}
    assert_send_sync::<Image>();
    assert_send_sync::<Fold>();
}

#[test]
fn metadata_version_comes_first_in_a_snapshot() {
    let image = fold(&[
        FeatureLevelRecord { name: "group.version".into(), feature_level: 1 }.into(),
        FeatureLevelRecord { name: METADATA_VERSION.into(), feature_level: 30 }.into(),
    ]);
    let names: Vec<String> = to_records(&image)
        .into_iter()
        .map(|record| match record {
            Record::FeatureLevel(body) => body.name,
            other => panic!("unexpected {}", other.name()),
        })
        .collect();
    assert_eq!(names, [METADATA_VERSION, "group.version"]);
}
