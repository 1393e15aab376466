//! Injected failures, a full device, and callers that break the rules of direct files.

#![expect(clippy::unwrap_used, reason = "a test that fails may panic")]

use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

use buf::Sealed;
use evenkeel_env::sim::{DiskOptions, Errno, Fault, Op, Sim, SimEnv, SimOptions, Stalls};
use evenkeel_env::{Disk, Env, File, Group, IoFailure, OpenMode, ShardId, Space};

const GROUP: Group = Group::Produce;
static PAGES: [u8; 8192] = [1; 8192];

type World = SimEnv<()>;

fn sim(disk: DiskOptions) -> (Sim<()>, World) {
    let sim = Sim::new(11, SimOptions { disk, ..SimOptions::default() });
    let env = sim.env(ShardId(0));
    (sim, env)
}

fn path() -> &'static Path {
    Path::new("a")
}

/// Every kind of operation once, on whatever is left after failures.
async fn every_call(env: &World) -> Vec<Result<(), IoFailure>> {
    let disk = env.disk();
    let mut results = Vec::new();
    let file = match disk.open(path(), OpenMode::create()).await {
        Ok(file) => file,
        Err(failure) => {
            results.push(Err(failure));
            disk.open(path(), OpenMode::create()).await.unwrap()
        }
    };
    let buffer = env.pool().buffer(10).unwrap();
    results.push(disk.create_dir(Path::new("d")).await);
    results.push(file.write_at(Sealed::of_static(&PAGES), 0, GROUP).await);
    results.push(file.allocate(10_000).await);
    results.push(file.set_len(9000).await);
    results.push(file.sync(GROUP).await);
    results.push(file.read_at(buffer, 10, 0, GROUP).await.0.map(|_| ()));
    results.push(file.len().await.map(|_| ()));
    results.push(disk.list(Path::new("")).await.map(|_| ()));
    results.push(disk.stat(path()).await.map(|_| ()));
    results.push(disk.rename(path(), Path::new("b")).await);
    results.push(disk.sync_dir(Path::new("")).await);
    if results.iter().all(Result::is_ok) {
        results.push(disk.remove_file(Path::new("b")).await);
    }
    results
}

#[test]
fn each_call_can_fail_and_only_that() {
    for nth in 1..=13 {
        let fault = Fault::of_any(Errno::Eio).nth(nth);
        let (sim, env) = sim(DiskOptions { faults: vec![fault], ..DiskOptions::default() });
        let results = sim.run(every_call(&env)).done();
        let failures: Vec<IoFailure> = results.into_iter().filter_map(Result::err).collect();
        assert_eq!(failures.len(), 1, "call {nth}");
        assert_eq!(failures[0].errno, Some(5));
    }
}

#[test]
fn each_kind_can_fail_by_name_and_path() {
    for op in Op::ALL {
        let (sim, env) = sim(DiskOptions::default());
        sim.disk().inject(Fault::of(op, Errno::Enospc).from_nth(1).on(|path| path.ends_with("x")));
        let results = sim.run(every_call(&env)).done();
        assert!(results.iter().all(Result::is_ok), "{op:?} on another path does not fail");
        sim.disk().inject(Fault::of(op, Errno::Enospc));
        let results = sim.run(every_call(&env)).done();
        let failures: Vec<&IoFailure> = results.iter().filter_map(|r| r.as_ref().err()).collect();
        assert_eq!(failures.len(), 1, "{op:?} fails");
        // A sync of the root that failed does not pass, whatever its reason.
        assert_eq!(failures[0].is_full(), op != Op::SyncDir);
    }
}

#[test]
fn faults_can_be_likely_and_be_cleared() {
    let (sim, env) = sim(DiskOptions::default());
    sim.disk().inject(Fault::of(Op::Stat, Errno::Eio).per_mille(300));
    let failed = sim.run(async {
        let mut failed = 0;
        for _ in 0..1000 {
            failed += u32::from(env.disk().stat(path()).await.is_err());
        }
        failed
    });
    assert!((250..350).contains(&failed.done()));
    sim.disk().clear_faults();
    assert!(sim.run(env.disk().stat(path())).done().is_ok());
}

#[test]
fn no_later_sync_saves_what_a_failed_sync_lost() {
    let (sim, env) = sim(DiskOptions::default());
    sim.disk().inject(Fault::of(Op::Sync, Errno::Eio));
    sim.run(async {
        let file = env.disk().open(path(), OpenMode::create()).await.unwrap();
        env.disk().sync_dir(Path::new("")).await.unwrap();
        file.write_at(Sealed::of_static(&PAGES[..512]), 0, GROUP).await.unwrap();
        assert!(file.sync(GROUP).await.is_err());
        file.write_at(Sealed::of_static(&PAGES[..512]), 1024, GROUP).await.unwrap();
        file.sync(GROUP).await.unwrap();
        let buffer = env.pool().buffer(10).unwrap();
        let (read, buffer) = file.read_at(buffer, 1, 0, GROUP).await;
        assert_eq!((read.unwrap(), buffer.as_slice()[0]), (1, 1), "the process still sees it");
    })
    .done();
    for seed in 0..100 {
        let left = &sim.disk().survivor(seed).files[path()];
        assert_eq!(left.len(), 1536);
        assert!(left[..512].iter().all(|byte| *byte == 0));
        assert!(left[1024..].iter().all(|byte| *byte == 1));
    }
}

#[test]
fn a_failed_write_may_leave_any_part() {
    let mut lens = std::collections::BTreeSet::new();
    for seed in 0..200 {
        let sim: Sim<()> = Sim::new(seed, SimOptions::default());
        let env = sim.env(ShardId(0));
        sim.disk().inject(Fault::of(Op::Write, Errno::Eio));
        sim.run(async {
            let file = env.disk().open(path(), OpenMode::create()).await.unwrap();
            assert!(file.write_at(Sealed::of_static(&PAGES[..2000]), 0, GROUP).await.is_err());
            lens.insert(file.len().await.unwrap());
        })
        .done();
    }
    assert_eq!(lens.into_iter().collect::<Vec<_>>(), [0, 512, 1024, 1536, 2000]);
}

#[test]
fn a_full_device_refuses_growth_until_there_is_room() {
    let (sim, env) = sim(DiskOptions { bytes_max: Some(16_384), ..DiskOptions::default() });
    sim.run(async {
        let disk = env.disk();
        let file = disk.open(path(), OpenMode::create()).await.unwrap();
        file.write_at(Sealed::of_static(&PAGES), 0, GROUP).await.unwrap();
        let other = disk.open(Path::new("b"), OpenMode::create()).await.unwrap();
        other.allocate(8192).await.unwrap();
        let full = file.write_at(Sealed::of_static(&PAGES), 8192, GROUP).await.unwrap_err();
        assert_eq!((full.kind, full.errno), (ErrorKind::StorageFull, Some(28)));
        assert!(full.is_full());
        assert_eq!(file.len().await, Ok(8192), "nothing was written");
        assert!(file.allocate(8193).await.unwrap_err().is_full());
        file.write_at(Sealed::of_static(&PAGES), 0, GROUP).await.unwrap();
        let (total_bytes, usable_bytes) = (16_384, 0);
        assert_eq!(disk.space().await, Ok(Some(Space { total_bytes, usable_bytes })));
        disk.remove_file(Path::new("b")).await.unwrap();
        file.write_at(Sealed::of_static(&PAGES), 8192, GROUP).await.unwrap();
    })
    .done();
    assert_eq!(sim.disk().used_bytes(), 16_384);
}

#[test]
fn a_slow_disk_takes_its_time() {
    let took = |stalls| {
        let (sim, env) = sim(DiskOptions { stalls, ..DiskOptions::default() });
        let _ = sim.run(every_call(&env)).done();
        Duration::from_nanos(sim.now().0)
    };
    let stalls = Stalls { per_mille: 500, longest: Duration::from_secs(1) };
    assert!(took(None) < Duration::from_millis(5));
    assert!(took(Some(stalls)) > Duration::from_millis(500));
}

async fn direct(env: &World) -> <<World as Env>::Disk as Disk>::File {
    let file = env.disk().open(path(), OpenMode::create().direct()).await.unwrap();
    file.allocate(8192).await.unwrap();
    file
}

fn write_direct(part: std::ops::Range<usize>, position: u64) {
    let (sim, env) = sim(DiskOptions::default());
    sim.run(async {
        let data = env.pool().buffer(8192).unwrap().seal(8192).slice(part);
        direct(&env).await.write_at(data, position, GROUP).await.unwrap();
    })
    .done();
}

#[test]
#[should_panic(expected = "the caller's position 512 is not a multiple of 4096")]
fn a_direct_write_needs_an_aligned_position() {
    write_direct(0..4096, 512);
}

#[test]
#[should_panic(expected = "the caller's length 100 is not a multiple of 4096")]
fn a_direct_write_needs_an_aligned_length() {
    write_direct(0..100, 0);
}

#[test]
#[should_panic(expected = "the caller's memory does not start at a multiple of 4096")]
fn a_direct_write_needs_aligned_memory() {
    write_direct(8..4104, 0);
}

#[test]
#[should_panic(expected = "the caller's length 10 is not a multiple of 4096")]
fn a_direct_read_needs_an_aligned_length() {
    let (sim, env) = sim(DiskOptions::default());
    sim.run(async {
        let buffer = env.pool().buffer(8192).unwrap();
        let _ = direct(&env).await.read_at(buffer, 10, 0, GROUP).await;
    })
    .done();
}
