//! Typed messages between shards.

use std::future::Future;

use crate::{Env, Group, Nanos};

/// The number of a shard, from 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShardId(pub u16);

/// A message with what the receiving shard must know to run it as the sender would have.
#[derive(Clone, Debug)]
pub struct Envelope<M> {
    /// Who sent it.
    pub from: ShardId,
    /// The group in which it is handled, on every shard it reaches.
    pub group: Group,
    /// How many calls deep it is, 0 for the first. Bounded, so that calls cannot wait in a ring.
    pub depth: u8,
    /// When its sender stops waiting. Work whose time has passed is dropped before it starts.
    pub deadline: Option<Nanos>,
    /// The request it belongs to, for explaining where time went; 0 for none.
    pub trace: u64,
    /// The message.
    pub message: M,
}

/// A world whose shards exchange messages of type `M`. Between two shards, messages of one
/// group arrive in the order in which they were sent.
pub trait Mesh<M: Send + 'static>: Env {
    /// Queues `envelope` for shard `to`; waits while the lane there is full. Waiting sends of
    /// one lane are served in order. Dropping the future before it is ready sends nothing.
    fn send(&self, to: ShardId, envelope: Envelope<M>) -> impl Future<Output = ()>;

    /// The next message for this shard; waits for one. One task of a shard receives.
    fn receive(&self) -> impl Future<Output = Envelope<M>>;
}
