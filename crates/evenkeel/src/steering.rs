//! What the admin plane asks of the shards, done on each: tell everything, change shares.

use admin::{
    Ask, GroupReading, GroupShares, Inbox, JournalReading, Latency, RequestReading, ShardReading,
    SharesChange,
};
use broker::{Shard, ShardMessage};
use env::{Env, Group};
use runtime::{GroupStats, ShardEnv, Shares};

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
    while let Some(ask) = inbox.next().await {
        match ask {
            Ask::SetShares { group, change, hold, reply } => {
                if let Some(group) = Group::ALL.get(group) {
                    reply.send(set(&env, *group, change, hold));
                }
            }
            Ask::Read(reply) => {
                let (env_of, shard) = (env.clone(), shard.clone());
                env.spawn(Group::Telemetry, async move { reply.send(read(&env_of, &shard)) });
            }
        }
    }
}

/// Changes the shares of `group` on this shard; what holds then.
fn set(
    env: &ShardEnv<ShardMessage>,
    group: Group,
    change: SharesChange,
    hold: Option<bool>,
) -> GroupShares {
    let now = env.group_stats()[group as usize];
    let shares = |wanted: Option<u32>, now: Shares| {
        let wanted = wanted.and_then(|wanted| Shares::new(u16::try_from(wanted).ok()?));
        wanted.unwrap_or(now)
    };
    let (cpu, io) = (shares(change.cpu, now.cpu_shares), shares(change.io, now.io_shares));
    if change != SharesChange::default() {
        env.set_shares(group, cpu, io);
    }
    match hold {
        Some(true) => env.hold_shares(group, cpu, io),
        Some(false) => env.release_shares(group),
        None => {}
    }
    shares_of(&env.group_stats()[group as usize])
}

fn shares_of(stats: &GroupStats) -> GroupShares {
    GroupShares {
        cpu: stats.cpu_shares.get().into(),
        io: stats.io_shares.get().into(),
        is_held: stats.is_held,
    }
}

fn read(env: &ShardEnv<ShardMessage>, shard: &Shard<ShardEnv<ShardMessage>>) -> ShardReading {
    let counted = shard.reading();
    let group = |stats: &GroupStats| GroupReading {
        shares: shares_of(stats),
        cpu_used_ns: stats.cpu_ns,
        cpu_waited_ns: stats.cpu_waited_ns,
        io_requests: stats.io_requests,
        io_read_bytes: stats.io_read_bytes,
        io_written_bytes: stats.io_written_bytes,
        io_used_ns: stats.io_device_ns,
        io_waited_ns: stats.io_waited_ns,
    };
    ShardReading {
        groups: env.group_stats().iter().map(group).collect(),
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
