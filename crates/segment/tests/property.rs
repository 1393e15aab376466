//! A log against a list of batches, under random operations, compared after each.

#![expect(clippy::unwrap_used, reason = "a test that fails may panic")]

mod kit;

use env::sim::{Sim, SimOptions};
use env::std_world::StdEnv;
use env::{Disk, Env, Group, ShardId};
use evenkeel_segment::{Found, Known, Log, LogOptions};
use kit::{Model, append, at, bytes_of, check, dir, small};
use proptest::prelude::*;
use record::{LeaderEpoch, Offset, Records, payload};

#[derive(Clone, Debug)]
enum Step {
    Append { records: usize, value_len: usize, timestamp_ms: i64 },
    AppendBehindGap { gap: i64 },
    Write,
    Flush,
    Read { from: u32, until: u32, max_bytes: usize, at_least_one: bool },
    FindTime { timestamp_ms: i64 },
    Unwritten,
    Truncate { to: u32 },
    AdvanceStart { to: u32 },
    Evict { bytes: usize },
    ReleaseFiles,
    Options { segment_bytes: u64, index_interval_bytes: u32 },
    Reopen(Stop),
}

#[derive(Clone, Copy, Debug)]
enum Stop {
    Close,
    CloseKeepingTail,
    FlushKeepingTail,
    Kill,
}

fn step() -> impl Strategy<Value = Step> {
    let append = (
        1_usize..4,
        prop_oneof![8 => 0_usize..300, 2 => 3000_usize..9000, 1 => 20_000_usize..30_000],
        0_i64..2000,
    )
        .prop_map(|(records, value_len, timestamp_ms)| {
            let records = if value_len < 9000 { records } else { 1 };
            Step::Append { records, value_len, timestamp_ms }
        });
    let read = (
        0_u32..1100,
        0_u32..1100,
        prop_oneof![Just(0), Just(1), 100_usize..3000, Just(60_000)],
        any::<bool>(),
    )
        .prop_map(|(from, until, max_bytes, at_least_one)| Step::Read {
            from,
            until,
            max_bytes,
            at_least_one,
        });
    let stop = prop_oneof![
        Just(Stop::Close),
        Just(Stop::CloseKeepingTail),
        Just(Stop::FlushKeepingTail),
        Just(Stop::Kill)
    ];
    prop_oneof![
        40 => append,
        1 => (1_i64..50).prop_map(|gap| Step::AppendBehindGap { gap }),
        8 => Just(Step::Write),
        5 => Just(Step::Flush),
        12 => read,
        4 => (0_i64..2200).prop_map(|timestamp_ms| Step::FindTime { timestamp_ms }),
        3 => Just(Step::Unwritten),
        2 => (0_u32..1100).prop_map(|to| Step::Truncate { to }),
        2 => (0_u32..1050).prop_map(|to| Step::AdvanceStart { to }),
        4 => (0_usize..100_000).prop_map(|bytes| Step::Evict { bytes }),
        1 => Just(Step::ReleaseFiles),
        1 => (10_000_u64..80_000, 0_u32..3000).prop_map(|(segment_bytes, index_interval_bytes)| {
            Step::Options { segment_bytes: segment_bytes.max(32_000), index_interval_bytes }
        }),
        4 => stop.prop_map(Step::Reopen),
    ]
}

struct Run<E: Env> {
    env: E,
    log: Log<E>,
    model: Model,
    options: LogOptions,
    appended: u64,
}

impl<E: Env> Run<E> {
    async fn new(env: E) -> Run<E> {
        let options = small();
        let log = Log::create(&env, dir(), options, Offset::ZERO).await.unwrap();
        Run { env, log, model: Model::default(), options, appended: 0 }
    }

    /// An offset of the log, by thousandths of it; above that, behind its end.
    fn place(&self, of_1000: u32) -> Offset {
        let (first, end) = (self.first().raw(), self.model.end.raw());
        at(first + (end - first) * i64::from(of_1000) / 1000)
    }

    fn first(&self) -> Offset {
        self.model.batches.first().map_or(self.model.end, |batch| batch.base)
    }

    async fn step(&mut self, step: &Step) {
        let log = self.log.clone();
        match *step {
            Step::Append { records, value_len, timestamp_ms } => {
                self.appended += 1;
                let bytes = kit::batch(records, value_len, timestamp_ms, self.appended);
                append(&log, &mut self.model, &bytes, 0);
            }
            Step::AppendBehindGap { gap } => {
                self.appended += 1;
                let mut bytes = kit::batch(2, 50, 10, self.appended);
                let base = self.model.end.plus(gap);
                record::stamp(&mut bytes, base, LeaderEpoch::ZERO);
                log.append_verbatim(&bytes, 0).unwrap();
                self.model.append(&bytes, base, LeaderEpoch::ZERO);
            }
            Step::Write => assert_eq!(log.write(Group::Produce).await, Ok(self.model.end)),
            Step::Flush => {
                let written = log.ends().written;
                assert_eq!(log.flush(Group::Produce).await, Ok(written));
            }
            Step::Read { from, until, max_bytes, at_least_one } => {
                let (from, until) = (self.place(from), self.place(until));
                let read =
                    log.read(from, until, max_bytes, at_least_one, Group::Fetch).await.unwrap();
                let (want, next) = self.model.read(from, until, max_bytes, at_least_one);
                assert!(
                    bytes_of(&read) == want,
                    "{from} {until}: {} != {}",
                    read.bytes,
                    want.len()
                );
                // Behind a gap it may name the next batch.
                let behind = |next| self.model.batches.iter().find(|batch| next <= batch.base);
                let (have, want_at) = (read.next.map(behind), next.map(behind));
                let base = |batch: Option<Option<&kit::Kept>>| batch.map(|b| b.map(|b| b.base));
                assert!(
                    base(have) == base(want_at) && next <= read.next,
                    "{:?} {next:?}",
                    read.next
                );
                if let Some(hot) = log.read_hot(from, until, max_bytes, at_least_one) {
                    assert!(want.starts_with(&bytes_of(&hot)));
                }
            }
            Step::FindTime { timestamp_ms } => self.find_time(timestamp_ms).await,
            Step::Unwritten => {
                let written = log.ends().written;
                let parts = log.unwritten(written);
                let have: Vec<u8> = parts.iter().flat_map(|part| part.to_vec()).collect();
                let (want, _) = self.model.read(written, self.model.end, usize::MAX, true);
                assert!(have == want, "unwritten from {written}");
                assert_eq!(log.unwritten_bytes(), want.len() as u64);
            }
            Step::Truncate { to } => self.truncate(self.place(to)).await,
            Step::AdvanceStart { to } => {
                let to = self.place(to).min(self.model.end);
                log.advance_start(to, Group::Retention).await.unwrap();
                self.model.start = self.model.start.max(to);
                let first = log.segments()[0].base;
                assert!(first <= self.model.start);
                self.model.batches.retain(|batch| first <= batch.base);
            }
            Step::Evict { bytes } => {
                let before = log.cached_bytes();
                let released = log.evict(bytes);
                assert_eq!(log.cached_bytes(), before - released);
            }
            Step::ReleaseFiles => assert!(log.release_files() < 20),
            Step::Options { segment_bytes, index_interval_bytes } => {
                self.options = LogOptions { segment_bytes, index_interval_bytes, ..self.options };
                log.set_options(self.options);
            }
            Step::Reopen(stop) => self.reopen(stop).await,
        }
    }

    async fn truncate(&mut self, to: Offset) {
        let end = self.log.truncate(to, Group::System).await.unwrap();
        let first = self.log.segments()[0].base;
        self.model.batches.retain(|batch| batch.next <= to);
        if to <= first {
            assert_eq!(end, to.min(self.model.end));
        }
        self.model.start = self.model.start.min(end);
        let last = self.model.batches.last().map(|batch| batch.next);
        assert!(last.is_none_or(|last| last <= end) && end <= to.max(first));
        self.model.end = end;
    }

    async fn find_time(&self, timestamp_ms: i64) {
        let found = self.log.find_time(timestamp_ms, Group::Fetch).await.unwrap();
        let mut records = Vec::new();
        for batch in &self.model.batches {
            let header = record::Header::read(&batch.bytes).unwrap();
            let payload = payload(&batch.bytes, 1 << 20).unwrap();
            let of_batch = Records::new(&header, &payload).map(Result::unwrap);
            records.extend(of_batch.map(|record| (record.offset, record.timestamp_ms)));
        }
        records.retain(|(offset, _)| self.model.start <= *offset);
        let want = records.iter().find(|(_, at_ms)| timestamp_ms <= *at_ms).map(|found| Found {
            offset: found.0,
            timestamp_ms: found.1,
            leader_epoch: Some(LeaderEpoch::ZERO),
        });
        assert_eq!(found, want, "the first record at {timestamp_ms}");
    }

    async fn reopen(&mut self, stop: Stop) {
        let log = &self.log;
        let mut tail = None;
        match stop {
            Stop::Kill => {}
            Stop::FlushKeepingTail => {
                log.write(Group::Produce).await.unwrap();
                log.flush(Group::Produce).await.unwrap();
                tail = log.tail();
            }
            Stop::Close | Stop::CloseKeepingTail => {
                log.close(Group::Produce).await.unwrap();
                if let Stop::CloseKeepingTail = stop {
                    tail = log.tail();
                }
            }
        }
        let ends = log.ends();
        let clean = matches!(stop, Stop::Close | Stop::CloseKeepingTail);
        let start = self.model.start;
        let known = Known { start, recovery_point: ends.durable, clean, tail };
        let (log, opened) =
            Log::open(&self.env, dir(), self.options, known, Group::Recovery).await.unwrap();
        self.log = log;
        assert_eq!(opened.damage, []);
        assert_eq!(opened.cut, None);
        if tail.is_some() || clean {
            assert_eq!(opened.scanned_bytes, 0, "nothing is scanned");
        }
        // Without its chunks the log ends where the files do.
        if self.model.end != ends.written {
            self.model.cut(ends.written);
        }
        if self.model.end < start {
            // What was written lay below the log start: nothing is left, and it goes on there.
            self.model.batches.clear();
        }
        let end = self.log.ends().end;
        // A gap at the end was known in memory only.
        assert!(self.model.batches.last().is_none_or(|last| last.next == end));
        self.model.end = end;
        let first = self.log.segments()[0].base;
        self.model.batches.retain(|batch| first <= batch.base);
    }
}

async fn run<E: Env>(env: E, steps: Vec<Step>) {
    let mut run = Run::new(env).await;
    for (number, step) in steps.iter().enumerate() {
        run.step(step).await;
        if number % 4 == 0 {
            check(&run.log, &run.model).await;
        }
    }
    check(&run.log, &run.model).await;
    run.log.close(Group::System).await.unwrap();
    check_closed(&run.env, &run.log).await;
    check(&run.log, &run.model).await;
}

/// After a clean stop every file is as long as it should be and no other is there.
async fn check_closed<E: Env>(env: &E, log: &Log<E>) {
    let names = env.disk().list(dir()).await.unwrap();
    let names: Vec<String> = names.into_iter().map(|entry| entry.name).collect();
    let segments = log.segments();
    assert_eq!(names.len(), segments.len() * 3, "{names:?}");
    for segment in &segments {
        let path = dir().join(format!("{:020}.log", segment.base.raw()));
        assert_eq!(env.disk().stat(&path).await.unwrap().unwrap().len, segment.len_bytes);
        assert!(segment.durable);
    }
}

/// A few cases, or as many as `PROPTEST_CASES` says.
fn config() -> ProptestConfig {
    let default = ProptestConfig::default();
    let cases = if std::env::var_os("PROPTEST_CASES").is_some() { default.cases } else { 48 };
    ProptestConfig { cases, failure_persistence: None, ..default }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_log_is_a_list_of_batches(steps in prop::collection::vec(step(), 1..60)) {
        let root = tempfile::tempdir().unwrap();
        let env = StdEnv::new(root.path(), 64 << 20);
        env.block_on(run(env.clone(), steps));
    }

    #[test]
    fn a_log_on_direct_files_is_a_list_of_batches(
        steps in prop::collection::vec(step(), 1..60),
        seed in any::<u64>(),
    ) {
        let sim = Sim::<()>::new(seed, SimOptions::default());
        let env = sim.env(ShardId(0));
        sim.run(run(env, steps)).done();
    }
}
