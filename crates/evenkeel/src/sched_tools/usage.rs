//! What groups used between two looks. Pure.

use admin::{GroupReading, Groups, OpenTrial};

/// Every group between two looks.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Usage {
    /// Between them, in seconds.
    pub(super) seconds: f64,
    pub(super) groups: Vec<GroupUsage>,
}

/// One group between two looks; its shares as of the second. What is `None` is not counted.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct GroupUsage {
    pub(super) name: String,
    pub(super) cpu_shares: u32,
    pub(super) io_shares: u32,
    /// Part of each shard's time in which it ran, from 0 to 1.
    pub(super) cpu: Vec<f64>,
    /// Part of each shard's time in which it could run and did not.
    pub(super) cpu_waited: Option<Vec<f64>>,
    /// Storage operations in a second, on all shards.
    pub(super) io_operations: Option<f64>,
    /// Bytes of them in a second.
    pub(super) io_bytes: Option<f64>,
    /// Of one operation, in seconds; `None` also without operations.
    pub(super) io_waited_s: Option<f64>,
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
            let shards: Vec<Pair> = group
                .shards
                .iter()
                .enumerate()
                .map(|(shard, now)| Pair { before: known.get(shard).copied(), now: *now })
                .collect();
            let first = group.shards.first().copied().unwrap_or_default();
            let operations = sum(&shards, |it| it.io_operations);
            let waited = sum(&shards, |it| it.io_waited_ns);
            GroupUsage {
                name: group.name.clone(),
                cpu_shares: first.cpu_shares,
                io_shares: first.io_shares,
                cpu: shards
                    .iter()
                    .map(|it| {
                        self::seconds(it.more(|it| Some(it.cpu_used_ns)).unwrap_or(0)) / seconds
                    })
                    .collect(),
                cpu_waited: shards
                    .iter()
                    .map(|it| it.more(|it| it.cpu_waited_ns).map(|ns| self::seconds(ns) / seconds))
                    .collect(),
                io_operations: operations.map(|count| number(count) / seconds),
                io_bytes: sum(&shards, |it| it.io_bytes).map(|bytes| number(bytes) / seconds),
                io_waited_s: match (operations, waited) {
                    (Some(count), Some(waited)) if 0 < count => {
                        Some(self::seconds(waited) / number(count))
                    }
                    _ => None,
                },
                trial: group.trial,
            }
        });
        Usage { seconds, groups: groups.collect() }
    }
}

struct Pair {
    before: Option<GroupReading>,
    now: GroupReading,
}

impl Pair {
    fn more(&self, of: impl Fn(&GroupReading) -> Option<u64>) -> Option<u64> {
        let before = self.before.as_ref().and_then(&of).unwrap_or(0);
        of(&self.now).map(|now| now.saturating_sub(before))
    }
}

fn sum(shards: &[Pair], of: impl Fn(&GroupReading) -> Option<u64>) -> Option<u64> {
    shards.iter().map(|it| it.more(&of)).sum()
}

#[expect(clippy::cast_precision_loss, reason = "it is shown with three digits")]
pub(super) fn number(count: u64) -> f64 {
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

    /// One group on two shards, which used `ns` on the first and twice that on the second.
    pub(crate) fn groups(at_ns: u64, ns: u64, io: Option<u64>) -> Groups {
        let shard = |ns: u64| GroupReading {
            cpu_shares: 50,
            io_shares: 60,
            cpu_used_ns: ns,
            cpu_waited_ns: io.map(|_| ns / 2),
            io_operations: io,
            io_bytes: io.map(|count| count * 4096),
            io_used_ns: None,
            io_waited_ns: io.map(|count| count * 1_000_000),
        };
        let shards = vec![shard(ns), shard(2 * ns)];
        Groups { at_ns, groups: vec![Group { name: "fetch".to_owned(), shards, trial: None }] }
    }

    #[test]
    fn rates_are_the_difference_over_the_time() {
        let before = groups(1_000_000_000, 1_000_000, Some(100));
        let now = groups(3_000_000_000, 401_000_000, Some(300));
        let usage = Usage::between(&before, &now);
        let fetch = &usage.groups[0];
        assert!((usage.seconds - 2.0).abs() < 1e-9);
        assert!((fetch.cpu[0] - 0.2).abs() < 1e-9 && (fetch.cpu[1] - 0.4).abs() < 1e-9);
        assert_eq!(fetch.io_operations, Some(200.0));
        assert_eq!(fetch.io_bytes, Some(819_200.0));
        assert_eq!(fetch.io_waited_s, Some(0.001));
    }

    #[test]
    fn what_is_not_counted_stays_unknown() {
        let usage = Usage::between(&groups(0, 0, None), &groups(1_000_000_000, 5, None));
        let fetch = &usage.groups[0];
        assert_eq!((fetch.io_operations, fetch.io_bytes, fetch.io_waited_s), (None, None, None));
        assert_eq!(fetch.cpu_waited, None);
    }

    #[test]
    fn a_broker_that_began_again_shows_nothing_and_no_nonsense() {
        let usage = Usage::between(&groups(9_000_000_000, 900, Some(9)), &groups(0, 5, Some(1)));
        assert_eq!(usage.groups[0].cpu, [0.0, 0.0]);
        assert_eq!(usage.groups[0].io_operations, Some(0.0));
    }
}
