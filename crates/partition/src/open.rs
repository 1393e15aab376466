//! From a directory to a partition: created, opened after a clean stop, or recovered.

use std::cell::{Cell, RefCell};
use std::path::Path;
use std::rc::Rc;

use env::sync::Signal;
use env::{Disk, Env, Gate, Group, IoFailure};
use journal::{PartitionReplay, Replay, ReplayError};
use record::{Offset, TopicPartition};
use segment::{Damage, Known, Log, LogOptions, OpenError, ReadError};

use crate::append::AppendRefusal;
use crate::beside;
use crate::epochs::Epochs;
use crate::partition::{AckRule, Inner, Partition, State};
use crate::producers::Producers;
use crate::progress::Progress;
use crate::role::Role;

/// What a partition is opened with.
#[derive(Clone, Debug)]
pub struct OpenOptions {
    /// How its log is kept.
    pub log: LogOptions,
    /// What an acknowledgement means.
    pub ack: AckRule,
    /// What is known of its end, from a checkpoint.
    pub known: Known,
    /// The high watermark of the checkpoint; it never falls below what was committed.
    pub high_watermark: Offset,
}

/// What recovery found.
#[derive(Clone, Debug, Default)]
pub struct Recovered {
    /// Bytes of segments that were scanned.
    pub scanned_bytes: u64,
    /// Batches replayed from the journal.
    pub replayed_batches: u64,
    /// Damage below the recovery point, quarantined.
    pub damage: Vec<Damage>,
}

/// The partition could not be opened. What is on disk is unchanged but for a torn tail that may
/// have been cut.
#[derive(Clone, Debug, thiserror::Error)]
pub enum PartitionOpenError {
    /// Its log.
    #[error(transparent)]
    Log(#[from] OpenError),
    /// A file beside it.
    #[error(transparent)]
    Io(#[from] IoFailure),
    /// Its part of the journal.
    #[error(transparent)]
    Replay(#[from] ReplayError),
    /// The journal's records could not be appended again.
    #[error("replay: {0}")]
    Append(#[from] AppendRefusal),
    /// What was recovered could not be flushed.
    #[error("flushing what was recovered: {0}")]
    Flush(#[from] segment::WriteError),
    /// The log could not be read while its state was rebuilt.
    #[error("rebuilding state: {0}")]
    Scan(#[from] ReadError),
}

impl PartitionOpenError {
    /// Whether memory or room on the device was wanting, which passes: opening it again later may
    /// succeed.
    #[must_use]
    pub fn passes(&self) -> bool {
        let short = |failure: &IoFailure| {
            failure.kind == std::io::ErrorKind::OutOfMemory || failure.is_full()
        };
        match self {
            PartitionOpenError::Log(OpenError::OverBudget(_))
            | PartitionOpenError::Scan(ReadError::OverBudget(_))
            | PartitionOpenError::Append(AppendRefusal::OverBudget)
            | PartitionOpenError::Replay(ReplayError::Memory(_)) => true,
            PartitionOpenError::Log(OpenError::Io(failure))
            | PartitionOpenError::Io(failure)
            | PartitionOpenError::Scan(ReadError::Io(failure))
            | PartitionOpenError::Append(AppendRefusal::Storage(failure))
            | PartitionOpenError::Replay(ReplayError::Io(failure))
            | PartitionOpenError::Flush(segment::WriteError::Full(failure)) => short(failure),
            _ => false,
        }
    }
}

impl<E: Env> Partition<E> {
    /// Opens the partition in `dir`, or creates it there; its journal entries in `replay` are
    /// appended again. It has no role yet.
    pub async fn open(
        env: &E,
        id: TopicPartition,
        dir: &Path,
        mut options: OpenOptions,
        replay: Option<&Replay<E>>,
        group: Group,
    ) -> Result<(Partition<E>, Recovered), PartitionOpenError> {
        let mut recovered = Recovered::default();
        let existing = env.disk().stat(dir).await?.is_some();
        let held = replay.and_then(|replay| replay.partition(id)).and_then(first_needed);
        options.known.start = options.known.start.max(held.unwrap_or(Offset::ZERO));
        let start = options.known.start;
        let log = if existing {
            let (log, opened) = Log::open(env, dir, options.log, options.known, group).await?;
            recovered.scanned_bytes = opened.scanned_bytes;
            recovered.damage = opened.damage;
            log
        } else {
            let log = Log::create(env, dir, options.log, start).await?;
            beside::write_topic_id(env, dir, id.topic).await?;
            log
        };
        let epochs =
            if existing { beside::read_epochs(env, dir).await? } else { Epochs::default() };
        let partition = Partition::around(env, id, dir, log, epochs, &options);
        if existing {
            // What was not known to be flushed is read again.
            let limit =
                if options.known.clean { Offset::MAX } else { options.known.recovery_point };
            partition.rebuild_state(limit, &mut recovered).await?;
        }
        if let Some(replay) = replay {
            recovered.replayed_batches = partition.replay(replay, group).await?;
        }
        // What was scanned may lie in the page cache only; nothing is shown before it is safe.
        partition.flush_recovered(group).await?;
        partition.settle_recovered(options.high_watermark);
        Ok((partition, recovered))
    }

    fn around(
        env: &E,
        id: TopicPartition,
        dir: &Path,
        log: Log<E>,
        epochs: Epochs,
        options: &OpenOptions,
    ) -> Partition<E> {
        let ends = log.ends();
        let state = State {
            role: Role::Offline,
            closing: false,
            progress: Progress::recovered(ends.durable, ends.written, ends.end),
            high_watermark: options.high_watermark,
            log_start: ends.start.max(options.known.start),
            epochs,
            producers: Producers::default(),
            ack: options.ack,
            trouble: None,
            snapshot_due: None,
            last_snapshot: None,
            epochs_due: false,
            marked_dirty: false,
            unflushed_records: 0,
            unflushed_since: None,
        };
        Partition {
            inner: Rc::new(Inner {
                env: env.clone(),
                id,
                dir: dir.to_path_buf(),
                log,
                state: RefCell::new(state),
                moved: Signal::new(),
                direct: Cell::new(false),
                framing: Cell::new(false),
                queued: Cell::new(false),
                saving: Gate::default(),
            }),
        }
    }

    /// Appends again what the journal has beyond the segments, in the journal's order.
    async fn replay(&self, replay: &Replay<E>, group: Group) -> Result<u64, PartitionOpenError> {
        let Some(held) = replay.partition(self.inner.id) else { return Ok(0) };
        if let Some(start) = held.log_start {
            let mut state = self.inner.state.borrow_mut();
            state.log_start = state.log_start.max(start);
        }
        let mut batches = 0;
        for piece in &held.pieces {
            let end = self.inner.log.ends().end;
            if piece.until <= end {
                continue;
            }
            if end < piece.base {
                // What fills the gap was never flushed, so nothing above it was acknowledged.
                break;
            }
            let bytes = replay.read(piece, group).await?;
            batches += self.replay_piece(&bytes, end)?;
            self.inner.env.yield_if_needed().await;
        }
        Ok(batches)
    }

    fn replay_piece(&self, bytes: &[u8], end: Offset) -> Result<u64, PartitionOpenError> {
        let mut count = 0;
        for batch in record::Batches::new(bytes) {
            let (header, batch) = batch.map_err(|_| AppendRefusal::Corrupt)?;
            if header.next_offset() <= end {
                continue;
            }
            self.append_verbatim(&header, batch, self.inner.env.wall_ms())?;
            count += 1;
        }
        Ok(count)
    }

    async fn flush_recovered(&self, group: Group) -> Result<(), PartitionOpenError> {
        let ends = self.inner.log.ends();
        if ends.durable < ends.written {
            self.inner.log.flush(group).await?;
        }
        Ok(())
    }

    fn settle_recovered(&self, high_watermark: Offset) {
        let ends = self.inner.log.ends();
        let mut state = self.inner.state.borrow_mut();
        let end = ends.end;
        state.progress = Progress::recovered(ends.durable, ends.written, end);
        state.log_start = state.log_start.min(end).max(ends.start);
        state.high_watermark = high_watermark.min(end).max(state.log_start);
        let high_watermark = state.high_watermark;
        state.producers.committed(high_watermark);
    }
}

/// Where the batches begin that the journal holds around the log start that was set. Segments
/// below may be gone, all of them even: what the journal holds does not hang on them. `None` if
/// it holds nothing at or below that log start.
fn first_needed(held: &PartitionReplay) -> Option<Offset> {
    let log_start = held.log_start?;
    let (mut begins, mut reached) = (None, None);
    for piece in held.pieces.iter().take_while(|piece| piece.base <= log_start) {
        if reached != Some(piece.base) {
            begins = Some(piece.base);
        }
        reached = Some(piece.until);
    }
    begins
}
