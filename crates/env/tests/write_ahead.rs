//! The toy log under power cuts: the right one never loses an acknowledged value, and each
//! wrong one is found, by the simulated disk and by the recording disk.

#![expect(clippy::unwrap_used, reason = "a test that fails may panic")]

mod toy;

use std::cell::RefCell;
use std::rc::Rc;

use evenkeel_env::ShardId;
use evenkeel_env::recording::{Contents, Recording, RecordingEnv};
use evenkeel_env::sim::{Errno, Fault, Image, Op, Outcome, Sim, SimOptions};
use evenkeel_env::std_world::StdEnv;
use toy::{Breaks, Known, Toy, work};

const STEPS: u64 = 14;
/// Seeds within which a broken log must be found.
const FOUND_WITHIN: u64 = 5;

fn options(cut: Option<u64>) -> SimOptions {
    SimOptions { cut_after_mutations: cut, memory_bytes: 1 << 20, ..SimOptions::default() }
}

/// What a log recovers from `image`, after a recovery that was cut itself.
fn recover_twice(seed: u64, image: Image) -> (Vec<u64>, Image) {
    let cut = Some(seed % 4);
    let first: Sim<()> = Sim::restart(seed, options(cut), image);
    let env = first.env(ShardId(0));
    let early = match first.run(Toy::open(&env, Breaks::Nothing)) {
        Outcome::Done(toy) => Some(toy.unwrap().values().to_vec()),
        Outcome::Cut => None,
    };
    let second: Sim<()> = Sim::restart(seed + 1, options(None), first.cut_power());
    let env = second.env(ShardId(0));
    let values = second.run(Toy::open(&env, Breaks::Nothing)).done().unwrap().values().to_vec();
    assert!(early.is_none_or(|early| early == values), "the second recovery finds the same");
    (values, second.cut_power())
}

/// One life of a log from `image` that is cut after `cut` mutations; what was known, what is
/// left, and whether the cut came before its work was done.
fn live(
    seed: u64,
    breaks: Breaks,
    cut: u64,
    image: Image,
    steps: std::ops::Range<u64>,
) -> (Known, Image, bool) {
    let sim: Sim<()> = Sim::restart(seed, options(Some(cut)), image);
    let env = sim.env(ShardId(0));
    let known = Rc::new(RefCell::new(Known::default()));
    let ended = sim.run(async {
        let mut toy = Toy::open(&env, breaks).await.unwrap();
        known.borrow_mut().acknowledged = toy.values().to_vec();
        work(&mut toy, seed, steps, &known, |_| {}).await.unwrap();
    });
    let known = known.borrow().clone();
    let is_cut = ended.is_cut();
    (known, sim.cut_power(), is_cut)
}

/// Cuts the power at every mutation, lets the log recover and work again, and cuts again. The
/// first cut that the log did not stand.
fn first_loss_in_simulation(seed: u64, breaks: Breaks) -> Option<u64> {
    for cut in 0.. {
        let empty = Image::of(&Contents::default());
        let (known, image, was_cut) = live(seed, breaks, cut, empty, 0..STEPS);
        let (values, image) = recover_twice(seed, image);
        // Before it opened, a log has acknowledged nothing and nothing can be there.
        if !known.allows(&values) {
            return Some(cut);
        }
        let (known, image, _) = live(seed, breaks, 2 + cut % 9, image, 100..100 + STEPS);
        let recovered_at_all = !known.acknowledged.is_empty() || known.under_way.is_some();
        let (values, _) = recover_twice(seed, image);
        if recovered_at_all && !known.allows(&values) {
            return Some(cut);
        }
        if !was_cut {
            return None;
        }
    }
    None
}

#[test]
fn the_right_log_stands_a_cut_at_every_mutation() {
    for seed in 0..15 {
        assert_eq!(first_loss_in_simulation(seed, Breaks::Nothing), None, "seed {seed}");
    }
}

fn found_in_simulation(breaks: Breaks) -> bool {
    (0..FOUND_WITHIN).any(|seed| first_loss_in_simulation(seed, breaks).is_some())
}

#[test]
fn simulation_finds_an_acknowledgement_before_the_flush() {
    assert!(found_in_simulation(Breaks::AckBeforeFlush));
}

#[test]
fn simulation_finds_a_missing_flush_of_the_directory() {
    assert!(found_in_simulation(Breaks::NoSyncDir));
}

#[test]
fn simulation_finds_a_missing_flush_of_the_length() {
    assert!(found_in_simulation(Breaks::NoSyncOfLength));
}

/// A failed operation ends the log, as the toy has no other answer; what it acknowledged stays.
#[test]
fn the_right_log_keeps_its_word_when_calls_fail() {
    for seed in 0..10 {
        for nth in 1..40 {
            for op in [Op::Write, Op::Sync, Op::SyncDir, Op::SetLen, Op::Open] {
                let sim: Sim<()> = Sim::new(seed, options(None));
                sim.disk().inject(Fault::of(op, Errno::Eio).nth(nth));
                let env = sim.env(ShardId(0));
                let known = Rc::new(RefCell::new(Known::default()));
                let result = sim.run(async {
                    let mut toy = Toy::open(&env, Breaks::Nothing).await?;
                    work(&mut toy, seed, 0..STEPS, &known, |_| {}).await
                });
                let is_over = result.done().is_ok();
                let (values, _) = recover_twice(seed, sim.cut_power());
                assert!(known.borrow().allows(&values), "seed {seed}, {op:?} number {nth}");
                if is_over {
                    break;
                }
            }
        }
    }
}

/// What a recorded run of a log knew at which place of the recording.
fn record(breaks: Breaks, seed: u64) -> (Recording, Vec<(usize, Known)>) {
    let dir = tempfile::tempdir().unwrap();
    let recording = Recording::new(Contents::default());
    let std = StdEnv::new(dir.path(), 1 << 20);
    let env = RecordingEnv::new(std.clone(), &recording);
    let mut places = vec![(0, Known::default())];
    std.block_on(async {
        let known = Rc::new(RefCell::new(Known::default()));
        let mut toy = Toy::open(&env, breaks).await.unwrap();
        let place = |known: &Known| places.push((recording.len(), known.clone()));
        work(&mut toy, seed, 0..STEPS, &known, place).await.unwrap();
    });
    assert_eq!(recording.replay().len(), recording.len());
    (recording, places)
}

/// What may be known when the power goes after `prefix` events: the last that was known by then.
fn known_at(places: &[(usize, Known)], prefix: usize) -> &Known {
    let known = places.iter().take_while(|(place, _)| *place <= prefix).last();
    &known.expect("the first place is 0").1
}

fn found_by_recording(breaks: Breaks, seed: u64) -> bool {
    let (recording, places) = record(breaks, seed);
    let mut replay = recording.replay();
    for prefix in 0..=recording.len() {
        replay.advance_to(prefix);
        for survivor in 0..6 {
            let left = replay.survivor(seed * 1000 + survivor);
            let (values, _) = recover_twice(survivor, Image::of(&left));
            if !known_at(&places, prefix).allows(&values) {
                return true;
            }
        }
    }
    false
}

#[test]
fn the_right_log_stands_every_survivor_of_every_prefix() {
    for seed in 0..3 {
        assert!(!found_by_recording(Breaks::Nothing, seed), "seed {seed}");
    }
}

#[test]
fn recording_finds_every_broken_rule() {
    for breaks in [Breaks::AckBeforeFlush, Breaks::NoSyncDir, Breaks::NoSyncOfLength] {
        assert!((0..FOUND_WITHIN).any(|seed| found_by_recording(breaks, seed)), "{breaks:?}");
    }
}

#[test]
fn survivors_can_be_put_into_a_real_directory_and_recovered_there() {
    let (recording, places) = record(Breaks::Nothing, 1);
    let dir = tempfile::tempdir().unwrap();
    for prefix in (0..=recording.len()).step_by(5) {
        let survivor = recording.legal_survivor(prefix, 3);
        survivor.write_to(dir.path()).unwrap();
        assert_eq!(Contents::read_from(dir.path()).unwrap(), survivor);
        let env = StdEnv::new(dir.path(), 1 << 20);
        let toy = env.block_on(Toy::open(&env, Breaks::Nothing)).unwrap();
        assert!(known_at(&places, prefix).allows(toy.values()), "prefix {prefix}");
    }
    assert_eq!(recording.replay().written().files.len(), 0, "nothing was done yet");
    let mut replay = recording.replay();
    replay.advance_to(recording.len());
    let env_dir = tempfile::tempdir().unwrap();
    replay.written().write_to(env_dir.path()).unwrap();
    let env = StdEnv::new(env_dir.path(), 1 << 20);
    let toy = env.block_on(Toy::open(&env, Breaks::Nothing)).unwrap();
    assert_eq!(toy.values(), places.last().unwrap().1.acknowledged);
}
