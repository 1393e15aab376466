//! Frames that begin and do not end.

use std::time::Duration;

use env::sync::race;
use env::{Env, Stream};

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
