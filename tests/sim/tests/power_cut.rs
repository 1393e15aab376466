//! The power is cut at a random mutation of the disk, twice; what was acknowledged or seen is
//! there afterwards, and recovering twice gives the same.
//!
//! Replay one seed: `SIM_SEED=123 cargo test -p evenkeel-sim-tests --test power_cut`.

use evenkeel_sim_tests::scenario::{Plan, run};

/// Seeds from the environment: one, or how many.
fn seeds() -> std::ops::Range<u64> {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    match (number("SIM_SEED"), number("SIM_SEEDS")) {
        (Some(seed), _) => seed..seed + 1,
        (None, count) => 0..count.unwrap_or(400),
    }
}

#[test]
fn what_was_acknowledged_or_seen_survives_every_cut() {
    for seed in seeds() {
        println!("seed {seed}");
        let _ = run(Plan::of_seed(seed));
    }
}

#[test]
fn the_same_seed_gives_the_same_run() {
    for seed in [1, 77] {
        assert_eq!(run(Plan::of_seed(seed)), run(Plan::of_seed(seed)), "seed {seed}");
    }
}
