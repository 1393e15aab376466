//! Idempotent producers of one partition: which sequences were appended, and where, and which
//! transactions are open.
//!
//! Rules: Kafka's `ProducerAppendInfo` and KIP-98; the last five batches of a producer are
//! remembered, so that each of the five requests a client may have in flight can be answered
//! again. Pure: time is a parameter.

use std::collections::{BTreeMap, VecDeque};

use record::{EndTransaction, Header, Offset};
use segment::AbortedTransaction;

use crate::transactions::{OPEN_MAX, Transactions};

/// Batches remembered for each producer (Kafka: `ProducerStateEntry.NUM_BATCHES_TO_RETAIN`).
pub const BATCHES_PER_PRODUCER: usize = 5;

/// Producers remembered for each partition; beyond it the one that was silent longest is
/// forgotten, as if it had expired.
pub const PRODUCERS_MAX: usize = 50_000;

/// One appended batch of a producer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AppendedBatch {
    /// Sequence of its first record.
    pub first_sequence: i32,
    /// Sequence of its last record, inclusive.
    pub last_sequence: i32,
    /// Offset of its first record.
    pub first_offset: Offset,
    /// Offset of its last record, inclusive.
    pub last_offset: Offset,
    /// Its largest timestamp.
    pub timestamp_ms: i64,
}

/// What is known of one producer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Producer {
    /// Its epoch.
    pub epoch: i16,
    /// When it last appended, by the timestamps of its batches.
    pub last_timestamp_ms: i64,
    /// The epoch of the transaction coordinator that last wrote a marker; -1 if none did.
    pub coordinator_epoch: i32,
    /// First offset of its open transaction.
    pub transaction_start: Option<Offset>,
    /// Its last batches, oldest first, at most [`BATCHES_PER_PRODUCER`].
    pub batches: VecDeque<AppendedBatch>,
}

/// All producers of one partition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Producers {
    by_id: BTreeMap<i64, Producer>,
    transactions: Transactions,
}

/// What to do with a batch that a producer sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sequencing {
    /// It comes next.
    Append,
    /// It is in the log already; answer with where.
    Duplicate(AppendedBatch),
}

/// The batch does not continue what its producer sent before; nothing changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SequenceRefusal {
    /// The epoch is older than the one known.
    #[error("producer epoch {sent} is older than {known}")]
    OldEpoch {
        /// Epoch of the batch.
        sent: i16,
        /// Epoch known here.
        known: i16,
    },
    /// The sequence is not the one after the last.
    #[error("sequence {sent} does not follow {last}")]
    OutOfOrder {
        /// First sequence of the batch.
        sent: i32,
        /// Last sequence appended; -1 if none under this epoch.
        last: i32,
    },
    /// A batch outside any transaction, while one of this producer is open.
    #[error("a transaction of the producer is open since offset {since}")]
    TransactionOpen {
        /// Where it began.
        since: Offset,
    },
    /// As many transactions as may be are open ([`OPEN_MAX`]). Try again when one ended.
    #[error("{open} transactions are open")]
    TooManyTransactions {
        /// How many.
        open: usize,
    },
}

/// A marker is not to be appended; nothing changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MarkerRefusal {
    /// The producer's epoch is older than the one known, or as old and should be newer.
    #[error("producer epoch {sent} of a marker is fenced by {known}")]
    OldEpoch {
        /// Epoch of the marker.
        sent: i16,
        /// Epoch known here.
        known: i16,
    },
    /// A later coordinator wrote a marker for this producer.
    #[error("coordinator epoch {sent} is older than {known}")]
    OldCoordinator {
        /// Epoch of the coordinator that sent the marker.
        sent: i32,
        /// Epoch of the coordinator known here.
        known: i32,
    },
}

/// How a producer's epoch relates to those of its markers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MarkerEpochs {
    /// Markers have the epoch of the batches (`transaction.version` 0 and 1).
    Same,
    /// Each marker has a new epoch (`transaction.version` 2, KIP-890): one with an epoch that is
    /// known already came late.
    Bumped,
}

/// A transaction that a marker ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// What the index of aborted transactions is told, if it was aborted.
    pub aborted: Option<AbortedTransaction>,
}

/// The sequence `count` after `sequence`: they wrap from 2^31 - 1 to 0.
#[must_use]
pub fn sequence_after(sequence: i32, count: i32) -> i32 {
    let sum = i64::from(sequence) + i64::from(count);
    i32::try_from(sum.rem_euclid(1 << 31)).expect("the remainder is below 2^31")
}

impl Producers {
    /// How many producers are known.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Whether no producer is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// Every producer with its id, ascending.
    pub fn iter(&self) -> impl Iterator<Item = (i64, &Producer)> {
        self.by_id.iter().map(|(id, producer)| (*id, producer))
    }

    /// The open transactions.
    #[must_use]
    pub fn transactions(&self) -> &Transactions {
        &self.transactions
    }

    /// Everything below `high_watermark` is committed, markers too.
    pub fn committed(&mut self, high_watermark: Offset) {
        self.transactions.committed(high_watermark);
    }

    /// Decides on a data batch with a producer id. Changes nothing.
    pub fn check(&self, header: &Header) -> Result<Sequencing, SequenceRefusal> {
        let sequencing = self.check_sequence(header)?;
        let open = self.by_id.get(&header.producer_id).and_then(|known| known.transaction_start);
        match (sequencing, open) {
            (Sequencing::Duplicate(_), _) => {}
            (Sequencing::Append, Some(since)) if !header.is_transactional() => {
                return Err(SequenceRefusal::TransactionOpen { since });
            }
            (Sequencing::Append, None) if header.is_transactional() => {
                let open = self.transactions.open();
                if OPEN_MAX <= open {
                    return Err(SequenceRefusal::TooManyTransactions { open });
                }
            }
            (Sequencing::Append, _) => {}
        }
        Ok(sequencing)
    }

    fn check_sequence(&self, header: &Header) -> Result<Sequencing, SequenceRefusal> {
        let Some(producer) = self.by_id.get(&header.producer_id) else {
            // An unknown producer may begin anywhere: its state may have expired.
            return Ok(Sequencing::Append);
        };
        let sent = header.producer_epoch;
        if sent < producer.epoch {
            return Err(SequenceRefusal::OldEpoch { sent, known: producer.epoch });
        }
        let first = header.base_sequence;
        if producer.epoch < sent {
            return if first == 0 {
                Ok(Sequencing::Append)
            } else {
                Err(SequenceRefusal::OutOfOrder { sent: first, last: -1 })
            };
        }
        let last = sequence_after(first, header.last_offset_delta);
        let same =
            |batch: &&AppendedBatch| batch.first_sequence == first && batch.last_sequence == last;
        if let Some(batch) = producer.batches.iter().find(same) {
            return Ok(Sequencing::Duplicate(*batch));
        }
        match producer.batches.back() {
            // A marker of this epoch, or a snapshot without batches, came before: it begins anew.
            None if first == 0 => Ok(Sequencing::Append),
            None => Err(SequenceRefusal::OutOfOrder { sent: first, last: -1 }),
            Some(before) if sequence_after(before.last_sequence, 1) == first => {
                Ok(Sequencing::Append)
            }
            Some(before) => {
                Err(SequenceRefusal::OutOfOrder { sent: first, last: before.last_sequence })
            }
        }
    }

    /// Remembers a data batch with a producer id that was appended at `first_offset`.
    pub fn appended(&mut self, header: &Header, first_offset: Offset) {
        let epoch = header.producer_epoch;
        let producer = self.producer_at(header.producer_id, epoch, header.max_timestamp_ms);
        if producer.batches.len() == BATCHES_PER_PRODUCER {
            producer.batches.pop_front();
        }
        producer.batches.push_back(AppendedBatch {
            first_sequence: header.base_sequence,
            last_sequence: sequence_after(header.base_sequence, header.last_offset_delta),
            first_offset,
            last_offset: first_offset.plus(i64::from(header.last_offset_delta)),
            timestamp_ms: header.max_timestamp_ms,
        });
        if header.is_transactional() && producer.transaction_start.is_none() {
            producer.transaction_start = Some(first_offset);
            self.transactions.begin(first_offset, header.producer_id);
        }
        self.bound(header.producer_id);
    }

    /// Remembers a batch that is in the log at `base`, whatever it is, with the marker in it, if it
    /// ends a transaction. Gives what the index of aborted transactions must be told.
    pub fn saw(
        &mut self,
        header: &Header,
        base: Offset,
        marker: Option<EndTransaction>,
    ) -> Option<AbortedTransaction> {
        if !header.has_producer() {
            return None;
        }
        match marker {
            Some(marker) => self.ended(header, base, marker).and_then(|ended| ended.aborted),
            None => {
                if !header.is_control() {
                    self.appended(header, base);
                }
                None
            }
        }
    }

    /// Decides on a marker for the producer `id` in `epoch`. Changes nothing.
    pub fn check_marker(
        &self,
        (id, epoch): (i64, i16),
        marker: EndTransaction,
        epochs: MarkerEpochs,
    ) -> Result<(), MarkerRefusal> {
        let Some(producer) = self.by_id.get(&id) else { return Ok(()) };
        let late = epochs == MarkerEpochs::Bumped && epoch == producer.epoch;
        if epoch < producer.epoch || late {
            return Err(MarkerRefusal::OldEpoch { sent: epoch, known: producer.epoch });
        }
        let (sent, known) = (marker.coordinator_epoch, producer.coordinator_epoch);
        if sent < known {
            return Err(MarkerRefusal::OldCoordinator { sent, known });
        }
        Ok(())
    }

    /// Remembers a marker that was appended: `header` and base offset are those of its batch. `None`
    /// if no transaction of its producer is open: it is a repetition, or the transaction wrote
    /// nothing here.
    pub fn ended(
        &mut self,
        header: &Header,
        marker_offset: Offset,
        marker: EndTransaction,
    ) -> Option<Ended> {
        let (id, epoch) = (header.producer_id, header.producer_epoch);
        let producer = self.producer_at(id, epoch, header.max_timestamp_ms);
        producer.coordinator_epoch = marker.coordinator_epoch;
        let start = producer.transaction_start.take();
        self.bound(id);
        let first_offset = start?;
        let last_stable = self.transactions.end(first_offset, marker_offset);
        let aborted = AbortedTransaction {
            producer_id: id,
            first_offset,
            last_offset: marker_offset,
            last_stable,
        };
        Some(Ended { aborted: (!marker.commit).then_some(aborted) })
    }

    /// What is known of a producer that now appends in `epoch`.
    fn producer_at(&mut self, id: i64, epoch: i16, timestamp_ms: i64) -> &mut Producer {
        let producer = self.by_id.entry(id).or_insert_with(|| Producer {
            epoch,
            last_timestamp_ms: timestamp_ms,
            coordinator_epoch: -1,
            transaction_start: None,
            batches: VecDeque::new(),
        });
        if producer.epoch != epoch {
            producer.epoch = epoch;
            producer.batches.clear();
        }
        producer.last_timestamp_ms = timestamp_ms;
        producer
    }

    fn bound(&mut self, but: i64) {
        if PRODUCERS_MAX < self.by_id.len() {
            self.forget_most_silent(but);
        }
    }

    /// Remembers again what a snapshot left out, which has room for the last batch of a producer
    /// only. `seen` is what a scan of the log's end up to the same place found; a producer of
    /// which it saw another last batch stays as it is.
    pub fn recall(&mut self, seen: Producers) {
        for (id, seen) in seen.by_id {
            let Some(known) = self.by_id.get_mut(&id) else { continue };
            let fits = known.epoch == seen.epoch && known.batches.back() == seen.batches.back();
            if fits && known.batches.len() < seen.batches.len() {
                known.batches = seen.batches;
            }
        }
    }

    /// Puts a producer as a snapshot remembers it. One with an open transaction is never left out.
    pub fn insert(&mut self, id: i64, producer: Producer) {
        if let Some(before) = self.by_id.get(&id).and_then(|before| before.transaction_start) {
            self.transactions.forget(before);
        }
        if let Some(start) = producer.transaction_start {
            self.transactions.begin(start, id);
        }
        self.by_id.insert(id, producer);
        self.bound(-1);
    }

    /// Forgets producers that were silent for more than `expiration_ms` at `now_ms` and have no
    /// open transaction.
    pub fn expire(&mut self, now_ms: i64, expiration_ms: i64) {
        self.by_id.retain(|_, producer| {
            producer.transaction_start.is_some()
                || now_ms.saturating_sub(producer.last_timestamp_ms) < expiration_ms
        });
    }

    fn forget_most_silent(&mut self, but: i64) {
        let silent = self
            .by_id
            .iter()
            .filter(|(id, producer)| **id != but && producer.transaction_start.is_none())
            .min_by_key(|(_, producer)| producer.last_timestamp_ms)
            .map(|(id, _)| *id);
        if let Some(id) = silent {
            self.by_id.remove(&id);
        }
    }
}

#[cfg(test)]
mod tests;
