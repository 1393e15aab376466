//! One shard of the broker: what it owns, and what it does when another shard asks.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;

use env::sync::Signal;
use env::{Envelope, Group, Mesh, ShardId};
use journal::Replay;
use journal::checkpoint::Checkpoint;
use metadata::Image;
use metadata::configs::{Node, TopicConfig};
use partition::Committer;
use record::{TopicId, TopicPartition};

use crate::admission::Admission;
use crate::calls::{Calls, envelope};
use crate::charge::ChargeLines;
use crate::controller::Controller;
use crate::fetch_session::Sessions;
use crate::message::{Call, CallId, Reply, ShardMessage, owner};
use crate::options::Options;
use crate::outgoing::Outgoing;
use crate::table::Table;
use crate::tally::Tally;

/// The world of a broker's shard.
pub trait World: Mesh<ShardMessage> {}

impl<E: Mesh<ShardMessage>> World for E {}

/// A cheap handle to one shard; clones are the same shard. It stays on its thread.
pub struct Shard<E: World> {
    pub(crate) inner: Rc<Inner<E>>,
}

pub(crate) struct Inner<E: World> {
    pub(crate) env: E,
    pub(crate) options: Options,
    pub(crate) identity: RefCell<Identity>,
    /// This node with the settings it was started with.
    pub(crate) node: RefCell<Node>,
    pub(crate) image: RefCell<Image>,
    /// The configurations of topics that were produced to since the image last changed.
    pub(crate) topic_configs: RefCell<BTreeMap<TopicId, TopicConfig>>,
    pub(crate) table: Table<E>,
    pub(crate) calls: Calls,
    pub(crate) tally: Tally,
    pub(crate) admission: Rc<Admission>,
    pub(crate) outgoing: Rc<Outgoing>,
    /// Somebody waited for memory since the last look at what is written.
    pub(crate) was_short: Cell<bool>,
    /// The lines of those that wait for [`Shard::charge`].
    pub(crate) charging: ChargeLines,
    pub(crate) sessions: RefCell<Sessions>,
    /// Set when the shard begins.
    pub(crate) served: RefCell<Option<Served<E>>>,
    /// On shard 0 only.
    pub(crate) controller: RefCell<Option<Rc<Controller<E>>>>,
    /// What the start found in journals and checkpoints.
    pub(crate) scanned: RefCell<Option<Scanned<E>>>,
    /// Shards that need nothing of earlier journals any more; counted on shard 0.
    pub(crate) settled: Cell<u16>,
    /// Producer ids that this shard may hand out: `[first, second)`.
    pub(crate) producer_ids: Cell<(i64, i64)>,
    /// Fetches of other shards that wait here, so that they can be cancelled.
    pub(crate) cancelled: RefCell<std::collections::BTreeSet<(ShardId, CallId)>>,
    pub(crate) cancel_seen: Signal,
    /// Notified when a new image was taken in.
    pub(crate) published: Signal,
    pub(crate) closing: Cell<bool>,
    pub(crate) closed: Cell<bool>,
}

/// Who this broker is, from `meta.properties`.
#[derive(Clone, Debug, Default)]
pub struct Identity {
    /// The id of the cluster.
    pub cluster_id: String,
    /// The id of this node.
    pub node_id: i32,
    /// The id of the data directory.
    pub directory_id: metadata::Uuid,
}

/// Journals and checkpoints as the start found them.
pub(crate) type Scanned<E> = (Rc<Replay<E>>, Rc<Checkpoint>);

/// What a shard has once it began.
pub(crate) struct Served<E: World> {
    pub(crate) committer: Committer<E>,
    pub(crate) replay: Rc<Replay<E>>,
    pub(crate) points: Rc<Checkpoint>,
    pub(crate) begin: Rc<crate::message::Begin>,
}

impl<E: World> Clone for Shard<E> {
    fn clone(&self) -> Shard<E> {
        Shard { inner: Rc::clone(&self.inner) }
    }
}

impl<E: World> Shard<E> {
    pub(crate) fn new(env: &E, options: Options) -> Shard<E> {
        let node = Node { id: options.node_id, configs: options.configs.clone() };
        Shard {
            inner: Rc::new(Inner {
                env: env.clone(),
                options,
                identity: RefCell::default(),
                node: RefCell::new(node),
                image: RefCell::new(Image::default()),
                topic_configs: RefCell::default(),
                table: Table::new(),
                calls: Calls::default(),
                tally: Tally::default(),
                outgoing: Rc::default(),
                was_short: Cell::new(false),
                charging: ChargeLines::default(),
                admission: Rc::new(Admission::new(env.pool().limit(), {
                    let env = env.clone();
                    move || env.now()
                })),
                sessions: RefCell::default(),
                served: RefCell::new(None),
                controller: RefCell::new(None),
                scanned: RefCell::new(None),
                settled: Cell::new(0),
                producer_ids: Cell::new((0, 0)),
                cancelled: RefCell::default(),
                cancel_seen: Signal::new(),
                published: Signal::new(),
                closing: Cell::new(false),
                closed: Cell::new(false),
            }),
        }
    }

    pub(crate) fn env(&self) -> &E {
        &self.inner.env
    }

    /// The metadata as this shard knows it.
    #[must_use]
    pub fn image(&self) -> Image {
        self.inner.image.borrow().clone()
    }

    /// How the broker was started.
    #[must_use]
    pub fn options(&self) -> &Options {
        &self.inner.options
    }

    pub(crate) fn committer(&self) -> Committer<E> {
        let served = self.inner.served.borrow();
        served.as_ref().expect("requests are served after the shard began").committer.clone()
    }

    /// The shard that owns a partition.
    pub(crate) fn owner(&self, id: TopicPartition) -> ShardId {
        owner(id, self.env().shards())
    }

    /// Receives what other shards say, for ever. What must keep its order is done before the
    /// next message is taken; the rest runs in tasks of the sender's group. A call whose time has
    /// passed is refused before any work is done for it.
    pub(crate) async fn receive(self) {
        loop {
            let envelope = self.env().receive().await;
            self.take(envelope);
        }
    }

    fn take(&self, envelope: Envelope<ShardMessage>) {
        let Envelope { from, group, deadline, message, .. } = envelope;
        let is_late = deadline.is_some_and(|deadline| deadline <= self.env().now());
        match message {
            ShardMessage::Call(id, _) if is_late => {
                let shard = self.clone();
                self.env().spawn(group, async move {
                    // For a sender that waits longer than it said.
                    let reply = Reply::Failed("its time had passed".to_owned());
                    shard.reply(from, group, id, reply).await;
                });
            }
            ShardMessage::Reply(id, reply) => self.inner.calls.replied(id, reply),
            ShardMessage::Cancel(id) => {
                self.inner.cancelled.borrow_mut().insert((from, id));
                self.inner.cancel_seen.notify();
            }
            ShardMessage::Call(id, Call::Produce(call)) => {
                // Stage 1 happens in this call, so in the order of arrival.
                let stage_two = self.append(call);
                let shard = self.clone();
                self.env().spawn(group, async move {
                    let reply = Reply::Produced(stage_two.await);
                    shard.reply(from, group, id, reply).await;
                });
            }
            ShardMessage::Call(id, call) => {
                let shard = self.clone();
                self.env().spawn(group, async move {
                    let reply = shard.answer(from, id, call, group).await;
                    shard.reply(from, group, id, reply).await;
                });
            }
        }
    }

    async fn reply(&self, to: ShardId, group: Group, id: CallId, reply: Reply) {
        let message = ShardMessage::Reply(id, reply);
        self.env().send(to, envelope(self.env(), group, message)).await;
    }

    /// Does what `call` asks, on this shard.
    async fn answer(&self, from: ShardId, id: CallId, call: Call, group: Group) -> Reply {
        match call {
            Call::Produce(call) => Reply::Produced(self.append(call).await),
            Call::Fetch(call) => {
                let fetched = self.fetch_here(call, group, Some((from, id))).await;
                self.inner.cancelled.borrow_mut().remove(&(from, id));
                Reply::Fetched(fetched)
            }
            Call::ListOffsets(queries) => Reply::Offsets(self.find_offsets(queries).await),
            Call::EpochEnds(queries) => Reply::EpochEnds(self.epoch_ends(queries).await),
            Call::DeleteRecords(parts) => Reply::Deleted(self.delete_records_here(parts).await),
            Call::LogSizes(ids) => Reply::Sizes(self.log_sizes(&ids).await),
            Call::Control { body, version } => {
                Reply::Control(Box::new(self.control_here(*body, version).await))
            }
            Call::AutoCreate(names) => {
                self.auto_create_here(names).await;
                Reply::AutoCreated
            }
            Call::ProducerIds => Reply::ProducerIds(self.allocate_producer_ids().await),
            Call::Publish(image) => {
                self.publish(image).await;
                Reply::Done
            }
            Call::Begin(begin) => match self.begin(*begin).await {
                Ok(()) => Reply::Done,
                Err(error) => Reply::Failed(error.to_string()),
            },
            Call::Scan { clean } => match self.scan(clean).await {
                Ok(_) => Reply::Done,
                Err(error) => Reply::Failed(error.to_string()),
            },
            Call::RecoverySettled => {
                self.recovery_settled().await;
                Reply::Done
            }
            Call::Close => match self.close().await {
                Ok(ends) => Reply::Closed(ends),
                Err(why) => Reply::Failed(why),
            },
        }
    }

    /// Asks shard `to`, which may be this one, and waits for the reply. `None` if it was dropped.
    pub(crate) async fn ask(&self, to: ShardId, group: Group, call: Call) -> Option<Reply> {
        if to == self.env().shard() {
            return Some(Box::pin(self.answer(to, CallId::MAX, call, group)).await);
        }
        let pending = self.inner.calls.send(self.env(), to, group, call).await;
        pending.receiver.await
    }

    /// Says that the reply to a call is not wanted any more.
    pub(crate) async fn cancel(&self, to: ShardId, group: Group, id: CallId) {
        self.inner.calls.forget(id);
        self.env().send(to, envelope(self.env(), group, ShardMessage::Cancel(id))).await;
    }
}

impl<E: World> fmt::Debug for Shard<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shard")
            .field("shard", &self.env().shard())
            .field("table", &self.inner.table)
            .finish_non_exhaustive()
    }
}
