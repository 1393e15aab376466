//! From items to frames: which items share a frame, and the bytes of one.
//!
//! Pure. Where a frame goes is the business of `journal`.

use buf::{Sealed, page_up};
use record::{Batches, LeaderEpoch, Offset, TopicPartition};

use crate::error::JournalError;
use crate::item::Item;
use crate::layout::{BATCHES_HEAD_LEN, FRAME_HEADER_LEN, FileId, FrameHeader, ITEM_HEAD_LEN};

/// How long frames may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FrameLimits {
    /// Bytes of items after which a new frame begins.
    pub(crate) payload_wanted: usize,
    /// Bytes of items that a frame may have if a single batch needs them.
    pub(crate) payload_max: usize,
}

/// Distributes `items`, in order, over frames. None of the frames is empty.
pub(crate) fn split(items: Vec<Item>, limits: FrameLimits) -> Result<Vec<Vec<Item>>, JournalError> {
    let total: usize = items.iter().map(Item::encoded_len).sum();
    if total <= limits.payload_wanted {
        return Ok(if items.is_empty() { Vec::new() } else { vec![items] });
    }
    let mut frames = Vec::new();
    let mut frame = Vec::new();
    let mut len = 0;
    for item in items {
        for item in cut(item, limits)? {
            if !frame.is_empty() && limits.payload_wanted < len + item.encoded_len() {
                frames.push(std::mem::take(&mut frame));
                len = 0;
            }
            len += item.encoded_len();
            frame.push(item);
        }
    }
    frames.push(frame);
    Ok(frames)
}

/// One item as several that each fit in a frame, cut between batches.
fn cut(item: Item, limits: FrameLimits) -> Result<Vec<Item>, JournalError> {
    if item.encoded_len() <= limits.payload_wanted {
        return Ok(vec![item]);
    }
    let Item::Batches { partition, base, next, epoch, parts } = item else {
        return Ok(vec![item]);
    };
    let head_len = ITEM_HEAD_LEN + BATCHES_HEAD_LEN;
    let mut run = Run { partition, epoch, base, next: base, parts: Vec::new(), bytes: 0 };
    let mut items = Vec::new();
    for part in &parts {
        let mut at = 0;
        for batch in Batches::new(part) {
            let (header, batch) = batch.map_err(|_| JournalError::NotBatches { partition })?;
            if limits.payload_max < head_len + batch.len() {
                return Err(JournalError::TooLarge { partition, bytes: batch.len() });
            }
            if 0 < run.bytes && limits.payload_wanted < head_len + run.bytes + batch.len() {
                items.push(run.take());
            }
            run.parts.push(part.slice(at..at + batch.len()));
            run.bytes += batch.len();
            run.next = header.next_offset();
            at += batch.len();
        }
    }
    if run.next != next || items.iter().any(is_inverted) || next <= run.base {
        return Err(JournalError::NotBatches { partition });
    }
    items.push(run.take());
    Ok(items)
}

fn is_inverted(item: &Item) -> bool {
    matches!(item, Item::Batches { base, next, .. } if next <= base)
}

/// Neighbouring batches on their way into one item.
struct Run {
    partition: TopicPartition,
    epoch: LeaderEpoch,
    base: Offset,
    next: Offset,
    parts: Vec<Sealed>,
    bytes: usize,
}

impl Run {
    fn take(&mut self) -> Item {
        let item = Item::Batches {
            partition: self.partition,
            base: self.base,
            next: self.next,
            epoch: self.epoch,
            parts: std::mem::take(&mut self.parts),
        };
        self.base = self.next;
        self.bytes = 0;
        item
    }
}

/// Bytes that a frame of `items` takes in a file: whole pages.
pub(crate) fn padded_len(items: &[Item]) -> usize {
    page_up(FRAME_HEADER_LEN + items.iter().map(Item::encoded_len).sum::<usize>())
}

/// Where a frame stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) id: FileId,
    pub(crate) sequence: u64,
    pub(crate) flushed_below: u64,
    pub(crate) ordinal: u32,
}

/// Writes the frame of `items` to the front of `into`, and zeros up to `padded` bytes.
pub(crate) fn encode(items: &[Item], address: Address, padded: usize, into: &mut [u8]) {
    let mut at = FRAME_HEADER_LEN;
    for item in items {
        at += item.encode(&mut into[at..]);
    }
    into[at..padded].fill(0);
    let payload_len = u32::try_from(at - FRAME_HEADER_LEN).expect("a frame is below 4 GiB");
    let items = u32::try_from(items.len()).expect("an item takes more than a byte");
    header_of(address, payload_len, items).write(into);
}

/// Gives the frame at the front of `bytes`, which `encode` wrote, another place.
pub(crate) fn readdress(bytes: &mut [u8], address: Address) {
    let header = FrameHeader::read(bytes).expect("a frame that was encoded here");
    header_of(address, header.payload_len, header.items).write(bytes);
}

fn header_of(address: Address, payload_len: u32, items: u32) -> FrameHeader {
    let Address { id, sequence, flushed_below, ordinal } = address;
    FrameHeader { id, version: 0, crc: 0, sequence, flushed_below, ordinal, payload_len, items }
}

#[cfg(test)]
mod tests {
    use super::*;
    use buf::Pool;
    use record::{Builder, Codec, TopicId};

    const P: TopicPartition = TopicPartition { topic: TopicId::ZERO, partition: 0 };

    fn at(raw: i64) -> Offset {
        Offset::new(raw).unwrap()
    }

    /// Batches of one record from offset 0 on, of which each is about `len` bytes long.
    fn batches(count: i64, len: usize) -> Item {
        let pool = Pool::new(0, 1 << 20);
        let empty = {
            let mut builder = Builder::new(Codec::None);
            builder.record(0, None, Some(&[0; 1000]), &[]);
            builder.build().len() - 1000
        };
        let part = |base| {
            let mut builder = Builder::new(Codec::None);
            builder.base_offset(at(base)).record(0, None, Some(&vec![0; len - empty]), &[]);
            let bytes = builder.build();
            let mut buffer = pool.buffer(bytes.len()).unwrap();
            buffer.as_mut_slice()[..bytes.len()].copy_from_slice(&bytes);
            buffer.seal(bytes.len())
        };
        let parts = (0..count).map(part).collect();
        Item::Batches {
            partition: P,
            base: at(0),
            next: at(count),
            epoch: LeaderEpoch::ZERO,
            parts,
        }
    }

    /// The ranges of offsets of the items in each frame; markers are -1..-1.
    fn check(items: Vec<Item>, want: &[&[(i64, i64)]]) {
        let limits = FrameLimits { payload_wanted: 4000, payload_max: 9000 };
        let frames = split(items, limits).unwrap();
        let found: Vec<Vec<(i64, i64)>> = frames
            .iter()
            .map(|frame| {
                let range = |item: &Item| match item {
                    Item::Batches { base, next, .. } => (base.raw(), next.raw()),
                    _ => (-1, -1),
                };
                frame.iter().map(range).collect()
            })
            .collect();
        assert_eq!(found, want);
        for frame in &frames {
            assert!(padded_len(frame) <= page_up(FRAME_HEADER_LEN + limits.payload_max));
        }
    }

    #[test]
    fn items_share_a_frame_as_long_as_they_fit() {
        let marker = || Item::Dirty { partition: P, from: at(0) };
        check(vec![], &[]);
        check(vec![marker(), batches(1, 1200)], &[&[(-1, -1), (0, 1)]]);
        check(
            vec![batches(1, 2100), batches(1, 1900), batches(1, 1900), marker()],
            &[&[(0, 1)], &[(0, 1), (0, 1), (-1, -1)]],
        );
    }

    #[test]
    fn an_item_is_cut_between_batches_and_a_long_batch_has_a_frame_of_its_own() {
        check(vec![batches(5, 1500)], &[&[(0, 2)], &[(2, 4)], &[(4, 5)]]);
        check(vec![batches(2, 8900)], &[&[(0, 1)], &[(1, 2)]]);
    }

    #[test]
    fn what_no_frame_can_hold_is_refused() {
        let limits = FrameLimits { payload_wanted: 4000, payload_max: 9000 };
        let refused = split(vec![batches(1, 9000)], limits).err();
        assert!(matches!(refused, Some(JournalError::TooLarge { partition: P, .. })));
        let Item::Batches { partition, base, epoch, parts, .. } = batches(4, 1500) else {
            unreachable!("made above")
        };
        let wrong = Item::Batches { partition, base, next: at(9), epoch, parts };
        assert_eq!(split(vec![wrong], limits).err(), Some(JournalError::NotBatches { partition }));
    }
}
