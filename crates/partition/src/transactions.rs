//! Which transactions of one partition are open, and how far everything is decided. Pure.
//!
//! Rules: KIP-98 and Kafka's `ProducerStateManager`. A transaction is open from its first batch to its
//! marker, and counts as undecided until the marker is below the high watermark: before, the marker may
//! still be lost.

use std::collections::BTreeMap;

use record::Offset;

/// Transactions that may be open in one partition when a leader takes the first batch of another.
/// What a log has already is kept whatever its number.
pub const OPEN_MAX: usize = 10_000;

/// The open transactions of one partition, and those whose markers are not committed yet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Transactions {
    /// By first offset, with the producer.
    open: BTreeMap<Offset, i64>,
    /// By first offset, with the offset of the marker. As many as fit between the high watermark and
    /// the end of the log.
    ended: BTreeMap<Offset, Offset>,
}

impl Transactions {
    /// How many are open.
    #[must_use]
    pub fn open(&self) -> usize {
        self.open.len()
    }

    /// The first open transaction's first offset, and its producer.
    #[must_use]
    pub fn first_open(&self) -> Option<(Offset, i64)> {
        self.open.first_key_value().map(|(first, producer)| (*first, *producer))
    }

    /// A transaction of `producer` begins at `first`.
    pub(crate) fn begin(&mut self, first: Offset, producer: i64) {
        self.open.insert(first, producer);
    }

    /// The transaction that began at `first` ends with the marker at `marker`. Gives the last stable
    /// offset as it is then, if everything up to the marker were committed: what Kafka writes into
    /// the index of aborted transactions.
    pub(crate) fn end(&mut self, first: Offset, marker: Offset) -> Offset {
        self.open.remove(&first);
        self.ended.insert(first, marker);
        self.open.keys().next().copied().unwrap_or(marker.plus(1))
    }

    /// A transaction is forgotten: its producer's state is replaced.
    pub(crate) fn forget(&mut self, first: Offset) {
        self.open.remove(&first);
    }

    /// Everything below `high_watermark` is committed.
    pub(crate) fn committed(&mut self, high_watermark: Offset) {
        self.ended.retain(|_, marker| high_watermark <= *marker);
    }

    /// The last stable offset of a log that is committed below `high_watermark`: below it no
    /// transaction is open, and the markers of all are committed.
    #[must_use]
    pub fn last_stable(&self, high_watermark: Offset) -> Offset {
        let open = self.open.keys().next().copied().unwrap_or(high_watermark);
        let uncommitted = |(first, marker): (&Offset, &Offset)| {
            if high_watermark <= *marker { Some(*first) } else { None }
        };
        let ended = self.ended.iter().find_map(uncommitted).unwrap_or(high_watermark);
        high_watermark.min(open).min(ended)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(raw: i64) -> Offset {
        Offset::new(raw).unwrap()
    }

    #[test]
    fn the_first_open_transaction_holds_the_last_stable_offset() {
        let mut transactions = Transactions::default();
        assert_eq!(transactions.last_stable(at(50)), at(50));
        transactions.begin(at(10), 1);
        transactions.begin(at(20), 2);
        assert_eq!(transactions.last_stable(at(50)), at(10));
        assert_eq!(transactions.last_stable(at(5)), at(5));
        assert_eq!(transactions.end(at(20), at(30)), at(10), "the other one is still open");
        assert_eq!(transactions.last_stable(at(50)), at(10));
        assert_eq!(transactions.end(at(10), at(40)), at(41));
        assert_eq!(transactions.last_stable(at(50)), at(50));
    }

    #[test]
    fn a_marker_counts_once_it_is_committed() {
        let mut transactions = Transactions::default();
        transactions.begin(at(10), 1);
        transactions.end(at(10), at(40));
        assert_eq!(transactions.last_stable(at(40)), at(10));
        assert_eq!(transactions.last_stable(at(41)), at(41));
        transactions.committed(at(40));
        assert_eq!(transactions.last_stable(at(40)), at(10));
        transactions.committed(at(41));
        assert_eq!(transactions, Transactions::default());
    }
}
