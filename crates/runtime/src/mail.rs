//! Messages between shards: a bounded lane for each ordered pair and class.
//!
//! Owns the lanes of one shard: the sending halves to every shard, the receiving halves from
//! every shard. A message is in the lane when `send` returns; the target is told once for a
//! batch, at the end of the sender's turn, and its doorbell is rung only if it sleeps. Credits by
//! shares are not here yet: a lane's length is the bound.
//!
//! No wake is lost: sender and receiver each publish, then fence, then look at what the other
//! published (`Remote::notify`, `announce_sleep`, and `waits` of a lane).

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::task::{Context, Poll, Waker};

use env::{Envelope, ShardId};

use crate::exec::Station;
use crate::remote::{self, Remote};

/// Messages that a foreground lane holds.
pub const FOREGROUND_LANE: usize = 256;
/// Messages that a background lane holds.
pub const BACKGROUND_LANE: usize = 128;
/// Calls are at most this many deep.
pub const DEPTH_MAX: u8 = 3;
/// After this many foreground messages in a row a background message is taken if there is one.
const FOREGROUND_RUN: u32 = 32;

/// All ends of one shard's lanes, made before its thread starts.
pub(crate) struct Ends<M> {
    senders: Vec<[rtrb::Producer<Envelope<M>>; 2]>,
    receivers: Vec<[rtrb::Consumer<Envelope<M>>; 2]>,
    /// Per target and class: a sender waits for room. Shared with the target.
    waits_out: Vec<[Arc<AtomicBool>; 2]>,
    waits_in: Vec<[Arc<AtomicBool>; 2]>,
}

/// The ends for `shards` shards, by shard.
pub(crate) fn lanes<M>(shards: u16) -> Vec<Ends<M>> {
    let empty = || Ends {
        senders: Vec::new(),
        receivers: Vec::new(),
        waits_out: Vec::new(),
        waits_in: Vec::new(),
    };
    let mut ends: Vec<Ends<M>> = (0..shards).map(|_| empty()).collect();
    for from in 0..usize::from(shards) {
        for to in 0..usize::from(shards) {
            let (foreground, background) =
                (rtrb::RingBuffer::new(FOREGROUND_LANE), rtrb::RingBuffer::new(BACKGROUND_LANE));
            let waits: [Arc<AtomicBool>; 2] = Default::default();
            ends[from].senders.push([foreground.0, background.0]);
            ends[to].receivers.push([foreground.1, background.1]);
            ends[from].waits_out.push(waits.clone());
            ends[to].waits_in.push(waits);
        }
    }
    ends
}

struct Out<M> {
    lane: RefCell<rtrb::Producer<Envelope<M>>>,
    /// Senders that wait for room, in order, by their number.
    waiting: RefCell<VecDeque<(u64, Option<Waker>)>>,
    waits: Arc<AtomicBool>,
}

struct In<M> {
    lane: RefCell<rtrb::Consumer<Envelope<M>>>,
    waits: Arc<AtomicBool>,
}

/// One shard's mail.
pub(crate) struct Mail<M> {
    shard: u16,
    shards: Vec<Remote>,
    out: Vec<[Out<M>; 2]>,
    inward: Vec<[In<M>; 2]>,
    /// Targets to be told at the end of the turn.
    to_tell: Vec<Cell<bool>>,
    any_to_tell: Cell<bool>,
    receiver: RefCell<Option<Waker>>,
    /// Where the next look for a message begins.
    next_lane: Cell<usize>,
    foreground_run: Cell<u32>,
    next_sender: Cell<u64>,
    notified: Cell<u64>,
}

impl<M: Send + 'static> Mail<M> {
    pub(crate) fn new(shard: u16, shards: Vec<Remote>, ends: Ends<M>) -> Rc<Mail<M>> {
        let out = |(lanes, waits): ([rtrb::Producer<Envelope<M>>; 2], [Arc<AtomicBool>; 2])| {
            let mut waits = waits.into_iter();
            lanes.map(|lane| Out {
                lane: RefCell::new(lane),
                waiting: RefCell::default(),
                waits: waits.next().unwrap_or_default(),
            })
        };
        let inward = |(lanes, waits): ([rtrb::Consumer<Envelope<M>>; 2], [Arc<AtomicBool>; 2])| {
            let mut waits = waits.into_iter();
            lanes.map(|lane| In {
                lane: RefCell::new(lane),
                waits: waits.next().unwrap_or_default(),
            })
        };
        Rc::new(Mail {
            shard,
            to_tell: shards.iter().map(|_| Cell::new(false)).collect(),
            shards,
            out: ends.senders.into_iter().zip(ends.waits_out).map(out).collect(),
            inward: ends.receivers.into_iter().zip(ends.waits_in).map(inward).collect(),
            any_to_tell: Cell::new(false),
            receiver: RefCell::default(),
            next_lane: Cell::new(0),
            foreground_run: Cell::new(0),
            next_sender: Cell::new(0),
            notified: Cell::new(0),
        })
    }

    /// Queues `envelope` for `to`. Ready when it is in the lane, or at once and dropped if that
    /// shard has ended.
    ///
    /// # Panics
    /// If there is no such shard, or the envelope is deeper than [`DEPTH_MAX`].
    pub(crate) fn send(self: &Rc<Self>, to: ShardId, envelope: Envelope<M>) -> Sending<M> {
        assert!(usize::from(to.0) < self.out.len(), "no shard {}", to.0);
        assert!(envelope.depth <= DEPTH_MAX, "a call {} deep", envelope.depth);
        let class = usize::from(!envelope.group.is_foreground());
        let (to, mail) = (usize::from(to.0), Rc::clone(self));
        Sending { mail, to, class, envelope: Some(envelope), number: None }
    }

    /// The next message.
    pub(crate) fn receive(self: &Rc<Self>) -> Receive<M> {
        Receive { mail: Rc::clone(self) }
    }

    /// How often a target was told of a batch.
    pub(crate) fn notified(&self) -> u64 {
        self.notified.get()
    }

    fn tell(&self, shard: usize) {
        self.to_tell[shard].set(true);
        self.any_to_tell.set(true);
    }

    /// Takes a message of `class`, looking at the senders in turn.
    fn take(&self, class: usize) -> Option<Envelope<M>> {
        let lanes = self.inward.len();
        for step in 0..lanes {
            let from = (self.next_lane.get() + step) % lanes;
            let inward = &self.inward[from][class];
            let taken = inward.lane.borrow_mut().pop();
            let Ok(envelope) = taken else { continue };
            self.next_lane.set((from + 1) % lanes);
            // Pairs with the fence in `Sending::poll`: a sender that saw the lane full before this
            // message was taken has said that it waits.
            fence(Ordering::SeqCst);
            if inward.waits.load(Ordering::Relaxed) && inward.waits.swap(false, Ordering::AcqRel) {
                self.tell(from);
            }
            return Some(envelope);
        }
        None
    }

    fn next(&self) -> Option<Envelope<M>> {
        let run = self.foreground_run.get();
        if run < FOREGROUND_RUN
            && let Some(envelope) = self.take(0)
        {
            self.foreground_run.set(run + 1);
            return Some(envelope);
        }
        self.foreground_run.set(0);
        self.take(1).or_else(|| self.take(0))
    }

    fn wake_senders(&self) -> bool {
        let mut any = false;
        for out in self.out.iter().flatten() {
            let room = {
                let lane = out.lane.borrow();
                if lane.is_abandoned() { usize::MAX } else { lane.slots() }
            };
            // The first are woken; each takes its turn when it is polled.
            let wakers: Vec<Waker> = {
                let mut waiting = out.waiting.borrow_mut();
                waiting.iter_mut().take(room).filter_map(|(_, waker)| waker.take()).collect()
            };
            any |= !wakers.is_empty();
            wakers.into_iter().for_each(Waker::wake);
        }
        any
    }

    fn remote(&self) -> &remote::Inner {
        &self.shards[usize::from(self.shard)].inner
    }
}

impl<M> Drop for Mail<M> {
    /// The shard ends: who waits for room in its lanes need not wait any more.
    fn drop(&mut self) {
        self.inward.clear();
        for shard in &self.shards {
            shard.inner.mail.store(true, Ordering::Release);
            shard.inner.notify();
        }
    }
}

impl<M: Send + 'static> Station for Mail<M> {
    fn collect(&self) -> bool {
        let mail = &self.remote().mail;
        if !mail.load(Ordering::Relaxed) || !mail.swap(false, Ordering::AcqRel) {
            return false;
        }
        let mut any = self.wake_senders();
        let receiver = self.receiver.borrow_mut().take();
        if let Some(receiver) = receiver {
            receiver.wake();
            any = true;
        }
        any
    }

    fn flush(&self) {
        if !self.any_to_tell.replace(false) {
            return;
        }
        for (shard, to_tell) in self.shards.iter().zip(&self.to_tell) {
            if to_tell.replace(false) {
                self.notified.set(self.notified.get() + 1);
                shard.inner.mail.store(true, Ordering::Release);
                shard.inner.notify();
            }
        }
    }

    fn has_work(&self) -> bool {
        self.any_to_tell.get() || self.remote().mail.load(Ordering::Relaxed)
    }
}

/// The future of a send. Dropped before it is ready it sends nothing.
pub(crate) struct Sending<M: Send + 'static> {
    mail: Rc<Mail<M>>,
    to: usize,
    class: usize,
    envelope: Option<Envelope<M>>,
    /// Its place among those who wait.
    number: Option<u64>,
}

impl<M: Send + 'static> Unpin for Sending<M> {}

impl<M: Send + 'static> Sending<M> {
    fn out(&self) -> &Out<M> {
        &self.mail.out[self.to][self.class]
    }

    /// Puts the message into the lane if it is this sender's turn and there is room.
    fn try_send(&mut self) -> bool {
        let mail = Rc::clone(&self.mail);
        let out = &mail.out[self.to][self.class];
        let first = out.waiting.borrow().front().map(|(number, _)| *number);
        if first.is_some() && first != self.number {
            return false;
        }
        let Some(envelope) = self.envelope.take() else { return true };
        let mut lane = out.lane.borrow_mut();
        if lane.is_abandoned() {
            return true;
        }
        match lane.push(envelope) {
            Ok(()) => {
                self.mail.tell(self.to);
                true
            }
            Err(rtrb::PushError::Full(envelope)) => {
                self.envelope = Some(envelope);
                false
            }
        }
    }

    /// Leaves the queue of those who wait, and lets the next one try.
    fn leave(&mut self) {
        let Some(number) = self.number.take() else { return };
        let out = self.out();
        let next = {
            let mut waiting = out.waiting.borrow_mut();
            waiting.retain(|(other, _)| *other != number);
            waiting.front_mut().and_then(|(_, waker)| waker.take())
        };
        if let Some(next) = next {
            next.wake();
        }
    }

    fn wait(&mut self, waker: &Waker) {
        let out = self.out();
        let mut waiting = out.waiting.borrow_mut();
        let place = self.number.and_then(|number| waiting.iter().position(|(n, _)| *n == number));
        match place {
            Some(place) => waiting[place].1 = Some(waker.clone()),
            None => {
                let number = self.mail.next_sender.get();
                self.mail.next_sender.set(number + 1);
                waiting.push_back((number, Some(waker.clone())));
                drop(waiting);
                self.number = Some(number);
            }
        }
    }
}

impl<M: Send + 'static> Future for Sending<M> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if !self.try_send() {
            self.wait(context.waker());
            self.out().waits.store(true, Ordering::Relaxed);
            // Pairs with the fence in `Mail::take`: the receiver sees that we wait, or we see the
            // room that it made.
            fence(Ordering::SeqCst);
            if !self.try_send() {
                return Poll::Pending;
            }
        }
        self.leave();
        Poll::Ready(())
    }
}

impl<M: Send + 'static> Drop for Sending<M> {
    fn drop(&mut self) {
        self.leave();
    }
}

/// The future of a receive. Dropping it loses nothing.
pub(crate) struct Receive<M: Send + 'static> {
    mail: Rc<Mail<M>>,
}

impl<M: Send + 'static> Future for Receive<M> {
    type Output = Envelope<M>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Envelope<M>> {
        if let Some(envelope) = self.mail.next() {
            return Poll::Ready(envelope);
        }
        *self.mail.receiver.borrow_mut() = Some(context.waker().clone());
        // A message that came after the look has set the flag, or will: the loop looks at it
        // before it blocks.
        Poll::Pending
    }
}
