//! Calls to the disk fail, once or for good; the device is full, and has room again.

use env::sim::{DiskOptions, Errno, Fault, Op, SimOptions};

use crate::model::Status;
use crate::run::{Run, go, recover, shards};

fn faulty(faults: Vec<Fault>) -> SimOptions {
    SimOptions { disk: DiskOptions { faults, ..DiskOptions::default() }, ..shards(1, None) }
}

/// Runs with `fault` at the n-th call, for every n until it strikes no more.
fn check_each(fault: impl Fn(u64) -> Fault, step: usize, check: impl Fn(&Run)) {
    let mut rescues = 0;
    for n in (1..300).step_by(step) {
        let (run, sim) = go(Run::first(8), 31, faulty(vec![fault(n)]), None);
        rescues += run.counts.rescues.get();
        check(&run);
        recover(&run, &sim.disk().survivor(n), Status::Durable);
        recover(&run, &sim.disk().contents(), Status::Written);
    }
    assert!(0 < rescues, "no fault ever struck a commit");
}

/// Any call but those on the root itself, whose sync is not outlived.
fn any_but_root(errno: Errno) -> Fault {
    Fault::of_any(errno).on(|path| !path.as_os_str().is_empty())
}

#[test]
fn one_failure_of_any_call_is_outlived() {
    let lives = |run: &Run| assert_eq!(run.counts.failed_journals.get(), 0);
    check_each(|n| any_but_root(Errno::Eio).nth(n), 3, lives);
    check_each(|n| any_but_root(Errno::Enospc).nth(n), 7, lives);
    check_each(|n| Fault::of(Op::Sync, Errno::Eio).nth(n), 4, lives);
}

#[test]
fn a_failed_sync_of_the_root_takes_nothing_that_was_acknowledged() {
    let mut failed = 0;
    for n in 2..6 {
        for errno in [Errno::Eio, Errno::Enospc] {
            let fault = Fault::of(Op::SyncDir, errno).nth(n);
            let (run, sim) = go(Run::first(25), 33, faulty(vec![fault]), None);
            failed += run.counts.failed_journals.get();
            recover(&run, &sim.disk().survivor(n), Status::Durable);
        }
    }
    assert!(0 < failed, "a file that is needed after it is not made");
}

#[test]
fn a_device_that_fails_for_good_takes_nothing_that_was_acknowledged() {
    let mut failed = 0;
    for n in (1..80).step_by(3) {
        let fault = Fault::of(Op::Write, Errno::Eio).from_nth(n);
        let (run, sim) = go(Run::first(8), 32, faulty(vec![fault]), None);
        failed += run.counts.failed_journals.get();
        recover(&run, &sim.disk().survivor(n), Status::Durable);
    }
    assert!(8 < failed, "{failed} journals failed");
}

#[test]
fn failures_now_and_then_take_nothing() {
    for seed in 0..30 {
        let faults = vec![
            Fault::of_any(Errno::Eio).per_mille(15),
            Fault::of_any(Errno::Enospc).per_mille(15),
        ];
        let cut = Some(50 + seed * 5);
        let options = SimOptions { cut_after_mutations: cut, ..faulty(faults) };
        let (run, sim) = go(Run::first(25), seed, options, None);
        recover(&run, &sim.disk().survivor(seed), Status::Durable);
    }
}
