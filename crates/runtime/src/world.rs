//! The world of one shard, for its tasks.

use std::cell::RefCell;
use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::panic::Location;
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use buf::Pool;
use env::{Env, Envelope, Group, Mesh, Nanos, ShardId};
use sched::Shares;

use crate::clock;
use crate::exec::{Core, Counters, YieldIfNeeded};
use crate::mail::Mail;
use crate::net::{TcpListener, TcpStream};
use crate::random::Random;
use crate::remote::Remote;
use crate::shares::GroupStats;
use crate::storage::{RingDisk, StorageCounters, StorageRing};
use crate::timer::Sleep;

/// What a shard's tasks hold of their shard: its disk, memory, clock, tasks, sockets and mail. A
/// cheap handle.
pub struct ShardEnv<M> {
    inner: Rc<Inner<M>>,
}

pub(crate) struct Inner<M> {
    pub(crate) core: Rc<Core>,
    pub(crate) ring: Rc<StorageRing>,
    pub(crate) disk: RingDisk,
    pub(crate) pool: Pool,
    pub(crate) mail: Rc<Mail<M>>,
    pub(crate) shard: ShardId,
    pub(crate) shards: u16,
    pub(crate) random: RefCell<Random>,
}

impl<M> Clone for ShardEnv<M> {
    fn clone(&self) -> ShardEnv<M> {
        ShardEnv { inner: Rc::clone(&self.inner) }
    }
}

impl<M> fmt::Debug for ShardEnv<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ShardEnv({} of {})", self.inner.shard.0, self.inner.shards)
    }
}

impl<M: Send + 'static> ShardEnv<M> {
    pub(crate) fn new(inner: Inner<M>) -> ShardEnv<M> {
        ShardEnv { inner: Rc::new(inner) }
    }

    /// Listens on `addr`, which other shards may share.
    pub fn listen(&self, addr: SocketAddr) -> io::Result<TcpListener> {
        TcpListener::bind(addr)
    }

    /// Connects to `addr`.
    pub fn connect(&self, addr: SocketAddr) -> impl Future<Output = io::Result<TcpStream>> {
        TcpStream::connect(addr)
    }

    /// Ready once a stop was asked for.
    pub async fn stopped(&self) {
        if !self.is_stopped() {
            self.inner.core.stopped.after(0).await;
        }
    }

    /// Whether a stop was asked for.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        0 < self.inner.core.stopped.seen()
    }

    /// A handle with which any thread can make this shard look at its queues.
    #[must_use]
    pub fn remote(&self) -> Remote {
        self.inner.core.handle()
    }

    /// Changes what `group` gets on this shard, from now on.
    pub fn set_shares(&self, group: Group, cpu: Shares, io: Shares) {
        self.inner.core.set_shares(group, cpu);
        self.inner.ring.set_shares(group, io);
        self.inner.core.remote().groups.note_shares(group, cpu, io);
    }

    /// The same, and holds them against controllers until
    /// [`release_shares`](ShardEnv::release_shares), as a [`SharesHandle`](crate::SharesHandle)
    /// does on all shards.
    pub fn hold_shares(&self, group: Group, cpu: Shares, io: Shares) {
        self.set_shares(group, cpu, io);
        self.inner.core.remote().groups.note_held(group, true);
    }

    /// Lets controllers change the shares of `group` again; until one does they stay.
    pub fn release_shares(&self, group: Group) {
        self.inner.core.remote().groups.note_held(group, false);
    }

    /// [`set_shares`](ShardEnv::set_shares) on behalf of a controller: nothing happens, and false is
    /// given, while the group's shares are held, here or by a [`SharesHandle`](crate::SharesHandle).
    pub fn steer_shares(&self, group: Group, cpu: Shares, io: Shares) -> bool {
        let is_free = !self.inner.core.remote().groups.is_held(group);
        if is_free {
            self.set_shares(group, cpu, io);
        }
        is_free
    }

    /// What each group has and used on this shard, in the order of [`Group::ALL`].
    #[must_use]
    pub fn group_stats(&self) -> [GroupStats; Group::ALL.len()] {
        self.inner.core.remote().groups.stats()
    }

    /// The CPU shares of `group` on this shard.
    #[must_use]
    pub fn cpu_shares(&self, group: Group) -> Shares {
        self.inner.core.shares(group)
    }

    /// Nanoseconds of CPU that `group` used on this shard.
    #[must_use]
    pub fn cpu_ns(&self, group: Group) -> u64 {
        self.inner.core.ran_ns(group)
    }

    /// What the executor of this shard did.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.inner.core.counters()
    }

    /// What the storage ring of this shard did.
    #[must_use]
    pub fn storage_counters(&self) -> StorageCounters {
        self.inner.ring.counters()
    }

    /// How often this shard told another one of a batch of messages.
    #[must_use]
    pub fn mail_notified(&self) -> u64 {
        self.inner.mail.notified()
    }
}

impl<M: Send + 'static> Env for ShardEnv<M> {
    type Disk = RingDisk;

    fn disk(&self) -> &RingDisk {
        &self.inner.disk
    }

    fn pool(&self) -> &Pool {
        &self.inner.pool
    }

    fn shard(&self) -> ShardId {
        self.inner.shard
    }

    fn shards(&self) -> u16 {
        self.inner.shards
    }

    fn now(&self) -> Nanos {
        Nanos(clock::now_ns())
    }

    fn wall_ms(&self) -> i64 {
        match SystemTime::now().duration_since(SystemTime::UNIX_EPOCH) {
            Ok(since) => i64::try_from(since.as_millis()).unwrap_or(i64::MAX),
            Err(before) => i64::try_from(before.duration().as_millis()).map_or(i64::MIN, |ms| -ms),
        }
    }

    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> {
        let until = self.now().plus(duration);
        Sleep::until(Rc::clone(&self.inner.core), until.0)
    }

    #[inline]
    fn yield_if_needed(&self) -> impl Future<Output = ()> {
        YieldIfNeeded::new(Rc::clone(&self.inner.core))
    }

    #[track_caller]
    fn spawn(&self, group: Group, task: impl Future<Output = ()> + 'static) {
        self.inner.core.spawn(group, Location::caller(), task);
    }

    fn random(&self) -> u64 {
        self.inner.random.borrow_mut().next()
    }
}

impl<M: Send + 'static> Mesh<M> for ShardEnv<M> {
    fn send(&self, to: ShardId, envelope: Envelope<M>) -> impl Future<Output = ()> {
        self.inner.mail.send(to, envelope)
    }

    fn receive(&self) -> impl Future<Output = Envelope<M>> {
        self.inner.mail.receive()
    }
}
