//! A deterministic world from one seed.
//!
//! Owns virtual time, the order in which tasks run, the delays of disk and messages, and what a
//! power cut leaves. Everything runs on the calling thread. Two runs with the same seed, the
//! same options and the same code are equal step by step; [`Sim::trace_hash`] shows it.
//! Deliberately not here: sockets with addresses, threads, real time, damage that no flush rule
//! explains (misdirected or rotten reads).

mod disk;
mod engine;
mod faults;
mod file;
mod mesh;
mod options;
mod rng;
pub mod stream;
pub(crate) mod tree;
mod world;

use std::cell::Cell;
use std::fmt;
use std::future::Future;
use std::rc::Rc;

use crate::{Nanos, ShardId};
use disk::Device;
pub use disk::SimDisk;
use engine::{Engine, nanos};
pub use faults::{Errno, Fault, Op};
pub use file::SimFile;
use mesh::Lanes;
pub use options::{DiskOptions, SimOptions, Stalls};
pub use stream::SimStream;
use tree::Tree;
pub use tree::{Contents, Losses};
pub use world::SimEnv;

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Outcome<T> {
    /// The future that was run is done.
    Done(T),
    /// The power was cut ([`SimOptions::cut_after_mutations`]).
    Cut,
}

impl<T> Outcome<T> {
    /// The output of the future that was run.
    ///
    /// # Panics
    /// If the power was cut.
    pub fn done(self) -> T {
        match self {
            Outcome::Done(value) => value,
            Outcome::Cut => panic!("the power was cut before the run was done"),
        }
    }

    /// Whether the power was cut.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        matches!(self, Outcome::Cut)
    }
}

/// What is left on the disk when a simulation ends; the next one starts on it.
pub struct Image {
    tree: Tree,
    wall_ms: i64,
    losses: Losses,
}

impl Image {
    /// A disk of which `contents` is durable.
    #[must_use]
    pub fn of(contents: &Contents) -> Image {
        Image::of_tree(Tree::of(contents), Losses::default())
    }

    pub(crate) fn of_tree(tree: Tree, losses: Losses) -> Image {
        Image { tree, wall_ms: i64::MIN, losses }
    }

    /// What the power cut that left it took; nothing if it was none.
    #[must_use]
    pub fn losses(&self) -> Losses {
        self.losses
    }

    /// What a process that starts on it sees.
    #[must_use]
    pub fn contents(&self) -> Contents {
        self.tree.contents()
    }
}

impl fmt::Debug for Image {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Image").field("used_bytes", &self.tree.used_bytes()).finish_non_exhaustive()
    }
}

/// A simulated machine: shards that send each other messages of type `M`, clients, one disk.
pub struct Sim<M> {
    engine: Rc<Engine>,
    lanes: Rc<Lanes<M>>,
    disk: SimDisk,
    shards: Vec<SimEnv<M>>,
    clients: Cell<u16>,
    options: SimOptions,
}

impl<M: Send + 'static> Sim<M> {
    /// A machine with an empty disk. Everything that happens on it follows from `seed`.
    ///
    /// # Panics
    /// If `options` has no shard.
    #[must_use]
    pub fn new(seed: u64, options: SimOptions) -> Sim<M> {
        let image = Image::of_tree(Tree::new(), Losses::default());
        Sim::restart(seed, options, image)
    }

    /// A machine on a disk that an earlier one left. Its wall clock does not go back behind the
    /// time at which the earlier one ended.
    ///
    /// # Panics
    /// If `options` has no shard.
    #[must_use]
    pub fn restart(seed: u64, mut options: SimOptions, image: Image) -> Sim<M> {
        assert!(options.shards > 0, "a simulation needs a shard");
        options.wall_ms = options.wall_ms.max(image.wall_ms);
        let engine = Rc::new(Engine::new(seed, &options));
        let device = Rc::new(Device::new(seed, &options, image.tree));
        let disk = SimDisk { engine: Rc::clone(&engine), device };
        let latency_max = nanos(options.message_latency_max);
        let lanes = Rc::new(Lanes::new(Rc::clone(&engine), options.lane_messages, latency_max));
        let shards = (0..options.shards)
            .map(|shard| {
                let lanes = Rc::clone(&lanes);
                let shard = ShardId(shard);
                SimEnv::new(lanes, disk.clone(), options.memory_bytes, shard, options.shards)
            })
            .collect();
        Sim { engine, lanes, disk, shards, clients: Cell::new(0), options }
    }

    /// The world of one shard.
    ///
    /// # Panics
    /// If there is no such shard.
    #[must_use]
    pub fn env(&self, shard: ShardId) -> SimEnv<M> {
        self.shards[usize::from(shard.0)].clone()
    }

    /// A world for one more client: with memory and random numbers of its own, and a shard
    /// number beyond those of the shards. It can send to shards; nobody can send to it.
    #[must_use]
    pub fn client_env(&self) -> SimEnv<M> {
        let client = self.clients.get();
        self.clients.set(client + 1);
        let (shards, memory_bytes) = (self.options.shards, self.options.memory_bytes);
        let shard = ShardId(shards + client);
        SimEnv::new(Rc::clone(&self.lanes), self.disk.clone(), memory_bytes, shard, shards)
    }

    /// Runs `main`, and every task that was spawned, until `main` is done or the power is cut.
    /// Tasks that are not done then go on at the next call, unless the power was cut.
    ///
    /// # Panics
    /// If nothing can happen any more (deadlock), and when a limit of the options is passed.
    pub fn run<F: Future>(&self, main: F) -> Outcome<F::Output> {
        self.engine.run(main)
    }

    /// The disk, to inject faults and to look at.
    #[must_use]
    pub fn disk(&self) -> &SimDisk {
        &self.disk
    }

    /// How many mutations of the disk took effect. See [`SimDisk::mutations`].
    #[must_use]
    pub fn mutations(&self) -> u64 {
        self.disk.mutations()
    }

    /// A number that two runs have in common only if they were equal: every decision of the
    /// scheduler, every disk operation with its data and every message is folded into it.
    #[must_use]
    pub fn trace_hash(&self) -> u64 {
        self.engine.trace_hash()
    }

    /// How often a task was run.
    #[must_use]
    pub fn steps(&self) -> u64 {
        self.engine.steps()
    }

    /// Virtual time since the start.
    #[must_use]
    pub fn now(&self) -> Nanos {
        Nanos(self.engine.now())
    }

    /// Lets the wall clock jump, forward or back.
    pub fn shift_wall_ms(&self, by_ms: i64) {
        self.engine.shift_wall_ms(by_ms);
    }

    /// Ends the machine as a power cut does: tasks are dropped without running further, and of
    /// what was not flushed a choice of the seed is left.
    #[must_use]
    pub fn cut_power(self) -> Image {
        let seed = self.engine.rng().next();
        self.cut_power_as(seed)
    }

    /// The same, but `seed` chooses what is left: for several survivors of one run.
    #[must_use]
    pub fn cut_power_as(self, seed: u64) -> Image {
        self.engine.clear();
        let (tree, losses) = self.disk.device.tree.survivor(seed);
        Image { tree, wall_ms: self.engine.wall_ms(), losses }
    }

    /// Ends the processes and keeps the machine: everything that took effect is there,
    /// operations that had not taken effect yet never will. What was not flushed is still not
    /// durable: a later power cut may take it.
    #[must_use]
    pub fn kill_process(self) -> Image {
        self.engine.clear();
        let tree = self.disk.device.tree.share();
        tree.complete_all();
        Image { tree, wall_ms: self.engine.wall_ms(), losses: Losses::default() }
    }
}

impl<M> Drop for Sim<M> {
    fn drop(&mut self) {
        self.engine.clear();
        self.lanes.clear();
    }
}

impl<M> fmt::Debug for Sim<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sim")
            .field("seed", &self.engine.seed)
            .field("now_ns", &self.engine.now())
            .field("steps", &self.engine.steps())
            .finish_non_exhaustive()
    }
}
