//! The same seed gives the same run; another seed another one.

#![expect(clippy::unwrap_used, reason = "a test that fails may panic")]

use std::cell::RefCell;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use evenkeel_env::sim::{DiskOptions, Sim, SimOptions, Stalls, stream};
use evenkeel_env::{
    Disk, Env, Envelope, File, Group, Mesh, OpenMode, ShardId, Stream as _, sync::oneshot,
};

fn options() -> SimOptions {
    let stalls = Stalls { per_mille: 20, longest: Duration::from_millis(5) };
    SimOptions {
        shards: 3,
        slow_shard: Some((ShardId(1), stalls)),
        disk: DiskOptions { stalls: Some(stalls), ..DiskOptions::default() },
        lane_messages: 3,
        ..SimOptions::default()
    }
}

/// Every shard writes files, sends messages and counts what it gets; two tasks talk over a
/// stream. The number and the log of what happened.
fn busy_run(seed: u64) -> (u64, Vec<String>) {
    let sim: Sim<u64> = Sim::new(seed, options());
    let log = Rc::new(RefCell::new(Vec::new()));
    for shard in 0..3 {
        let env = sim.env(ShardId(shard));
        let sink = Rc::clone(&log);
        env.clone().spawn(Group::System, async move {
            loop {
                let got = env.receive().await;
                let line = format!("{:?} {} from {}", env.now(), got.message, got.from.0);
                sink.borrow_mut().push(line);
            }
        });
    }
    let client = sim.client_env();
    sim.run(async {
        let mut done = Vec::new();
        for shard in 0..3 {
            let env = sim.env(ShardId(shard));
            let (tell, told) = oneshot();
            done.push(told);
            env.clone().spawn(Group::Produce, async move {
                for n in 0..20 {
                    let path = PathBuf::from(format!("{shard}-{}", n % 3));
                    let file = env.disk().open(&path, OpenMode::create()).await.unwrap();
                    let mut buffer = env.pool().buffer(100).unwrap();
                    buffer.as_mut_slice()[..8].copy_from_slice(&env.random().to_le_bytes());
                    file.write_at(buffer.seal(8), n * 3, Group::Produce).await.unwrap();
                    let to = ShardId((shard + 1) % 3);
                    let group = Group::Produce;
                    let (from, depth, deadline, trace) = (env.shard(), 0, None, 0);
                    let envelope = Envelope { from, group, depth, deadline, trace, message: n };
                    env.send(to, envelope).await;
                    env.yield_if_needed().await;
                }
                tell.send(());
            });
        }
        let (one, other) = stream::pair(&client);
        client.spawn(Group::Admin, async move {
            one.write_all(vec![buf::Sealed::of_static(&[5; 10_000])]).await.unwrap();
        });
        let mut left = 10_000;
        while left > 0 {
            let buffer = client.pool().buffer(4096).unwrap();
            left -= other.read(buffer, 0, 4096).await.0.unwrap();
        }
        for told in done {
            told.await.unwrap();
        }
        client.sleep(Duration::from_secs(1)).await;
    })
    .done();
    let hash = sim.trace_hash();
    let log = log.borrow().clone();
    (hash, log)
}

#[test]
fn the_same_seed_gives_the_same_run() {
    for seed in 0..10 {
        assert_eq!(busy_run(seed), busy_run(seed), "seed {seed}");
    }
}

#[test]
fn another_seed_gives_another_run() {
    let (hash, log) = busy_run(1);
    let (other_hash, other_log) = busy_run(2);
    assert_ne!(hash, other_hash);
    assert_ne!(log, other_log);
    assert_eq!(log.len(), other_log.len());
}

#[test]
fn messages_of_one_lane_stay_in_order() {
    for seed in 0..20 {
        let (_, log) = busy_run(seed);
        for from in 0..3 {
            let of_lane = log.iter().filter(|line| line.ends_with(&format!("from {from}")));
            let numbers: Vec<u64> =
                of_lane.map(|line| line.split(' ').nth(1).unwrap().parse().unwrap()).collect();
            assert_eq!(numbers, (0..20).collect::<Vec<_>>());
        }
    }
}

#[test]
#[should_panic(expected = "deadlock")]
fn waiting_for_nothing_is_a_deadlock() {
    let sim: Sim<()> = Sim::new(0, SimOptions::default());
    sim.run(std::future::pending::<()>()).done();
}

#[test]
#[should_panic(expected = "more than 1000 steps")]
fn a_run_that_does_not_end_is_stopped() {
    let sim: Sim<()> = Sim::new(0, SimOptions { steps_max: 1000, ..SimOptions::default() });
    let env = sim.env(ShardId(0));
    sim.run(async {
        loop {
            env.sleep(Duration::from_nanos(1)).await;
        }
    })
    .done();
}
