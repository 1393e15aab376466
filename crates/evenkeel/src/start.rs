//! `evenkeel start`: from the command line to shards that serve, and back to a clean stop.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use admin::{About, Inbox, Mailbox, Readiness, Running, Starting};
use broker::{Limits, Options, Shard, ShardMessage};
use env::{Env, Group, ShardId, Stream};
use runtime::{Config, HeldPort, ShardEnv, Stopper, TcpListener};

use crate::cli::Start;
use crate::steering::steer;
use crate::{config, directory_lock, print};

/// Least memory of a shard: below it a single large request would take all.
const SHARD_BYTES_MIN: usize = 16 << 20;

/// How long a taken port is asked for again. The kernel takes down the ring of a killed process
/// after the process is gone, and its listening sockets live until then.
const PORT_PATIENCE: Duration = Duration::from_secs(3);

/// Pause between two tries to take the port.
const PORT_RETRY: Duration = Duration::from_millis(20);

/// Starts the broker and returns when it was stopped.
pub(crate) fn start(start: &Start) -> Result<ExitCode, String> {
    let settings = config::settings(start.config.as_deref(), &start.set)?;
    std::fs::create_dir_all(&start.data)
        .map_err(|error| format!("cannot create {}: {error}", start.data.display()))?;
    let lock = directory_lock::lock(&start.data)?;
    let shards = start.shards.unwrap_or_else(available_shards);
    // Ports that shards share can be shared by accident, too: nobody else may listen there.
    if start.listen.port() != 0 {
        nobody_listens(start.listen)
            .map_err(|error| format!("cannot listen on {}: {error}", start.listen))?;
    }
    // Held until every shard listens, so that the port is ours from here on.
    let port = HeldPort::take(start.listen)
        .map_err(|error| format!("cannot listen on {}: {error}", start.listen))?;
    let listen = port.addr();
    let (admin, admin_addr) = listen_for_admin(start.admin)?;
    let (mailbox, inboxes) = admin::mailbox(shards);
    let stopper = Stopper::new();
    stop_on_signals(&stopper)?;
    let world = Arc::new(World {
        options: options(start, listen, settings)?,
        listen,
        admin: admin_addr,
        inboxes: Mutex::new(inboxes.into_iter().map(Some).collect()),
        plane: OnceLock::new(),
        shards,
        listening: AtomicU16::new(0),
        failure: Mutex::new(None),
        stopping: AtomicBool::new(false),
        stopper: stopper.clone(),
    });
    let memory = (start.memory << 20) / usize::from(shards.max(1));
    let config = Config {
        memory_bytes_per_shard: memory.max(SHARD_BYTES_MIN),
        stopper,
        ..Config::new(shards, start.data.clone())
    };
    start_plane(&world, admin, mailbox)?;
    let serving = Arc::clone(&world);
    let ran =
        runtime::run::<ShardMessage, _, _>(config, move |env| serve(env, Arc::clone(&serving)))
            .map_err(|error| error.to_string());
    world.stop_plane();
    ran?;
    drop((lock, port));
    match world.take_failure() {
        Some(why) => Err(why),
        None => Ok(ExitCode::SUCCESS),
    }
}

/// What all shards share.
struct World {
    options: Options,
    listen: SocketAddr,
    admin: SocketAddr,
    /// What each shard takes when it serves.
    inboxes: Mutex<Vec<Option<Inbox>>>,
    plane: OnceLock<Mutex<Option<Running>>>,
    shards: u16,
    /// Shards that accept connections.
    listening: AtomicU16,
    failure: Mutex<Option<String>>,
    stopping: AtomicBool,
    stopper: Stopper,
}

impl World {
    fn fail(&self, why: String) {
        let mut failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        failure.get_or_insert(why);
        drop(failure);
        self.stopper.stop();
    }

    fn inbox(&self, shard: ShardId) -> Option<Inbox> {
        let mut inboxes = self.inboxes.lock().unwrap_or_else(PoisonError::into_inner);
        inboxes.get_mut(usize::from(shard.0))?.take()
    }

    fn say(&self, readiness: Readiness) {
        let plane = self.plane.get().map(|it| it.lock().unwrap_or_else(PoisonError::into_inner));
        if let Some(plane) = plane.as_ref().and_then(|plane| plane.as_ref()) {
            plane.set_readiness(readiness);
        }
    }

    fn stop_plane(&self) {
        let plane = self.plane.get().map(|it| it.lock().unwrap_or_else(PoisonError::into_inner));
        if let Some(plane) = plane.and_then(|mut plane| plane.take()) {
            plane.stop();
        }
    }

    fn take_failure(&self) -> Option<String> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// Fails if somebody else listens on `addr` for all of [`PORT_PATIENCE`].
fn nobody_listens(addr: SocketAddr) -> std::io::Result<()> {
    let until = Instant::now() + PORT_PATIENCE;
    loop {
        match std::net::TcpListener::bind(addr) {
            Ok(_) => return Ok(()),
            Err(error) if error.kind() != ErrorKind::AddrInUse || Instant::now() >= until => {
                return Err(error);
            }
            Err(_) => std::thread::sleep(PORT_RETRY),
        }
    }
}

/// The socket of the admin plane: from here on whoever connects is served, if a moment later.
fn listen_for_admin(addr: SocketAddr) -> Result<(std::net::TcpListener, SocketAddr), String> {
    let listen = || {
        let listener = std::net::TcpListener::bind(addr)?;
        let addr = listener.local_addr()?;
        Ok::<_, std::io::Error>((listener, addr))
    };
    listen().map_err(|error| {
        format!("the admin plane cannot listen on {addr}: {error}; --admin takes another address")
    })
}

/// Starts the thread of the admin plane, beside the shards.
fn start_plane(
    world: &Arc<World>,
    listener: std::net::TcpListener,
    mailbox: Mailbox,
) -> Result<(), String> {
    let about = About {
        version: env!("CARGO_PKG_VERSION"),
        kafka_address: world.listen.to_string(),
        groups: Group::ALL.map(Group::name).to_vec(),
    };
    let failing = Arc::clone(world);
    let failed = move |why| failing.fail(format!("the admin plane cannot run: {why}"));
    let plane = admin::start(Starting { listener, about, mailbox }, failed)
        .map_err(|error| format!("the admin plane cannot start: {error}"))?;
    let _ = world.plane.set(Mutex::new(Some(plane)));
    Ok(())
}

/// One shard, from its start to its end.
async fn serve(env: ShardEnv<ShardMessage>, world: Arc<World>) {
    let started = env::sync::race(
        async { Some(broker::start(env.clone(), world.options.clone()).await) },
        async {
            env.stopped().await;
            None
        },
    )
    .await;
    let shard = match started {
        Some(Ok(shard)) => shard,
        Some(Err(why)) => return world.fail(why.to_string()),
        None => return,
    };
    let listener = match env.listen(world.listen) {
        Ok(listener) => listener,
        Err(error) => return world.fail(format!("cannot listen on {}: {error}", world.listen)),
    };
    env.spawn(Group::System, accept(env.clone(), shard.clone(), listener));
    if let Some(inbox) = world.inbox(env.shard()) {
        env.spawn(Group::System, steer(env.clone(), shard.clone(), inbox));
    }
    if world.listening.fetch_add(1, Ordering::AcqRel) + 1 == world.shards {
        world.say(Readiness::Ready);
        print(&format!("ready kafka={} admin={}", world.listen, world.admin));
    }
    env.stopped().await;
    world.say(Readiness::Stopping);
    if !shard.leads() {
        return shard.closed().await;
    }
    world.stopping.store(true, Ordering::Release);
    if let Err(why) = shard.stop().await {
        world.fail(format!("the stop was not clean: {why}"));
    }
}

async fn accept(
    env: ShardEnv<ShardMessage>,
    shard: Shard<ShardEnv<ShardMessage>>,
    on: TcpListener,
) {
    loop {
        match on.accept().await {
            Ok(stream) => {
                if env.is_stopped() {
                    stream.close();
                    continue;
                }
                env.spawn(Group::Fetch, shard.clone().serve(stream));
            }
            Err(error) => {
                // Out of descriptors, most likely: those that are open go on.
                tracing::warn!(%error, "a connection was not accepted");
                env.sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

fn options(
    start: &Start,
    listen: SocketAddr,
    configs: BTreeMap<String, String>,
) -> Result<Options, String> {
    let (advertised_host, advertised_port) = match &start.advertise {
        Some(text) => {
            let (host, port) =
                text.rsplit_once(':').ok_or_else(|| format!("--advertise {text}: HOST:PORT"))?;
            let port = port.parse().map_err(|_| format!("--advertise {text}: HOST:PORT"))?;
            (host.to_owned(), port)
        }
        None => (listen.ip().to_string(), listen.port()),
    };
    let log_dir = std::path::absolute(&start.data).unwrap_or_else(|_| start.data.clone());
    Ok(Options {
        node_id: start.node_id,
        advertised_host,
        advertised_port,
        log_dir: log_dir.display().to_string(),
        configs,
        limits: Limits::server(),
    })
}

fn available_shards() -> u16 {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    u16::try_from(cores).unwrap_or(u16::MAX)
}

/// The first SIGTERM or SIGINT asks for a clean stop; a second one ends the process at once.
fn stop_on_signals(stopper: &Stopper) -> Result<(), String> {
    use signal_hook::consts::{SIGINT, SIGTERM};
    let asked = Arc::new(AtomicBool::new(false));
    for signal in [SIGTERM, SIGINT] {
        signal_hook::flag::register_conditional_shutdown(signal, 1, Arc::clone(&asked))
            .map_err(|error| format!("cannot handle signals: {error}"))?;
    }
    let mut signals = signal_hook::iterator::Signals::new([SIGTERM, SIGINT])
        .map_err(|error| format!("cannot handle signals: {error}"))?;
    let stopper = stopper.clone();
    std::thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || {
            if signals.forever().next().is_some() {
                asked.store(true, Ordering::Release);
                stopper.stop();
            }
        })
        .map_err(|error| format!("cannot start a thread: {error}"))?;
    Ok(())
}
