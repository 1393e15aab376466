//! Tests of `validate`.

use super::*;
use crate::codec::DecompressError;
use crate::layout::{
    ATTRIBUTES, BASE_OFFSET, LAST_OFFSET_DELTA, LENGTH, MAGIC, MAX_TIMESTAMP, RECORD_COUNT, put,
};
use crate::{Builder, Offset, RecordError, Records, UnknownCodec, payload};

const NOW_MS: i64 = 1_700_000_000_000;
const RULES: Rules = Rules {
    zstd_allowed: true,
    batch_bytes_max: 1_048_588,
    timestamps: Timestamps::CreateTime { before_max_ms: i64::MAX, after_max_ms: 3_600_000 },
    compression: Compression::Producer,
    compacted: false,
    decompressed_bytes_max: 1 << 20,
    from_client: true,
};
const BY_BROKER: Rules = Rules { timestamps: Timestamps::LogAppendTime, ..RULES };

fn three(codec: Codec) -> Builder {
    let mut builder = Builder::new(codec);
    builder.record(NOW_MS - 10, Some(b"a"), Some(&[b'v'; 200]), &[]);
    builder.record(NOW_MS - 5, Some(b"b"), Some(&[b'v'; 200]), &[]);
    builder.record(NOW_MS - 7, Some(b"c"), None, &[]);
    builder
}

fn batch(codec: Codec) -> Vec<u8> {
    three(codec).build()
}

/// `batch` with one field changed and, if it is covered, the checksum right again.
fn changed(mut batch: Vec<u8>, at: usize, field: &[u8]) -> Vec<u8> {
    put(&mut batch, at, field);
    write_crc(&mut batch);
    batch
}

fn rebuilt(checked: &Checked) -> &[u8] {
    match &checked.payload {
        Payload::Rebuilt(bytes) => bytes,
        Payload::AsSent => panic!("the batch should have been rebuilt"),
    }
}

type Fields = (i64, i64, Option<Vec<u8>>, Option<Vec<u8>>);

fn fields(batch: &[u8]) -> Vec<Fields> {
    assert!(crc_is_right(batch));
    let header = Header::read(batch).unwrap();
    let payload = payload(batch, 1 << 20).unwrap();
    let records = Records::new(&header, &payload).map(Result::unwrap);
    records
        .map(|r| {
            (r.offset.raw(), r.timestamp_ms, r.key.map(<[u8]>::to_vec), r.value.map(<[u8]>::to_vec))
        })
        .collect()
}

#[test]
fn a_good_batch_is_appended_as_it_was_sent() {
    for codec in Codec::ALL {
        let batch = batch(codec);
        let checked = validate(&batch, &RULES, NOW_MS).unwrap();
        assert_eq!(checked.header, Header::read(&batch).unwrap());
        assert_eq!(checked.payload, Payload::AsSent);
        assert_eq!(checked.max_timestamp_ms, NOW_MS - 5);
        assert_eq!(checked.offset_of_max_timestamp, 1);
    }
}

#[test]
fn the_first_record_with_the_largest_timestamp_counts() {
    let mut builder = Builder::new(Codec::None);
    for age_ms in [1, 0, 0] {
        builder.record(NOW_MS - age_ms, None, None, &[]);
    }
    let checked = validate(&builder.build(), &RULES, NOW_MS).unwrap();
    assert_eq!(checked.offset_of_max_timestamp, 1);
}

#[test]
fn nothing_whole_is_no_batch() {
    let batch = batch(Codec::None);
    for len in 0..batch.len() {
        assert_eq!(validate(&batch[..len], &RULES, NOW_MS), Err(Refusal::NoBatch));
    }
}

#[test]
fn a_second_batch_is_refused_and_a_cut_off_one_is_ignored() {
    let batch = batch(Codec::None);
    let two = [&batch[..], &batch].concat();
    assert_eq!(validate(&two, &RULES, NOW_MS), Err(Refusal::ManyBatches));
    for len in [1, 60, 61, batch.len() - 1] {
        let checked = validate(&two[..batch.len() + len], &RULES, NOW_MS).unwrap();
        assert_eq!(rebuilt(&checked), batch, "what is appended has no trailing bytes");
        assert_eq!(checked.header.len, batch.len());
    }
    let mut damaged = two.clone();
    put(&mut damaged, batch.len() + LENGTH, &[0; 4]);
    assert_eq!(validate(&damaged, &RULES, NOW_MS), Err(Refusal::Length { found: 0 }));
}

#[test]
fn each_check_of_the_header_has_its_refusal() {
    let good = batch(Codec::None);
    let refused = |batch: &[u8]| validate(batch, &RULES, NOW_MS).unwrap_err();
    for found in [-1, 0, 13, 48] {
        let batch = changed(good.clone(), LENGTH, &i32::to_be_bytes(found));
        assert_eq!(refused(&batch), Refusal::Length { found });
    }
    for found in [0, 1] {
        let batch = changed(good.clone(), MAGIC, &i8::to_be_bytes(found));
        assert_eq!(refused(&batch), Refusal::OldMagic { found });
    }
    let batch = changed(good.clone(), MAGIC, &[3]);
    assert_eq!(refused(&batch), Refusal::UnknownMagic { found: 3 });
    for found in [-1, 1, i64::MAX] {
        let batch = changed(good.clone(), BASE_OFFSET, &found.to_be_bytes());
        assert_eq!(refused(&batch), Refusal::BaseOffset { found });
    }
    let mut damaged = good.clone();
    damaged[70] ^= 1;
    assert_eq!(refused(&damaged), Refusal::Crc);
    for id in 5..=7 {
        let batch = changed(good.clone(), ATTRIBUTES, &[0, id]);
        assert_eq!(refused(&batch), Refusal::UnknownCodec { id });
    }
    let batch = changed(good.clone(), ATTRIBUTES, &[0, 0x20]);
    assert_eq!(refused(&batch), Refusal::Control);
    for (at, field) in [(LAST_OFFSET_DELTA, 1), (LAST_OFFSET_DELTA, -1), (RECORD_COUNT, 4)] {
        let batch = changed(good.clone(), at, &i32::to_be_bytes(field));
        assert!(matches!(refused(&batch), Refusal::Count { .. }));
    }
    let mut nobody = three(Codec::None);
    nobody.producer(9, 0, -1);
    assert_eq!(refused(&nobody.build()), Refusal::NoSequence { producer_id: 9 });
}

#[test]
fn a_count_of_zero_is_refused_though_the_offsets_agree() {
    let empty = Builder::new(Codec::None).build();
    let batch = changed(empty, LAST_OFFSET_DELTA, &i32::to_be_bytes(-1));
    let refusal = Refusal::Count { records: 0, last_offset_delta: -1 };
    assert_eq!(validate(&batch, &RULES, NOW_MS), Err(refusal));
}

#[test]
fn of_several_reasons_the_first_in_kafkas_order_is_given() {
    // All wrong at once; each step takes away the reason that was given.
    let mut batch = batch(Codec::Zstd);
    put(&mut batch, BASE_OFFSET, &[0, 0, 0, 0, 0, 0, 0, 1]);
    put(&mut batch, LAST_OFFSET_DELTA, &[0; 4]);
    put(&mut batch, ATTRIBUTES, &[0, 0x24]);
    let strict = Rules { zstd_allowed: false, batch_bytes_max: 61, ..RULES };
    let refused = |batch: &[u8], rules: &Rules| validate(batch, rules, NOW_MS).unwrap_err();
    assert_eq!(refused(&batch, &strict), Refusal::ZstdNotAllowed);
    let strict = Rules { zstd_allowed: true, ..strict };
    assert_eq!(refused(&batch, &strict), Refusal::BaseOffset { found: 1 });
    put(&mut batch, BASE_OFFSET, &[0; 8]);
    assert!(matches!(refused(&batch, &strict), Refusal::TooLarge { max_bytes: 61, .. }));
    assert_eq!(refused(&batch, &RULES), Refusal::Crc);
    let unknown = changed(batch.clone(), ATTRIBUTES, &[0, 0x25]);
    assert_eq!(refused(&unknown, &RULES), Refusal::UnknownCodec { id: 5 });
    write_crc(&mut batch);
    assert!(matches!(refused(&batch, &RULES), Refusal::Count { .. }));
    let batch = changed(batch, LAST_OFFSET_DELTA, &[0, 0, 0, 2]);
    assert_eq!(refused(&batch, &RULES), Refusal::Control);
}

#[test]
fn the_longest_batch_is_taken_and_one_byte_more_is_not() {
    let batch = batch(Codec::None);
    let exact = Rules { batch_bytes_max: batch.len(), ..RULES };
    assert!(validate(&batch, &exact, NOW_MS).is_ok());
    let max_bytes = batch.len() - 1;
    let short = Rules { batch_bytes_max: max_bytes, ..RULES };
    let refusal = Refusal::TooLarge { len_bytes: batch.len(), max_bytes };
    assert_eq!(validate(&batch, &short, NOW_MS), Err(refusal));
}

#[test]
fn timestamps_out_of_range_are_told_record_by_record() {
    let timestamps = Timestamps::CreateTime { before_max_ms: 100, after_max_ms: 50 };
    let rules = Rules { timestamps, compacted: true, ..RULES };
    for codec in Codec::ALL {
        let mut builder = Builder::new(codec);
        for time in [NOW_MS - 100, NOW_MS - 101, NOW_MS + 50, NOW_MS + 51, -1, i64::MIN, i64::MAX] {
            builder.record(time, Some(b"k"), None, &[]);
        }
        builder.record(NOW_MS, None, None, &[]);
        let refused = validate(&builder.build(), &rules, NOW_MS);
        let Err(Refusal::InvalidTimestamp(errors)) = refused else { panic!("{refused:?}") };
        let flaw = |timestamp_ms| RecordFlaw::Timestamp { timestamp_ms };
        let want = [
            (1, flaw(NOW_MS - 101)),
            (3, flaw(NOW_MS + 51)),
            (5, flaw(i64::MIN)),
            (6, flaw(i64::MAX)),
            (7, RecordFlaw::NullKey),
        ];
        assert_eq!(errors.first, want.map(|(index, flaw)| RecordError { index, flaw }));
        assert_eq!(errors.total, 5);
    }
}

#[test]
fn only_a_compacted_topic_needs_keys() {
    let mut builder = Builder::new(Codec::None);
    for n in 0..1000 {
        builder.record(NOW_MS, (n % 2 == 0).then_some(&b"k"[..]), None, &[]);
    }
    let batch = builder.build();
    assert!(validate(&batch, &RULES, NOW_MS).is_ok());
    let refused = validate(&batch, &Rules { compacted: true, ..RULES }, NOW_MS);
    let Err(Refusal::NullKey(errors)) = refused else { panic!("{refused:?}") };
    assert_eq!((errors.total, errors.first.len()), (500, RecordErrors::REPORTED_MAX));
    assert_eq!(errors.first[1], RecordError { index: 3, flaw: RecordFlaw::NullKey });
}

#[test]
fn a_producer_cannot_say_that_the_broker_set_the_time() {
    for rules in [RULES, BY_BROKER] {
        let mut builder = three(Codec::None);
        builder.log_append_time(NOW_MS);
        let refused = validate(&builder.build(), &rules, NOW_MS);
        let Err(Refusal::InvalidTimestamp(errors)) = refused else { panic!("{refused:?}") };
        assert_eq!(errors.first[0].flaw, RecordFlaw::TimestampType);
        assert_eq!(errors.total, 3);
    }
}

#[test]
fn the_brokers_time_changes_only_the_header() {
    for codec in Codec::ALL {
        let sent = batch(codec);
        // A time that no topic with CreateTime would take.
        let checked = validate(&sent, &BY_BROKER, 5).unwrap();
        let batch = rebuilt(&checked);
        assert_eq!(batch[HEADER_LEN..], sent[HEADER_LEN..], "{codec:?}");
        assert_eq!(checked.header, Header::read(batch).unwrap());
        assert_eq!(checked.header.max_timestamp_ms, 5);
        assert_eq!((checked.max_timestamp_ms, checked.offset_of_max_timestamp), (5, 0));
        assert!(fields(batch).iter().all(|record| record.1 == 5));
    }
}

#[test]
fn a_wrong_largest_timestamp_is_set_right() {
    for codec in Codec::ALL {
        let sent = changed(batch(codec), MAX_TIMESTAMP, &i64::MAX.to_be_bytes());
        let checked = validate(&sent, &RULES, NOW_MS).unwrap();
        assert_eq!(rebuilt(&checked), batch(codec));
    }
}

#[test]
fn a_clients_delete_horizon_becomes_the_base_timestamp() {
    let mut builder = Builder::new(Codec::None);
    builder.delete_horizon(NOW_MS - 50).record(NOW_MS, Some(b"k"), None, &[]);
    let sent = builder.build();
    let checked = validate(&sent, &RULES, NOW_MS).unwrap();
    assert!(!checked.header.has_delete_horizon());
    assert_eq!(fields(rebuilt(&checked)), fields(&sent));
    let own = Rules { from_client: false, ..RULES };
    assert_eq!(validate(&sent, &own, NOW_MS).unwrap().payload, Payload::AsSent);
}

#[test]
fn every_codec_becomes_every_other_where_the_topic_says_so() {
    for (from, to) in Codec::ALL.into_iter().flat_map(|a| Codec::ALL.map(|b| (a, b))) {
        let sent = batch(from);
        let compression = Compression::To { codec: to, level: Some(1) };
        let checked = validate(&sent, &Rules { compression, ..RULES }, NOW_MS).unwrap();
        if from == to {
            assert_eq!(checked.payload, Payload::AsSent);
            continue;
        }
        assert_eq!(checked.header.codec(), Ok(to));
        assert_eq!(fields(rebuilt(&checked)), fields(&sent));
    }
}

#[test]
fn what_the_topics_codec_makes_too_large_is_refused() {
    let sent = batch(Codec::Zstd);
    let compression = Compression::To { codec: Codec::None, level: None };
    let rules = Rules { compression, batch_bytes_max: sent.len() + 100, ..RULES };
    let refused = validate(&sent, &rules, NOW_MS);
    assert!(matches!(refused, Err(Refusal::TooLarge { .. })), "{refused:?}");
}

#[test]
fn offset_deltas_out_of_sequence_are_numbered_anew() {
    for codec in Codec::ALL {
        let mut builder = Builder::new(codec);
        builder.offset_delta(5).record(NOW_MS, Some(b"a"), Some(b"1"), &[]);
        builder.offset_delta(-70_000).record(NOW_MS + 3, Some(b"b"), Some(b"2"), &[]);
        builder.offset_delta(5).record(NOW_MS, Some(b"c"), Some(b"3"), &[]).last_offset_delta(2);
        let checked = validate(&builder.build(), &RULES, NOW_MS).unwrap();
        let found: Vec<_> = fields(rebuilt(&checked)).into_iter().map(|f| (f.0, f.2)).collect();
        let want = [(0, b"a"), (1, b"b"), (2, b"c")].map(|(n, key)| (n, Some(key.to_vec())));
        assert_eq!(found, want);
        assert_eq!(checked.header.codec(), Ok(codec));
        assert_eq!(checked.offset_of_max_timestamp, 1);
    }
}

#[test]
fn malformed_records_are_refused_however_they_are_compressed() {
    let good = batch(Codec::None);
    let header = Header::read(&good).unwrap();
    let records = &good[HEADER_LEN..];
    for codec in Codec::ALL {
        let attributes = header.attributes.with_codec(codec);
        let refused = |records: &[u8]| {
            let records = codec::compress(codec, None, records);
            validate(&patch(&Header { attributes, ..header }, &records), &RULES, NOW_MS)
        };
        assert!(refused(records).is_ok());
        let cut = refused(&records[..records.len() - 1]);
        assert_eq!(cut, Err(MalformedRecord { index: 2, what: Flaw::Length }.into()), "{codec:?}");
        let first = Records::new(&header, records).next().unwrap().unwrap().len;
        let missing = refused(&records[..first]);
        assert_eq!(missing, Err(MalformedRecord { index: 1, what: Flaw::Missing }.into()));
        let trailing = refused(&[records, b"\0"].concat());
        let flaw = MalformedRecord { index: 3, what: Flaw::TrailingBytes };
        assert_eq!(trailing, Err(flaw.into()), "{codec:?}");
    }
}

#[test]
fn what_does_not_decompress_is_refused() {
    let good = batch(Codec::None);
    for codec in [Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd] {
        let refused =
            validate(&changed(good.clone(), ATTRIBUTES, &[0, codec.id()]), &RULES, NOW_MS);
        let malformed = matches!(
            refused,
            Err(Refusal::Decompress(DecompressError::Malformed { codec: found, .. })) if found == codec
        );
        assert!(malformed, "{refused:?}");
    }
}

#[test]
fn a_bomb_is_refused() {
    let zeros = vec![0; 1 << 20];
    for codec in [Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd] {
        let mut bomb = Builder::new(codec);
        bomb.record(NOW_MS, Some(b"k"), Some(&zeros), &[]);
        let refused = validate(&bomb.build(), &RULES, NOW_MS);
        let too_large = DecompressError::TooLarge { max_bytes: 1 << 20 };
        assert_eq!(refused, Err(Refusal::Decompress(too_large)), "{codec:?}");
    }
}

#[test]
fn the_brokers_own_batches_may_be_control_batches_with_gaps_anywhere() {
    let own = Rules { from_client: false, ..RULES };
    let mut builder = Builder::new(Codec::Lz4);
    builder.base_offset(Offset::ZERO.plus(70)).control().producer(1, 1, -1);
    builder.record(NOW_MS, Some(b"k"), None, &[]).offset_delta(8).record(NOW_MS, None, None, &[]);
    let batch = builder.build();
    assert_eq!(validate(&batch, &own, NOW_MS).unwrap().payload, Payload::AsSent);
    assert!(validate(&batch, &RULES, NOW_MS).is_err());
}

#[test]
fn unknown_codecs_are_named_by_the_header_too() {
    let batch = changed(batch(Codec::None), ATTRIBUTES, &[0, 7]);
    assert_eq!(Header::read(&batch).unwrap().codec(), Err(UnknownCodec { id: 7 }));
}
