//! Tests of `records`.

use super::*;
use crate::Builder;

const HEADERS: [RecordHeader<'static>; 3] = [
    RecordHeader { key: b"trace", value: Some(b"1") },
    RecordHeader { key: b"trace", value: None },
    RecordHeader { key: b"", value: Some(b"") },
];

fn batch(codec: Codec) -> Vec<u8> {
    let mut builder = Builder::new(codec);
    builder.base_offset(Offset::ZERO.plus(100));
    builder.record(5_000, Some(b"key"), Some(b"value"), &HEADERS);
    builder.record(4_990, None, None, &[]);
    builder.record(5_010, Some(b""), Some(b""), &HEADERS[..1]);
    builder.build()
}

fn walk(header: &Header, payload: &[u8]) -> Result<usize, MalformedRecord> {
    Records::new(header, payload).try_fold(0, |n, record| record.map(|_| n + 1))
}

#[test]
fn records_are_read_as_they_were_built_with_every_codec() {
    for codec in Codec::ALL {
        let batch = batch(codec);
        let header = Header::read(&batch).unwrap();
        assert_eq!((header.base_timestamp_ms, header.max_timestamp_ms), (5_000, 5_010));
        let payload = payload(&batch, 1000).unwrap();
        let records: Vec<_> = Records::new(&header, &payload).map(Result::unwrap).collect();
        let [first, second, third] = &records[..] else { panic!("three records") };
        assert_eq!((first.offset.raw(), first.timestamp_ms), (100, 5_000));
        assert_eq!((first.key, first.value), (Some(&b"key"[..]), Some(&b"value"[..])));
        assert_eq!(first.headers.collect::<Vec<_>>(), HEADERS);
        assert_eq!((second.offset.raw(), second.timestamp_ms), (101, 4_990));
        assert!(second.key.is_none() && second.is_tombstone());
        assert_eq!(second.headers.len(), 0);
        assert_eq!((third.key, third.value), (Some(&b""[..]), Some(&b""[..])));
        assert_eq!(second.position, first.len);
        assert_eq!(third.position + third.len, payload.len());
    }
}

#[test]
fn the_brokers_time_is_that_of_every_record() {
    let mut builder = Builder::new(Codec::None);
    builder.record(1, None, None, &[]).record(2, None, None, &[]).log_append_time(99);
    let batch = builder.build();
    let header = Header::read(&batch).unwrap();
    let times = Records::new(&header, &batch[HEADER_LEN..]).map(|r| r.unwrap().timestamp_ms);
    assert_eq!(times.collect::<Vec<_>>(), [99, 99]);
}

#[test]
fn a_delete_horizon_is_what_timestamps_are_relative_to() {
    let mut builder = Builder::new(Codec::None);
    builder.delete_horizon(777).record(1_000, None, None, &[]);
    let batch = builder.build();
    let header = Header::read(&batch).unwrap();
    assert_eq!((header.delete_horizon_ms(), header.max_timestamp_ms), (Some(777), 1_000));
    let record = Records::new(&header, &batch[HEADER_LEN..]).next().unwrap().unwrap();
    assert_eq!(record.timestamp_ms, 1_000);
}

#[test]
fn compaction_leaves_gaps_and_keeps_the_last_offset() {
    let mut builder = Builder::new(Codec::Lz4);
    builder.offset_delta(2).record(1, Some(b"a"), None, &[]);
    builder.offset_delta(5).record(1, Some(b"b"), None, &[]).last_offset_delta(9);
    let batch = builder.build();
    let header = Header::read(&batch).unwrap();
    assert_eq!((header.records, header.next_offset().raw()), (2, 10));
    let payload = payload(&batch, 1000).unwrap();
    let offsets = Records::new(&header, &payload).map(|r| r.unwrap().offset.raw());
    assert_eq!(offsets.collect::<Vec<_>>(), [2, 5]);
}

#[test]
fn every_pair_of_timestamps_is_read_back() {
    let times = [i64::MIN, -1, 0, i64::MAX];
    for (a, b) in times.iter().flat_map(|a| times.iter().map(move |b| (*a, *b))) {
        let mut builder = Builder::new(Codec::None);
        builder.record(a, None, None, &[]).record(b, None, None, &[]);
        let batch = builder.build();
        let header = Header::read(&batch).unwrap();
        let got = Records::new(&header, &batch[HEADER_LEN..]).map(|r| r.unwrap().timestamp_ms);
        assert_eq!(got.collect::<Vec<_>>(), [a, b]);
        assert_eq!(header.max_timestamp_ms, a.max(b));
    }
}

#[test]
fn a_count_that_does_not_fit_is_found() {
    let batch = batch(Codec::None);
    let header = Header::read(&batch).unwrap();
    let payload = &batch[HEADER_LEN..];
    assert_eq!(walk(&header, payload), Ok(3));
    let more = Header { records: 4, ..header };
    assert_eq!(walk(&more, payload), Err(MalformedRecord { index: 3, what: Flaw::Missing }));
    let fewer = Header { records: 2, ..header };
    assert_eq!(walk(&fewer, payload), Err(MalformedRecord { index: 2, what: Flaw::TrailingBytes }));
    for records in [0, -1, i32::MIN] {
        let mut walk = Records::new(&Header { records, ..header }, payload);
        assert!(walk.next().unwrap().is_err());
        assert_eq!(walk.next(), None);
    }
}

#[test]
fn each_flaw_is_named() {
    let header = Header { records: 1, ..Header::read(&batch(Codec::None)).unwrap() };
    let cases: [(&[u8], Flaw); 18] = [
        (&[], Flaw::Missing),
        (&[0x80], Flaw::Length),
        (&[0x01, 0], Flaw::Length),
        (&[14, 0], Flaw::Length),
        (&[0], Flaw::Length),
        (&[2, 0], Flaw::Delta),
        (&[4, 0, 0], Flaw::Delta),
        (&[6, 0, 0, 0], Flaw::Key),
        (&[10, 0, 0, 0, 3, 1], Flaw::Key),
        (&[8, 0, 0, 0, 2], Flaw::Key),
        (&[8, 0, 0, 0, 1], Flaw::Value),
        (&[12, 0, 0, 0, 1, 4, 9], Flaw::Value),
        (&[10, 0, 0, 0, 1, 1], Flaw::Headers),
        (&[12, 0, 0, 0, 1, 1, 1], Flaw::Headers),
        (&[14, 0, 0, 0, 1, 1, 0, 7], Flaw::Headers),
        (&[14, 0, 0, 0, 1, 1, 2, 1], Flaw::Headers),
        (&[16, 0, 0, 0, 1, 1, 2, 0, 3], Flaw::Headers),
        (&[20, 0, 0, 0, 1, 1, 0xfe, 0xff, 0xff, 0xff, 0x0f], Flaw::Headers),
    ];
    for (payload, what) in cases {
        assert_eq!(walk(&header, payload), Err(MalformedRecord { index: 0, what }), "{payload:?}");
    }
    assert_eq!(walk(&header, &[12, 0, 0, 0, 1, 1, 0]), Ok(1));
}

#[test]
fn only_one_whole_batch_has_a_payload() {
    let batch = batch(Codec::Zstd);
    assert!(matches!(payload(&batch[1..], 1000), Err(PayloadError::Header(_))));
    assert_eq!(payload(&batch[..batch.len() - 1], 1000), Err(PayloadError::NotOneBatch));
    let too_large = DecompressError::TooLarge { max_bytes: 10 };
    assert_eq!(payload(&batch, 10), Err(too_large.into()));
}
