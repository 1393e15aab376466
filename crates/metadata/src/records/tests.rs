//! Tests of `records`.

use record::TopicId;

use super::*;

fn bytes(record: &Record, version: i16) -> Vec<u8> {
    let mut out = Vec::new();
    record.encode(version, &mut out).expect("encodes");
    out
}

#[test]
fn frames_are_kafkas_bytes() {
    assert_eq!(bytes(&NoOpRecord {}.into(), 0), [0x01, 0x14, 0x00, 0x00]);
    assert_eq!(bytes(&EndTransactionRecord {}.into(), 0), [0x01, 0x18, 0x00, 0x00]);
    let feature = FeatureLevelRecord { name: "metadata.version".into(), feature_level: 30 };
    let mut expected = vec![0x01, 0x0c, 0x00, 0x11];
    expected.extend_from_slice(b"metadata.version");
    expected.extend_from_slice(&[0x00, 0x1e, 0x00]);
    assert_eq!(bytes(&feature.clone().into(), 0), expected);
    assert_eq!(Record::decode(&expected), Ok((feature.into(), 0)));
}

#[test]
fn an_unknown_type_version_or_frame_is_an_error() {
    assert_eq!(
        Record::decode(&[1, 6, 0, 0]),
        Err(RecordError::UnknownType { api_key: 6 }),
        "a key that Kafka never used"
    );
    assert_eq!(Record::decode(&[1, 29, 0, 0]), Err(RecordError::UnknownType { api_key: 29 }));
    assert_eq!(
        Record::decode(&[1, 20, 1, 0]),
        Err(RecordError::UnknownVersion { api_key: 20, version: 1 })
    );
    assert_eq!(Record::decode(&[0, 20, 0, 0]), Err(RecordError::UnknownFrame { version: 0 }));
    assert_eq!(Record::decode(&[2, 20, 0, 0]), Err(RecordError::UnknownFrame { version: 2 }));
    let noop = Record::from(NoOpRecord {});
    for version in [1, -1] {
        let refused = noop.encode(version, &mut Vec::new());
        assert!(matches!(refused, Err(RecordError::UnknownVersion { api_key: 20, .. })));
    }
}

#[test]
fn bytes_after_the_last_field_are_an_error_and_unknown_tags_are_not() {
    assert_eq!(Record::decode(&[1, 20, 0, 0, 7]), Err(RecordError::TrailingBytes { left: 1 }));
    assert_eq!(
        Record::decode(&[1, 20, 0, 1, 9, 2, 0xaa, 0xbb]),
        Ok((NoOpRecord {}.into(), 0)),
        "tag 9 with two bytes is skipped"
    );
    assert_eq!(
        Record::decode(&[1, 23, 0, 1, 0, 3, 2, b'a', 0xff]),
        Err(RecordError::TrailingBytes { left: 1 }),
        "a known tag must use all its bytes"
    );
}

#[test]
fn a_tagged_field_at_its_default_takes_no_byte() {
    let begin = BeginTransactionRecord { name: None };
    assert_eq!(bytes(&begin.into(), 0), [1, 23, 0, 0]);
    let named = BeginTransactionRecord { name: Some("ab".into()) };
    assert_eq!(bytes(&named.into(), 0), [1, 23, 0, 1, 0, 3, 3, b'a', b'b']);
    let change = PartitionChangeRecord { partition_id: 0, ..Default::default() };
    assert_eq!(bytes(&change.into(), 2).len(), 3 + 4 + 16 + 1);
}

#[test]
fn tags_are_written_in_ascending_order() {
    let change = PartitionChangeRecord {
        partition_id: 0,
        leader: 5,
        directories: Some(vec![]),
        last_known_elr: Some(vec![]),
        ..Default::default()
    };
    let written = bytes(&change.clone().into(), 2);
    assert_eq!(written[23..], [3, 1, 4, 0, 0, 0, 5, 7, 1, 1, 8, 1, 1]);
    assert_eq!(Record::decode(&written), Ok((change.into(), 2)));
}

#[test]
fn a_value_that_a_version_cannot_hold_is_refused() {
    let broker =
        RegisterBrokerRecord { log_dirs: vec![Uuid::LOST], fenced: false, ..Default::default() };
    let record = Record::from(broker);
    assert_eq!(
        record.encode(2, &mut Vec::new()),
        Err(RecordError::FieldNotInVersion {
            structure: "RegisterBrokerRecord",
            field: "log_dirs",
            version: 2
        })
    );
    assert_eq!(Record::decode(&bytes(&record, 3)), Ok((record, 3)));
}

#[test]
fn the_versions_follow_the_metadata_version() {
    let broker = Record::from(RegisterBrokerRecord::default());
    assert_eq!([7, 8, 16, 17, 29, 30].map(|mv| broker.version_at(mv)), [1, 2, 2, 3, 3, 4]);
    let change = BrokerRegistrationChangeRecord { fenced: 1, ..Default::default() };
    assert_eq!(Record::from(change.clone()).version_at(30), 0);
    let shutdown = BrokerRegistrationChangeRecord { in_controlled_shutdown: 1, ..change.clone() };
    assert_eq!(Record::from(shutdown).version_at(30), 1);
    let dirs = BrokerRegistrationChangeRecord { log_dirs: vec![Uuid::LOST], ..change.clone() };
    assert_eq!(Record::from(dirs).version_at(30), 2);
    let cordoned = BrokerRegistrationChangeRecord { cordoned_log_dirs: Some(vec![]), ..change };
    assert_eq!(Record::from(cordoned).version_at(30), 3);
    let partition = Record::from(PartitionRecord::default());
    assert_eq!([16, 17, 22, 23, 30].map(|mv| partition.version_at(mv)), [0, 1, 1, 2, 2]);
}

#[test]
fn every_cut_of_a_record_is_an_error_and_never_a_panic() {
    let partition = PartitionRecord {
        partition_id: 3,
        topic_id: TopicId::from_bytes([7; 16]),
        replicas: vec![1, 2],
        isr: vec![1],
        leader: 1,
        leader_recovery_state: 1,
        directories: vec![Uuid::LOST, Uuid::ZERO],
        eligible_leader_replicas: Some(vec![2]),
        ..Default::default()
    };
    let whole = bytes(&partition.clone().into(), 2);
    assert_eq!(Record::decode(&whole), Ok((partition.into(), 2)));
    for len in 0..whole.len() {
        assert!(Record::decode(&whole[..len]).is_err(), "cut at {len}");
    }
}
