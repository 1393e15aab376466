//! A batch with fewer records, or with a delete horizon: what compaction makes of it.
//!
//! Base offset, last offset, epochs, producer and sequence stay, and so do offset and timestamp of
//! every record that is kept (`MemoryRecords.filterTo` in Kafka's sources).

use crate::layout::HEADER_LEN;
use crate::records::RawRecord;
use crate::{
    Attributes, Codec, Header, MalformedRecord, Record, Records, TimestampType, codec, write_crc,
};

/// How a batch is written again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rewrite {
    /// How its records are compressed.
    pub codec: Codec,
    /// The level of the codec; `None` is the default.
    pub level: Option<i32>,
    /// The delete horizon that it gets unless it has one, in milliseconds.
    pub delete_horizon_ms: Option<i64>,
}

/// The batch of `header` with those records of `payload` (see [`payload()`](crate::payload())) that
/// `keep` accepts; `None` if it accepts none. `keep` sees every record, in order.
pub fn rewrite(
    header: &Header,
    payload: &[u8],
    how: Rewrite,
    mut keep: impl FnMut(&Record<'_>) -> bool,
) -> Result<Option<Vec<u8>>, MalformedRecord> {
    let horizon_ms = how.delete_horizon_ms.filter(|_| !header.has_delete_horizon());
    let base_ms = horizon_ms.unwrap_or(header.base_timestamp_ms);
    let mut bytes = Vec::with_capacity(HEADER_LEN + payload.len());
    bytes.resize(HEADER_LEN, 0);
    let (mut records, mut largest_ms) = (0, i64::MIN);
    for record in Records::new(header, payload) {
        let record = record?;
        if !keep(&record) {
            continue;
        }
        records += 1;
        largest_ms = largest_ms.max(record.timestamp_ms);
        let raw = &payload[record.position..record.position + record.len];
        if base_ms == header.base_timestamp_ms {
            bytes.extend_from_slice(raw);
            continue;
        }
        let malformed = |what| MalformedRecord { index: records, what };
        let raw = RawRecord::take(&mut &raw[..]).map_err(malformed)?;
        let own_ms = header.base_timestamp_ms.wrapping_add(raw.timestamp_delta_ms);
        let timestamp_delta_ms = own_ms.wrapping_sub(base_ms);
        RawRecord { timestamp_delta_ms, ..raw }.put(raw.offset_delta, &mut bytes);
    }
    if records == 0 {
        return Ok(None);
    }
    if how.codec != Codec::None {
        let compressed = codec::compress(how.codec, how.level, &bytes[HEADER_LEN..]);
        bytes.truncate(HEADER_LEN);
        bytes.extend_from_slice(&compressed);
    }
    let mut header = Header { len: bytes.len(), records, base_timestamp_ms: base_ms, ..*header };
    header.attributes = header.attributes.with_codec(how.codec);
    if horizon_ms.is_some() {
        header.attributes = header.attributes.with_delete_horizon(true);
    }
    if header.timestamp_type() == TimestampType::CreateTime {
        header.max_timestamp_ms = largest_ms;
    }
    header.write(&mut bytes);
    write_crc(&mut bytes);
    Ok(Some(bytes))
}

/// The batch of `header` without a record: what keeps its offsets, and its producer's sequence
/// (`DefaultRecordBatch.writeEmptyHeader` in Kafka's sources).
#[must_use]
pub fn emptied(header: &Header) -> Vec<u8> {
    let attributes = Attributes::default()
        .with_timestamp_type(header.timestamp_type())
        .with_transactional(header.is_transactional())
        .with_control(header.is_control());
    let mut bytes = vec![0; HEADER_LEN];
    let header =
        Header { len: HEADER_LEN, attributes, base_timestamp_ms: -1, records: 0, ..*header };
    header.write(&mut bytes);
    write_crc(&mut bytes);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Builder, Offset, RecordHeader, crc_is_right};

    fn batch(codec: Codec) -> Vec<u8> {
        let mut builder = Builder::new(codec);
        builder.base_offset(Offset::ZERO.plus(70)).leader_epoch(3).producer(9, 1, 40);
        let headers = [RecordHeader { key: b"h", value: None }];
        builder.record(1_000, Some(b"a"), Some(b"one"), &headers);
        builder.offset_delta(4).record(900, Some(b"b"), None, &[]);
        builder.offset_delta(9).record(1_200, Some(b"c"), Some(b"three"), &[]);
        builder.last_offset_delta(12);
        builder.build()
    }

    /// Offset, timestamp, key and value of each record.
    fn records(batch: &[u8]) -> Vec<(i64, i64, String, Option<String>)> {
        let header = Header::read(batch).unwrap();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let payload = crate::payload(batch, 1 << 20).unwrap();
        let records = Records::new(&header, &payload).map(|record| {
            let record = record.unwrap();
            let key = text(record.key.unwrap());
            (record.offset.raw(), record.timestamp_ms, key, record.value.map(text))
        });
        records.collect()
    }

    #[test]
    fn what_is_kept_keeps_its_offset_and_timestamp() {
        for codec in Codec::ALL {
            for horizon_ms in [None, Some(5_000), Some(i64::MAX)] {
                for mask in 1..8 {
                    let source = batch(codec);
                    let header = Header::read(&source).unwrap();
                    let payload = crate::payload(&source, 1 << 20).unwrap();
                    let how = Rewrite { codec, level: None, delete_horizon_ms: horizon_ms };
                    let mut number = 0;
                    let written = rewrite(&header, &payload, how, |_| {
                        number += 1;
                        mask >> (number - 1) & 1 == 1
                    });
                    let written = written.unwrap().unwrap();
                    let mut want = records(&source);
                    number = 0;
                    want.retain(|_| {
                        number += 1;
                        mask >> (number - 1) & 1 == 1
                    });
                    assert_eq!(records(&written), want);
                    assert!(crc_is_right(&written));
                    let after = Header::read(&written).unwrap();
                    let largest_ms = want.iter().map(|record| record.1).max().unwrap();
                    assert_eq!(after.delete_horizon_ms(), horizon_ms);
                    let same = Header {
                        len: after.len,
                        crc: after.crc,
                        attributes: after.attributes,
                        base_timestamp_ms: after.base_timestamp_ms,
                        max_timestamp_ms: largest_ms,
                        records: after.records,
                        ..header
                    };
                    assert_eq!(after, same, "everything else stays");
                }
            }
        }
    }

    #[test]
    fn a_horizon_is_set_once() {
        let source = batch(Codec::None);
        let first = Rewrite { codec: Codec::None, level: None, delete_horizon_ms: Some(5_000) };
        let header = Header::read(&source).unwrap();
        let once = rewrite(&header, &source[HEADER_LEN..], first, |_| true).unwrap().unwrap();
        let header = Header::read(&once).unwrap();
        let again = Rewrite { delete_horizon_ms: Some(9_000), ..first };
        let twice = rewrite(&header, &once[HEADER_LEN..], again, |_| true).unwrap();
        assert_eq!(twice, Some(once.clone()));
        assert_eq!(rewrite(&header, &once[HEADER_LEN..], again, |_| false), Ok(None));
    }

    #[test]
    fn an_empty_batch_has_its_place_and_its_producer() {
        let source = batch(Codec::Zstd);
        let header = Header::read(&source).unwrap();
        let empty = emptied(&header);
        let after = Header::read(&empty).unwrap();
        assert!(crc_is_right(&empty) && empty.len() == HEADER_LEN);
        assert_eq!(after.codec(), Ok(Codec::None));
        assert_eq!((after.records, after.base_timestamp_ms), (0, -1));
        assert_eq!(after.last_sequence(), header.last_sequence());
        assert_eq!(
            (after.base_offset, after.last_offset(), after.leader_epoch, after.producer()),
            (header.base_offset, header.last_offset(), header.leader_epoch, header.producer())
        );
    }
}
