//! Three rules broken on purpose, each caught by what clients were told: a simulation that passes a
//! broken broker would prove nothing. The same seeds pass when nothing is broken.

use evenkeel_sim_tests::broken::Rule;
use evenkeel_sim_tests::plan::Plan;
use evenkeel_sim_tests::scenario::{catch, run};

/// Breaks `rule`; says which of `seeds` first told. Then the same seeds, nothing broken.
fn is_caught(rule: Rule, seeds: std::ops::Range<u64>, plan: impl Fn(u64) -> Plan) -> String {
    let Some((seed, what)) = catch(rule, seeds.clone(), &plan) else {
        panic!("{rule:?} was not caught within the seeds {seeds:?}")
    };
    for seed in seeds.start..=seed {
        let _ = run(plan(seed).breaking(Rule::None));
    }
    format!("{rule:?} is caught by seed {seed}: {what}")
}

#[test]
fn an_acknowledgement_before_the_flush_is_caught() {
    println!(
        "{}",
        is_caught(Rule::AcknowledgedBeforeFlush, 0..100, |seed| Plan::of_seed(seed).long())
    );
}

#[test]
fn a_missing_directory_sync_is_caught() {
    println!("{}", is_caught(Rule::NoDirectorySync, 0..60, Plan::of_seed));
}

#[test]
fn a_replayed_stale_frame_is_caught() {
    println!("{}", is_caught(Rule::StaleFrames, 0..60, |seed| Plan::of_seed(seed).long()));
}
