//! Shares that change while the broker works.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use admin::{Client, GroupReading, GroupShares, OpenTrial, SharesChange};
use evenkeel_admin_tests::{broker, client};
use kit::RawClient;

fn group(client: &Client, name: &str) -> (Vec<GroupReading>, Option<OpenTrial>) {
    let groups = client.groups().expect("the shards answer").groups;
    let group = groups.into_iter().find(|group| group.name == name).expect("it is a group");
    (group.shards, group.trial)
}

fn shares(client: &Client, name: &str) -> Vec<(u32, u32)> {
    group(client, name).0.iter().map(|it| (it.shares.cpu, it.shares.io)).collect()
}

#[test]
fn a_change_is_seen_on_both_shards() {
    let broker = broker().expect("the broker starts");
    let client = client(&broker).expect("the plane answers");
    assert_eq!(shares(&client, "compaction"), [(50, 50); 2]);
    client
        .set_shares("compaction", SharesChange { cpu: Some(20), io: Some(30) })
        .expect("it is done");
    assert_eq!(shares(&client, "compaction"), [(20, 30); 2]);
    client.set_shares("compaction", SharesChange { cpu: None, io: Some(31) }).expect("it is done");
    assert_eq!(shares(&client, "compaction"), [(20, 31); 2]);
    assert_eq!(shares(&client, "produce"), [(1000, 1000); 2], "the others stay");
    let is_held = |client: &Client| group(client, "compaction").0[1].shares.is_held;
    assert!(is_held(&client), "no controller may undo it");
    client.release_shares("compaction").expect("it is done");
    assert!(!is_held(&client));
}

#[test]
fn a_trial_goes_back_on_both_shards() {
    let broker = broker().expect("the broker starts");
    let client = client(&broker).expect("the plane answers");
    let change = SharesChange { cpu: Some(900), io: None };
    let since = Instant::now();
    client.try_shares("fetch", change, 1).expect("it is done");
    let (_, trial) = group(&client, "fetch");
    assert_eq!(
        trial.expect("it is open").before,
        GroupShares { cpu: 1000, io: 1000, is_held: false }
    );
    assert_eq!(shares(&client, "fetch"), [(900, 1000); 2]);
    while shares(&client, "fetch") != [(1000, 1000); 2] {
        assert!(since.elapsed() < Duration::from_secs(20), "it does not go back");
        thread::sleep(Duration::from_millis(20));
    }
    assert!(!group(&client, "fetch").0[0].shares.is_held, "a controller may change it again");
    assert!(Duration::from_secs(1) <= since.elapsed(), "after {:?}", since.elapsed());
}

/// How long changes took on a broker whose shards both have work, in order of length.
fn changes_under_load() -> Vec<Duration> {
    let broker = broker().expect("the broker starts");
    let address = broker.address();
    let mut first = RawClient::connect(address).expect("it accepts");
    first.create_topic("t", 2).expect("it is created");
    first.produce_until_acknowledged("t", 0).expect("it is acknowledged");
    first.produce_until_acknowledged("t", 1).expect("it is acknowledged");
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        for number in 0..4 {
            let over = &over;
            scope.spawn(move || {
                let mut producer = RawClient::connect(address).expect("it accepts");
                let value = vec![7; 16 << 10];
                while !over.load(Ordering::Relaxed) {
                    assert_eq!(
                        producer.produce("t", number % 2, &value).expect("it is acknowledged"),
                        0
                    );
                }
            });
        }
        let client = client(&broker).expect("the plane answers");
        let mut took: Vec<Duration> = (0..200)
            .map(|step| {
                thread::sleep(Duration::from_millis(5));
                let change = SharesChange { cpu: Some(20 + step % 100), io: Some(20) };
                client.set_shares("retention", change).expect("it is done").took
            })
            .collect();
        over.store(true, Ordering::Relaxed);
        took.sort();
        took
    })
}

#[test]
fn a_change_holds_within_ten_milliseconds_under_load() {
    let took = changes_under_load();
    let (median, p99) = (took[100], took[198]);
    println!("median {median:?}, p99 {p99:?}, most {:?}", took[199]);
    // The median: the machine may give a thread of a test nothing for longer than the limit.
    assert!(median <= Duration::from_millis(10), "median {median:?}, p99 {p99:?}");
}
