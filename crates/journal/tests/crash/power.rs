//! The power goes at every mutation of the disk, or the process dies.

use crate::model::Status;
use crate::run::{Run, go, recover, shards};

#[test]
fn a_power_cut_at_any_mutation_loses_nothing_that_was_flushed() {
    for (seed, count) in [(11, 1), (12, 2)] {
        let (run, whole) = go(Run::first(12), seed, shards(count, None), None);
        assert!(0 < run.counts.recycled.get(), "the test wants recycled files");
        for cut in 0..whole.mutations() {
            let (run, cut_short) = go(Run::first(12), seed, shards(count, Some(cut)), None);
            recover(&run, &cut_short.disk().survivor(cut), Status::Durable);
        }
    }
}

#[test]
fn the_death_of_the_process_loses_nothing_that_was_written() {
    let (_, whole) = go(Run::first(12), 21, shards(2, None), None);
    for cut in (0..whole.mutations()).step_by(9) {
        let (run, cut_short) = go(Run::first(12), 21, shards(2, Some(cut)), None);
        recover(&run, &cut_short.disk().contents(), Status::Written);
    }
}

#[test]
fn runs_with_other_numbers_of_shards_follow_each_other() {
    for seed in 0..25 {
        let cut = 40 + 7 * seed;
        let (mut run, mut before) = go(Run::first(20), seed, shards(2, Some(cut)), None);
        for (n, count) in [1, 3, 2, 1].into_iter().enumerate() {
            let left = before.disk().survivor(seed * 100 + n as u64);
            let (next, said) = recover(&run, &left, Status::Durable);
            assert_eq!(said.damage, 0, "seed {seed}");
            let cut = 30 + (seed * 31 + n as u64 * 17) % 300;
            let next = Run { steps: 12, ..next };
            (run, before) = go(next, seed + 1000, shards(count, Some(cut)), Some(&left));
        }
    }
}

#[test]
fn a_commit_that_is_given_up_disturbs_no_other() {
    let mut rescues = 0;
    for seed in 0..30 {
        let run = Run { drops: true, ..Run::first(15) };
        let cut = (seed % 2 == 0).then_some(60 + seed * 4);
        let (run, sim) = go(run, seed, shards(1, cut), None);
        assert_eq!(run.counts.failed_journals.get(), 0);
        rescues += run.counts.rescues.get();
        recover(&run, &sim.disk().survivor(seed), Status::Durable);
        recover(&run, &sim.disk().contents(), Status::Written);
    }
    assert!(10 < rescues, "{rescues} rescues");
}
