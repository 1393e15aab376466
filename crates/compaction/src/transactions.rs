//! Which transactions have data, while a log is walked from its start; and which were aborted.

use std::collections::BTreeSet;
use std::path::Path;

use buf::Charge;
use env::{Disk, Env, Group, read_all};
use index::{AbortedIndex, AbortedTransaction};
use record::{Header, Offset};
use segment::{SegmentFile, segment_path};

use crate::PassError;

/// Transactions that may be open at one place of a log and are told apart.
const OPEN_MAX: usize = 1 << 16;

/// Longest index of aborted transactions of one segment that is read, in bytes.
const ABORTED_BYTES_MAX: usize = 8 << 20;

/// Producers with a data batch since their last marker.
#[derive(Clone, Debug, Default)]
pub(crate) struct Open {
    producers: BTreeSet<i64>,
    /// There were too many to remember: no marker counts as empty any more, which keeps it.
    lost: bool,
}

impl Open {
    /// A transactional data batch; says whether it is the first one of its transaction.
    pub(crate) fn data(&mut self, producer_id: i64) -> bool {
        if self.producers.len() < OPEN_MAX {
            return self.producers.insert(producer_id);
        }
        self.lost |= !self.producers.contains(&producer_id);
        false
    }

    /// A marker; says whether nothing is left of its transaction.
    pub(crate) fn marker(&mut self, producer_id: i64) -> bool {
        !self.producers.remove(&producer_id) && !self.lost
    }

    /// Whether everything was remembered.
    #[cfg(test)]
    fn is_exact(&self) -> bool {
        !self.lost
    }
}

/// Where aborted transactions are known from.
#[derive(Clone, Debug, Default)]
pub enum Aborted {
    /// The `.txnindex` files of the log's directory. All that ended below the end of the pass must be
    /// in them: an aborted record that is taken for a committed one hides an older one for good.
    #[default]
    Files,
    /// All that have records in the segments that a pass may touch.
    Given(Vec<AbortedTransaction>),
}

/// The aborted transactions with records in one segment.
#[derive(Debug)]
pub(crate) struct AbortedHere {
    transactions: Vec<AbortedTransaction>,
    _charge: Option<Charge>,
}

impl AbortedHere {
    /// Finds those with records in `[from, until)`. `bases` are the segments of the log from that
    /// one on, the active one included.
    pub(crate) async fn find<E: Env>(
        env: &E,
        dir: &Path,
        aborted: &Aborted,
        (from, until): (Offset, Offset),
        bases: &[Offset],
    ) -> Result<AbortedHere, PassError> {
        let overlaps =
            |entry: &&AbortedTransaction| from <= entry.last_offset && entry.first_offset < until;
        let mut transactions = Vec::new();
        let mut charge = None;
        match aborted {
            Aborted::Given(all) => transactions.extend(all.iter().filter(overlaps).copied()),
            Aborted::Files => {
                for base in bases {
                    let path = segment_path(dir, *base, SegmentFile::TxnIndex);
                    let len = env.disk().stat(&path).await?.map_or(0, |stat| stat.len);
                    // The file, and what it says.
                    let len = usize::try_from(len).unwrap_or(usize::MAX).min(ABORTED_BYTES_MAX);
                    let _reading = env.pool().charge(2 * len)?;
                    let found = read_all(env, &path, ABORTED_BYTES_MAX, Group::Compaction).await?;
                    let Some(bytes) = found else { continue };
                    let index = AbortedIndex::decode(&bytes).map_err(PassError::Aborted)?;
                    let (more, complete) = index.overlapping(from, until);
                    transactions.extend(more);
                    let bytes = transactions.capacity() * size_of::<AbortedTransaction>();
                    drop(charge.take());
                    charge = Some(env.pool().charge(bytes)?);
                    if complete {
                        break;
                    }
                }
            }
        }
        transactions.sort_unstable_by_key(|entry| (entry.producer_id, entry.first_offset));
        Ok(AbortedHere { transactions, _charge: charge })
    }

    /// The aborted transaction that a data batch is part of.
    pub(crate) fn of(&self, header: &Header) -> Option<&AbortedTransaction> {
        let data = header.is_transactional() && !header.is_control();
        self.last_before(header).filter(|_| data)
    }

    /// The aborted transaction that a marker ends.
    pub(crate) fn ended_by(&self, header: &Header) -> Option<AbortedTransaction> {
        let entry = self.last_before(header)?;
        (entry.last_offset == header.base_offset).then_some(*entry)
    }

    /// The last transaction of the batch's producer that begins before it, if it ends at it or later.
    fn last_before(&self, header: &Header) -> Option<&AbortedTransaction> {
        let key = (header.producer_id, header.base_offset);
        let begins = |entry: &AbortedTransaction| (entry.producer_id, entry.first_offset) <= key;
        let behind = self.transactions.partition_point(begins);
        let entry = self.transactions.get(behind.checked_sub(1)?)?;
        let holds =
            header.producer_id == entry.producer_id && header.base_offset <= entry.last_offset;
        holds.then_some(entry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_marker_is_empty_if_no_data_lies_before_it() {
        let mut open = Open::default();
        assert!(open.marker(1));
        assert!(open.data(1) && !open.data(1));
        assert!(open.marker(2) && !open.marker(1) && open.marker(1));
    }

    #[test]
    fn with_too_many_open_transactions_no_marker_counts_as_empty() {
        let mut open = Open::default();
        let most = i64::try_from(OPEN_MAX).unwrap();
        (0..most).for_each(|id| assert!(open.data(id)));
        assert!(open.is_exact() && open.marker(most));
        open.data(most);
        assert!(!open.is_exact() && !open.marker(most) && !open.marker(most + 1));
        assert_eq!(open.producers.len(), OPEN_MAX);
    }
}
