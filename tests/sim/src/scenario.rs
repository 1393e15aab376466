//! Runs of a whole broker: several incarnations on one disk, the power cut between them.

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use broker::ShardMessage;
use env::ShardId;
use env::sim::{DiskOptions, Errno, Fault, Image, Losses, Op, Outcome, Sim, SimOptions, Stalls};

use crate::broken::{Rule, stale};
use crate::history::{BROKEN, History, Place};
use crate::load::{TOPIC, incarnation_of};
use crate::plan::{Plan, Trouble};
use crate::random::Random;
use crate::recovered::{Recovered, read_everything};

/// What happened in a run, or in several.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ran {
    /// Equal for equal runs.
    pub hash: u64,
    /// Power cuts that came before the load was done.
    pub cuts: u64,
    /// What all cuts took.
    pub losses: Losses,
    /// Frames of earlier uses that lay in journal files at a recovery.
    pub stale_frames: usize,
    /// Records that were acknowledged.
    pub acknowledged: usize,
}

impl Ran {
    /// Both together.
    #[must_use]
    pub fn and(self, other: Ran) -> Ran {
        Ran {
            hash: self.hash.rotate_left(7) ^ other.hash,
            cuts: self.cuts + other.cuts,
            losses: self.losses.and(other.losses),
            stale_frames: self.stale_frames + other.stale_frames,
            acknowledged: self.acknowledged + other.acknowledged,
        }
    }
}

/// Runs `plan` and checks everything that must hold.
///
/// # Panics
/// If a rule is broken; the message names the seed.
pub fn run(plan: Plan) -> Ran {
    let history = History::default();
    let mut random = Random(plan.seed);
    let mut ran = Ran { hash: plan.seed, ..Ran::default() };
    let mut image: Option<Image> = None;
    for incarnation in 0..plan.cuts {
        let cut_after = 5 + random.below(plan.mutations_max);
        let sim = machine(plan, random.draw(), Some(cut_after), image.take());
        disturb(&sim, plan, &mut random);
        let outcome = sim.run(incarnation_of(&sim, plan, incarnation, history.clone()));
        // Whether it came to the cut or not: the power goes now.
        let (acknowledged, seen) = history.counts();
        println!(
            "seed {} incarnation {incarnation}: {} after {} mutations; {acknowledged} \
             acknowledged, {seen} seen so far",
            plan.seed,
            if outcome.is_cut() { "cut" } else { "done" },
            sim.mutations(),
        );
        ran.cuts += u64::from(outcome.is_cut());
        image = Some(ran.end(plan, sim));
    }
    ran.acknowledged = history.counts().0;
    let first = ran.recover(plan, random.draw(), &mut image, &history);
    let second = ran.recover(plan, random.draw(), &mut image, &history);
    assert_eq!(first, second, "seed {}: recovering again gives another state", plan.seed);
    ran
}

impl Ran {
    /// Ends a machine as the plan says, and notes what that took.
    fn end(&mut self, plan: Plan, sim: Sim<ShardMessage>) -> Image {
        self.hash = self.hash.rotate_left(7) ^ sim.trace_hash();
        let image = match plan.trouble {
            // What was only written may go with the power, also after a restart.
            Trouble::Kill => sim.kill_process(),
            _ => sim.cut_power(),
        };
        self.losses = self.losses.and(image.losses());
        self.stale_frames += stale::count(&image.contents());
        image
    }

    /// Recovers, reads everything and holds it against `history`.
    fn recover(
        &mut self,
        plan: Plan,
        seed: u64,
        image: &mut Option<Image>,
        history: &History,
    ) -> Recovered {
        let sim = machine(plan, seed, None, image.take());
        let recovered = match sim.run(read_everything(&sim, plan.rule, &[(TOPIC, plan.partitions)]))
        {
            Outcome::Done(recovered) => recovered,
            Outcome::Cut => unreachable!("no cut was asked for"),
        };
        let nothing = Vec::new();
        for partition in 0..plan.partitions {
            let place: Place = (TOPIC.to_owned(), partition);
            let found = recovered.get(&place).unwrap_or(&nothing);
            if let Err(what) = history.check(&place, found) {
                panic!("seed {}: {what}", plan.seed);
            }
        }
        *image = Some(self.end(plan, sim));
        recovered
    }
}

/// The same, but a run that panics is an answer and not the end.
///
/// # Errors
/// What the panic said.
pub fn verdict(plan: Plan) -> Result<Ran, String> {
    catch_unwind(AssertUnwindSafe(|| run(plan))).map_err(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no text").to_owned()
    })
}

/// The first of `seeds` for which the history is found broken when `rule` is, with what was
/// found. `plan` makes the plan of a seed.
#[must_use]
pub fn catch(rule: Rule, seeds: Range<u64>, plan: impl Fn(u64) -> Plan) -> Option<(u64, String)> {
    seeds.into_iter().find_map(|seed| match verdict(plan(seed).breaking(rule)) {
        Err(what) if what.contains(BROKEN) => Some((seed, what)),
        _ => None,
    })
}

fn machine(
    plan: Plan,
    seed: u64,
    cut_after_mutations: Option<u64>,
    image: Option<Image>,
) -> Sim<ShardMessage> {
    let stalls = Stalls { per_mille: 20, longest: Duration::from_millis(200) };
    let options = SimOptions {
        shards: plan.shards,
        memory_bytes: 16 << 20,
        time_max: Duration::from_secs(600),
        cut_after_mutations,
        slow_shard: (plan.trouble == Trouble::SlowShard).then_some((ShardId(1), stalls)),
        disk: DiskOptions {
            stalls: (plan.trouble == Trouble::SlowDisk).then_some(stalls),
            ..DiskOptions::default()
        },
        ..SimOptions::default()
    };
    match image {
        None => Sim::new(seed, options),
        Some(image) => Sim::restart(seed, options, image),
    }
}

/// Lets operations of the disk fail, as the plan says. A failing flush of a directory is left
/// out: it dooms what others did in that directory, which no broker could tell them.
fn disturb(sim: &Sim<ShardMessage>, plan: Plan, random: &mut Random) {
    let mut fail = |op, errno| {
        sim.disk().inject(Fault::of(op, errno).from_nth(20 + random.below(300)).per_mille(30));
    };
    match plan.trouble {
        Trouble::Errors => {
            for op in [Op::Write, Op::Sync, Op::Read, Op::Open, Op::Allocate, Op::SetLen] {
                fail(op, Errno::Eio);
            }
        }
        Trouble::Full => {
            for op in [Op::Write, Op::Allocate, Op::Open] {
                fail(op, Errno::Enospc);
            }
        }
        _ => {}
    }
}
