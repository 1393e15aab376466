//! A disk that writes down what is done to another, and what a power cut might have left of it.
//!
//! Owns the log of a live run: every change from the moment it was submitted, every completion,
//! in one order over all shards. From any prefix of it a legal survivor can be made, by the
//! rules of the simulated disk, and real recovery run on it. Deliberately not here: changes that
//! go round the recorded disk (whoever opens a path without it), and time.

mod disk;
mod log;
mod replay;
mod world;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use crate::sim::Contents;
pub use disk::{RecordingDisk, RecordingFile};
use log::{Event, Log};
pub use replay::Replay;
pub use world::RecordingEnv;

/// The log of everything done to one data directory, by any number of shards and threads. A
/// handle; clones are the same log. It keeps a copy of every byte written.
#[derive(Clone)]
pub struct Recording {
    log: Arc<Mutex<Log>>,
}

impl Recording {
    /// An empty log of a directory of which `base` is durable. It must be all there is.
    #[must_use]
    pub fn new(base: Contents) -> Recording {
        Recording { log: Arc::new(Mutex::new(Log::new(base))) }
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The number of events so far. What a client is told now may depend on these, and on
    /// nothing later: an acknowledgement at this place must survive in every longer prefix.
    #[must_use]
    pub fn len(&self) -> usize {
        self.log().events.len()
    }

    /// Whether nothing was done.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What a power cut right after the first `prefix` events might have left; `seed` chooses.
    /// The rules: everything that a completed flush covers is there. Of the rest any subset of
    /// the changes of each file and directory is, in any order, writes torn at 512 bytes.
    ///
    /// # Panics
    /// If there are fewer events.
    #[must_use]
    pub fn legal_survivor(&self, prefix: usize, seed: u64) -> Contents {
        let mut replay = self.replay();
        replay.advance_to(prefix);
        replay.survivor(seed)
    }

    /// What event number `place` was, in words, for a complaint. `None` if there are fewer.
    #[must_use]
    pub fn describe(&self, place: usize) -> Option<String> {
        let log = self.log();
        Some(match log.events.get(place)? {
            Event::Begun(act) => log.describe(act),
            Event::Done { begun, ok } => {
                format!("{begun} {}", if *ok { "done" } else { "failed" })
            }
        })
    }

    /// Walks through the events recorded so far: cheaper than
    /// [`legal_survivor`](Recording::legal_survivor) for many prefixes.
    #[must_use]
    pub fn replay(&self) -> Replay {
        Replay::new(&self.log())
    }
}

impl fmt::Debug for Recording {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Recording({} events)", self.len())
    }
}
