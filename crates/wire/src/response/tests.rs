//! Tests of `response`.

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::api::ADVERTISED;
use crate::api_versions::{Features, answer};
use crate::fetch_rope::{FetchedPartition, FetchedTopic};
use crate::messages::api_versions_response::{FinalizedFeatureKey, SupportedFeatureKey};
use crate::messages::describe_cluster_response::DescribeClusterBroker;
use crate::messages::list_offsets_response::{
    ListOffsetsPartitionResponse, ListOffsetsTopicResponse,
};
use crate::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use crate::messages::produce_response::{PartitionProduceResponse, TopicProduceResponse};
use crate::messages::*;
use crate::shape::generate::Numbers;

fn pool() -> Pool {
    Pool::new(0, 64 << 20)
}

fn sealed(bytes: &[u8], pool: &Pool) -> Sealed {
    let mut block = pool.buffer(bytes.len()).expect("the pool is large");
    block.as_mut_slice()[..bytes.len()].copy_from_slice(bytes);
    block.seal(bytes.len())
}

fn joined(parts: &[Sealed]) -> Vec<u8> {
    parts.iter().flat_map(|part| part.to_vec()).collect()
}

/// The frame without its length, in one piece.
fn frame(parts: &[Sealed]) -> Sealed {
    let whole = joined(parts);
    let len = usize::try_from(i32::from_be_bytes(*whole.first_chunk().unwrap())).unwrap();
    assert_eq!(len, whole.len() - 4, "the length in front");
    sealed(&whole[4..], &pool())
}

/// One answer of each kind, with content where a version could refuse it.
fn samples() -> Vec<ResponseBody> {
    vec![
        produce_answer().into(),
        FetchAnswer { session_id: 9, topics: vec![fetched_topic()], ..Default::default() }.into(),
        list_offsets_answer().into(),
        metadata_answer().into(),
        answer(0, &ApiVersionsRequestData::default(), features(7)).into(),
        CreateTopicsResponseData::default().into(),
        DeleteTopicsResponseData::default().into(),
        DeleteRecordsResponseData::default().into(),
        InitProducerIdResponseData {
            producer_id: 4,
            ongoing_txn_producer_id: 5,
            ongoing_txn_producer_epoch: 6,
            ..Default::default()
        }
        .into(),
        OffsetForLeaderEpochResponseData::default().into(),
        DescribeConfigsResponseData::default().into(),
        DescribeLogDirsResponseData { error_code: 3, ..Default::default() }.into(),
        CreatePartitionsResponseData::default().into(),
        IncrementalAlterConfigsResponseData::default().into(),
        ListPartitionReassignmentsResponseData::default().into(),
        DescribeClusterResponseData {
            endpoint_type: 2,
            brokers: vec![DescribeClusterBroker { is_fenced: true, ..Default::default() }],
            ..Default::default()
        }
        .into(),
        ListConfigResourcesResponseData::default().into(),
        DescribeTopicPartitionsResponseData::default().into(),
    ]
}

fn produce_answer() -> ProduceResponseData {
    let partition = PartitionProduceResponse { base_offset: 11, ..Default::default() };
    let topic = TopicProduceResponse {
        name: string("t"),
        partition_responses: vec![partition],
        ..Default::default()
    };
    ProduceResponseData { responses: vec![topic], ..Default::default() }
}

fn fetched_topic() -> FetchedTopic {
    let partition = FetchedPartition { preferred_read_replica: 3, ..Default::default() };
    FetchedTopic { name: string("t"), partitions: vec![partition], ..Default::default() }
}

fn list_offsets_answer() -> ListOffsetsResponseData {
    let partition =
        ListOffsetsPartitionResponse { leader_epoch: 5, offset: 1, ..Default::default() };
    let topic = ListOffsetsTopicResponse {
        name: string("t"),
        partitions: vec![partition],
        ..Default::default()
    };
    ListOffsetsResponseData { topics: vec![topic], ..Default::default() }
}

fn metadata_answer() -> MetadataResponseData {
    let topic = MetadataResponseTopic {
        name: Some(string("t")),
        topic_id: uuid([1; 16]),
        topic_authorized_operations: 0xff,
        partitions: vec![MetadataResponsePartition::default()],
        ..Default::default()
    };
    MetadataResponseData {
        cluster_id: Some(string("c")),
        brokers: vec![MetadataResponseBroker { host: string("h"), ..Default::default() }],
        topics: vec![topic],
        cluster_authorized_operations: 0xff,
        ..Default::default()
    }
}

fn features(finalized_epoch: i64) -> Features {
    let supported = |name, min_version, max_version| SupportedFeatureKey {
        name: string(name),
        min_version,
        max_version,
        ..Default::default()
    };
    Features {
        supported: vec![supported("kraft.version", 0, 1), supported("metadata.version", 7, 29)],
        finalized: vec![FinalizedFeatureKey {
            name: string("metadata.version"),
            max_version_level: 29,
            min_version_level: 29,
            ..Default::default()
        }],
        finalized_epoch,
    }
}

#[test]
fn every_answer_is_encoded_in_every_version_and_read_back() {
    let pool = pool();
    let samples = samples();
    assert_eq!(samples.len(), ADVERTISED.len());
    for (body, range) in samples.into_iter().zip(ADVERTISED) {
        let key = body.key();
        assert_eq!(key, range.key);
        for version in key.served() {
            let parts = encode(version, 77, body.clone(), &pool)
                .unwrap_or_else(|error| panic!("{key:?} {version}: {error}"));
            let sent = frame(&parts);
            assert_eq!(response_correlation_id(&sent), Some(77));
            let (correlation_id, read) = decode_response(key, version, sent.clone())
                .unwrap_or_else(|error| panic!("{key:?} {version}: {error}"));
            assert_eq!((correlation_id, read.key()), (77, key));
            let again = encode(version, 77, read, &pool).unwrap();
            assert_eq!(joined(&again)[4..], sent[..], "{key:?} {version}");
        }
    }
}

#[test]
fn a_version_that_is_not_served_is_not_encoded() {
    let pool = pool();
    for body in samples() {
        let key = body.key();
        for version in [key.served().start() - 1, key.served().end() + 1] {
            let refused = encode(version, 1, body.clone(), &pool).unwrap_err();
            assert_eq!(refused, EncodeError::Version { key, version });
            let refused = decode_response(key, version, Sealed::EMPTY).unwrap_err();
            assert_eq!(refused, DecodeError::Version { key, version });
        }
    }
}

#[test]
fn an_unknown_version_of_api_versions_is_answered_in_the_oldest_shape() {
    let parts = unsupported_api_versions(0x0102_0304, &pool()).unwrap();
    // Length, correlation id, error 35, one key: 18 from 0 to 4. No throttle time, no tags.
    let expected = [0, 0, 0, 16, 1, 2, 3, 4, 0, 35, 0, 0, 0, 1, 0, 18, 0, 0, 0, 4];
    assert_eq!(joined(&parts), expected);
    // A client that asked with version 4 understands it.
    let (_, body) = decode_response(ApiKey::ApiVersions, 4, frame(&parts)).unwrap();
    let ResponseBody::ApiVersions(body) = body else { panic!("another answer") };
    assert_eq!((body.error_code, body.api_keys.len()), (35, 1));
}

#[test]
fn an_api_versions_answer_has_no_tagged_fields_in_its_header() {
    for version in 3..=4 {
        let body = ApiVersionsResponseData { error_code: 42, ..Default::default() };
        let parts = encode(version, 1, body.into(), &pool()).unwrap();
        assert_eq!(joined(&parts)[8..10], [0, 42], "the error follows the correlation id");
    }
    let body = MetadataResponseData { throttle_time_ms: 0x0a0b_0c0d, ..Default::default() };
    let parts = encode(9, 1, body.into(), &pool()).unwrap();
    assert_eq!(joined(&parts)[8..13], [0, 0x0a, 0x0b, 0x0c, 0x0d]);
}

#[test]
fn features_of_level_zero_reach_only_clients_that_understand_them() {
    let request = ApiVersionsRequestData {
        client_software_name: string("apache-kafka-java"),
        client_software_version: string("4.3.0"),
        ..Default::default()
    };
    for (version, expected) in
        [(3, &["metadata.version"][..]), (4, &["kraft.version", "metadata.version"])]
    {
        let body = answer(version, &request, features(7));
        let parts = encode(version, 1, body.into(), &pool()).unwrap();
        let (_, body) = decode_response(ApiKey::ApiVersions, version, frame(&parts)).unwrap();
        let ResponseBody::ApiVersions(body) = body else { panic!("another answer") };
        let names: Vec<_> = body.supported_features.iter().map(|it| it.name.as_str()).collect();
        assert_eq!(names, expected, "version {version}");
        assert_eq!(body.finalized_features_epoch, 7);
    }
}

#[test]
fn an_offset_that_was_not_found_is_minus_one_unless_said() {
    // A timestamp below -1 makes clients fail instead of finding nothing.
    let partition = ListOffsetsPartitionResponse::default();
    assert_eq!((partition.offset, partition.timestamp, partition.leader_epoch), (-1, -1, -1));
}

#[test]
fn a_tagged_field_at_its_default_is_never_sent() {
    // Epoch -1, no features, no migration: the answer ends with its throttle time and no tags.
    let request = ApiVersionsRequestData {
        client_software_name: string("kcat"),
        client_software_version: string("1"),
        ..Default::default()
    };
    for version in 3..=4 {
        let body = answer(version, &request, Features::default());
        let parts = encode(version, 1, body.into(), &pool()).unwrap();
        let bytes = joined(&parts);
        let keys = ADVERTISED.len();
        assert_eq!(bytes.len(), 4 + 4 + 2 + 1 + keys * 7 + 4 + 1);
        assert!(bytes.ends_with(&[0, 0, 0, 0, 0]));
    }
    // Produce from version 10: the leader and the endpoints of an answer without errors.
    for version in 10..=13 {
        let parts = encode(version, 1, produce_answer().into(), &pool()).unwrap();
        assert!(joined(&parts).ends_with(&[0, 0, 0, 0, 0, 0, 0]), "{version}");
    }
}

/// How librdkafka before 2.2.0 steps over tagged fields: one byte too few for each
/// (librdkafka#4278). Returns whether it stays inside the bytes.
fn old_librdkafka_steps_over_tags(mut bytes: Bytes) -> bool {
    let uvarint = |bytes: &mut Bytes| {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = bytes.try_get_u8().ok()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    };
    let Some(fields) = uvarint(&mut bytes) else { return false };
    for _ in 0..fields {
        let (Some(_tag), Some(len)) = (uvarint(&mut bytes), uvarint(&mut bytes)) else {
            return false;
        };
        let skipped = usize::try_from(len.saturating_sub(1)).unwrap();
        if skipped > bytes.len() {
            return false;
        }
        bytes.advance(skipped);
    }
    true
}

#[test]
fn librdkafka_2_0_2_reads_our_api_versions_answer_to_its_end() {
    let tags_start = 4 + 4 + 2 + 1 + ADVERTISED.len() * 7 + 4;
    let request = ApiVersionsRequestData {
        client_software_name: string("librdkafka"),
        client_software_version: string("2.0.2"),
        ..Default::default()
    };
    let reads = |features: Features| {
        let body = answer(3, &request, features);
        let bytes = joined(&encode(3, 1, body.into(), &pool()).unwrap());
        old_librdkafka_steps_over_tags(Bytes::from(bytes).slice(tags_start..))
    };
    assert!(reads(Features::default()));
    for epoch in [0, 1, 127, 128, 255, 256, 40_000, 1 << 40] {
        assert!(reads(features(epoch)), "epoch {epoch}");
        assert!(reads(Features { supported: vec![], ..features(epoch) }), "epoch {epoch}");
    }
    // What it cannot read: all four fields sent, at their defaults.
    let mut defaults = vec![4, 0, 1, 1, 1, 8];
    defaults.extend([0xff; 8]);
    defaults.extend([2, 1, 1, 3, 1, 0]);
    assert!(!old_librdkafka_steps_over_tags(Bytes::from(defaults)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn no_bytes_make_a_client_panic(seed: u64) {
        let pool = pool();
        let mut numbers = Numbers(seed);
        for body in samples() {
            let key = body.key();
            let served = key.served();
            let span = usize::try_from(served.end() - served.start() + 1).unwrap();
            let version = served.start() + i16::try_from(numbers.below(span)).unwrap();
            let mut bytes = frame(&encode(version, 1, body, &pool).unwrap()).to_vec();
            for _ in 0..3 {
                let at = numbers.below(bytes.len());
                bytes[at] = numbers.next().to_le_bytes()[0];
            }
            bytes.truncate(1 + numbers.below(bytes.len()));
            let _ = decode_response(key, version, sealed(&bytes, &pool));
        }
    }
}

#[test]
fn a_full_pool_refuses_an_answer() {
    let poor = Pool::new(0, 4096);
    let kept = poor.buffer(1).unwrap();
    let refused = encode(1, 1, MetadataResponseData::default().into(), &poor).unwrap_err();
    assert!(matches!(refused, EncodeError::OverBudget(_)));
    drop(kept);
    assert!(encode(1, 1, MetadataResponseData::default().into(), &poor).is_ok());
}

#[test]
fn a_value_without_a_form_in_its_version_is_an_error() {
    let mut body = metadata_answer();
    body.topics[0].name = Some(string(&"n".repeat(40_000)));
    let refused = encode(8, 1, body.clone().into(), &pool()).unwrap_err();
    assert!(matches!(refused, EncodeError::Value { key: ApiKey::Metadata, version: 8, .. }));
    assert!(encode(9, 1, body.into(), &pool()).is_ok());
}
