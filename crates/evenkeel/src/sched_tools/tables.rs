//! Answers for people. Pure.

use admin::{Applied, GroupReading, GroupShares, Groups, OpenTrial};

use super::usage::{GroupUsage, Usage, seconds};
use crate::table::{Align, Table, bytes};

/// Every group, since the start of the broker.
pub(super) fn groups(told: &Groups, by_shard: bool) -> String {
    let mut columns = vec![("GROUP", Align::Left)];
    if by_shard {
        columns.push(("SHARD", Align::Right));
    }
    let names = ["CPU SHARES", "IO SHARES", "CPU USED", "CPU WAITED", "IO", "READ", "WRITTEN"];
    columns.extend(names.map(|name| (name, Align::Right)));
    columns.push(("IO WAITED", Align::Right));
    columns.push(("HELD", Align::Left));
    let mut table = Table::new(&columns);
    for group in &told.groups {
        let shares = group.shards.first().map(|shard| shard.shares).unwrap_or_default();
        let trial = holding(shares, group.trial);
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

fn used(of: &GroupReading) -> [String; 8] {
    [
        of.shares.cpu.to_string(),
        of.shares.io.to_string(),
        time(seconds(of.cpu_used_ns)),
        time(seconds(of.cpu_waited_ns)),
        of.io_requests.to_string(),
        bytes(of.io_read_bytes),
        bytes(of.io_written_bytes),
        time(seconds(of.io_waited_ns)),
    ]
}

/// What all shards used; the shares are those of the first, since all have the same.
fn added(shards: &[GroupReading]) -> GroupReading {
    let sum = |of: fn(&GroupReading) -> u64| shards.iter().map(of).sum();
    GroupReading {
        shares: shards.first().map(|shard| shard.shares).unwrap_or_default(),
        cpu_used_ns: sum(|it| it.cpu_used_ns),
        cpu_waited_ns: sum(|it| it.cpu_waited_ns),
        io_requests: sum(|it| it.io_requests),
        io_read_bytes: sum(|it| it.io_read_bytes),
        io_written_bytes: sum(|it| it.io_written_bytes),
        io_used_ns: sum(|it| it.io_used_ns),
        io_waited_ns: sum(|it| it.io_waited_ns),
    }
}

/// The live view.
pub(super) fn top(usage: &Usage, address: &str) -> String {
    let shards = usage.groups.first().map_or(0, |group| group.cpu.len());
    let heads: Vec<String> = (0..shards).map(|shard| format!("CPU {shard}")).collect();
    let mut columns = vec![("GROUP", Align::Left)];
    columns.extend(["CPU SHARES", "IO SHARES"].map(|name| (name, Align::Right)));
    columns.extend(heads.iter().map(|head| (head.as_str(), Align::Right)));
    columns.extend(["WAITED", "IO/S", "IO BYTES/S", "IO WAIT"].map(|name| (name, Align::Right)));
    columns.push(("HELD", Align::Left));
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
    let GroupShares { cpu, io, .. } = of.shares;
    let mut cells = vec![of.name.clone(), cpu.to_string(), io.to_string()];
    cells.extend(of.cpu.iter().copied().map(percent));
    cells.push(percent(of.cpu_waited.iter().copied().fold(0.0, f64::max)));
    cells.push(format!("{:.0}", of.io_requests));
    cells.push(rate(of.io_bytes));
    cells.push(time(of.io_waited_s));
    cells.push(holding(of.shares, of.trial));
    cells
}

/// What holds now.
pub(super) fn applied(group: &str, now: Applied) -> String {
    format!("{} on every shard, after {}\n", has(group, now.shares), time(now.took.as_secs_f64()))
}

/// What holds now, and until when.
pub(super) fn trial(group: &str, now: Applied, trial: OpenTrial) -> String {
    let back = going_back(trial);
    format!(
        "{}it goes {back}, unless `evenkeel sched confirm {group}` keeps it\n",
        applied(group, now)
    )
}

/// What holds until a controller changes it.
pub(super) fn released(group: &str, now: Applied) -> String {
    format!("{} until one of the broker's controllers changes them\n", has(group, now.shares))
}

/// What holds from now on.
pub(super) fn kept(group: &str, shares: GroupShares) -> String {
    format!("{}, and keeps it\n", has(group, shares))
}

fn has(group: &str, shares: GroupShares) -> String {
    format!("{group} has {} shares of the CPU and {} of storage", shares.cpu, shares.io)
}

fn going_back(trial: OpenTrial) -> String {
    let GroupShares { cpu, io, .. } = trial.before;
    format!("back to {cpu} and {io} in {}", time(trial.left.as_secs_f64()))
}

/// Whether controllers may change the shares, and when they may again.
fn holding(shares: GroupShares, trial: Option<OpenTrial>) -> String {
    match (trial, shares.is_held) {
        (Some(trial), _) => going_back(trial),
        (None, true) => "yes".to_owned(),
        (None, false) => String::new(),
    }
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

    const BEFORE: GroupShares = GroupShares { cpu: 50, io: 60, is_held: false };

    #[test]
    fn groups_are_added_over_shards_or_told_by_shard() {
        let told = told(0, 1_500_000_000, 2);
        let all = groups(&told, false);
        let lines: Vec<&str> = all.lines().collect();
        assert_eq!(lines.len(), 2);
        assert!(lines[1].contains("4.5 s") && lines[1].contains("16.0 KiB"), "{all}");
        let each = groups(&told, true);
        assert_eq!(each.lines().count(), 3);
        assert!(each.contains("1.5 s") && each.contains("3.0 s"), "{each}");
    }

    #[test]
    fn shares_that_somebody_set_are_marked() {
        let mut told = told(0, 0, 0);
        assert!(!groups(&told, false).contains("yes"));
        told.groups[0].shards[0].shares.is_held = true;
        assert!(groups(&told, false).contains("yes"));
    }

    #[test]
    fn the_live_view_shows_each_shard() {
        let usage = Usage::between(&told(0, 0, 0), &told(1_000_000_000, 250_000_000, 9));
        let text = top(&usage, "here:1");
        assert!(text.starts_with("evenkeel here:1: the last 1.0 s, shards busy 25.0 % 50.0 %\n"));
        assert!(
            text.contains("CPU 0") && text.contains("CPU 1") && text.contains("1.0 ms"),
            "{text}"
        );
    }

    #[test]
    fn a_trial_says_when_it_goes_back_and_how_to_keep_it() {
        let now = Applied {
            shares: GroupShares { cpu: 900, io: 60, is_held: true },
            took: Duration::from_micros(80),
        };
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
