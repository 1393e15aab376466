//! What a journal file still has to be kept for.
//!
//! Pure bookkeeping, one for each file.

use std::collections::BTreeMap;

use record::{Offset, TopicPartition};

use crate::item::ItemView;

/// What became of a partition's batches outside the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// The segment files hold everything below this offset, flushed.
    Durable(Offset),
    /// The partition was deleted, or moved away: nobody will ask.
    Gone,
}

/// What the frames of one file hold.
#[derive(Clone, Debug, Default)]
pub(crate) struct Holdings {
    /// Up to where each partition must be durable elsewhere before the file may go. Bounded by
    /// the partitions of the shard.
    batches: BTreeMap<TopicPartition, Offset>,
    /// The last frame with an item that only a checkpoint settles.
    last_marked: Option<u64>,
}

impl Holdings {
    /// Notes batches of `partition`. Says whether files before this one may hold batches that
    /// these make void.
    pub(crate) fn note_batches(
        &mut self,
        partition: TopicPartition,
        base: Offset,
        next: Offset,
    ) -> bool {
        !matches!(self.batches.insert(partition, next), Some(before) if before <= base)
    }

    /// Notes an item of frame `sequence` that is not batches.
    pub(crate) fn note_marked(&mut self, sequence: u64) {
        self.last_marked = Some(sequence);
    }

    /// Batches of `partition` at `end` or above are void.
    pub(crate) fn clip(&mut self, partition: TopicPartition, end: Offset) {
        if let Some(next) = self.batches.get_mut(&partition) {
            *next = end.min(*next);
        }
    }

    /// Whether nothing in the file is needed any more: batches by what `settled` says of their
    /// partition, everything else by a checkpoint that covers the frames below `checkpointed`.
    pub(crate) fn are_settled(
        &self,
        checkpointed: u64,
        settled: &impl Fn(TopicPartition) -> Settled,
    ) -> bool {
        self.last_marked.is_none_or(|last| last < checkpointed)
            && self.batches.iter().all(|(partition, next)| match settled(*partition) {
                Settled::Durable(durable) => *next <= durable,
                Settled::Gone => true,
            })
    }
}

/// Notes `item` of frame `sequence` in `newest`, the file it is written to, and what it makes
/// void in the files before.
pub(crate) fn note<'a>(
    item: &ItemView<'_>,
    sequence: u64,
    newest: &mut Holdings,
    before: impl Iterator<Item = &'a mut Holdings>,
) {
    match *item {
        ItemView::Batches { partition, base, next, .. } => {
            if newest.note_batches(partition, base, next) {
                before.for_each(|older| older.clip(partition, base));
            }
        }
        ItemView::Truncated(partition, to) => {
            newest.note_marked(sequence);
            newest.clip(partition, to);
            before.for_each(|older| older.clip(partition, to));
        }
        ItemView::Dirty(..) | ItemView::StartAdvanced(..) | ItemView::Deleted(_) => {
            newest.note_marked(sequence);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use record::{LeaderEpoch, TopicId};

    const P: TopicPartition = TopicPartition { topic: TopicId::ZERO, partition: 0 };

    fn at(raw: i64) -> Offset {
        Offset::new(raw).unwrap()
    }

    fn batches(base: i64, next: i64) -> ItemView<'static> {
        let (base, next) = (at(base), at(next));
        ItemView::Batches { partition: P, base, next, epoch: LeaderEpoch::ZERO, bytes: b"", at: 0 }
    }

    fn durable(raw: i64) -> impl Fn(TopicPartition) -> Settled {
        move |_| Settled::Durable(at(raw))
    }

    #[test]
    fn batches_wait_for_their_segment_and_markers_for_a_checkpoint() {
        let mut file = Holdings::default();
        note(&batches(5, 8), 3, &mut file, std::iter::empty());
        assert!(!file.are_settled(0, &durable(7)));
        assert!(file.are_settled(0, &durable(8)));
        assert!(file.are_settled(0, &|_| Settled::Gone));
        note(&ItemView::Dirty(P, at(8)), 4, &mut file, std::iter::empty());
        assert!(!file.are_settled(4, &durable(8)));
        assert!(file.are_settled(5, &durable(8)));
    }

    #[test]
    fn what_was_cut_off_needs_no_segment() {
        let (mut old, mut new) = (Holdings::default(), Holdings::default());
        note(&batches(5, 8), 3, &mut old, std::iter::empty());
        note(&ItemView::Truncated(P, at(6)), 4, &mut new, std::iter::once(&mut old));
        assert!(old.are_settled(0, &durable(6)));
        note(&batches(6, 7), 5, &mut new, std::iter::once(&mut old));
        assert!(!new.are_settled(9, &durable(6)));
        assert!(new.are_settled(9, &durable(7)));
    }

    #[test]
    fn batches_committed_again_settle_the_older_copy() {
        let (mut old, mut new) = (Holdings::default(), Holdings::default());
        note(&batches(5, 8), 3, &mut old, std::iter::empty());
        note(&batches(6, 12), 4, &mut new, std::iter::once(&mut old));
        assert!(old.are_settled(0, &durable(6)));
        assert!(!new.are_settled(0, &durable(11)));
    }
}
