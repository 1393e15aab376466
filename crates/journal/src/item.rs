//! What a frame holds: items, and their bytes. `docs/design/format.md` is the normative text.
//!
//! Pure. The frame around them is in `frame`.

use buf::Sealed;
use record::{LeaderEpoch, Offset, TopicId, TopicPartition};

use crate::layout::{BATCHES_HEAD_LEN, ITEM_HEAD_LEN, bytes_at, put};

/// One thing to remember.
#[derive(Clone, Debug)]
pub enum Item {
    /// Batches of one partition that follow each other. Whatever the journal held of the
    /// partition at `base` or above is void from here on.
    Batches {
        /// Which partition.
        partition: TopicPartition,
        /// Where the log ended before them: at most the base offset of the first batch.
        base: Offset,
        /// Where the log ends with them, exclusive.
        next: Offset,
        /// Epoch of the leader that appended them.
        epoch: LeaderEpoch,
        /// The batches, in order. Each part holds whole batches.
        parts: Vec<Sealed>,
    },
    /// The segment files are about to be written from `from` on without the bytes being in the
    /// journal: they must be scanned from there after a crash.
    Dirty {
        /// Which partition.
        partition: TopicPartition,
        /// First offset that may not be in the segment files as it was written.
        from: Offset,
    },
    /// The log ends at `to`: what the journal held at `to` or above is void from here on. The
    /// segment files were cut, durably, before this is committed, so that replay never has to.
    Truncated {
        /// Which partition.
        partition: TopicPartition,
        /// The log's end, exclusive.
        to: Offset,
    },
    /// The log starts at `to`.
    StartAdvanced {
        /// Which partition.
        partition: TopicPartition,
        /// First readable offset.
        to: Offset,
    },
    /// The topic is gone for ever: an id is never used again.
    Deleted {
        /// Which topic.
        topic: TopicId,
    },
}

/// An item as it lies in a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ItemView<'a> {
    Batches {
        partition: TopicPartition,
        base: Offset,
        next: Offset,
        epoch: LeaderEpoch,
        bytes: &'a [u8],
        /// Where `bytes` begin in the payload.
        at: usize,
    },
    Dirty(TopicPartition, Offset),
    Truncated(TopicPartition, Offset),
    StartAdvanced(TopicPartition, Offset),
    Deleted(TopicId),
}

/// A payload whose checksum is right and whose items this version cannot read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

const BATCHES: u8 = 1;
const DIRTY: u8 = 2;
const TRUNCATED: u8 = 3;
const START_ADVANCED: u8 = 4;
const DELETED: u8 = 5;

/// Length of the body of an item that names a partition and an offset.
const OFFSET_BODY_LEN: usize = 28;
const TOPIC_BODY_LEN: usize = 16;

impl Item {
    fn body_len(&self) -> usize {
        match self {
            Item::Batches { parts, .. } => BATCHES_HEAD_LEN + bytes_of(parts),
            Item::Dirty { .. } | Item::Truncated { .. } | Item::StartAdvanced { .. } => {
                OFFSET_BODY_LEN
            }
            Item::Deleted { .. } => TOPIC_BODY_LEN,
        }
    }

    /// Bytes it takes in a frame.
    pub(crate) fn encoded_len(&self) -> usize {
        ITEM_HEAD_LEN + self.body_len()
    }

    /// Writes the item to the front of `into`; says how long it is.
    pub(crate) fn encode(&self, into: &mut [u8]) -> usize {
        let body_len = u32::try_from(self.body_len()).expect("a frame is below 4 GiB");
        let body = &mut into[ITEM_HEAD_LEN..];
        let kind = match self {
            Item::Batches { partition, base, next, epoch, parts } => {
                put_partition(body, *partition);
                put(body, 20, &epoch.raw().to_be_bytes());
                put(body, 24, &base.raw().to_be_bytes());
                put(body, 32, &next.raw().to_be_bytes());
                let mut at = BATCHES_HEAD_LEN;
                for part in parts {
                    put(body, at, part);
                    at += part.len();
                }
                BATCHES
            }
            Item::Dirty { partition, from } => put_offset(body, *partition, *from, DIRTY),
            Item::Truncated { partition, to } => put_offset(body, *partition, *to, TRUNCATED),
            Item::StartAdvanced { partition, to } => {
                put_offset(body, *partition, *to, START_ADVANCED)
            }
            Item::Deleted { topic } => {
                put(body, 0, &topic.bytes());
                DELETED
            }
        };
        put(into, 0, &[kind, 0, 0, 0]);
        put(into, 4, &body_len.to_be_bytes());
        self.encoded_len()
    }
}

pub(crate) fn bytes_of(parts: &[Sealed]) -> usize {
    parts.iter().map(|part| part.len()).sum()
}

fn put_partition(body: &mut [u8], partition: TopicPartition) {
    put(body, 0, &partition.topic.bytes());
    put(body, 16, &partition.partition.to_be_bytes());
}

fn put_offset(body: &mut [u8], partition: TopicPartition, offset: Offset, kind: u8) -> u8 {
    put_partition(body, partition);
    put(body, 20, &offset.raw().to_be_bytes());
    kind
}

fn partition_of(body: &[u8]) -> TopicPartition {
    TopicPartition {
        topic: TopicId::from_bytes(bytes_at(body, 0)),
        partition: i32::from_be_bytes(bytes_at(body, 16)),
    }
}

fn offset_at(body: &[u8], at: usize) -> Result<Offset, Malformed> {
    Offset::new(i64::from_be_bytes(bytes_at(body, at))).ok_or(Malformed)
}

/// The items of a payload, in order. The first error is the last item.
#[derive(Clone, Debug)]
pub(crate) struct Items<'a> {
    payload: &'a [u8],
    at: usize,
    left: u32,
}

impl<'a> Items<'a> {
    /// The `count` items that fill `payload`.
    pub(crate) fn new(payload: &'a [u8], count: u32) -> Items<'a> {
        Items { payload, at: 0, left: count }
    }

    fn take(&mut self) -> Result<ItemView<'a>, Malformed> {
        let head = self.payload.get(self.at..self.at + ITEM_HEAD_LEN).ok_or(Malformed)?;
        let body_len =
            usize::try_from(u32::from_be_bytes(bytes_at(head, 4))).map_err(|_| Malformed)?;
        let at = self.at + ITEM_HEAD_LEN;
        let body = self.payload[at..].get(..body_len).ok_or(Malformed)?;
        self.at = at + body_len;
        if head[1..4] != [0; 3] {
            return Err(Malformed);
        }
        decode(head[0], body, at)
    }
}

fn decode(kind: u8, body: &[u8], at: usize) -> Result<ItemView<'_>, Malformed> {
    match (kind, body.len()) {
        (BATCHES, BATCHES_HEAD_LEN..) => {
            let (base, next) = (offset_at(body, 24)?, offset_at(body, 32)?);
            let epoch = i32::from_be_bytes(bytes_at(body, 20));
            let epoch = LeaderEpoch::new(epoch).ok_or(Malformed)?;
            if next <= base {
                return Err(Malformed);
            }
            let bytes = &body[BATCHES_HEAD_LEN..];
            let partition = partition_of(body);
            Ok(ItemView::Batches { partition, base, next, epoch, bytes, at: at + BATCHES_HEAD_LEN })
        }
        (DIRTY, OFFSET_BODY_LEN) => Ok(ItemView::Dirty(partition_of(body), offset_at(body, 20)?)),
        (TRUNCATED, OFFSET_BODY_LEN) => {
            Ok(ItemView::Truncated(partition_of(body), offset_at(body, 20)?))
        }
        (START_ADVANCED, OFFSET_BODY_LEN) => {
            Ok(ItemView::StartAdvanced(partition_of(body), offset_at(body, 20)?))
        }
        (DELETED, TOPIC_BODY_LEN) => Ok(ItemView::Deleted(TopicId::from_bytes(bytes_at(body, 0)))),
        _ => Err(Malformed),
    }
}

impl<'a> Iterator for Items<'a> {
    type Item = Result<ItemView<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.left == 0 {
            // A payload longer than its items was not written by this version.
            let rest = self.payload.len() - self.at;
            self.at = self.payload.len();
            return (0 < rest).then_some(Err(Malformed));
        }
        self.left -= 1;
        let item = self.take();
        if item.is_err() {
            self.left = 0;
            self.at = self.payload.len();
        }
        Some(item)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn partition() -> impl Strategy<Value = TopicPartition> {
        (any::<[u8; 16]>(), any::<i32>()).prop_map(|(topic, partition)| TopicPartition {
            topic: TopicId::from_bytes(topic),
            partition,
        })
    }

    fn offset() -> impl Strategy<Value = Offset> {
        (0..i64::MAX).prop_map(|raw| Offset::new(raw).unwrap())
    }

    fn item() -> impl Strategy<Value = Item> {
        const PARTS: &[&[u8]] = &[b"", b"a", b"some bytes", &[7; 5000]];
        let parts = proptest::collection::vec(prop::sample::select(PARTS), 0..4);
        let batches = (partition(), offset(), 0..i32::MAX, parts);
        prop_oneof![
            batches.prop_map(|(partition, base, epoch, parts)| Item::Batches {
                partition,
                base,
                next: Offset::new(base.raw() + 1).unwrap(),
                epoch: LeaderEpoch::new(epoch).unwrap(),
                parts: parts.into_iter().map(Sealed::of_static).collect(),
            }),
            (partition(), offset()).prop_map(|(partition, from)| Item::Dirty { partition, from }),
            (partition(), offset()).prop_map(|(partition, to)| Item::Truncated { partition, to }),
            (partition(), offset())
                .prop_map(|(partition, to)| Item::StartAdvanced { partition, to }),
            any::<[u8; 16]>().prop_map(|topic| Item::Deleted { topic: TopicId::from_bytes(topic) }),
        ]
    }

    fn same(item: &Item, view: &ItemView<'_>, payload: &[u8]) -> bool {
        match (item, view) {
            (Item::Batches { partition, base, next, epoch, parts }, ItemView::Batches { .. }) => {
                let bytes: Vec<u8> = parts.iter().flat_map(|part| part.to_vec()).collect();
                let ItemView::Batches { at, .. } = *view else { return false };
                let (partition, base, next, epoch) = (*partition, *base, *next, *epoch);
                let want = ItemView::Batches { partition, base, next, epoch, bytes: &bytes, at };
                *view == want && payload[at..].starts_with(&bytes)
            }
            (Item::Dirty { partition, from }, view) => *view == ItemView::Dirty(*partition, *from),
            (Item::Truncated { partition, to }, view) => {
                *view == ItemView::Truncated(*partition, *to)
            }
            (Item::StartAdvanced { partition, to }, view) => {
                *view == ItemView::StartAdvanced(*partition, *to)
            }
            (Item::Deleted { topic }, view) => *view == ItemView::Deleted(*topic),
            _ => false,
        }
    }

    fn encoded(items: &[Item]) -> (Vec<u8>, u32) {
        let mut payload = vec![0; items.iter().map(Item::encoded_len).sum()];
        let mut at = 0;
        for item in items {
            at += item.encode(&mut payload[at..]);
        }
        (payload, u32::try_from(items.len()).unwrap())
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

        #[test]
        fn items_are_read_as_they_were_written(items in proptest::collection::vec(item(), 0..8)) {
            let (payload, count) = encoded(&items);
            let views: Vec<_> = Items::new(&payload, count).map(Result::unwrap).collect();
            prop_assert_eq!(views.len(), items.len());
            for (item, view) in items.iter().zip(&views) {
                prop_assert!(same(item, view, &payload), "{item:?} became {view:?}");
            }
        }

        #[test]
        fn a_payload_that_is_cut_or_too_long_is_refused(
            items in proptest::collection::vec(item(), 1..5),
            cut: prop::sample::Index,
        ) {
            let (mut payload, count) = encoded(&items);
            let short = &payload[..cut.index(payload.len())];
            prop_assert!(Items::new(short, count).any(|item| item.is_err()));
            payload.push(0);
            prop_assert!(Items::new(&payload, count).any(|item| item.is_err()));
            prop_assert!(Items::new(&payload, count + 1).any(|item| item.is_err()));
        }

        #[test]
        fn no_bytes_are_too_wild_to_be_refused(
            items in proptest::collection::vec(item(), 1..3),
            changes in proptest::collection::vec(any::<(prop::sample::Index, u8)>(), 1..20),
            count in any::<u32>(),
        ) {
            let (mut payload, _) = encoded(&items);
            for (at, byte) in changes {
                let at = at.index(payload.len());
                payload[at] = byte;
            }
            let read = Items::new(&payload, count).count();
            prop_assert!(read <= payload.len() / ITEM_HEAD_LEN + 1);
        }
    }
}
