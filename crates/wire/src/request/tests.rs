//! Tests of `request`.

use bytes::BytesMut;
use proptest::prelude::*;

use super::*;
use crate::api::ADVERTISED;
use crate::frame::{FrameLimits, Verdict};
use crate::messages::produce_request::{PartitionProduceData, TopicProduceData};
use crate::messages::{ProduceRequestData, string};
use crate::shape::generate::{self, Numbers};

fn pool() -> Pool {
    Pool::new(0, 64 << 20)
}

fn sealed(bytes: &[u8], pool: &Pool) -> Sealed {
    let mut block = pool.buffer(bytes.len()).expect("the pool is large");
    block.as_mut_slice()[..bytes.len()].copy_from_slice(bytes);
    block.seal(bytes.len())
}

fn seal(bytes: &[u8]) -> Sealed {
    sealed(bytes, &pool())
}

/// A frame without its length: header version 1, or 2 with no tagged field.
fn frame(key: i16, version: i16, client_id: Option<&[u8]>, rest: &[u8]) -> Sealed {
    let mut bytes = BytesMut::new();
    bytes.put_i16(key);
    bytes.put_i16(version);
    bytes.put_i32(77);
    bytes.put_i16(client_id.map_or(-1, |id| i16::try_from(id.len()).unwrap()));
    bytes.put_slice(client_id.unwrap_or_default());
    if ApiKey::from_code(key).is_some_and(|key| key.is_flexible(version)) {
        bytes.put_u8(0);
    }
    bytes.put_slice(rest);
    seal(&bytes)
}

fn every_version() -> impl Iterator<Item = (ApiKey, i16)> {
    ADVERTISED.iter().flat_map(|range| range.key.served().map(|version| (range.key, version)))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn what_a_client_encodes_is_what_the_broker_decodes(seed: u64) {
        let pool = pool();
        let mut numbers = Numbers(seed);
        for (key, version) in every_version() {
            let bytes = generate::body(key, version, &mut numbers);
            let sent = decode(frame(key.code(), version, Some(b"me"), &bytes)).unwrap();
            let parts = encode_request(version, 5, Some("you"), &sent.body, &pool);
            // Version 0 of Metadata has no null: its encoder writes the empty list for it.
            let parts = parts.unwrap_or_else(|error| panic!("{key:?} {version}: {error}"));
            let whole: Vec<u8> = parts.iter().flat_map(|part| part.to_vec()).collect();
            let Ok(Verdict::Read { len, start }) = FrameLimits::new(1 << 20).judge(&whole) else {
                panic!("{key:?} {version}: refused by its own limits");
            };
            prop_assert_eq!((len, start.key, start.version), (whole.len() - 4, key, version));
            prop_assert_eq!(start.correlation_id, 5);
            let received = decode(seal(&whole[4..])).unwrap();
            prop_assert_eq!(received.header.client_id.as_deref(), Some("you"));
            prop_assert_eq!(received.body, sent.body);
        }
    }

    #[test]
    fn no_bytes_make_decoding_panic(seed: u64) {
        let mut numbers = Numbers(seed);
        for (key, version) in every_version() {
            let body = generate::body(key, version, &mut numbers);
            let mut bytes = frame(key.code(), version, Some(b"me"), &body).to_vec();
            for _ in 0..1 + numbers.below(4) {
                mutate(&mut bytes, &mut numbers);
            }
            if let Ok(request) = decode(seal(&bytes)) {
                prop_assert!(request.footprint_bytes <= (16 << 20) + 1000 + bytes.len());
            }
        }
    }

    #[test]
    fn random_bytes_are_refused_or_decoded(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = decode(seal(&bytes));
        for (key, version) in every_version() {
            let _ = decode(frame(key.code(), version, None, &bytes));
        }
    }
}

/// Changes a byte, cuts a piece out, doubles a piece, or writes a length that lies.
fn mutate(bytes: &mut Vec<u8>, numbers: &mut Numbers) {
    if bytes.len() < 8 {
        bytes.extend([0xff; 8]);
    }
    let at = numbers.below(bytes.len() - 4);
    let end = at + 1 + numbers.below(bytes.len() - at - 1);
    match numbers.below(5) {
        0 => bytes[at] = numbers.next().to_le_bytes()[0],
        1 => bytes.truncate(end),
        2 => drop(bytes.drain(at..end)),
        3 => bytes.extend_from_within(at..end),
        _ => {
            let lie = [i32::MAX, -1, 0x00ff_ffff, -2, 0][numbers.below(5)];
            bytes[at..at + 4].copy_from_slice(&lie.to_be_bytes());
        }
    }
}

#[test]
fn records_of_a_produce_request_are_slices_of_its_frame() {
    let pool = pool();
    let records = Bytes::from(vec![7; 5000]);
    let partition = PartitionProduceData { records: Some(records), ..Default::default() };
    let topic = TopicProduceData {
        name: string("t"),
        partition_data: vec![partition],
        ..TopicProduceData::default()
    };
    let body =
        ProduceRequestData { acks: -1, topic_data: vec![topic], ..ProduceRequestData::default() };
    for version in ApiKey::Produce.served().filter(|version| *version < 13) {
        let sent = encode_request(version, 1, None, &body.clone().into(), &pool).unwrap();
        let frame = sent[0].slice(4..sent[0].len());
        let addresses = frame.as_ptr_range();
        let request = decode(frame).unwrap();
        assert_eq!(request.header.client_id, None);
        let RequestBody::Produce(decoded) = request.body else { panic!("another request") };
        assert_eq!(decoded, body);
        let records = decoded.topic_data[0].partition_data[0].records.clone().unwrap();
        assert!(addresses.contains(&records.as_ptr()), "version {version}");
    }
}

#[test]
fn an_unknown_version_of_api_versions_is_the_only_refusal_with_an_answer() {
    for version in [-1, 5, 6, i16::MAX, i16::MIN] {
        // The body of a version that nobody knows is not looked at.
        let refused = decode(frame(18, version, None, &[0xff; 5]));
        assert_eq!(refused, Err(Refusal::ApiVersionsUnsupported { correlation_id: 77, version }),);
    }
    for (key, version) in [(3, 14), (3, -1), (1, 3), (22, 6), (60, 3)] {
        let refused = decode(frame(key, version, None, &[]));
        let key = ApiKey::from_code(key).unwrap();
        assert_eq!(refused, Err(Malformed::UnsupportedVersion { key, version }.into()));
    }
}

#[test]
fn produce_below_version_three_is_refused_though_advertised() {
    for version in 0..3 {
        let refused = decode(frame(0, version, None, &[0; 20]));
        let key = ApiKey::Produce;
        assert_eq!(refused, Err(Malformed::UnsupportedVersion { key, version }.into()));
    }
}

#[test]
fn a_key_that_is_not_served_is_refused() {
    // Among them telemetry, which clients must not find, and controller requests.
    for key in [-1, 4, 5, 6, 7, 26, 52, 71, 72, 1000] {
        let refused = decode(frame(key, 0, None, &[]));
        assert_eq!(refused, Err(Malformed::UnknownKey { key }.into()));
    }
}

#[test]
fn bytes_behind_a_body_are_ignored_as_kafka_does() {
    let request = decode(frame(60, 0, None, &[1, 0, 9, 9, 9])).unwrap();
    assert_eq!(request.header.key, ApiKey::DescribeCluster);
}

#[test]
fn a_frame_may_not_become_a_request_many_times_its_size() {
    // Metadata version 9: a million topics of three bytes each.
    let mut body = BytesMut::new();
    body.put_slice(&[0x81, 0x80, 0x40]);
    body.put_bytes(1, 1 << 21);
    let refused = decode(frame(3, 9, None, &body)).unwrap_err();
    assert!(refused.to_string().contains("16777216 bytes"), "{refused}");
    let small = decode(frame(3, 1, None, &[0, 0, 0, 1, 0, 1, b't'])).unwrap();
    assert!((100..1000).contains(&small.footprint_bytes), "{}", small.footprint_bytes);
}

#[test]
fn a_null_where_the_schema_has_none_is_refused() {
    let null_topics = [&[0xff, 0xff, 0, 1, 0, 0, 0, 9][..], &[0xff; 4]].concat();
    let refused = decode(frame(0, 3, None, &null_topics)).unwrap_err();
    assert!(matches!(refused, Refusal::Close { why: Malformed::Body { .. } }), "{refused}");
}

#[test]
fn every_topic_is_asked_for_in_one_form() {
    let topics = |version, body: &[u8]| match decode(frame(3, version, None, body)).unwrap().body {
        RequestBody::Metadata(metadata) => metadata.topics.map(|topics| topics.len()),
        other => panic!("{other:?}"),
    };
    assert_eq!(topics(0, &[0, 0, 0, 0]), None, "version 0 has no null: empty means every topic");
    assert_eq!(topics(1, &[0, 0, 0, 0]), Some(0), "version 1 asks for none");
    assert_eq!(topics(1, &[0xff; 4]), None);
    assert_eq!(topics(0, &[0, 0, 0, 1, 0, 1, b't']), Some(1));
}

#[test]
fn a_client_id_may_be_absent_empty_or_not_utf8() {
    let id =
        |id: Option<&[u8]>| decode(frame(60, 0, id, &[0, 0])).expect("a request").header.client_id;
    assert_eq!(id(None), None);
    assert_eq!(id(Some(b"")).as_deref(), Some(""));
    assert_eq!(id(Some(b"kcat")).as_deref(), Some("kcat"));
    assert_eq!(id(Some(b"a\xffb")).as_deref(), Some("a\u{fffd}b"));
}

#[test]
fn tagged_fields_of_a_header_are_stepped_over() {
    let header = [0, 60, 0, 0, 0, 0, 0, 77, 0xff, 0xff];
    let tags = [2, 0, 3, 1, 2, 3, 200, 1, 0];
    let bytes = [&header[..], &tags, &[1, 0]].concat();
    assert_eq!(decode(seal(&bytes)).unwrap().header.correlation_id, 77);
    let lying = [&header[..], &[1, 0, 100, 1, 0]].concat();
    assert_eq!(decode(seal(&lying)), Err(Malformed::Header.into()));
}

#[test]
fn a_header_that_is_cut_short_is_refused() {
    let whole = frame(60, 0, Some(b"me"), &[]);
    for len in 0..whole.len() {
        assert_eq!(decode(whole.slice(0..len)), Err(Malformed::Header.into()), "{len} bytes");
    }
}

#[test]
fn a_request_that_its_version_cannot_say_is_not_encoded() {
    let body = ProduceRequestData::default().into();
    let key = ApiKey::Produce;
    let refused = encode_request(2, 1, None, &body, &pool()).unwrap_err();
    assert_eq!(refused, EncodeError::Version { key, version: 2 });
    let id = "x".repeat(40_000);
    let refused = encode_request(3, 1, Some(&id), &body, &pool()).unwrap_err();
    assert_eq!(refused, EncodeError::TooLong { key, bytes: 40_000 });
    let poor = Pool::new(0, 4096);
    let kept = poor.buffer(1).unwrap();
    let refused = encode_request(3, 1, None, &body, &poor).unwrap_err();
    assert!(matches!(refused, EncodeError::OverBudget(_)), "{refused:?}");
    drop(kept);
}

/// Kafka reads U+FFFD for what is not UTF-8 (`Readable.readString`) and answers that the name is
/// not valid; nothing ends.
#[test]
fn what_is_not_utf8_in_a_name_becomes_a_character_that_no_name_has() {
    for (version, body) in [
        (4, &b"\0\0\0\x02\0\x04a\xff\xc3b\0\x02ok\x01"[..]),
        (9, &b"\x03\x05a\xff\xc3b\0\x03ok\0\x01\0\0\0"[..]),
    ] {
        let measured = measure(frame(3, version, None, body)).unwrap();
        assert!(body.len() < measured.footprint_bytes(), "the copy counts");
        let RequestBody::Metadata(found) = measured.decode().unwrap().body else {
            panic!("another request");
        };
        let names: Vec<_> = found.topics.into_iter().flatten().map(|topic| topic.name).collect();
        assert_eq!(names, [Some(string("a??b")), Some(string("ok"))], "version {version}");
    }
}

#[test]
fn a_damaged_name_leaves_the_records_as_they_were() {
    let records = [0xff; 40];
    let mut body = b"\xff\xff\xff\xff\0\0\0\x01\0\0\0\x01\0\x02\xffx\0\0\0\x01\0\0\0\0".to_vec();
    body.extend(40_i32.to_be_bytes());
    body.extend(records);
    let RequestBody::Produce(found) = decode(frame(0, 7, None, &body)).unwrap().body else {
        panic!("another request");
    };
    let topic = &found.topic_data[0];
    assert_eq!(topic.name, string("?x"));
    assert_eq!(topic.partition_data[0].records.as_deref(), Some(&records[..]));
}
