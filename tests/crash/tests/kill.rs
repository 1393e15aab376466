//! The broker is killed under its producers. The binary is `EVENKEEL_BIN`, else `release/evenkeel` of the
//! target directory; `CRASH_ROUNDS` says how often.

use evenkeel_crash_tests::{Plan, lose_on_purpose, run};

#[expect(clippy::print_stderr, reason = "whoever runs a hundred rounds wants to see them go by")]
fn rounds(shards: u32) {
    let plan = Plan::from_environment(shards);
    let done = run(&plan, |line| eprintln!("{shards} shards, {line}"));
    if let Err(failure) = done {
        panic!("{failure}");
    }
}

#[test]
fn nothing_acknowledged_is_lost_with_one_shard() {
    rounds(1);
}

#[test]
fn nothing_acknowledged_is_lost_with_two_shards() {
    rounds(2);
}

#[test]
fn a_loss_made_on_purpose_is_found() {
    let plan = Plan { data: None, ..Plan::from_environment(1) };
    let found = lose_on_purpose(&plan).expect("it comes as far as the check");
    let why = found.expect_err("the check finds it").to_string();
    assert!(why.contains("sync-0"), "{why}");
}
