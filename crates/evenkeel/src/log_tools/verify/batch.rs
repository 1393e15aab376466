//! Whether the bytes of one batch are a batch: checksum, header, every record. Pure.

use record::{Header, Records, TimestampType, crc_is_right, payload};

/// The most that a batch may decompress to, in bytes: no broker takes one that is larger.
const DECOMPRESSED_BYTES_MAX: usize = 1 << 30;

/// Checks `batch`, exactly one whole batch with this header; gives the number of its records, or says what is
/// wrong.
pub(super) fn check(header: &Header, batch: &[u8]) -> Result<u64, String> {
    if !crc_is_right(batch) {
        return Err("the checksum is wrong".to_owned());
    }
    if header.last_offset_delta < 0 {
        return Err(format!("its last offset delta is {}", header.last_offset_delta));
    }
    if header.records < 0 || header.last_offset_delta < header.records - 1 {
        let (records, delta) = (header.records, header.last_offset_delta);
        return Err(format!("{records} records do not fit a last offset delta of {delta}"));
    }
    let payload = payload(batch, DECOMPRESSED_BYTES_MAX).map_err(|error| error.to_string())?;
    let mut before = -1;
    let mut count = 0;
    for record in Records::new(header, &payload) {
        let record = record.map_err(|error| error.to_string())?;
        let delta = record.offset_delta;
        if delta <= before || header.last_offset_delta < delta {
            return Err(format!("record {count} has the offset delta {delta} after {before}"));
        }
        let late = header.max_timestamp_ms < record.timestamp_ms;
        if late && header.timestamp_type() == TimestampType::CreateTime {
            return Err(format!(
                "record {count} has the timestamp {}, above the batch's largest",
                record.timestamp_ms
            ));
        }
        before = delta;
        count += 1;
    }
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::*;
    use record::{Builder, Codec, write_crc};

    fn batch() -> Vec<u8> {
        let mut builder = Builder::new(Codec::Lz4);
        for n in 0..5 {
            builder.record(1_000 + n, Some(b"key"), Some(&[7; 100]), &[]);
        }
        builder.build()
    }

    fn found(batch: &[u8]) -> Result<u64, String> {
        check(&Header::read(batch).unwrap(), batch)
    }

    /// The batch with one field of its header changed and a right checksum.
    fn with(change: impl FnOnce(&mut Header)) -> Result<u64, String> {
        let mut batch = batch();
        let mut header = Header::read(&batch).unwrap();
        change(&mut header);
        header.write(&mut batch);
        write_crc(&mut batch);
        found(&batch)
    }

    #[test]
    fn an_intact_batch_is_counted() {
        assert_eq!(found(&batch()), Ok(5));
    }

    #[test]
    fn every_flipped_bit_that_the_checksum_covers_is_seen() {
        let intact = batch();
        for bit in (21 * 8..intact.len() * 8).step_by(7) {
            let mut batch = intact.clone();
            batch[bit / 8] ^= 1 << (bit % 8);
            assert!(found(&batch).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn a_header_that_contradicts_its_records_is_seen() {
        assert!(with(|header| header.last_offset_delta = -1).is_err());
        assert!(with(|header| header.last_offset_delta = 3).is_err());
        assert!(with(|header| header.records = 4).is_err());
        assert!(with(|header| header.records = 6).is_err());
        assert!(with(|header| header.max_timestamp_ms = 1_003).is_err());
        assert_eq!(with(|header| header.last_offset_delta = 9), Ok(5), "compaction leaves that");
    }
}
