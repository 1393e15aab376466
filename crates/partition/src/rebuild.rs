//! Producers, transactions and epochs, found out from a log: a snapshot, and the batches after it.

use env::{Env, Group};
use record::{LeaderEpoch, Offset};
use segment::{Corrupt, Damage, ReadError, Seen};

use crate::Partition;
use crate::beside;
use crate::open::Recovered;
use crate::producers::Producers;

/// How much of the end of a log is read again for batches that a snapshot does not name.
const RECALLED_BYTES: u64 = 1 << 20;

impl<E: Env> Partition<E> {
    /// Producers, transactions and epochs from the newest snapshot at or below `limit` and the
    /// batches after it. Snapshots and indexes of aborted transactions are believed up to there,
    /// and told anew behind it. What damaged batches would have said stays unknown; those behind
    /// them are read.
    pub(crate) async fn rebuild_state(
        &self,
        limit: Offset,
        recovered: &mut Recovered,
    ) -> Result<(), ReadError> {
        let ends = self.inner.log.ends();
        let (end, start) = (ends.end, ends.start);
        // A snapshot where the first segment begins was there before anything that is left.
        let first = self.inner.log.segments().first().map_or(start, |segment| segment.base);
        let limit = limit.max(first).min(end);
        let snapshot = beside::read_snapshot(&self.inner.env, &self.inner.dir, limit).await?;
        let (from, producers) = match snapshot {
            // That of a segment that is gone lies below the first one that is left.
            Some((at, producers)) => {
                let from = at.max(first);
                (from, self.recall(producers, from).await?)
            }
            None => (first, Producers::default()),
        };
        {
            let mut state = self.inner.state.borrow_mut();
            state.producers = producers;
            state.epochs.truncate_end(end);
            state.last_snapshot = Some(from);
        }
        self.inner.log.forget_aborted(from, Group::Recovery).await?;
        let mut from = from;
        while let Err(error) = self.take_in(from).await {
            let ReadError::Corrupt(corrupt) = &error else { return Err(error) };
            let behind = self.behind(corrupt).filter(|behind| from < *behind);
            let Some(behind) = behind else { return Err(error) };
            if recovered.damage.iter().all(|known| known.at != *corrupt) {
                let (path, at) = (corrupt.path.clone(), corrupt.clone());
                recovered.damage.push(Damage { path, at, until: behind });
            }
            from = behind;
        }
        Ok(())
    }

    /// Remembers every batch from `from` on, as if it were appended now.
    async fn take_in(&self, from: Offset) -> Result<(), ReadError> {
        let log = &self.inner.log;
        let remember = |Seen { header, ends }: &Seen| {
            let mut state = self.inner.state.borrow_mut();
            if let Some(epoch) = LeaderEpoch::new(header.leader_epoch)
                && state.epochs.latest().is_none_or(|latest| latest < epoch)
            {
                state.epochs.assign(epoch, header.base_offset);
                state.epochs_due = true;
            }
            if header.is_transactional() {
                log.note_transactional(header.base_offset);
            }
            if let Some(aborted) = state.producers.saw(header, header.base_offset, *ends) {
                log.note_aborted(aborted);
            }
        };
        log.scan(from, Group::Recovery, remember).await
    }

    /// `producers` of a snapshot at `at` with the batches before their last ones, as far as these
    /// lie near the end of the log: a client may send again what it had in flight.
    async fn recall(&self, mut producers: Producers, at: Offset) -> Result<Producers, ReadError> {
        if producers.is_empty() {
            return Ok(producers);
        }
        let from = self.inner.log.offset_near_end(RECALLED_BYTES, Group::Recovery).await?;
        let mut seen = Producers::default();
        let see = |Seen { header, ends }: &Seen| {
            if header.base_offset < at {
                seen.saw(header, header.base_offset, *ends);
            }
        };
        if from < at {
            match self.inner.log.scan(from, Group::Recovery, see).await {
                // Those before and behind the damage need not follow each other.
                Err(ReadError::Corrupt(_)) => return Ok(producers),
                done => done?,
            }
        }
        producers.recall(seen);
        Ok(producers)
    }

    /// Where a scan goes on that met damage: where its quarantine ends, or at the next segment.
    pub(crate) fn behind(&self, corrupt: &Corrupt) -> Option<Offset> {
        let log = &self.inner.log;
        let named = log.damage().into_iter().find(|damage| damage.at == *corrupt);
        named.map(|damage| damage.until).or_else(|| {
            let mut segments = log.segments().into_iter();
            let holder =
                segments.find(|one| one.base <= corrupt.offset && corrupt.offset < one.next);
            holder.map(|segment| segment.next)
        })
    }
}
