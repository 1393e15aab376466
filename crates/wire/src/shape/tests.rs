//! Tests of `shape`.

use bytes::{BufMut, Bytes, BytesMut};
use proptest::prelude::*;

use super::generate::{Numbers, body};
use super::*;
use crate::api::{ADVERTISED, ApiKey};
use crate::body::RequestBody;

fn walk_body(key: ApiKey, version: i16, bytes: &[u8]) -> Result<usize, ShapeError> {
    walk(of(key), version, key.is_flexible(version), bytes).map(|walked| walked.footprint_bytes)
}

fn every_version() -> impl Iterator<Item = (ApiKey, i16)> {
    ADVERTISED.iter().flat_map(|range| range.key.served().map(|version| (range.key, version)))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn the_tables_and_the_decoder_agree_on_every_request(seed: u64) {
        let mut numbers = Numbers(seed);
        for (key, version) in every_version() {
            let bytes = body(key, version, &mut numbers).freeze();
            walk_body(key, version, &bytes)
                .unwrap_or_else(|error| panic!("{key:?} {version}: {error}"));
            let mut rest = bytes.clone();
            let decoded = RequestBody::read(key, version, &mut rest)
                .unwrap_or_else(|error| panic!("{key:?} {version}: {error}"))
                .expect("every request body has a generated struct");
            prop_assert!(rest.is_empty(), "{:?} {}: {} bytes left", key, version, rest.len());
            let mut again = BytesMut::new();
            decoded.as_message().expect("as above").write(&mut again, version).unwrap();
            prop_assert_eq!(&again, &bytes, "{:?} {}", key, version);
        }
    }

    #[test]
    fn a_body_that_is_cut_short_is_refused(seed: u64) {
        let mut numbers = Numbers(seed);
        for (key, version) in every_version() {
            let bytes = body(key, version, &mut numbers);
            if !bytes.is_empty() {
                let len = numbers.below(bytes.len());
                prop_assert!(walk_body(key, version, &bytes[..len]).is_err(), "{:?} {}", key, version);
            }
        }
    }
}

/// Bytes that claim as many of the smallest elements as their length allows.
fn bomb(prefix: &[u8], element: &[u8], elements: u32) -> Vec<u8> {
    let mut bytes = prefix.to_vec();
    bytes.extend(elements.to_be_bytes());
    for _ in 0..elements {
        bytes.extend(element);
    }
    bytes
}

#[test]
fn a_small_body_may_not_stand_for_a_large_one() {
    // Metadata version 1: topics of empty names, two bytes each.
    let many = bomb(&[], &[0, 0], 1 << 20);
    assert_eq!(walk_body(ApiKey::Metadata, 1, &many), Err(ShapeError::Footprint));
    // Produce version 3: topics without a name or a partition, six bytes each.
    let produce = [0xff, 0xff, 0, 1, 0, 0, 0, 1];
    let many = bomb(&produce, &[0; 6], 1 << 20);
    assert_eq!(walk_body(ApiKey::Produce, 3, &many), Err(ShapeError::Footprint));
    let few = bomb(&produce, &[0; 6], 1000);
    let footprint = walk_body(ApiKey::Produce, 3, &few).unwrap();
    assert!((1000 * 90..1000 * 400).contains(&footprint), "{footprint}");
}

#[test]
fn a_fetch_as_large_as_its_frame_may_be_stays_below_the_footprint() {
    let mut bytes = BytesMut::new();
    bytes.put_bytes(0, 4 + 4 + 4 + 1 + 4 + 4);
    bytes.put_u8(2); // one topic
    bytes.put_bytes(7, 16);
    let partitions = (crate::frame::OTHER_BYTES - 100) / 33;
    let mut len = u32::try_from(partitions + 1).unwrap();
    while len >= 0x80 {
        bytes.put_u8(len.to_le_bytes()[0] | 0x80);
        len >>= 7;
    }
    bytes.put_u8(len.to_le_bytes()[0]);
    bytes.put_bytes(0, partitions * 33);
    bytes.put_bytes(0, 1); // the topic's tagged fields
    bytes.put_slice(&[1, 1, 0]); // forgotten topics, rack, tagged fields
    assert!(bytes.len() <= crate::frame::OTHER_BYTES);
    walk_body(ApiKey::Fetch, 17, &bytes).unwrap();
}

#[test]
fn counts_that_no_frame_could_hold_are_refused_before_memory_is_taken() {
    for claimed in [i32::MAX, 1 << 24] {
        let mut bytes = claimed.to_be_bytes().to_vec();
        bytes.extend([0; 16]);
        assert!(walk_body(ApiKey::Metadata, 1, &bytes).is_err());
    }
    // A tagged section of 2^32 - 1 fields, in ApiVersions version 3.
    let bytes = [1, 1, 0xff, 0xff, 0xff, 0xff, 0x0f];
    assert_eq!(
        walk_body(ApiKey::ApiVersions, 3, &bytes),
        Err(ShapeError::TaggedFields { fields: u32::MAX }),
    );
    // And of as many as are allowed, with nothing behind it.
    let bytes = [1, 1, 0x90, 0x4e];
    assert_eq!(walk_body(ApiKey::ApiVersions, 3, &bytes), Err(ShapeError::CutShort));
}

#[test]
fn tagged_fields_inside_a_tagged_field_count_too() {
    // Fetch version 15 with a replica state that claims 5,000 tagged fields.
    let mut bytes = vec![0; 4 + 4 + 4 + 1 + 4 + 4];
    bytes.extend([1, 1, 1]); // no topics, none forgotten, no rack
    bytes.extend([1, 1, 4 + 8 + 2]);
    bytes.extend([0; 12]);
    bytes.extend([0x88, 0x27]);
    assert_eq!(walk_body(ApiKey::Fetch, 15, &bytes), Err(ShapeError::CutShort));
    // Version 14 has a replica id in front, and does not read what is in that field.
    bytes.splice(..0, [0; 4]);
    walk_body(ApiKey::Fetch, 14, &bytes).unwrap();
}

#[test]
fn null_is_refused_where_the_schema_has_none() {
    // Metadata version 0 has no null array, version 1 has.
    let null = (-1_i32).to_be_bytes();
    assert_eq!(walk_body(ApiKey::Metadata, 0, &null), Err(ShapeError::Null));
    assert!(walk_body(ApiKey::Metadata, 1, &null).is_ok());
    // A null topic name in DeleteTopics version 1.
    let bytes = [0, 0, 0, 1, 0xff, 0xff, 0, 0, 0, 0];
    assert_eq!(walk_body(ApiKey::DeleteTopics, 1, &bytes), Err(ShapeError::Null));
    // The decoder alone would take the first for an empty list.
    let mut bytes = Bytes::copy_from_slice(&null);
    assert!(RequestBody::read(ApiKey::Metadata, 0, &mut bytes).is_ok());
}
