//! What is copied, and what is charged.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use env::{Env, Group, Stream};
use record::{Builder, Codec, TopicId, TopicPartition};

use evenkeel_broker::message::owner;

use crate::world::{Client, Cluster, on_two_shards};

fn batch(codec: Codec, value: &[u8]) -> Vec<u8> {
    let mut builder = Builder::new(codec);
    builder.record(-1, None, Some(value), &[]);
    builder.build()
}

/// The value cannot be compressed, so that lengths are known.
fn noise(len: usize) -> Vec<u8> {
    let mut state = 1_u64;
    let draw = |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        state.to_be_bytes()[0]
    };
    (0..len).map(draw).collect()
}

async fn produce(cluster: &Cluster<'_>, client: &mut Client, partition: i32, batch: &[u8]) -> u64 {
    let before = cluster.copied();
    assert_eq!(client.produce("t", partition, batch).await, Some(0));
    cluster.copied() - before
}

#[test]
fn a_produced_byte_is_copied_once_and_once_more_through_the_journal() {
    on_two_shards(1, async |cluster| {
        let mut client = cluster.connect(0);
        let id = client.topic("t", 2).await;
        let topic = TopicId::from_bytes(id);
        assert_ne!(
            owner(TopicPartition { topic, partition: 0 }, 2),
            owner(TopicPartition { topic, partition: 1 }, 2),
            "one partition here, one on the other shard",
        );
        for partition in 0..2 {
            let large = batch(Codec::None, &noise(300 << 10));
            let small = batch(Codec::None, &noise(10_000));
            // The first frame of a length finds a buffer that is too small for it.
            for _ in 0..2 {
                produce(&cluster, &mut client, partition, &large).await;
            }
            for _ in 0..5 {
                let copied = produce(&cluster, &mut client, partition, &large).await;
                let once = large.len() as u64;
                assert!((once..=once + 2 * 4096).contains(&copied), "{copied} of {once}: large");
            }
            produce(&cluster, &mut client, partition, &small).await;
            for _ in 0..5 {
                let copied = produce(&cluster, &mut client, partition, &small).await;
                let twice = 2 * small.len() as u64;
                assert!((twice..=twice + 2 * 4096).contains(&copied), "{copied} of {twice}: small");
            }
        }
    });
}

#[test]
fn a_bomb_is_refused_within_the_budget_and_nothing_stays_charged() {
    on_two_shards(2, async |cluster| {
        let mut client = cluster.connect(0);
        client.topic("t", 1).await;
        let zeros = |len: usize| vec![0; len];
        for codec in [Codec::Gzip, Codec::Lz4, Codec::Zstd] {
            // A quarter of the shard's 16 MiB is the most.
            let fits = batch(codec, &zeros(3 << 20));
            assert_eq!(client.produce("t", 0, &fits).await, Some(0), "{codec:?}");
            let used = [cluster.used(0), cluster.used(1)];
            let bomb = batch(codec, &zeros(5 << 20));
            assert_eq!(client.produce("t", 0, &bomb).await, Some(-1), "{codec:?}");
            assert_eq!([cluster.used(0), cluster.used(1)], used, "{codec:?}");
        }
    });
}

#[test]
fn without_room_to_decompress_a_batch_is_answered_as_timed_out() {
    on_two_shards(3, async |cluster| {
        let mut client = cluster.connect(0);
        client.topic("t", 1).await;
        let compressed = batch(Codec::Gzip, &noise(40_000));
        assert_eq!(client.produce("t", 0, &compressed).await, Some(0));
        let pool = cluster.shards[0].1.pool();
        pool.collect();
        // The frame finds room beside it, what its records may become does not.
        let taken = pool.limit() / 4 * 3 - (256 << 10);
        let charge = pool.charge(taken - pool.used()).expect("room");
        let plain = batch(Codec::None, &noise(40_000));
        assert_eq!(client.produce("t", 0, &plain).await, Some(0), "others go on");
        assert_eq!(client.produce("t", 0, &compressed).await, Some(7), "REQUEST_TIMED_OUT");
        drop(charge);
        assert_eq!(client.produce("t", 0, &compressed).await, Some(0));
    });
}

#[test]
fn a_batch_that_the_topic_builds_anew_is_charged() {
    on_two_shards(4, async |cluster| {
        let mut client = cluster.connect(0);
        for (name, config) in [
            ("plain", ("compression.type", "producer")),
            ("stamped", ("message.timestamp.type", "LogAppendTime")),
            ("compressed", ("compression.type", "gzip")),
        ] {
            let configs = [("max.message.bytes", "4000000"), config];
            let topic = TopicId::from_bytes(client.topic_with(name, 2, &configs).await);
            let here = owner(TopicPartition { topic, partition: 0 }, 2).0;
            // The log is the other shard's, the batch is built on this one.
            let partition = i32::from(here == 0);
            let batch = batch(Codec::None, &noise(2_600_000));
            assert_eq!(client.produce(name, partition, &batch).await, Some(0), "{name}");
            let used = cluster.used(0);
            let pool = cluster.shards[0].1.pool();
            let room = pool.limit() / 4 * 3 - (2_700 << 10);
            let charge = pool.charge(room - used).expect("room");
            let expected = if name == "plain" { 0 } else { 7 };
            assert_eq!(client.produce(name, partition, &batch).await, Some(expected), "{name}");
            drop(charge);
            assert_eq!(client.produce(name, partition, &batch).await, Some(0), "{name}");
            assert_eq!(cluster.used(0), used, "{name}: all is given back");
        }
    });
}

#[test]
fn who_does_not_read_his_answers_is_ended_when_others_need_the_memory() {
    on_two_shards(5, async |cluster| {
        let mut witness = cluster.connect(0);
        let id = witness.topic("t", 1).await;
        for _ in 0..2 {
            let batch = batch(Codec::None, &noise(400 << 10));
            assert_eq!(witness.produce("t", 0, &batch).await, Some(0));
        }
        let env = cluster.sim.client_env();
        let (deaf, slow) = (cluster.connect(0), cluster.connect(0));
        for client in [&deaf, &slow] {
            client.ask_to_fetch(id, 0).await;
        }
        let heard = Rc::new(Cell::new(0));
        let (told, timer, reads) = (Rc::clone(&heard), env.clone(), slow.stream.clone());
        env.spawn(Group::Fetch, async move {
            loop {
                let buffer = timer.pool().buffer(4096).expect("clients have memory");
                let (read, _) = reads.read(buffer, 0, 4096).await;
                match read {
                    Ok(n) if 0 < n => told.set(told.get() + n),
                    _ => return told.set(0),
                }
                timer.sleep(Duration::from_secs(4)).await;
            }
        });
        let is_open = |client: &Client| !client.stream.is_ended();
        env.sleep(Duration::from_secs(120)).await;
        assert!(is_open(&deaf), "nobody waits for memory");
        let pool = cluster.shards[0].1.pool();
        pool.collect();
        let charge = pool.charge(pool.limit() - pool.limit() / 8 - pool.used()).expect("room");
        // It waits and is refused, or is ended after a minute: there is no room.
        let compressed = batch(Codec::Gzip, &noise(40_000));
        witness.say(&witness.encoded("t", 0, &compressed)).await;
        env.sleep(Duration::from_secs(6)).await;
        assert!(!is_open(&deaf), "it took nothing for two minutes");
        env.sleep(Duration::from_secs(40)).await;
        assert!(is_open(&slow) && 0 < heard.get(), "it gets on");
        drop(charge);
    });
}
