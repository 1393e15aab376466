//! Tests of `log`.

use super::snapshot::{SnapshotError, SnapshotId};
use super::*;
use crate::image::Image;
use crate::records::*;
use record::TopicId;

fn stamp(base: i64, epoch: i32) -> Stamp {
    Stamp {
        base: Offset::new(base).expect("valid"),
        epoch: LeaderEpoch::new(epoch).expect("valid"),
        now_ms: 1_000,
    }
}

fn topic(n: u8) -> Record {
    let topic_id = TopicId::from_bytes([n; 16]);
    TopicRecord { name: format!("t{n}"), topic_id }.into()
}

fn id(end: i64, epoch: i32) -> SnapshotId {
    SnapshotId {
        end: Offset::new(end).expect("valid"),
        epoch: LeaderEpoch::new(epoch).expect("valid"),
    }
}

#[test]
fn a_log_replays_into_its_image_and_its_quorum() {
    let mut log = control_batch(&[leader_change(7)], stamp(0, 1)).expect("encodes");
    log.extend(batch(&[topic(1), topic(2)], 30, stamp(1, 1)).expect("encodes"));
    log.extend(control_batch(&[leader_change(7)], stamp(3, 2)).expect("encodes"));
    let whole = log.len();
    log.extend_from_slice(&batch(&[topic(3)], 30, stamp(4, 2)).expect("encodes")[..70]);
    let mut replay = Replay::new();
    assert_eq!(replay.batches(&log), Ok(whole), "the torn batch is left over");
    assert_eq!(replay.image().topics().len(), 2);
    assert_eq!(replay.image().applied(), Offset::new(3));
    assert_eq!(replay.quorum().epoch, LeaderEpoch::new(2));
    assert_eq!(replay.quorum().leader, Some(7));
    assert_eq!(replay.next(), Offset::new(4));
}

#[test]
fn a_gap_and_an_older_epoch_end_the_replay() {
    let first = batch(&[topic(1)], 30, stamp(0, 2)).expect("encodes");
    let mut replay = Replay::new();
    replay.batch(&first).expect("fits");
    let gap = batch(&[topic(2)], 30, stamp(2, 2)).expect("encodes");
    let expected = ReplayError::Gap {
        expected: Offset::new(1).expect("valid"),
        found: Offset::new(2).expect("valid"),
    };
    assert_eq!(replay.clone().batch(&gap), Err(expected));
    let older = batch(&[topic(2)], 30, stamp(1, 1)).expect("encodes");
    assert!(matches!(replay.batch(&older), Err(ReplayError::EpochWentBack { found: 1, .. })));
}

#[test]
fn a_changed_byte_is_found() {
    let mut bytes = batch(&[topic(1)], 30, stamp(0, 0)).expect("encodes");
    *bytes.last_mut().expect("not empty") ^= 1;
    assert_eq!(read_batch(&bytes), Err(ReadError::Checksum { base: Offset::ZERO }));
}

#[test]
fn records_with_keys_headers_times_or_a_producer_are_no_metadata() {
    let mut value = Vec::new();
    topic(1).encode(0, &mut value).expect("encodes");
    let cases: [fn(&mut Builder, &[u8]); 5] = [
        |b, v| {
            b.record(0, None, Some(v), &[]).record(1, None, Some(v), &[]);
        },
        |b, v| {
            b.record(0, Some(b"key"), Some(v), &[]);
        },
        |b, _| {
            b.record(0, None, None, &[]);
        },
        |b, v| {
            let header = record::RecordHeader { key: b"k", value: None };
            b.record(0, None, Some(v), &[header]);
        },
        |b, v| {
            b.producer(1, 0, 0).record(0, None, Some(v), &[]);
        },
    ];
    for case in cases {
        let mut builder = Builder::new(Codec::None);
        builder.leader_epoch(0);
        case(&mut builder, &value);
        let read = read_batch(&builder.build());
        assert!(matches!(read, Err(ReadError::Malformed { .. })), "{read:?}");
    }
}

#[test]
fn an_empty_or_oversized_batch_is_refused() {
    assert_eq!(batch(&[], 30, stamp(0, 0)), Err(BatchError::Empty));
    let text = "x".repeat(32_000);
    let config = ConfigRecord { name: text.clone(), value: Some(text), ..Default::default() };
    let many = vec![Record::from(config); 200];
    assert!(matches!(batch(&many, 30, stamp(0, 0)), Err(BatchError::TooLarge { .. })));
}

#[test]
fn too_many_records_for_a_batch_become_one_transaction() {
    let few = batches(&[topic(1)], 30, stamp(5, 1)).expect("fits");
    assert_eq!(few, [(stamp(5, 1).base, batch(&[topic(1)], 30, stamp(5, 1)).expect("fits"))]);
    let records: Vec<Record> = (0..BATCH_RECORDS_MAX + 1)
        .map(|n| {
            let name = format!("n{n}");
            ConfigRecord {
                resource_type: 4,
                name,
                value: Some(String::new()),
                ..Default::default()
            }
            .into()
        })
        .collect();
    let many = batches(&records, 30, stamp(5, 1)).expect("fits");
    assert_eq!(many.len(), 13);
    let mut replay = Replay::new();
    for (place, (base, bytes)) in many.iter().enumerate() {
        let resources = replay.image().resources().len();
        assert_eq!(resources, 0, "nothing shows before batch {place}");
        let next = replay.next().unwrap_or(stamp(5, 1).base);
        assert_eq!(*base, next);
        replay.batch(bytes).expect("fits");
    }
    let configs = replay.image().configs(&crate::image::Resource::all_brokers());
    assert_eq!(configs.map(|configs| configs.len()), Some(records.len()));
}

#[test]
fn a_snapshot_comes_back_and_an_incomplete_one_is_refused() {
    let mut replay = Replay::new();
    let many: Vec<Record> = (0..250).map(topic).collect();
    let feature = FeatureLevelRecord { name: "metadata.version".into(), feature_level: 30 }.into();
    let log = batch(&[&[feature], &many[..]].concat(), 30, stamp(0, 4)).expect("encodes");
    replay.batch(&log).expect("fits");
    let id = id(251, 4);
    let bytes = snapshot::write(replay.image(), replay.quorum(), id, 1_000, 2_000).expect("fits");
    let (image, quorum) = snapshot::read(&bytes, id).expect("reads");
    assert_eq!(&image, replay.image());
    assert_eq!(&quorum, replay.quorum());
    for len in [0, 10, 61, bytes.len() - 1, bytes.len() - 75] {
        assert!(snapshot::read(&bytes[..len], id).is_err(), "cut at {len}");
    }
    let twice = [bytes.clone(), bytes].concat();
    assert_eq!(snapshot::read(&twice, id), Err(SnapshotError::Unframed));
}

#[test]
fn a_snapshot_larger_than_a_batch_has_several() {
    let mut replay = Replay::new();
    let mut value = "v".repeat(30_000);
    for n in 0..400 {
        value.replace_range(0..1, if n % 2 == 0 { "a" } else { "b" });
        let name = format!("n{n}");
        let value = Some(value.clone());
        let record = ConfigRecord { resource_type: 4, name, value, ..Default::default() };
        replay.batch(&batch(&[record.into()], 30, stamp(n, 0)).expect("encodes")).expect("fits");
    }
    let id = id(400, 0);
    let bytes = snapshot::write(replay.image(), replay.quorum(), id, 0, 0).expect("encodes");
    assert!(bytes.len() > BATCH_BYTES_MAX);
    let (image, _) = snapshot::read(&bytes, id).expect("reads");
    assert_eq!(&image, replay.image());
}

#[test]
fn the_quorum_stays_in_a_snapshot() {
    let quorum = Quorum {
        epoch: LeaderEpoch::new(1),
        leader: None,
        kraft_version: 1,
        voters: Some(VotersRecord { version: 0, voters: vec![Voter::default()] }),
    };
    let bytes = snapshot::write(&Image::new(), &quorum, id(0, 1), 0, 0).expect("encodes");
    let (image, read) = snapshot::read(&bytes, id(0, 1)).expect("reads");
    assert_eq!(read, quorum);
    assert_eq!(image, Image::new());
}

#[test]
fn the_name_of_a_snapshot_is_its_end_and_epoch() {
    let name = "00000000000000000086-0000000002.checkpoint";
    assert_eq!(SnapshotId::from_file_name(name), Some(id(86, 2)));
    assert_eq!(id(86, 2).to_string(), name);
    for other in [
        "bootstrap.checkpoint",
        "0-0.checkpoint",
        &name.replace("86-", "-86-"),
        &format!("{name}.part"),
    ] {
        assert_eq!(SnapshotId::from_file_name(other), None, "{other}");
    }
}
