//! Shares changed, and use read, from another thread.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{sleep, spawn};
use std::time::{Duration, Instant};

use buf::PAGE;
use env::{Disk, Env, File, Group, OpenMode};
use evenkeel_runtime::{Config, GroupStats, ShardEnv, Shares, SharesHandle, run};

fn shares(shares: u16) -> Shares {
    Shares::new(shares).expect("in range")
}

/// Two shards that each burn their core in two groups until `over`.
async fn burn(env: ShardEnv<()>, over: Arc<AtomicBool>) {
    for group in [Group::Compaction, Group::Recovery] {
        let (env, over) = (env.clone(), Arc::clone(&over));
        env.clone().spawn(group, async move {
            while !over.load(Ordering::Relaxed) {
                let start = Instant::now();
                while start.elapsed() < Duration::from_micros(20) {
                    std::hint::spin_loop();
                }
                env.yield_if_needed().await;
            }
        });
    }
    while !over.load(Ordering::Relaxed) {
        env.sleep(Duration::from_millis(5)).await;
    }
}

fn of(stats: &[GroupStats], group: Group) -> GroupStats {
    stats[group as usize]
}

#[test]
fn a_change_from_another_thread_holds_on_every_busy_shard() {
    let dir = tempfile::tempdir().unwrap();
    let handle = SharesHandle::new();
    let over = Arc::new(AtomicBool::new(false));
    let (steered, ends) = (handle.clone(), Arc::clone(&over));
    let other = spawn(move || {
        while steered.shards() < 2 {
            sleep(Duration::from_millis(1));
        }
        sleep(Duration::from_millis(50));
        let mut waits: Vec<Duration> = Vec::new();
        for round in 0..20 {
            let start = Instant::now();
            let change = steered.set(Group::Compaction, shares(100 + round), shares(7));
            while !steered.is_applied(change) {
                sleep(Duration::from_micros(200));
            }
            waits.push(start.elapsed());
        }
        steered.set(Group::Recovery, shares(900), shares(7));
        let change = steered.set(Group::Compaction, shares(100), shares(7));
        while !steered.is_applied(change) {
            sleep(Duration::from_micros(200));
        }
        let before = [0, 1].map(|shard| steered.stats(shard).expect("it runs"));
        sleep(Duration::from_millis(400));
        let after = [0, 1].map(|shard| steered.stats(shard).expect("it runs"));
        ends.store(true, Ordering::Relaxed);
        (waits, before, after)
    });
    let config = Config { shares: handle.clone(), ..Config::new(2, dir.path().to_path_buf()) };
    run(config, move |env: ShardEnv<()>| burn(env, Arc::clone(&over))).unwrap();
    let (waits, before, after) = other.join().unwrap();
    // The least: how long this thread waits for a processor is not the shards' doing.
    let least = waits.iter().min().unwrap();
    assert!(*least <= Duration::from_millis(10), "{waits:?}");
    assert_eq!(handle.stats(2), None);
    for (before, after) in before.iter().zip(&after) {
        let compaction = of(after, Group::Compaction);
        assert_eq!((compaction.cpu_shares, compaction.io_shares), (shares(100), shares(7)));
        assert!(compaction.is_held && !of(after, Group::Produce).is_held);
        let used = [Group::Compaction, Group::Recovery]
            .map(|group| of(after, group).cpu_ns - of(before, group).cpu_ns);
        let part = used[0] * 1000 / (used[0] + used[1]);
        assert!((90..=110).contains(&part), "{part} of 1000");
        let waited = compaction.cpu_waited_ns - of(before, Group::Compaction).cpu_waited_ns;
        assert!(used[0] < waited, "it waited most of the time: {waited}");
    }
}

#[test]
fn what_is_held_no_controller_changes_until_it_is_released() {
    let dir = tempfile::tempdir().unwrap();
    let handle = SharesHandle::new();
    handle.set(Group::Compaction, shares(123), shares(45));
    let config = Config { shares: handle.clone(), ..Config::new(1, dir.path().to_path_buf()) };
    run(config, move |env: ShardEnv<()>| {
        let handle = handle.clone();
        async move {
            env.sleep(Duration::from_millis(1)).await;
            assert_eq!(env.cpu_shares(Group::Compaction), shares(123), "set before the start");
            assert!(!env.steer_shares(Group::Compaction, shares(9), shares(9)));
            assert_eq!(of(&env.group_stats(), Group::Compaction).io_shares, shares(45));
            let change = handle.release(Group::Compaction);
            env.sleep(Duration::from_millis(1)).await;
            assert!(handle.is_applied(change));
            assert!(env.steer_shares(Group::Compaction, shares(9), shares(8)));
            let now = of(&env.group_stats(), Group::Compaction);
            assert_eq!((now.cpu_shares, now.io_shares), (shares(9), shares(8)));
        }
    })
    .unwrap();
}

#[test]
fn a_shard_holds_shares_and_releases_them() {
    let dir = tempfile::tempdir().unwrap();
    run(Config::new(1, dir.path().to_path_buf()), |env: ShardEnv<()>| async move {
        env.hold_shares(Group::Compaction, shares(123), shares(45));
        assert!(!env.steer_shares(Group::Compaction, shares(9), shares(9)));
        let held = of(&env.group_stats(), Group::Compaction);
        assert_eq!((held.cpu_shares, held.io_shares), (shares(123), shares(45)));
        assert!(held.is_held);
        env.release_shares(Group::Compaction);
        let released = of(&env.group_stats(), Group::Compaction);
        assert_eq!((released.cpu_shares, released.is_held), (shares(123), false), "they stay");
        assert!(env.steer_shares(Group::Compaction, shares(9), shares(8)));
    })
    .unwrap();
}

#[test]
fn io_is_charged_to_the_groups_that_asked_for_it() {
    let dir = tempfile::tempdir().unwrap();
    run(Config::new(1, dir.path().to_path_buf()), |env: ShardEnv<()>| async move {
        let file = env.disk().open(Path::new("f"), OpenMode::create()).await.unwrap();
        for (group, pages) in [(Group::Produce, 1), (Group::Compaction, 64)] {
            let data = env.pool().buffer(pages * PAGE).unwrap().seal(pages * PAGE);
            file.write_at(data, 0, group).await.unwrap();
        }
        let into = env.pool().buffer(PAGE).unwrap();
        file.read_at(into, PAGE, 0, Group::Fetch).await.0.unwrap();
        // The first is in flight when the others come, who share the next.
        let asked = [Group::Coordinator, Group::Admin, Group::Retention];
        let flushes = asked.into_iter().map(|group| file.sync(group)).collect();
        env::sync::all(flushes).await.into_iter().for_each(Result::unwrap);
        assert_eq!(env.storage_counters().syncs, 2);
        let stats = env.group_stats();
        let [produce, compaction, fetch] =
            [Group::Produce, Group::Compaction, Group::Fetch].map(|group| of(&stats, group));
        assert_eq!((produce.io_written_bytes, produce.io_read_bytes), (PAGE as u64, 0));
        assert_eq!(compaction.io_written_bytes, 64 * PAGE as u64);
        assert_eq!((fetch.io_read_bytes, fetch.io_requests), (PAGE as u64, 1));
        assert!(produce.io_device_ns < compaction.io_device_ns);
        let flushes = asked.map(|group| of(&stats, group).io_device_ns);
        assert_eq!([flushes[0], flushes[0]], [2 * flushes[1], 2 * flushes[2]], "{flushes:?}");
    })
    .unwrap();
}
