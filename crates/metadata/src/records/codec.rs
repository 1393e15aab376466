//! Bytes of the flexible encoding: variable-length integers, compact strings and arrays, and the
//! section of tagged fields that ends each structure.
//!
//! Every length is checked against the bytes that are left before anything is kept, so an
//! allocation is never larger than a constant times the input. Nothing here knows a record.

use record::TopicId;

use super::{RecordError, Uuid};

/// The longest string Kafka's generated code reads or writes, in bytes.
const STRING_BYTES_MAX: usize = 0x7fff;

/// What is left of the bytes being decoded.
#[derive(Debug)]
pub(crate) struct Input<'a> {
    rest: &'a [u8],
}

impl<'a> Input<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Input<'a> {
        Input { rest: bytes }
    }

    pub(crate) fn take(&mut self, len: usize) -> Result<&'a [u8], RecordError> {
        let (head, rest) = self.rest.split_at_checked(len).ok_or(RecordError::Truncated)?;
        self.rest = rest;
        Ok(head)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], RecordError> {
        let (head, rest) = self.rest.split_first_chunk::<N>().ok_or(RecordError::Truncated)?;
        self.rest = rest;
        Ok(*head)
    }

    /// An unsigned variable-length integer: seven bits a byte, least significant first, at most
    /// five bytes.
    pub(crate) fn uvarint(&mut self) -> Result<u32, RecordError> {
        let mut value = 0u64;
        for shift in (0..35).step_by(7) {
            let [byte] = self.array::<1>()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return u32::try_from(value).map_err(|_| RecordError::VarintTooLong);
            }
        }
        Err(RecordError::VarintTooLong)
    }

    /// The length of a compact string, byte field or array; `None` stands for null. Each element
    /// takes at least one byte, so a length above what is left cannot be true.
    fn compact_len(&mut self) -> Result<Option<usize>, RecordError> {
        let Some(len) = self.uvarint()?.checked_sub(1) else { return Ok(None) };
        let len = usize::try_from(len).map_err(|_| RecordError::Truncated)?;
        if len > self.rest.len() {
            return Err(RecordError::Truncated);
        }
        Ok(Some(len))
    }

    /// Reads the section of tagged fields, handing each to `field`, which says whether it knows
    /// the tag. An unknown tag is skipped: the images of Kafka drop it too.
    pub(crate) fn tagged(
        &mut self,
        mut field: impl FnMut(u32, &mut Input<'a>) -> Result<bool, RecordError>,
    ) -> Result<(), RecordError> {
        let count = self.uvarint()?;
        for _ in 0..count {
            let tag = self.uvarint()?;
            let len = usize::try_from(self.uvarint()?).map_err(|_| RecordError::Truncated)?;
            let mut body = Input::new(self.take(len)?);
            if field(tag, &mut body)? {
                body.end()?;
            }
        }
        Ok(())
    }

    /// Checks that every byte was used.
    pub(crate) fn end(&self) -> Result<(), RecordError> {
        match self.rest.len() {
            0 => Ok(()),
            left => Err(RecordError::TrailingBytes { left }),
        }
    }
}

pub(crate) fn write_uvarint(out: &mut Vec<u8>, mut value: u32) {
    while value >= 0x80 {
        out.push(low_byte(value) | 0x80);
        value >>= 7;
    }
    out.push(low_byte(value));
}

fn low_byte(value: u32) -> u8 {
    u8::try_from(value & 0x7f).expect("seven bits fit in a byte")
}

fn write_compact_len(out: &mut Vec<u8>, len: usize) -> Result<(), RecordError> {
    let stored = u32::try_from(len).ok().and_then(|len| len.checked_add(1));
    write_uvarint(out, stored.ok_or(RecordError::TooLong { len })?);
    Ok(())
}

/// The tagged fields of one structure, collected until their number is known.
#[derive(Debug, Default)]
pub(crate) struct Tags {
    count: u32,
    bytes: Vec<u8>,
}

impl Tags {
    /// Adds one field. Tags come in ascending order, which the tables guarantee by theirs.
    pub(crate) fn push(&mut self, tag: u32, body: &[u8]) -> Result<(), RecordError> {
        let len =
            u32::try_from(body.len()).map_err(|_| RecordError::TooLong { len: body.len() })?;
        self.count += 1;
        write_uvarint(&mut self.bytes, tag);
        write_uvarint(&mut self.bytes, len);
        self.bytes.extend_from_slice(body);
        Ok(())
    }

    pub(crate) fn finish(&self, out: &mut Vec<u8>) {
        write_uvarint(out, self.count);
        out.extend_from_slice(&self.bytes);
    }
}

/// A value that can be a field of a record.
pub(crate) trait Field: Sized {
    fn write(&self, out: &mut Vec<u8>, version: i16) -> Result<(), RecordError>;
    fn read(input: &mut Input<'_>, version: i16) -> Result<Self, RecordError>;
}

macro_rules! big_endian {
    ($($ty:ty),*) => { $(
        impl Field for $ty {
            fn write(&self, out: &mut Vec<u8>, _: i16) -> Result<(), RecordError> {
                out.extend_from_slice(&self.to_be_bytes());
                Ok(())
            }
            fn read(input: &mut Input<'_>, _: i16) -> Result<$ty, RecordError> {
                Ok(<$ty>::from_be_bytes(input.array()?))
            }
        }
    )* };
}
big_endian!(i8, i16, u16, i32, i64, f64);

impl Field for bool {
    fn write(&self, out: &mut Vec<u8>, _: i16) -> Result<(), RecordError> {
        out.push(u8::from(*self));
        Ok(())
    }

    fn read(input: &mut Input<'_>, _: i16) -> Result<bool, RecordError> {
        let [byte] = input.array::<1>()?;
        Ok(byte != 0)
    }
}

impl Field for Uuid {
    fn write(&self, out: &mut Vec<u8>, _: i16) -> Result<(), RecordError> {
        out.extend_from_slice(&self.bytes());
        Ok(())
    }

    fn read(input: &mut Input<'_>, _: i16) -> Result<Uuid, RecordError> {
        Ok(Uuid::from_bytes(input.array()?))
    }
}

impl Field for TopicId {
    fn write(&self, out: &mut Vec<u8>, _: i16) -> Result<(), RecordError> {
        out.extend_from_slice(&self.bytes());
        Ok(())
    }

    fn read(input: &mut Input<'_>, _: i16) -> Result<TopicId, RecordError> {
        Ok(TopicId::from_bytes(input.array()?))
    }
}

fn write_str(text: &str, out: &mut Vec<u8>) -> Result<(), RecordError> {
    if text.len() > STRING_BYTES_MAX {
        return Err(RecordError::TooLong { len: text.len() });
    }
    write_compact_len(out, text.len())?;
    out.extend_from_slice(text.as_bytes());
    Ok(())
}

impl Field for Option<String> {
    fn write(&self, out: &mut Vec<u8>, _: i16) -> Result<(), RecordError> {
        match self {
            Some(text) => write_str(text, out),
            None => {
                write_uvarint(out, 0);
                Ok(())
            }
        }
    }

    fn read(input: &mut Input<'_>, _: i16) -> Result<Option<String>, RecordError> {
        let Some(len) = input.compact_len()? else { return Ok(None) };
        if len > STRING_BYTES_MAX {
            return Err(RecordError::TooLong { len });
        }
        let text = str::from_utf8(input.take(len)?).map_err(|_| RecordError::NotText)?;
        Ok(Some(text.to_owned()))
    }
}

impl Field for String {
    fn write(&self, out: &mut Vec<u8>, _: i16) -> Result<(), RecordError> {
        write_str(self, out)
    }

    fn read(input: &mut Input<'_>, version: i16) -> Result<String, RecordError> {
        Option::<String>::read(input, version)?.ok_or(RecordError::Null)
    }
}

/// A byte field: opaque, never null in the records of this crate.
impl Field for Vec<u8> {
    fn write(&self, out: &mut Vec<u8>, _: i16) -> Result<(), RecordError> {
        write_compact_len(out, self.len())?;
        out.extend_from_slice(self);
        Ok(())
    }

    fn read(input: &mut Input<'_>, _: i16) -> Result<Vec<u8>, RecordError> {
        let len = input.compact_len()?.ok_or(RecordError::Null)?;
        Ok(input.take(len)?.to_vec())
    }
}

fn write_list<T: Field>(list: &[T], out: &mut Vec<u8>, version: i16) -> Result<(), RecordError> {
    write_compact_len(out, list.len())?;
    list.iter().try_for_each(|element| element.write(out, version))
}

impl<T: Field> Field for Option<Vec<T>> {
    fn write(&self, out: &mut Vec<u8>, version: i16) -> Result<(), RecordError> {
        match self {
            Some(list) => write_list(list, out, version),
            None => {
                write_uvarint(out, 0);
                Ok(())
            }
        }
    }

    fn read(input: &mut Input<'_>, version: i16) -> Result<Option<Vec<T>>, RecordError> {
        let Some(len) = input.compact_len()? else { return Ok(None) };
        // Grown as elements arrive: the length alone earns no memory.
        let mut list = Vec::new();
        for _ in 0..len {
            list.push(T::read(input, version)?);
        }
        Ok(Some(list))
    }
}

impl<T: Field> Field for Vec<T> {
    fn write(&self, out: &mut Vec<u8>, version: i16) -> Result<(), RecordError> {
        write_list(self, out, version)
    }

    fn read(input: &mut Input<'_>, version: i16) -> Result<Vec<T>, RecordError> {
        Option::<Vec<T>>::read(input, version)?.ok_or(RecordError::Null)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_varint_has_at_most_five_bytes_and_thirty_two_bits() {
        for value in [0, 1, 127, 128, 300, u32::MAX] {
            let mut out = Vec::new();
            write_uvarint(&mut out, value);
            assert_eq!(Input::new(&out).uvarint(), Ok(value));
        }
        let six = [0xff; 6];
        assert_eq!(Input::new(&six).uvarint(), Err(RecordError::VarintTooLong));
        let wide = [0xff, 0xff, 0xff, 0xff, 0x1f];
        assert_eq!(Input::new(&wide).uvarint(), Err(RecordError::VarintTooLong));
    }

    #[test]
    fn a_length_beyond_the_input_is_refused_before_memory_is_taken() {
        let mut bytes = Vec::new();
        write_uvarint(&mut bytes, u32::MAX);
        assert_eq!(Vec::<i32>::read(&mut Input::new(&bytes), 0), Err(RecordError::Truncated));
        assert_eq!(Vec::<u8>::read(&mut Input::new(&bytes), 0), Err(RecordError::Truncated));
        assert_eq!(String::read(&mut Input::new(&bytes), 0), Err(RecordError::Truncated));
    }

    #[test]
    fn null_is_refused_where_a_value_must_be() {
        assert_eq!(String::read(&mut Input::new(&[0]), 0), Err(RecordError::Null));
        assert_eq!(Vec::<i32>::read(&mut Input::new(&[0]), 0), Err(RecordError::Null));
        assert_eq!(Option::<String>::read(&mut Input::new(&[0]), 0), Ok(None));
    }
}
