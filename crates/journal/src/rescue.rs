//! After a write or flush that failed, or was given up: nothing that no flush covers can be
//! trusted to be in the file. The frames are held in memory and are written once more, to another
//! file, under the sequences they had; replay takes each sequence once.

use buf::Sealed;
use env::{Env, File, Group, IoFailure};

use crate::error::JournalError;
use crate::frame::{self, Address};
use crate::journal::{FileOf, Health, Journal, note_frame, passes};

impl<E: Env> Journal<E> {
    /// Makes sure that frames can be written behind those that are there.
    pub(crate) async fn ensure_sound(&self, group: Group) -> Result<(), JournalError> {
        let in_doubt = {
            let state = self.inner.state.borrow();
            match &state.health {
                Health::Failed(failure) => return Err(JournalError::Failed(failure.clone())),
                Health::Closed => return Err(JournalError::Closed),
                Health::Sound => state.in_doubt,
            }
        };
        if in_doubt { self.rewrite_held(group).await } else { Ok(()) }
    }

    /// Outlives `failure` of the current file, if another file takes the held frames.
    pub(crate) async fn rescue(
        &self,
        failure: IoFailure,
        group: Group,
    ) -> Result<(), JournalError> {
        match self.rewrite_held(group).await {
            // The first failure is the cause; the second only says that it was not outlived.
            Err(JournalError::Failed(_)) => {
                self.inner.state.borrow_mut().health = Health::Failed(failure.clone());
                Err(JournalError::Failed(failure))
            }
            other => other,
        }
    }

    /// Gives the current file up and writes the held frames to another one, flushed.
    async fn rewrite_held(&self, group: Group) -> Result<(), JournalError> {
        let spare = {
            let state = &mut *self.inner.state.borrow_mut();
            if let Some(mut current) = state.current.take() {
                current.abandoned = true;
                state.full.push_back(current);
            }
            state.spare.pop_front()
        };
        let fresh = match spare {
            Some(fresh) => fresh,
            None => self.create_file_or_fail().await?,
        };
        self.inner.state.borrow_mut().current = Some(fresh);
        match self.copy_held(group).await {
            Ok(()) => {
                self.flushed();
                self.inner.state.borrow_mut().metrics.rescues += 1;
                Ok(())
            }
            Err(failure) if passes(&failure) => Err(JournalError::Full(failure)),
            Err(failure) => {
                self.inner.state.borrow_mut().health = Health::Failed(failure.clone());
                Err(JournalError::Failed(failure))
            }
        }
    }

    async fn copy_held(&self, group: Group) -> Result<(), IoFailure> {
        let count = self.inner.state.borrow().held.len();
        for n in 0..count {
            let (file, frame, position) = self.place_held(n)?;
            file.write_at(frame, position, group).await?;
            self.inner.env.yield_if_needed().await;
        }
        let file = self.inner.state.borrow().current.as_ref().map(|file| file.file.clone());
        file.expect("rewrite_held gave a file").sync(group).await
    }

    /// A copy of the `n`-th held frame for the place behind the others in the current file.
    fn place_held(&self, n: usize) -> Result<(FileOf<E>, Sealed, u64), IoFailure> {
        let state = &mut *self.inner.state.borrow_mut();
        let current = state.current.as_mut().expect("rewrite_held gave a file");
        let held = &mut state.held[n];
        let padded = held.frame.len();
        let out_of_memory = std::io::ErrorKind::OutOfMemory;
        let mut buffer = (self.inner.pool.buffer(padded.next_power_of_two()))
            .map_err(|_| IoFailure::of_kind("write", &current.path, out_of_memory))?;
        buffer.as_mut_slice()[..padded].copy_from_slice(&held.frame);
        let address = Address {
            id: current.id,
            sequence: held.sequence,
            flushed_below: state.flushed_below,
            ordinal: current.ordinal,
        };
        frame::readdress(buffer.as_mut_slice(), address);
        held.frame = buffer.seal(padded);
        note_frame(&held.frame, held.sequence, &mut current.holdings, std::iter::empty());
        let position = current.position;
        current.position += padded as u64;
        current.ordinal += 1;
        current.prepared = current.prepared.max(current.position);
        Ok((current.file.clone(), held.frame.clone(), position))
    }
}
