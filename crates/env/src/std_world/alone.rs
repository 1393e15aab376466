//! The only shard of a process: the std world with a lane of messages to itself.
//!
//! For tools that run the broker library on a directory without a server. It knows no other shard.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::rc::Rc;
use std::time::Duration;

use buf::Pool;

use super::{StdDisk, StdEnv};
use crate::sync::Signal;
use crate::{Env, Envelope, Gate, Group, Mesh, Nanos, ShardId};

/// Messages that may wait in the lane.
const LANE_MESSAGES: usize = 1024;

/// [`StdEnv`] as the only shard of a mesh: what it sends comes back to it. A cheap handle.
pub struct Alone<M> {
    env: StdEnv,
    lane: Rc<Lane<M>>,
}

struct Lane<M> {
    waiting: RefCell<VecDeque<Envelope<M>>>,
    /// Senders go through one after the other, so that their order is that of the messages.
    senders: Gate,
    /// Notified when a message came or went.
    moved: Signal,
}

impl<M> Alone<M> {
    /// `env` as the only shard.
    #[must_use]
    pub fn new(env: StdEnv) -> Alone<M> {
        let waiting = RefCell::new(VecDeque::new());
        Alone {
            env,
            lane: Rc::new(Lane { waiting, senders: Gate::default(), moved: Signal::new() }),
        }
    }

    /// Runs `main`, and every task that was spawned, until `main` is done. Tasks that are not
    /// done then go on at the next call.
    pub fn block_on<F: Future>(&self, main: F) -> F::Output {
        self.env.block_on(main)
    }
}

impl<M> Clone for Alone<M> {
    fn clone(&self) -> Alone<M> {
        Alone { env: self.env.clone(), lane: Rc::clone(&self.lane) }
    }
}

impl<M: 'static> Env for Alone<M> {
    type Disk = StdDisk;

    fn disk(&self) -> &StdDisk {
        self.env.disk()
    }

    fn pool(&self) -> &Pool {
        self.env.pool()
    }

    fn shard(&self) -> ShardId {
        self.env.shard()
    }

    fn shards(&self) -> u16 {
        self.env.shards()
    }

    fn now(&self) -> Nanos {
        self.env.now()
    }

    fn wall_ms(&self) -> i64 {
        self.env.wall_ms()
    }

    async fn sleep(&self, duration: Duration) {
        self.env.sleep(duration).await;
    }

    async fn yield_if_needed(&self) {
        self.env.yield_if_needed().await;
    }

    fn spawn(&self, group: Group, task: impl Future<Output = ()> + 'static) {
        self.env.spawn(group, task);
    }

    fn random(&self) -> u64 {
        self.env.random()
    }
}

impl<M: Send + 'static> Mesh<M> for Alone<M> {
    /// # Panics
    /// If `to` is not this shard: there is no other.
    async fn send(&self, to: ShardId, envelope: Envelope<M>) {
        assert_eq!(to, self.shard(), "there is one shard");
        let _turn = self.lane.senders.enter().await;
        loop {
            let seen = self.lane.moved.seen();
            if self.lane.waiting.borrow().len() < LANE_MESSAGES {
                break;
            }
            self.lane.moved.after(seen).await;
        }
        self.lane.waiting.borrow_mut().push_back(envelope);
        self.lane.moved.notify();
    }

    async fn receive(&self) -> Envelope<M> {
        loop {
            let seen = self.lane.moved.seen();
            let next = self.lane.waiting.borrow_mut().pop_front();
            if let Some(envelope) = next {
                self.lane.moved.notify();
                return envelope;
            }
            self.lane.moved.after(seen).await;
        }
    }
}

impl<M> fmt::Debug for Alone<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Alone")
            .field("env", &self.env)
            .field("waiting", &self.lane.waiting.borrow().len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn envelope(message: usize) -> Envelope<usize> {
        let (from, group, depth, deadline, trace) = (ShardId(0), Group::System, 0, None, 0);
        Envelope { from, group, depth, deadline, trace, message }
    }

    #[test]
    fn a_full_lane_makes_the_sender_wait_and_keeps_the_order() {
        let dir = tempfile::tempdir().unwrap();
        let world: Alone<usize> = Alone::new(StdEnv::new(dir.path(), 1 << 20));
        let sender = world.clone();
        world.spawn(Group::System, async move {
            for n in 0..3 * LANE_MESSAGES {
                sender.send(ShardId(0), envelope(n)).await;
            }
        });
        world.block_on(async {
            world.sleep(Duration::from_millis(1)).await;
            assert_eq!(world.lane.waiting.borrow().len(), LANE_MESSAGES);
            for n in 0..3 * LANE_MESSAGES {
                assert_eq!(world.receive().await.message, n);
            }
        });
    }
}
