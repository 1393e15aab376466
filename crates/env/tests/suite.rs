//! The std and the simulated world pass the suite.

use std::time::Duration;

use evenkeel_env::sim::{DiskOptions, Sim, SimOptions, Stalls, stream};
use evenkeel_env::std_world::{Alone, StdEnv};
use evenkeel_env::{Env, Group, ShardId, suite, sync::oneshot};

const MEMORY_BYTES: usize = 4 << 20;

#[test]
fn the_std_world_passes_the_suite() {
    let dir = tempfile::tempdir().unwrap();
    let env = StdEnv::new(dir.path(), MEMORY_BYTES);
    env.block_on(suite::disk_suite(&env));
    env.block_on(suite::world_suite(&env));
}

#[test]
fn the_only_shard_passes_the_suite() {
    let dir = tempfile::tempdir().unwrap();
    let env: Alone<u64> = Alone::new(StdEnv::new(dir.path(), MEMORY_BYTES));
    env.block_on(suite::disk_suite(&env));
    env.block_on(suite::world_suite(&env));
    let sender = env.clone();
    env.spawn(Group::System, async move {
        suite::mesh_sender(&sender, ShardId(0), |n| n).await;
    });
    env.block_on(suite::mesh_receiver(&env, ShardId(0), |n| *n));
}

fn options(seed: u64) -> SimOptions {
    let stalls = Stalls { per_mille: 50, longest: Duration::from_millis(1) };
    SimOptions {
        shards: 2,
        memory_bytes: MEMORY_BYTES,
        disk: DiskOptions {
            stalls: seed.is_multiple_of(2).then_some(stalls),
            direct: !seed.is_multiple_of(3),
            ..DiskOptions::default()
        },
        ..SimOptions::default()
    }
}

#[test]
fn the_simulated_world_passes_the_suite() {
    for seed in 0..10 {
        let sim: Sim<u64> = Sim::new(seed, options(seed));
        let env = sim.env(ShardId(0));
        sim.run(suite::disk_suite(&env)).done();
        sim.run(suite::world_suite(&env)).done();
    }
}

#[test]
fn simulated_streams_pass_the_suite() {
    for seed in 0..10 {
        let sim: Sim<u64> = Sim::new(seed, options(seed));
        let env = sim.env(ShardId(1));
        sim.run(suite::stream_suite(&env, async || stream::pair(&env))).done();
    }
}

#[test]
fn simulated_shards_pass_the_suite() {
    for seed in 0..10 {
        let sim: Sim<u64> = Sim::new(seed, options(seed));
        let (sender, receiver) = (sim.env(ShardId(0)), sim.env(ShardId(1)));
        let (tell, told) = oneshot();
        sender.clone().spawn(Group::System, async move {
            suite::mesh_sender(&sender, ShardId(1), |n| n).await;
            tell.send(());
        });
        sim.run(async {
            suite::mesh_receiver(&receiver, ShardId(0), |n| *n).await;
            told.await.unwrap();
        })
        .done();
    }
}
