//! The real clock and blocking files on one thread: for tools, examples and tests.

mod alone;
mod executor;
mod files;

use std::cell::Cell;
use std::fmt;
use std::future::Future;
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use buf::Pool;

use crate::{Env, Group, Nanos, ShardId};
pub use alone::Alone;
pub use files::{StdDisk, StdFile};

/// One shard with the real clock and blocking files under one directory. File operations block
/// the thread; groups are ignored.
#[derive(Clone)]
pub struct StdEnv {
    inner: Rc<Inner>,
}

struct Inner {
    disk: StdDisk,
    pool: Pool,
    started: Instant,
    random: Cell<u64>,
    executor: executor::Executor,
}

impl StdEnv {
    /// A world on the directory `root`, which must exist, with at most `memory_bytes` of
    /// buffers.
    #[must_use]
    pub fn new(root: &Path, memory_bytes: usize) -> StdEnv {
        let seed = std::collections::hash_map::RandomState::new();
        let seed = std::hash::BuildHasher::hash_one(&seed, root);
        StdEnv {
            inner: Rc::new(Inner {
                disk: StdDisk::new(root),
                pool: Pool::new(0, memory_bytes),
                started: Instant::now(),
                random: Cell::new(seed),
                executor: executor::Executor::default(),
            }),
        }
    }

    /// Runs `main`, and every task that was spawned, until `main` is done. Tasks that are not
    /// done then go on at the next call.
    pub fn block_on<F: Future>(&self, main: F) -> F::Output {
        self.inner.executor.block_on(main)
    }
}

impl Env for StdEnv {
    type Disk = StdDisk;

    fn disk(&self) -> &StdDisk {
        &self.inner.disk
    }

    fn pool(&self) -> &Pool {
        &self.inner.pool
    }

    fn shard(&self) -> ShardId {
        ShardId(0)
    }

    fn shards(&self) -> u16 {
        1
    }

    fn now(&self) -> Nanos {
        Nanos::default().plus(self.inner.started.elapsed())
    }

    fn wall_ms(&self) -> i64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    }

    async fn sleep(&self, duration: Duration) {
        self.inner.executor.sleep_until(Instant::now() + duration).await;
    }

    async fn yield_if_needed(&self) {
        executor::yield_once().await;
    }

    fn spawn(&self, _group: Group, task: impl Future<Output = ()> + 'static) {
        self.inner.executor.spawn(task);
    }

    /// SplitMix64, seeded from the process's hash seed.
    fn random(&self) -> u64 {
        let state = self.inner.random.get().wrapping_add(0x9E37_79B9_7F4A_7C15);
        self.inner.random.set(state);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }
}

impl fmt::Debug for StdEnv {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StdEnv").field("disk", &self.inner.disk).finish_non_exhaustive()
    }
}
