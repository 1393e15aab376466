//! Starting the shards, one thread each, and waiting for their end.

use std::cell::RefCell;
use std::future::Future;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};
use std::path::Path;
use std::rc::Rc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Mutex, PoisonError};
use std::thread;

use buf::Pool;
use env::{Group, RootFence, ShardId};
use monoio::{IoUringDriver, Runtime, RuntimeBuilder};

use crate::exec::{Bells, Core, RingMap, Root, Station};
use crate::mail::{self, Ends, Mail};
use crate::random::Random;
use crate::remote::Remote;
use crate::steering::Steering;
use crate::storage::{RingDisk, StorageRing};
use crate::world::{Inner, ShardEnv};
use crate::{Config, StartError, cpus, descriptor, panic, watchdog};

/// The driver's submission queue; its completion queue is twice that.
const DRIVER_ENTRIES: u32 = 256;

/// While a driver is built nobody else in this process makes a ring: it is found by looking at
/// which descriptor is new.
static BUILDING: Mutex<()> = Mutex::new(());

type Driver = Runtime<IoUringDriver>;

/// What one shard's thread is given.
struct Seat<M> {
    config: Config,
    remote: Remote,
    remotes: Vec<Remote>,
    ends: Ends<M>,
    cpus: Vec<usize>,
    root_fence: RootFence,
}

/// Starts `config.shards` shards, runs `main` on each, and returns when the last one returned. A
/// shard ends when its `main` does: its other tasks are dropped. If any shard cannot start, none
/// runs `main`.
///
/// A panic on a shard ends the process.
pub fn run<M, F, Fut>(config: Config, main: F) -> Result<(), StartError>
where
    M: Send + 'static,
    F: Fn(ShardEnv<M>) -> Fut + Send + Clone + 'static,
    Fut: Future<Output = ()> + 'static,
{
    check(&config)?;
    panic::install_hook();
    let remotes = (0..config.shards)
        .map(|shard| Remote::new(shard).map_err(|error| StartError::Shard { shard, error }))
        .collect::<Result<Vec<Remote>, StartError>>()?;
    let cpus = cpus::allowed().unwrap_or_default();
    config.stopper.add(&remotes);
    config.shares.add(&remotes);
    let (ready, is_ready) = mpsc::channel();
    let mut threads = Vec::new();
    let root_fence = RootFence::default();
    for (remote, ends) in remotes.iter().zip(mail::lanes(config.shards)) {
        let shard = remote.inner.shard;
        let (go, may_go) = mpsc::channel();
        let (main, ready) = (main.clone(), ready.clone());
        let (config, remote) = (config.clone(), remote.clone());
        let (cpus, root_fence) = (cpus.clone(), root_fence.clone());
        let seat = Seat { config, remote, remotes: remotes.clone(), ends, cpus, root_fence };
        let thread = thread::Builder::new()
            .name(format!("shard-{shard}"))
            .spawn(move || live(seat, main, &ready, &may_go))
            .map_err(|error| StartError::Shard { shard, error })?;
        threads.push((thread, go));
    }
    drop(ready);
    let failed = is_ready.iter().take(threads.len()).find_map(Result::err);
    let (watch_ends, watch_until) = mpsc::channel::<()>();
    let watcher = thread::Builder::new().name("watchdog".to_owned()).spawn(move || {
        watchdog::watch(&remotes, &watch_until);
    });
    let mut handles = Vec::new();
    for (thread, go) in threads {
        if failed.is_none() {
            // A thread that is not there any more panicked, which ended the process.
            let _ = go.send(());
        }
        drop(go);
        handles.push(thread);
    }
    for handle in handles {
        let _ = handle.join();
    }
    drop(watch_ends);
    if let Ok(watcher) = watcher {
        let _ = watcher.join();
    }
    failed.map_or(Ok(()), Err)
}

fn check(config: &Config) -> Result<(), StartError> {
    if config.shards == 0 {
        return Err(StartError::NoShards);
    }
    let _building = BUILDING.lock().unwrap_or_else(PoisonError::into_inner);
    RingMap::probe().map_err(StartError::of_ring)
}

/// A shard's thread from its start to its end.
fn live<M, F, Fut>(
    seat: Seat<M>,
    main: F,
    ready: &Sender<Result<(), StartError>>,
    may_go: &Receiver<()>,
) where
    M: Send + 'static,
    F: Fn(ShardEnv<M>) -> Fut + Send + Clone + 'static,
    Fut: Future<Output = ()> + 'static,
{
    let pool = Pool::new(seat.remote.inner.shard, seat.config.memory_bytes_per_shard);
    let (mut shard, env) = match Shard::build(seat, pool) {
        Ok(built) => built,
        Err(error) => {
            let _ = ready.send(Err(error));
            return;
        }
    };
    let _ = ready.send(Ok(()));
    if may_go.recv().is_err() {
        // Another shard could not start. Nothing is in flight on this one.
        return;
    }
    shard.core.install();
    let core = Rc::clone(&shard.core);
    core.spawn(Group::System, std::panic::Location::caller(), {
        let core = Rc::clone(&core);
        async move {
            main(env).await;
            core.finish();
        }
    });
    let root = shard.root;
    let drained = root.drained();
    shard.driver.block_on(async move { monoio::spawn(root).await });
    if !drained.get() {
        // The kernel may still write to what the driver owns: it stays, with its ring.
        let _ = std::mem::ManuallyDrop::new(shard.driver);
    }
}

struct Shard {
    core: Rc<Core>,
    root: Root,
    driver: Driver,
}

impl Shard {
    fn build<M: Send + 'static>(
        seat: Seat<M>,
        pool: Pool,
    ) -> Result<(Shard, ShardEnv<M>), StartError> {
        let shard = seat.remote.inner.shard;
        let failed = |error| StartError::Shard { shard, error };
        let elsewhere = place(&seat, shard);
        let (driver, driver_ring, ring) = build_rings(&seat.remote).map_err(StartError::of_ring)?;
        // Without it flushes compete with the shard for its processor, which is slow but right.
        let _ = ring.place_workers(&elsewhere);
        let core = Core::new(seat.remote.clone());
        map_rings(&core, driver_ring, &ring);
        let disk = open_disk(&ring, &seat.config.data_dir, seat.root_fence.clone())?;
        let mail = Mail::new(shard, seat.remotes, seat.ends);
        let bells = Bells {
            kick: descriptor::event(true).map_err(failed)?,
            doorbell: core.remote().doorbell().map_err(failed)?,
            timer: descriptor::timer().map_err(failed)?,
            storage: ring.descriptor().map_err(failed)?,
        };
        let stations: Vec<Rc<dyn Station>> = vec![
            Rc::clone(&mail) as Rc<dyn Station>,
            Rc::new(Steering::new(&core, &ring)) as Rc<dyn Station>,
        ];
        let root = Root::new(
            Rc::clone(&core),
            Rc::clone(&ring),
            stations,
            pool.clone(),
            bells,
            seat.config.spin,
        )
        .map_err(failed)?;
        let env = ShardEnv::new(Inner {
            core: Rc::clone(&core),
            ring,
            disk,
            pool,
            mail,
            shard: ShardId(shard),
            shards: seat.config.shards,
            random: RefCell::new(Random::new().map_err(failed)?),
        });
        Ok((Shard { core, root, driver }, env))
    }
}

fn open_disk(
    ring: &Rc<StorageRing>,
    path: &Path,
    fence: RootFence,
) -> Result<RingDisk, StartError> {
    RingDisk::open_root(ring, path, fence)
        .map_err(|error| StartError::DataDir { path: path.to_path_buf(), error })
}

/// Pins the thread if wanted and possible. Gives the processors for the kernel's workers: all
/// but the shard's own, none if there is no other.
fn place<M>(seat: &Seat<M>, shard: u16) -> Vec<usize> {
    let enough = usize::from(seat.config.shards) <= seat.cpus.len();
    if !(seat.config.pin && enough) {
        return Vec::new();
    }
    let own = seat.cpus[usize::from(shard)];
    if let Err(error) = cpus::pin(own) {
        tracing::warn!(shard, own, %error, "cannot pin the shard to its processor");
        return Vec::new();
    }
    seat.cpus.iter().copied().filter(|cpu| *cpu != own).collect()
}

/// The driver with its ring's descriptor, where that could be found, and the storage ring.
fn build_rings(remote: &Remote) -> io::Result<(Driver, Option<RawFd>, Rc<StorageRing>)> {
    let _building = BUILDING.lock().unwrap_or_else(PoisonError::into_inner);
    let before = descriptor::rings();
    let driver = build_driver()?;
    let found = match (before, descriptor::rings()) {
        (Ok(before), Ok(after)) => {
            let mut new = after.into_iter().filter(|ring| !before.contains(ring));
            match (new.next(), new.next()) {
                (Some(ring), None) => Some(ring),
                _ => None,
            }
        }
        _ => None,
    };
    Ok((driver, found, StorageRing::new(remote)?))
}

fn build_driver() -> io::Result<Driver> {
    let builder = |flags: &io_uring06::Builder| {
        RuntimeBuilder::<IoUringDriver>::new()
            .with_entries(DRIVER_ENTRIES)
            .uring_builder(flags.clone())
            .build()
    };
    let mut flags = io_uring06::IoUring::builder();
    // Deferred completions are only safe because every trip waits in the kernel (`exec::root`).
    flags.setup_single_issuer().setup_defer_taskrun().setup_taskrun_flag().dontfork();
    builder(&flags).or_else(|error| {
        if error.raw_os_error() != Some(libc::EINVAL) {
            return Err(error);
        }
        builder(&io_uring06::IoUring::builder())
    })
}

/// Lets the core see completions ahead. Where that fails it goes to the driver by the clock.
fn map_rings(core: &Core, driver: Option<RawFd>, storage: &StorageRing) {
    let Some(driver) = driver else {
        tracing::info!("the driver's ring was not found; completions are not seen ahead");
        return;
    };
    // SAFETY: the driver, which owns the descriptor, was built just now and lives until the end
    // of the shard's thread.
    #[expect(unsafe_code, reason = "the driver does not lend its descriptor")]
    let driver = unsafe { BorrowedFd::borrow_raw(driver) };
    let maps = RingMap::of(driver)
        .and_then(|driver| Ok((driver, RingMap::of(OwnedFd::as_fd(&storage.descriptor()?))?)));
    match maps {
        Ok((driver, storage)) => core.set_maps(driver, storage),
        Err(error) => tracing::info!(%error, "completions are not seen ahead"),
    }
}
