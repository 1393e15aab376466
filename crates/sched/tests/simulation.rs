//! The policy that the shards run, in simulated time: shares over windows, waits after a stall.

use evenkeel_sched::Shares;
use evenkeel_sched::cpu::{CpuPolicy, HOT_POLL_NS, Level, Params};

const SECOND_NS: u64 = 1_000_000_000;

fn batch(shares: u16) -> Params {
    Params { shares: Shares::new(shares).expect("in range"), level: Level::Batch }
}

/// Lengths of pieces of work: 20 us on average, 100 at most, from a seed.
struct Pieces(u64);

impl Pieces {
    fn next_ns(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        // The least of four uniform numbers: mostly short.
        (0..4).map(|n| (self.0 >> (16 * n)) & 0xFFFF).min().unwrap_or(0) * 100_000 / 0xFFFF + 1_000
    }
}

/// A core whose groups all have more to do than they get.
struct BusyCore {
    cpu: CpuPolicy,
    pieces: Pieces,
    now_ns: u64,
}

impl BusyCore {
    fn new(groups: &[Params], seed: u64) -> BusyCore {
        let mut cpu = CpuPolicy::new(groups);
        (0..groups.len()).for_each(|group| cpu.wake(group, 0));
        BusyCore { cpu, pieces: Pieces(seed), now_ns: 0 }
    }

    /// One turn, of pieces that cannot be cut, as the executor runs it. Gives who ran.
    fn turn(&mut self) -> usize {
        let pick = self.cpu.pick(self.now_ns).expect("all are runnable");
        let until_ns = pick.until_ns.min(self.now_ns + HOT_POLL_NS);
        let start_ns = self.now_ns;
        while self.now_ns < until_ns {
            self.now_ns += self.pieces.next_ns();
        }
        self.cpu.ran(pick.group, self.now_ns - start_ns, true, self.now_ns);
        pick.group
    }
}

/// The error of every group's part over every window of a second, in thousandths of the core.
fn worst_share_error(weights: &[u16], seed: u64) -> u64 {
    let groups: Vec<Params> = weights.iter().map(|shares| batch(*shares)).collect();
    let total: u64 = weights.iter().map(|shares| u64::from(*shares)).sum();
    let mut core = BusyCore::new(&groups, seed);
    let mut worst = 0;
    for _ in 0..10 {
        let start_ns = core.now_ns;
        let before: Vec<u64> = (0..groups.len()).map(|group| core.cpu.ran_ns(group)).collect();
        while core.now_ns < start_ns + SECOND_NS {
            core.turn();
        }
        for (group, shares) in weights.iter().enumerate() {
            let ran_ns = core.cpu.ran_ns(group) - before[group];
            let due_ns = (core.now_ns - start_ns) * u64::from(*shares) / total;
            worst = worst.max(ran_ns.abs_diff(due_ns) * 1000 / SECOND_NS);
        }
    }
    worst
}

#[test]
fn shares_hold_over_every_second_for_weights_up_to_100_to_1() {
    let cases: [&[u16]; 6] = [
        &[100, 1],
        &[10_000, 100],
        &[1000, 500, 100, 10],
        &[100, 100, 100, 1],
        &[1000, 900, 50, 50, 20, 10],
        &[300, 200, 100],
    ];
    for weights in cases {
        for seed in 1..=10 {
            let worst = worst_share_error(weights, seed);
            assert!(worst <= 10, "{weights:?}, seed {seed}: {worst} of 1000 off");
        }
    }
}

/// One stall of 50 ms by a group of ten shares, on a core with one of a thousand: nobody waits
/// longer than 250 ms afterwards. (Without debt cap and guard it is five seconds.)
#[test]
fn after_a_stall_of_50_ms_nobody_waits_longer_than_250_ms() {
    for others in [vec![1000], vec![1000, 1000, 1000], vec![10_000, 100, 100]] {
        for seed in 1..=10 {
            let mut groups = vec![batch(10)];
            groups.extend(others.iter().map(|shares| batch(*shares)));
            let mut core = BusyCore::new(&groups, seed);
            while core.now_ns < SECOND_NS {
                core.turn();
            }
            while core.cpu.pick(core.now_ns).expect("all are runnable").group != 0 {
                core.turn();
            }
            core.now_ns += 50_000_000;
            core.cpu.ran(0, 50_000_000, true, core.now_ns);
            let stalled_ns = core.now_ns;
            let mut ended_ns = vec![stalled_ns; groups.len()];
            let mut worst_ns = 0;
            while core.now_ns < stalled_ns + 10 * SECOND_NS {
                let start_ns = core.now_ns;
                let group = core.turn();
                worst_ns = worst_ns.max(start_ns - ended_ns[group]);
                ended_ns[group] = core.now_ns;
            }
            assert!(worst_ns <= 250_000_000, "{others:?}, seed {seed}: {worst_ns} ns");
        }
    }
}
