//! Tests of `kafka_files`.

use record::{LeaderEpoch, Offset, TopicId};

use super::*;
use crate::records::Uuid;

macro_rules! fixture {
    ($name:literal) => {
        include_bytes!(concat!("../../fixtures/kafka-4.3.1/", $name))
    };
}

fn offset(raw: i64) -> Offset {
    Offset::new(raw).expect("valid")
}

#[test]
fn kafkas_own_files_are_read() {
    let meta = decode_meta_properties(fixture!("meta.properties")).expect("reads");
    assert_eq!(meta.cluster_id, "AAECAwQFBgcICQoLDA0ODw");
    assert_eq!(meta.node_id, 1);
    assert_eq!(meta.directory_id.map(|id| id.to_string()), Some("QhfpObC8QPCJt6l8-SObOg".into()));
    let marker = decode_clean_shutdown(fixture!(".kafka_cleanshutdown")).expect("reads");
    assert_eq!(marker.broker_epoch, Some(62));
    let ends = decode_offsets(fixture!("replication-offset-checkpoint")).expect("reads");
    assert_eq!(ends.len(), 8);
    assert_eq!(ends[&("flights".to_owned(), 1)], offset(1));
    assert_eq!(decode_offsets(fixture!("recovery-point-offset-checkpoint")), Ok(ends));
    assert_eq!(decode_offsets(fixture!("log-start-offset-checkpoint")), Ok(Default::default()));
    let epochs = decode_leader_epochs(fixture!("leader-epoch-checkpoint")).expect("reads");
    let raw: Vec<_> = epochs.iter().map(|entry| (entry.epoch.raw(), entry.start.raw())).collect();
    assert_eq!(raw, [(1, 0), (2, 49)]);
    let topic = decode_partition_metadata(fixture!("partition.metadata"));
    assert_eq!(topic, Ok(TopicId::CLUSTER_METADATA));
}

#[test]
fn what_kafka_wrote_in_a_fixed_order_comes_back_byte_for_byte() {
    let epochs = fixture!("leader-epoch-checkpoint");
    assert_eq!(encode_leader_epochs(&decode_leader_epochs(epochs).expect("reads")), epochs);
    let marker = fixture!(".kafka_cleanshutdown");
    assert_eq!(encode_clean_shutdown(decode_clean_shutdown(marker).expect("reads")), marker);
    let topic = fixture!("partition.metadata");
    assert_eq!(encode_partition_metadata(decode_partition_metadata(topic).expect("reads")), topic);
    let starts = fixture!("log-start-offset-checkpoint");
    assert_eq!(encode_offsets(&decode_offsets(starts).expect("reads")), starts);
}

#[test]
fn what_is_written_is_read_again() {
    let meta = MetaProperties {
        cluster_id: " a=b:c#d!e\\f\u{1F980}".into(),
        node_id: 7,
        directory_id: Some(Uuid::from_bytes([3; 16])),
    };
    assert_eq!(
        decode_meta_properties(&encode_meta_properties(&meta)).map(|read| read.cluster_id),
        Ok(meta.cluster_id.trim().to_owned())
    );
    let offsets: OffsetCheckpoint =
        [(("a.b".to_owned(), 0), offset(5)), (("a.b".to_owned(), 10), offset(i64::MAX))].into();
    assert_eq!(decode_offsets(&encode_offsets(&offsets)), Ok(offsets));
    let marker = CleanShutdown { broker_epoch: Some(0) };
    assert_eq!(decode_clean_shutdown(&encode_clean_shutdown(marker)), Ok(marker));
}

#[test]
fn properties_are_read_as_java_reads_them() {
    let text = "! comment\n  # comment\nversion : 1\r\nnode.id\t7\ncluster.id = a\\\n    b\\u0063\\:\nempty\nkey\\ with\\=signs=x\n";
    let read = properties::decode(text.as_bytes()).expect("reads");
    let pairs: Vec<(&str, &str)> =
        read.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    assert_eq!(
        pairs,
        [
            ("cluster.id", "abc:"),
            ("empty", ""),
            ("key with=signs", "x"),
            ("node.id", "7"),
            ("version", "1"),
        ]
    );
    for bad in ["a=\\u12", "a=\\uzzzz", "a=\\ud800"] {
        assert!(properties::decode(bad.as_bytes()).is_err(), "{bad}");
    }
}

#[test]
fn a_bad_file_is_refused_with_its_line() {
    let line = |line, what| Err(FileError::Line { line, what });
    let version = |line, found: &str| Err(FileError::Version { line, found: found.into() });
    assert_eq!(decode_offsets(b"1\n0\n"), version(1, "1").map(|()| Default::default()));
    assert_eq!(
        decode_offsets(b"0\nmany\n"),
        line(2, "the number of entries is no number").map(|()| Default::default())
    );
    assert_eq!(
        decode_offsets(b"0\n1\na 0 1 2\n"),
        line(3, "not three fields").map(|()| Default::default())
    );
    assert_eq!(decode_offsets(b"0\n2\na 0 1\n"), Err(FileError::Ends { line: 4 }));
    assert_eq!(
        decode_offsets(b"0\n1\na 0 1\nb 0 1\n"),
        line(4, "more entries than the file says").map(|()| Default::default())
    );
    assert_eq!(
        decode_offsets(b"0\n1\na 0 -1\n"),
        line(3, "the offset is none").map(|()| Default::default())
    );
    assert_eq!(decode_offsets(b"0\n99999999999\n"), Err(FileError::Ends { line: 3 }));
    assert_eq!(decode_offsets(b"0\n\xff"), Err(FileError::NotText { line: 2 }));
    assert!(decode_leader_epochs(b"0\n2\n1 5\n1 6\n").is_err(), "an epoch twice");
    assert!(decode_leader_epochs(b"0\n2\n1 5\n2 4\n").is_err(), "an offset goes back");
    assert!(decode_partition_metadata(b"version: 1\ntopic_id: AAAAAAAAAAAAAAAAAAAAAQ").is_err());
    assert!(decode_partition_metadata(b"version: 0\ntopic_id: AAAAAAAAAAAAAAAAAAAAAA").is_err());
    assert!(decode_partition_metadata(b"version: 0\n").is_err());
    let meta = |text: &str| decode_meta_properties(text.as_bytes());
    assert_eq!(meta("version=1\ncluster.id=c\n"), Err(FileError::Missing { key: "node.id" }));
    assert_eq!(
        meta("#\nversion=0\nbroker.id=1"),
        Err(FileError::Version { line: 2, found: "0".into() })
    );
    assert!(matches!(
        meta("version=1\nnode.id=x\ncluster.id=c"),
        Err(FileError::Line { line: 2, .. })
    ));
    let lost = "version=1\nnode.id=1\ncluster.id=c\ndirectory.id=AAAAAAAAAAAAAAAAAAAAAQ";
    assert!(matches!(meta(lost), Err(FileError::Line { line: 4, .. })));
}

#[test]
fn an_empty_marker_of_an_old_kafka_is_a_clean_stop() {
    assert_eq!(decode_clean_shutdown(b""), Ok(CleanShutdown { broker_epoch: None }));
    let other = br#"{"version":9,"brokerEpoch":5}"#;
    assert_eq!(decode_clean_shutdown(other), Ok(CleanShutdown { broker_epoch: None }));
}

#[test]
fn epochs_begin_where_they_say() {
    let entry = |epoch, start| EpochStart {
        epoch: LeaderEpoch::new(epoch).expect("valid"),
        start: offset(start),
    };
    let epochs = [entry(0, 0), entry(3, 100)];
    assert_eq!(encode_leader_epochs(&epochs), b"0\n2\n0 0\n3 100\n");
}
