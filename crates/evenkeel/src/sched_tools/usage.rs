//! What groups used between two looks. Pure.

use admin::{GroupReading, GroupShares, Groups, OpenTrial};

/// Every group between two looks.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Usage {
    /// Between them, in seconds.
    pub(super) seconds: f64,
    pub(super) groups: Vec<GroupUsage>,
}

/// One group between two looks; its shares as of the second.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct GroupUsage {
    pub(super) name: String,
    pub(super) shares: GroupShares,
    /// Part of each shard's time in which it ran, from 0 to 1.
    pub(super) cpu: Vec<f64>,
    /// Part of each shard's time in which it could run and did not.
    pub(super) cpu_waited: Vec<f64>,
    /// Reads, writes and flushes in a second, on all shards.
    pub(super) io_requests: f64,
    /// Bytes that they read and wrote in a second.
    pub(super) io_bytes: f64,
    /// Part of the device's time that they cost, by the broker's model of it.
    pub(super) io_used: f64,
    /// Of one request, in seconds; 0 without requests.
    pub(super) io_waited_s: f64,
    pub(super) trial: Option<OpenTrial>,
}

impl Usage {
    /// What happened from `before` to `now`. A broker that was started again in between counts
    /// from nothing, which shows as nothing.
    pub(super) fn between(before: &Groups, now: &Groups) -> Usage {
        let seconds = seconds(now.at_ns.saturating_sub(before.at_ns)).max(1e-9);
        let groups = now.groups.iter().map(|group| {
            let known = before.groups.iter().find(|known| known.name == group.name);
            let none = Vec::new();
            let known = known.map_or(&none, |known| &known.shards);
            let pair = |(shard, now): (usize, &GroupReading)| Pair {
                before: known.get(shard).copied().unwrap_or_default(),
                now: *now,
            };
            let shards: Vec<Pair> = group.shards.iter().enumerate().map(pair).collect();
            let part = |of: fn(&GroupReading) -> u64| {
                shards.iter().map(|it| self::seconds(it.more(of)) / seconds).collect()
            };
            let sum = |of: fn(&GroupReading) -> u64| shards.iter().map(|it| it.more(of)).sum();
            let requests: u64 = sum(|it| it.io_requests);
            let bytes: u64 = sum(|it| it.io_read_bytes + it.io_written_bytes);
            GroupUsage {
                name: group.name.clone(),
                shares: group.shards.first().map(|shard| shard.shares).unwrap_or_default(),
                cpu: part(|it| it.cpu_used_ns),
                cpu_waited: part(|it| it.cpu_waited_ns),
                io_requests: number(requests) / seconds,
                io_bytes: number(bytes) / seconds,
                io_used: self::seconds(sum(|it| it.io_used_ns)) / seconds,
                io_waited_s: self::seconds(sum(|it| it.io_waited_ns)) / number(requests.max(1)),
                trial: group.trial,
            }
        });
        Usage { seconds, groups: groups.collect() }
    }
}

struct Pair {
    before: GroupReading,
    now: GroupReading,
}

impl Pair {
    fn more(&self, of: fn(&GroupReading) -> u64) -> u64 {
        of(&self.now).saturating_sub(of(&self.before))
    }
}

#[expect(clippy::cast_precision_loss, reason = "it is shown with three digits")]
fn number(count: u64) -> f64 {
    count as f64
}

/// Nanoseconds in seconds.
pub(super) fn seconds(ns: u64) -> f64 {
    number(ns) / 1e9
}

#[cfg(test)]
pub(super) mod tests {
    use admin::Group;

    use super::*;

    /// One group on two shards, which used `ns` on the first and twice that on the second, and did
    /// `requests` reads of 4 KiB on each.
    pub(crate) fn groups(at_ns: u64, ns: u64, requests: u64) -> Groups {
        let shard = |ns: u64| GroupReading {
            shares: GroupShares { cpu: 50, io: 60, is_held: false },
            cpu_used_ns: ns,
            cpu_waited_ns: ns / 2,
            io_requests: requests,
            io_read_bytes: requests * 4096,
            io_written_bytes: 0,
            io_used_ns: requests * 100_000,
            io_waited_ns: requests * 1_000_000,
        };
        let shards = vec![shard(ns), shard(2 * ns)];
        Groups { at_ns, groups: vec![Group { name: "fetch".to_owned(), shards, trial: None }] }
    }

    fn is_near(value: f64, wanted: f64) -> bool {
        (value - wanted).abs() < 1e-9
    }

    #[test]
    fn rates_are_the_difference_over_the_time() {
        let before = groups(1_000_000_000, 1_000_000, 100);
        let now = groups(3_000_000_000, 401_000_000, 300);
        let usage = Usage::between(&before, &now);
        let fetch = &usage.groups[0];
        assert!(is_near(usage.seconds, 2.0));
        assert!(is_near(fetch.cpu[0], 0.2) && is_near(fetch.cpu[1], 0.4));
        assert!(is_near(fetch.cpu_waited[1], 0.2));
        assert!(is_near(fetch.io_requests, 200.0) && is_near(fetch.io_bytes, 819_200.0));
        assert!(is_near(fetch.io_waited_s, 0.001) && is_near(fetch.io_used, 0.02));
    }

    #[test]
    fn a_broker_that_began_again_shows_nothing_and_no_nonsense() {
        let usage = Usage::between(&groups(9_000_000_000, 900, 9), &groups(0, 5, 1));
        assert_eq!(usage.groups[0].cpu, [0.0, 0.0]);
        assert!(is_near(usage.groups[0].io_requests, 0.0));
        assert!(is_near(usage.groups[0].io_waited_s, 0.0));
    }
}
