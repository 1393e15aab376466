//! The records inside a batch: walked where they lie, nothing copied, nothing allocated.

use std::borrow::Cow;
use std::iter::FusedIterator;

use crate::codec::{self, DecompressError};
use crate::layout::HEADER_LEN;
use crate::{
    Codec, Header, HeaderError, Offset, RecordHeader, TimestampType, UnknownCodec, varint,
};

/// One record, as it lies in its batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// Its place in the log.
    pub offset: Offset,
    /// Offset less the batch's base offset, as written: only a validated batch has 0, 1, 2 and so on
    /// here, a compacted one with gaps.
    pub offset_delta: i32,
    /// Its timestamp in milliseconds: its own or, if the broker set them, the batch's largest.
    pub timestamp_ms: i64,
    /// Its key or null.
    pub key: Option<&'a [u8]>,
    /// Its value or null, which makes it a tombstone.
    pub value: Option<&'a [u8]>,
    /// Its headers, in order, duplicates kept.
    pub headers: Headers<'a>,
    /// Where it begins among the batch's records (decompressed), in bytes from the first.
    pub position: usize,
    /// Its length in bytes, the length field included.
    pub len: usize,
}

impl Record<'_> {
    /// Whether the record deletes its key.
    #[must_use]
    pub const fn is_tombstone(&self) -> bool {
        self.value.is_none()
    }
}

/// The headers of one record, in order. They were checked when the record was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Headers<'a> {
    rest: &'a [u8],
    left: i32,
}

impl<'a> Iterator for Headers<'a> {
    type Item = RecordHeader<'a>;

    fn next(&mut self) -> Option<RecordHeader<'a>> {
        if self.left == 0 {
            return None;
        }
        self.left -= 1;
        take_header(&mut self.rest)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = usize::try_from(self.left).unwrap_or(0);
        (left, Some(left))
    }
}

impl ExactSizeIterator for Headers<'_> {}
impl FusedIterator for Headers<'_> {}

/// A record that is not one, or a count that does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed record {index}: {what}")]
pub struct MalformedRecord {
    /// Its number in the batch, from 0.
    pub index: i32,
    /// What is wrong with it.
    pub what: Flaw,
}

/// What is wrong with a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    /// The records end before the header's count is reached.
    #[error("the records end before it")]
    Missing,
    /// There are bytes behind the last record.
    #[error("there are bytes behind the last record")]
    TrailingBytes,
    /// The length field is no number, negative, or beyond the end.
    #[error("its length does not fit")]
    Length,
    /// The timestamp or offset delta is no number.
    #[error("its timestamp or offset is no number")]
    Delta,
    /// The key does not fit into the record.
    #[error("its key does not fit")]
    Key,
    /// The value does not fit into the record.
    #[error("its value does not fit")]
    Value,
    /// The headers, as many as it says, do not fill the rest of the record.
    #[error("its headers do not fit")]
    Headers,
}

/// The records of a batch cannot be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PayloadError {
    /// The bytes are not exactly one batch.
    #[error("not one whole batch")]
    NotOneBatch,
    /// There is no header.
    #[error(transparent)]
    Header(#[from] HeaderError),
    /// The codec does not exist.
    #[error(transparent)]
    Codec(#[from] UnknownCodec),
    /// They do not decompress.
    #[error(transparent)]
    Decompress(#[from] DecompressError),
}

/// The bytes of the records of `batch`, exactly one whole batch: borrowed if they are not
/// compressed, else decompressed if that gives at most `max_bytes`.
pub fn payload(batch: &[u8], max_bytes: usize) -> Result<Cow<'_, [u8]>, PayloadError> {
    let header = Header::read(batch)?;
    if header.len != batch.len() {
        return Err(PayloadError::NotOneBatch);
    }
    Ok(match header.codec()? {
        Codec::None => Cow::Borrowed(&batch[HEADER_LEN..]),
        codec => Cow::Owned(codec::decompress(codec, &batch[HEADER_LEN..], max_bytes)?),
    })
}

/// Walks the records of one batch. Every length is checked before it is used; the first error is
/// the last item. A batch whose records were all walked without error holds exactly as many as its
/// header says and nothing else.
#[derive(Clone, Debug)]
pub struct Records<'a> {
    header: Header,
    payload: &'a [u8],
    rest: &'a [u8],
    index: i32,
}

impl<'a> Records<'a> {
    /// Begins at the first record. `payload` is the batch's, decompressed: see [`payload()`].
    #[must_use]
    pub fn new(header: &Header, payload: &'a [u8]) -> Records<'a> {
        Records { header: *header, payload, rest: payload, index: 0 }
    }

    fn next_record(&mut self) -> Result<Record<'a>, Flaw> {
        let position = self.payload.len() - self.rest.len();
        if self.rest.is_empty() {
            return Err(Flaw::Missing);
        }
        let raw = RawRecord::take(&mut self.rest)?;
        let timestamp_ms = match self.header.timestamp_type() {
            TimestampType::CreateTime => {
                self.header.base_timestamp_ms.wrapping_add(raw.timestamp_delta_ms)
            }
            TimestampType::LogAppendTime => self.header.max_timestamp_ms,
        };
        Ok(Record {
            offset: self.header.base_offset.plus(i64::from(raw.offset_delta)),
            offset_delta: raw.offset_delta,
            timestamp_ms,
            key: raw.key,
            value: raw.value,
            headers: raw.headers,
            position,
            len: self.payload.len() - self.rest.len() - position,
        })
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<Record<'a>, MalformedRecord>;

    fn next(&mut self) -> Option<Self::Item> {
        let index = self.index;
        if self.header.records <= index {
            let trailing = !std::mem::take(&mut self.rest).is_empty();
            return trailing.then_some(Err(MalformedRecord { index, what: Flaw::TrailingBytes }));
        }
        let next = self.next_record().map_err(|what| MalformedRecord { index, what });
        self.index += 1;
        if next.is_err() {
            self.rest = &[];
            self.index = self.header.records;
        }
        Some(next)
    }
}

impl FusedIterator for Records<'_> {}

/// The fields of a record as they are written.
pub(crate) struct RawRecord<'a> {
    pub(crate) timestamp_delta_ms: i64,
    pub(crate) offset_delta: i32,
    pub(crate) key: Option<&'a [u8]>,
    pub(crate) value: Option<&'a [u8]>,
    pub(crate) headers: Headers<'a>,
    /// Everything behind the offset delta.
    pub(crate) tail: &'a [u8],
}

impl<'a> RawRecord<'a> {
    /// Takes one record off the front of `rest`, checked to its last byte.
    pub(crate) fn take(rest: &mut &'a [u8]) -> Result<RawRecord<'a>, Flaw> {
        let len = varint::take_i32(rest).and_then(|len| usize::try_from(len).ok());
        let split = len.and_then(|len| rest.split_at_checked(len));
        let (mut body, behind) = split.ok_or(Flaw::Length)?;
        *rest = behind;
        // The record's own attributes are unused in version 2; Kafka does not look at them.
        body = body.split_first().ok_or(Flaw::Length)?.1;
        let timestamp_delta_ms = varint::take_i64(&mut body).ok_or(Flaw::Delta)?;
        let offset_delta = varint::take_i32(&mut body).ok_or(Flaw::Delta)?;
        let tail = body;
        let key = take_nullable(&mut body).ok_or(Flaw::Key)?;
        let value = take_nullable(&mut body).ok_or(Flaw::Value)?;
        let left = varint::take_i32(&mut body).filter(|n| 0 <= *n).ok_or(Flaw::Headers)?;
        let headers = Headers { rest: body, left };
        // A count that is a lie ends with the bytes: every header takes two at least.
        for _ in 0..left {
            take_header(&mut body).ok_or(Flaw::Headers)?;
        }
        if !body.is_empty() {
            return Err(Flaw::Headers);
        }
        Ok(RawRecord { timestamp_delta_ms, offset_delta, key, value, headers, tail })
    }

    /// Appends the record with another offset delta.
    pub(crate) fn put(&self, offset_delta: i32, out: &mut Vec<u8>) {
        let deltas_len = varint::len_i64(self.timestamp_delta_ms) + varint::len_i32(offset_delta);
        let len = i32::try_from(1 + deltas_len + self.tail.len());
        varint::put_i32(out, len.expect("a batch is shorter than 2 GiB"));
        out.push(0);
        varint::put_i64(out, self.timestamp_delta_ms);
        varint::put_i32(out, offset_delta);
        out.extend_from_slice(self.tail);
    }
}

fn take_header<'a>(rest: &mut &'a [u8]) -> Option<RecordHeader<'a>> {
    let key = take_nullable(rest)??;
    let value = take_nullable(rest)?;
    Some(RecordHeader { key, value })
}

/// A length and as many bytes, -1 for null. `None` if that is not what is there.
#[inline]
fn take_nullable<'a>(rest: &mut &'a [u8]) -> Option<Option<&'a [u8]>> {
    let len = varint::take_i32(rest)?;
    if len == -1 {
        return Some(None);
    }
    let (bytes, behind) = rest.split_at_checked(usize::try_from(len).ok()?)?;
    *rest = behind;
    Some(Some(bytes))
}

#[cfg(test)]
mod tests;
