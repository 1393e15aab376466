//! A client for one thread that waits: what the command line and the tests use.

use std::ops::ControlFlow;
use std::time::Duration;

use tokio::runtime::Runtime;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};

use crate::plane::Readiness;
use crate::proto::v1;
use crate::proto::v1::broker_client::BrokerClient;
use crate::proto::v1::scheduler_client::SchedulerClient;
use crate::reading::{GroupReading, GroupShares, SharesChange};

/// How long a connection may take to come up.
const CONNECT_MAX: Duration = Duration::from_secs(5);
/// How long a call may take.
const CALL_MAX: Duration = Duration::from_secs(10);

/// A call did not do what it should.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody answers there.
    #[error("no broker's admin plane answers on {address}: {why}")]
    Unreachable {
        /// Where.
        address: String,
        /// What the connection says.
        why: String,
    },
    /// The broker says no; nothing changed.
    #[error("{0}")]
    Refused(String),
    /// The broker, or the way to it, failed; what was asked may or may not have been done.
    #[error("{0}")]
    Failed(String),
}

/// What runs there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// Of the binary.
    pub version: String,
    /// Where Kafka clients connect.
    pub kafka_address: String,
    /// Shards.
    pub shards: u32,
    /// Since its start.
    pub up: Duration,
}

/// Every group at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Groups {
    /// When, by the broker's clock; only differences mean something.
    pub at_ns: u64,
    /// The groups, in the broker's order.
    pub groups: Vec<Group>,
}

/// A group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// By number of the shard.
    pub shards: Vec<GroupReading>,
    /// An open trial.
    pub trial: Option<OpenTrial>,
}

/// A trial of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenTrial {
    /// Until it goes back.
    pub left: Duration,
    /// To what.
    pub before: GroupShares,
}

/// Shares that hold on every shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Applied {
    /// Which.
    pub shares: GroupShares,
    /// How long it took the broker until they did.
    pub took: Duration,
}

/// A connection to a broker's admin plane.
#[derive(Debug)]
pub struct Client {
    runtime: Runtime,
    channel: Channel,
}

impl Client {
    /// Connects to `address`, "HOST:PORT".
    ///
    /// # Errors
    /// When nobody answers there.
    pub fn connect(address: &str) -> Result<Client, ClientError> {
        let unreachable =
            |why: String| ClientError::Unreachable { address: address.to_owned(), why };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .build()
            .map_err(|error| unreachable(error.to_string()))?;
        let endpoint = Endpoint::from_shared(format!("http://{address}"))
            .map_err(|error| unreachable(root_cause(&error)))?
            .connect_timeout(CONNECT_MAX);
        let channel = runtime
            .block_on(endpoint.connect())
            .map_err(|error| unreachable(root_cause(&error)))?;
        Ok(Client { runtime, channel })
    }

    /// What runs there.
    ///
    /// # Errors
    /// See [`ClientError`], here and below.
    pub fn version(&self) -> Result<Version, ClientError> {
        let told =
            self.broker(async |client| client.get_version(v1::GetVersionRequest {}).await)?;
        Ok(Version {
            version: told.version,
            kafka_address: told.kafka_address,
            shards: told.shards,
            up: Duration::from_millis(told.up_ms),
        })
    }

    /// Whether Kafka clients are served.
    ///
    /// # Errors
    /// Also when the broker is newer and says something else.
    pub fn readiness(&self) -> Result<Readiness, ClientError> {
        let told =
            self.broker(async |client| client.get_readiness(v1::GetReadinessRequest {}).await)?;
        match told.readiness() {
            v1::Readiness::Starting => Ok(Readiness::Starting),
            v1::Readiness::Ready => Ok(Readiness::Ready),
            v1::Readiness::Stopping => Ok(Readiness::Stopping),
            v1::Readiness::Unspecified => {
                Err(ClientError::Failed("the broker tells no readiness that is known here".into()))
            }
        }
    }

    /// Every group, now.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn groups(&self) -> Result<Groups, ClientError> {
        let told =
            self.scheduler(async |client| client.list_groups(v1::ListGroupsRequest {}).await)?;
        Ok(groups(told))
    }

    /// Every group again and again, `every` so long, until `see` breaks.
    ///
    /// # Errors
    /// Also when the broker ends.
    pub fn watch(
        &self,
        every: Duration,
        mut see: impl FnMut(Groups) -> ControlFlow<()>,
    ) -> Result<(), ClientError> {
        let interval_ms = u32::try_from(every.as_millis()).unwrap_or(u32::MAX);
        let mut client = SchedulerClient::new(self.channel.clone());
        let watching = async {
            let request = v1::WatchGroupsRequest { interval_ms };
            let mut stream = client.watch_groups(request).await?.into_inner();
            while let Some(told) = stream.message().await? {
                if see(groups(told)).is_break() {
                    return Ok(());
                }
            }
            Err(Status::unavailable("the broker ended"))
        };
        self.runtime.block_on(watching).map_err(failed)
    }

    /// Changes the shares of a group on every shard, and holds them against controllers.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn set_shares(&self, group: &str, change: SharesChange) -> Result<Applied, ClientError> {
        let request = v1::SetSharesRequest {
            group: group.to_owned(),
            cpu_shares: change.cpu,
            io_shares: change.io,
        };
        let told = self.scheduler(async |client| client.set_shares(request).await)?;
        Ok(applied(told.shares, told.took_us))
    }

    /// Lets the broker's controllers change them again.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn release_shares(&self, group: &str) -> Result<Applied, ClientError> {
        let request = v1::ReleaseSharesRequest { group: group.to_owned() };
        let told = self.scheduler(async |client| client.release_shares(request).await)?;
        Ok(applied(told.shares, told.took_us))
    }

    /// Changes them for so many seconds.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn try_shares(
        &self,
        group: &str,
        change: SharesChange,
        seconds: u32,
    ) -> Result<(Applied, OpenTrial), ClientError> {
        let request = v1::TrySharesRequest {
            group: group.to_owned(),
            cpu_shares: change.cpu,
            io_shares: change.io,
            seconds,
        };
        let told = self.scheduler(async |client| client.try_shares(request).await)?;
        let trial = told.trial.map(trial).ok_or_else(|| {
            ClientError::Failed("the broker changed the shares and tells no trial".into())
        })?;
        Ok((applied(told.shares, told.took_us), trial))
    }

    /// Keeps what a trial tries.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn confirm_trial(&self, group: &str) -> Result<GroupShares, ClientError> {
        let request = v1::ConfirmTrialRequest { group: group.to_owned() };
        let told = self.scheduler(async |client| client.confirm_trial(request).await)?;
        Ok(shares(told.shares))
    }

    /// Ends a trial now.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn cancel_trial(&self, group: &str) -> Result<Applied, ClientError> {
        let request = v1::CancelTrialRequest { group: group.to_owned() };
        let told = self.scheduler(async |client| client.cancel_trial(request).await)?;
        Ok(applied(told.shares, told.took_us))
    }

    fn broker<T>(
        &self,
        call: impl AsyncFnOnce(&mut BrokerClient<Channel>) -> Result<tonic::Response<T>, Status>,
    ) -> Result<T, ClientError> {
        let mut client = BrokerClient::new(self.channel.clone());
        self.run(call(&mut client))
    }

    fn scheduler<T>(
        &self,
        call: impl AsyncFnOnce(&mut SchedulerClient<Channel>) -> Result<tonic::Response<T>, Status>,
    ) -> Result<T, ClientError> {
        let mut client = SchedulerClient::new(self.channel.clone());
        self.run(call(&mut client))
    }

    fn run<T>(
        &self,
        call: impl Future<Output = Result<tonic::Response<T>, Status>>,
    ) -> Result<T, ClientError> {
        let limited = async { tokio::time::timeout(CALL_MAX, call).await };
        match self.runtime.block_on(limited) {
            Ok(done) => done.map(tonic::Response::into_inner).map_err(failed),
            Err(_) => Err(ClientError::Failed(format!(
                "the broker did not answer within {} s",
                CALL_MAX.as_secs()
            ))),
        }
    }
}

fn failed(status: Status) -> ClientError {
    let message = status.message().to_owned();
    match status.code() {
        Code::InvalidArgument | Code::NotFound | Code::ResourceExhausted | Code::Unimplemented => {
            ClientError::Refused(message)
        }
        code => ClientError::Failed(format!("{message} ({code:?})")),
    }
}

/// What lies under an error that only says "transport error".
fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

fn groups(told: v1::ListGroupsResponse) -> Groups {
    let groups = told.groups.into_iter().map(|group| Group {
        name: group.name,
        shards: group.shards.into_iter().map(on_shard).collect(),
        trial: group.trial.map(trial),
    });
    Groups { at_ns: told.at_ns, groups: groups.collect() }
}

fn on_shard(told: v1::GroupOnShard) -> GroupReading {
    GroupReading {
        shares: shares(told.shares),
        cpu_used_ns: told.cpu_used_ns,
        cpu_waited_ns: told.cpu_waited_ns,
        io_requests: told.io_requests,
        io_read_bytes: told.io_read_bytes,
        io_written_bytes: told.io_written_bytes,
        io_used_ns: told.io_used_ns,
        io_waited_ns: told.io_waited_ns,
    }
}

fn trial(told: v1::Trial) -> OpenTrial {
    OpenTrial { left: Duration::from_millis(told.left_ms), before: shares(told.before) }
}

/// What was not told is 0, which no shares are.
fn shares(told: Option<v1::Shares>) -> GroupShares {
    let told = told.unwrap_or_default();
    GroupShares { cpu: told.cpu, io: told.io, is_held: told.is_held }
}

fn applied(told: Option<v1::Shares>, took_us: u64) -> Applied {
    Applied { shares: shares(told), took: Duration::from_micros(took_us) }
}
