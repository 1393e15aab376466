//! What the admin plane asks of the shards, done on each: tell everything, change shares.

use admin::{
    Ask, GroupReading, GroupShares, Inbox, JournalReading, Latency, RequestReading, ShardReading,
    SharesChange,
};
use broker::{Shard, ShardMessage};
use env::{Env, Group};
use runtime::{ShardEnv, Shares};

const GROUPS: usize = Group::ALL.len();

// The broker counts what the plane shows.
const _: () = {
    let (counted, shown) = (broker::LATENCY_BOUNDS_US, admin::LATENCY_BOUNDS_US);
    assert!(counted.len() == shown.len());
    let mut place = 0;
    while place < shown.len() {
        assert!(counted[place] == shown[place]);
        place += 1;
    }
};

/// Does what comes through `inbox` until the plane is gone. Belongs into the group `system`, so that
/// a change of shares holds soon on a shard that is busy; what takes longer runs in `telemetry`.
pub(crate) async fn steer(
    env: ShardEnv<ShardMessage>,
    shard: Shard<ShardEnv<ShardMessage>>,
    mut inbox: Inbox,
) {
    // A group begins with the same weight for both.
    let mut io = Group::ALL.map(|group| env.cpu_shares(group));
    while let Some(ask) = inbox.next().await {
        match ask {
            Ask::SetShares { group, change, reply } => {
                if let Some(group) = Group::ALL.get(group) {
                    reply.send(set(&env, &mut io, *group, change));
                }
            }
            Ask::Read(reply) => {
                let (env_of, shard) = (env.clone(), shard.clone());
                env.spawn(Group::Telemetry, async move { reply.send(read(&env_of, &shard, &io)) });
            }
        }
    }
}

fn set(
    env: &ShardEnv<ShardMessage>,
    io: &mut [Shares; GROUPS],
    group: Group,
    change: SharesChange,
) -> GroupShares {
    let shares = |wanted: Option<u32>, now: Shares| {
        let wanted = wanted.and_then(|wanted| Shares::new(u16::try_from(wanted).ok()?));
        wanted.unwrap_or(now)
    };
    let cpu = shares(change.cpu, env.cpu_shares(group));
    let io = {
        let it = &mut io[group as usize];
        *it = shares(change.io, *it);
        *it
    };
    env.set_shares(group, cpu, io);
    GroupShares { cpu: cpu.get().into(), io: io.get().into() }
}

fn read(
    env: &ShardEnv<ShardMessage>,
    shard: &Shard<ShardEnv<ShardMessage>>,
    io: &[Shares; GROUPS],
) -> ShardReading {
    let counted = shard.reading();
    let group = |group: Group| GroupReading {
        cpu_shares: env.cpu_shares(group).get().into(),
        io_shares: io[group as usize].get().into(),
        cpu_used_ns: env.cpu_ns(group),
        ..GroupReading::default()
    };
    ShardReading {
        groups: Group::ALL.into_iter().map(group).collect(),
        latencies: counted
            .latencies
            .iter()
            .map(|it| Latency { counts: it.counts, sum_ns: it.sum_ns })
            .collect(),
        requests: counted
            .requests
            .iter()
            .map(|it| RequestReading {
                name: it.key.name(),
                answered: it.answered,
                failed: it.failed,
            })
            .collect(),
        produced_bytes: counted.produced_bytes,
        fetched_bytes: counted.fetched_bytes,
        connections_open: counted.connections_open,
        connections_accepted: counted.connections_accepted,
        memory_used_bytes: counted.memory_used_bytes,
        memory_limit_bytes: counted.memory_limit_bytes,
        journal: JournalReading {
            frames: counted.journal_frames,
            written_bytes: counted.journal_written_bytes,
            flushes: counted.journal_flushes,
        },
    }
}
