//! The power is cut at a random mutation of the disk, twice; what was acknowledged or seen is
//! there afterwards, and recovering twice gives the same.
//!
//! Replay one seed: `SIM_SEED=123 cargo test -p evenkeel-sim-tests --test power_cut`. Run others:
//! `SIM_SEEDS=2000`, or `SIM_SEEDS=1000..2000`.

use std::num::NonZero;
use std::ops::Range;
use std::thread;

use evenkeel_sim_tests::plan::Plan;
use evenkeel_sim_tests::scenario::{Ran, run};

/// Enough seeds that each thing that can happen does.
const MANY: u64 = 100;

/// Seeds from the environment: one, how many, or a range.
fn seeds() -> Range<u64> {
    let number = |text: &str| text.parse::<u64>().expect("SIM_SEED and SIM_SEEDS are numbers");
    if let Ok(seed) = std::env::var("SIM_SEED") {
        let seed = number(&seed);
        return seed..seed + 1;
    }
    match std::env::var("SIM_SEEDS") {
        Ok(seeds) => match seeds.split_once("..") {
            Some((first, end)) => number(first)..number(end),
            None => 0..number(&seeds),
        },
        Err(_) => 0..200,
    }
}

#[test]
fn what_was_acknowledged_or_seen_survives_every_cut() {
    let seeds = seeds();
    let enough = MANY <= seeds.end - seeds.start;
    let all = run_all(seeds);
    println!("{all:?}");
    if enough {
        the_disk_did_its_worst(all);
    }
}

/// Every seed, shared out over as many threads as there are processors. A world has one thread, so
/// that changes nothing in any run.
fn run_all(seeds: Range<u64>) -> Ran {
    let threads = thread::available_parallelism().map_or(1, NonZero::get);
    let every = move |thread: usize| {
        let mut all = Ran::default();
        for seed in seeds.clone().skip(thread).step_by(threads) {
            all = all.and(run(Plan::of_seed(seed)));
        }
        all
    };
    thread::scope(|scope| {
        let every = &every;
        let running: Vec<_> =
            (0..threads).map(|thread| scope.spawn(move || every(thread))).collect();
        let done = running.into_iter().map(|one| one.join().expect("the panic names its seed"));
        done.fold(Ran::default(), Ran::and)
    })
}

/// That the rules hold says nothing if what they guard against never happened.
fn the_disk_did_its_worst(all: Ran) {
    assert!(0 < all.cuts, "no power cut: {all:?}");
    assert!(0 < all.losses.torn_writes, "no torn sector: {all:?}");
    assert!(0 < all.losses.overtaken_writes, "no write overtook another: {all:?}");
    assert!(0 < all.losses.lengths, "no lost length: {all:?}");
    assert!(0 < all.losses.names, "no lost update of a directory: {all:?}");
    assert!(0 < all.stale_frames, "no stale content in a recycled file: {all:?}");
}

#[test]
fn the_same_seed_gives_the_same_run() {
    for seed in [1, 77] {
        assert_eq!(run(Plan::of_seed(seed)), run(Plan::of_seed(seed)), "seed {seed}");
    }
}
