//! The invariants of the CPU policy and of I/O admission over random traces.

use evenkeel_sched::Shares;
use evenkeel_sched::cpu::{
    CREDIT_NS, CpuPolicy, DEBT_CAP_NS, GUARD_TURN_NS, GUARD_WAIT_NS, Level, Params, SLICE_NS, Why,
};
use evenkeel_sched::device::Kind;
use evenkeel_sched::io::Admission;
use evenkeel_sched::sync_merge::{Enqueue, SyncMerge};
use proptest::collection::vec;
use proptest::prelude::*;

const POLL_NS: u64 = 100_000;

fn params(latency: bool, shares: u16) -> Params {
    let level = if latency { Level::Latency { target_ns: 400_000 } } else { Level::Batch };
    Params { shares: Shares::new(shares).expect("in range"), level }
}

#[derive(Clone, Debug)]
enum Step {
    Wake(usize),
    Run { ns: u64, still: bool },
    Idle(u64),
    Set(usize, u16),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0usize..8).prop_map(Step::Wake),
        8 => (1u64..POLL_NS, prop::bool::weighted(0.8))
            .prop_map(|(ns, still)| Step::Run { ns, still }),
        1 => (0u64..3_000_000).prop_map(|ns| Step::Run { ns, still: true }),
        1 => (0u64..1_000_000).prop_map(Step::Idle),
        1 => (0usize..8, 1u16..=10_000).prop_map(|(group, shares)| Step::Set(group, shares)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

    /// I-C1, I-C4, I-C5, I-C6: something runnable is always picked; the time that ran adds up;
    /// `vmin` never moves back and nobody runnable is far from it; new shares keep the lag. The
    /// start of virtual time near its wrap changes nothing.
    #[test]
    fn invariants_hold_on_any_trace(
        groups in vec((any::<bool>(), 1u16..=10_000), 8),
        steps in vec(step(), 1..400),
        start in prop_oneof![Just(0i64), Just(i64::MAX - 1_000_000), any::<i64>()],
    ) {
        let all: Vec<Params> = groups.iter().map(|(l, s)| params(*l, *s)).collect();
        let mut cpu = CpuPolicy::starting_at(&all, start);
        let mut twin = CpuPolicy::new(&all);
        let mut now_ns = 0;
        let mut total_ns = 0;
        for step in steps {
            let before = cpu.vmin();
            match step {
                Step::Wake(group) => {
                    cpu.wake(group, now_ns);
                    twin.wake(group, now_ns);
                }
                Step::Run { ns, still } => {
                    let pick = cpu.pick(now_ns);
                    prop_assert_eq!(pick.is_some(), !cpu.is_idle());
                    prop_assert_eq!(pick, twin.pick(now_ns));
                    let Some(pick) = pick else { continue };
                    prop_assert!(cpu.is_runnable(pick.group) && now_ns < pick.until_ns);
                    now_ns += ns;
                    total_ns += ns;
                    cpu.ran(pick.group, ns, still, now_ns);
                    twin.ran(pick.group, ns, still, now_ns);
                }
                Step::Idle(ns) => now_ns += if cpu.is_idle() { ns } else { 0 },
                Step::Set(group, shares) => {
                    let lag_ns = cpu.lag_ns(group);
                    let level = matches!(cpu.params(group).level, Level::Latency { .. });
                    cpu.set(group, params(level, shares));
                    twin.set(group, params(level, shares));
                    let slack = 2 + i64::from(shares) / 1024;
                    prop_assert!((cpu.lag_ns(group) - lag_ns).abs() <= slack, "I-C6");
                }
            }
            prop_assert!(0 <= cpu.vmin().wrapping_sub(before), "I-C5: vmin moved back");
            let ran: u64 = (0..8).map(|group| cpu.ran_ns(group)).sum();
            prop_assert_eq!(ran, total_ns, "I-C4");
            for group in (0..8).filter(|group| cpu.is_runnable(*group)) {
                let lag_ns = cpu.lag_ns(group);
                // Each of cap and credit once; others may wake with their credit below `vmin`.
                let bound = i64::try_from(2 * (DEBT_CAP_NS + CREDIT_NS)).unwrap() + 10;
                prop_assert!(lag_ns.abs() <= bound, "I-C5: group {} is {} off", group, lag_ns);
            }
        }
    }

    /// I-C2: among groups that stay runnable, service divided by shares differs by no more than
    /// a slice, the credit and the overshoot of each.
    #[test]
    fn service_follows_shares(
        groups in vec((any::<bool>(), 50u16..=1000), 2..6),
        lengths in vec(1_000u64..150_000, 50),
    ) {
        let all: Vec<Params> = groups.iter().map(|(l, s)| params(*l, *s)).collect();
        let mut cpu = CpuPolicy::new(&all);
        let mut now_ns = 0;
        (0..all.len()).for_each(|group| cpu.wake(group, 0));
        for turn in 0..4_000 {
            let pick = cpu.pick(now_ns).expect("all are runnable");
            prop_assert_ne!(pick.why, Why::Guard);
            let ran_ns = lengths[turn % lengths.len()];
            now_ns += ran_ns;
            cpu.ran(pick.group, ran_ns, true, now_ns);
        }
        let service = |group: usize| cpu.ran_ns(group) * 1000 / u64::from(groups[group].1);
        let bound = |group: usize| {
            (SLICE_NS + CREDIT_NS + 150_000) * 1000 / u64::from(groups[group].1)
        };
        for a in 0..all.len() {
            for b in 0..a {
                let off = service(a).abs_diff(service(b));
                prop_assert!(off <= bound(a) + bound(b), "{} and {} are {} apart", a, b, off);
            }
        }
    }

    /// I-C3: however small its shares, a runnable group runs within the guard's limit.
    #[test]
    fn nobody_starves(
        groups in vec((any::<bool>(), prop_oneof![Just(1u16), 1u16..=10_000]), 2..10),
        ran_ns in 10_000u64..POLL_NS,
    ) {
        let all: Vec<Params> = groups.iter().map(|(l, s)| params(*l, *s)).collect();
        let mut cpu = CpuPolicy::new(&all);
        let mut now_ns = 0;
        let mut last = vec![0; all.len()];
        (0..all.len()).for_each(|group| cpu.wake(group, 0));
        let backlog_ns = 10 * GUARD_TURN_NS * 10 + 10 * POLL_NS;
        while now_ns < 1_500_000_000 {
            let pick = cpu.pick(now_ns).expect("all are runnable");
            now_ns += ran_ns;
            cpu.ran(pick.group, ran_ns, true, now_ns);
            last[pick.group] = now_ns;
            for (group, last_ns) in last.iter().enumerate() {
                let waited_ns = now_ns - last_ns;
                let bound_ns = GUARD_WAIT_NS + POLL_NS + backlog_ns;
                prop_assert!(waited_ns <= bound_ns, "{} waited {}", group, waited_ns);
            }
        }
    }

    /// Sleeping gains nothing but the credit of each wake, and nothing at all for batch groups.
    #[test]
    fn sleepers_gain_at_most_their_credit(
        latency in any::<bool>(),
        naps in vec((1u64..20, 1u64..20), 10..100),
    ) {
        let mut cpu = CpuPolicy::new(&[params(latency, 100), params(false, 100)]);
        let mut now_ns = 0;
        cpu.wake(1, 0);
        let mut turn = |cpu: &mut CpuPolicy, still: bool| {
            let pick = cpu.pick(now_ns).expect("group 1 is runnable");
            now_ns += POLL_NS;
            cpu.ran(pick.group, POLL_NS, pick.group == 1 || still, now_ns);
            now_ns
        };
        let mut now = 0;
        for (turns, naps) in &naps {
            cpu.wake(0, now);
            (0..*turns).for_each(|_| now = turn(&mut cpu, true));
            while cpu.is_runnable(0) {
                now = turn(&mut cpu, false);
            }
            (0..*naps).for_each(|_| now = turn(&mut cpu, true));
        }
        let credit_ns = if latency { CREDIT_NS } else { 0 };
        let wakes = u64::try_from(naps.len()).unwrap();
        let most_ns = now / 2 + wakes * (credit_ns + SLICE_NS / 2) + SLICE_NS;
        prop_assert!(cpu.ran_ns(0) <= most_ns, "{} of {}", cpu.ran_ns(0), now);
    }

    /// A latency group that uses less than its part waits for one piece of the others at most,
    /// however many batch groups there are.
    #[test]
    fn batch_groups_do_not_delay_latency_work(
        batch in vec(50u16..=300, 1..12),
        gaps in vec(1u64..20, 1..200),
    ) {
        let mut all = vec![params(true, 1000)];
        all.extend(batch.iter().map(|shares| params(false, *shares)));
        let mut cpu = CpuPolicy::new(&all);
        let mut now_ns = 0;
        (1..all.len()).for_each(|group| cpu.wake(group, 0));
        // The first gap is long, so that every batch group had its turn.
        for gap in std::iter::once(1_000).chain(gaps) {
            for _ in 0..gap {
                let pick = cpu.pick(now_ns).expect("batch groups are runnable");
                now_ns += POLL_NS;
                cpu.ran(pick.group, POLL_NS, true, now_ns);
            }
            cpu.wake(0, now_ns);
            let pick = cpu.pick(now_ns).expect("it is runnable");
            if pick.why == Why::Guard {
                continue;
            }
            prop_assert_eq!(pick.group, 0);
            now_ns += 20_000;
            cpu.ran(0, 20_000, false, now_ns);
        }
    }

    /// I-I1, I-I7: whatever is queued, completed or dropped, background bytes in flight never
    /// exceed the window by more than one request, nothing is lost, nothing is left.
    #[test]
    fn background_stays_in_its_window(
        ops in vec((0usize..3, 1u64..300_000, 0u64..2_000_000, any::<bool>()), 1..300),
    ) {
        let shares = [50, 500, 1].map(|shares| Shares::new(shares).unwrap());
        let mut io = Admission::new(&shares);
        let mut running: Vec<u64> = Vec::new();
        let (mut queued, mut admitted, mut now_ns) = (0u64, 0u64, 0u64);
        for (group, bytes, ns, end) in ops {
            now_ns += ns;
            io.enqueue(group, queued, bytes);
            queued += 1;
            io.window_mut().foreground_starts(now_ns);
            io.window_mut().foreground_ended(Kind::Write, 4096, ns, running.is_empty());
            io.window_mut().adapt(now_ns);
            while let Some(next) = io.admit() {
                let before = io.in_flight_bytes() - next.bytes;
                prop_assert!(before == 0 || io.in_flight_bytes() <= io.window().bytes());
                running.push(next.bytes);
                admitted += 1;
            }
            if end && !running.is_empty() {
                io.complete(running.swap_remove(0));
            }
        }
        loop {
            running.drain(..).for_each(|bytes| io.complete(bytes));
            prop_assert_eq!(io.in_flight_bytes(), 0);
            while let Some(next) = io.admit() {
                running.push(next.bytes);
                admitted += 1;
            }
            if running.is_empty() {
                break;
            }
        }
        prop_assert_eq!(queued, admitted);
        prop_assert!(!io.is_waiting());
    }

    /// I-I4: whoever is told that a flush succeeded wrote before that flush was issued, and a
    /// failure reaches everybody who was not told so before.
    #[test]
    fn a_flush_covers_whoever_it_serves(
        steps in vec(0u8..4, 1..200),
        fails_at in prop::option::of(0u64..20),
    ) {
        let mut file: SyncMerge<()> = SyncMerge::new();
        let mut queued = false;
        let mut running = false;
        let (mut written, mut covered, mut flushed) = (0u64, 0u64, 0u64);
        let mut asked = Vec::new();
        for step in steps {
            match step {
                0 => written += 1,
                1 => {
                    let (ticket, enqueue) = file.request(written % 2 == 0, 3);
                    queued |= matches!(enqueue, Enqueue::Now { .. });
                    asked.push((ticket, written));
                }
                2 if queued && !running => {
                    file.issue();
                    (queued, running, covered) = (false, true, written);
                }
                3 if running => {
                    running = false;
                    let fails = fails_at == Some(file.issued());
                    flushed = if fails { flushed } else { covered };
                    let next = file.complete(if fails { Err(()) } else { Ok(()) });
                    queued = matches!(next, Enqueue::Now { .. });
                    prop_assert!(!(fails && queued));
                }
                _ => {}
            }
            for (ticket, written) in &asked {
                if file.outcome(*ticket) == Some(Ok(())) {
                    prop_assert!(*written <= flushed);
                }
            }
        }
    }
}
