//! One commit round.

use env::{Env, Group};
use journal::plan::{self, Route};
use journal::{Item, JournalError};
use record::{LeaderEpoch, Offset};
use segment::WriteError;

use super::{Committer, Pending};
use crate::Partition;
use crate::partition::Trouble;
use crate::progress::Level;

/// Most bytes of batches that share one frame and its flush.
const FRAME_BYTES: usize = 512 << 10;

/// The journal took nothing this round; everything is still pending.
pub(crate) struct RoundFailed;

struct Framed<E: Env> {
    partition: Partition<E>,
    from: Offset,
    to: Offset,
}

struct Frame<E: Env> {
    items: Vec<Item>,
    framed: Vec<Framed<E>>,
    flush: bool,
}

impl<E: Env> Committer<E> {
    /// Takes everything that is queued: direct writes go off on their own, one frame is written
    /// here.
    pub(super) async fn round(&self) -> Result<(), RoundFailed> {
        let queued = std::mem::take(&mut *self.inner.queue.borrow_mut());
        let work: Vec<(Partition<E>, Pending)> = queued
            .into_iter()
            .filter_map(|partition| {
                partition.inner.queued.set(false);
                partition.pending().map(|pending| (partition, pending))
            })
            .collect();
        let views: Vec<plan::Pending> = work
            .iter()
            .map(|(partition, pending)| plan::Pending {
                pending_bytes: pending.bytes,
                wants_flush: pending.flush,
                direct_in_flight: partition.inner.direct.get(),
            })
            .collect();
        let limits = plan::RoundLimits {
            journal_bytes_max: FRAME_BYTES,
            direct_bytes: plan::DIRECT_BYTES.min(self.inner.journal.batches_bytes_max()),
        };
        let round = plan::plan(&views, limits);
        let mut frame = Frame { items: Vec::new(), framed: Vec::new(), flush: round.journal_flush };
        for ((partition, pending), route) in work.into_iter().zip(round.routes) {
            match route {
                Route::Direct { flush } => self.direct(partition, &pending, flush, &mut frame),
                Route::Journal => self.share(partition, pending, &mut frame),
                // Behind a direct write: its end puts the partition into the queue again.
                Route::Wait if partition.inner.direct.get() => {}
                Route::Wait => self.enqueue(&partition),
            }
        }
        if frame.items.is_empty() {
            return Ok(());
        }
        self.commit(frame).await
    }

    fn direct(
        &self,
        partition: Partition<E>,
        pending: &Pending,
        flush: bool,
        frame: &mut Frame<E>,
    ) {
        if partition.inner.state.borrow().marked_dirty {
            self.write_direct(partition, flush);
            return;
        }
        // The journal must say that the segment is being written before anything that only the
        // segment holds is acknowledged; the write itself is the next round's.
        frame.items.push(Item::Dirty { partition: partition.id(), from: pending.from });
        frame.flush |= flush;
        self.mark_dirty(&partition);
        self.enqueue(&partition);
    }

    fn share(&self, partition: Partition<E>, pending: Pending, frame: &mut Frame<E>) {
        frame.items.push(Item::Batches {
            partition: partition.id(),
            base: pending.from,
            next: pending.to,
            epoch: partition.role().epoch().unwrap_or(LeaderEpoch::ZERO),
            parts: pending.parts,
        });
        self.mark_dirty(&partition);
        partition.inner.framing.set(true);
        frame.framed.push(Framed { partition, from: pending.from, to: pending.to });
    }

    async fn commit(&self, frame: Frame<E>) -> Result<(), RoundFailed> {
        let Frame { items, framed, flush } = frame;
        match self.inner.journal.commit(items, flush, Group::Produce).await {
            Ok(_place) => {
                let counts = &self.inner.counts;
                counts.frames.set(counts.frames.get() + 1);
                counts.flushes.set(counts.flushes.get() + u64::from(flush));
                for Framed { partition, from, to } in framed {
                    self.framed(&partition, from, to, flush);
                }
                if self.inner.journal.pressure().checkpoint_is_due() {
                    self.inner.upkeep_due.notify();
                }
                Ok(())
            }
            Err(error) => {
                self.inner.upkeep_due.notify();
                for Framed { partition, .. } in framed {
                    partition.inner.framing.set(false);
                    if let Some(trouble) = trouble_of(&error) {
                        partition.note_trouble(trouble);
                    }
                    self.enqueue(&partition);
                }
                Err(RoundFailed)
            }
        }
    }

    fn framed(&self, partition: &Partition<E>, from: Offset, to: Offset, flushed: bool) {
        partition.inner.framing.set(false);
        partition.clear_full();
        let segment_flush = {
            let mut state = partition.inner.state.borrow_mut();
            state.progress.journaled(from, to, flushed);
            if flushed {
                state.flushed();
            }
            flushed && state.progress.needs_segment_flush()
        };
        partition.advance();
        if segment_flush && !partition.inner.direct.get() {
            // Below the frame lie bytes that only an unflushed segment holds: the topic was
            // `write.caching` when they were written.
            self.write_direct(partition.clone(), true);
        }
        if partition.pending().is_some() {
            self.enqueue(partition);
        }
    }

    /// Writes everything pending of `partition` to its segments, in a task of its own.
    fn write_direct(&self, partition: Partition<E>, flush: bool) {
        partition.inner.direct.set(true);
        let counts = &self.inner.counts;
        counts.direct_writes.set(counts.direct_writes.get() + 1);
        let committer = self.clone();
        self.inner.env.spawn(Group::Produce, async move {
            let mut done = partition.write_segment(Group::Produce).await;
            if done.is_ok() && flush {
                done = partition.flush_segment(Group::Produce).await;
            }
            partition.inner.direct.set(false);
            partition.inner.moved.notify();
            if partition.pending().is_some() {
                match done {
                    Ok(()) => committer.enqueue(&partition),
                    Err(Trouble::Full(_)) => {
                        committer.inner.env.sleep(super::RETRY_AFTER).await;
                        committer.enqueue(&partition);
                    }
                    Err(Trouble::Fenced(_)) => {}
                }
            }
        });
    }
}

impl<E: Env> Partition<E> {
    /// Writes what the segments lack and counts it.
    pub(crate) async fn write_segment(&self, group: Group) -> Result<(), Trouble> {
        match self.inner.log.write(group).await {
            Ok(to) => {
                self.clear_full();
                self.inner.state.borrow_mut().progress.segment_wrote(to);
                self.advance();
                Ok(())
            }
            Err(error) => Err(self.write_failed(error)),
        }
    }

    /// Flushes the segments and counts it.
    pub(crate) async fn flush_segment(&self, group: Group) -> Result<(), Trouble> {
        match self.inner.log.flush(group).await {
            Ok(to) => {
                {
                    let mut state = self.inner.state.borrow_mut();
                    state.progress.segment_flushed(to);
                    if state.progress.reached(Level::Durable) == state.progress.end() {
                        state.flushed();
                    }
                }
                self.advance();
                Ok(())
            }
            Err(error) => Err(self.write_failed(error)),
        }
    }

    pub(crate) fn write_failed(&self, error: WriteError) -> Trouble {
        let trouble = match error {
            WriteError::Full(failure) => Trouble::Full(failure),
            WriteError::Fenced(failure) => Trouble::Fenced(failure),
        };
        self.note_trouble(trouble.clone());
        trouble
    }
}

/// What a refusal of the journal means for a partition; `None` if it is over in a moment.
fn trouble_of(error: &JournalError) -> Option<Trouble> {
    match error {
        JournalError::Full(failure) => Some(Trouble::Full(failure.clone())),
        JournalError::Failed(failure) => Some(Trouble::Fenced(failure.clone())),
        // A checkpoint frees files; memory comes back; everything stays pending meanwhile.
        JournalError::Behind { .. } | JournalError::Memory(_) => None,
        // The plan sends nothing that large, and whole batches only.
        JournalError::TooLarge { .. } | JournalError::NotBatches { .. } => None,
        JournalError::Closed => None,
    }
}
