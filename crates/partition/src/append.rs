//! Stage 1 of a produce: the order of records is decided here, without waiting for anything.

use env::{Env, IoFailure};
use record::{Checked, EndTransaction, Header, LeaderEpoch, Offset, Payload, Producer};
use segment::{AppendError, Appended, Stamp};

use crate::partition::{Partition, Trouble};
use crate::producers::{AppendedBatch, MarkerEpochs, MarkerRefusal, SequenceRefusal, Sequencing};
use crate::role::Role;
use crate::snapshot;

/// Where a batch is in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placed {
    /// Offset of its first record.
    pub base: Offset,
    /// Offset after its last record: what an acknowledgement waits for.
    pub next: Offset,
    /// The largest timestamp in it, in milliseconds.
    pub timestamp_ms: i64,
    /// Whether it was there already (the producer sent it again).
    pub duplicate: bool,
}

/// The batch was not appended; the log is unchanged.
#[derive(Clone, Debug, thiserror::Error)]
pub enum AppendRefusal {
    /// This node does not lead the partition, or not under the epoch given.
    #[error("not the leader")]
    NotLeader,
    /// The producer's epoch or sequence does not fit.
    #[error(transparent)]
    Sequence(#[from] SequenceRefusal),
    /// Larger than a segment may be.
    #[error("batch of {len_bytes} bytes is larger than a segment")]
    LargerThanSegment {
        /// Length of the batch.
        len_bytes: usize,
    },
    /// The shard's memory is full of records that are not written yet. Try again.
    #[error("no memory for the batch now")]
    OverBudget,
    /// The log takes nothing now.
    #[error("storage: {0}")]
    Storage(IoFailure),
    /// A follower's batch does not continue its log.
    #[error("offset {base} does not continue the log at {end}")]
    Discontinuous {
        /// Base offset of the batch.
        base: Offset,
        /// End of the log.
        end: Offset,
    },
    /// A follower's batch is damaged.
    #[error("the batch is corrupt")]
    Corrupt,
}

/// A marker was not appended; the log is unchanged.
#[derive(Clone, Debug, thiserror::Error)]
pub enum MarkerError {
    /// An older producer or coordinator sent it.
    #[error(transparent)]
    Fenced(#[from] MarkerRefusal),
    /// As any batch: not the leader, no memory, storage.
    #[error(transparent)]
    Append(#[from] AppendRefusal),
}

impl<E: Env> Partition<E> {
    /// Appends one checked batch as the leader: assigns its offsets and stamps the leader epoch.
    /// `batch` is what the client sent; a rebuilt payload in `checked` takes its place. Not
    /// async: batches are in the log in the order of these calls. `now_ms` is the wall clock.
    ///
    /// A transactional batch opens a transaction of its producer if none is open. That the
    /// transaction's coordinator knows of it is the caller's to see to.
    pub fn append_as_leader(
        &self,
        batch: &[u8],
        checked: &Checked,
        now_ms: i64,
    ) -> Result<Placed, AppendRefusal> {
        let bytes = match &checked.payload {
            Payload::AsSent => batch,
            Payload::Rebuilt(rebuilt) => rebuilt,
        };
        let header = &checked.header;
        let epoch = self.may_append()?;
        if let Some(placed) = self.duplicate(header)? {
            return Ok(placed);
        }
        let base = self.inner.state.borrow().progress.end();
        let stamp = Stamp { base, epoch };
        let appended = self.inner.log.append(bytes, stamp, now_ms).map_err(refusal)?;
        self.remember(header, None, appended);
        Ok(Placed {
            base,
            next: base.plus(i64::from(header.last_offset_delta) + 1),
            timestamp_ms: checked.max_timestamp_ms,
            duplicate: false,
        })
    }

    /// Appends, as the leader, the marker that ends the transaction of `producer`, whose base sequence
    /// does not count. If none is open the marker is appended all the same, and changes only what
    /// fences later ones: as in Kafka, a coordinator may send it again. Not async, as
    /// [`append_as_leader`](Partition::append_as_leader).
    pub fn append_marker(
        &self,
        producer: Producer,
        marker: EndTransaction,
        epochs: MarkerEpochs,
        now_ms: i64,
    ) -> Result<Placed, MarkerError> {
        let batch = marker.build(producer, now_ms);
        let header = Header::read(&batch).expect("it was just built");
        let epoch = self.may_append()?;
        let of = (header.producer_id, header.producer_epoch);
        self.inner.state.borrow().producers.check_marker(of, marker, epochs)?;
        let base = self.inner.state.borrow().progress.end();
        let stamp = Stamp { base, epoch };
        let appended = self.inner.log.append(&batch, stamp, now_ms).map_err(refusal)?;
        self.remember(&header, Some(marker), appended);
        Ok(Placed { base, next: base.plus(1), timestamp_ms: now_ms, duplicate: false })
    }

    /// Appends whole batches as their leader sent them, offsets and epochs as they are. Stops at
    /// the first that does not fit; those before it are appended. Batches of an epoch above the
    /// leader's are not taken.
    pub fn append_as_follower(&self, batches: &[u8], now_ms: i64) -> Result<Offset, AppendRefusal> {
        let Some(epoch) = self.following() else { return Err(AppendRefusal::NotLeader) };
        for batch in record::Batches::new(batches) {
            let (header, bytes) = batch.map_err(|_| AppendRefusal::Corrupt)?;
            if !record::crc_is_right(bytes) {
                return Err(AppendRefusal::Corrupt);
            }
            if epoch.raw() < header.leader_epoch {
                break;
            }
            self.append_verbatim(&header, bytes, now_ms)?;
        }
        Ok(self.inner.state.borrow().progress.end())
    }

    /// One batch as it is: from a leader, or from the journal at start.
    pub(crate) fn append_verbatim(
        &self,
        header: &Header,
        bytes: &[u8],
        now_ms: i64,
    ) -> Result<(), AppendRefusal> {
        let end = self.inner.state.borrow().progress.end();
        // Gaps are normal behind a compacted log; a step back never is.
        if header.base_offset < end {
            return Err(AppendRefusal::Discontinuous { base: header.base_offset, end });
        }
        let appended = self.inner.log.append_verbatim(bytes, now_ms).map_err(refusal)?;
        if let Some(epoch) = LeaderEpoch::new(header.leader_epoch) {
            let mut state = self.inner.state.borrow_mut();
            state.epochs_due |= state.epochs.assign(epoch, header.base_offset);
        }
        let marker = EndTransaction::read(bytes).ok().flatten();
        self.remember(header, marker, appended);
        Ok(())
    }

    fn following(&self) -> Option<LeaderEpoch> {
        match self.inner.state.borrow().role {
            Role::Follower { epoch } => Some(epoch),
            Role::Leader(_) | Role::Offline => None,
        }
    }

    fn may_append(&self) -> Result<LeaderEpoch, AppendRefusal> {
        let state = self.inner.state.borrow();
        if state.closing {
            return Err(AppendRefusal::NotLeader);
        }
        let Some(leadership) = state.role.leadership() else {
            return Err(AppendRefusal::NotLeader);
        };
        if let Some(Trouble::Full(failure) | Trouble::Fenced(failure)) = &state.trouble {
            return Err(AppendRefusal::Storage(failure.clone()));
        }
        Ok(leadership.epoch)
    }

    fn duplicate(&self, header: &Header) -> Result<Option<Placed>, AppendRefusal> {
        if header.producer_id < 0 {
            return Ok(None);
        }
        match self.inner.state.borrow().producers.check(header)? {
            Sequencing::Append => Ok(None),
            Sequencing::Duplicate(AppendedBatch {
                first_offset,
                last_offset,
                timestamp_ms,
                ..
            }) => Ok(Some(Placed {
                base: first_offset,
                next: last_offset.plus(1),
                timestamp_ms,
                duplicate: true,
            })),
        }
    }

    fn remember(&self, header: &Header, marker: Option<EndTransaction>, appended: Appended) {
        let Appended { base, rolled, segment_base, .. } = appended;
        let mut state = self.inner.state.borrow_mut();
        if rolled {
            // As it was before this batch: the state that a recovery from this segment needs.
            state.snapshot_due = Some((segment_base, snapshot::encode(&state.producers)));
        }
        if let Some(aborted) = state.producers.saw(header, base, marker) {
            self.inner.log.note_aborted(aborted);
        }
        state.unflushed_records += u64::from(header.records.unsigned_abs());
        if state.unflushed_since.is_none() {
            state.unflushed_since = Some(self.inner.env.now());
        }
        state.progress.appended(base.plus(i64::from(header.last_offset_delta) + 1));
    }
}

fn refusal(error: AppendError) -> AppendRefusal {
    match error {
        AppendError::OverBudget(_) => AppendRefusal::OverBudget,
        AppendError::Fenced(failure) => AppendRefusal::Storage(failure),
        AppendError::LargerThanSegment { len_bytes } => {
            AppendRefusal::LargerThanSegment { len_bytes }
        }
    }
}
