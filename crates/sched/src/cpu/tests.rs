//! Tests of `cpu`.

use super::*;

const FAST: Level = Level::Latency { target_ns: 400_000 };

fn params(shares: u16, level: Level) -> Params {
    Params { shares: Shares::new(shares).unwrap(), level }
}

/// Runs turns of at most `step_ns` until `until_ns`; every group stays runnable.
fn saturate(cpu: &mut CpuPolicy, now_ns: &mut u64, until_ns: u64, step_ns: u64) {
    while *now_ns < until_ns {
        let pick = cpu.pick(*now_ns).expect("all are runnable");
        let ran_ns = step_ns.min(pick.until_ns - *now_ns);
        *now_ns += ran_ns;
        cpu.ran(pick.group, ran_ns, true, *now_ns);
    }
}

#[test]
fn shares_divide_the_core() {
    let mut cpu = CpuPolicy::new(&[params(200, Level::Batch), params(800, FAST)]);
    let mut now_ns = 0;
    cpu.wake(0, 0);
    cpu.wake(1, 0);
    saturate(&mut cpu, &mut now_ns, 1_000_000_000, 100_000);
    let part = cpu.ran_ns(0) * 1000 / now_ns;
    assert!((198..=202).contains(&part), "{part} of 1000");
}

#[test]
fn a_batch_group_keeps_its_slice_but_yields_to_latency() {
    let batch = params(100, Level::Batch);
    let mut cpu = CpuPolicy::new(&[batch, batch, params(1000, FAST)]);
    cpu.wake(0, 0);
    cpu.wake(1, 0);
    let first = cpu.pick(0).unwrap().group;
    cpu.ran(first, 100_000, true, 100_000);
    let kept = cpu.pick(100_000).unwrap();
    assert_eq!((kept.group, kept.why), (first, Why::Keep));
    assert_eq!(kept.until_ns, 500_000);
    cpu.ran(first, 100_000, true, 200_000);
    cpu.wake(2, 200_000);
    let latency = cpu.pick(200_000).unwrap();
    assert_eq!((latency.group, latency.why), (2, Why::Deadline));
    cpu.ran(2, 20_000, false, 220_000);
    assert_eq!(cpu.pick(220_000).unwrap().group, 1, "the slice was interrupted");
}

/// Linux CFS and Seastar before: credit for sleepers let batch work that sleeps a little starve
/// others for as long as the credit lasts (the "tau nemesis").
#[test]
fn tau_nemesis() {
    let batch = params(100, Level::Batch);
    let mut cpu = CpuPolicy::new(&[batch, batch]);
    let mut now_ns = 0;
    cpu.wake(0, 0);
    let mut worst_ns = 0;
    for _ in 0..200 {
        let until_ns = now_ns + 20_000_000;
        saturate(&mut cpu, &mut now_ns, until_ns, 100_000);
        cpu.wake(1, now_ns);
        let mut other_ns = 0;
        for _ in 0..40 {
            let pick = cpu.pick(now_ns).unwrap();
            now_ns += 100_000;
            cpu.ran(pick.group, 100_000, true, now_ns);
            other_ns = if pick.group == 1 { other_ns + 100_000 } else { 0 };
            worst_ns = worst_ns.max(other_ns);
        }
        // The sleeper goes back to sleep: its last turn ends without more to run.
        while cpu.is_runnable(1) {
            let pick = cpu.pick(now_ns).unwrap();
            now_ns += 10_000;
            cpu.ran(pick.group, 10_000, pick.group != 1, now_ns);
        }
    }
    assert!(worst_ns <= 2 * SLICE_NS, "the sleeper held the core for {worst_ns} ns");
}

/// Seastar 21badbda9: `last_vruntime` taken after the slice was charged makes a light group lose
/// its turn after every burst of the heavy one.
#[test]
fn last_vruntime_poison() {
    let mut cpu = CpuPolicy::new(&[params(1000, FAST), params(200, Level::Batch)]);
    let mut now_ns = 0;
    cpu.wake(1, 0);
    for _ in 0..2_000 {
        let pick = cpu.pick(now_ns).unwrap();
        assert_eq!(pick.group, 1);
        now_ns += 100_000;
        cpu.wake(0, now_ns - 50_000);
        cpu.ran(1, 100_000, true, now_ns);
        let pick = cpu.pick(now_ns).unwrap();
        assert_eq!(pick.group, 0, "a group that runs 20 us each 120 us runs when it wakes");
        now_ns += 20_000;
        cpu.ran(0, 20_000, false, now_ns);
    }
}

/// glommio: a queue that blocks forgets what it overran, so whoever blocks often gains.
#[test]
fn sleeper_cheat() {
    let batch = params(100, Level::Batch);
    let mut cpu = CpuPolicy::new(&[batch, batch]);
    let mut now_ns = 0;
    cpu.wake(0, 0);
    cpu.wake(1, 0);
    while now_ns < 1_000_000_000 {
        let pick = cpu.pick(now_ns).unwrap();
        // Group 1 overruns its turns threefold and blocks for a moment after each.
        let (ran_ns, still) = if pick.group == 1 { (1_500_000, false) } else { (100_000, true) };
        now_ns += ran_ns;
        cpu.ran(pick.group, ran_ns, still, now_ns);
        cpu.wake(1, now_ns);
    }
    let part = cpu.ran_ns(1) * 1000 / now_ns;
    assert!(part <= 505, "the cheat got {part} of 1000");
}

#[test]
fn debt_is_bounded_and_counted() {
    let mut cpu = CpuPolicy::new(&[params(10, Level::Batch), params(1000, Level::Batch)]);
    cpu.wake(0, 0);
    cpu.wake(1, 0);
    let mut now_ns = 0;
    while cpu.pick(now_ns).unwrap().group != 0 {
        now_ns += 500_000;
        cpu.ran(1, 500_000, true, now_ns);
    }
    now_ns += 50_000_000;
    cpu.ran(0, 50_000_000, true, now_ns);
    assert!(44_000_000 < cpu.forgiven_ns(), "{}", cpu.forgiven_ns());
    let stalled_ns = now_ns;
    while cpu.pick(now_ns).unwrap().group != 0 {
        now_ns += 500_000;
        cpu.ran(1, 500_000, true, now_ns);
    }
    assert!(now_ns - stalled_ns <= GUARD_WAIT_NS + SLICE_NS, "{}", now_ns - stalled_ns);
}

#[test]
fn the_poll_interval_is_short_while_latency_work_is_hot() {
    let mut cpu = CpuPolicy::new(&[params(1000, FAST), params(100, Level::Batch)]);
    assert_eq!(cpu.poll_interval_ns(0, false), COLD_POLL_NS);
    assert_eq!(cpu.poll_interval_ns(0, true), HOT_POLL_NS);
    cpu.wake(0, 0);
    cpu.pick(0);
    cpu.ran(0, 1_000, false, 1_000);
    assert_eq!(cpu.poll_interval_ns(1_000_000, false), HOT_POLL_NS, "blocked, but hot");
    assert_eq!(cpu.poll_interval_ns(20_000_000, false), COLD_POLL_NS);
}

#[test]
fn new_shares_keep_what_a_group_is_behind_in_service() {
    let mut cpu = CpuPolicy::new(&[params(100, Level::Batch), params(100, Level::Batch)]);
    cpu.wake(0, 0);
    cpu.wake(1, 0);
    let pick = cpu.pick(0).unwrap();
    cpu.ran(pick.group, 400_000, true, 400_000);
    let lag_ns = cpu.lag_ns(pick.group);
    cpu.set(pick.group, params(700, Level::Batch));
    assert!((cpu.lag_ns(pick.group) - lag_ns).abs() <= 1, "{lag_ns}");
}

#[test]
fn waits_are_counted_from_runnable_to_running() {
    let batch = params(100, Level::Batch);
    let mut cpu = CpuPolicy::new(&[batch, batch]);
    cpu.wake(0, 0);
    cpu.wake(1, 0);
    let first = cpu.pick(0).unwrap().group;
    cpu.ran(first, 500_000, true, 500_000);
    let second = cpu.pick(500_000).unwrap().group;
    assert_ne!(first, second);
    cpu.ran(second, 500_000, false, 1_000_000);
    cpu.ran(first, 500_000, false, 1_500_000);
    assert_eq!([cpu.waited_ns(first), cpu.waited_ns(second)], [500_000, 500_000]);
}
