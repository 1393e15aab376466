//! The way between the admin thread and the shards: a bounded queue to each, a reply back.
//!
//! Both halves work on any executor whose wakers may be used from other threads. A shard that is
//! idle is woken by the message; nothing polls.

use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout_at;

use crate::reading::{GroupShares, ShardReading, SharesChange};

/// Messages that wait for one shard, at most. Whoever asks beyond waits.
pub const DEPTH: usize = 16;

/// How long a shard may take to answer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(2);

/// What a shard is asked to do.
#[derive(Debug)]
pub enum Ask {
    /// Tell everything.
    Read(Reply<ShardReading>),
    /// Change the shares of a group from now on, and tell what holds then.
    SetShares {
        /// Number of the group.
        group: usize,
        /// To what; in range.
        change: SharesChange,
        /// Whether controllers must leave them alone; as it is if not said.
        hold: Option<bool>,
        /// For the answer.
        reply: Reply<GroupShares>,
    },
}

/// Where an answer goes. Dropping it says that there is none.
#[derive(Debug)]
pub struct Reply<T>(oneshot::Sender<T>);

impl<T> Reply<T> {
    /// Answers; whoever asked may have gone.
    pub fn send(self, answer: T) {
        drop(self.0.send(answer));
    }
}

/// A shard's end.
#[derive(Debug)]
pub struct Inbox {
    receiver: mpsc::Receiver<Ask>,
}

impl Inbox {
    /// The next message, `None` once the admin plane is gone. Dropping the future loses none.
    pub async fn next(&mut self) -> Option<Ask> {
        self.receiver.recv().await
    }
}

/// The admin thread's end.
#[derive(Debug)]
pub struct Mailbox {
    shards: Vec<mpsc::Sender<Ask>>,
}

/// The mailbox of `shards` shards and the end of each.
#[must_use]
pub fn mailbox(shards: u16) -> (Mailbox, Vec<Inbox>) {
    let ends = (0..shards).map(|_| mpsc::channel(DEPTH));
    let (shards, inboxes) = ends.map(|(sender, receiver)| (sender, Inbox { receiver })).unzip();
    (Mailbox { shards }, inboxes)
}

/// A shard did not answer: it is too busy, or has not begun, or has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("shard {shard} did not answer within {} ms", PATIENCE.as_millis())]
pub struct Unanswered {
    /// Which; the first if there are several.
    pub shard: usize,
}

impl Mailbox {
    /// How many shards there are.
    pub(crate) fn shards(&self) -> usize {
        self.shards.len()
    }

    /// What every shard tells, by its number.
    pub(crate) async fn read(&self) -> Result<Vec<ShardReading>, Unanswered> {
        self.ask_all(Ask::Read).await
    }

    /// Changes the shares of `group` on every shard; what holds there then.
    pub(crate) async fn set_shares(
        &self,
        group: usize,
        change: SharesChange,
        hold: Option<bool>,
    ) -> Result<Vec<GroupShares>, Unanswered> {
        self.ask_all(|reply| Ask::SetShares { group, change, hold, reply }).await
    }

    /// Asks all at once, then waits for all.
    async fn ask_all<T>(&self, ask: impl Fn(Reply<T>) -> Ask) -> Result<Vec<T>, Unanswered> {
        let until = tokio::time::Instant::now() + PATIENCE;
        let mut replies = Vec::with_capacity(self.shards.len());
        for (shard, sender) in self.shards.iter().enumerate() {
            let (reply, receiver) = oneshot::channel();
            match timeout_at(until, sender.send(ask(Reply(reply)))).await {
                Ok(Ok(())) => replies.push(receiver),
                _ => return Err(Unanswered { shard }),
            }
        }
        let mut answers = Vec::with_capacity(replies.len());
        for (shard, receiver) in replies.into_iter().enumerate() {
            match timeout_at(until, receiver).await {
                Ok(Ok(answer)) => answers.push(answer),
                _ => return Err(Unanswered { shard }),
            }
        }
        Ok(answers)
    }
}
