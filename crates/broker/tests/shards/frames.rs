//! Frames that begin and do not end.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use env::sync::race;
use env::{Env, Group, Stream};
use record::{Builder, Codec};

use crate::world::{Client, Cluster, on_two_shards};

/// The length and the first twelve bytes of a produce of `len` bytes.
fn beginning(len: i32) -> Vec<u8> {
    let mut bytes = len.to_be_bytes().to_vec();
    bytes.extend([0, 0, 0, 7, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff]);
    bytes
}

/// Whether the broker ended the connection within `limit`.
async fn ends(cluster: &Cluster<'_>, client: &Client, limit: Duration) -> bool {
    let env = cluster.sim.client_env();
    let ended = async {
        client.stream.readable().await.expect("a simulated stream has no errors");
        true
    };
    let waited = async {
        env.sleep(limit).await;
        false
    };
    race(ended, waited).await
}

#[test]
fn announced_frames_take_no_memory_that_has_not_come() {
    on_two_shards(1, async |cluster| {
        let before = cluster.used(0);
        let waiting: Vec<Client> = (0..100).map(|_| cluster.connect(0)).collect();
        for client in &waiting {
            client.say(&beginning(4 << 20)).await;
        }
        cluster.sim.client_env().sleep(Duration::from_millis(100)).await;
        let each = (cluster.used(0) - before) / 100;
        assert!(each <= 80 << 10, "{each} bytes for each of a hundred frames of 4 MiB");
    });
}

#[test]
fn a_frame_of_which_nothing_comes_any_more_ends_its_connection() {
    on_two_shards(3, async |cluster| {
        let started = cluster.connect(0);
        let idle = cluster.connect(0);
        started.say(&beginning(1000)).await;
        assert!(!ends(&cluster, &started, Duration::from_secs(55)).await);
        started.say(&[0]).await;
        assert!(!ends(&cluster, &started, Duration::from_secs(55)).await, "a byte came");
        assert!(ends(&cluster, &started, Duration::from_secs(20)).await);
        assert!(!ends(&cluster, &idle, Duration::from_secs(60)).await, "it has not begun");
    });
}

fn batch(value_bytes: usize) -> Vec<u8> {
    let mut builder = Builder::new(Codec::None);
    builder.record(-1, None, Some(&vec![7; value_bytes]), &[]);
    builder.build()
}

#[test]
fn unfinished_frames_keep_nobody_out() {
    on_two_shards(2, async |cluster| {
        let mut witness = cluster.connect(0);
        witness.topic("t", 2).await;
        // Large frames that go on for a while and then do not, on a shard that has sixteen MiB, and
        // every connection is followed by another.
        let env = cluster.sim.client_env();
        for _ in 0..200 {
            let (first, next) = (cluster.connect(0), cluster.connect(0));
            let pause = env.clone();
            env.spawn(Group::Fetch, async move {
                for client in [&first, &next] {
                    client.say(&beginning(4 << 20)).await;
                    for _ in 0..50 {
                        client.say(&[0; 2048]).await;
                        pause.sleep(Duration::from_millis(50)).await;
                    }
                }
                // Both stay as they are.
                pause.sleep(Duration::from_secs(500)).await;
            });
        }
        for _ in 0..50 {
            let asked = env.now();
            assert_eq!(witness.produce("t", 0, &batch(100_000)).await, Some(0));
            let waited = env.now().since(asked);
            assert!(waited < Duration::from_secs(2), "it waited {waited:?}");
            env.sleep(Duration::from_millis(100)).await;
        }
    });
}

#[test]
fn many_slow_senders_of_large_frames_are_all_served() {
    on_two_shards(4, async |cluster| {
        let mut first = cluster.connect(0);
        first.topic("t", 1).await;
        let env = cluster.sim.client_env();
        let frame = Rc::new(first.encoded("t", 0, &batch(900 << 10)));
        let served = Rc::new(Cell::new(0));
        for _ in 0..60 {
            let mut client = cluster.connect(0);
            let (frame, served, pause) = (Rc::clone(&frame), Rc::clone(&served), env.clone());
            env.spawn(Group::Fetch, async move {
                // Some 200 KB in a second.
                for piece in frame.chunks(20_000) {
                    client.say(piece).await;
                    pause.sleep(Duration::from_millis(100)).await;
                }
                if client.hear().await.is_some() {
                    served.set(served.get() + 1);
                }
            });
        }
        let mut most = 0;
        for _ in 0..1_500 {
            env.sleep(Duration::from_millis(100)).await;
            most = most.max(cluster.used(0));
        }
        assert_eq!(served.get(), 60, "none was ended");
        assert!(most < 14 << 20, "{most} bytes of sixteen MiB");
    });
}

#[test]
fn who_stops_in_mid_frame_gives_way_to_those_that_wait() {
    on_two_shards(5, async |cluster| {
        let mut witness = cluster.connect(0);
        witness.topic("t", 1).await;
        let stopped: Vec<Client> = (0..5).map(|_| cluster.connect(0)).collect();
        for client in &stopped {
            client.say(&beginning((1 << 20) - 4)).await;
        }
        let env = cluster.sim.client_env();
        env.sleep(Duration::from_secs(20)).await;
        for client in &stopped {
            assert!(!ends(&cluster, client, Duration::from_millis(1)).await, "nobody waits");
        }
        let asked = env.now();
        assert_eq!(witness.produce("t", 0, &batch(900 << 10)).await, Some(0));
        let waited = env.now().since(asked);
        assert!(waited < Duration::from_millis(1_500), "{waited:?}");
        let mut left = 0;
        for client in &stopped {
            left += usize::from(!ends(&cluster, client, Duration::from_millis(1)).await);
        }
        assert_eq!(left, 4, "one was enough");
    });
}

#[test]
fn a_frame_may_come_in_any_pieces() {
    on_two_shards(6, async |cluster| {
        let mut client = cluster.connect(0);
        client.topic("t", 1).await;
        let frame = client.encoded("t", 0, &batch(300));
        for cut in 1..30 {
            let both = [&frame[..], &frame[..cut]].concat();
            client.say(&both).await;
            cluster.sim.client_env().sleep(Duration::from_millis(20)).await;
            client.say(&frame[cut..]).await;
            for _ in 0..2 {
                assert!(client.hear().await.is_some(), "cut at {cut}");
            }
        }
    });
}

#[test]
fn when_many_have_begun_others_are_read_without_holding_memory() {
    on_two_shards(7, async |cluster| {
        let mut client = cluster.connect(0);
        client.topic("t", 1).await;
        let begun: Vec<Client> = (0..600).map(|_| cluster.connect(0)).collect();
        for one in &begun {
            one.say(&[0]).await;
        }
        let env = cluster.sim.client_env();
        env.sleep(Duration::from_millis(100)).await;
        let used = cluster.used(0);
        assert!(used < 4 << 20, "{used} bytes for a byte of each of 600");
        for value_bytes in [0, 3_000, 100_000] {
            let frame = client.encoded("t", 0, &batch(value_bytes));
            for byte in &frame[..20] {
                client.say(&[*byte]).await;
                env.sleep(Duration::from_millis(1)).await;
            }
            client.say(&frame[20..]).await;
            assert!(client.hear().await.is_some());
        }
    });
}
