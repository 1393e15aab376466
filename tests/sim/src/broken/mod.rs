//! Rules of the broker broken on purpose, from outside: a world around another one that does not
//! do what it is asked. A simulation that cannot see a broken rule proves nothing when all is well.
//!
//! The code that ships is the same in every case. With [`Rule::None`] the world only passes on.

mod disk;
pub mod stale;

use std::future::Future;
use std::time::Duration;

use buf::Pool;
use env::{Env, Envelope, Group, Mesh, Nanos, ShardId};

pub use disk::{BrokenDisk, BrokenFile};

/// Which rule is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// None: everything is done as it is asked.
    None,
    /// A flush of a journal or a segment returns when it is begun, not when it is over: what
    /// waits for it is acknowledged before.
    AcknowledgedBeforeFlush,
    /// Creations, renames and removals of names are never made durable.
    NoDirectorySync,
    /// In a recycled journal file the frames of its earlier use stay valid behind those of the
    /// present one: as if neither identity nor sequence told them apart.
    StaleFrames,
}

/// The world `E` with one rule broken.
#[derive(Clone, Debug)]
pub struct BrokenEnv<E: Env> {
    inner: E,
    disk: BrokenDisk<E>,
}

impl<E: Env> BrokenEnv<E> {
    /// `inner`, in which `rule` does not hold.
    #[must_use]
    pub fn new(inner: E, rule: Rule) -> BrokenEnv<E> {
        BrokenEnv { disk: BrokenDisk::new(inner.clone(), rule), inner }
    }
}

impl<E: Env> Env for BrokenEnv<E> {
    type Disk = BrokenDisk<E>;

    fn disk(&self) -> &Self::Disk {
        &self.disk
    }

    fn pool(&self) -> &Pool {
        self.inner.pool()
    }

    fn shard(&self) -> ShardId {
        self.inner.shard()
    }

    fn shards(&self) -> u16 {
        self.inner.shards()
    }

    fn now(&self) -> Nanos {
        self.inner.now()
    }

    fn wall_ms(&self) -> i64 {
        self.inner.wall_ms()
    }

    async fn sleep(&self, duration: Duration) {
        self.inner.sleep(duration).await;
    }

    async fn yield_if_needed(&self) {
        self.inner.yield_if_needed().await;
    }

    #[track_caller]
    fn spawn(&self, group: Group, task: impl Future<Output = ()> + 'static) {
        self.inner.spawn(group, task);
    }

    fn random(&self) -> u64 {
        self.inner.random()
    }
}

impl<M: Send + 'static, E: Mesh<M>> Mesh<M> for BrokenEnv<E> {
    async fn send(&self, to: ShardId, envelope: Envelope<M>) {
        self.inner.send(to, envelope).await;
    }

    async fn receive(&self) -> Envelope<M> {
        self.inner.receive().await
    }
}
