//! Writing and flushing: full devices, rolling, many tasks at once, how much is written.

#![expect(clippy::unwrap_used, reason = "a test that fails may panic")]

mod kit;

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use env::sim::{DiskOptions, Errno, Fault, Op, Sim, SimEnv, SimOptions};
use env::sync::Signal;
use env::{Env, Group, ShardId};
use evenkeel_segment::{AppendError, Known, Log, LogOptions, WriteError};
use kit::{Model, append, at, batch, bytes_of, check, closed, dir, small, unclean};
use record::Offset;

fn on_disk(disk: DiskOptions) -> Sim<()> {
    Sim::new(7, SimOptions { disk, ..SimOptions::default() })
}

async fn create(env: &SimEnv<()>, options: LogOptions) -> Log<SimEnv<()>> {
    Log::create(env, dir(), options, Offset::ZERO).await.unwrap()
}

#[test]
fn a_full_device_keeps_everything_in_memory_and_passes() {
    let sim = on_disk(DiskOptions { bytes_max: Some(150_000), ..DiskOptions::default() });
    let env = sim.env(ShardId(0));
    sim.run(async move {
        let log = create(&env, small()).await;
        let mut model = Model::default();
        let failure = loop {
            append(&log, &mut model, &batch(1, 3000, 0, 1), 0);
            match log.write(Group::Produce).await {
                Ok(end) => assert_eq!(end, model.end),
                Err(WriteError::Full(failure)) => break failure,
                Err(error) => panic!("{error}"),
            }
        };
        assert!(failure.is_full());
        let before = log.ends();
        assert!(before.written < before.end);
        append(&log, &mut model, &batch(1, 3000, 0, 2), 0);
        log.flush(Group::Produce).await.unwrap();
        assert_eq!(log.ends().durable, before.written);
        check(&log, &model).await;
        assert!(matches!(log.write(Group::Produce).await, Err(WriteError::Full(_))));
        // Removing the oldest segment makes room, though nothing can be written before.
        let second = log.segments()[1].base;
        log.advance_start(second, Group::Retention).await.unwrap();
        model.batches.retain(|batch| second <= batch.base);
        assert_eq!(log.write(Group::Produce).await, Ok(model.end));
        assert_eq!(log.flush(Group::Produce).await, Ok(model.end));
        check(&log, &model).await;
    })
    .done();
}

#[test]
fn retention_of_everything_works_on_a_full_device() {
    let sim = on_disk(DiskOptions::default());
    let env = sim.env(ShardId(0));
    let disk = sim.disk().clone();
    sim.run(async move {
        let log = create(&env, small()).await;
        let mut model = Model::default();
        for number in 0..40 {
            append(&log, &mut model, &batch(1, 3000, 0, number), 0);
        }
        disk.inject(Fault::of(Op::Write, Errno::Enospc).from_nth(1));
        assert!(matches!(log.write(Group::Produce).await, Err(WriteError::Full(_))));
        log.advance_start(model.end, Group::Retention).await.unwrap();
        disk.clear_faults();
        model = Model { batches: Vec::new(), start: model.end, end: model.end };
        let ends = log.ends();
        assert_eq!((ends.start, ends.durable, ends.written), (model.end, model.end, model.end));
        append(&log, &mut model, &batch(1, 3000, 0, 1), 0);
        assert_eq!(log.write(Group::Produce).await, Ok(model.end));
        check(&log, &model).await;
        let known = Known { start: ends.start, ..unclean(ends.durable) };
        let (log, _) = Log::open(&env, dir(), small(), known, Group::Recovery).await.unwrap();
        check(&log, &model).await;
    })
    .done();
}

#[test]
fn a_failed_flush_fences_for_good_and_reads_go_on() {
    let sim = on_disk(DiskOptions::default());
    let env = sim.env(ShardId(0));
    let disk = sim.disk().clone();
    sim.run(async move {
        let log = create(&env, small()).await;
        let mut model = Model::default();
        append(&log, &mut model, &batch(1, 100, 0, 1), 0);
        log.write(Group::Produce).await.unwrap();
        disk.inject(Fault::of(Op::Sync, Errno::Eio));
        let Err(WriteError::Fenced(failure)) = log.flush(Group::Produce).await else {
            panic!("the sync failed");
        };
        assert_eq!((failure.op, failure.errno), ("sync", Some(5)));
        let fenced = || Err(WriteError::Fenced(failure.clone()));
        // The disk is well again; the log is not.
        assert_eq!(log.flush(Group::Produce).await, fenced());
        assert_eq!(log.write(Group::Produce).await, fenced());
        let stamp = evenkeel_segment::Stamp { base: model.end, epoch: record::LeaderEpoch::ZERO };
        let refused = log.append(&batch(1, 1, 0, 1), stamp, 0);
        assert_eq!(refused, Err(AppendError::Fenced(failure.clone())));
        assert_eq!(log.ends().durable, Offset::ZERO);
        check(&log, &model).await;
    })
    .done();
}

#[test]
fn a_segment_rolls_by_the_age_of_its_first_batch_also_after_a_restart() {
    let sim = on_disk(DiskOptions::default());
    let env = sim.env(ShardId(0));
    sim.run(async move {
        let options = LogOptions { segment_ms: 1000, ..small() };
        let log = create(&env, options).await;
        let mut model = Model::default();
        let now_ms = env.wall_ms();
        assert!(!append(&log, &mut model, &batch(1, 9, now_ms, 1), now_ms));
        log.close(Group::System).await.unwrap();
        let (log, _) =
            Log::open(&env, dir(), options, closed(model.end), Group::Recovery).await.unwrap();
        // The first write after a restart learns how old the segment is.
        assert!(!append(&log, &mut model, &batch(1, 9, now_ms + 900, 1), now_ms + 900));
        log.write(Group::Produce).await.unwrap();
        assert!(!append(&log, &mut model, &batch(1, 9, now_ms + 1000, 1), now_ms + 1000));
        assert!(append(&log, &mut model, &batch(1, 9, now_ms + 1001, 1), now_ms + 1001));
        check(&log, &model).await;
    })
    .done();
}

#[test]
fn a_write_whose_future_is_dropped_goes_on() {
    let sim = on_disk(DiskOptions::default());
    let env = sim.env(ShardId(0));
    sim.run(async move {
        let log = create(&env, small()).await;
        let mut model = Model::default();
        append(&log, &mut model, &batch(1, 100, 0, 1), 0);
        env::sync::race(
            async { drop(log.write(Group::Produce).await) },
            env.sleep(std::time::Duration::from_nanos(1)),
        )
        .await;
        assert!(log.ends().written < model.end, "it was dropped before it was done");
        env.sleep(std::time::Duration::from_secs(1)).await;
        assert_eq!(log.ends().written, model.end);
    })
    .done();
}

#[test]
fn little_more_is_written_than_was_appended() {
    let sim = on_disk(DiskOptions::default());
    let env = sim.env(ShardId(0));
    let disk = sim.disk().clone();
    let written = Rc::new(Cell::new(0_u32));
    let count = Rc::clone(&written);
    let seen = move |path: &std::path::Path| {
        count.set(count.get() + u32::from(path.extension().is_some_and(|e| e == "log")));
        false
    };
    disk.inject(Fault::of(Op::Write, Errno::Eio).on(seen));
    sim.run(async move {
        let options = LogOptions { segment_bytes: 64 << 20, ..small() };
        let log = create(&env, options).await;
        let mut model = Model::default();
        for number in 0..100 {
            append(&log, &mut model, &batch(1, 40_000, 0, number), 0);
        }
        log.write(Group::Produce).await.unwrap();
        let writes = written.get();
        assert!(writes <= 8, "4 MB in {writes} writes");
        append(&log, &mut model, &batch(1, 10, 0, 0), 0);
        log.write(Group::Produce).await.unwrap();
        assert_eq!(written.get() - writes, 1, "one page");
        check(&log, &model).await;
    })
    .done();
}

/// What the tasks of the next test share.
struct Shared {
    env: SimEnv<()>,
    log: Log<SimEnv<()>>,
    model: RefCell<Model>,
    done: Cell<u32>,
    ended: Signal,
}

impl Shared {
    fn end(&self) {
        self.done.set(self.done.get() + 1);
        self.ended.notify();
    }

    async fn pause(&self) {
        let nanos = self.env.random() % 300_000;
        self.env.sleep(std::time::Duration::from_nanos(nanos)).await;
    }

    async fn appends(self: Rc<Self>) {
        for number in 0..120_u64 {
            let len = [10, 300, 3000, 9000][usize::try_from(self.env.random() % 4).unwrap()];
            append(&self.log, &mut self.model.borrow_mut(), &batch(2, len, 5, number), 0);
            if self.env.random().is_multiple_of(3) {
                self.pause().await;
            }
        }
        self.end();
    }

    async fn writes(self: Rc<Self>) {
        while self.done.get() == 0 {
            let end = self.log.ends().end;
            let written = self.log.write(Group::Produce).await.unwrap();
            assert!(end <= written, "{written} and not {end}");
            if self.env.random().is_multiple_of(4) {
                let durable = self.log.flush(Group::Produce).await.unwrap();
                assert!(written <= durable);
                self.log.evict(30_000);
            }
            self.pause().await;
        }
        self.end();
    }

    async fn flushes(self: Rc<Self>) {
        while self.done.get() == 0 {
            let written = self.log.ends().written;
            assert!(written <= self.log.flush(Group::Retention).await.unwrap());
            self.log.release_files();
            self.pause().await;
        }
        self.end();
    }

    async fn reads(self: Rc<Self>) {
        while self.done.get() == 0 {
            let end = self.model.borrow().end;
            let place = self.env.random() % (u64::try_from(end.raw()).unwrap() + 1);
            let from = at(i64::try_from(place).unwrap());
            let max_bytes = usize::try_from(self.env.random() % 50_000).unwrap();
            let read = self.log.read(from, end, max_bytes, true, Group::Fetch).await.unwrap();
            let (want, next) = self.model.borrow().read(from, end, max_bytes, true);
            assert!(bytes_of(&read) == want && read.next == next, "{from} {end} {max_bytes}");
            self.pause().await;
        }
        self.end();
    }
}

#[test]
fn appends_writes_flushes_and_reads_go_on_at_once() {
    for seed in 0..10 {
        let sim = Sim::<()>::new(seed, SimOptions::default());
        let env = sim.env(ShardId(0));
        sim.run(async move {
            let log = create(&env, small()).await;
            let shared = Rc::new(Shared {
                env: env.clone(),
                log,
                model: RefCell::default(),
                done: Cell::new(0),
                ended: Signal::new(),
            });
            env.spawn(Group::Produce, Rc::clone(&shared).appends());
            env.spawn(Group::Produce, Rc::clone(&shared).writes());
            env.spawn(Group::Produce, Rc::clone(&shared).writes());
            env.spawn(Group::Retention, Rc::clone(&shared).flushes());
            env.spawn(Group::Fetch, Rc::clone(&shared).reads());
            env.spawn(Group::Fetch, Rc::clone(&shared).reads());
            while shared.done.get() < 6 {
                shared.ended.after(shared.ended.seen()).await;
            }
            shared.log.close(Group::System).await.unwrap();
            let model = shared.model.borrow().clone();
            check(&shared.log, &model).await;
            let known = closed(model.end);
            let (log, _) = Log::open(&env, dir(), small(), known, Group::Recovery).await.unwrap();
            check(&log, &model).await;
        })
        .done();
    }
}
