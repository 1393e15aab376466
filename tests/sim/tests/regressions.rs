//! Seeds that found a fault, and what they found, each as a plain test.

use std::time::Duration;

use env::sim::{Sim, SimOptions};
use env::{Env, ShardId};
use evenkeel_sim_tests::broken::Rule;
use evenkeel_sim_tests::client::SimClient;
use evenkeel_sim_tests::load::build;
use evenkeel_sim_tests::plan::Plan;
use evenkeel_sim_tests::recovered::start;
use evenkeel_sim_tests::scenario::{catch, run};

/// Runs with a slow disk, long enough in virtual time that retention looks at the logs. Their
/// records had no timestamps then; see the next test.
#[test]
fn seeds_that_found_a_fault_pass() {
    for seed in [3_107, 5_794] {
        let _ = run(Plan::of_seed(seed));
    }
}

/// Appends a record with `timestamp_ms` to a topic that keeps for seven days, and reads it 15
/// seconds later; gives the error of that fetch and the records.
fn read_after_retention(timestamp_ms: i64) -> (i16, usize) {
    let sim = Sim::new(1, SimOptions::default());
    let reading = sim.run(async {
        let shards = start(&sim, Rule::None).await.expect("an empty disk can be started on");
        let (shard, env) = &shards[0];
        let mut client = SimClient::connect(&sim.client_env(), shard, env);
        assert_eq!(client.create_topic("t", 1, &[]).await, Ok(0));
        let batch = build((-1, -1), timestamp_ms, &[b"value".to_vec()]);
        let produced = client.produce("t", 0, batch, -1).await.expect("nothing ends it");
        assert_eq!(produced.map(|at| at.base_offset), Ok(0));
        sim.env(ShardId(0)).sleep(Duration::from_secs(15)).await;
        let id = client.topic_id("t").await.expect("nothing ends it").expect("it is there");
        let fetched = client.fetch(id, 0, 0, 0).await.expect("nothing ends it");
        (fetched.error, fetched.records.len())
    });
    reading.done()
}

#[test]
fn a_record_of_now_outlives_retention() {
    assert_eq!(read_after_retention(SimOptions::default().wall_ms), (0, 1));
}

#[test]
fn a_record_without_a_timestamp_outlives_retention() {
    assert_eq!(read_after_retention(-1), (0, 1));
}

#[test]
fn a_power_cut_in_a_clean_stop_loses_nothing() {
    let stopping = |seed| Plan { stops: true, ..Plan::of_seed(seed) };
    assert_eq!(catch(Rule::None, 0..200, stopping), None);
}
