//! Whatever is built is read back; whatever arrives is taken or refused, and never more.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use evenkeel_record::{
    Batches, Builder, Codec, Compression, Header, LeaderEpoch, Offset, Payload, RecordHeader,
    Records, Rules, TimestampType, Timestamps, codec, crc_is_right, layout, payload, stamp,
    validate, write_crc,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

const NOW_MS: i64 = 1_000_000;
const RULES: Rules = Rules {
    zstd_allowed: true,
    batch_bytes_max: 1 << 20,
    timestamps: Timestamps::CreateTime { before_max_ms: i64::MAX, after_max_ms: i64::MAX },
    compression: Compression::Producer,
    compacted: false,
    decompressed_bytes_max: 1 << 20,
    from_client: true,
};

type Bytes = Option<Vec<u8>>;

/// A record as a plain value.
#[derive(Clone, Debug, PartialEq)]
struct Model {
    timestamp_ms: i64,
    key: Bytes,
    value: Bytes,
    headers: Vec<(Vec<u8>, Bytes)>,
}

fn bytes(len_max: usize) -> impl Strategy<Value = Vec<u8>> {
    // Few letters, so that there is something to compress.
    prop_oneof![3 => vec(0_u8..3, 0..len_max), 1 => vec(any::<u8>(), 0..len_max)]
}

fn model() -> impl Strategy<Value = Model> {
    let timestamp = prop_oneof![9 => 0..2 * NOW_MS, 1 => any::<i64>()];
    let headers = vec((bytes(4), option::of(bytes(9))), 0..4);
    (timestamp, option::of(bytes(20)), option::of(bytes(300)), headers)
        .prop_map(|(timestamp_ms, key, value, headers)| Model { timestamp_ms, key, value, headers })
}

fn any_codec() -> impl Strategy<Value = Codec> {
    prop::sample::select(&Codec::ALL[..])
}

fn build(codec: Codec, records: &[Model]) -> Vec<u8> {
    let mut builder = Builder::new(codec);
    for record in records {
        let headers: Vec<_> = record
            .headers
            .iter()
            .map(|(key, value)| RecordHeader { key, value: value.as_deref() })
            .collect();
        builder.record(
            record.timestamp_ms,
            record.key.as_deref(),
            record.value.as_deref(),
            &headers,
        );
    }
    builder.build()
}

/// The records of a batch with their offsets.
fn read(batch: &[u8]) -> Vec<(i64, Model)> {
    assert!(crc_is_right(batch));
    let header = Header::read(batch).unwrap();
    let payload = payload(batch, 1 << 20).unwrap();
    let records = Records::new(&header, &payload).map(|record| {
        let record = record.unwrap();
        let owned = |bytes: Option<&[u8]>| bytes.map(<[u8]>::to_vec);
        let headers = record.headers.map(|h| (h.key.to_vec(), owned(h.value))).collect();
        let (key, value) = (owned(record.key), owned(record.value));
        let model = Model { timestamp_ms: record.timestamp_ms, key, value, headers };
        (record.offset.raw(), model)
    });
    records.collect()
}

fn appended<'a>(sent: &'a [u8], payload: &'a Payload) -> &'a [u8] {
    match payload {
        Payload::AsSent => sent,
        Payload::Rebuilt(bytes) => bytes,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn what_is_built_is_read_back(
        codec in any_codec(),
        records in vec(model(), 1..20),
        base in 0..i64::MAX - 1000,
    ) {
        let mut batch = build(codec, &records);
        stamp(&mut batch, Offset::new(base).unwrap(), LeaderEpoch::ZERO);
        let header = Header::read(&batch).unwrap();
        prop_assert_eq!(header.max_timestamp_ms, records.iter().map(|r| r.timestamp_ms).max().unwrap());
        let want: Vec<_> = (base..).zip(records).collect();
        prop_assert_eq!(header.next_offset().raw(), base + i64::try_from(want.len()).unwrap());
        prop_assert_eq!(read(&batch), want);
    }

    #[test]
    fn a_topic_changes_only_what_it_must(
        sent_codec in any_codec(),
        topic_codec in option::of(any_codec()),
        broker_time: bool,
        records in vec(model(), 1..20),
    ) {
        let sent = build(sent_codec, &records);
        let compression = topic_codec.map_or(
            Compression::Producer,
            |codec| Compression::To { codec, level: None },
        );
        let timestamps = if broker_time { Timestamps::LogAppendTime } else { RULES.timestamps };
        let rules = Rules { compression, timestamps, ..RULES };
        let checked = validate(&sent, &rules, NOW_MS).unwrap();
        let batch = appended(&sent, &checked.payload);
        let header = Header::read(batch).unwrap();
        prop_assert_eq!(header, checked.header);
        prop_assert_eq!(header.codec(), Ok(topic_codec.unwrap_or(sent_codec)));
        prop_assert_eq!(header.timestamp_type() == TimestampType::LogAppendTime, broker_time);
        let mut want = read(&sent);
        if broker_time {
            want.iter_mut().for_each(|(_, record)| record.timestamp_ms = NOW_MS);
        }
        let max = want.iter().map(|(_, r)| r.timestamp_ms).max().unwrap().max(-1);
        prop_assert_eq!(checked.max_timestamp_ms, max);
        prop_assert_eq!(header.max_timestamp_ms, max);
        let place = usize::try_from(checked.offset_of_max_timestamp).unwrap();
        prop_assert!(want[place].1.timestamp_ms == max || max == -1);
        prop_assert_eq!(read(batch), want);
        // What was appended would be taken as it is, were it sent.
        if !broker_time {
            let again = validate(batch, &rules, NOW_MS).unwrap();
            prop_assert_eq!(again.payload, Payload::AsSent);
        }
    }

    #[test]
    fn a_flipped_bit_is_refused_or_lies_outside_the_checksum(
        codec in any_codec(),
        records in vec(model(), 1..6),
        at: prop::sample::Index,
        bit in 0..8,
    ) {
        let mut batch = build(codec, &records);
        let at = at.index(batch.len());
        batch[at] ^= 1_u8 << bit;
        let taken = validate(&batch, &RULES, NOW_MS).is_ok();
        let epoch = layout::LEADER_EPOCH..layout::MAGIC;
        prop_assert_eq!(taken, epoch.contains(&at), "byte {}", at);
    }

    #[test]
    fn a_cut_off_batch_is_refused(codec in any_codec(), records in vec(model(), 1..6)) {
        let batch = build(codec, &records);
        for len in 0..batch.len() {
            prop_assert!(validate(&batch[..len], &RULES, NOW_MS).is_err());
            prop_assert!(Batches::new(&batch[..len]).all(|item| item.is_err()));
            prop_assert!(payload(&batch[..len], 1 << 20).is_err());
        }
    }

    /// The checksum proves nothing about a hostile client: it can be right over anything.
    #[test]
    fn damage_under_a_right_checksum_is_refused_or_leaves_readable_records(
        codec in any_codec(),
        records in vec(model(), 1..6),
        damage in vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        from_client: bool,
    ) {
        let mut batch = build(codec, &records);
        for (at, byte) in damage {
            let at = at.index(batch.len());
            batch[at] = byte;
        }
        write_crc(&mut batch);
        let rules = Rules { from_client, ..RULES };
        if let Ok(checked) = validate(&batch, &rules, NOW_MS) {
            let batch = appended(&batch, &checked.payload);
            prop_assert!(batch.len() == checked.header.len);
            let found = read(batch);
            prop_assert_eq!(found.len(), usize::try_from(checked.header.records).unwrap());
            if from_client {
                prop_assert!((0..).zip(&found).all(|(n, (offset, _))| n == *offset));
            }
        }
    }

    #[test]
    fn no_bytes_make_a_reader_panic(
        bytes in vec(any::<u8>(), 0..200),
        codec in any_codec(),
        records in any::<i32>(),
    ) {
        let _ = codec::decompress(codec, &bytes, 10_000).map(|out| assert!(out.len() <= 10_000));
        let framed = [&b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01"[..], &bytes].concat();
        let _ = codec::decompress(Codec::Snappy, &framed, 10_000);
        let zstd = [&b"\x28\xb5\x2f\xfd"[..], &bytes].concat();
        let _ = codec::decompress(Codec::Zstd, &zstd, 10_000);
        let lz4 = [&b"\x04\x22\x4d\x18\x60\x40\x82"[..], &bytes].concat();
        let _ = codec::decompress(Codec::Lz4, &lz4, 10_000);
        for item in Batches::new(&bytes) {
            let _ = item;
        }
        let header = Header::read(&build(Codec::None, &[])).unwrap();
        let walked = Records::new(&Header { records, ..header }, &bytes).count();
        prop_assert!(walked <= bytes.len() / 7 + 1);
        let _ = validate(&bytes, &RULES, NOW_MS);
    }

    #[test]
    fn damaged_compressed_data_stay_within_the_bound(
        codec in any_codec(),
        content in bytes(100_000),
        damage in vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        max_bytes in 0..150_000_usize,
    ) {
        let mut packed = codec::compress(codec, None, &content);
        for (at, byte) in damage {
            if !packed.is_empty() {
                let at = at.index(packed.len());
                packed[at] = byte;
            }
        }
        let mut out = Vec::new();
        if codec::decompress_into(codec, &packed, max_bytes, &mut out).is_ok() {
            prop_assert!(out.len() <= max_bytes);
        }
        prop_assert!(out.capacity() <= 2 * max_bytes.max(4096));
    }
}
