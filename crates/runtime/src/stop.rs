//! Asking all shards to end, from any thread.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::Remote;

/// Asks shards to stop. Clones are the same. A signal handler's thread calls
/// [`stop`](Stopper::stop); the tasks of the shards see it as
/// [`ShardEnv::stopped`](crate::ShardEnv::stopped).
#[derive(Clone, Debug, Default)]
pub struct Stopper {
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    is_stopped: AtomicBool,
    shards: Mutex<Vec<Remote>>,
}

impl Stopper {
    /// Nobody was asked yet.
    #[must_use]
    pub fn new() -> Stopper {
        Stopper::default()
    }

    /// Asks every shard to stop, also those that start later. Again is harmless.
    pub fn stop(&self) {
        let shards = self.inner.shards.lock().unwrap_or_else(PoisonError::into_inner);
        self.inner.is_stopped.store(true, Ordering::Release);
        for shard in shards.iter() {
            shard.inner.stop.store(true, Ordering::Release);
            shard.notify();
        }
    }

    /// Whether a stop was asked for.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.inner.is_stopped.load(Ordering::Acquire)
    }

    pub(crate) fn add(&self, remotes: &[Remote]) {
        let mut shards = self.inner.shards.lock().unwrap_or_else(PoisonError::into_inner);
        shards.extend_from_slice(remotes);
        if self.is_stopped() {
            for shard in remotes {
                shard.inner.stop.store(true, Ordering::Release);
            }
        }
    }
}
