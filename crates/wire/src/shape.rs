//! The shapes of request bodies, walked before anything is decoded.
//!
//! A walk takes no memory. It refuses what is cut short, a null where the schema has none, and a
//! body whose decoded form would be far larger than its bytes (a few bytes on the wire can stand
//! for a struct of a hundred), and says how much memory the decoded form takes. The decoder behind
//! it may then trust every count. Meaning is left to the decoder.

mod tables;

#[cfg(test)]
pub(crate) mod generate;
#[cfg(test)]
mod tests;

pub(crate) use tables::of;

/// The most memory that one decoded request may take beyond its frame, in bytes. A Fetch of 60,000
/// partitions stays below it.
pub(crate) const FOOTPRINT_BYTES_MAX: usize = 16 << 20;

/// The most tagged fields in one struct; Apache Kafka 4.4 has the same limit.
const TAGGED_FIELDS_MAX: u32 = 10_000;

/// What one tagged field takes: its entry in the list as read, and in the list that is kept, which
/// may have grown to twice what it holds.
const TAGGED_FIELD_BYTES: usize = 3 * size_of::<crate::messages::RawTaggedField>();

/// A version that does not come: "never" for [`Kind`]'s `null_from`.
const NEVER: i16 = i16::MAX;

/// How a field looks on the wire.
#[derive(Debug)]
pub(crate) enum Kind {
    /// So many bytes.
    Fixed(usize),
    /// A string; it may be null from this version.
    Text { null_from: i16 },
    /// Bytes or null.
    Opaque,
    /// An array of values of so many bytes.
    Fixeds(usize),
    /// An array of strings; it may be null from this version.
    Texts { null_from: i16 },
    /// An array of structs; it may be null from this version.
    Structs { of: &'static Struct, null_from: i16 },
    /// A struct behind a byte that says whether it is there.
    Optional(&'static Struct),
}

/// A field, present in versions `from..=to`.
#[derive(Debug)]
pub(crate) struct Field {
    kind: Kind,
    from: i16,
    to: i16,
}

/// A tagged field that holds a struct, read from version `from`. Tagged fields that hold anything
/// else take no memory of their own and need no entry.
#[derive(Debug)]
pub(crate) struct Tag {
    tag: u32,
    from: i16,
    of: &'static Struct,
}

/// The fields of a struct, in order; in flexible versions a tagged section follows them.
#[derive(Debug)]
pub(crate) struct Struct {
    /// Bytes that the decoded struct takes in an array.
    size: usize,
    fields: &'static [Field],
    tags: &'static [Tag],
}

/// Why a body was refused before it was decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ShapeError {
    #[error("it is cut short")]
    CutShort,
    #[error("a field that cannot be null is null")]
    Null,
    #[error("a length is not a number of 32 bits")]
    Length,
    #[error("a struct has {fields} tagged fields, more than {TAGGED_FIELDS_MAX}")]
    TaggedFields { fields: u32 },
    #[error("decoded it would take more than {FOOTPRINT_BYTES_MAX} bytes")]
    Footprint,
}

/// What a walk found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Walked {
    /// The memory, in bytes, that the decoded form takes besides the outermost struct, estimated
    /// from above.
    pub(crate) footprint_bytes: usize,
    /// Whether a string is not UTF-8. The decoder refuses those: [`mend`] first.
    pub(crate) is_damaged: bool,
}

/// Walks the body at the start of `bytes`.
pub(crate) fn walk(
    of: &Struct,
    version: i16,
    flexible: bool,
    bytes: &[u8],
) -> Result<Walked, ShapeError> {
    let mut walk =
        Walk { bytes, version, flexible, footprint_bytes: 0, is_damaged: false, mended: None };
    walk.whole(of)?;
    Ok(Walked { footprint_bytes: walk.footprint_bytes, is_damaged: walk.is_damaged })
}

/// A copy of the body at the start of `bytes`, which was walked, in which each byte of a string
/// that is not UTF-8 is a question mark. Kafka reads U+FFFD there; a question mark is as wrong in a
/// name and leaves every length as it is.
pub(crate) fn mend(of: &Struct, version: i16, flexible: bool, bytes: &[u8]) -> Vec<u8> {
    let mended = Some((bytes.as_ptr().addr(), bytes.to_vec()));
    let mut walk = Walk { bytes, version, flexible, footprint_bytes: 0, is_damaged: false, mended };
    walk.whole(of).expect("it was walked before");
    walk.mended.expect("it was given").1
}

struct Walk<'a> {
    /// What is left.
    bytes: &'a [u8],
    version: i16,
    flexible: bool,
    footprint_bytes: usize,
    is_damaged: bool,
    /// Where the body begins, and the copy that is mended.
    mended: Option<(usize, Vec<u8>)>,
}

impl<'a> Walk<'a> {
    /// A struct. Recursion ends with the schema, three structs deep.
    fn whole(&mut self, of: &Struct) -> Result<(), ShapeError> {
        for field in of.fields {
            if (field.from..=field.to).contains(&self.version) {
                self.field(&field.kind)?;
            }
        }
        if self.flexible { self.tagged_fields(of.tags) } else { Ok(()) }
    }

    fn field(&mut self, kind: &Kind) -> Result<(), ShapeError> {
        match *kind {
            Kind::Fixed(bytes) => self.skip(bytes),
            Kind::Text { null_from } => self.text(self.version >= null_from),
            Kind::Opaque => {
                let len = if self.flexible { self.compact_len()? } else { self.len32()? };
                self.skip(len.unwrap_or(0))
            }
            Kind::Fixeds(bytes) => {
                let len = self.array_len()?.ok_or(ShapeError::Null)?;
                self.charge(len, bytes)?;
                self.skip(len.checked_mul(bytes).ok_or(ShapeError::CutShort)?)
            }
            Kind::Texts { null_from } => {
                let size = size_of::<crate::messages::KafkaString>();
                self.array(null_from, size, |walk| walk.text(false))
            }
            Kind::Structs { of, null_from } => {
                self.array(null_from, of.size, |walk| walk.whole(of))
            }
            Kind::Optional(of) => {
                let marker = self.byte()?.cast_signed();
                if marker < 0 {
                    return Ok(());
                }
                self.charge(1, of.size)?;
                self.whole(of)
            }
        }
    }

    fn array(
        &mut self,
        null_from: i16,
        size: usize,
        mut element: impl FnMut(&mut Self) -> Result<(), ShapeError>,
    ) -> Result<(), ShapeError> {
        let Some(len) = self.array_len()? else {
            return if self.version >= null_from { Ok(()) } else { Err(ShapeError::Null) };
        };
        for _ in 0..len {
            self.charge(1, size)?;
            element(self)?;
        }
        Ok(())
    }

    /// Counts `len` array elements of `size` bytes, twice: arrays grow by doubling.
    fn charge(&mut self, len: usize, size: usize) -> Result<(), ShapeError> {
        let bytes = len.checked_mul(2 * size).ok_or(ShapeError::Footprint)?;
        self.footprint_bytes += bytes.min(FOOTPRINT_BYTES_MAX + 1);
        if self.footprint_bytes > FOOTPRINT_BYTES_MAX {
            return Err(ShapeError::Footprint);
        }
        Ok(())
    }

    fn text(&mut self, nullable: bool) -> Result<(), ShapeError> {
        let len = if self.flexible {
            self.compact_len()?
        } else {
            usize::try_from(i16::from_be_bytes(*self.chunk()?)).ok()
        };
        match len {
            Some(len) => {
                let text = self.take(len)?;
                if std::str::from_utf8(text).is_err() {
                    self.damaged(text);
                }
                Ok(())
            }
            None if nullable => Ok(()),
            None => Err(ShapeError::Null),
        }
    }

    /// A string that is not UTF-8.
    fn damaged(&mut self, text: &[u8]) {
        self.is_damaged = true;
        let Some((begin, mended)) = &mut self.mended else { return };
        let mut at = text.as_ptr().addr() - *begin;
        for chunk in text.utf8_chunks() {
            at += chunk.valid().len();
            mended[at..at + chunk.invalid().len()].fill(b'?');
            at += chunk.invalid().len();
        }
    }

    fn tagged_fields(&mut self, known: &[Tag]) -> Result<(), ShapeError> {
        let fields = self.uvarint()?;
        if fields > TAGGED_FIELDS_MAX {
            return Err(ShapeError::TaggedFields { fields });
        }
        for _ in 0..fields {
            self.charge(1, TAGGED_FIELD_BYTES)?;
            let tag = self.uvarint()?;
            let len = usize::try_from(self.uvarint()?).map_err(|_| ShapeError::Length)?;
            let data = self.take(len)?;
            let is_read = |it: &&Tag| it.tag == tag && it.from <= self.version;
            if let Some(inner) = known.iter().find(is_read) {
                let rest = std::mem::replace(&mut self.bytes, data);
                self.whole(inner.of)?;
                self.bytes = rest;
            }
        }
        Ok(())
    }

    /// The length of an array; `None` is null.
    fn array_len(&mut self) -> Result<Option<usize>, ShapeError> {
        if self.flexible { self.compact_len() } else { self.len32() }
    }

    fn len32(&mut self) -> Result<Option<usize>, ShapeError> {
        Ok(usize::try_from(i32::from_be_bytes(*self.chunk()?)).ok())
    }

    /// A length plus one, 0 for null.
    fn compact_len(&mut self) -> Result<Option<usize>, ShapeError> {
        let Some(len) = self.uvarint()?.checked_sub(1) else { return Ok(None) };
        usize::try_from(len).map(Some).map_err(|_| ShapeError::Length)
    }

    fn uvarint(&mut self) -> Result<u32, ShapeError> {
        let mut value = 0;
        for shift in [0, 7, 14, 21, 28] {
            let byte = self.byte()?;
            value |= u32::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(ShapeError::Length)
    }

    fn byte(&mut self) -> Result<u8, ShapeError> {
        self.chunk().map(|[byte]| *byte)
    }

    fn chunk<const N: usize>(&mut self) -> Result<&'a [u8; N], ShapeError> {
        let (chunk, rest) = self.bytes.split_first_chunk().ok_or(ShapeError::CutShort)?;
        self.bytes = rest;
        Ok(chunk)
    }

    fn skip(&mut self, bytes: usize) -> Result<(), ShapeError> {
        self.take(bytes).map(|_| ())
    }

    fn take(&mut self, bytes: usize) -> Result<&'a [u8], ShapeError> {
        let (taken, rest) = self.bytes.split_at_checked(bytes).ok_or(ShapeError::CutShort)?;
        self.bytes = rest;
        Ok(taken)
    }
}
