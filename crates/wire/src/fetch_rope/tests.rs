//! Tests of `fetch_rope`.

use bytes::{BufMut, BytesMut};
use proptest::prelude::*;

use super::*;
use crate::messages::fetch_response::{
    AbortedTransaction, FetchResponseData, FetchableTopicResponse, PartitionData,
};
use crate::messages::{string, uuid};
use crate::response::{ResponseBody, decode_response};
use crate::shape::generate::Numbers;

/// An answer with random content.
fn random_answer(numbers: &mut Numbers, pool: &Pool) -> FetchAnswer {
    let mut topics = Vec::new();
    for _ in 0..numbers.below(3) {
        let partitions = (0..numbers.below(4)).map(|_| random_partition(numbers, pool)).collect();
        topics.push(FetchedTopic {
            name: random_string(numbers),
            id: uuid([numbers.next().to_le_bytes()[0]; 16]),
            partitions,
        });
    }
    let node_endpoints = (0..numbers.below(3)).map(|_| NodeEndpoint {
        node_id: random_i32(numbers),
        host: random_string(numbers),
        port: random_i32(numbers),
        rack: numbers.one_in(2).then(|| random_string(numbers)),
        ..NodeEndpoint::default()
    });
    let node_endpoints = node_endpoints.collect();
    FetchAnswer {
        throttle_time_ms: random_i32(numbers),
        error_code: i16::from(numbers.next().to_le_bytes()[0]),
        session_id: random_i32(numbers),
        node_endpoints,
        topics,
    }
}

fn random_partition(numbers: &mut Numbers, pool: &Pool) -> FetchedPartition {
    let aborted = |numbers: &mut Numbers| AbortedTransaction {
        producer_id: random_i64(numbers),
        first_offset: random_i64(numbers),
        ..AbortedTransaction::default()
    };
    FetchedPartition {
        partition: random_i32(numbers),
        error_code: i16::from(numbers.next().to_le_bytes()[0]),
        high_watermark: random_i64(numbers),
        last_stable_offset: random_i64(numbers),
        log_start_offset: random_i64(numbers),
        diverging_epoch: numbers.one_in(2).then(|| EpochEndOffset {
            epoch: random_i32(numbers),
            end_offset: random_i64(numbers),
            ..EpochEndOffset::default()
        }),
        current_leader: numbers.one_in(2).then(|| LeaderIdAndEpoch {
            leader_id: random_i32(numbers),
            leader_epoch: random_i32(numbers),
            ..LeaderIdAndEpoch::default()
        }),
        snapshot_id: numbers.one_in(2).then(|| SnapshotId {
            end_offset: random_i64(numbers),
            epoch: random_i32(numbers),
            ..SnapshotId::default()
        }),
        aborted_transactions: (!numbers.one_in(3))
            .then(|| (0..numbers.below(3)).map(|_| aborted(numbers)).collect()),
        preferred_read_replica: random_i32(numbers),
        records: (0..numbers.below(4)).map(|_| random_part(numbers, pool)).collect(),
    }
}

/// Small numbers, so that defaults come up among them.
fn random_i32(numbers: &mut Numbers) -> i32 {
    i32::try_from(numbers.below(5)).unwrap() - 2
}

fn random_i64(numbers: &mut Numbers) -> i64 {
    if numbers.one_in(2) { i64::from(random_i32(numbers)) } else { numbers.next().cast_signed() }
}

fn random_string(numbers: &mut Numbers) -> KafkaString {
    string(&"topic-name".repeat(20)[..numbers.below(200)])
}

fn random_part(numbers: &mut Numbers, pool: &Pool) -> Sealed {
    let mut block = pool.buffer(1).expect("the pool is large");
    block.as_mut_slice().fill(numbers.next().to_le_bytes()[0]);
    block.seal(if numbers.one_in(4) { 0 } else { numbers.below(600) })
}

/// The generated struct that says the same in this version; it refuses what the version lacks.
fn message_of(answer: &FetchAnswer, version: i16) -> FetchResponseData {
    let partition = |it: &FetchedPartition| PartitionData {
        partition_index: it.partition,
        error_code: it.error_code,
        high_watermark: it.high_watermark,
        last_stable_offset: it.last_stable_offset,
        log_start_offset: it.log_start_offset,
        diverging_epoch: it.diverging_epoch.clone().unwrap_or_default(),
        current_leader: it.current_leader.clone().unwrap_or_default(),
        snapshot_id: it.snapshot_id.clone().unwrap_or_default(),
        aborted_transactions: it.aborted_transactions.clone(),
        preferred_read_replica: if version >= 11 { it.preferred_read_replica } else { -1 },
        records: Some(it.records.iter().flat_map(|part| part.to_vec()).collect()),
        ..PartitionData::default()
    };
    let topic = |it: &FetchedTopic| FetchableTopicResponse {
        topic: it.name.clone(),
        topic_id: it.id,
        partitions: it.partitions.iter().map(partition).collect(),
        ..FetchableTopicResponse::default()
    };
    FetchResponseData {
        throttle_time_ms: answer.throttle_time_ms,
        error_code: answer.error_code,
        session_id: if version >= 7 { answer.session_id } else { 0 },
        responses: answer.topics.iter().map(topic).collect(),
        node_endpoints: answer.node_endpoints.clone(),
        ..FetchResponseData::default()
    }
}

fn expected(answer: &FetchAnswer, version: i16, correlation_id: i32) -> BytesMut {
    let mut body = BytesMut::new();
    body.put_i32(correlation_id);
    if version >= 12 {
        body.put_u8(0);
    }
    message_of(answer, version).write(&mut body, version).expect("fits the version");
    let mut frame = BytesMut::new();
    frame.put_i32(i32::try_from(body.len()).unwrap());
    frame.put_slice(&body);
    frame
}

fn joined(parts: &[Sealed]) -> Vec<u8> {
    parts.iter().flat_map(|part| part.to_vec()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_rope_is_byte_equal_to_the_generated_encoder_in_every_version(seed: u64) {
        let pool = Pool::new(0, 64 << 20);
        let answer = random_answer(&mut Numbers(seed), &pool);
        for version in ApiKey::Fetch.served() {
            let parts = encode(version, 42, &answer, &pool).unwrap();
            let expected = expected(&answer, version, 42);
            prop_assert_eq!(joined(&parts), expected.to_vec(), "version {}", version);
            prop_assert!(parts.iter().all(|part| !part.is_empty()), "version {}", version);
        }
    }

    #[test]
    fn a_client_reads_back_what_the_rope_says(seed: u64) {
        let pool = Pool::new(0, 64 << 20);
        let answer = random_answer(&mut Numbers(seed), &pool);
        for version in ApiKey::Fetch.served() {
            let whole = expected(&answer, version, 42);
            let mut block = pool.buffer(whole.len()).unwrap();
            block.as_mut_slice()[..whole.len()].copy_from_slice(&whole);
            let frame = block.seal(whole.len()).slice(4..whole.len());
            let (correlation_id, read) = decode_response(ApiKey::Fetch, version, frame).unwrap();
            prop_assert_eq!(correlation_id, 42);
            let ResponseBody::Fetch(read) = read else { panic!("another answer") };
            prop_assert_eq!(read.records_bytes(), answer.records_bytes());
            let again = encode(version, 42, &read, &pool).unwrap();
            prop_assert_eq!(joined(&again), whole.to_vec(), "version {}", version);
        }
    }
}

/// One topic of one partition.
fn answer_of(partition: FetchedPartition) -> FetchAnswer {
    let topic = FetchedTopic { name: string("t"), id: uuid([1; 16]), partitions: vec![partition] };
    FetchAnswer { topics: vec![topic], ..FetchAnswer::default() }
}

#[test]
fn records_leave_as_the_slices_they_came_as() {
    let pool = Pool::new(0, 1 << 20);
    let mut chunk = pool.chunk(8192).unwrap();
    let place = chunk.append(&[9; 5000]).unwrap();
    let records = chunk.seal(place);
    let halves = vec![records.slice(0..2000), records.slice(2000..5000)];
    let used = pool.used();
    let partition = FetchedPartition { records: halves, ..FetchedPartition::default() };
    for version in ApiKey::Fetch.served() {
        let parts = encode(version, 1, &answer_of(partition.clone()), &pool).unwrap();
        let lent: Vec<_> = parts.iter().filter(|part| part.len() >= 2000).collect();
        assert_eq!(lent.len(), 2);
        assert_eq!(lent[0].as_ptr(), records[..].as_ptr());
        assert_eq!(lent[1].as_ptr(), records[2000..].as_ptr());
        assert_eq!(pool.used(), used + buf::PAGE, "one block for all small parts");
        drop(parts);
        pool.collect();
    }
}

#[test]
fn an_empty_answer_carries_records_of_length_zero_never_null() {
    let pool = Pool::new(0, 1 << 20);
    for version in ApiKey::Fetch.served() {
        for records in [vec![], vec![Sealed::EMPTY]] {
            let partition = FetchedPartition { records, ..FetchedPartition::default() };
            let parts = encode(version, 1, &answer_of(partition), &pool).unwrap();
            assert_eq!(parts.len(), 1);
            let mut body = parts[0].slice(8..parts[0].len()).into_bytes();
            if version >= 12 {
                let _ = body.split_to(1);
            }
            let read = FetchResponseData::read(&mut body, version).unwrap();
            let records = &read.responses[0].partitions[0].records;
            assert_eq!(records.as_deref(), Some(&[][..]), "version {version}");
        }
    }
}

#[test]
fn a_tagged_field_at_its_default_is_not_sent() {
    let pool = Pool::new(0, 1 << 20);
    let absent = answer_of(FetchedPartition::default());
    let present = answer_of(FetchedPartition {
        diverging_epoch: Some(EpochEndOffset::default()),
        current_leader: Some(LeaderIdAndEpoch::default()),
        snapshot_id: Some(SnapshotId::default()),
        ..FetchedPartition::default()
    });
    for version in ApiKey::Fetch.served() {
        let absent = encode(version, 1, &absent, &pool).unwrap();
        let present = encode(version, 1, &present, &pool).unwrap();
        assert_eq!(joined(&absent), joined(&present), "version {version}");
    }
}

#[test]
fn an_error_answer_names_no_preferred_replica() {
    // librdkafka asks the replica that is named and never comes back.
    let failed = FetchedPartition::failed(3, 6);
    assert_eq!((failed.partition, failed.error_code), (3, 6));
    assert_eq!(failed.preferred_read_replica, -1);
    assert!(failed.records.is_empty());
}

#[test]
fn a_version_that_is_not_served_and_a_full_pool_are_errors() {
    let pool = Pool::new(0, 4096);
    let answer = FetchAnswer::default();
    for version in [3, 19, -1] {
        let refused = encode(version, 1, &answer, &pool).unwrap_err();
        assert_eq!(refused, EncodeError::Version { key: ApiKey::Fetch, version });
    }
    let kept = encode(4, 1, &answer, &pool).unwrap();
    assert!(matches!(encode(4, 1, &answer, &pool), Err(EncodeError::OverBudget(_))));
    drop(kept);
    assert!(encode(4, 1, &answer, &pool).is_ok());
}

#[test]
fn a_name_too_long_for_its_version_is_an_error() {
    let pool = Pool::new(0, 1 << 20);
    let mut answer = answer_of(FetchedPartition::default());
    answer.topics[0].name = string(&"n".repeat(40_000));
    let refused = encode(4, 1, &answer, &pool).unwrap_err();
    assert_eq!(refused, EncodeError::TooLong { key: ApiKey::Fetch, bytes: 40_000 });
    assert!(encode(12, 1, &answer, &pool).is_ok());
}
