//! Random histories against a map, in the simulated world.

#![expect(clippy::unwrap_used, reason = "a test that fails may panic")]

mod kit;

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use env::sim::{Sim, SimOptions};
use env::{Env, Group, ShardId};
use evenkeel_compaction::{Pass, Step};
use kit::{History, check, check_clean, consume, fill, pass, reopen};
use record::Offset;

fn simulated(seed: u64, cut_after_mutations: Option<u64>) -> Sim<()> {
    Sim::new(seed, SimOptions { cut_after_mutations, ..SimOptions::default() })
}

#[test]
fn after_each_pass_the_log_is_the_map() {
    for seed in 0..40 {
        let history = History::random(seed, 120, 12 + seed % 30);
        let sim = simulated(seed, None);
        let env = sim.env(ShardId(0));
        let segment_bytes = 700 + seed * 70;
        sim.run(async {
            let log = fill(&env, &history, segment_bytes).await;
            check(&log, &history).await;
            let first = pass(&env, &log, &history, 100_000).await.unwrap();
            let Some(first) = first else { return };
            let seen = check(&log, &history).await;
            check_clean(&history, &seen, first.cleaned_to);
            assert!(0 < first.rewritten, "seed {seed}: {first:?}");
            // No record is due any more. Small files become one, markers of transactions that became
            // empty get their horizon, and then nothing is written.
            let mut written = Vec::new();
            for round in 1..=8 {
                let next = pass(&env, &log, &history, 100_000 + round).await.unwrap().unwrap();
                assert_eq!(next.dropped_records, 0, "seed {seed}: {next:?}");
                written.push(next.written);
            }
            assert_eq!(written.last(), Some(&0), "seed {seed}: {written:?}");
            check(&log, &history).await;
            // Behind the horizon the tombstones go.
            let late = pass(&env, &log, &history, 200_000).await.unwrap().unwrap();
            let seen = check(&log, &history).await;
            check_clean(&history, &seen, late.cleaned_to);
            let tombstones =
                seen.records.range(..late.cleaned_to).filter(|(_, t)| t.value.is_none());
            assert_eq!(tombstones.count(), 0, "seed {seed}: {late:?}");
            log.close(Group::System).await.unwrap();
            drop(log);
            let log = reopen(&env, segment_bytes, history.end).await;
            check(&log, &history).await;
        })
        .done();
    }
}

/// Cuts the power at every mutation of a pass and finishes it afterwards.
fn cut_everywhere(seed: u64, batches: u64, stride: usize) -> (u64, u64) {
    let history = History::random(seed, batches, 9);
    let plain = simulated(seed, None);
    let env = plain.env(ShardId(0));
    let (first, last) = plain
        .run(async {
            let log = fill(&env, &history, 900).await;
            let first = plain.mutations();
            pass(&env, &log, &history, 100_000).await.unwrap();
            (first, plain.mutations())
        })
        .done();
    let (mut cuts, mut resumed) = (0, 0);
    for cut in (first..=last).step_by(stride) {
        let sim = simulated(seed, Some(cut));
        let env = sim.env(ShardId(0));
        let outcome = sim.run(async {
            let log = fill(&env, &history, 900).await;
            let _ = pass(&env, &log, &history, 100_000).await;
        });
        assert!(outcome.is_cut() || cut == last);
        let mut image = sim.cut_power_as(cut ^ seed);
        // A second cut in the pass that goes on.
        for again in [Some(40 + cut % 17), None] {
            let options = SimOptions { cut_after_mutations: again, ..SimOptions::default() };
            let sim: Sim<()> = Sim::restart(cut, options, image);
            let env = sim.env(ShardId(0));
            let went_on = Rc::new(Cell::new(false));
            let outcome = sim.run(async {
                let log = reopen(&env, 900, history.end).await;
                check(&log, &history).await;
                // Late enough for tombstones that the first pass dated to go.
                let done = pass(&env, &log, &history, 200_000).await.unwrap();
                let seen = check(&log, &history).await;
                if let Some(done) = done {
                    check_clean(&history, &seen, done.cleaned_to);
                    went_on.set(done.resumed);
                }
            });
            assert!(again.is_some() || !outcome.is_cut());
            resumed += u64::from(went_on.get());
            cuts += 1;
            image = sim.cut_power_as(cut ^ seed ^ 77);
        }
    }
    (cuts, resumed)
}

#[test]
fn a_power_cut_at_any_mutation_loses_nothing() {
    let mut all = (0, 0);
    for seed in 0..4 {
        let (cuts, resumed) = cut_everywhere(seed, 60, 1);
        all = (all.0 + cuts, all.1 + resumed);
    }
    assert!(400 < all.0 && 20 < all.1, "{all:?} cuts and passes that went on");
}

#[test]
fn readers_before_during_and_after_see_the_latest_of_every_key() {
    for seed in 0..30 {
        let history = Rc::new(History::random(seed, 120, 15));
        let sim = simulated(seed, None);
        let env = sim.env(ShardId(0));
        sim.run(async {
            let log = fill(&env, &history, 1_000).await;
            let over = Rc::new(Cell::new(0));
            for reader in 0..5_u32 {
                let (log, env, history, over) =
                    (log.clone(), env.clone(), Rc::clone(&history), Rc::clone(&over));
                env.clone().spawn(Group::Fetch, async move {
                    // The first begins before the pass; the others while it runs.
                    env.sleep(std::time::Duration::from_millis(u64::from(reader) * 3)).await;
                    let found = kit::batches(&log, Offset::ZERO).await;
                    assert_eq!(consume(&history, &found).map, history.map(), "reader {reader}");
                    over.set(over.get() + 1);
                });
            }
            pass(&env, &log, &history, 100_000).await.unwrap();
            pass(&env, &log, &history, 200_000).await.unwrap();
            while over.get() < 5 {
                env.sleep(std::time::Duration::from_millis(1)).await;
            }
            check(&log, &history).await;
        })
        .done();
    }
}

#[test]
fn a_pass_may_be_left_at_any_piece() {
    let history = History::random(5, 120, 10);
    for stop in 0..200 {
        let sim = simulated(stop, None);
        let env = sim.env(ShardId(0));
        let over = RefCell::new(false);
        sim.run(async {
            let log = fill(&env, &history, 900).await;
            let inputs = history.inputs(100_000);
            let mut left = Pass::begin(&log, &env, kit::settings(), inputs).await.unwrap().unwrap();
            for _ in 0..stop {
                if let Step::Done(_) = left.step().await.unwrap() {
                    *over.borrow_mut() = true;
                    break;
                }
            }
            drop(left);
            check(&log, &history).await;
            let done = pass(&env, &log, &history, 100_000).await.unwrap().unwrap();
            let seen = check(&log, &history).await;
            check_clean(&history, &seen, done.cleaned_to);
        })
        .done();
        if *over.borrow() {
            return;
        }
    }
    panic!("a pass of so little data has so many pieces");
}
