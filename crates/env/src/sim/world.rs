//! A shard of a simulation as the seam sees it.

use std::fmt;
use std::future::Future;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use buf::Pool;

use super::disk::SimDisk;
use super::engine::{Engine, Sleep};
use super::mesh::Lanes;
use super::rng::Rng;
use crate::{Env, Envelope, Group, Mesh, Nanos, ShardId};

/// One shard of a [`Sim`](super::Sim), or one of its clients.
pub struct SimEnv<M> {
    pub(super) engine: Rc<Engine>,
    lanes: Rc<Lanes<M>>,
    disk: SimDisk,
    pool: Pool,
    rng: Rc<Rng>,
    shard: ShardId,
    shards: u16,
}

impl<M> Clone for SimEnv<M> {
    fn clone(&self) -> SimEnv<M> {
        SimEnv {
            engine: Rc::clone(&self.engine),
            lanes: Rc::clone(&self.lanes),
            disk: self.disk.clone(),
            pool: self.pool.clone(),
            rng: Rc::clone(&self.rng),
            shard: self.shard,
            shards: self.shards,
        }
    }
}

impl<M> SimEnv<M> {
    pub(super) fn new(
        lanes: Rc<Lanes<M>>,
        disk: SimDisk,
        memory_bytes: usize,
        shard: ShardId,
        shards: u16,
    ) -> SimEnv<M> {
        let engine = Rc::clone(&disk.engine);
        let rng = Rc::new(Rng::new(engine.seed, 1000 + u64::from(shard.0)));
        let pool = Pool::new(shard.0, memory_bytes);
        SimEnv { engine, lanes, disk, pool, rng, shard, shards }
    }
}

impl<M: 'static> Env for SimEnv<M> {
    type Disk = SimDisk;

    fn disk(&self) -> &SimDisk {
        &self.disk
    }

    fn pool(&self) -> &Pool {
        &self.pool
    }

    fn shard(&self) -> ShardId {
        self.shard
    }

    fn shards(&self) -> u16 {
        self.shards
    }

    fn now(&self) -> Nanos {
        Nanos(self.engine.now())
    }

    fn wall_ms(&self) -> i64 {
        self.engine.wall_ms()
    }

    async fn sleep(&self, duration: Duration) {
        Sleep::new(Rc::clone(&self.engine), duration).await;
    }

    /// Gives way once in four times, as if only then the slice were used up.
    async fn yield_if_needed(&self) {
        let mut yields = self.engine.rng().one_in(4);
        std::future::poll_fn(|context| {
            if !yields {
                return Poll::Ready(());
            }
            yields = false;
            context.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
    }

    #[track_caller]
    fn spawn(&self, group: Group, task: impl Future<Output = ()> + 'static) {
        self.engine.spawn(self.shard, group, task);
    }

    fn random(&self) -> u64 {
        self.rng.next()
    }
}

impl<M: Send + 'static> Mesh<M> for SimEnv<M> {
    /// # Panics
    /// If there is no shard `to`.
    async fn send(&self, to: ShardId, envelope: Envelope<M>) {
        assert!(to.0 < self.shards, "there is no shard {} among {}", to.0, self.shards);
        self.lanes.send(self.shard, to, envelope).await;
    }

    async fn receive(&self) -> Envelope<M> {
        self.lanes.receive(self.shard).await
    }
}

impl<M> fmt::Debug for SimEnv<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SimEnv(shard {} of {}, at {} ns)", self.shard.0, self.shards, self.engine.now())
    }
}
