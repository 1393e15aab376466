//! Cuts the power at every point of a workload, and lets every call fail once.
//!
//! The oracle is what was acknowledged, not what was written: everything below the last flush that
//! returned is there, what is there is a first part of what was appended, and nothing that was
//! truncated comes back.

#![expect(clippy::unwrap_used, reason = "a test that fails may panic")]

mod kit;

use std::cell::{Cell, RefCell};
use std::path::Path;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use env::sim::{Errno, Fault, Image, Outcome, Sim, SimEnv, SimOptions};
use env::sync::all;
use env::{Env, Group, ShardId};
use evenkeel_segment::{Known, Log, LogOptions, OpenError, Opened, WriteError};
use kit::{Kept, Model, append, bytes_of, dir};
use record::Offset;

/// What must hold after a crash at any moment.
#[derive(Clone, Debug, Default)]
struct Oracle {
    created: bool,
    /// The log is a first part of one of these.
    may_be: Vec<Vec<Kept>>,
    /// It ends here or later.
    durable: Offset,
    start: Offset,
}

type Told = Rc<RefCell<Oracle>>;

fn options() -> LogOptions {
    LogOptions { segment_bytes: 26_000, index_interval_bytes: 500, ..kit::small() }
}

struct Workload {
    env: SimEnv<()>,
    log: Log<SimEnv<()>>,
    model: Model,
    told: Told,
    appended: u64,
}

impl Workload {
    fn append(&mut self, value_len: usize) {
        self.appended += 1;
        let timestamp_ms = i64::try_from(self.appended).unwrap() * 10;
        let bytes = kit::batch(2, value_len, timestamp_ms, self.appended);
        append(&self.log, &mut self.model, &bytes, 0);
        // From now on it may be in the files.
        self.told.borrow_mut().may_be = vec![self.model.batches.clone()];
    }

    async fn write(&self) -> Result<(), WriteError> {
        // A full device passes.
        loop {
            match self.log.write(Group::Produce).await {
                Ok(_) => return Ok(()),
                Err(WriteError::Full(_)) => {}
                Err(error) => return Err(error),
            }
        }
    }

    async fn flush(&self) -> Result<(), WriteError> {
        let durable = self.log.flush(Group::Produce).await?;
        assert_eq!(durable, self.log.ends().durable);
        self.told.borrow_mut().durable = durable;
        Ok(())
    }

    /// Flushes while more is appended and written: a flush covers what was written before it.
    async fn flush_while_writing(&mut self) -> Result<(), WriteError> {
        let (env, log, told) = (self.env.clone(), self.log.clone(), Rc::clone(&self.told));
        let over = Cell::new(false);
        let flush = async {
            // Again and again, so that some begin while a write is in flight.
            while !over.get() {
                let flushed = log.flush(Group::Produce).await;
                over.set(over.get() || flushed.is_err());
                let durable = flushed?;
                let before = told.borrow().durable;
                told.borrow_mut().durable = before.max(durable);
                env.sleep(Duration::from_micros(10)).await;
            }
            Ok(())
        };
        let more = async {
            for value_len in [700, 50, 3000] {
                if over.get() {
                    break;
                }
                self.append(value_len);
                let written = self.write().await;
                over.set(written.is_err());
                written?;
                // Time for a flush that has nothing else to cover.
                self.env.sleep(Duration::from_micros(600)).await;
            }
            over.set(true);
            Ok(())
        };
        type Work<'a> = Pin<Box<dyn Future<Output = Result<(), WriteError>> + 'a>>;
        let both: Vec<Work<'_>> = vec![Box::pin(flush), Box::pin(more)];
        for done in all(both).await {
            done?;
        }
        // What was in flight during the first one is covered by another only.
        self.flush().await
    }

    async fn truncate(&mut self, batches: usize) -> Result<(), WriteError> {
        let to = self.model.batches[batches].base;
        {
            let mut told = self.told.borrow_mut();
            told.durable = told.durable.min(to);
        }
        loop {
            match self.log.truncate(to, Group::System).await {
                Ok(end) => assert_eq!(end, to),
                Err(WriteError::Full(_)) => continue,
                Err(error) => return Err(error),
            }
            break;
        }
        self.model.cut(to);
        let mut told = self.told.borrow_mut();
        told.may_be = vec![self.model.batches.clone()];
        told.durable = to;
        Ok(())
    }

    async fn advance_start(&mut self, batches: usize) -> Result<(), WriteError> {
        let to = self.model.batches[batches].base;
        self.told.borrow_mut().start = to;
        loop {
            match self.log.advance_start(to, Group::Retention).await {
                Err(WriteError::Full(_)) => {}
                done => return done,
            }
        }
    }

    async fn run(&mut self) -> Result<(), WriteError> {
        for round in 0..9_usize {
            for number in 0..4 {
                self.append([10, 900, 2000, 60][(round + number) % 4]);
            }
            self.write().await?;
            if round % 2 == 0 {
                self.append(4500);
                self.flush().await?;
            }
            match round {
                3 => {
                    let all = self.model.batches.len();
                    self.truncate(all - 7).await?;
                }
                5 => self.advance_start(12).await?,
                4 | 7 => self.flush_while_writing().await?,
                6 => drop(self.log.evict(usize::MAX)),
                _ => {}
            }
        }
        loop {
            match self.log.close(Group::System).await {
                Err(WriteError::Full(_)) => {}
                done => break done?,
            }
        }
        self.told.borrow_mut().durable = self.model.end;
        Ok(())
    }
}

/// Runs the workload as far as it comes.
async fn workload(env: SimEnv<()>, told: Told) -> Result<(), WriteError> {
    let created = loop {
        match Log::create(&env, dir(), options(), Offset::ZERO).await {
            Err(OpenError::Io(failure)) if failure.is_full() => {}
            created => break created,
        }
    };
    // A failure here leaves nothing that was promised.
    let Ok(log) = created else { return Ok(()) };
    told.borrow_mut().created = true;
    told.borrow_mut().may_be = vec![Vec::new()];
    let mut work = Workload { env, log, model: Model::default(), told, appended: 0 };
    let done = work.run().await;
    if done.is_err() {
        // Fenced: nothing more is taken, and what is there is still read.
        let bytes = kit::batch(1, 10, 0, 0);
        let stamp =
            evenkeel_segment::Stamp { base: work.model.end, epoch: record::LeaderEpoch::ZERO };
        assert!(work.log.append(&bytes, stamp, 0).is_err());
        assert!(work.log.write(Group::Produce).await.is_err());
        assert!(work.log.flush(Group::Produce).await.is_err());
    }
    done
}

/// What a recovery found.
#[derive(Debug, PartialEq, Eq)]
struct Recovered {
    first: Offset,
    bytes: Vec<u8>,
    end: Offset,
    opened: Opened,
}

async fn recover(env: SimEnv<()>, known: Known) -> Recovered {
    let (log, opened) = Log::open(&env, dir(), options(), known, Group::Recovery).await.unwrap();
    let first = log.segments()[0].base;
    let ends = log.ends();
    let mut from = first;
    let mut bytes = Vec::new();
    while from < ends.end {
        let read = log.read(from, ends.end, 5000, true, Group::Fetch).await.unwrap();
        bytes.extend(bytes_of(&read));
        from = read.next.unwrap();
    }
    Recovered { first, bytes, end: ends.end, opened }
}

/// Recovers, and appends other batches in the place of those that were lost.
async fn go_on(env: SimEnv<()>, known: Known) -> Recovered {
    let mut found = recover(env.clone(), known).await;
    let (log, _) = Log::open(&env, dir(), options(), known, Group::Recovery).await.unwrap();
    let mut model = Model { start: found.end, end: found.end, ..Model::default() };
    for seed in 100..103 {
        append(&log, &mut model, &kit::batch(1, 30, 5, seed), 0);
    }
    log.write(Group::Produce).await.unwrap();
    found.end = log.flush(Group::Produce).await.unwrap();
    assert_eq!(found.end, model.end);
    model.batches.iter().for_each(|batch| found.bytes.extend(&batch.bytes));
    found
}

fn verify(oracle: &Oracle, found: &Recovered, what: &str) {
    assert!(oracle.durable <= found.end, "{what}: {} < {}", found.end, oracle.durable);
    assert!(found.first <= oracle.start, "{what}: it begins at {}", found.first);
    let fits = oracle.may_be.iter().any(|batches| {
        let there = |batch: &&Kept| found.first <= batch.base && batch.next <= found.end;
        let want: Vec<&Kept> = batches.iter().filter(there).collect();
        let bytes: Vec<u8> = want.iter().flat_map(|batch| batch.bytes.clone()).collect();
        let end = want.last().map_or(found.first, |last| last.next);
        bytes == found.bytes && end == found.end
    });
    assert!(fits, "{what}: the log is not what was appended, up to {}", found.end);
    assert_eq!(found.opened.damage, [], "{what}");
}

fn known(oracle: &Oracle, recovery_point: Offset) -> Known {
    Known { start: oracle.start, recovery_point, clean: false, tail: None }
}

/// Recovers from what is left, twice, and with the power cut during the first recovery.
fn check_image(left: &Image, oracle: &Oracle, seed: u64, what: &str) {
    if !oracle.created {
        return;
    }
    let contents = left.contents();
    let image = || Image::of(&contents);
    // A checkpoint may be old, but not so old that it lies before what was removed.
    let recovery_point = if seed.is_multiple_of(2) { oracle.durable } else { oracle.start };
    let known = known(oracle, recovery_point.min(oracle.durable));
    let sim = Sim::<()>::restart(seed, SimOptions::default(), image());
    let first = sim.run(recover(sim.env(ShardId(0)), known)).done();
    verify(oracle, &first, what);
    let mutations = sim.mutations();
    let sim = Sim::<()>::restart(seed, SimOptions::default(), sim.cut_power());
    let second = sim.run(recover(sim.env(ShardId(0)), known)).done();
    verify(oracle, &second, what);
    assert!(first.bytes == second.bytes && first.end == second.end, "{what}: again");
    let sim = Sim::<()>::restart(seed, SimOptions::default(), image());
    let more = sim.run(go_on(sim.env(ShardId(0)), known)).done();
    let sim = Sim::<()>::restart(seed, SimOptions::default(), sim.cut_power());
    let after = sim.run(recover(sim.env(ShardId(0)), known)).done();
    assert!(more.bytes == after.bytes && more.end == after.end, "{what}: gone on, and cut again");
    // Enough of them for a test that runs often.
    for cut in (0..mutations).filter(|_| seed == 0) {
        let options = SimOptions { cut_after_mutations: Some(cut), ..SimOptions::default() };
        let sim = Sim::<()>::restart(seed, options, image());
        assert!(sim.run(recover(sim.env(ShardId(0)), known)).is_cut());
        let sim = Sim::<()>::restart(seed, SimOptions::default(), sim.cut_power());
        let after = sim.run(recover(sim.env(ShardId(0)), known)).done();
        verify(oracle, &after, &format!("{what}, recovery cut at {cut}"));
    }
}

#[test]
fn what_was_flushed_survives_a_power_cut_at_every_mutation() {
    for seed in 0..4 {
        let probe = Sim::<()>::new(seed, SimOptions::default());
        probe.run(workload(probe.env(ShardId(0)), Told::default())).done().unwrap();
        let mutations = probe.mutations();
        assert!(100 < mutations, "{mutations} mutations");
        for cut in 0..=mutations {
            let options = SimOptions { cut_after_mutations: Some(cut), ..SimOptions::default() };
            let sim = Sim::<()>::new(seed, options);
            let told = Told::default();
            let ended = sim.run(workload(sim.env(ShardId(0)), Rc::clone(&told)));
            assert!(ended.is_cut() || cut == mutations, "cut {cut} of {mutations}");
            let oracle = told.borrow().clone();
            let left = sim.cut_power_as(cut * 100 + seed);
            check_image(&left, &oracle, seed, &format!("cut {cut} seed {seed}"));
        }
    }
}

#[test]
fn every_call_may_fail_once() {
    let probe = Sim::<()>::new(1, SimOptions::default());
    probe.run(workload(probe.env(ShardId(0)), Told::default())).done().unwrap();
    for errno in [Errno::Eio, Errno::Enospc] {
        for nth in 1.. {
            let sim = Sim::<()>::new(1, SimOptions::default());
            let calls = Rc::new(Cell::new(0));
            let count = Rc::clone(&calls);
            let every = move |_: &Path| {
                count.set(count.get() + 1);
                true
            };
            sim.disk().inject(Fault::of_any(errno).on(every).nth(nth));
            let told = Told::default();
            let ended: Outcome<_> = sim.run(workload(sim.env(ShardId(0)), Rc::clone(&told)));
            let ended = ended.done();
            if calls.get() < nth {
                assert_eq!(ended, Ok(()));
                break;
            }
            let oracle = told.borrow().clone();
            let image = sim.kill_process();
            let what = format!("{errno:?} at call {nth}");
            if oracle.created {
                let known = known(&oracle, oracle.durable);
                let sim = Sim::<()>::restart(nth, SimOptions::default(), image);
                let found = sim.run(recover(sim.env(ShardId(0)), known)).done();
                verify(&oracle, &found, &what);
            }
        }
    }
}
