//! One partition on the shard that owns it: its log, its role, and how much of it may be seen.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use env::sync::Signal;
use env::{Env, Gate, Group, IoFailure, Nanos};
use record::{LeaderEpoch, Offset, TopicPartition};
use segment::{Log, Read, ReadError};

use crate::epochs::{EpochEnd, Epochs};
use crate::producers::Producers;
use crate::progress::{Level, Progress};
use crate::role::{Leadership, Role};

/// A cheap handle to one partition; clones are the same partition. It stays on its shard.
#[derive(Clone)]
pub struct Partition<E: Env> {
    pub(crate) inner: Rc<Inner<E>>,
}

pub(crate) struct Inner<E: Env> {
    pub(crate) env: E,
    pub(crate) id: TopicPartition,
    pub(crate) dir: PathBuf,
    pub(crate) log: Log<E>,
    pub(crate) state: RefCell<State>,
    /// Notified when an end moves, a role changes or a failure is seen.
    pub(crate) moved: Signal,
    /// A direct write to the segment is in flight: nothing goes to the journal meanwhile.
    pub(crate) direct: Cell<bool>,
    /// A journal frame with something of this partition is being committed.
    pub(crate) framing: Cell<bool>,
    /// Whether it waits in the committer's queue.
    pub(crate) queued: Cell<bool>,
    /// Held by who writes the files beside the log: they share the names of unfinished ones.
    pub(crate) saving: Gate,
}

/// What changes. Borrowed for moments only, never across a wait.
pub(crate) struct State {
    pub(crate) role: Role,
    /// Nothing more is appended; what was is still acknowledged.
    pub(crate) closing: bool,
    pub(crate) progress: Progress,
    pub(crate) high_watermark: Offset,
    pub(crate) log_start: Offset,
    pub(crate) epochs: Epochs,
    pub(crate) producers: Producers,
    pub(crate) ack: AckRule,
    pub(crate) trouble: Option<Trouble>,
    /// Producer state at the base offset of segments that were begun since the last checkpoint,
    /// to be written beside them; only the newest matters.
    pub(crate) snapshot_due: Option<(Offset, Vec<u8>)>,
    /// Where the newest snapshot file is.
    pub(crate) last_snapshot: Option<Offset>,
    /// The epochs changed since their file was written.
    pub(crate) epochs_due: bool,
    /// The journal names this partition dirty since the last checkpoint.
    pub(crate) marked_dirty: bool,
    /// Records appended since the last flush, for `flush.messages`.
    pub(crate) unflushed_records: u64,
    /// When the first of them was appended, for `flush.ms`.
    pub(crate) unflushed_since: Option<Nanos>,
}

impl State {
    /// Below it every transaction is decided, and that is committed.
    fn last_stable(&self) -> Offset {
        let undecided = self.producers.transactions().last_stable(self.high_watermark);
        undecided.max(self.log_start)
    }

    /// Everything appended so far was flushed.
    pub(crate) fn flushed(&mut self) {
        self.unflushed_records = 0;
        self.unflushed_since = None;
    }

    /// Whether `flush.messages` or `flush.ms` ask for a flush at `now`.
    pub(crate) fn flush_is_due(&self, now: Nanos) -> bool {
        let late = self.unflushed_since.is_some_and(|since| {
            i128::from(self.ack.flush_ms) * 1_000_000 <= i128::from(now.0) - i128::from(since.0)
        });
        late || self.ack.flush_records <= self.unflushed_records
    }
}

/// What an acknowledgement of a topic means (its `write.caching` and `flush.messages`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AckRule {
    /// The level at which records become visible and `acks=all` is answered.
    pub level: Level,
    /// For [`Level::Written`]: flush all the same after this many records.
    pub flush_records: u64,
    /// For [`Level::Written`]: flush all the same what was written so long ago, in milliseconds.
    pub flush_ms: i64,
}

/// Why nothing can be appended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The device is full; appending goes on when a later write succeeds.
    Full(IoFailure),
    /// A write or flush failed: the log takes nothing until the broker restarts.
    Fenced(IoFailure),
}

/// An acknowledgement will not come.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AckError {
    /// What was appended could not be made safe. It may be in the log or not.
    #[error("storage: {0}")]
    Storage(IoFailure),
    /// The node stopped leading before the record was committed.
    #[error("not the leader any more")]
    NotLeader,
}

/// How much of the log a reader may see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isolation {
    /// Everything appended: for followers.
    LogEnd,
    /// Below the high watermark.
    HighWatermark,
    /// Below the last stable offset.
    Committed,
}

/// Where a partition begins and ends for its readers.
///
/// ```text
/// log_start <= last_stable <= high_watermark <= log_end
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// First readable offset, inclusive.
    pub log_start: Offset,
    /// Below it transactions are decided, exclusive.
    pub last_stable: Offset,
    /// Below it records are committed, exclusive.
    pub high_watermark: Offset,
    /// Next offset to be assigned.
    pub log_end: Offset,
}

/// A fetch at this offset cannot be served.
#[derive(Clone, Debug, thiserror::Error)]
pub enum FetchError {
    /// Below the log start or beyond the log end.
    #[error("offset out of range")]
    OutOfRange,
    /// This node does not lead.
    #[error("not the leader")]
    NotLeader,
    /// The log could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
}

impl<E: Env> Partition<E> {
    /// Which partition it is.
    #[must_use]
    pub fn id(&self) -> TopicPartition {
        self.inner.id
    }

    /// Its directory, relative to the data directory.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.inner.dir
    }

    /// Its log.
    #[must_use]
    pub fn log(&self) -> &Log<E> {
        &self.inner.log
    }

    /// Notified whenever something that a reader or an acknowledgement waits for may have
    /// changed.
    #[must_use]
    pub fn moved(&self) -> &Signal {
        &self.inner.moved
    }

    /// Where it begins and ends.
    #[must_use]
    pub fn bounds(&self) -> Bounds {
        let state = self.inner.state.borrow();
        Bounds {
            log_start: state.log_start,
            last_stable: state.last_stable(),
            high_watermark: state.high_watermark,
            log_end: state.progress.end(),
        }
    }

    /// How far its bytes have come.
    #[must_use]
    pub fn progress(&self) -> Progress {
        self.inner.state.borrow().progress
    }

    /// Its role.
    #[must_use]
    pub fn role(&self) -> Role {
        self.inner.state.borrow().role.clone()
    }

    /// Why nothing can be appended now, if so.
    #[must_use]
    pub fn trouble(&self) -> Option<Trouble> {
        self.inner.state.borrow().trouble.clone()
    }

    /// What an acknowledgement means.
    #[must_use]
    pub fn ack_rule(&self) -> AckRule {
        self.inner.state.borrow().ack
    }

    /// Changes what an acknowledgement means. What is visible stays visible.
    pub fn set_ack_rule(&self, ack: AckRule) {
        self.inner.state.borrow_mut().ack = ack;
        self.advance();
    }

    /// Takes the leadership of `epoch`, with the nodes in sync. An epoch not above the one held
    /// changes nothing but the nodes in sync.
    pub fn lead(&self, node: i32, epoch: LeaderEpoch, in_sync: impl IntoIterator<Item = i32>) {
        {
            let mut state = self.inner.state.borrow_mut();
            let epoch_start = match state.role.leadership() {
                Some(held) if epoch <= held.epoch => held.epoch_start,
                _ => state.progress.end(),
            };
            if state.role.epoch().is_none_or(|held| held < epoch) {
                // Assigned even before anything is written, so that followers truncate right.
                let end = state.progress.end();
                state.epochs_due |= state.epochs.assign(epoch, end);
            }
            let in_sync = in_sync.into_iter().collect();
            state.role = Role::Leader(Leadership { epoch, epoch_start, node, in_sync });
        }
        self.advance();
    }

    /// Follows the leader of `epoch`.
    pub fn follow(&self, epoch: LeaderEpoch) {
        self.inner.state.borrow_mut().role = Role::Follower { epoch };
        self.inner.moved.notify();
    }

    /// Gives up every role.
    pub fn resign(&self) {
        self.inner.state.borrow_mut().role = Role::Offline;
        self.inner.moved.notify();
    }

    /// What the leader said of the high watermark, for a follower: clamped to what is here.
    pub fn follow_high_watermark(&self, leader: Offset) {
        {
            let mut state = self.inner.state.borrow_mut();
            let end = state.progress.end();
            state.high_watermark = leader.min(end).max(state.log_start);
            let high_watermark = state.high_watermark;
            state.producers.committed(high_watermark);
        }
        self.inner.moved.notify();
    }

    /// Where `epoch` ends here; `None` if nothing is known of it.
    #[must_use]
    pub fn epoch_end(&self, epoch: LeaderEpoch) -> Option<EpochEnd> {
        let state = self.inner.state.borrow();
        state.epochs.end_of(epoch, state.progress.end())
    }

    /// The epoch under which `offset` was written, for answers that name it.
    #[must_use]
    pub fn epoch_of(&self, offset: Offset) -> Option<LeaderEpoch> {
        self.inner.state.borrow().epochs.epoch_of(offset)
    }

    /// Waits until everything below `upto` is safe at `level`, and, for [`Level::Durable`] of
    /// `acks=all`, committed: `min(durable, high watermark)`. Dropping the future is harmless.
    pub async fn acknowledged(&self, upto: Offset, wait: AckWait) -> Result<(), AckError> {
        loop {
            let seen = self.inner.moved.seen();
            {
                let state = self.inner.state.borrow();
                let reached = match wait {
                    AckWait::Written => state.progress.reached(Level::Written),
                    AckWait::Committed => state.high_watermark,
                };
                if upto <= reached {
                    return Ok(());
                }
                if let Some(Trouble::Full(failure) | Trouble::Fenced(failure)) = &state.trouble {
                    return Err(AckError::Storage(failure.clone()));
                }
                if state.role.leadership().is_none() {
                    return Err(AckError::NotLeader);
                }
            }
            self.inner.moved.after(seen).await;
        }
    }

    /// Reads whole batches from the one that holds `from`, below what `isolation` allows. An
    /// offset at the end gives an empty read.
    pub async fn fetch(
        &self,
        from: Offset,
        isolation: Isolation,
        budget: ReadBudget,
        group: Group,
    ) -> Result<Read, FetchError> {
        let until = self.readable(from, isolation)?;
        if until <= from {
            return Ok(Read::default());
        }
        let ReadBudget { max_bytes, at_least_one } = budget;
        if let Some(read) = self.inner.log.read_hot(from, until, max_bytes, at_least_one) {
            return Ok(read);
        }
        Ok(self.inner.log.read(from, until, max_bytes, at_least_one, group).await?)
    }

    /// Checks `from` and gives the exclusive end of what may be read.
    pub fn readable(&self, from: Offset, isolation: Isolation) -> Result<Offset, FetchError> {
        let bounds = self.bounds();
        if from < bounds.log_start || bounds.log_end < from {
            return Err(FetchError::OutOfRange);
        }
        Ok(match isolation {
            Isolation::LogEnd => bounds.log_end,
            Isolation::HighWatermark => bounds.high_watermark,
            Isolation::Committed => bounds.last_stable,
        })
    }

    /// Recomputes the high watermark and tells everybody who waits.
    pub(crate) fn advance(&self) {
        {
            let mut state = self.inner.state.borrow_mut();
            let own = state.progress.reached(state.ack.level);
            let now = state.high_watermark;
            if let Role::Leader(leadership) = &state.role {
                state.high_watermark = leadership.high_watermark(own, |_| None, now);
            }
            let high_watermark = state.high_watermark;
            state.producers.committed(high_watermark);
        }
        self.inner.moved.notify();
    }

    /// Notes a failure of a write or flush.
    pub(crate) fn note_trouble(&self, trouble: Trouble) {
        {
            let mut state = self.inner.state.borrow_mut();
            // A fence is never lifted by a device that was merely full.
            if !matches!(state.trouble, Some(Trouble::Fenced(_))) {
                state.trouble = Some(trouble);
            }
        }
        self.inner.moved.notify();
    }

    /// A write succeeded: a full device has room again.
    pub(crate) fn clear_full(&self) {
        let mut state = self.inner.state.borrow_mut();
        if matches!(state.trouble, Some(Trouble::Full(_))) {
            state.trouble = None;
        }
    }
}

/// What an acknowledgement waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AckWait {
    /// `acks=1`: written here.
    Written,
    /// `acks=all`: committed, which for a `sync` topic means durable.
    Committed,
}

/// How much one read may bring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadBudget {
    /// Most bytes of whole batches.
    pub max_bytes: usize,
    /// Bring the first batch even if it is larger.
    pub at_least_one: bool,
}

impl<E: Env> fmt::Debug for Partition<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Partition")
            .field("id", &self.inner.id)
            .field("bounds", &self.bounds())
            .finish_non_exhaustive()
    }
}
