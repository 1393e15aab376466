//! The recording disk is a disk like any other, and its log knows what may be left.

#![expect(clippy::unwrap_used, reason = "a test that fails may panic")]

use std::path::Path;
use std::pin::pin;
use std::task::Poll;

use buf::Sealed;
use evenkeel_env::recording::{Contents, Recording, RecordingEnv};
use evenkeel_env::sim::{Errno, Fault, Op, Sim, SimEnv, SimOptions};
use evenkeel_env::std_world::StdEnv;
use evenkeel_env::{Disk, Env, File, Group, OpenMode, ShardId, suite};

const GROUP: Group = Group::Produce;

type World = RecordingEnv<SimEnv<()>>;

fn world(base: Contents) -> (Sim<()>, Recording, World) {
    let image = evenkeel_env::sim::Image::of(&base);
    let sim: Sim<()> = Sim::restart(5, SimOptions::default(), image);
    let recording = Recording::new(base);
    let env = RecordingEnv::new(sim.env(ShardId(0)), &recording);
    (sim, recording, env)
}

async fn create(env: &World, path: &str) -> <<World as Env>::Disk as Disk>::File {
    env.disk().open(Path::new(path), OpenMode::create()).await.unwrap()
}

/// Whether a survivor of the first `prefix` events has a file `a` of these bytes, by seed.
fn has(recording: &Recording, prefix: usize, bytes: &[u8]) -> (usize, usize) {
    let survivors = (0..100).map(|seed| recording.legal_survivor(prefix, seed));
    let kept = survivors.filter(|s| s.files.get(Path::new("a")).is_some_and(|b| b == bytes));
    let kept = kept.count();
    (kept, 100 - kept)
}

#[test]
fn recorded_worlds_pass_the_suite() {
    let (sim, recording, env) = world(Contents::default());
    sim.run(suite::disk_suite(&env)).done();
    sim.run(suite::world_suite(&env)).done();
    let mut replay = recording.replay();
    replay.advance_to(recording.len());
    assert_eq!(replay.written(), sim.disk().contents());

    let dir = tempfile::tempdir().unwrap();
    let recording = Recording::new(Contents::default());
    let std = StdEnv::new(dir.path(), 4 << 20);
    let env = RecordingEnv::new(std.clone(), &recording);
    std.block_on(suite::disk_suite(&env));
    assert!(recording.len() > 100);
}

#[test]
fn a_recording_is_one_log_for_many_threads() {
    let dir = tempfile::tempdir().unwrap();
    let recording = Recording::new(Contents::default());
    let threads: Vec<_> = (0..4)
        .map(|thread| {
            let (recording, root) = (recording.clone(), dir.path().to_path_buf());
            std::thread::spawn(move || {
                let std = StdEnv::new(&root, 1 << 20);
                let env = RecordingEnv::new(std.clone(), &recording);
                let path = format!("{thread}");
                std.block_on(async {
                    let file = env.disk().open(Path::new(&path), OpenMode::new_file()).await;
                    let file = file.unwrap();
                    for n in 0..50 {
                        file.write_at(Sealed::of_static(b"abc"), n * 3, GROUP).await.unwrap();
                    }
                    file.sync(GROUP).await.unwrap();
                    env.disk().sync_dir(Path::new("")).await.unwrap();
                });
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    let left = recording.legal_survivor(recording.len(), 1);
    assert_eq!(left, Contents::read_from(dir.path()).unwrap());
}

#[test]
fn a_change_may_survive_from_its_submission_and_must_from_a_flush_that_was_called_after_it() {
    let (sim, recording, env) = world(Contents::default());
    sim.run(async {
        let file = create(&env, "a").await;
        env.disk().sync_dir(Path::new("")).await.unwrap();
        let before = recording.len();
        let mut write = pin!(file.write_at(Sealed::of_static(b"abc"), 0, GROUP));
        std::future::poll_fn(|context| {
            assert!(write.as_mut().poll(context).is_pending());
            Poll::Ready(())
        })
        .await;
        let submitted = recording.len();
        assert_eq!(submitted, before + 1, "it is in the log while it is under way");
        assert_eq!(has(&recording, before, b"abc").0, 0);
        let (kept, lost) = has(&recording, submitted, b"abc");
        assert!(kept > 10 && lost > 10, "{kept} kept, {lost} lost");
        file.sync(GROUP).await.unwrap();
        let (_, lost) = has(&recording, recording.len(), b"abc");
        assert!(lost > 10, "a flush does not cover what was under way when it was called");
        write.await.unwrap();
        file.sync(GROUP).await.unwrap();
        let flushed = recording.len();
        assert_eq!(has(&recording, flushed, b"abc").1, 0);
        assert!(has(&recording, flushed - 1, b"abc").1 > 10, "the flush counts when it is over");
    })
    .done();
}

#[test]
fn a_failed_flush_saves_nothing_and_a_later_one_neither() {
    let (sim, recording, env) = world(Contents::default());
    sim.run(async {
        let file = create(&env, "a").await;
        env.disk().sync_dir(Path::new("")).await.unwrap();
        file.write_at(Sealed::of_static(b"abc"), 0, GROUP).await.unwrap();
        sim.disk().inject(Fault::of(Op::Sync, Errno::Eio));
        assert!(file.sync(GROUP).await.is_err());
        file.sync(GROUP).await.unwrap();
    })
    .done();
    assert_eq!(has(&recording, recording.len(), b"abc").0, 0);
}

#[test]
fn a_failed_write_may_have_left_something() {
    let (sim, recording, env) = world(Contents::default());
    sim.run(async {
        let file = create(&env, "a").await;
        env.disk().sync_dir(Path::new("")).await.unwrap();
        sim.disk().inject(Fault::of(Op::Write, Errno::Eio));
        assert!(file.write_at(Sealed::of_static(b"abc"), 0, GROUP).await.is_err());
        file.sync(GROUP).await.unwrap();
    })
    .done();
    let (kept, lost) = has(&recording, recording.len(), b"abc");
    assert!(kept > 10 && lost > 10, "{kept} kept, {lost} lost");
}

#[test]
fn files_keep_their_identity_when_names_change() {
    let mut base = Contents::default();
    base.dirs.insert("d".into());
    base.files.insert("d/old".into(), b"base".to_vec());
    let (sim, recording, env) = world(base);
    sim.run(async {
        let disk = env.disk();
        assert!(disk.rename(Path::new("d/no"), Path::new("d/old")).await.is_err());
        disk.rename(Path::new("d"), Path::new("e")).await.unwrap();
        disk.sync_dir(Path::new("")).await.unwrap();
        let file = create(&env, "e/old").await;
        file.write_at(Sealed::of_static(b"new "), 4, GROUP).await.unwrap();
        file.sync(GROUP).await.unwrap();
        disk.rename(Path::new("e/old"), Path::new("e/new")).await.unwrap();
        disk.sync_dir(Path::new("e")).await.unwrap();
        file.write_at(Sealed::of_static(b"more"), 8, GROUP).await.unwrap();
        file.sync(GROUP).await.unwrap();
    })
    .done();
    let left = recording.legal_survivor(recording.len(), 0);
    assert_eq!(left.files[Path::new("e/new")], b"basenew more");
    assert_eq!(left, sim.disk().survivor(0));
}

#[test]
#[should_panic(expected = "a is there and the recording does not know it")]
fn a_file_that_went_round_the_recording_is_noticed() {
    let (sim, _, env) = world(Contents::default());
    let around = sim.env(ShardId(0));
    sim.run(async {
        around.disk().open(Path::new("a"), OpenMode::create()).await.unwrap();
        let _ = env.disk().open(Path::new("a"), OpenMode::existing()).await;
    })
    .done();
}
