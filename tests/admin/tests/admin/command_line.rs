//! `evenkeel sched`, as a person and as a program uses it.

use std::thread;
use std::time::{Duration, Instant};

use evenkeel_admin_tests::{broker, evenkeel, sched};
use kit::Broker;

fn cpu_shares(broker: &Broker, group: &str) -> Vec<u64> {
    let told = sched(broker, &["groups", "--json"]).expect("it runs").json().expect("JSON");
    let groups = told["groups"].as_array().expect("a list");
    let group = groups.iter().find(|it| it["name"] == group).expect("it is a group");
    let shards = group["shards"].as_array().expect("a list");
    shards.iter().map(|it| it["cpu_shares"].as_u64().expect("a number")).collect()
}

#[test]
fn groups_are_a_table_and_json() {
    let broker = broker().expect("the broker starts");
    let table = sched(&broker, &["groups"]).expect("it runs");
    assert_eq!(table.code, Some(0), "{table:?}");
    assert!(table.out.starts_with("GROUP"), "{}", table.out);
    for group in ["system", "produce", "fetch", "cold_read", "compaction", "telemetry"] {
        assert!(table.out.lines().any(|line| line.starts_with(group)), "{group}: {}", table.out);
    }
    let by_shard = sched(&broker, &["groups", "--by-shard"]).expect("it runs");
    assert_eq!(by_shard.out.lines().count() - 1, 2 * (table.out.lines().count() - 1));
    assert_eq!(cpu_shares(&broker, "produce"), [1000, 1000]);
}

#[test]
fn shares_are_set_tried_kept_and_taken_back() {
    let broker = broker().expect("the broker starts");
    let set = sched(&broker, &["set", "compaction", "--cpu", "20"]).expect("it runs");
    assert!(set.code == Some(0) && set.out.contains("20 shares of the CPU"), "{set:?}");
    assert_eq!(cpu_shares(&broker, "compaction"), [20, 20]);

    let tried =
        sched(&broker, &["trial", "compaction", "--cpu", "900", "--for", "1s"]).expect("it runs");
    assert!(tried.out.contains("evenkeel sched confirm compaction"), "{tried:?}");
    assert_eq!(cpu_shares(&broker, "compaction"), [900, 900]);
    let since = Instant::now();
    while cpu_shares(&broker, "compaction") != [20, 20] {
        assert!(since.elapsed() < Duration::from_secs(20), "it does not go back");
        thread::sleep(Duration::from_millis(50));
    }

    sched(&broker, &["trial", "compaction", "--cpu", "800", "--for", "1s"]).expect("it runs");
    let kept = sched(&broker, &["confirm", "compaction", "--json"])
        .expect("it runs")
        .json()
        .expect("JSON");
    assert_eq!(kept["cpu_shares"], 800);
    thread::sleep(Duration::from_millis(1_300));
    assert_eq!(cpu_shares(&broker, "compaction"), [800, 800]);

    sched(&broker, &["trial", "compaction", "--cpu", "700", "--for", "10m"]).expect("it runs");
    let back =
        sched(&broker, &["cancel", "compaction", "--json"]).expect("it runs").json().expect("JSON");
    assert_eq!(back["cpu_shares"], 800);
    assert!(back["took_us"].is_u64(), "{back}");
}

#[test]
fn the_live_view_ends_after_so_many_looks() {
    let broker = broker().expect("the broker starts");
    let top = sched(&broker, &["top", "--every", "100ms", "--count", "2"]).expect("it runs");
    assert_eq!(top.code, Some(0), "{top:?}");
    assert_eq!(top.out.matches("GROUP").count(), 2, "{}", top.out);
    assert!(top.out.contains("CPU 0") && top.out.contains("CPU 1"));
    let top =
        sched(&broker, &["top", "--every", "100ms", "--count", "3", "--json"]).expect("it runs");
    let looks: Vec<serde_json::Value> =
        top.out.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(looks.len(), 3, "one line each");
    assert!(looks.iter().all(|look| look["groups"].as_array().is_some_and(|it| it.len() == 10)));
}

#[test]
fn what_cannot_be_done_is_said_on_one_line() {
    let broker = broker().expect("the broker starts");
    let unknown = sched(&broker, &["set", "no_such", "--cpu", "20"]).expect("it runs");
    assert_eq!(unknown.code, Some(1));
    assert!(unknown.err.contains("compaction") && unknown.err.lines().count() == 1, "{unknown:?}");
    let none = sched(&broker, &["confirm", "compaction"]).expect("it runs");
    assert!(none.code == Some(1) && none.err.contains("no open trial"), "{none:?}");
    let wrong = sched(&broker, &["set", "compaction"]).expect("it runs");
    assert_eq!(wrong.code, Some(2), "wrong use: {wrong:?}");
    let nobody = evenkeel(&["sched", "groups", "--admin", "127.0.0.1:1"]).expect("it is done");
    assert!(nobody.code == Some(1) && nobody.err.contains("127.0.0.1:1"), "{nobody:?}");
}
