//! A world whose disk records.

use std::future::Future;
use std::time::Duration;

use buf::Pool;

use super::{Recording, RecordingDisk};
use crate::{Env, Envelope, Group, Mesh, Nanos, ShardId};

/// `E` with its disk recorded.
#[derive(Clone, Debug)]
pub struct RecordingEnv<E: Env> {
    inner: E,
    disk: RecordingDisk<E::Disk>,
}

impl<E: Env> RecordingEnv<E> {
    /// Records what is done to the disk of `inner` through this handle and its clones.
    #[must_use]
    pub fn new(inner: E, recording: &Recording) -> RecordingEnv<E> {
        let disk = RecordingDisk::new(inner.disk().clone(), recording);
        RecordingEnv { inner, disk }
    }
}

impl<E: Env> Env for RecordingEnv<E> {
    type Disk = RecordingDisk<E::Disk>;

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

impl<M: Send + 'static, E: Mesh<M>> Mesh<M> for RecordingEnv<E> {
    async fn send(&self, to: ShardId, envelope: Envelope<M>) {
        self.inner.send(to, envelope).await;
    }

    async fn receive(&self) -> Envelope<M> {
        self.inner.receive().await
    }
}
