//! Tests of `controller`.

use record::{Offset, TopicId};

use super::*;
use crate::configs::{ConfigWhy, Node, effective_topic_config};
use crate::image::{Fold, Image, Resource, ResourceKind};
use crate::records::{
    ConfigRecord, Endpoint, FeatureLevelRecord, NO_LEADER, PartitionChangeRecord, Record, Uuid,
};

fn directory() -> Uuid {
    Uuid::from_bytes([8; 16])
}

fn registration(node_id: i32) -> Registration {
    Registration {
        node_id,
        incarnation_id: Uuid::from_bytes([5; 16]),
        endpoints: vec![Endpoint { name: "PLAINTEXT".into(), ..Endpoint::default() }],
        features: supported_features(),
        rack: None,
        directories: vec![Uuid::from_bytes([u8::try_from(7 + node_id).expect("small"); 16])],
    }
}

/// A cluster that decisions are applied to.
struct Cluster {
    fold: Fold,
    next: i64,
}

impl Cluster {
    /// Bootstrapped, with broker 1 registered and unfenced.
    fn new() -> Cluster {
        let mut cluster = Cluster { fold: Fold::new(), next: 0 };
        cluster.write(bootstrap(cluster.image()));
        cluster.join(1);
        cluster
    }

    fn join(&mut self, node_id: i32) {
        let next = Offset::new(self.next).expect("valid");
        let decision = register_broker(self.image(), &registration(node_id), next);
        let epoch = decision.outcomes[0].clone().expect("registers");
        self.write(decision.records);
        let decision = unfence_broker(self.image(), node_id, epoch);
        assert_eq!(decision.outcomes, [Ok(())]);
        self.write(decision.records);
    }

    fn image(&self) -> &Image {
        self.fold.image()
    }

    fn write(&mut self, records: Vec<Record>) {
        for record in records {
            let offset = Offset::new(self.next).expect("valid");
            self.fold.apply(offset, &record).expect("a decision fits its image");
            self.next += 1;
        }
    }

    fn create(&mut self, topics: &[NewTopic]) -> Vec<Result<CreatedTopic, CreateTopicWhy>> {
        let decision = self.decide(topics, false);
        self.write(decision.records);
        decision.outcomes
    }

    fn decide(
        &self,
        topics: &[NewTopic],
        validate_only: bool,
    ) -> Decision<Result<CreatedTopic, CreateTopicWhy>> {
        let mut seed = 0u8;
        create_topics(self.image(), &node(), topics, validate_only, &mut || {
            seed += 1;
            [seed; 16]
        })
    }

    fn why(&self, topic: NewTopic) -> CreateTopicWhy {
        let decision = self.decide(&[topic], false);
        assert!(decision.records.is_empty(), "a refusal writes nothing");
        decision.outcomes[0].clone().expect_err("must be refused")
    }
}

fn node() -> Node {
    Node { id: 1, configs: Default::default() }
}

fn topic(name: &str) -> NewTopic {
    NewTopic {
        name: name.into(),
        num_partitions: -1,
        replication_factor: -1,
        ..NewTopic::default()
    }
}

#[test]
fn a_new_cluster_begins_as_kafkas_does_and_only_once() {
    let cluster = Cluster::new();
    let image = cluster.image();
    assert_eq!(image.metadata_version(), 30);
    assert_eq!(image.feature("transaction.version"), 2);
    assert_eq!(image.feature("share.version"), 0);
    assert_eq!(image.config(&Resource::all_brokers(), "min.insync.replicas"), Some("1"));
    assert!(bootstrap(image).is_empty());
    let broker = image.broker(1).expect("registered");
    assert!(broker.is_active());
    assert_eq!(broker.epoch, 7, "the offset of its record");
}

#[test]
fn a_broker_that_does_not_fit_is_not_registered() {
    let mut cluster = Cluster::new();
    let next = Offset::new(cluster.next).expect("valid");
    let why = |cluster: &Cluster, registration: Registration| {
        let decision = register_broker(cluster.image(), &registration, next);
        assert!(decision.records.is_empty());
        decision.outcomes[0].clone().expect_err("must be refused")
    };
    let base = registration(2);
    let negative = Registration { node_id: -1, ..base.clone() };
    assert_eq!(why(&cluster, negative), BrokerWhy::BadNodeId { node_id: -1 });
    for directories in [vec![], vec![Uuid::LOST], vec![Uuid::from_bytes([9; 16]); 2]] {
        let bad = Registration { directories, ..base.clone() };
        assert_eq!(why(&cluster, bad), BrokerWhy::BadDirectories);
    }
    let foreign = Registration { directories: vec![directory()], ..base.clone() };
    let expected = BrokerWhy::ForeignDirectory { directory: directory(), broker: 1 };
    assert_eq!(why(&cluster, foreign), expected);
    let future = FeatureLevelRecord { name: "group.version".into(), feature_level: 9 };
    cluster.write(vec![future.into()]);
    let expected = BrokerWhy::UnsupportedFeature { name: "group.version".into(), level: 9 };
    assert_eq!(why(&cluster, base), expected);
    let stale = unfence_broker(cluster.image(), 1, 99);
    assert_eq!(stale.outcomes, [Err(BrokerWhy::Stale { node_id: 1, epoch: 99 })]);
    let epoch = cluster.image().broker(1).expect("registered").epoch;
    for expected in [1, 0] {
        let fenced = fence_broker(cluster.image(), 1, epoch);
        assert_eq!((fenced.records.len(), &fenced.outcomes[..]), (expected, &[Ok(())][..]));
        cluster.write(fenced.records);
        assert!(!cluster.image().broker(1).expect("registered").is_active());
    }
}

#[test]
fn a_topic_gets_defaults_a_fresh_id_and_its_configs() {
    let mut cluster = Cluster::new();
    let mut asked = topic("flights");
    asked.configs = vec![("retention.ms".into(), Some("5".into()))];
    let outcomes = cluster.create(&[asked]);
    let created = outcomes[0].as_ref().expect("created");
    assert_eq!((created.num_partitions, created.replication_factor), (1, 1));
    let retention = created.configs.iter().find(|config| config.name == "retention.ms");
    assert_eq!(retention.and_then(|config| config.value.as_deref()), Some("5"));
    let image = cluster.image();
    let topic = image.topic_named("flights").expect("exists");
    assert_eq!(topic.id, created.id);
    let partition = &topic.partitions[&0];
    assert_eq!((partition.leader, &partition.isr[..]), (Some(1), &[1][..]));
    assert_eq!(partition.directories, [directory()]);
    assert_eq!((partition.leader_epoch.raw(), partition.partition_epoch), (0, 0));
    assert_eq!(effective_topic_config(image, &node(), "flights").retention_ms, Some(5));
    let numbered = Node { id: 1, configs: [("num.partitions".into(), "4".into())].into() };
    let more = NewTopic { name: "more".into(), num_partitions: -1, ..NewTopic::default() };
    let more = NewTopic { replication_factor: -1, ..more };
    let decision = create_topics(image, &numbered, &[more], false, &mut || [9; 16]);
    assert_eq!(decision.outcomes[0].as_ref().map(|created| created.num_partitions), Ok(4));
}

#[test]
fn an_id_is_never_given_twice() {
    let mut cluster = Cluster::new();
    let same = &mut || [1u8; 16];
    let topics = [topic("a"), topic("b")];
    let decision = create_topics(cluster.image(), &node(), &topics, false, same);
    cluster.write(decision.records);
    let decision = create_topics(cluster.image(), &node(), &[topic("c")], false, same);
    cluster.write(decision.records);
    assert_eq!(cluster.image().topics().len(), 3);
    for topic in cluster.image().topics() {
        assert!(!topic.id.to_string().starts_with('-') && topic.id != TopicId::ZERO);
    }
}

#[test]
fn names_follow_kafkas_rules() {
    let long = "x".repeat(250);
    for (name, why) in [
        ("", NameWhy::Empty),
        (".", NameWhy::Dots),
        ("..", NameWhy::Dots),
        (long.as_str(), NameWhy::TooLong),
        ("a b", NameWhy::Character),
        ("a/b", NameWhy::Character),
        ("ä", NameWhy::Character),
    ] {
        assert_eq!(check_topic_name(name), Err(why));
    }
    for name in ["a", "...", "A-b_c.9", &long[..249], "__consumer_offsets"] {
        assert_eq!(check_topic_name(name), Ok(()));
    }
    let mut cluster = Cluster::new();
    cluster.create(&[topic("a.b")]);
    let collides = |other: &str| CreateTopicWhy::Name(NameWhy::Collides { other: other.into() });
    assert_eq!(cluster.why(topic("a_b")), collides("a.b"));
    assert_eq!(cluster.why(topic("a.b")), CreateTopicWhy::Exists { name: "a.b".into() });
    assert_eq!(cluster.why(topic("__cluster_metadata")), CreateTopicWhy::Reserved);
    let both = cluster.create(&[topic("c_d.e"), topic("c.d_e")]);
    assert!(both[0].is_ok());
    assert_eq!(both[1], Err(collides("c_d.e")));
}

#[test]
fn numbers_out_of_range_are_refused() {
    let cluster = Cluster::new();
    let with = |num_partitions, replication_factor| {
        cluster.why(NewTopic { num_partitions, replication_factor, ..topic("a") })
    };
    for asked in [0, -2] {
        assert_eq!(with(asked, 1), CreateTopicWhy::PartitionsNotPositive { asked });
    }
    for asked in [0, -2] {
        let why = PlacementWhy::FactorNotPositive { asked };
        assert_eq!(with(1, asked), CreateTopicWhy::Factor(why));
    }
    let why = PlacementWhy::FactorTooLarge { asked: 2, brokers: 1 };
    assert_eq!(with(1, 2), CreateTopicWhy::Factor(why));
    assert_eq!(with(i32::MAX, 1), CreateTopicWhy::TooLarge);
    assert_eq!(with(10_000, 1), CreateTopicWhy::TooLarge);
}

#[test]
fn a_fenced_broker_gets_no_partition() {
    let mut cluster = Cluster::new();
    let next = Offset::new(cluster.next).expect("valid");
    let again = register_broker(cluster.image(), &registration(1), next);
    cluster.write(again.records);
    let why = PlacementWhy::FactorTooLarge { asked: 1, brokers: 0 };
    assert_eq!(cluster.why(topic("a")), CreateTopicWhy::Factor(why));
    let manual = NewTopic { assignment: vec![(0, vec![1])], ..topic("a") };
    let why = PlacementWhy::NoneActive { partition: 0 };
    assert_eq!(cluster.why(manual), CreateTopicWhy::Assignment(why));
}

#[test]
fn partitions_spread_over_brokers() {
    let mut cluster = Cluster::new();
    cluster.join(2);
    cluster.join(3);
    let asked = NewTopic { num_partitions: 4, replication_factor: 2, ..topic("a") };
    cluster.create(&[asked]);
    let topic = cluster.image().topic_named("a").expect("exists");
    let replicas: Vec<&[i32]> =
        topic.partitions.values().map(|partition| &partition.replicas[..]).collect();
    assert_eq!(replicas, [&[1, 2][..], &[2, 3], &[3, 1], &[1, 2]]);
}

#[test]
fn an_assignment_must_be_one() {
    let mut cluster = Cluster::new();
    cluster.join(2);
    let with = |assignment: Vec<(i32, Vec<i32>)>| NewTopic { assignment, ..topic("a") };
    let why = |assignment| match cluster.why(with(assignment)) {
        CreateTopicWhy::Assignment(why) => why,
        other => panic!("unexpected {other}"),
    };
    assert_eq!(why(vec![(0, vec![])]), PlacementWhy::Empty { partition: 0 });
    let twice = PlacementWhy::Duplicate { partition: 0, broker: 1 };
    assert_eq!(why(vec![(0, vec![1, 1])]), twice);
    let unknown = PlacementWhy::UnknownBroker { partition: 1, broker: 9 };
    assert_eq!(why(vec![(0, vec![1]), (1, vec![9])]), unknown);
    assert_eq!(why(vec![(0, vec![1]), (2, vec![1])]), PlacementWhy::Gap { expected: 1 });
    assert_eq!(why(vec![(0, vec![1]), (0, vec![1])]), PlacementWhy::Gap { expected: 1 });
    let factor = PlacementWhy::Factor { partition: 1, found: 2, expected: 1 };
    assert_eq!(why(vec![(0, vec![1]), (1, vec![1, 2])]), factor);
    let counted = NewTopic { num_partitions: 1, ..with(vec![(0, vec![1])]) };
    assert_eq!(cluster.why(counted), CreateTopicWhy::AssignmentAndPartitions);
    let factored = NewTopic { replication_factor: 1, ..with(vec![(0, vec![1])]) };
    assert_eq!(cluster.why(factored), CreateTopicWhy::AssignmentAndFactor);
    let outcomes = cluster.create(&[with(vec![(1, vec![2, 1]), (0, vec![1, 2])])]);
    assert!(outcomes[0].is_ok());
    let topic = cluster.image().topic_named("a").expect("exists");
    assert_eq!(topic.partitions[&1].leader, Some(2));
}

#[test]
fn configs_are_checked_before_a_topic_is_created() {
    let cluster = Cluster::new();
    let with = |name: &str, value: Option<&str>| {
        let configs = vec![(name.to_owned(), value.map(str::to_owned))];
        cluster.why(NewTopic { configs, ..topic("a") })
    };
    assert_eq!(with("flush.ms", None), CreateTopicWhy::NoValue { name: "flush.ms".into() });
    assert!(matches!(
        with("no.such", Some("1")),
        CreateTopicWhy::Config(ConfigWhy::Unknown { .. })
    ));
    let invalid = with("segment.bytes", Some("1"));
    assert!(matches!(invalid, CreateTopicWhy::Config(ConfigWhy::Invalid { .. })));
    let compact = with("cleanup.policy", Some("compact"));
    assert!(matches!(compact, CreateTopicWhy::Config(ConfigWhy::Unsupported { .. })));
    let configs = vec![
        ("min.compaction.lag.ms".to_owned(), Some("9".to_owned())),
        ("max.compaction.lag.ms".to_owned(), Some("8".to_owned())),
    ];
    let conflict = cluster.why(NewTopic { configs, ..topic("a") });
    assert_eq!(conflict, CreateTopicWhy::Config(ConfigWhy::LagConflict { min: 9, max: 8 }));
}

#[test]
fn a_request_that_is_only_checked_writes_nothing() {
    let cluster = Cluster::new();
    let decision = cluster.decide(&[topic("a"), topic("b/")], true);
    assert!(decision.records.is_empty());
    let created = decision.outcomes[0].as_ref().expect("could be created");
    assert_eq!(created.id, TopicId::ZERO);
    assert!(decision.outcomes[1].is_err());
    let repeated = cluster.decide(&[topic("a"), topic("a"), topic("c")], false);
    assert_eq!(repeated.outcomes[0], Err(CreateTopicWhy::Repeated));
    assert_eq!(repeated.outcomes[1], Err(CreateTopicWhy::Repeated));
    assert!(repeated.outcomes[2].is_ok());
}

#[test]
fn configs_that_a_snapshot_kept_of_a_removed_topic_do_not_come_back() {
    let mut cluster = Cluster::new();
    let stray = ConfigRecord {
        resource_type: ResourceKind::TOPIC.0,
        resource_name: "gone".into(),
        name: "retention.ms".into(),
        value: Some("1".into()),
    };
    cluster.write(vec![stray.into()]);
    cluster.create(&[topic("gone")]);
    assert_eq!(cluster.image().configs(&Resource::topic("gone")), None);
}

#[test]
fn topics_are_deleted_by_name_or_id_once() {
    let mut cluster = Cluster::new();
    cluster.create(&[topic("a"), topic("b"), topic("c")]);
    let id = |name: &str| cluster.image().topic_named(name).expect("exists").id;
    let unknown = TopicId::from_bytes([200; 16]);
    let decision = delete_topics(
        cluster.image(),
        &[
            TopicKey::Name("a".into()),
            TopicKey::Id(id("b")),
            TopicKey::Name("c".into()),
            TopicKey::Id(id("c")),
            TopicKey::Name("d".into()),
            TopicKey::Id(unknown),
        ],
    );
    assert_eq!(decision.records.len(), 2);
    assert!(decision.outcomes[0].is_ok() && decision.outcomes[1].is_ok());
    assert_eq!(decision.outcomes[2], Err(DeleteTopicWhy::Repeated));
    assert_eq!(decision.outcomes[3], Err(DeleteTopicWhy::Repeated));
    assert_eq!(decision.outcomes[4], Err(DeleteTopicWhy::UnknownName { name: "d".into() }));
    assert_eq!(decision.outcomes[5], Err(DeleteTopicWhy::UnknownId { id: unknown }));
    cluster.write(decision.records);
    assert_eq!(cluster.image().topics().len(), 1);
}

#[test]
fn partitions_only_grow() {
    let mut cluster = Cluster::new();
    cluster.create(&[NewTopic { num_partitions: 2, ..topic("a") }]);
    let more = |count, assignments: Option<Vec<Vec<i32>>>| MorePartitions {
        topic: "a".into(),
        count,
        assignments,
    };
    let why = |more: MorePartitions| {
        create_partitions(cluster.image(), &[more], false).outcomes[0].clone().expect_err("refused")
    };
    assert_eq!(why(more(2, None)), CreatePartitionsWhy::SameCount { count: 2 });
    assert_eq!(why(more(-1, None)), CreatePartitionsWhy::Fewer { current: 2, asked: -1 });
    assert_eq!(why(more(i32::MAX, None)), CreatePartitionsWhy::TooLarge);
    let count = CreatePartitionsWhy::AssignmentCount { expected: 2, found: 1 };
    assert_eq!(why(more(4, Some(vec![vec![1]]))), count);
    let unknown = PlacementWhy::UnknownBroker { partition: 2, broker: 9 };
    assert_eq!(why(more(3, Some(vec![vec![9]]))), CreatePartitionsWhy::Assignment(unknown));
    let other = MorePartitions { topic: "b".into(), ..more(3, None) };
    assert_eq!(why(other), CreatePartitionsWhy::UnknownTopic { name: "b".into() });
    let checked = create_partitions(cluster.image(), &[more(4, None)], true);
    assert_eq!((checked.records.len(), &checked.outcomes[..]), (0, &[Ok(())][..]));
    let twice = create_partitions(cluster.image(), &[more(4, None), more(5, None)], false);
    assert_eq!(
        twice.outcomes,
        [Err(CreatePartitionsWhy::Repeated), Err(CreatePartitionsWhy::Repeated)]
    );
    let decision = create_partitions(cluster.image(), &[more(4, Some(vec![vec![1]; 2]))], false);
    cluster.write(decision.records);
    assert_eq!(cluster.image().topic_named("a").map(|topic| topic.partitions.len()), Some(4));
}

/// Changes, and what is set afterwards.
type Step<'a> = (&'a [Change<'a>], &'a [(&'a str, &'a str)]);

/// Name, operation, value.
type Change<'a> = (&'a str, AlterOp, Option<&'a str>);

fn incremental(
    resource: Resource,
    changes: &[Change<'_>],
) -> AlterRequest<(AlterOp, Option<String>)> {
    let change =
        |(name, op, value): &Change<'_>| ((*name).to_owned(), (*op, value.map(str::to_owned)));
    AlterRequest { resource, changes: changes.iter().map(change).collect() }
}

#[test]
fn incremental_changes_leave_the_rest_alone() {
    let mut cluster = Cluster::new();
    cluster.create(&[topic("a")]);
    let a = Resource::topic("a");
    let steps: [Step<'_>; 6] = [
        (&[("flush.ms", AlterOp::Set, Some("1"))], &[("flush.ms", "1")]),
        (
            &[
                ("retention.ms", AlterOp::Set, Some("2")),
                ("leader.replication.throttled.replicas", AlterOp::Append, Some("0:1")),
            ],
            &[
                ("flush.ms", "1"),
                ("leader.replication.throttled.replicas", "0:1"),
                ("retention.ms", "2"),
            ],
        ),
        (
            &[("leader.replication.throttled.replicas", AlterOp::Append, Some("1:1,0:1"))],
            &[
                ("flush.ms", "1"),
                ("leader.replication.throttled.replicas", "0:1,1:1"),
                ("retention.ms", "2"),
            ],
        ),
        (
            &[("leader.replication.throttled.replicas", AlterOp::Subtract, Some("0:1"))],
            &[
                ("flush.ms", "1"),
                ("leader.replication.throttled.replicas", "1:1"),
                ("retention.ms", "2"),
            ],
        ),
        (
            &[
                ("retention.ms", AlterOp::Delete, None),
                ("leader.replication.throttled.replicas", AlterOp::Delete, None),
            ],
            &[("flush.ms", "1")],
        ),
        (
            &[("cleanup.policy", AlterOp::Subtract, Some("delete"))],
            &[("cleanup.policy", ""), ("flush.ms", "1")],
        ),
    ];
    for (changes, expected) in steps {
        let request = incremental(a.clone(), changes);
        let decision = incremental_alter_configs(cluster.image(), &[request], false);
        assert_eq!(decision.outcomes, [Ok(())]);
        cluster.write(decision.records);
        let configs = cluster.image().configs(&a).expect("some are set");
        let configs: Vec<(&str, &str)> =
            configs.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(configs, expected);
    }
    let same = incremental(a, &[("flush.ms", AlterOp::Set, Some("1"))]);
    let decision = incremental_alter_configs(cluster.image(), &[same], false);
    assert!(decision.records.is_empty(), "what is the same is not written again");
}

#[test]
fn a_whole_change_takes_away_what_it_does_not_name() {
    let mut cluster = Cluster::new();
    cluster.create(&[topic("a")]);
    let whole = |changes: &[(&str, Option<&str>)]| AlterRequest {
        resource: Resource::topic("a"),
        changes: changes
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.map(str::to_owned)))
            .collect(),
    };
    let first = whole(&[("flush.ms", Some("1")), ("retention.ms", Some("2"))]);
    let decision = alter_configs(cluster.image(), &[first], false);
    cluster.write(decision.records);
    let second = whole(&[("flush.ms", Some("3"))]);
    let checked = alter_configs(cluster.image(), std::slice::from_ref(&second), true);
    assert_eq!((checked.records.len(), &checked.outcomes[..]), (0, &[Ok(())][..]));
    let decision = alter_configs(cluster.image(), &[second], false);
    cluster.write(decision.records);
    let configs = cluster.image().configs(&Resource::topic("a")).expect("one is set");
    assert_eq!((configs.len(), configs["flush.ms"].as_str()), (1, "3"));
    let none = alter_configs(cluster.image(), &[whole(&[("flush.ms", None)])], false);
    assert_eq!(none.outcomes, [Err(AlterWhy::NoValue { name: "flush.ms".into() })]);
}

#[test]
fn a_change_that_cannot_be_leaves_its_resource_alone() {
    let mut cluster = Cluster::new();
    cluster.create(&[topic("a")]);
    let why = |resource: Resource, changes: &[Change<'_>]| {
        let request = incremental(resource, changes);
        let decision = incremental_alter_configs(cluster.image(), &[request], false);
        assert!(decision.records.is_empty());
        decision.outcomes[0].clone().expect_err("must be refused")
    };
    let set = |name| [("flush.ms", AlterOp::Set, Some("1")), (name, AlterOp::Set, Some("x"))];
    let a = || Resource::topic("a");
    assert!(matches!(why(a(), &set("no.such")), AlterWhy::Config(ConfigWhy::Unknown { .. })));
    assert!(matches!(why(a(), &set("retention.ms")), AlterWhy::Config(ConfigWhy::Invalid { .. })));
    let twice = AlterWhy::RepeatedConfig { name: "flush.ms".into() };
    assert_eq!(why(a(), &set("flush.ms")), twice);
    let append = [("flush.ms", AlterOp::Append, Some("1"))];
    assert_eq!(why(a(), &append), AlterWhy::NotAList { name: "flush.ms".into() });
    let compact = [("cleanup.policy", AlterOp::Append, Some("compact"))];
    assert!(matches!(why(a(), &compact), AlterWhy::Config(ConfigWhy::Unsupported { .. })));
    let no_value = [("flush.ms", AlterOp::Set, None)];
    assert_eq!(why(a(), &no_value), AlterWhy::NoValue { name: "flush.ms".into() });
    let one = [("flush.ms", AlterOp::Set, Some("1"))];
    let unknown = AlterWhy::UnknownTopic { name: "b".into() };
    assert_eq!(why(Resource::topic("b"), &one), unknown);
    assert_eq!(why(Resource::broker(7), &one), AlterWhy::UnknownBroker { node_id: 7 });
    let named = Resource { kind: ResourceKind::BROKER, name: "one".into() };
    assert_eq!(why(named, &one), AlterWhy::NotANode { name: "one".into() });
    let group = Resource { kind: ResourceKind::GROUP, name: "g".into() };
    assert_eq!(why(group, &one), AlterWhy::Kind { kind: ResourceKind::GROUP });
    let read_only = [("num.partitions", AlterOp::Set, Some("3"))];
    let refused = why(Resource::broker(1), &read_only);
    assert!(matches!(refused, AlterWhy::Config(ConfigWhy::ReadOnly { .. })));
}

#[test]
fn resources_are_altered_one_by_one() {
    let mut cluster = Cluster::new();
    cluster.create(&[topic("a")]);
    let ms = |name, value| [(name, AlterOp::Set, Some(value))];
    let requests = [
        incremental(Resource::topic("a"), &ms("flush.ms", "x")),
        incremental(Resource::all_brokers(), &ms("log.retention.ms", "7")),
        incremental(Resource::broker(1), &ms("log.flush.interval.ms", "8")),
    ];
    let decision = incremental_alter_configs(cluster.image(), &requests, false);
    assert!(decision.outcomes[0].is_err());
    assert_eq!(decision.outcomes[1..], [Ok(()), Ok(())]);
    cluster.write(decision.records);
    let config = effective_topic_config(cluster.image(), &node(), "a");
    assert_eq!((config.retention_ms, config.flush_ms), (Some(7), 8));
    let twice = [requests[1].clone(), requests[1].clone()];
    let decision = incremental_alter_configs(cluster.image(), &twice, false);
    assert_eq!(decision.outcomes, [Err(AlterWhy::Repeated), Err(AlterWhy::Repeated)]);
}

#[test]
fn eligible_leaders_restrict_and_are_forgotten_with_the_least_in_sync() {
    let mut cluster = Cluster::new();
    cluster.create(&[topic("a")]);
    let min = |resource, op, value| incremental(resource, &[("min.insync.replicas", op, value)]);
    let decide =
        |cluster: &Cluster, request| incremental_alter_configs(cluster.image(), &[request], false);
    let one = decide(&cluster, min(Resource::broker(1), AlterOp::Set, Some("2")));
    assert_eq!(one.outcomes, [Err(ConfigWhy::MinInsyncOfOneBroker.into())]);
    let removed = decide(&cluster, min(Resource::all_brokers(), AlterOp::Delete, None));
    assert_eq!(removed.outcomes, [Err(ConfigWhy::MinInsyncRemoved.into())]);
    let without = decide(&cluster, min(Resource::all_brokers(), AlterOp::Set, Some("2")));
    assert_eq!(without.records.len(), 1, "no set to forget");
    let topic = cluster.image().topic_named("a").expect("exists").id;
    let change = PartitionChangeRecord {
        partition_id: 0,
        topic_id: topic,
        eligible_leader_replicas: Some(vec![1]),
        ..PartitionChangeRecord::default()
    };
    cluster.write(vec![change.into()]);
    let with = decide(&cluster, min(Resource::topic("a"), AlterOp::Set, Some("2")));
    assert_eq!(with.records.len(), 2);
    cluster.write(with.records);
    let partition = &cluster.image().topic(topic).expect("exists").partitions[&0];
    assert!(partition.eligible_leaders.is_empty());
}

#[test]
fn producer_ids_come_in_blocks_that_never_overlap() {
    let mut cluster = Cluster::new();
    let epoch = cluster.image().broker(1).expect("registered").epoch;
    for n in 0..3 {
        let decision = allocate_producer_ids(cluster.image(), 1, epoch);
        assert_eq!(decision.outcomes, [Ok(ProducerIdBlock { first: n * 1000, count: 1000 })]);
        cluster.write(decision.records);
    }
    let stale = allocate_producer_ids(cluster.image(), 1, epoch + 1);
    let why = ProducerIdsWhy::StaleBroker { broker: 1, epoch: epoch + 1 };
    assert_eq!((stale.records.len(), &stale.outcomes[..]), (0, &[Err(why)][..]));
    let last = crate::records::ProducerIdsRecord {
        next_producer_id: i64::MAX - 999,
        ..Default::default()
    };
    cluster.write(vec![last.into()]);
    let none = allocate_producer_ids(cluster.image(), 1, epoch);
    assert_eq!(none.outcomes, [Err(ProducerIdsWhy::Exhausted)]);
}

#[test]
fn every_partition_gets_a_new_epoch_after_an_unclean_stop_and_none_after_a_clean_one() {
    let mut cluster = Cluster::new();
    cluster.create(&[NewTopic { num_partitions: 3, ..topic("a") }]);
    assert!(elect_at_start(cluster.image(), 1, directory(), Start::Clean).is_empty());
    let records = elect_at_start(cluster.image(), 1, directory(), Start::Unclean);
    assert_eq!(records.len(), 3);
    cluster.write(records);
    for partition in cluster.image().topic_named("a").expect("exists").partitions.values() {
        assert_eq!((partition.leader, partition.leader_epoch.raw()), (Some(1), 1));
    }
}

#[test]
fn a_partition_that_kafka_left_without_leader_is_led_again() {
    let mut cluster = Cluster::new();
    cluster.create(&[topic("a")]);
    let id = cluster.image().topic_named("a").expect("exists").id;
    let fenced = PartitionChangeRecord {
        partition_id: 0,
        topic_id: id,
        leader: NO_LEADER,
        isr: Some(vec![]),
        eligible_leader_replicas: Some(vec![1]),
        last_known_elr: Some(vec![1]),
        leader_recovery_state: 1,
        directories: Some(vec![Uuid::UNASSIGNED]),
        ..PartitionChangeRecord::default()
    };
    cluster.write(vec![fenced.into()]);
    let records = elect_at_start(cluster.image(), 1, directory(), Start::Clean);
    cluster.write(records);
    let partition = &cluster.image().topic(id).expect("exists").partitions[&0];
    assert_eq!((partition.leader, &partition.isr[..]), (Some(1), &[1][..]));
    assert!(partition.eligible_leaders.is_empty() && partition.last_known_eligible.is_empty());
    assert_eq!(partition.directories, [directory()]);
    assert_eq!(partition.leader_epoch.raw(), 2);
    assert!(elect_at_start(cluster.image(), 1, directory(), Start::Clean).is_empty());
    assert!(elect_at_start(cluster.image(), 2, directory(), Start::Unclean).is_empty());
}
