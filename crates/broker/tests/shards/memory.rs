//! What is copied, and what is charged.

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
        let pool = env::Env::pool(&cluster.shards[0].1);
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
