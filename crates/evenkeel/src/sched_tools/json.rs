//! Answers for programs. Names carry their units; what is not counted is null. Pure.

use admin::{GroupShares, Groups, Held, OpenTrial};
use serde_json::{Value, json};

use super::usage::Usage;

pub(super) fn groups(told: &Groups) -> Value {
    let groups = told.groups.iter().map(|group| {
        let shards = group.shards.iter().map(|it| {
            json!({
                "cpu_shares": it.cpu_shares,
                "io_shares": it.io_shares,
                "cpu_used_ns": it.cpu_used_ns,
                "cpu_waited_ns": it.cpu_waited_ns,
                "io_operations": it.io_operations,
                "io_bytes": it.io_bytes,
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
            "cpu_shares": it.cpu_shares,
            "io_shares": it.io_shares,
            "cpu": it.cpu,
            "cpu_waited": it.cpu_waited,
            "io_operations_per_s": it.io_operations,
            "io_bytes_per_s": it.io_bytes,
            "io_waited_s": it.io_waited_s,
            "trial": it.trial.map(open),
        })
    });
    json!({ "seconds": usage.seconds, "groups": groups.collect::<Vec<_>>() })
}

pub(super) fn shares(group: &str, shares: GroupShares) -> Value {
    json!({ "group": group, "cpu_shares": shares.cpu, "io_shares": shares.io })
}

pub(super) fn held(group: &str, held: Held) -> Value {
    let mut value = shares(group, held.shares);
    value["took_us"] = u64::try_from(held.took.as_micros()).unwrap_or(u64::MAX).into();
    value
}

pub(super) fn trial(group: &str, held: Held, trial: OpenTrial) -> Value {
    let mut value = self::held(group, held);
    value["trial"] = open(trial);
    value
}

fn open(trial: OpenTrial) -> Value {
    json!({
        "left_ms": u64::try_from(trial.left.as_millis()).unwrap_or(u64::MAX),
        "cpu_shares_before": trial.before.cpu,
        "io_shares_before": trial.before.io,
    })
}

#[cfg(test)]
mod tests {
    use super::super::usage::tests::groups as told;
    use super::*;

    #[test]
    fn what_is_not_counted_is_null() {
        let value = groups(&told(7, 1_000, None));
        assert_eq!(value["at_ns"], 7);
        assert_eq!(value["groups"][0]["name"], "fetch");
        assert_eq!(value["groups"][0]["shards"][1]["cpu_used_ns"], 2_000);
        assert_eq!(value["groups"][0]["shards"][1]["io_bytes"], Value::Null);
        assert_eq!(value["groups"][0]["trial"], Value::Null);
        let value = groups(&told(7, 1_000, Some(2)));
        assert_eq!(value["groups"][0]["shards"][0]["io_bytes"], 8_192);
    }
}
