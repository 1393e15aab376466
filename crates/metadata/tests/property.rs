//! Random streams of valid records: an image equals the image of its own snapshot, and counts its
//! epochs as a simple model does. Random bytes: never a panic, and what is read is written back.

use std::collections::BTreeMap;

use evenkeel_metadata::image::{Fold, Image, to_records};
use evenkeel_metadata::kafka_files;
use evenkeel_metadata::log::snapshot::{self, SnapshotId};
use evenkeel_metadata::log::{Quorum, Replay, Stamp, batches, read_batch};
use evenkeel_metadata::records::*;
use proptest::prelude::*;
use record::{LeaderEpoch, Offset, TopicId};

/// What a random step asks for; it becomes a record that is valid at its place.
#[derive(Clone, Copy, Debug)]
struct Step {
    kind: u8,
    a: u8,
    b: u8,
    c: u8,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = (0u8..20, any::<u8>(), any::<u8>(), any::<u8>());
    prop::collection::vec(step.prop_map(|(kind, a, b, c)| Step { kind, a, b, c }), 1..80)
}

/// The model: topics by number, and of each partition the leader epoch and partition epoch.
#[derive(Default)]
struct Model {
    topics: BTreeMap<u8, BTreeMap<i32, (i32, i32)>>,
    rules: Vec<u8>,
    brokers: BTreeMap<i32, i64>,
}

fn topic_id(n: u8) -> TopicId {
    TopicId::from_bytes([n; 16])
}

fn uuid(n: u8) -> Uuid {
    Uuid::from_bytes([n; 16])
}

fn ids(n: u8) -> Vec<i32> {
    (0..i32::from(n % 3) + 1).collect()
}

fn some_ids(n: u8) -> Option<Vec<i32>> {
    (!n.is_multiple_of(4)).then(|| (1..i32::from(n % 4)).collect())
}

impl Model {
    /// The record of a step, or nothing if the step has no meaning now.
    fn record(&mut self, step: Step, offset: i64) -> Option<Record> {
        match step.kind {
            0..=2 => self.add_topic(step.a % 6),
            3..=5 => self.add_partition(step),
            6..=8 => self.change_partition(step),
            9 => self.remove_topic(step.a),
            10 => self.clear_elr(),
            11 => Some(self.register(step, offset)),
            12 => self.change_broker(step),
            13 => self.rule(step),
            _ => Some(simple(step)),
        }
    }

    fn add_topic(&mut self, n: u8) -> Option<Record> {
        if self.topics.contains_key(&n) {
            return None;
        }
        self.topics.insert(n, BTreeMap::new());
        Some(TopicRecord { name: format!("topic.{n}"), topic_id: topic_id(n) }.into())
    }

    fn any_topic(&self, n: u8) -> Option<u8> {
        self.topics.keys().nth(usize::from(n) % self.topics.len().max(1)).copied()
    }

    fn add_partition(&mut self, step: Step) -> Option<Record> {
        let topic = self.any_topic(step.a)?;
        let partition_id = i32::from(step.b % 5);
        let epochs = (i32::from(step.c), i32::from(step.b));
        self.topics.get_mut(&topic)?.insert(partition_id, epochs);
        let replicas = ids(step.c);
        let record = PartitionRecord {
            partition_id,
            topic_id: topic_id(topic),
            isr: vec![replicas[0]],
            leader: i32::from(step.b % 4) - 1,
            leader_recovery_state: i8::from(step.c.is_multiple_of(2)),
            leader_epoch: epochs.0,
            partition_epoch: epochs.1,
            directories: if step.b.is_multiple_of(2) {
                Vec::new()
            } else {
                replicas.iter().map(|_| uuid(step.c | 1)).collect()
            },
            replicas,
            eligible_leader_replicas: some_ids(step.a),
            last_known_elr: some_ids(step.b),
            ..PartitionRecord::default()
        };
        Some(record.into())
    }

    fn change_partition(&mut self, step: Step) -> Option<Record> {
        let topic = self.any_topic(step.a)?;
        let partitions = self.topics.get_mut(&topic)?;
        let places = partitions.len().max(1);
        let (partition_id, epochs) = partitions.iter_mut().nth(usize::from(step.b) % places)?;
        let leader = i32::from(step.c % 5) - 2;
        epochs.0 += i32::from(leader != NO_LEADER_CHANGE);
        epochs.1 += 1;
        let record = PartitionChangeRecord {
            partition_id: *partition_id,
            topic_id: topic_id(topic),
            isr: some_ids(step.b),
            leader,
            adding_replicas: some_ids(step.c),
            leader_recovery_state: i8::try_from(step.c % 3).expect("small") - 1,
            eligible_leader_replicas: some_ids(step.a),
            ..PartitionChangeRecord::default()
        };
        Some(record.into())
    }

    fn remove_topic(&mut self, n: u8) -> Option<Record> {
        let topic = self.any_topic(n)?;
        self.topics.remove(&topic);
        Some(RemoveTopicRecord { topic_id: topic_id(topic) }.into())
    }

    /// Only where nothing is to be cleared, since the model does not know those sets.
    fn clear_elr(&mut self) -> Option<Record> {
        let (topic, _) = self.topics.iter().find(|(_, partitions)| partitions.is_empty())?;
        Some(ClearElrRecord { topic_name: format!("topic.{topic}") }.into())
    }

    fn register(&mut self, step: Step, offset: i64) -> Record {
        let broker_id = i32::from(step.a % 3);
        self.brokers.insert(broker_id, offset);
        RegisterBrokerRecord {
            broker_id,
            incarnation_id: uuid(step.b),
            broker_epoch: offset,
            end_points: vec![Endpoint { name: "P".into(), port: 9092, ..Endpoint::default() }],
            rack: (step.c.is_multiple_of(2)).then(|| "r".to_owned()),
            log_dirs: vec![uuid(step.c)],
            cordoned_log_dirs: (step.b.is_multiple_of(2)).then(Vec::new),
            ..RegisterBrokerRecord::default()
        }
        .into()
    }

    fn change_broker(&mut self, step: Step) -> Option<Record> {
        let places = self.brokers.len().max(1);
        let (&broker_id, &broker_epoch) = self.brokers.iter().nth(usize::from(step.a) % places)?;
        let record = BrokerRegistrationChangeRecord {
            broker_id,
            broker_epoch,
            fenced: i8::try_from(step.b % 3).expect("small") - 1,
            in_controlled_shutdown: i8::from(step.c.is_multiple_of(2)),
            log_dirs: if step.c.is_multiple_of(3) { vec![uuid(step.a)] } else { Vec::new() },
            cordoned_log_dirs: (step.b.is_multiple_of(2)).then(|| vec![uuid(step.b)]),
        };
        Some(record.into())
    }

    fn rule(&mut self, step: Step) -> Option<Record> {
        if step.b.is_multiple_of(2) || self.rules.is_empty() {
            self.rules.retain(|known| *known != step.a);
            self.rules.push(step.a);
            let record = AccessControlEntryRecord { id: uuid(step.a), ..Default::default() };
            return Some(record.into());
        }
        let id = uuid(self.rules.pop()?);
        Some(RemoveAccessControlEntryRecord { id }.into())
    }
}

/// Records that are valid anywhere.
fn simple(step: Step) -> Record {
    let name = format!("n{}", step.b % 4);
    match step.kind {
        14 | 15 => ConfigRecord {
            resource_type: [2, 4, 16][usize::from(step.a % 3)],
            resource_name: format!("topic.{}", step.a % 6),
            name,
            value: (!step.c.is_multiple_of(3)).then(|| step.c.to_string()),
        }
        .into(),
        16 => {
            let entity_name = (step.a.is_multiple_of(2)).then(|| name.clone());
            let entity = QuotaEntity { entity_type: "user".into(), entity_name };
            let value = f64::from(step.c);
            let remove = step.c.is_multiple_of(3);
            ClientQuotaRecord { entity: vec![entity], key: name, value, remove }.into()
        }
        17 => {
            let mechanism = i8::from(step.c.is_multiple_of(2));
            if step.a.is_multiple_of(2) {
                return RemoveUserScramCredentialRecord { name, mechanism }.into();
            }
            let salt = vec![step.c];
            UserScramCredentialRecord { name, mechanism, salt, ..Default::default() }.into()
        }
        18 => FeatureLevelRecord { name, feature_level: i16::from(step.c % 3) }.into(),
        _ => ProducerIdsRecord { next_producer_id: i64::from(step.c), ..Default::default() }.into(),
    }
}

/// The records of the steps, behind the metadata version, and the model after them.
fn stream(steps: &[Step]) -> (Vec<Record>, Model) {
    let mut model = Model::default();
    let first = FeatureLevelRecord { name: "metadata.version".into(), feature_level: 30 };
    let mut records = vec![Record::from(first)];
    for step in steps {
        let offset = i64::try_from(records.len()).expect("few");
        records.extend(model.record(*step, offset));
    }
    (records, model)
}

fn offset(place: usize) -> Offset {
    Offset::new(i64::try_from(place).expect("few")).expect("not negative")
}

fn fold(records: &[Record]) -> Image {
    let mut fold = Fold::new();
    for (place, record) in records.iter().enumerate() {
        fold.apply(offset(place), record).expect("a valid stream");
    }
    fold.image().clone()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn an_image_equals_the_image_of_its_snapshot(steps in steps()) {
        let (records, _) = stream(&steps);
        let image = fold(&records);
        let id = SnapshotId { end: offset(records.len()), epoch: LeaderEpoch::ZERO };
        let quorum = Quorum { epoch: Some(LeaderEpoch::ZERO), ..Quorum::default() };
        let bytes = snapshot::write(&image, &quorum, id, 1, 2).expect("encodes");
        prop_assert_eq!(snapshot::read(&bytes, id), Ok((image.clone(), quorum)));
        prop_assert_eq!(to_records(&fold(&to_records(&image))), to_records(&image));
    }

    #[test]
    fn an_image_holds_what_the_model_holds(steps in steps()) {
        let (records, model) = stream(&steps);
        let image = fold(&records);
        let topics: BTreeMap<u8, BTreeMap<i32, (i32, i32)>> = image
            .topics()
            .map(|topic| {
                let epochs = topic.partitions.iter().map(|(index, partition)| {
                    (*index, (partition.leader_epoch.raw(), partition.partition_epoch))
                });
                (topic.id.bytes()[0], epochs.collect())
            })
            .collect();
        prop_assert_eq!(&topics, &model.topics);
        prop_assert_eq!(image.topics_by_name().len(), topics.len());
        for topic in image.topics() {
            prop_assert_eq!(image.topic_named(&topic.name), Some(topic));
        }
        let brokers: BTreeMap<i32, i64> =
            image.brokers().values().map(|broker| (broker.id, broker.epoch)).collect();
        prop_assert_eq!(brokers, model.brokers);
        prop_assert_eq!(image.access().rules.len(), model.rules.len());
    }

    #[test]
    fn every_record_comes_back_from_its_bytes(steps in steps()) {
        for record in stream(&steps).0 {
            let version = record.version_at(30);
            let mut bytes = Vec::new();
            record.encode(version, &mut bytes).expect("encodes");
            prop_assert_eq!(Record::decode(&bytes), Ok((record, version)));
        }
    }

    #[test]
    fn a_log_replays_into_the_same_image(steps in steps(), cut in any::<prop::sample::Index>()) {
        let (records, _) = stream(&steps);
        let stamp = Stamp { base: Offset::ZERO, epoch: LeaderEpoch::ZERO, now_ms: 5 };
        let log = batches(&records, 30, stamp).expect("encodes");
        let bytes: Vec<u8> = log.into_iter().flat_map(|(_, batch)| batch).collect();
        let mut replay = Replay::new();
        prop_assert_eq!(replay.batches(&bytes), Ok(bytes.len()));
        prop_assert_eq!(replay.image(), &fold(&records));
        let torn = &bytes[..cut.index(bytes.len())];
        prop_assert_eq!(Replay::new().batches(torn), Ok(0), "one batch counts whole or not at all");
    }

    #[test]
    fn what_changed_is_found(steps in steps(), cut in any::<prop::sample::Index>()) {
        let (records, _) = stream(&steps);
        let cut = cut.index(records.len());
        let (before, after) = (fold(&records[..cut]), fold(&records));
        let changes = after.changes_since(&before);
        let places = |image: &Image| -> Vec<_> {
            image
                .topics()
                .flat_map(|topic| topic.partitions.keys().map(|index| record::TopicPartition {
                    topic: topic.id,
                    partition: *index,
                }).collect::<Vec<_>>())
                .collect()
        };
        let mut all = [places(&before), places(&after)].concat();
        all.sort();
        all.dedup();
        let differ: Vec<_> = all
            .into_iter()
            .filter(|place| before.partition(*place) != after.partition(*place))
            .collect();
        let found: Vec<_> = changes.partitions.iter().map(|(place, _)| *place).collect();
        prop_assert_eq!(found, differ);
    }

    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Ok((record, version)) = Record::decode(&bytes) {
            let mut again = Vec::new();
            record.encode(version, &mut again).expect("what was read can be written");
            prop_assert_eq!(Record::decode(&again), Ok((record, version)));
        }
        let framed = [&[1, bytes.first().map_or(0, |b| b % 29), 0][..], &bytes].concat();
        let _ = Record::decode(&framed);
        let _ = ControlRecord::decode(&[0, 0, 0, bytes.first().map_or(2, |b| b % 7)], &bytes);
        let _ = read_batch(&bytes);
        let _ = kafka_files::decode_offsets(&bytes);
        let _ = kafka_files::decode_leader_epochs(&bytes);
        let _ = kafka_files::decode_meta_properties(&bytes);
        let _ = kafka_files::decode_partition_metadata(&bytes);
        let _ = kafka_files::decode_clean_shutdown(&bytes);
    }

    #[test]
    fn random_text_never_panics(text in "[0-9a-z=:\\\\u #!\\n]{0,60}") {
        let _ = kafka_files::decode_meta_properties(text.as_bytes());
        let _ = kafka_files::decode_offsets(format!("0\n1\n{text}").as_bytes());
        let _ = kafka_files::decode_leader_epochs(format!("0\n1\n{text}").as_bytes());
    }
}
