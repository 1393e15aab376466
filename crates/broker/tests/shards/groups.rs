//! Messages and tasks between shards.

use std::time::Duration;

use env::{Env, Envelope, Group, Mesh, Nanos, ShardId};
use evenkeel_broker::ShardMessage;
use evenkeel_broker::message::{Call, owner};
use record::{Builder, Codec, TopicId, TopicPartition};

use crate::world::{Cluster, on_two_shards};

fn batch() -> Vec<u8> {
    let mut builder = Builder::new(Codec::None);
    builder.record(-1, None, Some(b"value"), &[]);
    builder.build()
}

/// A topic of two partitions that are open; the one that shard 0 owns, and the other.
async fn topic(cluster: &Cluster<'_>) -> ([u8; 16], i32, i32) {
    let mut client = cluster.connect(0);
    let id = client.topic("t", 2).await;
    for partition in 0..2 {
        assert_eq!(client.produce("t", partition, &batch()).await, Some(0));
    }
    let owner_of =
        |partition| owner(TopicPartition { topic: TopicId::from_bytes(id), partition }, 2);
    let own = if owner_of(0) == ShardId(0) { 0 } else { 1 };
    (id, own, 1 - own)
}

#[test]
fn a_partition_on_its_own_shard_is_reached_without_the_mailbox() {
    on_two_shards(1, async |cluster| {
        let (id, own, other) = topic(&cluster).await;
        let mut client = cluster.connect(0);
        cluster.counts.clear();
        for _ in 0..20 {
            assert_eq!(client.produce("t", own, &batch()).await, Some(0));
            assert!(0 < client.fetch(id, own).await);
        }
        assert!(cluster.counts.sent.borrow().is_empty(), "{:?}", cluster.counts.sent.borrow());
        assert_eq!(client.produce("t", other, &batch()).await, Some(0));
        let there_and_back =
            [(ShardId(0), ShardId(1), Group::Produce), (ShardId(1), ShardId(0), Group::Produce)];
        assert_eq!(*cluster.counts.sent.borrow(), there_and_back, "one message each way");
    });
}

#[test]
fn a_request_runs_in_its_group_on_every_shard() {
    on_two_shards(2, async |cluster| {
        let (id, own, other) = topic(&cluster).await;
        let mut client = cluster.connect(0);
        assert_eq!(client.produce("t", other, &batch()).await, Some(0));
        let all_in = |group: Group, what: &str| {
            let sent = cluster.counts.sent.borrow();
            assert!(sent.iter().all(|(.., of)| *of == group), "{what}: {sent:?}");
            let spawned = cluster.counts.spawned.borrow();
            assert!(spawned.iter().all(|(_, of)| *of == group), "{what}: {spawned:?}");
            spawned.iter().map(|(shard, _)| *shard).collect::<Vec<_>>()
        };
        for partition in [own, other] {
            cluster.counts.clear();
            assert_eq!(client.produce("t", partition, &batch()).await, Some(0));
            assert!(all_in(Group::Produce, "produce").contains(&ShardId(0)));
            cluster.counts.clear();
            assert!(0 < client.fetch(id, partition).await);
            let shards = all_in(Group::Fetch, "fetch");
            assert_eq!(shards.contains(&ShardId(1)), partition == other, "{shards:?}");
        }
        // The controller is on shard 0: a topic that is created over the other one goes there.
        let mut client = cluster.connect(1);
        client.topic("first", 1).await;
        cluster.counts.clear();
        client.topic("second", 1).await;
        let asked = (ShardId(1), ShardId(0), Group::Admin);
        assert!(cluster.counts.sent.borrow().contains(&asked));
    });
}

#[test]
fn a_call_whose_time_has_passed_is_not_begun() {
    on_two_shards(3, async |cluster| {
        let [(shard, _), (_, sender)] = &cluster.shards[..] else { panic!("two shards") };
        let send = async |id, name: &str, deadline| {
            let call = Call::AutoCreate(vec![name.to_owned()]);
            let message = ShardMessage::Call(id, call);
            let (from, group) = (ShardId(1), Group::Admin);
            let envelope = Envelope { from, group, depth: 0, deadline, trace: 0, message };
            sender.send(ShardId(0), envelope).await;
        };
        sender.sleep(Duration::from_millis(5)).await;
        let now = sender.now();
        send(1_000_001, "late", Some(now)).await;
        send(1_000_002, "later", Some(Nanos(1))).await;
        send(1_000_003, "in-time", Some(now.plus(Duration::from_secs(5)))).await;
        send(1_000_004, "no-hurry", None).await;
        sender.sleep(Duration::from_secs(2)).await;
        let image = shard.image();
        let known = |name: &str| image.topic_named(name).is_some();
        assert!(known("in-time") && known("no-hurry"));
        assert!(!known("late") && !known("later"), "their time had passed");
        let replies = cluster.counts.sent.borrow();
        let replies = replies.iter().filter(|(from, to, _)| (from.0, to.0) == (0, 1)).count();
        assert!(4 <= replies, "the sender is told, also of those that were refused");
    });
}
