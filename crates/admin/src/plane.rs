//! What the services share: who the broker is, the way to the shards, and the open trials.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, MutexGuard, Notify, Semaphore, watch};
use tokio::time::Instant;

use crate::mailbox::{Mailbox, Unanswered};
use crate::reading::{GroupShares, ShardReading, SharesChange};
use crate::trial::{Trial, Trials};

/// Shares are at most this.
pub(crate) const SHARES_MAX: u32 = 10_000;

/// A reading is shared by all who ask within this time, so that many who watch cost the shards
/// what one does.
const FRESH_FOR: Duration = Duration::from_millis(50);

/// Calls that watch, at a time.
pub(crate) const WATCHES_MAX: usize = 16;

/// After a trial could not be ended, until that is tried again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// What is told of the broker.
#[derive(Clone, Debug)]
pub struct About {
    /// Version of the binary.
    pub version: &'static str,
    /// Where Kafka clients connect.
    pub kafka_address: String,
    /// Names of the scheduling groups, by their number.
    pub groups: Vec<&'static str>,
}

/// Whether Kafka clients are served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// Not every shard accepts connections yet.
    Starting,
    /// Every shard accepts connections.
    Ready,
    /// A stop was asked for.
    Stopping,
}

impl Readiness {
    /// The word for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Readiness::Starting => "starting",
            Readiness::Ready => "ready",
            Readiness::Stopping => "stopping",
        }
    }
}

/// All shards at one moment.
#[derive(Debug)]
pub(crate) struct Reading {
    pub(crate) at: Instant,
    pub(crate) shards: Vec<ShardReading>,
}

/// What holds on every shard, and how long it took until it did.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Applied {
    pub(crate) shares: GroupShares,
    pub(crate) took: Duration,
}

/// Why a steering call did nothing, or not all.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SteerError {
    #[error(transparent)]
    Unanswered(#[from] Unanswered),
    #[error("the group has no open trial")]
    NoTrial,
}

/// The state of the admin plane.
#[derive(Debug)]
pub(crate) struct Plane {
    pub(crate) about: About,
    pub(crate) started: Instant,
    pub(crate) readiness: watch::Receiver<Readiness>,
    pub(crate) watches: Arc<Semaphore>,
    mailbox: Mailbox,
    /// Held over every change, so that all shards see changes in one order.
    trials: Mutex<Trials<Instant>>,
    trials_changed: Notify,
    last: Mutex<Option<Arc<Reading>>>,
}

impl Plane {
    pub(crate) fn new(
        about: About,
        mailbox: Mailbox,
        readiness: watch::Receiver<Readiness>,
    ) -> Plane {
        Plane {
            about,
            started: Instant::now(),
            readiness,
            watches: Arc::new(Semaphore::new(WATCHES_MAX)),
            mailbox,
            trials: Mutex::default(),
            trials_changed: Notify::new(),
            last: Mutex::default(),
        }
    }

    pub(crate) fn shards(&self) -> usize {
        self.mailbox.shards()
    }

    pub(crate) fn is_ready(&self) -> Readiness {
        *self.readiness.borrow()
    }

    /// The number of a group.
    pub(crate) fn group(&self, name: &str) -> Option<usize> {
        self.about.groups.iter().position(|known| *known == name)
    }

    /// All shards, as they are now or were a moment ago.
    pub(crate) async fn read(&self) -> Result<Arc<Reading>, Unanswered> {
        let mut last = self.last.lock().await;
        if let Some(reading) = last.as_ref().filter(|last| last.at.elapsed() < FRESH_FOR) {
            return Ok(Arc::clone(reading));
        }
        let at = Instant::now();
        let reading = Arc::new(Reading { at, shards: self.mailbox.read().await? });
        *last = Some(Arc::clone(&reading));
        Ok(reading)
    }

    /// The open trials.
    pub(crate) async fn trials(&self) -> MutexGuard<'_, Trials<Instant>> {
        self.trials.lock().await
    }

    /// Changes shares and holds them; ends the trial of the group, if there is one.
    pub(crate) async fn set(
        &self,
        group: usize,
        change: SharesChange,
    ) -> Result<Applied, SteerError> {
        let since = Instant::now();
        let mut trials = self.trials.lock().await;
        trials.close(group);
        self.apply(group, (change, Some(true)), since).await
    }

    /// Lets controllers change the shares of the group again; ends its trial, if there is one.
    pub(crate) async fn release(&self, group: usize) -> Result<Applied, SteerError> {
        let since = Instant::now();
        let mut trials = self.trials.lock().await;
        trials.close(group);
        self.apply(group, (SharesChange::default(), Some(false)), since).await
    }

    /// Changes shares for a time. The trial is open before anything changes: whatever comes
    /// between, it goes back.
    pub(crate) async fn attempt(
        &self,
        group: usize,
        change: SharesChange,
        time: Duration,
    ) -> Result<(Applied, Trial<Instant>), SteerError> {
        let since = Instant::now();
        let mut trials = self.trials.lock().await;
        let before = self.apply(group, NOTHING, since).await?.shares;
        let trial = trials.open(group, before, Instant::now() + time);
        self.trials_changed.notify_one();
        let applied = self.apply(group, (change, Some(true)), since).await?;
        Ok((applied, trial))
    }

    /// Keeps what is tried.
    pub(crate) async fn confirm(&self, group: usize) -> Result<GroupShares, SteerError> {
        let mut trials = self.trials.lock().await;
        trials.get(group).ok_or(SteerError::NoTrial)?;
        let holds = self.apply(group, NOTHING, Instant::now()).await?;
        trials.close(group);
        Ok(holds.shares)
    }

    /// Goes back now.
    pub(crate) async fn cancel(&self, group: usize) -> Result<Applied, SteerError> {
        let since = Instant::now();
        let mut trials = self.trials.lock().await;
        let trial = trials.get(group).ok_or(SteerError::NoTrial)?;
        let applied = self.apply(group, to(trial.before), since).await?;
        trials.close(group);
        Ok(applied)
    }

    /// Ends trials when their time has come, for ever.
    pub(crate) async fn end_trials(&self) {
        loop {
            let next = {
                let mut trials = self.trials.lock().await;
                self.end_due(&mut trials).await
            };
            let changed = self.trials_changed.notified();
            match next {
                Some(next) => drop(tokio::time::timeout_at(next, changed).await),
                None => changed.await,
            }
        }
    }

    /// Ends what is due; when to look again.
    async fn end_due(&self, trials: &mut Trials<Instant>) -> Option<Instant> {
        while let Some((group, before)) = trials.due(Instant::now()) {
            let name = self.about.groups[group];
            if let Err(error) = self.apply(group, to(before), Instant::now()).await {
                tracing::error!(group = name, %error, "a trial could not be ended; it is tried again");
                return Some(Instant::now() + RETRY_AFTER);
            }
            trials.close(group);
            tracing::info!(group = name, cpu = before.cpu, io = before.io, "a trial ended");
        }
        trials.next()
    }

    /// Changes shares on every shard, in the order of the holders of the trials' lock.
    async fn apply(
        &self,
        group: usize,
        (change, hold): Change,
        since: Instant,
    ) -> Result<Applied, SteerError> {
        let held = self.mailbox.set_shares(group, change, hold).await?;
        let shares = *held.first().ok_or(Unanswered { shard: 0 })?;
        let took = since.elapsed();
        if (change, hold) != NOTHING {
            // Who asks from now on sees the change.
            *self.last.lock().await = None;
        }
        Ok(Applied { shares, took })
    }
}

/// What is to be changed, and whether it is held then.
type Change = (SharesChange, Option<bool>);

/// Asks only.
const NOTHING: Change = (SharesChange { cpu: None, io: None }, None);

fn to(shares: GroupShares) -> Change {
    (SharesChange { cpu: Some(shares.cpu), io: Some(shares.io) }, Some(shares.is_held))
}
