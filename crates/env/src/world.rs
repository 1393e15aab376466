//! The world as one value that every task of a shard can hold.

use std::future::Future;
use std::time::Duration;

use buf::Pool;

use crate::{Disk, Group, ShardId};

/// Monotonic time in nanoseconds from an arbitrary start; the same clock on every shard of a
/// process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Nanos(pub u64);

impl Nanos {
    /// The instant `after` later; saturates.
    #[must_use]
    pub fn plus(self, after: Duration) -> Nanos {
        Nanos(self.0.saturating_add(u64::try_from(after.as_nanos()).unwrap_or(u64::MAX)))
    }

    /// How long ago `earlier` was; zero if it is later.
    #[must_use]
    pub fn since(self, earlier: Nanos) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

/// What a log, a partition and the broker need of the world they run in. A cheap handle; every
/// task holds a clone. Everything stays on one shard: nothing here is `Send`.
pub trait Env: Clone + 'static {
    /// The data directory.
    type Disk: Disk;

    /// The data directory.
    fn disk(&self) -> &Self::Disk;

    /// The memory of this shard.
    fn pool(&self) -> &Pool;

    /// Which shard this is.
    fn shard(&self) -> ShardId;

    /// How many shards there are, at least one.
    fn shards(&self) -> u16;

    /// Monotonic time.
    fn now(&self) -> Nanos;

    /// Milliseconds since 1970 in UTC, which may jump.
    fn wall_ms(&self) -> i64;

    /// Waits for `duration`, not less.
    fn sleep(&self, duration: Duration) -> impl Future<Output = ()>;

    /// Gives way to other tasks if this one has had its slice. Long work calls it at least every
    /// 50 microseconds; it costs about a nanosecond when there is no need.
    fn yield_if_needed(&self) -> impl Future<Output = ()>;

    /// Runs `task` in `group` until it ends. A panic in a task ends the process.
    fn spawn(&self, group: Group, task: impl Future<Output = ()> + 'static);

    /// 64 random bits: unpredictable on a real shard, from the seed in a simulation.
    fn random(&self) -> u64;
}
