//! The index of aborted transactions through the life of a log, in a simulated world.

#![expect(clippy::unwrap_used, reason = "a test that fails may panic")]

mod kit;

use std::path::PathBuf;

use env::sim::{Image, Sim, SimEnv, SimOptions};
use env::{Disk, Env, Group, ShardId};
use evenkeel_segment::{AbortedError, AbortedIndex, AbortedTransaction, Known, Log, Stamp};
use kit::{at, closed, dir, small, unclean};
use record::{Builder, Codec, LeaderEpoch, Offset};

type World = SimEnv<()>;

fn run<F: Future>(image: Image, main: impl FnOnce(World) -> F) -> (F::Output, Sim<()>) {
    let sim = Sim::restart(3, SimOptions::default(), image);
    let env = sim.env(ShardId(0));
    let output = sim.run(main(env)).done();
    (output, sim)
}

fn nothing() -> Image {
    Image::of(&env::sim::Contents::default())
}

/// A transactional batch of one large record: about ten fill a segment.
fn append(log: &Log<World>) -> Offset {
    let mut builder = Builder::new(Codec::None);
    builder.producer(7, 0, 0).transactional().record(0, None, Some(&[1; 4_000]), &[]);
    let base = log.ends().end;
    log.append(&builder.build(), Stamp { base, epoch: LeaderEpoch::ZERO }, 0).unwrap();
    base
}

fn entry(first: i64, last: i64, stable: i64) -> AbortedTransaction {
    AbortedTransaction {
        producer_id: 7,
        first_offset: at(first),
        last_offset: at(last),
        last_stable: at(stable),
    }
}

/// Fills a log up to `end`; every batch at a multiple of five counts as a marker of an abort.
fn fill(log: &Log<World>, end: i64) {
    while log.ends().end < at(end) {
        let base = append(log).raw();
        if base % 5 == 0 && 0 < base {
            log.note_aborted(entry(base - 4, base, base + 1));
        }
    }
}

fn expected(from: i64, until: i64, end: i64) -> Vec<i64> {
    let markers = (1..).map(|n| n * 5).take_while(|marker| *marker < end);
    markers.filter(|marker| from <= *marker && marker - 4 < until).collect()
}

async fn told(log: &Log<World>, from: i64, until: i64) -> Result<Vec<i64>, AbortedError> {
    let mut markers = Vec::new();
    let each = |entry: &AbortedTransaction| markers.push(entry.last_offset.raw());
    log.each_aborted(at(from), at(until), Group::Fetch, each).await?;
    Ok(markers)
}

async fn check(log: &Log<World>, end: i64) {
    for from in (0..end).step_by(3) {
        for until in [from + 1, from + 7, end] {
            assert_eq!(
                told(log, from, until).await,
                Ok(expected(from, until, end)),
                "{from} {until}"
            );
        }
    }
}

fn index_path(base: i64) -> PathBuf {
    dir().join(format!("{base:020}.txnindex"))
}

async fn open(env: &World, known: Known) -> Log<World> {
    Log::open(env, dir(), small(), known, Group::Recovery).await.unwrap().0
}

async fn create(env: &World) -> Log<World> {
    Log::create(env, dir(), small(), Offset::ZERO).await.unwrap()
}

#[test]
fn each_range_finds_its_entries_in_memory_in_files_and_after_a_restart() {
    let ((), sim) = run(nothing(), |env| async move {
        let log = create(&env).await;
        fill(&log, 50);
        check(&log, 50).await;
        log.write(Group::Produce).await.unwrap();
        check(&log, 50).await;
        fill(&log, 57);
        check(&log, 57).await;
        log.close(Group::System).await.unwrap();
        assert!(3 < log.segments().len());
    });
    run(Image::of(&sim.kill_process().contents()), |env| async move {
        let log = open(&env, closed(at(57))).await;
        check(&log, 57).await;
        fill(&log, 80);
        check(&log, 80).await;
    });
}

#[test]
fn flushed_entries_survive_a_power_cut_and_later_ones_are_told_again() {
    let ((), sim) = run(nothing(), |env| async move {
        let log = create(&env).await;
        fill(&log, 33);
        log.write(Group::Produce).await.unwrap();
        log.flush(Group::Produce).await.unwrap();
        fill(&log, 46);
        log.write(Group::Produce).await.unwrap();
    });
    run(sim.cut_power(), |env| async move {
        let log = open(&env, unclean(at(33))).await;
        log.forget_aborted(at(33), Group::Recovery).await.unwrap();
        let end = log.ends().end.raw();
        for marker in expected(33, end, end) {
            log.note_transactional(at(marker));
            log.note_aborted(entry(marker - 4, marker, marker + 1));
        }
        check(&log, end).await;
        log.close(Group::System).await.unwrap();
        check(&log, end).await;
    });
}

#[test]
fn what_was_truncated_is_not_said_of_what_comes_after_also_without_another_write() {
    let ((), sim) = run(nothing(), |env| async move {
        let log = create(&env).await;
        fill(&log, 44);
        log.write(Group::Produce).await.unwrap();
        log.flush(Group::Produce).await.unwrap();
        log.truncate(at(33), Group::System).await.unwrap();
        assert_eq!(told(&log, 0, 33).await, Ok(expected(0, 33, 33)));
        while log.ends().end < at(48) {
            append(&log);
        }
        log.write(Group::Produce).await.unwrap();
        log.flush(Group::Produce).await.unwrap();
        assert_eq!(told(&log, 0, 48).await, Ok(expected(0, 33, 33)));
    });
    run(sim.cut_power(), |env| async move {
        let log = open(&env, unclean(at(48))).await;
        log.forget_aborted(at(48), Group::Recovery).await.unwrap();
        let segments = log.segments();
        let file = |base: Offset| index_path(base.raw());
        for segment in &segments[..segments.len() - 1] {
            assert!(env.disk().stat(&file(segment.base)).await.unwrap().is_some(), "{segment:?}");
        }
        let active = segments.last().unwrap().base;
        let found = told(&log, 0, active.raw()).await;
        // The active segment had nothing to file; whether it has aborted ones is not known.
        match found {
            Ok(found) => assert_eq!(found, expected(0, 33, 33)),
            Err(error) => {
                assert_eq!(error, AbortedError::Lost { segment: active, below: at(48) });
            }
        }
    });
}

#[test]
fn a_missing_or_wrong_index_is_lost_until_it_is_told_anew() {
    for wrong in [None, Some(&b"short"[..]), Some(&[0; 34]), Some(&[255; 68])] {
        let ((), sim) = run(nothing(), |env| async move {
            let log = create(&env).await;
            fill(&log, 57);
            log.close(Group::System).await.unwrap();
        });
        let mut contents = sim.kill_process().contents();
        let second = contents
            .files
            .keys()
            .filter(|path| path.extension().is_some_and(|kind| kind == "txnindex"))
            .nth(1)
            .unwrap()
            .clone();
        match wrong {
            None => drop(contents.files.remove(&second)),
            Some(bytes) => drop(contents.files.insert(second.clone(), bytes.to_vec())),
        }
        let ((), sim) = run(Image::of(&contents), |env| async move {
            let log = open(&env, closed(at(57))).await;
            let (base, next) = (log.segments()[1].base, log.segments()[1].next);
            assert_eq!(told(&log, 0, base.raw() - 4).await, Ok(expected(0, base.raw() - 4, 57)));
            let lost = AbortedError::Lost { segment: base, below: next };
            assert_eq!(told(&log, 0, 57).await, Err(lost.clone()));
            assert_eq!(told(&log, 0, 57).await, Err(lost));
            let mut entries = AbortedIndex::new();
            for marker in expected(base.raw(), 57, next.raw()) {
                entries.push(entry(marker - 4, marker, marker + 1));
            }
            log.restore_aborted(base, next, &entries);
            check(&log, 57).await;
            // A flush that finds nothing to do does not hide what the next write brings.
            log.flush(Group::System).await.unwrap();
            log.close(Group::System).await.unwrap();
            check(&log, 57).await;
        });
        run(sim.cut_power(), |env| async move {
            check(&open(&env, closed(at(57))).await, 57).await;
        });
    }
}

#[test]
fn a_full_segment_of_committed_transactions_has_an_empty_index_and_others_have_none() {
    run(nothing(), |env| async move {
        let log = create(&env).await;
        while log.segments().len() < 2 {
            append(&log);
        }
        let second = log.segments()[1].base;
        let exists = |base: Offset| {
            let env = env.clone();
            async move { env.disk().stat(&index_path(base.raw())).await.unwrap() }
        };
        log.write(Group::Produce).await.unwrap();
        assert_eq!(exists(Offset::ZERO).await.map(|stat| stat.len), Some(0));
        assert_eq!(exists(second).await.map(|stat| stat.len), None);
        let plain = kit::batch(1, 4_000, 0, 1);
        log.close(Group::System).await.unwrap();
        assert_eq!(exists(second).await.map(|stat| stat.len), Some(0));
        while log.segments().len() < 4 {
            let stamp = Stamp { base: log.ends().end, epoch: LeaderEpoch::ZERO };
            log.append(&plain, stamp, 0).unwrap();
        }
        log.close(Group::System).await.unwrap();
        let third = log.segments()[2].base;
        assert_eq!(exists(third).await.map(|stat| stat.len), None);
        assert_eq!(told(&log, 0, log.ends().end.raw()).await, Ok(Vec::new()));
    });
}
