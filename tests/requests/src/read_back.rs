//! Record batches as a consumer reads them: checksum, codec and records, by hand.

use std::io::Read;

use kit::{Failure, Outcome};

use crate::batch::{CHECKED_FROM, Codec, XERIAL};

/// Length of a batch's header.
const HEADER_BYTES: usize = 61;

/// One record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its offset.
    pub offset: i64,
    /// Its timestamp.
    pub timestamp_ms: i64,
    /// Its value.
    pub value: Vec<u8>,
}

/// One batch of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Offset of its first record.
    pub base_offset: i64,
    /// Bytes that it takes.
    pub len_bytes: usize,
    /// Epoch of the leader that appended it.
    pub leader_epoch: i32,
    /// How it is compressed.
    pub codec: Codec,
    /// Whether the broker stamped it.
    pub stamped: bool,
    /// Whether snappy is in Java's framing.
    pub xerial: bool,
    /// Producer id, epoch, first sequence.
    pub producer: (i64, i16, i32),
    /// Its largest timestamp.
    pub max_timestamp_ms: i64,
    /// Its records.
    pub records: Vec<Record>,
}

impl Stored {
    /// The values as text.
    #[must_use]
    pub fn values(&self) -> Vec<String> {
        let text = |record: &Record| String::from_utf8_lossy(&record.value).into_owned();
        self.records.iter().map(text).collect()
    }
}

/// Every batch of an answer; each must be whole.
///
/// # Errors
/// When something is not a batch, its checksum is wrong, or its records do not fit its header.
pub fn read_back(mut bytes: &[u8]) -> Outcome<Vec<Stored>> {
    let mut all = Vec::new();
    while !bytes.is_empty() {
        let length = usize::try_from(i32_at(bytes, 8)?).map_err(|_| "a negative length")?;
        let whole = bytes.get(..12 + length).ok_or("a batch that is cut off")?;
        all.push(batch(whole)?);
        bytes = &bytes[12 + length..];
    }
    Ok(all)
}

fn batch(bytes: &[u8]) -> Outcome<Stored> {
    if bytes.len() < HEADER_BYTES || bytes[16] != 2 {
        return Err(Failure::new("no batch of version 2"));
    }
    let crc = u32::from_be_bytes(array(bytes, 17)?);
    if crc != crc32c::crc32c(&bytes[CHECKED_FROM..]) {
        return Err(Failure::new("a wrong checksum"));
    }
    let attributes = u16::from_be_bytes(array(bytes, 21)?);
    let codec = [Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd]
        .into_iter()
        .find(|codec| codec.number() == attributes & 7)
        .ok_or("an unknown codec")?;
    let body = &bytes[HEADER_BYTES..];
    let records = decompress(codec, body)?;
    let stamped = attributes & 8 != 0;
    let max_timestamp_ms = i64_at(bytes, 35)?;
    let mut rest = &records[..];
    let mut all = Vec::new();
    while !rest.is_empty() {
        let mut one = record(&mut rest, i64_at(bytes, 0)?, i64_at(bytes, 27)?)?;
        one.timestamp_ms = if stamped { max_timestamp_ms } else { one.timestamp_ms };
        all.push(one);
    }
    if i32::try_from(all.len()) != Ok(i32_at(bytes, 57)?) {
        return Err(Failure::new(format!("{} records, not as the header says", all.len())));
    }
    Ok(Stored {
        base_offset: i64_at(bytes, 0)?,
        len_bytes: bytes.len(),
        leader_epoch: i32_at(bytes, 12)?,
        codec,
        stamped,
        xerial: codec == Codec::Snappy && body.starts_with(&XERIAL),
        producer: (i64_at(bytes, 43)?, i16::from_be_bytes(array(bytes, 51)?), i32_at(bytes, 53)?),
        max_timestamp_ms,
        records: all,
    })
}

fn record(rest: &mut &[u8], base_offset: i64, base_timestamp_ms: i64) -> Outcome<Record> {
    let length = varint(rest)?;
    let (mut body, after) = split(rest, length)?;
    *rest = after;
    split_off(&mut body, 1)?;
    let timestamp_ms = base_timestamp_ms + varint(&mut body)?;
    let offset = base_offset + varint(&mut body)?;
    let key = varint(&mut body)?;
    split_off(&mut body, key.max(0))?;
    let value = varint(&mut body)?;
    let value = split_off(&mut body, value.max(0))?.to_vec();
    if varint(&mut body)? == 0 && body.is_empty() {
        Ok(Record { offset, timestamp_ms, value })
    } else {
        Err(Failure::new("headers, or bytes behind a record"))
    }
}

fn decompress(codec: Codec, bytes: &[u8]) -> Outcome<Vec<u8>> {
    let mut all = Vec::new();
    match codec {
        Codec::None => all.extend(bytes),
        Codec::Gzip => drop(flate2::read::GzDecoder::new(bytes).read_to_end(&mut all)?),
        Codec::Lz4 => drop(lz4_flex::frame::FrameDecoder::new(bytes).read_to_end(&mut all)?),
        Codec::Zstd => all = zstd::decode_all(bytes)?,
        Codec::Snappy => {
            let mut raw = |block: &[u8]| -> Outcome<()> {
                let block = snap::raw::Decoder::new().decompress_vec(block);
                all.extend(block.map_err(|error| Failure::new(error.to_string()))?);
                Ok(())
            };
            let Some(mut framed) = bytes.strip_prefix(&XERIAL) else {
                raw(bytes)?;
                return Ok(all);
            };
            while !framed.is_empty() {
                let length = i64::from(i32_at(framed, 0)?);
                let (block, after) = split(&framed[4..], length)?;
                raw(block)?;
                framed = after;
            }
        }
    }
    Ok(all)
}

fn varint(rest: &mut &[u8]) -> Outcome<i64> {
    let mut value = 0_u64;
    for shift in (0..70).step_by(7) {
        let byte = *rest.first().ok_or("a number that is cut off")?;
        *rest = &rest[1..];
        value |= u64::from(byte & 0x7f).checked_shl(shift).unwrap_or(0);
        if byte < 0x80 {
            return Ok((value >> 1).cast_signed() ^ -(value & 1).cast_signed());
        }
    }
    Err(Failure::new("a number without end"))
}

fn split(bytes: &[u8], length: i64) -> Outcome<(&[u8], &[u8])> {
    let length = usize::try_from(length).map_err(|_| "a negative length")?;
    bytes.split_at_checked(length).ok_or_else(|| "a length beyond the end".into())
}

fn split_off<'a>(bytes: &mut &'a [u8], length: i64) -> Outcome<&'a [u8]> {
    let (taken, after) = split(bytes, length)?;
    *bytes = after;
    Ok(taken)
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> Outcome<[u8; N]> {
    let field = bytes.get(at..at + N).ok_or("a header that is cut off")?;
    Ok(field.try_into().expect("as long as it was asked for"))
}

fn i32_at(bytes: &[u8], at: usize) -> Outcome<i32> {
    array(bytes, at).map(i32::from_be_bytes)
}

fn i64_at(bytes: &[u8], at: usize) -> Outcome<i64> {
    array(bytes, at).map(i64::from_be_bytes)
}
