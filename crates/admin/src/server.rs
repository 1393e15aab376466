//! The admin thread: from a listening socket to a server, and to its end.

use std::fmt;
use std::net::TcpListener as StdTcpListener;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use axum::Router;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tonic::service::Routes;
use tonic_health::ServingStatus;
use tonic_health::server::{HealthReporter, health_reporter};

use crate::broker_service::BrokerService;
use crate::connection::{self, CONNECTIONS_MAX, MESSAGE_BYTES_MAX};
use crate::http;
use crate::mailbox::Mailbox;
use crate::plane::{About, Plane, Readiness};
use crate::proto::{self, v1};
use crate::scheduler_service::SchedulerService;

/// After a connection could not be accepted, which is for lack of descriptors mostly.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What the admin thread is given.
#[derive(Debug)]
pub struct Starting {
    /// Bound and listening: whoever connects is served once the thread runs.
    pub listener: StdTcpListener,
    /// Who the broker is.
    pub about: About,
    /// The way to the shards.
    pub mailbox: Mailbox,
}

/// A running admin plane. Dropping it ends it, too, but waits for nothing.
pub struct Running {
    readiness: watch::Sender<Readiness>,
    stop: watch::Sender<bool>,
    thread: JoinHandle<()>,
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Running({})", self.readiness.borrow().name())
    }
}

impl Running {
    /// What is said of the broker from now on.
    pub fn set_readiness(&self, readiness: Readiness) {
        self.readiness.send_replace(readiness);
    }

    /// Ends every connection, within a quarter of a second, and the thread.
    pub fn stop(self) {
        self.stop.send_replace(true);
        // A panic there was reported when it happened.
        drop(self.thread.join());
    }
}

/// Starts the admin thread and does not wait for it. `failed` is called on it if it cannot begin.
///
/// # Errors
/// When there can be no thread.
pub fn start(
    starting: Starting,
    failed: impl FnOnce(String) + Send + 'static,
) -> std::io::Result<Running> {
    let (readiness, is_ready) = watch::channel(Readiness::Starting);
    let (stop, stopped) = watch::channel(false);
    let thread = thread::Builder::new().name("admin".to_owned()).spawn(move || {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build();
        let run = runtime.and_then(|runtime| runtime.block_on(run(starting, is_ready, stopped)));
        if let Err(error) = run {
            failed(error.to_string());
        }
    })?;
    Ok(Running { readiness, stop, thread })
}

async fn run(
    starting: Starting,
    readiness: watch::Receiver<Readiness>,
    stop: watch::Receiver<bool>,
) -> std::io::Result<()> {
    let Starting { listener, about, mailbox } = starting;
    listener.set_nonblocking(true)?;
    let listener = TcpListener::from_std(listener)?;
    let plane = Arc::new(Plane::new(about, mailbox, readiness.clone()));
    let (reporter, health) = health_reporter();
    let routes = Routes::new(health.max_decoding_message_size(MESSAGE_BYTES_MAX));
    let router = router(&plane, routes)?;
    let upkeep = {
        let plane = Arc::clone(&plane);
        async move { tokio::join!(plane.end_trials(), report(reporter, readiness)) }
    };
    tokio::select! {
        () = accept(listener, router, stop) => {}
        _ = upkeep => {}
    }
    Ok(())
}

fn router(plane: &Arc<Plane>, health: Routes) -> std::io::Result<Router> {
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(proto::DESCRIPTORS)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .build_v1()
        .map_err(std::io::Error::other)?;
    let broker = v1::broker_server::BrokerServer::new(BrokerService::new(Arc::clone(plane)));
    let scheduler =
        v1::scheduler_server::SchedulerServer::new(SchedulerService::new(Arc::clone(plane)));
    let routes = health
        .add_service(reflection.max_decoding_message_size(MESSAGE_BYTES_MAX))
        .add_service(broker.max_decoding_message_size(MESSAGE_BYTES_MAX))
        .add_service(scheduler.max_decoding_message_size(MESSAGE_BYTES_MAX));
    let services = routes.prepare().into_axum_router().reset_fallback();
    Ok(services.merge(http::pages(Arc::clone(plane))).fallback(http::unknown))
}

/// Says in the standard health service what the readiness is, for ever.
async fn report(reporter: HealthReporter, mut readiness: watch::Receiver<Readiness>) {
    loop {
        let status = match *readiness.borrow_and_update() {
            Readiness::Ready => ServingStatus::Serving,
            Readiness::Starting | Readiness::Stopping => ServingStatus::NotServing,
        };
        for service in ["", "evenkeel.admin.v1.Broker", "evenkeel.admin.v1.Scheduler"] {
            reporter.set_service_status(service, status).await;
        }
        if readiness.changed().await.is_err() {
            // Whoever started the plane is gone; `accept` ends it.
            std::future::pending::<()>().await;
        }
    }
}

/// Accepts until `stop`, then waits for what is open.
async fn accept(listener: TcpListener, router: Router, mut stop: watch::Receiver<bool>) {
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next() => continue,
            () = connection::asked(&mut stop) => break,
        };
        match accepted {
            Ok((stream, peer)) => match Arc::clone(&room).try_acquire_owned() {
                Ok(place) => {
                    let serving = connection::serve(stream, router.clone(), stop.clone());
                    connections.spawn(async move {
                        serving.await;
                        drop(place);
                    });
                }
                Err(_) => tracing::debug!(%peer, "too many admin connections"),
            },
            Err(error) => {
                tracing::warn!(%error, "an admin connection was not accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}
