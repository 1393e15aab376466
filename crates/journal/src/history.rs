//! What the journals say about each partition, folded in order.
//!
//! Pure. Reading the files is in `scan`, opening them in `replay`.

use std::collections::{BTreeMap, BTreeSet};

use record::{LeaderEpoch, Offset, TopicId, TopicPartition};

use crate::checkpoint::Checkpoint;
use crate::item::ItemView;
use crate::layout::Mark;

/// Batches of one partition in a journal file. The bytes stay there until
/// [`Replay::read`](crate::Replay::read).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Where the log ended before the first batch.
    pub base: Offset,
    /// Batches that end beyond it are void: they were cut off, or written again. Exclusive.
    pub until: Offset,
    /// Where the batches as stored end, exclusive; at least `until`.
    pub next: Offset,
    /// Epoch of the leader that appended them.
    pub epoch: LeaderEpoch,
    pub(crate) place: PiecePlace,
}

/// Where a piece lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PiecePlace {
    /// Index of the file in the replay.
    pub(crate) file: u32,
    /// Bytes from the start of the file.
    pub(crate) position: u64,
    pub(crate) len: u32,
    pub(crate) crc: u32,
}

impl Piece {
    /// Length of the batches as stored, in bytes.
    #[must_use]
    pub fn len_bytes(&self) -> u64 {
        u64::from(self.place.len)
    }
}

/// What the journals say about one partition beyond its checkpoint.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PartitionReplay {
    /// Batches that the segment files may lack, by rising offset, without overlap. There may be
    /// gaps, which batches fill that went to the segment files directly.
    pub pieces: Vec<Piece>,
    /// From here on the segment files may differ from what the checkpoint says of them, and
    /// must be scanned. `None`: they are as the checkpoint says, or as a clean stop left them.
    pub dirty_from: Option<Offset>,
    /// The highest log start that was set since the checkpoint.
    pub log_start: Option<Offset>,
    /// The lowest end that the log was cut to since the checkpoint. The segment files were cut
    /// before; it may have grown again.
    pub truncated_to: Option<Offset>,
}

impl PartitionReplay {
    /// Batches at `end` or above are void.
    fn cut(&mut self, end: Offset) {
        while self.pieces.last().is_some_and(|piece| end <= piece.base) {
            self.pieces.pop();
        }
        if let Some(last) = self.pieces.last_mut() {
            last.until = last.until.min(end);
        }
    }

    fn dirty(&mut self, from: Offset) {
        self.dirty_from = Some(self.dirty_from.map_or(from, |before| before.min(from)));
    }

    fn is_empty(&self) -> bool {
        *self == PartitionReplay::default()
    }
}

/// The fold over all journals, oldest frame first.
#[derive(Debug, Default)]
pub(crate) struct History {
    pub(crate) partitions: BTreeMap<TopicPartition, PartitionReplay>,
    pub(crate) deleted: BTreeSet<TopicId>,
}

impl History {
    /// Takes `item` of the frame at `mark`. `place` gives the place of batches in their file
    /// from their position in the payload and their bytes. `checkpoint` says what need not be
    /// told again.
    pub(crate) fn take(
        &mut self,
        item: &ItemView<'_>,
        mark: Mark,
        checkpoint: &Checkpoint,
        place: impl FnOnce(usize, &[u8]) -> PiecePlace,
    ) {
        let (partition, offset) = match *item {
            ItemView::Deleted(topic) => {
                self.deleted.insert(topic);
                return;
            }
            ItemView::Batches { partition, base, .. } => (partition, base),
            ItemView::Dirty(partition, offset)
            | ItemView::Truncated(partition, offset)
            | ItemView::StartAdvanced(partition, offset) => (partition, offset),
        };
        let covered = checkpoint.get(partition).filter(|point| mark < point.mark);
        let replay = self.partitions.entry(partition).or_default();
        match *item {
            ItemView::Batches { base, next, epoch, bytes, at, .. } => {
                replay.cut(base);
                // Below the recovery point the segment files have it.
                if covered.is_none_or(|point| point.recovery_point < next) {
                    let place = place(at, bytes);
                    replay.pieces.push(Piece { base, until: next, next, epoch, place });
                }
                if covered.is_none() {
                    replay.dirty(base);
                }
            }
            ItemView::Truncated(..) => {
                replay.cut(offset);
                if covered.is_none() {
                    replay.dirty(offset);
                    let lowest = replay.truncated_to.map_or(offset, |to| to.min(offset));
                    replay.truncated_to = Some(lowest);
                }
            }
            ItemView::Dirty(..) if covered.is_none() => replay.dirty(offset),
            ItemView::StartAdvanced(..) if covered.is_none() => {
                replay.log_start = replay.log_start.max(Some(offset));
            }
            ItemView::Dirty(..) | ItemView::StartAdvanced(..) | ItemView::Deleted(_) => {}
        }
    }

    /// Ends the fold: drops what says nothing and what belongs to deleted topics, whose ids
    /// are never used again, in whatever order their last frames were read.
    pub(crate) fn finish(&mut self) {
        let deleted = &self.deleted;
        self.partitions
            .retain(|partition, said| !said.is_empty() && !deleted.contains(&partition.topic));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::PartitionPoint;
    use crate::checkpoint::tests::point;

    const P: TopicPartition = TopicPartition { topic: TopicId::CLUSTER_METADATA, partition: 4 };
    const PLACE: PiecePlace = PiecePlace { file: 0, position: 0, len: 0, crc: 0 };

    fn at(raw: i64) -> Offset {
        Offset::new(raw).unwrap()
    }

    fn batches(base: i64, next: i64) -> ItemView<'static> {
        let (base, next) = (at(base), at(next));
        ItemView::Batches { partition: P, base, next, epoch: LeaderEpoch::ZERO, bytes: b"", at: 0 }
    }

    fn fold(checkpoint: &Checkpoint, items: &[ItemView<'_>]) -> History {
        let mut history = History::default();
        for (sequence, item) in (0..).zip(items) {
            history.take(item, Mark { run: 1, sequence }, checkpoint, |_, _| PLACE);
        }
        history.finish();
        history
    }

    fn ranges(history: &History) -> Vec<(i64, i64)> {
        let said = history.partitions.get(&P);
        let pieces = said.map_or(&[][..], |said| &said.pieces);
        pieces.iter().map(|piece| (piece.base.raw(), piece.until.raw())).collect()
    }

    #[test]
    fn what_is_written_again_replaces_what_was_there() {
        let nothing = Checkpoint::default();
        let history = fold(&nothing, &[batches(0, 10), batches(10, 20), batches(5, 12)]);
        assert_eq!(ranges(&history), [(0, 5), (5, 12)]);
        assert_eq!(history.partitions[&P].dirty_from, Some(at(0)));
    }

    #[test]
    fn a_truncation_makes_what_was_before_it_void_and_nothing_behind_it() {
        let nothing = Checkpoint::default();
        let cut = ItemView::Truncated(P, at(15));
        let history = fold(&nothing, &[batches(10, 20), batches(20, 30), cut, batches(15, 16)]);
        assert_eq!(ranges(&history), [(10, 15), (15, 16)]);
        assert_eq!(history.partitions[&P].truncated_to, Some(at(15)));
    }

    #[test]
    fn markers_keep_the_lowest_dirty_offset_and_the_highest_start() {
        let items = [
            ItemView::Dirty(P, at(70)),
            ItemView::Dirty(P, at(90)),
            ItemView::StartAdvanced(P, at(5)),
            ItemView::StartAdvanced(P, at(3)),
        ];
        let history = fold(&Checkpoint::default(), &items);
        assert_eq!(history.partitions[&P].dirty_from, Some(at(70)));
        assert_eq!(history.partitions[&P].log_start, Some(at(5)));
    }

    #[test]
    fn what_a_checkpoint_covers_is_not_told_again() {
        let mut checkpoint = Checkpoint::default();
        checkpoint.insert(PartitionPoint {
            recovery_point: at(20),
            mark: Mark { run: 1, sequence: 4 },
            ..point(P)
        });
        let cut = ItemView::Truncated(P, at(15));
        let before = [batches(10, 20), cut, ItemView::Dirty(P, at(0)), batches(15, 20)];
        assert!(fold(&checkpoint, &before).partitions.is_empty());
        let behind = [&before[..], &[batches(30, 31)]].concat();
        let history = fold(&checkpoint, &behind);
        assert_eq!(ranges(&history), [(30, 31)]);
        assert_eq!(history.partitions[&P].dirty_from, Some(at(30)));
        assert_eq!(history.partitions[&P].truncated_to, None);
    }

    #[test]
    fn batches_that_no_segment_had_at_the_checkpoint_stay() {
        let mut checkpoint = Checkpoint::default();
        checkpoint.insert(PartitionPoint {
            recovery_point: at(12),
            mark: Mark { run: 2, sequence: 0 },
            ..point(P)
        });
        let history = fold(&checkpoint, &[batches(8, 12), batches(10, 20), batches(20, 40)]);
        assert_eq!(ranges(&history), [(10, 20), (20, 40)]);
        assert_eq!(history.partitions[&P].dirty_from, None);
    }

    #[test]
    fn a_deleted_topic_is_gone_in_whatever_order() {
        let nothing = Checkpoint::default();
        let history = fold(&nothing, &[ItemView::Deleted(P.topic), batches(0, 1)]);
        assert!(history.partitions.is_empty());
        assert!(history.deleted.contains(&P.topic));
    }
}
