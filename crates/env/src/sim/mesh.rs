//! Lanes between simulated shards: bounded, in order, slow.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::task::{Poll, Waker};

use super::engine::{Engine, Event};
use crate::{Envelope, Group, ShardId};

/// From, to, group.
type LaneId = (ShardId, ShardId, Group);

pub(super) struct Lanes<M> {
    engine: Rc<Engine>,
    lanes: RefCell<BTreeMap<LaneId, Lane<M>>>,
    receivers: RefCell<BTreeMap<ShardId, Waker>>,
    next_ticket: Cell<u64>,
    messages_max: usize,
    latency_max: u64,
}

struct Lane<M> {
    /// With the time from which each may be received, if it is the first.
    messages: VecDeque<(u64, Envelope<M>)>,
    /// Sends that wait for room, in order.
    waiting: VecDeque<(u64, Waker)>,
}

impl<M> Lane<M> {
    fn wake_first(&self) {
        if let Some((_, waker)) = self.waiting.front() {
            waker.wake_by_ref();
        }
    }
}

/// A send's place among those that wait; given up when dropped.
struct Place<'a, M> {
    lanes: &'a Lanes<M>,
    lane: LaneId,
    ticket: u64,
}

impl<M> Drop for Place<'_, M> {
    fn drop(&mut self) {
        if let Some(lane) = self.lanes.lanes.borrow_mut().get_mut(&self.lane) {
            lane.waiting.retain(|(ticket, _)| *ticket != self.ticket);
            lane.wake_first();
        }
    }
}

impl<M: 'static> Lanes<M> {
    pub(super) fn new(engine: Rc<Engine>, messages_max: usize, latency_max: u64) -> Lanes<M> {
        Lanes {
            engine,
            lanes: RefCell::default(),
            receivers: RefCell::default(),
            next_ticket: Cell::new(0),
            messages_max,
            latency_max,
        }
    }

    pub(super) async fn send(self: &Rc<Self>, from: ShardId, to: ShardId, envelope: Envelope<M>) {
        let id = (from, to, envelope.group);
        let ticket = self.next_ticket.get();
        self.next_ticket.set(ticket + 1);
        let _place = Place { lanes: self, lane: id, ticket };
        std::future::poll_fn(|context| {
            let mut lanes = self.lanes.borrow_mut();
            let lane = lanes
                .entry(id)
                .or_insert_with(|| Lane { messages: VecDeque::new(), waiting: VecDeque::new() });
            let first = lane.waiting.front().is_none_or(|(first, _)| *first == ticket);
            if first && lane.messages.len() < self.messages_max {
                return Poll::Ready(());
            }
            match lane.waiting.iter_mut().find(|(waiting, _)| *waiting == ticket) {
                Some((_, waker)) => waker.clone_from(context.waker()),
                None => lane.waiting.push_back((ticket, context.waker().clone())),
            }
            Poll::Pending
        })
        .await;
        self.put(id, envelope);
    }

    /// The lane has room.
    fn put(self: &Rc<Self>, id: LaneId, envelope: Envelope<M>) {
        let detail = (u64::from(id.0.0) << 32) | (u64::from(id.1.0) << 16) | id.2 as u64;
        self.engine.trace(200, detail);
        let mut lanes = self.lanes.borrow_mut();
        let lane = lanes.get_mut(&id).expect("the send made it");
        let after = self.engine.latency(self.latency_max);
        lane.messages.push_back((self.engine.now() + after, envelope));
        drop(lanes);
        let lanes = Rc::clone(self);
        let arrive = move || lanes.wake_receiver(id.1);
        self.engine.after(after, Event::Run(Box::new(arrive)));
    }

    fn wake_receiver(&self, shard: ShardId) {
        let waker = self.receivers.borrow_mut().remove(&shard);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    pub(super) async fn receive(&self, shard: ShardId) -> Envelope<M> {
        std::future::poll_fn(|context| match self.take(shard) {
            Some(envelope) => Poll::Ready(envelope),
            None => {
                self.receivers.borrow_mut().insert(shard, context.waker().clone());
                Poll::Pending
            }
        })
        .await
    }

    /// A message that has arrived, from one of the lanes that have any.
    fn take(&self, shard: ShardId) -> Option<Envelope<M>> {
        let mut lanes = self.lanes.borrow_mut();
        let now = self.engine.now();
        let arrived = |lane: &Lane<M>| lane.messages.front().is_some_and(|(at, _)| *at <= now);
        let full: Vec<LaneId> = lanes
            .iter()
            .filter(|(id, lane)| id.1 == shard && arrived(lane))
            .map(|(id, _)| *id)
            .collect();
        if full.is_empty() {
            return None;
        }
        let lane = lanes.get_mut(&full[self.engine.rng().index(full.len())])?;
        let (_, envelope) = lane.messages.pop_front()?;
        lane.wake_first();
        drop(lanes);
        self.engine.trace(201, u64::from(shard.0));
        Some(envelope)
    }
}

impl<M> Lanes<M> {
    /// Drops every message.
    pub(super) fn clear(&self) {
        let lanes = std::mem::take(&mut *self.lanes.borrow_mut());
        drop(lanes);
    }
}
