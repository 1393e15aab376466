//! From a directory to a broker that serves.
//!
//! Shard 0 leads: it identifies the directory, folds the metadata log, registers this start, and has every
//! shard scan the journals before any shard writes one. Then all begin. Partitions open when they are needed.

use std::rc::Rc;

use env::sync::all;
use env::{Group, IoFailure, ShardId};
use journal::checkpoint::{self, Checkpoint, LoadError};
use journal::{Journal, JournalOptions, ReplayError, RunStart};
use partition::Committer;

use crate::controller::{Controller, ControllerError, SHARD};
use crate::directory;
use crate::message::{Begin, Call, Reply};
use crate::options::Options;
use crate::shard::{Served, Shard, World};

/// The broker cannot start. Nothing was acknowledged; what is on disk can be started from again.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The data directory is not one, or belongs to another node.
    #[error(transparent)]
    Directory(#[from] directory::DirectoryError),
    /// The metadata.
    #[error(transparent)]
    Controller(#[from] ControllerError),
    /// The journals cannot be read: starting without them could lose what was acknowledged.
    #[error(transparent)]
    Replay(#[from] ReplayError),
    /// The journal cannot be opened.
    #[error(transparent)]
    Journal(#[from] journal::OpenError),
    /// The checkpoint was written by a newer version.
    #[error(transparent)]
    Checkpoint(LoadError),
    /// A file operation.
    #[error(transparent)]
    Io(#[from] IoFailure),
    /// Another shard could not begin.
    #[error("shard {shard}: {why}")]
    Shard {
        /// Which.
        shard: u16,
        /// Why.
        why: String,
    },
    /// The shard that leads went away.
    #[error("shard 0 did not start")]
    NoLeader,
}

/// Starts this shard of a broker. Called on every shard; returns when all of them serve. The
/// caller then accepts connections and hands each to [`Shard::serve`].
pub async fn start<E: World>(env: E, options: Options) -> Result<Shard<E>, StartError> {
    let shard = Shard::new(&env, options);
    env.spawn(Group::System, shard.clone().receive());
    if env.shard() == SHARD {
        shard.lead().await?;
    } else {
        shard.begun().await;
    }
    env.spawn(Group::Retention, shard.clone().keep_retention());
    env.spawn(Group::System, shard.clone().watch_writes());
    env.spawn(Group::Recovery, shard.clone().settle_recovery());
    if env.shard() == SHARD {
        env.spawn(Group::Retention, shard.clone().remove_doomed());
    }
    Ok(shard)
}

impl<E: World> Shard<E> {
    async fn lead(&self) -> Result<(), StartError> {
        let identity = directory::identify(self.env(), self.options()).await?;
        *self.inner.identity.borrow_mut() = identity.clone();
        let (clean, kafka_ends) = directory::take_marks(self.env()).await?;
        let controller = Controller::open(self.env(), self.options(), &identity, clean).await?;
        let image = controller.image();
        *self.inner.controller.borrow_mut() = Some(Rc::new(controller));
        // Every shard has read the journals before any writes one of this run.
        let run = self.scan(clean).await?;
        self.on_others(|| Call::Scan { clean }).await?;
        let begin = Begin { image, run, clean, identity, kafka_ends };
        self.begin(begin.clone()).await?;
        self.on_others(|| Call::Begin(Box::new(begin.clone()))).await?;
        Ok(())
    }

    /// Has every other shard do the same, all at once.
    async fn on_others(&self, call: impl Fn() -> Call) -> Result<(), StartError> {
        let asks = (0..self.env().shards())
            .map(ShardId)
            .filter(|shard| *shard != self.env().shard())
            .map(|shard| {
                let call = call();
                async move { (shard, self.ask(shard, Group::System, call).await) }
            })
            .collect();
        for (shard, reply) in all(asks).await {
            match reply {
                Some(Reply::Done) => {}
                Some(Reply::Failed(why)) => return Err(StartError::Shard { shard: shard.0, why }),
                _ => {
                    let why = "it does not answer".to_owned();
                    return Err(StartError::Shard { shard: shard.0, why });
                }
            }
        }
        Ok(())
    }

    /// Reads the checkpoints and the journals of all shards; says how this start is called.
    pub(crate) async fn scan(&self, clean: bool) -> Result<RunStart, StartError> {
        let checkpoint = match checkpoint::load(self.env(), Group::System).await {
            Ok(checkpoint) => checkpoint.unwrap_or_default(),
            Err(LoadError::Damaged { what }) => {
                tracing::warn!(what, "a checkpoint is damaged; every log is scanned instead");
                Checkpoint::default()
            }
            Err(error) => return Err(StartError::Checkpoint(error)),
        };
        let replay = journal::replay(self.env(), &checkpoint, Group::System).await?;
        for damage in replay.damage() {
            tracing::error!(?damage, "the journal is damaged");
        }
        let run = replay.start();
        if clean && !replay.partitions().is_empty() {
            tracing::warn!("the stop was clean, yet a journal was left; it is read all the same");
        }
        *self.inner.scanned.borrow_mut() = Some((Rc::new(replay), Rc::new(checkpoint)));
        Ok(run)
    }

    /// Begins to serve.
    pub(crate) async fn begin(&self, begin: Begin) -> Result<(), StartError> {
        let scanned = self.inner.scanned.borrow().clone();
        let (replay, points) = scanned.ok_or(StartError::NoLeader)?;
        *self.inner.identity.borrow_mut() = begin.identity.clone();
        let limits = self.options().limits;
        let options = JournalOptions {
            file_bytes: limits.journal_file_bytes,
            files_max: limits.journal_files,
            ..JournalOptions::new(begin.run)
        };
        let journal = Journal::open(self.env().clone(), options).await?;
        let here = self.env().shard();
        let mut mine = (*points).clone();
        mine.retain(|point| {
            self.owner(point.partition) == here && begin.image.partition(point.partition).is_some()
        });
        let committer = Committer::new(self.env(), journal, mine);
        self.env().spawn(Group::Produce, committer.clone().run());
        self.env().spawn(Group::Retention, committer.clone().upkeep());
        for id in self.owned(&begin.image) {
            self.inner.table.insert(id);
        }
        *self.inner.image.borrow_mut() = begin.image.clone();
        let begin = Rc::new(begin);
        *self.inner.served.borrow_mut() = Some(Served { committer, replay, points, begin });
        self.inner.published.notify();
        Ok(())
    }

    async fn begun(&self) {
        loop {
            let seen = self.inner.published.seen();
            if self.inner.served.borrow().is_some() {
                return;
            }
            self.inner.published.after(seen).await;
        }
    }

    /// Opens what the journals of earlier runs name, brings it into the segments, and says so to
    /// shard 0, which removes those journals when every shard has.
    pub(crate) async fn settle_recovery(self) {
        let all_opened = self.open_named_by_journal().await;
        if self.inner.closing.get() {
            return;
        }
        if !all_opened {
            tracing::warn!("a log could not be opened; the journals of earlier runs are kept");
            return;
        }
        if let Err(error) = self.committer().checkpoint(Group::Recovery).await {
            tracing::warn!(%error, "the journals of earlier runs are kept");
            return;
        }
        self.ask(SHARD, Group::System, Call::RecoverySettled).await;
    }

    /// On shard 0: one more shard needs nothing of earlier journals.
    pub(crate) async fn recovery_settled(&self) {
        let settled = self.inner.settled.get() + 1;
        self.inner.settled.set(settled);
        if settled < self.env().shards() {
            return;
        }
        let scanned = self.inner.scanned.borrow().clone();
        let Some((replay, _)) = scanned else { return };
        if let Err(error) = replay.old_files().retire(self.env()).await {
            tracing::warn!(%error, "the journals of earlier runs remain");
        }
    }
}
