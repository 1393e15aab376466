//! Calls to other shards that wait for their replies.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use env::sync::{Receiver, Sender, oneshot};
use env::{Env, Envelope, Group, Mesh, ShardId};

use crate::message::{Call, CallId, Reply, ShardMessage};

/// The calls of one shard. Bounded by the requests in flight, which are bounded by the
/// connections and what each may have in flight.
#[derive(Debug, Default)]
pub(crate) struct Calls {
    next: Cell<CallId>,
    waiting: RefCell<BTreeMap<CallId, Sender<Reply>>>,
}

impl Calls {
    /// Sends `call` and gives the future of its reply. Calls to one shard in one group arrive in
    /// the order in which the futures of this function complete.
    pub(crate) async fn send<E: Mesh<ShardMessage>>(
        &self,
        env: &E,
        to: ShardId,
        group: Group,
        call: Call,
    ) -> Pending {
        let id = self.next.get();
        self.next.set(id + 1);
        let (sender, receiver) = oneshot();
        self.waiting.borrow_mut().insert(id, sender);
        env.send(to, envelope(env, group, ShardMessage::Call(id, call))).await;
        Pending { id, receiver }
    }

    /// Hands a reply to whoever waits; nobody may.
    pub(crate) fn replied(&self, id: CallId, reply: Reply) {
        let sender = self.waiting.borrow_mut().remove(&id);
        if let Some(sender) = sender {
            sender.send(reply);
        }
    }

    /// Forgets a call that nobody waits for.
    pub(crate) fn forget(&self, id: CallId) {
        self.waiting.borrow_mut().remove(&id);
    }
}

/// A call that was sent.
#[derive(Debug)]
pub(crate) struct Pending {
    pub(crate) id: CallId,
    pub(crate) receiver: Receiver<Reply>,
}

/// `message` as this shard sends it.
pub(crate) fn envelope<E: Env>(
    env: &E,
    group: Group,
    message: ShardMessage,
) -> Envelope<ShardMessage> {
    Envelope { from: env.shard(), group, depth: 0, deadline: None, trace: 0, message }
}
