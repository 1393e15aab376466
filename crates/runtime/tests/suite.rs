//! The suite that every world passes, on real shards.

use std::net::SocketAddr;

use env::suite::{disk_suite, mesh_receiver, mesh_sender, stream_suite, world_suite};
use env::{Env, ShardId};
use evenkeel_runtime::{Config, ShardEnv, run};

fn config(shards: u16, dir: &std::path::Path) -> Config {
    Config { memory_bytes_per_shard: 16 << 20, ..Config::new(shards, dir.to_path_buf()) }
}

#[test]
fn a_shard_keeps_what_the_disk_promises() {
    let dir = tempfile::tempdir().unwrap();
    run(config(1, dir.path()), |env: ShardEnv<()>| async move { disk_suite(&env).await }).unwrap();
}

#[test]
fn a_shard_keeps_what_the_world_promises() {
    let dir = tempfile::tempdir().unwrap();
    run(config(2, dir.path()), |env: ShardEnv<()>| async move { world_suite(&env).await }).unwrap();
}

#[test]
fn a_shard_keeps_what_the_stream_promises() {
    let dir = tempfile::tempdir().unwrap();
    run(config(1, dir.path()), |env: ShardEnv<()>| async move {
        let listener = env.listen(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let connect = async || {
            let one = env.connect(listener.local_addr()).await.unwrap();
            (one, listener.accept().await.unwrap())
        };
        stream_suite(&env, connect).await;
    })
    .unwrap();
}

#[test]
fn shards_keep_what_the_mesh_promises() {
    let dir = tempfile::tempdir().unwrap();
    run(config(2, dir.path()), |env: ShardEnv<u64>| async move {
        if env.shard() == ShardId(0) {
            mesh_sender(&env, ShardId(1), |n| n).await;
        } else {
            mesh_receiver(&env, ShardId(0), |n| *n).await;
        }
    })
    .unwrap();
}

#[test]
fn a_shard_sends_to_itself() {
    let dir = tempfile::tempdir().unwrap();
    run(config(1, dir.path()), |env: ShardEnv<u64>| async move {
        let sender = env.clone();
        env.spawn(env::Group::Produce, async move {
            mesh_sender(&sender, ShardId(0), |n| n).await;
        });
        mesh_receiver(&env, ShardId(0), |n| *n).await;
    })
    .unwrap();
}
