//! Groups, shares and trials.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use evenkeel_admin::{Client, ClientError, GroupShares, Readiness, SharesChange};

use crate::shards::{GROUPS, World};

const COMPACTION: usize = 2;
const BEFORE: GroupShares = GroupShares { cpu: 50, io: 60, is_held: false };

fn held(cpu: u32, io: u32) -> GroupShares {
    GroupShares { cpu, io, is_held: true }
}

fn cpu(shares: u32) -> SharesChange {
    SharesChange { cpu: Some(shares), io: None }
}

#[test]
fn groups_are_told_by_shard() {
    let world = World::new(2, 0);
    let groups = world.client().groups().expect("the shards answer").groups;
    assert_eq!(groups.iter().map(|group| group.name.as_str()).collect::<Vec<_>>(), GROUPS);
    let compaction = &groups[COMPACTION];
    assert_eq!(compaction.shards.len(), 2);
    assert_eq!(compaction.shards[1].shares, BEFORE);
    assert_eq!(compaction.shards[1].cpu_used_ns, 7_000_000_000);
    assert_eq!(compaction.trial, None);
}

#[test]
fn a_change_holds_on_every_shard_when_the_call_returns() {
    let world = World::new(3, 0);
    let client = world.client();
    client.groups().expect("the shards answer");
    let now = client.set_shares("compaction", cpu(20)).expect("it is done");
    assert_eq!(now.shares, held(20, 60));
    assert_eq!(world.held(COMPACTION), [held(20, 60); 3]);
    assert_eq!(
        client.groups().expect("the shards answer").groups[COMPACTION].shards[2].shares,
        held(20, 60)
    );
    assert!(now.took < Duration::from_secs(1), "{now:?}");
}

#[test]
fn what_cannot_be_set_is_refused_and_changes_nothing() {
    let world = World::new(1, 0);
    let client = world.client();
    let bad = |group: &str, change| match client.set_shares(group, change) {
        Err(ClientError::Refused(why)) => why,
        other => panic!("{other:?}"),
    };
    assert!(bad("no_such", cpu(20)).contains("produce"), "it names the groups");
    assert!(bad("compaction", SharesChange::default()).contains("cpu_shares"));
    assert!(bad("compaction", cpu(0)).contains("10000"));
    assert!(bad("compaction", cpu(10_001)).contains("10000"));
    assert!(bad("compaction", SharesChange { cpu: Some(1), io: Some(0) }).contains("io_shares"));
    for seconds in [0, 86_401] {
        let error = client.try_shares("compaction", cpu(20), seconds).unwrap_err();
        assert!(matches!(error, ClientError::Refused(_)), "{error:?}");
    }
    let error = client.confirm_trial("compaction").unwrap_err();
    assert!(matches!(error, ClientError::Refused(_)), "{error:?}");
    assert!(world.shards[0].lock().expect("nobody panicked").changes.is_empty());
}

/// Waits until the shares of compaction are `wanted` on every shard.
fn wait_for(world: &World, wanted: GroupShares) {
    let since = Instant::now();
    while world.held(COMPACTION).iter().any(|now| *now != wanted) {
        assert!(since.elapsed() < Duration::from_secs(20), "{:?}", world.held(COMPACTION));
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_trial_goes_back_by_itself() {
    let world = World::new(2, 0);
    let client = world.client();
    let since = Instant::now();
    let (now, trial) = client.try_shares("compaction", cpu(900), 1).expect("it is done");
    assert_eq!(now.shares, held(900, 60));
    assert_eq!(trial.before, BEFORE);
    assert_eq!(world.held(COMPACTION), [held(900, 60); 2]);
    let told =
        client.groups().expect("the shards answer").groups[COMPACTION].trial.expect("it is open");
    assert!(told.left <= Duration::from_secs(1) && told.before == BEFORE, "{told:?}");
    wait_for(&world, BEFORE);
    assert!(Duration::from_secs(1) <= since.elapsed(), "after {:?}", since.elapsed());
    std::thread::sleep(Duration::from_millis(60));
    assert_eq!(client.groups().expect("the shards answer").groups[COMPACTION].trial, None);
}

#[test]
fn a_confirmed_trial_stays() {
    let world = World::new(1, 0);
    let client = world.client();
    client.try_shares("compaction", cpu(900), 1).expect("it is done");
    let kept = client.confirm_trial("compaction").expect("it is done");
    assert_eq!(kept, held(900, 60));
    std::thread::sleep(Duration::from_millis(1_300));
    assert_eq!(world.held(COMPACTION), [kept]);
    assert!(client.confirm_trial("compaction").is_err(), "it is no trial any more");
}

#[test]
fn a_cancelled_trial_goes_back_at_once() {
    let world = World::new(1, 0);
    let client = world.client();
    client.try_shares("compaction", cpu(900), 600).expect("it is done");
    client.try_shares("compaction", cpu(901), 600).expect("it is done");
    assert_eq!(client.cancel_trial("compaction").expect("it is done").shares, BEFORE);
    assert_eq!(world.held(COMPACTION), [BEFORE], "to what was before the first");
}

#[test]
fn what_is_set_outlives_a_trial() {
    let world = World::new(1, 0);
    let client = world.client();
    client.try_shares("compaction", cpu(900), 1).expect("it is done");
    client.set_shares("compaction", cpu(77)).expect("it is done");
    std::thread::sleep(Duration::from_millis(1_300));
    assert_eq!(world.held(COMPACTION), [held(77, 60)]);
}

#[test]
fn released_shares_stay_until_a_controller_changes_them() {
    let world = World::new(2, 0);
    let client = world.client();
    client.try_shares("compaction", cpu(900), 600).expect("it is done");
    let now = client.release_shares("compaction").expect("it is done");
    assert_eq!(now.shares, GroupShares { is_held: false, ..held(900, 60) });
    assert_eq!(world.held(COMPACTION), [now.shares; 2]);
    assert!(client.confirm_trial("compaction").is_err(), "the trial ended");
}

#[test]
fn every_shard_sees_changes_in_one_order() {
    let world = World::new(3, 0);
    std::thread::scope(|scope| {
        for first in [100, 200, 300] {
            let client = world.client();
            scope.spawn(move || {
                for more in 0..30 {
                    client.set_shares("compaction", cpu(first + more)).expect("it is done");
                }
            });
        }
    });
    let told = |shard: usize| world.shards[shard].lock().expect("nobody panicked").changes.clone();
    assert_eq!(told(0).len(), 90);
    assert!(told(0) == told(1) && told(1) == told(2));
}

#[test]
fn a_shard_that_does_not_answer_is_named() {
    let world = World::new(1, 1);
    let error = world.client().set_shares("compaction", cpu(20)).unwrap_err();
    assert!(matches!(&error, ClientError::Failed(why) if why.contains("shard 1")), "{error:?}");
}

#[test]
fn who_watches_is_told_again_and_again() {
    let world = World::new(1, 0);
    let client = world.client();
    let mut seen = Vec::new();
    let watched = client.watch(Duration::from_millis(100), |groups| {
        seen.push(groups.at_ns);
        if seen.len() < 3 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    });
    watched.expect("it is done");
    assert!(seen[0] < seen[1] && seen[1] < seen[2], "{seen:?}");
    let error = client.watch(Duration::from_millis(5), |_| ControlFlow::Break(())).unwrap_err();
    assert!(matches!(error, ClientError::Refused(_)), "{error:?}");
}

#[test]
fn the_version_and_the_readiness_are_told() {
    let world = World::new(2, 0);
    let client = world.client();
    let version = client.version().expect("it is done");
    assert_eq!((version.version.as_str(), version.shards), ("1.2.3", 2));
    assert_eq!(client.readiness().expect("it is done"), Readiness::Starting);
    world.plane.as_ref().expect("it is done").set_readiness(Readiness::Ready);
    assert_eq!(client.readiness().expect("it is done"), Readiness::Ready);
}

#[test]
fn who_watches_does_not_hold_up_the_end() {
    let mut world = World::new(1, 0);
    let client = world.client();
    let watcher = std::thread::spawn(move || {
        client.watch(Duration::from_millis(100), |_| ControlFlow::Continue(()))
    });
    std::thread::sleep(Duration::from_millis(250));
    let since = Instant::now();
    world.plane.take().expect("it is done").stop();
    assert!(since.elapsed() < Duration::from_secs(1), "{:?}", since.elapsed());
    assert!(watcher.join().expect("it does not panic").is_err(), "the end is an error of the call");
}

#[test]
fn nobody_there_is_a_clear_message() {
    let address = World::new(1, 0).address.to_string();
    let error = Client::connect(&address).unwrap_err();
    let text = error.to_string();
    assert!(text.contains(&address) && text.contains("refused"), "{text}");
}
