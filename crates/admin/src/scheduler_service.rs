//! The service `evenkeel.admin.v1.Scheduler`.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use crate::mailbox::Unanswered;
use crate::plane::{Applied, Plane, Reading, SHARES_MAX, SteerError};
use crate::proto::v1;
use crate::reading::{GroupReading, GroupShares, SharesChange};
use crate::trial::{TRIAL_MAX, Trial, Trials};

/// Between two answers of a watch, in milliseconds.
const INTERVAL_MS: std::ops::RangeInclusive<u32> = 100..=60_000;
const INTERVAL_MS_DEFAULT: u32 = 1_000;

pub(crate) struct SchedulerService {
    plane: Arc<Plane>,
}

impl SchedulerService {
    pub(crate) fn new(plane: Arc<Plane>) -> SchedulerService {
        SchedulerService { plane }
    }

    fn group(&self, name: &str) -> Result<usize, Status> {
        self.plane.group(name).ok_or_else(|| {
            let known = self.plane.about.groups.join(", ");
            Status::invalid_argument(format!("there is no group {name:?}; the groups are {known}"))
        })
    }

    /// Does it whether or not the client stays: what is begun is done on every shard.
    async fn whole<T, F>(&self, act: impl FnOnce(Arc<Plane>) -> F) -> Result<T, Status>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, SteerError>> + Send + 'static,
    {
        let done = tokio::spawn(act(Arc::clone(&self.plane))).await;
        done.map_err(|error| Status::internal(error.to_string()))?.map_err(refused)
    }
}

#[tonic::async_trait]
impl v1::scheduler_server::Scheduler for SchedulerService {
    async fn list_groups(
        &self,
        _request: Request<v1::ListGroupsRequest>,
    ) -> Result<Response<v1::ListGroupsResponse>, Status> {
        list(&self.plane).await.map(Response::new)
    }

    type WatchGroupsStream =
        Pin<Box<dyn Stream<Item = Result<v1::ListGroupsResponse, Status>> + Send>>;

    async fn watch_groups(
        &self,
        request: Request<v1::WatchGroupsRequest>,
    ) -> Result<Response<Self::WatchGroupsStream>, Status> {
        let asked = request.into_inner().interval_ms;
        let interval_ms = if asked == 0 { INTERVAL_MS_DEFAULT } else { asked };
        if !INTERVAL_MS.contains(&interval_ms) {
            let why = format!("interval_ms is {asked}; {INTERVAL_MS:?} are possible");
            return Err(Status::invalid_argument(why));
        }
        let watching = Arc::clone(&self.plane.watches)
            .try_acquire_owned()
            .map_err(|_| Status::resource_exhausted("too many calls watch already"))?;
        let plane = Arc::clone(&self.plane);
        // One answer waits at most: who reads slowly gets fewer.
        let (sender, receiver) = mpsc::channel(1);
        tokio::spawn(async move {
            let _watching = watching;
            let mut tick = tokio::time::interval(Duration::from_millis(interval_ms.into()));
            tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                tokio::select! {
                    _ = tick.tick() => {}
                    () = sender.closed() => return,
                }
                let listed = list(&plane).await;
                let failed = listed.is_err();
                if sender.send(listed).await.is_err() || failed {
                    return;
                }
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(receiver))))
    }

    async fn set_shares(
        &self,
        request: Request<v1::SetSharesRequest>,
    ) -> Result<Response<v1::SetSharesResponse>, Status> {
        let request = request.into_inner();
        let group = self.group(&request.group)?;
        let change = change(request.cpu_shares, request.io_shares)?;
        let Applied { shares, took } =
            self.whole(move |plane| async move { plane.set(group, change).await }).await?;
        tracing::info!(group = request.group, cpu = shares.cpu, io = shares.io, "shares were set");
        Ok(Response::new(v1::SetSharesResponse {
            shares: Some(self::shares(shares)),
            took_us: micros(took),
        }))
    }

    async fn release_shares(
        &self,
        request: Request<v1::ReleaseSharesRequest>,
    ) -> Result<Response<v1::ReleaseSharesResponse>, Status> {
        let request = request.into_inner();
        let group = self.group(&request.group)?;
        let Applied { shares, took } =
            self.whole(move |plane| async move { plane.release(group).await }).await?;
        tracing::info!(group = request.group, "shares were released");
        Ok(Response::new(v1::ReleaseSharesResponse {
            shares: Some(self::shares(shares)),
            took_us: micros(took),
        }))
    }

    async fn try_shares(
        &self,
        request: Request<v1::TrySharesRequest>,
    ) -> Result<Response<v1::TrySharesResponse>, Status> {
        let request = request.into_inner();
        let group = self.group(&request.group)?;
        let change = change(request.cpu_shares, request.io_shares)?;
        let time = Duration::from_secs(request.seconds.into());
        if time.is_zero() || TRIAL_MAX < time {
            let why = format!(
                "seconds is {}; 1 to {} are possible",
                request.seconds,
                TRIAL_MAX.as_secs()
            );
            return Err(Status::invalid_argument(why));
        }
        let (Applied { shares, took }, trial) = self
            .whole(move |plane| async move { plane.attempt(group, change, time).await })
            .await?;
        tracing::info!(
            group = request.group,
            cpu = shares.cpu,
            io = shares.io,
            seconds = request.seconds,
            "a trial began"
        );
        Ok(Response::new(v1::TrySharesResponse {
            shares: Some(self::shares(shares)),
            took_us: micros(took),
            trial: Some(told(trial)),
        }))
    }

    async fn confirm_trial(
        &self,
        request: Request<v1::ConfirmTrialRequest>,
    ) -> Result<Response<v1::ConfirmTrialResponse>, Status> {
        let group = self.group(&request.into_inner().group)?;
        let shares = self.whole(move |plane| async move { plane.confirm(group).await }).await?;
        Ok(Response::new(v1::ConfirmTrialResponse { shares: Some(self::shares(shares)) }))
    }

    async fn cancel_trial(
        &self,
        request: Request<v1::CancelTrialRequest>,
    ) -> Result<Response<v1::CancelTrialResponse>, Status> {
        let group = self.group(&request.into_inner().group)?;
        let Applied { shares, took } =
            self.whole(move |plane| async move { plane.cancel(group).await }).await?;
        Ok(Response::new(v1::CancelTrialResponse {
            shares: Some(self::shares(shares)),
            took_us: micros(took),
        }))
    }
}

async fn list(plane: &Plane) -> Result<v1::ListGroupsResponse, Status> {
    // The trials last: what is told of them is never older than the shares.
    let reading = plane.read().await.map_err(unanswered)?;
    let trials = plane.trials().await;
    Ok(listed(plane, &reading, &trials))
}

fn listed(plane: &Plane, reading: &Reading, trials: &Trials<Instant>) -> v1::ListGroupsResponse {
    let groups = plane.about.groups.iter().enumerate().map(|(number, name)| v1::Group {
        name: (*name).to_owned(),
        shards: reading
            .shards
            .iter()
            .map(|shard| on_shard(shard.groups.get(number).copied().unwrap_or_default()))
            .collect(),
        trial: trials.get(number).map(told),
    });
    let at = reading.at.duration_since(plane.started);
    v1::ListGroupsResponse {
        at_ns: u64::try_from(at.as_nanos()).unwrap_or(u64::MAX),
        groups: groups.collect(),
    }
}

fn on_shard(group: GroupReading) -> v1::GroupOnShard {
    v1::GroupOnShard {
        shares: Some(shares(group.shares)),
        cpu_used_ns: group.cpu_used_ns,
        cpu_waited_ns: group.cpu_waited_ns,
        io_requests: group.io_requests,
        io_read_bytes: group.io_read_bytes,
        io_written_bytes: group.io_written_bytes,
        io_used_ns: group.io_used_ns,
        io_waited_ns: group.io_waited_ns,
    }
}

fn shares(held: GroupShares) -> v1::Shares {
    v1::Shares { cpu: held.cpu, io: held.io, is_held: held.is_held }
}

fn told(trial: Trial<Instant>) -> v1::Trial {
    let left = trial.until.saturating_duration_since(Instant::now());
    v1::Trial {
        left_ms: u64::try_from(left.as_millis()).unwrap_or(u64::MAX),
        before: Some(shares(trial.before)),
    }
}

fn change(cpu: Option<u32>, io: Option<u32>) -> Result<SharesChange, Status> {
    for (name, shares) in [("cpu_shares", cpu), ("io_shares", io)] {
        if shares.is_some_and(|shares| shares == 0 || SHARES_MAX < shares) {
            let why = format!("{name} is {}; 1 to {SHARES_MAX} are possible", shares.unwrap_or(0));
            return Err(Status::invalid_argument(why));
        }
    }
    if cpu.is_none() && io.is_none() {
        return Err(Status::invalid_argument("neither cpu_shares nor io_shares is set"));
    }
    Ok(SharesChange { cpu, io })
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

fn refused(error: SteerError) -> Status {
    match error {
        SteerError::Unanswered(error) => unanswered(error),
        SteerError::NoTrial => Status::not_found(error.to_string()),
    }
}

fn unanswered(error: Unanswered) -> Status {
    Status::unavailable(error.to_string())
}
