//! Messages from one shard to another.

use std::time::Duration;

use crate::{Envelope, Group, Mesh, ShardId};

/// How many messages the sender sends in each group.
pub const MESH_MESSAGES: u64 = 500;

const GROUPS: [Group; 3] = [Group::Produce, Group::Fetch, Group::Compaction];

/// The sending half: run it on one shard, and [`mesh_receiver`] on shard `to`. `message` makes
/// a message that carries a number.
///
/// # Panics
/// If the world breaks a promise.
pub async fn mesh_sender<M: Send + 'static, E: Mesh<M>>(
    env: &E,
    to: ShardId,
    message: impl Fn(u64) -> M,
) {
    for n in 0..MESH_MESSAGES {
        for group in GROUPS {
            let (depth, deadline, trace) = (1, Some(env.now()), n);
            let (from, message) = (env.shard(), message(n));
            env.send(to, Envelope { from, group, depth, deadline, trace, message }).await;
        }
        if n % 100 == 0 {
            env.sleep(Duration::from_micros(100)).await;
        }
    }
}

/// The receiving half: takes what one [`mesh_sender`] on shard `from` sends. `number` says
/// which number a message carries.
///
/// # Panics
/// If a message is missing, changed, or not in the order of its group.
pub async fn mesh_receiver<M: Send + 'static, E: Mesh<M>>(
    env: &E,
    from: ShardId,
    number: impl Fn(&M) -> u64,
) {
    let mut next = [0; GROUPS.len()];
    while next.iter().any(|n| *n < MESH_MESSAGES) {
        let envelope = env.receive().await;
        let group = GROUPS.iter().position(|group| *group == envelope.group);
        let next = &mut next[group.expect("a group that was sent")];
        assert_eq!(envelope.from, from);
        assert_eq!(number(&envelope.message), *next, "messages of one group stay in order");
        assert_eq!((envelope.depth, envelope.trace), (1, *next), "an envelope stays as it was");
        assert!(envelope.deadline.is_some_and(|sent| sent <= env.now()), "there is one clock");
        *next += 1;
    }
}
