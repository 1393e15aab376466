//! A run of a segment's bytes in memory, in pieces.

use std::collections::VecDeque;
use std::ops::Range;

use buf::Sealed;
use record::layout::{ATTRIBUTES, HEADER_LEN};
use record::{Header, HeaderError};

/// Consecutive bytes of a segment file, by position in it. A batch may lie across pieces.
#[derive(Clone, Debug, Default)]
pub(crate) struct Image {
    /// Where each piece begins, and its bytes; each begins where the one before ends.
    pieces: VecDeque<(u64, Sealed)>,
}

impl Image {
    /// Where it begins; `None` if it is empty.
    pub(crate) fn start(&self) -> Option<u64> {
        self.pieces.front().map(|(position, _)| *position)
    }

    /// Where it ends, exclusive; `None` if it is empty.
    pub(crate) fn end(&self) -> Option<u64> {
        self.pieces.back().map(|(position, bytes)| position + bytes.len() as u64)
    }

    /// Whether `position` lies in it or at its end.
    pub(crate) fn reaches(&self, position: u64) -> bool {
        self.start().is_some_and(|start| start <= position)
            && self.end().is_some_and(|end| position <= end)
    }

    /// Appends a piece.
    ///
    /// # Panics
    /// If it does not begin where the image ends.
    pub(crate) fn push(&mut self, position: u64, bytes: Sealed) {
        assert!(self.end().is_none_or(|end| end == position), "a gap before {position}");
        if !bytes.is_empty() {
            self.pieces.push_back((position, bytes));
        }
    }

    /// Lets go of whole pieces below `position`.
    pub(crate) fn forget_before(&mut self, position: u64) {
        while let Some((start, bytes)) = self.pieces.front()
            && start + bytes.len() as u64 <= position
        {
            self.pieces.pop_front();
        }
    }

    /// Lets go of everything.
    pub(crate) fn clear(&mut self) {
        self.pieces.clear();
    }

    /// The pieces that `range` lies in, each cut to it.
    fn cut(&self, range: Range<u64>) -> impl Iterator<Item = (&Sealed, Range<usize>)> {
        let first =
            self.pieces.partition_point(|(start, bytes)| start + bytes.len() as u64 <= range.start);
        self.pieces.range(first..).map_while(move |(start, bytes)| {
            let end = start + bytes.len() as u64;
            let (from, to) = (range.start.max(*start), range.end.min(end));
            (from < to).then(|| (bytes, place(from - start)..place(to - start)))
        })
    }

    /// Views of the bytes of `range`, as far as they are here.
    pub(crate) fn views(&self, range: Range<u64>) -> Vec<Sealed> {
        self.cut(range).map(|(bytes, range)| bytes.slice(range)).collect()
    }

    /// Copies the bytes from `position` into `into` and says how many there are.
    pub(crate) fn copy(&self, position: u64, into: &mut [u8]) -> usize {
        let mut copied = 0;
        for (bytes, range) in self.cut(position..position + into.len() as u64) {
            into[copied..copied + range.len()].copy_from_slice(&bytes[range.clone()]);
            copied += range.len();
        }
        copied
    }

    /// The header at `position`, as far as it is here.
    pub(crate) fn header(&self, position: u64) -> Result<Header, HeaderError> {
        let mut bytes = [0; HEADER_LEN];
        let len = self.copy(position, &mut bytes);
        Header::read(&bytes[..len])
    }

    /// Whether there are only zeros where a header would be at `position`, at least one.
    pub(crate) fn is_zero(&self, position: u64) -> bool {
        let mut bytes = [0; HEADER_LEN];
        let len = self.copy(position, &mut bytes);
        0 < len && bytes[..len].iter().all(|byte| *byte == 0)
    }

    /// Continues the checksum `so_far` of the batch that begins at `batch`, with its bytes in
    /// `range`; both are positions. Bytes before what the checksum covers are left out.
    pub(crate) fn checksum(&self, batch: u64, range: Range<u64>, so_far: u32) -> u32 {
        let from = range.start.max(batch + ATTRIBUTES as u64);
        self.cut(from..range.end.max(from))
            .fold(so_far, |crc, (bytes, range)| crc32c::crc32c_append(crc, &bytes[range]))
    }
}

fn place(at: u64) -> usize {
    usize::try_from(at).expect("a piece is smaller than the address space")
}

#[cfg(test)]
mod tests {
    use super::*;
    use buf::Pool;
    use record::{Builder, Codec, Offset};

    /// `bytes` from `position`, in pieces of `piece` bytes.
    fn image(pool: &Pool, position: u64, bytes: &[u8], piece: usize) -> Image {
        let mut image = Image::default();
        for part in bytes.chunks(piece) {
            let mut buffer = pool.buffer(part.len()).unwrap();
            buffer.as_mut_slice()[..part.len()].copy_from_slice(part);
            image.push(image.end().unwrap_or(position), buffer.seal(part.len()));
        }
        image
    }

    #[test]
    fn a_batch_across_pieces_is_read_as_if_it_were_in_one() {
        let pool = Pool::new(0, 16 << 20);
        let mut batch = Builder::new(Codec::None);
        batch.base_offset(Offset::new(7).unwrap()).record(5, None, Some(&[3; 300]), &[]);
        let batch = batch.build();
        for piece in [1, 13, 61, 4096] {
            let image = image(&pool, 100, &batch, piece);
            let header = image.header(100).unwrap();
            assert_eq!(header, Header::read(&batch).unwrap());
            let end = 100 + header.len as u64;
            let half = image.checksum(100, 100..150, 0);
            assert_eq!(image.checksum(100, 150..end, half), header.crc, "pieces of {piece}");
            let views = image.views(100..end);
            assert_eq!(views.iter().flat_map(|view| view.to_vec()).collect::<Vec<u8>>(), batch);
            assert!(matches!(
                image.header(101),
                Err(HeaderError::Length { .. } | HeaderError::Magic { .. })
            ));
            assert!(image.header(end - 60).is_err());
        }
    }

    #[test]
    fn forgetting_keeps_the_piece_that_holds_the_position() {
        let pool = Pool::new(0, 1 << 20);
        let mut image = image(&pool, 0, &[7; 30], 10);
        image.forget_before(19);
        assert_eq!((image.start(), image.end()), (Some(10), Some(30)));
        image.forget_before(20);
        assert_eq!(image.start(), Some(20));
        assert!(image.reaches(30) && !image.reaches(31) && !image.reaches(19));
        assert_eq!(image.copy(25, &mut [0; 10]), 5);
    }

    #[test]
    fn zeros_are_told_from_nothing() {
        let pool = Pool::new(0, 1 << 20);
        let image = image(&pool, 0, &[0; 100], 64);
        assert!(image.is_zero(0) && image.is_zero(99) && !image.is_zero(100));
    }
}
