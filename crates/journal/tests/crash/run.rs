//! A run of the broker as its journals see it: shards, workers that commit, checkpoints.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use env::sim::{Contents, Image, Sim, SimEnv, SimOptions};
use env::sync::race;
use env::{Env, Group, ShardId};
use evenkeel_journal::checkpoint::Checkpoint;
use evenkeel_journal::{Journal, JournalOptions, OldFiles, RunStart, Settled, replay};
use record::TopicPartition;

use crate::model::{Batch, Kind, Model, Op, Said, Status, at, partition, said, topic};

pub(crate) type World = SimEnv<()>;

const PARTITIONS: i32 = 6;

/// Small, so that files are recycled all the time.
fn options(start: RunStart) -> JournalOptions {
    JournalOptions {
        file_bytes: 64 << 10,
        files_max: 3,
        frame_bytes: 8 << 10,
        held_bytes_max: 24 << 10,
        ..JournalOptions::new(start)
    }
}

/// One run of the broker, as far as its journals know.
pub(crate) struct Run {
    pub(crate) model: Rc<RefCell<Model>>,
    pub(crate) start: RunStart,
    pub(crate) old: OldFiles,
    /// What the recovered logs were, to be said anew.
    pub(crate) recovered: BTreeMap<TopicPartition, Vec<Batch>>,
    /// Steps of each worker, twice.
    pub(crate) steps: usize,
    /// Whether commits are given up now and then.
    pub(crate) drops: bool,
    pub(crate) counts: Rc<Counts>,
}

/// What happened in a run, so that a test can see that it tests something.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) rescues: Cell<u64>,
    pub(crate) recycled: Cell<u64>,
    pub(crate) committed: Cell<u64>,
    pub(crate) refused: Cell<u64>,
    pub(crate) failed_journals: Cell<u64>,
}

fn add(count: &Cell<u64>, n: u64) {
    count.set(count.get() + n);
}

impl Run {
    pub(crate) fn first(steps: usize) -> Run {
        Run {
            model: Rc::default(),
            start: RunStart::FIRST,
            old: OldFiles::default(),
            recovered: BTreeMap::new(),
            steps,
            drops: false,
            counts: Rc::default(),
        }
    }

    /// Every shard of `sim` works; some partitions belong to each.
    pub(crate) async fn work(&self, shards: Vec<World>) {
        let count = shards.len();
        let mut working = Vec::new();
        for (n, env) in shards.into_iter().enumerate() {
            let mine: Vec<TopicPartition> = (0..PARTITIONS)
                .filter(|p| usize::try_from(*p).unwrap() % count == n)
                .map(|p| partition(1, p))
                .collect();
            working.push(self.shard(env, mine, n == 0));
        }
        env::sync::all(working).await;
    }

    async fn shard(&self, env: World, mine: Vec<TopicPartition>, retires: bool) {
        let Ok(journal) = Journal::open(env.clone(), options(self.start)).await else { return };
        let worker = |mine: &[TopicPartition], deletes| Worker {
            env: env.clone(),
            journal: journal.clone(),
            model: Rc::clone(&self.model),
            counts: Rc::clone(&self.counts),
            mine: mine.to_vec(),
            deletes,
            drops: self.drops,
            pending: RefCell::default(),
            stopped: Cell::new(false),
        };
        let first = worker(&mine, retires && self.start.run == 1);
        first.say_ends(&self.recovered).await;
        let (left, right) = mine.split_at(mine.len() / 2);
        let second = worker(right, false);
        let first = Worker { mine: left.to_vec(), ..first };
        env::sync::all(vec![first.steps(self.steps), second.steps(self.steps)]).await;
        if retires {
            self.retire(&env).await;
        }
        env::sync::all(vec![first.steps(self.steps), second.steps(self.steps)]).await;
        add(&self.counts.rescues, journal.metrics().rescues);
        add(&self.counts.recycled, journal.metrics().files_recycled);
        add(&self.counts.failed_journals, u64::from(journal.failure().is_some()));
    }

    /// Whatever earlier runs left is in the segments.
    async fn retire(&self, env: &World) {
        {
            let mut model = self.model.borrow_mut();
            let base: Vec<i64> = model.base.values().flatten().map(|batch| batch.nonce).collect();
            model.settled.extend(base);
        }
        let _ = self.old.retire(env).await;
    }
}

struct Worker {
    env: World,
    journal: Journal<World>,
    model: Rc<RefCell<Model>>,
    counts: Rc<Counts>,
    mine: Vec<TopicPartition>,
    deletes: bool,
    drops: bool,
    /// Batches whose commit failed: they are committed again before others of their log.
    pending: RefCell<BTreeMap<TopicPartition, Vec<Batch>>>,
    stopped: Cell<bool>,
}

impl Worker {
    fn random(&self, below: u64) -> u64 {
        self.env.random() % below
    }

    fn pick(&self) -> TopicPartition {
        let n = self.random(self.mine.len() as u64);
        self.mine[usize::try_from(n).unwrap()]
    }

    fn end(&self, id: TopicPartition) -> i64 {
        self.model.borrow().log(id).last().map_or(0, |batch| batch.next)
    }

    async fn commit(&self, kinds: Vec<Kind>, bytes: usize, flush: bool) -> bool {
        let shard = self.env.shard().0;
        let items = kinds.iter().map(|kind| kind.item(&self.env, bytes)).collect();
        let ops = self.model.borrow_mut().begin(shard, &kinds);
        let commit = async {
            self.journal.commit(items, flush, Group::Produce).await.map(|_| ()).map_err(|_| ())
        };
        let patience = async {
            if !self.drops || self.random(8) != 0 {
                std::future::pending::<()>().await;
            }
            self.env.sleep(Duration::from_micros(self.random(200))).await;
            Err(())
        };
        let done = race(commit, patience).await;
        self.model.borrow_mut().done(shard, ops, done.map(|()| flush));
        add(if done.is_ok() { &self.counts.committed } else { &self.counts.refused }, 1);
        if done.is_err() {
            for kind in kinds {
                match kind {
                    Kind::Batches(id, batches) => {
                        self.pending.borrow_mut().insert(id, batches);
                    }
                    // What was cut must be said; a log that cannot is not written any more.
                    Kind::Truncated(..) => self.stopped.set(true),
                    Kind::Dirty(..) | Kind::Start(..) | Kind::Deleted(_) => {}
                }
            }
            self.env.sleep(Duration::from_millis(1)).await;
        }
        done.is_ok()
    }

    /// The first commit of a run says where the recovered logs end.
    async fn say_ends(&self, recovered: &BTreeMap<TopicPartition, Vec<Batch>>) {
        let end = |id| recovered.get(id).and_then(|log| log.last()).map_or(0, |b| b.next);
        let said = |id: &&TopicPartition| recovered.contains_key(*id);
        let kinds: Vec<Kind> =
            self.mine.iter().filter(said).map(|id| Kind::Truncated(*id, end(id))).collect();
        self.commit(kinds, 0, true).await;
    }

    fn batches(&self, id: TopicPartition, count: u64) -> Kind {
        let mut batches = self.pending.borrow_mut().remove(&id).unwrap_or_default();
        let mut base = self.end(id);
        let mut model = self.model.borrow_mut();
        for _ in 0..count {
            let next = base + 1 + i64::try_from(self.random(3)).unwrap();
            model.next_nonce += 1;
            batches.push(Batch { base, next, nonce: model.next_nonce });
            base = next;
        }
        Kind::Batches(id, batches)
    }

    async fn steps(&self, count: usize) {
        for _ in 0..count {
            if self.stopped.get() || self.journal.failure().is_some() {
                return;
            }
            self.step().await;
        }
    }

    async fn step(&self) {
        if self.journal.pressure().checkpoint_is_due() {
            self.release().await;
        }
        if 70 < self.journal.pressure().percent() {
            return;
        }
        let flush = self.random(10) < 6;
        let id = self.pick();
        match self.random(20) {
            0 => {
                let kind = self.batches(id, 4);
                self.commit(vec![kind], 3000, flush).await;
            }
            1 => {
                let back = i64::try_from(self.random(4)).unwrap();
                let to = (self.end(id) - back).max(0);
                self.pending.borrow_mut().remove(&id);
                self.commit(vec![Kind::Truncated(id, to)], 0, flush).await;
            }
            2 => {
                self.commit(vec![Kind::Dirty(id, self.end(id))], 0, flush).await;
            }
            3 => {
                self.commit(vec![Kind::Start(id, self.end(id))], 0, flush).await;
            }
            4 if self.deletes => self.create_and_delete(flush).await,
            5 | 6 => self.release().await,
            7 => {
                self.commit(Vec::new(), 0, true).await;
            }
            _ => {
                let mut kinds = vec![self.batches(self.mine[0], 1)];
                if self.random(2) == 0 && 1 < self.mine.len() {
                    kinds.push(self.batches(self.mine[self.mine.len() - 1], 2));
                }
                let bytes = usize::try_from(self.random(900)).unwrap();
                self.commit(kinds, bytes, flush).await;
            }
        }
    }

    async fn create_and_delete(&self, flush: bool) {
        let n = {
            let mut model = self.model.borrow_mut();
            model.next_topic += 1;
            100 + model.next_topic
        };
        let kind = self.batches(partition(n, 0), 1);
        if self.commit(vec![kind], 50, flush).await {
            self.commit(vec![Kind::Deleted(topic(n))], 0, true).await;
        }
    }

    /// A checkpoint: the segments have some of everything; then files may go.
    async fn release(&self) {
        let mark = self.journal.mark();
        let shard = self.env.shard().0;
        let settled: BTreeMap<TopicPartition, i64> = {
            let mut model = self.model.borrow_mut();
            let journal = model.journals.get_mut(&shard).unwrap();
            let returned = |op: &&mut Op| op.failed || op.status != Status::InDoubt;
            journal.ops.iter_mut().filter(returned).for_each(|op| op.covered = true);
            let mut settled = BTreeMap::new();
            for id in model.partitions() {
                // Mostly everything, sometimes half.
                let end = model.log(id).last().map_or(0, |batch| batch.next);
                let end = if self.random(4) == 0 { end / 2 } else { end };
                settled.insert(id, model.settle(id, end));
            }
            settled
        };
        let look_up = |id| match settled.get(&id) {
            Some(end) => Settled::Durable(at(*end)),
            None => Settled::Gone,
        };
        let _ = self.journal.release(mark, look_up).await;
    }
}

/// A machine with its shards. The power goes after `cut` mutations.
pub(crate) fn machine(
    seed: u64,
    options: SimOptions,
    image: Option<&Contents>,
) -> (Sim<()>, Vec<World>) {
    let shards = options.shards;
    let sim = match image {
        Some(image) => Sim::restart(seed, options, Image::of(image)),
        None => Sim::new(seed, options),
    };
    let worlds = (0..shards).map(|shard| sim.env(ShardId(shard))).collect();
    (sim, worlds)
}

pub(crate) fn shards(shards: u16, cut: Option<u64>) -> SimOptions {
    SimOptions { shards, cut_after_mutations: cut, ..SimOptions::default() }
}

/// `run` on a machine, until the power is cut, if it is.
pub(crate) fn go(
    run: Run,
    seed: u64,
    options: SimOptions,
    image: Option<&Contents>,
) -> (Run, Sim<()>) {
    let (sim, worlds) = machine(seed, options, image);
    let _ = sim.run(run.work(worlds));
    (run, sim)
}

/// Replays what `image` holds, twice: it must say the same. Explains it by the model of `run`, and
/// gives the run that begins on it.
pub(crate) fn recover(run: &Run, image: &Contents, least: Status) -> (Run, Said) {
    let (sim, worlds) = machine(1, SimOptions::default(), Some(image));
    let env = worlds[0].clone();
    let checkpoint = Checkpoint::default();
    let (start, old, first, second) = sim
        .run(async {
            let found = replay(&env, &checkpoint, Group::Recovery).await.unwrap();
            let first = said(&found).await;
            let again = replay(&env, &checkpoint, Group::Recovery).await.unwrap();
            let second = said(&again).await;
            (found.start(), found.old_files().clone(), first, second)
        })
        .done();
    assert_eq!(first, second);
    assert!(run.start.run < start.run || first == Said::default(), "the run number went back");
    let model = run.model.borrow();
    let logs = model.explain(&first, least);
    let model = Model {
        base: logs.clone(),
        journals: BTreeMap::new(),
        settled: model.settled.clone(),
        next_nonce: model.next_nonce,
        next_topic: model.next_topic,
    };
    let model = Rc::new(RefCell::new(model));
    (Run { model, start, old, recovered: logs, ..Run::first(run.steps) }, first)
}
