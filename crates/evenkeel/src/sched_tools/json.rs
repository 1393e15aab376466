//! Answers for programs. Names carry their units. Pure.

use admin::{Applied, GroupShares, Groups, OpenTrial};
use serde_json::{Value, json};

use super::usage::Usage;

pub(super) fn groups(told: &Groups) -> Value {
    let groups = told.groups.iter().map(|group| {
        let shards = group.shards.iter().map(|it| {
            json!({
                "cpu_shares": it.shares.cpu,
                "io_shares": it.shares.io,
                "is_held": it.shares.is_held,
                "cpu_used_ns": it.cpu_used_ns,
                "cpu_waited_ns": it.cpu_waited_ns,
                "io_requests": it.io_requests,
                "io_read_bytes": it.io_read_bytes,
                "io_written_bytes": it.io_written_bytes,
                "io_used_ns": it.io_used_ns,
                "io_waited_ns": it.io_waited_ns,
            })
        });
        json!({
            "name": group.name,
            "shards": shards.collect::<Vec<_>>(),
            "trial": group.trial.map(open),
        })
    });
    json!({ "at_ns": told.at_ns, "groups": groups.collect::<Vec<_>>() })
}

pub(super) fn usage(usage: &Usage) -> Value {
    let groups = usage.groups.iter().map(|it| {
        json!({
            "name": it.name,
            "cpu_shares": it.shares.cpu,
            "io_shares": it.shares.io,
            "is_held": it.shares.is_held,
            "cpu": it.cpu,
            "cpu_waited": it.cpu_waited,
            "io_requests_per_s": it.io_requests,
            "io_bytes_per_s": it.io_bytes,
            "io_used": it.io_used,
            "io_waited_s": it.io_waited_s,
            "trial": it.trial.map(open),
        })
    });
    json!({ "seconds": usage.seconds, "groups": groups.collect::<Vec<_>>() })
}

pub(super) fn shares(group: &str, shares: GroupShares) -> Value {
    json!({
        "group": group,
        "cpu_shares": shares.cpu,
        "io_shares": shares.io,
        "is_held": shares.is_held,
    })
}

pub(super) fn applied(group: &str, now: Applied) -> Value {
    let mut value = shares(group, now.shares);
    value["took_us"] = u64::try_from(now.took.as_micros()).unwrap_or(u64::MAX).into();
    value
}

pub(super) fn trial(group: &str, now: Applied, trial: OpenTrial) -> Value {
    let mut value = applied(group, now);
    value["trial"] = open(trial);
    value
}

fn open(trial: OpenTrial) -> Value {
    json!({
        "left_ms": u64::try_from(trial.left.as_millis()).unwrap_or(u64::MAX),
        "cpu_shares_before": trial.before.cpu,
        "io_shares_before": trial.before.io,
        "is_held_before": trial.before.is_held,
    })
}

#[cfg(test)]
mod tests {
    use super::super::usage::tests::groups as told;
    use super::*;

    #[test]
    fn every_shard_is_told() {
        let value = groups(&told(7, 1_000, 2));
        assert_eq!(value["at_ns"], 7);
        assert_eq!(value["groups"][0]["name"], "fetch");
        assert_eq!(value["groups"][0]["shards"][1]["cpu_used_ns"], 2_000);
        assert_eq!(value["groups"][0]["shards"][0]["io_read_bytes"], 8_192);
        assert_eq!(value["groups"][0]["shards"][0]["is_held"], false);
        assert_eq!(value["groups"][0]["trial"], Value::Null);
    }
}
