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
