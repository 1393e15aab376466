//! Files of Apache Kafka 4.3.1 against this crate: what it wrote is read, folded, and written back.

use evenkeel_metadata::configs::{DescribedSynonym, Node, Source, describe_topic};
use evenkeel_metadata::image::{Resource, to_records};
use evenkeel_metadata::log::snapshot::{self, SnapshotId};
use evenkeel_metadata::log::{Entry, Replay, Stamp, batch_of_versions, control_batch, read_batch};
use record::{Batches, LeaderEpoch, Offset};

macro_rules! fixture {
    ($name:literal) => {
        include_bytes!(concat!("../fixtures/kafka-4.3.1/", $name))
    };
}

const LOG: &[u8] = fixture!("00000000000000000000.log");
const SNAPSHOT: &[u8] = fixture!("00000000000000000086-0000000002.checkpoint");
const FIRST_SNAPSHOT: &[u8] = fixture!("00000000000000000000-0000000000.checkpoint");
const CONFIGS: &str = include_str!("../fixtures/kafka-4.3.1/flights.configs");
const BOOTSTRAP: &[u8] = fixture!("bootstrap.checkpoint");

fn snapshot_id() -> SnapshotId {
    SnapshotId::from_file_name("00000000000000000086-0000000002.checkpoint").expect("a name")
}

/// Every batch decoded and encoded again, byte for byte.
fn assert_comes_back(file: &[u8]) -> usize {
    let mut records = 0;
    for next in Batches::new(file) {
        let (_, batch) = next.expect("whole batches");
        let (header, entries) = read_batch(batch).expect("reads");
        records += entries.len();
        let stamp = Stamp {
            base: header.base_offset,
            epoch: LeaderEpoch::new(header.leader_epoch).expect("an epoch"),
            now_ms: header.base_timestamp_ms,
        };
        let again = if header.is_control() {
            let control: Vec<_> = entries
                .into_iter()
                .map(|(_, entry)| match entry {
                    Entry::Control(record) => record,
                    Entry::Data(record, _) => panic!("{} in a control batch", record.name()),
                })
                .collect();
            control_batch(&control, stamp).expect("encodes")
        } else {
            let data = entries.iter().map(|(_, entry)| match entry {
                Entry::Data(record, version) => (record, *version),
                Entry::Control(_) => panic!("a control record in a data batch"),
            });
            batch_of_versions(data, stamp).expect("encodes")
        };
        assert_eq!(again, batch, "batch at {}", header.base_offset);
    }
    records
}

#[test]
fn every_batch_of_kafka_comes_back_byte_for_byte() {
    assert_eq!(assert_comes_back(LOG), 99);
    assert_eq!(assert_comes_back(SNAPSHOT), 33);
    assert_eq!(assert_comes_back(FIRST_SNAPSHOT), 4);
    assert!(assert_comes_back(BOOTSTRAP) >= 6);
}

#[test]
fn the_log_folds_into_what_was_done() {
    let mut replay = Replay::new();
    assert_eq!(replay.batches(LOG), Ok(LOG.len()));
    let image = replay.image();
    assert_eq!(image.metadata_version(), 30);
    assert_eq!(image.feature("eligible.leader.replicas.version"), 1);
    assert_eq!(image.feature("share.version"), 0);
    let names: Vec<(&str, usize)> =
        image.topics_by_name().map(|topic| (topic.name.as_ref(), topic.partitions.len())).collect();
    assert_eq!(names, [("compacted.topic", 1), ("flights", 5), ("manual", 2)]);
    let flights = Resource::topic("flights");
    assert_eq!(image.config(&flights, "compression.type"), Some("zstd"));
    assert_eq!(image.config(&flights, "retention.ms"), None, "it was deleted");
    assert_eq!(image.configs(&Resource::topic("gone")), None);
    assert_eq!(image.config(&Resource::broker(1), "log.cleaner.threads"), Some("2"));
    assert_eq!(image.config(&Resource::all_brokers(), "log.retention.ms"), Some("3600000"));
    assert_eq!(image.next_producer_id(), Some(1000));
    assert_eq!(image.access().rules.len(), 1);
    assert_eq!(image.access().scram.len(), 1);
    let quotas: Vec<f64> =
        image.quotas().values().flat_map(|quotas| quotas.values().copied()).collect();
    assert!(quotas.len() <= 1, "the second one was deleted: {quotas:?}");
    let quorum = replay.quorum();
    assert_eq!((quorum.kraft_version, quorum.leader), (1, Some(1)));
    assert_eq!(quorum.epoch, LeaderEpoch::new(2));
}

/// Kafka keeps the configuration of a topic that was created and removed while one image was
/// built (here: `gone`), which is its fault and no rule; everything else is equal.
#[test]
fn the_log_up_to_a_snapshot_folds_into_the_image_of_the_snapshot() {
    let mut replay = Replay::new();
    for next in Batches::new(LOG) {
        let (header, batch) = next.expect("whole batches");
        if header.base_offset < snapshot_id().end {
            replay.batch(batch).expect("fits");
        }
    }
    let (of_snapshot, quorum) = snapshot::read(SNAPSHOT, snapshot_id()).expect("reads");
    assert_eq!(replay.next(), Some(snapshot_id().end));
    assert_eq!(of_snapshot.applied(), replay.image().applied());
    assert_eq!(
        &quorum,
        &evenkeel_metadata::log::Quorum { leader: None, ..replay.quorum().clone() }
    );
    let is_stray = |record: &evenkeel_metadata::Record| matches!(record, evenkeel_metadata::Record::Config(config) if config.resource_name == "gone");
    let mut ours = to_records(replay.image());
    let mut theirs = to_records(&of_snapshot);
    assert!(theirs.iter().any(is_stray));
    theirs.retain(|record| !is_stray(record));
    for record in ours.iter_mut().chain(&mut theirs) {
        if let evenkeel_metadata::Record::RegisterBroker(broker) = record {
            broker.features.sort_by(|a, b| a.name.cmp(&b.name));
        }
        if let evenkeel_metadata::Record::RegisterController(controller) = record {
            controller.features.sort_by(|a, b| a.name.cmp(&b.name));
        }
    }
    assert_eq!(ours, theirs);
}

/// Value, and every layer that has one but the defaults: Kafka tells those of some names only.
#[test]
fn the_configs_of_a_topic_are_told_as_kafka_tells_them() {
    let mut replay = Replay::new();
    replay.batches(LOG).expect("fits");
    let node = Node { id: 1, ..Node::default() };
    let described = describe_topic(replay.image(), &node, "flights", None);
    let is_default = |synonym: &&DescribedSynonym| synonym.source == Source::Default;
    let ours: Vec<String> = described
        .iter()
        .filter(|config| config.name != "write.caching")
        .map(|config| {
            let layers = config.synonyms.iter().filter(|synonym| !is_default(synonym));
            let layers: Vec<String> = layers
                .map(|synonym| {
                    let value = synonym.value.as_deref().unwrap_or("null");
                    format!("{}:{}={value}", name_of(synonym.source), synonym.name)
                })
                .collect();
            let value = config.value.as_deref().unwrap_or("null");
            format!("{}={value} {}", config.name, layers.join(", "))
        })
        .collect();
    let theirs: Vec<String> = CONFIGS
        .lines()
        .skip(1)
        .map(|line| {
            let (value, rest) = line.trim().split_once(" sensitive=false").expect("a config");
            let (_, layers) = rest.split_once("synonyms={").expect("synonyms");
            let layers = layers.trim_end_matches('}').split(", ");
            let layers: Vec<&str> =
                layers.filter(|layer| !layer.starts_with("DEFAULT_CONFIG")).collect();
            format!("{value} {}", layers.join(", "))
        })
        .collect();
    assert_eq!(ours, theirs);
}

fn name_of(source: Source) -> &'static str {
    match source {
        Source::DynamicTopic => "DYNAMIC_TOPIC_CONFIG",
        Source::DynamicBroker => "DYNAMIC_BROKER_CONFIG",
        Source::DynamicDefaultBroker => "DYNAMIC_DEFAULT_BROKER_CONFIG",
        Source::StaticBroker => "STATIC_BROKER_CONFIG",
        Source::Default => "DEFAULT_CONFIG",
    }
}

#[test]
fn our_own_snapshot_of_kafkas_log_holds_its_image() {
    let mut replay = Replay::new();
    replay.batches(LOG).expect("fits");
    let id = SnapshotId {
        end: replay.next().expect("not empty"),
        epoch: replay.quorum().epoch.expect("an epoch"),
    };
    let bytes = snapshot::write(replay.image(), replay.quorum(), id, 1, 2).expect("encodes");
    let (image, _) = snapshot::read(&bytes, id).expect("reads");
    assert_eq!(&image, replay.image());
    assert_eq!(id.end, Offset::new(99).expect("valid"));
}
