//! Record batches: walk, decompress, validate. Input: a byte of choices, then batches.

use record::layout::HEADER_LEN;
use record::{
    Batches, Codec, Compression, EndTransaction, Header, LeaderEpoch, Offset, Payload, Records,
    Rules, Timestamps, crc_is_right, payload, validate,
};

use super::take;

/// The most that a batch may become here, in bytes.
const DECOMPRESSED_BYTES_MAX: usize = 1 << 20;
/// With this choice the checksum is made right, so that what lies behind it is reached.
const REPAIR: u8 = 1;

/// Reads `data` as the log does, and as what a client sent.
///
/// # Panics
/// If a decompressor gives more than it may, or a batch that was taken is not right.
pub fn record(data: &[u8]) {
    let mut data = data;
    let choices = take(&mut data);
    let mut bytes = data.to_vec();
    if choices & REPAIR != 0 {
        repair(&mut bytes);
    }
    for batch in Batches::new(&bytes) {
        let Ok((header, batch)) = batch else { break };
        walk(&header, batch);
    }
    for codec in [Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd] {
        if let Ok(plain) = record::codec::decompress(codec, &bytes, DECOMPRESSED_BYTES_MAX) {
            assert!(plain.len() <= DECOMPRESSED_BYTES_MAX, "{codec:?}: {} bytes", plain.len());
        }
    }
    let rules = rules(choices);
    if let Ok(checked) = validate(&bytes, &rules, 1_700_000_000_000) {
        let taken = match checked.payload {
            Payload::AsSent => bytes,
            Payload::Rebuilt(bytes) => bytes,
        };
        assert!(taken.len() <= rules.batch_bytes_max, "{} bytes taken", taken.len());
        check_taken(&checked.header, taken, &rules);
    }
}

/// The first batch gets a right length and a right checksum.
fn repair(bytes: &mut [u8]) {
    if bytes.len() < HEADER_LEN {
        return;
    }
    let length = i32::try_from(bytes.len() - 12).unwrap_or(i32::MAX);
    bytes[8..12].copy_from_slice(&length.to_be_bytes());
    record::write_crc(bytes);
}

fn walk(header: &Header, batch: &[u8]) {
    let _ = crc_is_right(batch);
    let _ = EndTransaction::read(batch);
    let Ok(payload) = payload(batch, DECOMPRESSED_BYTES_MAX) else { return };
    let mut count = 0;
    let mut whole = true;
    for record in Records::new(header, &payload) {
        match record {
            Ok(record) => {
                count += 1;
                assert!(record.position + record.len <= payload.len());
                assert_eq!(record.headers.count(), record.headers.len());
            }
            Err(_) => whole = false,
        }
    }
    assert!(!whole || count == header.records.max(0), "{count} of {} records", header.records);
}

fn rules(choices: u8) -> Rules {
    let compression = match (choices >> 1) & 7 {
        0..=3 => Compression::Producer,
        4 => Compression::To { codec: Codec::None, level: None },
        5 => Compression::To { codec: Codec::Lz4, level: None },
        6 => Compression::To { codec: Codec::Gzip, level: Some(1) },
        _ => Compression::To { codec: Codec::Zstd, level: Some(1) },
    };
    let timestamps = if choices & 0x10 == 0 {
        Timestamps::CreateTime { before_max_ms: i64::MAX, after_max_ms: i64::MAX }
    } else {
        Timestamps::LogAppendTime
    };
    Rules {
        zstd_allowed: choices & 0x20 == 0,
        batch_bytes_max: 1 << 20,
        timestamps,
        compression,
        compacted: choices & 0x40 != 0,
        decompressed_bytes_max: DECOMPRESSED_BYTES_MAX,
        from_client: choices & 0x80 == 0,
    }
}

/// What was taken is right, and is taken again as it is.
fn check_taken(header: &Header, mut batch: Vec<u8>, rules: &Rules) {
    assert!(crc_is_right(&batch[..header.len]));
    assert_eq!(&Header::read(&batch).expect("it was taken"), header);
    // A client may not say that the broker set the time, as is now in the batch.
    if rules.timestamps != Timestamps::LogAppendTime {
        let again = validate(&batch, rules, 1_700_000_000_000).expect("it was taken once");
        assert_eq!(again.payload, Payload::AsSent);
        assert_eq!(again.header.records, header.records);
    }
    record::stamp(&mut batch, Offset::ZERO.plus(77), LeaderEpoch::ZERO);
    assert!(crc_is_right(&batch[..header.len]), "stamping is outside the checksum");
}
