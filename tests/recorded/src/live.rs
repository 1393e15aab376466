//! A broker on real shards, under load, recorded.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use broker::{Shard, ShardMessage};
use env::recording::{Contents, Recording, RecordingEnv};
use env::{Env, Group};
use runtime::{Config, HeldPort, ShardEnv, TcpListener};
use sim::broken::{BrokenEnv, Rule};
use sim::recovered::options;

use crate::facts::Facts;
use crate::load;
use crate::told::{Answers, Told};

/// The world of the recorded broker. What a broken rule leaves undone is not in the recording.
type World = BrokenEnv<RecordingEnv<ShardEnv<ShardMessage>>>;

/// Shards of the broker.
pub const SHARDS: u16 = 2;

/// A run that is over.
#[derive(Debug)]
pub struct Live {
    /// Everything that was done to the disk.
    pub recording: Recording,
    /// Everything that clients did and were told.
    pub facts: Facts,
}

/// What the shards of a run share.
#[derive(Clone)]
pub(crate) struct Run {
    pub(crate) addr: SocketAddr,
    pub(crate) recording: Recording,
    pub(crate) answers: Answers,
    pub(crate) facts: Facts,
    pub(crate) seed: u64,
    rule: Rule,
    listening: Arc<AtomicU16>,
    working: Arc<AtomicU16>,
}

/// Runs a broker with a load that `seed` chooses, and stops it cleanly.
///
/// # Panics
/// If it cannot run here. A panic on a shard ends the process.
#[must_use]
pub fn live(seed: u64, rule: Rule) -> Live {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let port = HeldPort::take(SocketAddr::from(([127, 0, 0, 1], 0))).expect("a free port");
    let recording = Recording::new(Contents::default());
    let run = Run {
        addr: port.addr(),
        answers: Answers::new(&recording),
        recording,
        facts: Facts::default(),
        seed,
        rule,
        listening: Arc::default(),
        working: Arc::new(AtomicU16::new(SHARDS)),
    };
    let config = Config {
        memory_bytes_per_shard: 64 << 20,
        pin: false,
        ..Config::new(SHARDS, dir.path().to_path_buf())
    };
    let on_shard = run.clone();
    runtime::run::<ShardMessage, _, _>(config, move |env| serve(env, on_shard.clone()))
        .expect("io_uring is there");
    Live { recording: run.recording, facts: run.facts }
}

/// One shard from its start to its end.
async fn serve(env: ShardEnv<ShardMessage>, run: Run) {
    let world = World::new(RecordingEnv::new(env.clone(), &run.recording), run.rule);
    let shard =
        broker::start(world, options()).await.expect("an empty directory can be started on");
    let listener = env.listen(run.addr).expect("the port is held for us");
    env.spawn(Group::System, accept(env.clone(), shard.clone(), listener, run.clone()));
    run.listening.fetch_add(1, Ordering::AcqRel);
    // The kernel spreads connections over those that listen by then.
    until(&env, || run.listening.load(Ordering::Acquire) == SHARDS).await;
    load::on_shard(&env, &run).await;
    run.working.fetch_sub(1, Ordering::AcqRel);
    if !shard.leads() {
        return shard.closed().await;
    }
    until(&env, || run.working.load(Ordering::Acquire) == 0).await;
    shard.stop().await.expect("nothing fails");
}

async fn until(env: &impl Env, holds: impl Fn() -> bool) {
    while !holds() {
        env.sleep(Duration::from_millis(1)).await;
    }
}

async fn accept(env: ShardEnv<ShardMessage>, shard: Shard<World>, on: TcpListener, run: Run) {
    loop {
        match on.accept().await {
            Ok(inner) => {
                let stream = Told { inner, answers: run.answers.clone() };
                env.spawn(Group::Fetch, shard.clone().serve(stream));
            }
            Err(_) => env.sleep(Duration::from_millis(10)).await,
        }
    }
}
