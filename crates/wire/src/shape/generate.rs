//! Random request bodies that follow their schema, for tests.

use bytes::{BufMut, BytesMut};

use super::{Kind, Struct, of};
use crate::api::ApiKey;

/// A small generator of numbers (SplitMix64): the same seed gives the same body.
pub(crate) struct Numbers(pub(crate) u64);

impl Numbers {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `limit`.
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % limit as u64).expect("below a usize")
    }

    pub(crate) fn one_in(&mut self, cases: usize) -> bool {
        self.below(cases) == 0
    }
}

/// A body of this request with random content.
pub(crate) fn body(key: ApiKey, version: i16, numbers: &mut Numbers) -> BytesMut {
    let mut writer = Writer { to: BytesMut::new(), version, flexible: key.is_flexible(version) };
    writer.whole(of(key), numbers);
    writer.to
}

struct Writer {
    to: BytesMut,
    version: i16,
    flexible: bool,
}

impl Writer {
    fn whole(&mut self, of: &Struct, numbers: &mut Numbers) {
        for field in of.fields {
            if (field.from..=field.to).contains(&self.version) {
                self.field(&field.kind, numbers);
            }
        }
        if self.flexible {
            self.tagged_fields(of, numbers);
        }
    }

    fn field(&mut self, kind: &Kind, numbers: &mut Numbers) {
        match *kind {
            // Every bool is a fixed byte too; 0 and 1 are what it is written back as.
            Kind::Fixed(1) => self.to.put_u8(u8::from(numbers.one_in(2))),
            Kind::Fixed(bytes) => self.random(bytes, numbers),
            Kind::Text { null_from } => {
                if self.version >= null_from && numbers.one_in(4) {
                    self.text_len(None);
                } else {
                    self.text(numbers);
                }
            }
            Kind::Opaque => {
                let len = numbers.below(40);
                let len = (!numbers.one_in(4)).then_some(len);
                self.array_len(len);
                self.random(len.unwrap_or(0), numbers);
            }
            Kind::Fixeds(bytes) => {
                let len = numbers.below(4);
                self.array_len(Some(len));
                self.random(len * bytes, numbers);
            }
            Kind::Texts { null_from } => self.array(null_from, numbers, Writer::text),
            Kind::Structs { of, null_from } => {
                self.array(null_from, numbers, |writer, numbers| writer.whole(of, numbers));
            }
            Kind::Optional(of) => {
                if numbers.one_in(2) {
                    self.to.put_i8(-1);
                } else {
                    self.to.put_i8(1);
                    self.whole(of, numbers);
                }
            }
        }
    }

    fn array(
        &mut self,
        null_from: i16,
        numbers: &mut Numbers,
        element: impl Fn(&mut Writer, &mut Numbers),
    ) {
        if self.version >= null_from && numbers.one_in(4) {
            return self.array_len(None);
        }
        let len = numbers.below(4);
        self.array_len(Some(len));
        for _ in 0..len {
            element(self, numbers);
        }
    }

    /// Now and then some tags that nobody knows, and the known ones that hold a struct.
    fn tagged_fields(&mut self, of: &Struct, numbers: &mut Numbers) {
        let known: Vec<_> =
            of.tags.iter().filter(|tag| tag.from <= self.version && numbers.one_in(2)).collect();
        let unknown = if numbers.one_in(4) { 1 + numbers.below(3) } else { 0 };
        self.uvarint(u32::try_from(known.len() + unknown).expect("a few"));
        for tag in known {
            let mut inner = Writer { to: BytesMut::new(), ..*self };
            inner.whole(tag.of, numbers);
            self.uvarint(tag.tag);
            self.uvarint(u32::try_from(inner.to.len()).expect("a few bytes"));
            self.to.put_slice(&inner.to);
        }
        for tag in (100..).take(unknown) {
            let len = numbers.below(20);
            self.uvarint(tag);
            self.uvarint(u32::try_from(len).expect("a few bytes"));
            self.random(len, numbers);
        }
    }

    fn text(&mut self, numbers: &mut Numbers) {
        let len = numbers.below(12);
        self.text_len(Some(len));
        for _ in 0..len {
            self.to.put_u8(b'a' + u8::try_from(numbers.below(26)).expect("a letter"));
        }
    }

    fn text_len(&mut self, len: Option<usize>) {
        if self.flexible {
            self.array_len(len);
        } else {
            self.to.put_i16(len.map_or(-1, |len| i16::try_from(len).expect("short")));
        }
    }

    fn array_len(&mut self, len: Option<usize>) {
        if self.flexible {
            self.uvarint(len.map_or(0, |len| u32::try_from(len).expect("short") + 1));
        } else {
            self.to.put_i32(len.map_or(-1, |len| i32::try_from(len).expect("short")));
        }
    }

    fn random(&mut self, bytes: usize, numbers: &mut Numbers) {
        for _ in 0..bytes {
            self.to.put_u8(numbers.next().to_le_bytes()[0]);
        }
    }

    fn uvarint(&mut self, mut value: u32) {
        while value >= 0x80 {
            self.to.put_u8(value.to_le_bytes()[0] | 0x80);
            value >>= 7;
        }
        self.to.put_u8(value.to_le_bytes()[0]);
    }
}
