//! Answers for people. Pure.

use admin::{GroupReading, GroupShares, Groups, Held, OpenTrial};

use super::usage::{GroupUsage, Usage, seconds};
use crate::table::{Align, Table, bytes};

/// Every group, since the start of the broker.
pub(super) fn groups(told: &Groups, by_shard: bool) -> String {
    let mut columns = vec![("GROUP", Align::Left)];
    if by_shard {
        columns.push(("SHARD", Align::Right));
    }
    columns.extend(
        ["CPU SHARES", "IO SHARES", "CPU USED", "CPU WAITED", "IO OPS", "IO BYTES", "IO WAITED"]
            .map(|name| (name, Align::Right)),
    );
    columns.push(("TRIAL", Align::Left));
    let mut table = Table::new(&columns);
    for group in &told.groups {
        let trial = group.trial.map_or_else(String::new, going_back);
        if by_shard {
            for (number, shard) in group.shards.iter().enumerate() {
                let mut cells = vec![group.name.clone(), number.to_string()];
                cells.extend(used(shard));
                cells.push(trial.clone());
                table.row(cells);
            }
        } else {
            let mut cells = vec![group.name.clone()];
            cells.extend(used(&added(&group.shards)));
            cells.push(trial);
            table.row(cells);
        }
    }
    table.render()
}

fn used(of: &GroupReading) -> [String; 7] {
    [
        of.cpu_shares.to_string(),
        of.io_shares.to_string(),
        time(seconds(of.cpu_used_ns)),
        or_dash(of.cpu_waited_ns.map(|ns| time(seconds(ns)))),
        or_dash(of.io_operations.map(|count| count.to_string())),
        or_dash(of.io_bytes.map(bytes)),
        or_dash(of.io_waited_ns.map(|ns| time(seconds(ns)))),
    ]
}

/// What all shards used; the shares are those of the first, since all have the same.
fn added(shards: &[GroupReading]) -> GroupReading {
    let sum = |of: fn(&GroupReading) -> Option<u64>| shards.iter().map(of).sum::<Option<u64>>();
    let first = shards.first().copied().unwrap_or_default();
    GroupReading {
        cpu_used_ns: shards.iter().map(|it| it.cpu_used_ns).sum(),
        cpu_waited_ns: sum(|it| it.cpu_waited_ns),
        io_operations: sum(|it| it.io_operations),
        io_bytes: sum(|it| it.io_bytes),
        io_used_ns: sum(|it| it.io_used_ns),
        io_waited_ns: sum(|it| it.io_waited_ns),
        ..first
    }
}

/// The live view.
pub(super) fn top(usage: &Usage, address: &str) -> String {
    let shards = usage.groups.first().map_or(0, |group| group.cpu.len());
    let heads: Vec<String> = (0..shards).map(|shard| format!("CPU {shard}")).collect();
    let mut columns = vec![("GROUP", Align::Left)];
    columns.extend(["CPU SHARES", "IO SHARES"].map(|name| (name, Align::Right)));
    columns.extend(heads.iter().map(|head| (head.as_str(), Align::Right)));
    columns.extend(["WAITED", "IO OPS/S", "IO/S", "IO WAIT"].map(|name| (name, Align::Right)));
    columns.push(("TRIAL", Align::Left));
    let mut table = Table::new(&columns);
    for group in &usage.groups {
        table.row(live(group));
    }
    let totals: Vec<f64> =
        (0..shards).map(|shard| usage.groups.iter().map(|group| group.cpu[shard]).sum()).collect();
    let busy: Vec<String> = totals.into_iter().map(percent).collect();
    let head = format!(
        "evenkeel {address}: the last {:.1} s, shards busy {}\n\n",
        usage.seconds,
        busy.join(" ")
    );
    head + &table.render()
}

fn live(of: &GroupUsage) -> Vec<String> {
    let mut cells = vec![of.name.clone(), of.cpu_shares.to_string(), of.io_shares.to_string()];
    cells.extend(of.cpu.iter().copied().map(percent));
    let waited = of.cpu_waited.as_ref().map(|shards| {
        let most = shards.iter().copied().fold(0.0, f64::max);
        percent(most)
    });
    cells.push(or_dash(waited));
    cells.push(or_dash(of.io_operations.map(|rate| format!("{rate:.0}"))));
    cells.push(or_dash(of.io_bytes.map(rate)));
    cells.push(or_dash(of.io_waited_s.map(time)));
    cells.push(of.trial.map_or_else(String::new, going_back));
    cells
}

/// What holds now.
pub(super) fn held(group: &str, held: Held) -> String {
    format!("{} on every shard, after {}\n", has(group, held.shares), time(held.took.as_secs_f64()))
}

/// What holds now, and until when.
pub(super) fn trial(group: &str, held: Held, trial: OpenTrial) -> String {
    let back = going_back(trial);
    format!(
        "{}it goes {back}, unless `evenkeel sched confirm {group}` keeps it\n",
        self::held(group, held)
    )
}

/// What holds from now on.
pub(super) fn kept(group: &str, shares: GroupShares) -> String {
    format!("{}, and keeps it\n", has(group, shares))
}

fn has(group: &str, shares: GroupShares) -> String {
    format!("{group} has {} shares of the CPU and {} of storage", shares.cpu, shares.io)
}

fn going_back(trial: OpenTrial) -> String {
    let GroupShares { cpu, io } = trial.before;
    format!("back to {cpu} and {io} in {}", time(trial.left.as_secs_f64()))
}

fn or_dash(text: Option<String>) -> String {
    text.unwrap_or_else(|| "-".to_owned())
}

fn percent(part: f64) -> String {
    format!("{:.1} %", part * 100.0)
}

/// Bytes in a second.
fn rate(per_s: f64) -> String {
    const UNITS: [&str; 4] = ["B", "KiB", "MiB", "GiB"];
    let mut value = per_s;
    let mut unit = 0;
    while 1024.0 <= value && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

/// A time with three digits or so.
fn time(seconds: f64) -> String {
    if 3600.0 <= seconds {
        format!("{:.1} h", seconds / 3600.0)
    } else if 100.0 <= seconds {
        format!("{:.1} m", seconds / 60.0)
    } else if 1.0 <= seconds {
        format!("{seconds:.1} s")
    } else if 1e-3 <= seconds {
        format!("{:.1} ms", seconds * 1e3)
    } else {
        format!("{:.0} us", seconds * 1e6)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::usage::tests::groups as told;
    use super::*;

    const BEFORE: GroupShares = GroupShares { cpu: 50, io: 60 };

    #[test]
    fn groups_are_added_over_shards_or_told_by_shard() {
        let told = told(0, 1_500_000_000, Some(2));
        let all = groups(&told, false);
        let lines: Vec<&str> = all.lines().collect();
        assert_eq!(lines.len(), 2);
        assert!(lines[1].contains("4.5 s") && lines[1].contains("16.0 KiB"), "{all}");
        let each = groups(&told, true);
        assert_eq!(each.lines().count(), 3);
        assert!(each.contains("1.5 s") && each.contains("3.0 s"), "{each}");
    }

    #[test]
    fn what_is_not_counted_is_a_dash() {
        let all = groups(&told(0, 1_500_000_000, None), false);
        assert_eq!(all.lines().nth(1).map(|line| line.matches(" -").count()), Some(4), "{all}");
    }

    #[test]
    fn the_live_view_shows_each_shard() {
        let usage =
            Usage::between(&told(0, 0, Some(0)), &told(1_000_000_000, 250_000_000, Some(9)));
        let text = top(&usage, "here:1");
        assert!(text.starts_with("evenkeel here:1: the last 1.0 s, shards busy 25.0 % 50.0 %\n"));
        assert!(
            text.contains("CPU 0") && text.contains("CPU 1") && text.contains("1.0 ms"),
            "{text}"
        );
    }

    #[test]
    fn a_trial_says_when_it_goes_back_and_how_to_keep_it() {
        let now =
            Held { shares: GroupShares { cpu: 900, io: 60 }, took: Duration::from_micros(80) };
        let text = trial("fetch", now, OpenTrial { left: Duration::from_secs(30), before: BEFORE });
        assert!(text.contains("900 shares of the CPU") && text.contains("80 us"), "{text}");
        assert!(text.contains("back to 50 and 60 in 30.0 s"), "{text}");
        assert!(text.contains("evenkeel sched confirm fetch"), "{text}");
    }

    #[test]
    fn times_and_rates_are_told_in_their_unit() {
        assert_eq!(time(0.000_25), "250 us");
        assert_eq!(time(7_200.0), "2.0 h");
        assert_eq!(rate(1_536.0), "1.5 KiB");
    }
}
