//! Tests of `backlog`.

use super::*;

const MIB: u64 = 1 << 20;

/// A core on which others with `others` shares take all that they get, and a compaction that
/// costs `mib_ns` of it for each mebibyte.
struct Plant {
    backlog_bytes: u64,
    mib_ns: u64,
    others: u64,
    control: BacklogControl,
    last: Reading,
}

impl Plant {
    fn new(mib_ns: u64, target_bytes: u64) -> Plant {
        let control = BacklogControl::new(target_bytes);
        let last = Reading { disk_bytes: 1 << 40, disk_free_bytes: 1 << 39, ..Reading::default() };
        Plant { backlog_bytes: 0, mib_ns, others: 1000, control, last }
    }

    fn second(&mut self, added_bytes: u64, shares: u64) -> Decision {
        let most_ns = 1_000_000_000 * shares / (shares + self.others);
        let waiting = self.backlog_bytes + added_bytes;
        let done_bytes = waiting.min(most_ns * MIB / self.mib_ns);
        self.backlog_bytes = waiting - done_bytes;
        let used_ns = done_bytes * self.mib_ns / MIB;
        self.last = Reading {
            backlog_bytes: self.backlog_bytes,
            added_bytes,
            done_bytes,
            cpu_ns: used_ns,
            device_ns: used_ns,
            cpu_contenders: self.others,
            io_contenders: self.others,
            was_denied: 0 < self.backlog_bytes,
            ..self.last
        };
        self.control.decide(&self.last)
    }

    /// Shares over `seconds`, beginning at `shares`.
    fn run(&mut self, seconds: usize, added_bytes: u64, shares: u64) -> Vec<u64> {
        let mut given = vec![shares];
        for _ in 0..seconds {
            let last = given[given.len() - 1];
            given.push(u64::from(self.second(added_bytes, last).cpu.get()));
        }
        given
    }
}

/// What a plant needs to keep up with `added` bytes a second.
fn needed(plant: &Plant, added: u64) -> u64 {
    let ppm = added / MIB * plant.mib_ns / 1000;
    plant.others * ppm / (1_000_000 - ppm)
}

#[test]
fn three_times_the_load_is_kept_up_with_in_a_minute_without_much_overshoot() {
    // 4 ns for each byte; 20 MB/s take a twelfth of a core, 60 MB/s a quarter.
    let mut plant = Plant::new(4 * MIB, 64 * MIB);
    let before = plant.run(120, 20 * MIB, 50);
    let after = plant.run(240, 60 * MIB, *before.last().unwrap());
    let needs = needed(&plant, 60 * MIB);
    assert!(after[60..].iter().all(|shares| shares * 100 >= needs * 90), "{after:?}");
    let most = after.iter().max().unwrap();
    assert!(most * 100 <= needs * 145, "{most} of {needs}: what came meanwhile is worked off too");
    assert!(plant.backlog_bytes <= 2 * 60 * MIB, "{} MiB are left", plant.backlog_bytes / MIB);
    let steady = &after[180..];
    let (least, most) = (steady.iter().min().unwrap(), steady.iter().max().unwrap());
    assert!((most - least) * 10 <= *most, "steady: {steady:?}");
}

#[test]
fn a_cost_that_is_not_what_it_seems_is_trimmed_and_stays_stable() {
    for factor in [1, 2, 5] {
        let mut plant = Plant::new(2 * MIB * factor, 64 * MIB);
        let given = plant.run(900, 30 * MIB, 50);
        let tail = &given[600..];
        let (least, most) = (tail.iter().min().unwrap(), tail.iter().max().unwrap());
        assert!(*most <= least * 2, "factor {factor}: {tail:?}");
        assert!(plant.backlog_bytes <= 600 * MIB, "factor {factor}: {}", plant.backlog_bytes);
    }
}

/// Redpanda: the constructor normalised the setpoint, the update did not, so that after a change
/// of the configuration the backlog and its target were not in the same unit.
#[test]
fn setpoint_units() {
    let mut built = Plant::new(4 * MIB, 256 * MIB);
    let mut updated = Plant::new(4 * MIB, MIB);
    updated.control.set_target(256 * MIB);
    assert_eq!(built.run(300, 60 * MIB, 50), updated.run(300, 60 * MIB, 50));
    // At its target, a backlog is neither over nor under it.
    let mut control = BacklogControl::new(256 * MIB);
    let seen = Reading {
        backlog_bytes: 256 * MIB,
        done_bytes: 100 * MIB,
        added_bytes: 100 * MIB,
        cpu_ns: 200_000_000,
        device_ns: 200_000_000,
        cpu_contenders: 1000,
        io_contenders: 1000,
        was_denied: true,
        disk_bytes: 1 << 40,
        disk_free_bytes: 1 << 39,
        ..Reading::default()
    };
    assert!((0..100).all(|_| control.decide(&seen).trim == 0));
    let over = Reading { backlog_bytes: 1024 * MIB, ..seen };
    let (first, last) = (control.decide(&over).trim, (0..100).map(|_| control.decide(&over).trim));
    assert!(0 < first && first < last.last().unwrap());
}

#[test]
fn nothing_is_integrated_while_the_group_gets_all_it_wants() {
    let mut control = BacklogControl::new(1 << 30);
    let seen = Reading {
        backlog_bytes: 1 << 33,
        done_bytes: 100 * MIB,
        cpu_ns: 900_000_000,
        cpu_contenders: 1000,
        disk_bytes: 1 << 42,
        disk_free_bytes: 1 << 41,
        ..Reading::default()
    };
    let first = control.decide(&seen).trim;
    for _ in 0..1000 {
        assert_eq!(control.decide(&seen).trim, first);
    }
}

#[test]
fn a_late_foreground_stops_growth_but_not_on_a_full_disk() {
    let mut plant = Plant::new(8 * MIB, MIB);
    plant.last.foreground_late = true;
    let given = plant.run(60, 80 * MIB, 50);
    let held = given[usize::try_from(VETO_AFTER_S).unwrap()];
    assert!(given[10..].iter().all(|shares| *shares <= held), "{given:?}");
    plant.last.disk_free_bytes = plant.last.disk_bytes / 10;
    let decision = plant.second(80 * MIB, held);
    assert!(decision.is_vetoed);
    assert_eq!((decision.cpu.get(), decision.io.get()), (FULL_FLOOR, FULL_FLOOR));
    plant.last.disk_free_bytes = plant.last.disk_bytes / 20;
    assert_eq!(plant.second(80 * MIB, 500).cpu.get(), CEILING);
}

#[test]
fn a_disk_that_will_soon_be_full_shortens_the_horizon() {
    let seen = |free| Reading { added_bytes: 100, disk_free_bytes: free, ..Reading::default() };
    assert_eq!(horizon_s(&seen(1 << 40)), HORIZON_S);
    assert_eq!(horizon_s(&seen(20_000)), 100);
    assert_eq!(horizon_s(&seen(0)), 1);
}
