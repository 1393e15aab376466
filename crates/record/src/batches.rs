//! Batches that lie one behind the other, in a file or in a request.

use std::iter::FusedIterator;

use crate::{Header, HeaderError};

/// Walks the batches in `bytes`: each item is a header with the bytes of its whole batch. The first
/// error is the last item. A batch that is cut off is an error too, with the length that it needs;
/// [`Batches::rest`] is then what remains.
#[derive(Clone, Debug)]
pub struct Batches<'a> {
    rest: &'a [u8],
    failed: bool,
}

impl<'a> Batches<'a> {
    /// Begins at the front of `bytes`, where a batch must begin.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Batches<'a> {
        Batches { rest: bytes, failed: false }
    }

    /// The bytes behind the batches that were given out.
    #[must_use]
    pub const fn rest(&self) -> &'a [u8] {
        self.rest
    }
}

impl<'a> Iterator for Batches<'a> {
    type Item = Result<(Header, &'a [u8]), HeaderError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed || self.rest.is_empty() {
            return None;
        }
        let next = Header::read(self.rest).and_then(|header| {
            let split = self.rest.split_at_checked(header.len);
            let (batch, rest) = split.ok_or(HeaderError::Truncated { needed: header.len })?;
            self.rest = rest;
            Ok((header, batch))
        });
        self.failed = next.is_err();
        Some(next)
    }
}

impl FusedIterator for Batches<'_> {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Builder, Codec};

    fn batch(value: &[u8]) -> Vec<u8> {
        let mut builder = Builder::new(Codec::None);
        builder.record(1, None, Some(value), &[]);
        builder.build()
    }

    #[test]
    fn whole_batches_come_in_order_and_a_torn_one_ends_the_walk() {
        let (first, second) = (batch(b"one"), batch(b"number two"));
        let both = [&first[..], &second].concat();
        let found: Vec<_> = Batches::new(&both).map(|item| item.unwrap().1).collect();
        assert_eq!(found, [&first[..], &second]);
        for len in first.len() + 1..both.len() {
            let mut batches = Batches::new(&both[..len]);
            assert_eq!(batches.next().unwrap().unwrap().1, first);
            let Err(HeaderError::Truncated { needed }) = batches.next().unwrap() else {
                panic!("the second batch is cut off at {len}");
            };
            let known = first.len() + 61 <= len;
            assert_eq!(needed, if known { second.len() } else { 61 });
            assert_eq!(batches.rest(), &both[first.len()..len]);
            assert_eq!(batches.next(), None);
        }
    }
}
