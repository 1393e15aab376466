//! What a journal promises, one claim a test, in a simulated world.

#![expect(clippy::unwrap_used, reason = "a test that fails may panic")]

use std::future::Future;
use std::path::{Path, PathBuf};

use buf::Sealed;
use env::sim::{Contents, DiskOptions, Errno, Fault, Image, Op, Sim, SimEnv, SimOptions};
use env::{Disk, Env, File, Group, OpenMode, ShardId};
use evenkeel_journal::checkpoint::{self, Checkpoint, PartitionPoint};
use evenkeel_journal::{
    BATCHES_BYTES_MAX, Damage, Item, Journal, JournalError, JournalOptions, Mark, Replay,
    ReplayError, RunStart, Settled, replay,
};
use record::{Batches, Builder, Codec, LeaderEpoch, Offset, TopicId, TopicPartition};

type World = SimEnv<()>;

const GROUP: Group = Group::Produce;

fn at(raw: i64) -> Offset {
    Offset::new(raw).unwrap()
}

fn partition(n: i32) -> TopicPartition {
    TopicPartition { topic: TopicId::from_bytes([1; 16]), partition: n }
}

fn small(start: RunStart) -> JournalOptions {
    JournalOptions { file_bytes: 64 << 10, files_max: 2, ..JournalOptions::new(start) }
}

fn built(base: i64, bytes: usize) -> Vec<u8> {
    let mut builder = Builder::new(Codec::None);
    builder.base_offset(at(base)).record(base, None, Some(&vec![7; bytes]), &[]);
    builder.build()
}

fn sealed(env: &World, bytes: &[u8]) -> Sealed {
    let mut buffer = env.pool().buffer(bytes.len()).unwrap();
    buffer.as_mut_slice()[..bytes.len()].copy_from_slice(bytes);
    buffer.seal(bytes.len())
}

/// One batch with one record of `bytes` bytes at offset `base`.
fn batch(env: &World, n: i32, base: i64, bytes: usize) -> Item {
    let parts = vec![sealed(env, &built(base, bytes))];
    let (partition, epoch) = (partition(n), LeaderEpoch::ZERO);
    Item::Batches { partition, base: at(base), next: at(base + 1), epoch, parts }
}

fn run_with<F: Future>(options: SimOptions, main: impl FnOnce(World) -> F) -> (F::Output, Sim<()>) {
    let sim = Sim::new(5, options);
    let env = sim.env(ShardId(0));
    let output = sim.run(main(env)).done();
    (output, sim)
}

fn run<F: Future>(main: impl FnOnce(World) -> F) -> (F::Output, Sim<()>) {
    run_with(SimOptions::default(), main)
}

/// Runs `main` on a machine that has `contents` on its disk.
fn run_on<F: Future>(contents: &Contents, main: impl FnOnce(World) -> F) -> F::Output {
    let sim = Sim::restart(6, SimOptions::default(), Image::of(contents));
    let env = sim.env(ShardId(0));
    sim.run(main(env)).done()
}

async fn replayed(env: &World) -> Replay<World> {
    replay(env, &Checkpoint::default(), Group::Recovery).await.unwrap()
}

/// The base offsets of what is replayed of partition `n`.
async fn bases(replay: &Replay<World>, n: i32) -> Vec<i64> {
    let mut bases = Vec::new();
    for piece in replay.partition(partition(n)).map_or(&[][..], |said| &said.pieces) {
        let bytes = replay.read(piece, Group::Recovery).await.unwrap();
        for batch in Batches::new(&bytes) {
            let (header, whole) = batch.unwrap();
            assert!(record::crc_is_right(whole));
            bases.push(header.base_offset.raw());
        }
    }
    bases
}

async fn opened(env: &World) -> Journal<World> {
    Journal::open(env.clone(), small(RunStart::FIRST)).await.unwrap()
}

fn journal_files(contents: &Contents) -> Vec<PathBuf> {
    let is_ours = |path: &&PathBuf| path.to_str().unwrap().starts_with("evenkeel-journal-");
    contents.files.keys().filter(is_ours).cloned().collect()
}

#[test]
fn a_commit_is_one_write_and_at_most_one_flush() {
    run(|env| async move {
        let journal = opened(&env).await;
        for (flush, changes) in [(false, 1), (true, 2), (true, 2), (false, 1)] {
            let before = env.disk().mutations();
            let items = (0..5).map(|n| batch(&env, n, 0, 300)).collect();
            journal.commit(items, flush, GROUP).await.unwrap();
            assert_eq!(env.disk().mutations() - before, changes);
        }
        let metrics = journal.metrics();
        assert_eq!((metrics.frames, metrics.flushes), (4, 2));
        assert_eq!(metrics.written_bytes, 4 * 4096);
    });
}

#[test]
fn opening_writes_little_and_an_idle_journal_stays_small() {
    let (_, sim) = run(|env| async move {
        let journal = Journal::open(env.clone(), JournalOptions::new(RunStart::FIRST)).await;
        assert!(env.disk().used_bytes() <= 256 << 10);
        assert!(env.disk().mutations() <= 8, "{}", env.disk().mutations());
        journal.unwrap();
    });
    assert!(sim.disk().used_bytes() <= 256 << 10);
}

#[test]
fn a_flush_without_items_covers_what_was_committed_before() {
    let (_, sim) = run(|env| async move {
        let journal = opened(&env).await;
        journal.commit(vec![batch(&env, 0, 0, 10)], false, GROUP).await.unwrap();
        journal.commit(vec![batch(&env, 0, 1, 10)], false, GROUP).await.unwrap();
        journal.commit(Vec::new(), true, GROUP).await.unwrap();
        let before = env.disk().mutations();
        journal.commit(Vec::new(), true, GROUP).await.unwrap();
        assert_eq!(env.disk().mutations(), before, "nothing is left to flush");
    });
    for seed in 0..20 {
        run_on(&sim.disk().survivor(seed), |env| async move {
            assert_eq!(bases(&replayed(&env).await, 0).await, [0, 1]);
        });
    }
}

#[test]
fn items_that_need_several_frames_are_cut_between_batches() {
    let (_, sim) = run(|env| async move {
        let options = JournalOptions { frame_bytes: 8192, ..small(RunStart::FIRST) };
        let journal = Journal::open(env.clone(), options).await.unwrap();
        let mut bytes = Vec::new();
        (0..8).for_each(|base| bytes.extend(built(base, 1800)));
        let parts = vec![sealed(&env, &bytes)];
        let (partition, epoch) = (partition(0), LeaderEpoch::ZERO);
        let item = Item::Batches { partition, base: at(0), next: at(8), epoch, parts };
        journal.commit(vec![item, batch(&env, 1, 0, 50)], true, GROUP).await.unwrap();
        assert_eq!(journal.metrics().frames, 2);
        assert_eq!(journal.metrics().flushes, 1);
    });
    run_on(&sim.disk().survivor(1), |env| async move {
        let replay = replayed(&env).await;
        assert_eq!(bases(&replay, 0).await, [0, 1, 2, 3, 4, 5, 6, 7]);
        assert_eq!(bases(&replay, 1).await, [0]);
    });
}

#[test]
fn what_cannot_be_framed_is_refused_and_nothing_is_written() {
    run(|env| async move {
        let large = JournalOptions::new(RunStart::FIRST);
        let journal = Journal::open(env.clone(), large).await.unwrap();
        let before = env.disk().mutations();
        let items = vec![batch(&env, 0, 0, 10), batch(&env, 0, 1, BATCHES_BYTES_MAX)];
        let refused = journal.commit(items, true, GROUP).await;
        assert!(matches!(refused, Err(JournalError::TooLarge { .. })), "{refused:?}");
        let parts = vec![sealed(&env, &vec![9; 600 << 10])];
        let (partition, epoch) = (partition(0), LeaderEpoch::ZERO);
        let item = Item::Batches { partition, base: at(0), next: at(1), epoch, parts };
        let refused = journal.commit(vec![item], true, GROUP).await;
        assert_eq!(refused, Err(JournalError::NotBatches { partition }));
        assert_eq!(env.disk().mutations(), before);
        let almost = batch(&env, 0, 0, BATCHES_BYTES_MAX - 200);
        journal.commit(vec![almost], true, GROUP).await.unwrap();
        assert_eq!(bases(&replayed(&env).await, 0).await, [0]);
    });
}

#[test]
fn a_journal_full_of_what_is_not_settled_refuses_until_it_is() {
    run(|env| async move {
        let journal = opened(&env).await;
        let mut next = 0;
        let refused = loop {
            match journal.commit(vec![batch(&env, 0, next, 7000)], true, GROUP).await {
                Ok(_) => next += 1,
                Err(refused) => break refused,
            }
        };
        assert_eq!(refused, JournalError::Behind { files: 2 });
        assert!(90 <= journal.pressure().percent(), "{:?}", journal.pressure());
        let settled = |below| move |_| Settled::Durable(at(below));
        assert_eq!(journal.release(journal.mark(), settled(1)).await, Ok(0));
        assert_eq!(journal.release(journal.mark(), settled(next)).await, Ok(1));
        assert!(!journal.pressure().checkpoint_is_due() || journal.pressure().percent() < 60);
        journal.commit(vec![batch(&env, 0, next, 7000)], true, GROUP).await.unwrap();
        assert_eq!(journal.metrics().files_recycled, 1);
    });
}

#[test]
fn a_full_device_is_a_state_that_passes() {
    let disk = DiskOptions { bytes_max: Some(200 << 10), ..DiskOptions::default() };
    let (last, sim) = run_with(SimOptions { disk, ..SimOptions::default() }, |env| async move {
        let filler = env.disk().open(Path::new("filler"), OpenMode::create()).await.unwrap();
        filler.allocate(100 << 10).await.unwrap();
        let options = JournalOptions { files_max: 3, ..small(RunStart::FIRST) };
        let journal = Journal::open(env.clone(), options).await.unwrap();
        let mut next = 0;
        let refused = loop {
            match journal.commit(vec![batch(&env, 0, next, 3000)], true, GROUP).await {
                Ok(_) => next += 1,
                Err(refused) => break refused,
            }
        };
        assert!(matches!(refused, JournalError::Full(_)), "{refused:?}");
        assert_eq!(journal.failure(), None);
        env.disk().remove_file(Path::new("filler")).await.unwrap();
        drop(filler);
        journal.commit(vec![batch(&env, 0, next, 3000)], true, GROUP).await.unwrap();
        next
    });
    run_on(&sim.disk().survivor(3), |env| async move {
        let found = bases(&replayed(&env).await, 0).await;
        assert_eq!(found, (0..=last).collect::<Vec<i64>>());
    });
}

#[test]
fn a_full_device_does_not_keep_the_journal_from_opening() {
    let disk = DiskOptions { bytes_max: Some(70 << 10), ..DiskOptions::default() };
    run_with(SimOptions { disk, ..SimOptions::default() }, |env| async move {
        let filler = env.disk().open(Path::new("filler"), OpenMode::create()).await.unwrap();
        filler.allocate(60 << 10).await.unwrap();
        let journal = opened(&env).await;
        let refused = journal.commit(vec![batch(&env, 0, 0, 10)], true, GROUP).await;
        assert!(matches!(refused, Err(JournalError::Full(_))), "{refused:?}");
        filler.set_len(0).await.unwrap();
        journal.commit(vec![batch(&env, 0, 0, 10)], true, GROUP).await.unwrap();
    });
}

#[test]
fn a_failed_flush_is_outlived_by_a_fresh_file_and_a_second_failure_is_final() {
    let (_, sim) = run(|env| async move {
        let journal = opened(&env).await;
        journal.commit(vec![batch(&env, 0, 0, 10)], false, GROUP).await.unwrap();
        env.disk().inject(Fault::of(Op::Sync, Errno::Eio));
        let first = journal.commit(vec![batch(&env, 0, 1, 10)], true, GROUP).await.unwrap();
        assert_eq!((first.file, journal.metrics().rescues), (1, 1));
        env.disk().inject(Fault::of(Op::Write, Errno::Eio).from_nth(1));
        let refused = journal.commit(vec![batch(&env, 0, 2, 10)], true, GROUP).await;
        assert!(matches!(refused, Err(JournalError::Failed(_))), "{refused:?}");
        env.disk().clear_faults();
        let refused = journal.commit(vec![batch(&env, 0, 2, 10)], true, GROUP).await;
        assert!(matches!(refused, Err(JournalError::Failed(_))), "for good: {refused:?}");
        assert!(journal.failure().is_some());
    });
    for seed in 0..20 {
        run_on(&sim.disk().survivor(seed), |env| async move {
            let found = bases(&replayed(&env).await, 0).await;
            assert!(found == [0, 1] || found == [0, 1, 2], "{found:?}");
        });
    }
}

#[test]
fn a_process_that_dies_while_it_outlives_a_failure_loses_nothing_that_was_written() {
    let written = std::rc::Rc::new(std::cell::Cell::new(0));
    for cut in 0.. {
        let options = SimOptions { cut_after_mutations: Some(cut), ..SimOptions::default() };
        let sim: Sim<()> = Sim::new(5, options);
        let env = sim.env(ShardId(0));
        written.set(0);
        let outcome = sim.run(async {
            let journal = opened(&env).await;
            env.disk().inject(Fault::of(Op::Sync, Errno::Eio));
            for base in 0..4 {
                let flush = base == 3;
                journal.commit(vec![batch(&env, 0, base, 10)], flush, GROUP).await.unwrap();
                written.set(written.get() + 1);
            }
            assert_eq!(journal.metrics().rescues, 1);
        });
        let (found, damage) = run_on(&sim.disk().contents(), |env| async move {
            let replay = replayed(&env).await;
            (bases(&replay, 0).await, replay.damage().len())
        });
        let want: Vec<i64> = (0..4).take(found.len()).collect();
        assert_eq!(found, want, "cut {cut}");
        assert!(written.get() <= found.len() && damage == 0, "cut {cut}: {found:?}");
        if !outcome.is_cut() {
            return;
        }
    }
}

#[test]
fn what_a_process_wrote_and_never_flushed_outlives_the_power_once_it_was_replayed() {
    for seed in 0..20 {
        let (_, first) = run(|env| async move {
            let journal = opened(&env).await;
            for base in 0..3 {
                journal.commit(vec![batch(&env, 0, base, 10)], false, GROUP).await.unwrap();
            }
        });
        let second: Sim<()> = Sim::restart(6, SimOptions::default(), first.kill_process());
        let env = second.env(ShardId(0));
        let found = second.run(async { bases(&replayed(&env).await, 0).await }).done();
        assert_eq!(found, [0, 1, 2]);
        let third: Sim<()> = Sim::restart(7, SimOptions::default(), second.cut_power_as(seed));
        let env = third.env(ShardId(0));
        let found = third.run(async { bases(&replayed(&env).await, 0).await }).done();
        assert_eq!(found, [0, 1, 2], "seed {seed}");
    }
}

#[test]
fn a_commit_needs_no_memory_of_the_shard() {
    run_with(SimOptions { memory_bytes: 16 << 10, ..SimOptions::default() }, |env| async move {
        let item = batch(&env, 0, 0, 100);
        let everything = env.pool().buffer(12 << 10).unwrap();
        assert!(env.pool().buffer(1).is_err());
        let journal = opened(&env).await;
        journal.commit(vec![item], true, GROUP).await.unwrap();
        assert!(journal.memory_bytes() <= 12 << 10, "{}", journal.memory_bytes());
        drop(everything);
    });
}

#[test]
fn the_mark_leaves_out_a_commit_under_way() {
    run(|env| async move {
        let journal = opened(&env).await;
        assert_eq!(journal.mark(), Mark { run: 1, sequence: 0 });
        let other = journal.clone();
        let commits = async {
            for base in 0..3 {
                journal.commit(vec![batch(&env, 0, base, 10)], true, GROUP).await.unwrap();
                assert_eq!(journal.mark().sequence, u64::try_from(base).unwrap() + 1);
            }
            true
        };
        let looks = async {
            loop {
                let frames = other.metrics().frames;
                assert!(other.mark().sequence + 1 >= frames);
                if other.mark().sequence < frames {
                    // A frame is on its way: it must not lie below the mark.
                    return false;
                }
                env.sleep(std::time::Duration::from_micros(1)).await;
            }
        };
        let seen = env::sync::race(looks, commits).await;
        assert!(!seen, "no look fell into a commit");
    });
}

#[test]
fn closing_leaves_no_file_and_refuses_commits() {
    let (_, sim) = run(|env| async move {
        let journal = opened(&env).await;
        journal.commit(vec![batch(&env, 0, 0, 10)], true, GROUP).await.unwrap();
        journal.close().await.unwrap();
        let refused = journal.commit(vec![batch(&env, 0, 1, 10)], true, GROUP).await;
        assert_eq!(refused, Err(JournalError::Closed));
    });
    assert_eq!(journal_files(&sim.disk().survivor(1)), Vec::<PathBuf>::new());
}

#[test]
fn old_runs_are_left_alone_until_they_are_retired() {
    let (_, sim) = run(|env| async move {
        let journal = opened(&env).await;
        journal.commit(vec![batch(&env, 0, 0, 10)], true, GROUP).await.unwrap();
    });
    let left = sim.disk().survivor(1);
    run_on(&left, |env| async move {
        let found = replayed(&env).await;
        assert_eq!(found.start(), RunStart { run: 2, first_number: 1 });
        let journal = Journal::open(env.clone(), small(found.start())).await.unwrap();
        for base in 1..9 {
            journal.commit(vec![batch(&env, 0, base, 7000)], true, GROUP).await.unwrap();
        }
        let everything = |_| Settled::Durable(at(9));
        assert_eq!(journal.release(journal.mark(), everything).await, Ok(0));
        assert_eq!(bases(&replayed(&env).await, 0).await, (0..9).collect::<Vec<_>>());
        found.old_files().retire(&env).await.unwrap();
        assert_eq!(journal.release(journal.mark(), everything).await, Ok(1));
        assert_eq!(bases(&replayed(&env).await, 0).await, [8]);
    });
}

#[test]
fn a_checkpoint_says_what_need_not_be_replayed() {
    let (mark, sim) = run(|env| async move {
        let journal = opened(&env).await;
        let dirty = |n| Item::Dirty { partition: partition(n), from: at(0) };
        journal.commit(vec![batch(&env, 0, 0, 10), dirty(1), dirty(2)], true, GROUP).await.unwrap();
        let mark = journal.mark();
        let mut checkpoint = Checkpoint::default();
        for n in 0..3 {
            checkpoint.insert(PartitionPoint {
                partition: partition(n),
                mark,
                log_start: at(0),
                recovery_point: at(1),
                end: at(1),
                segment_base: at(0),
                segment_len_bytes: 100,
                largest_timestamp_ms: 0,
                leader_epoch: LeaderEpoch::ZERO,
                high_watermark: at(1),
            });
        }
        checkpoint::save(&env, &checkpoint, Group::Retention).await.unwrap();
        journal.commit(vec![batch(&env, 2, 1, 10)], true, GROUP).await.unwrap();
        mark
    });
    let mut left = sim.disk().survivor(1);
    run_on(&left, |env| async move {
        let checkpoint = checkpoint::load(&env, Group::Recovery).await.unwrap().unwrap();
        let found = replay(&env, &checkpoint, Group::Recovery).await.unwrap();
        assert_eq!(found.partition(partition(0)), None);
        assert_eq!(found.partition(partition(1)), None);
        assert_eq!(found.partition(partition(2)).unwrap().dirty_from, Some(at(1)));
    });
    // The journal is gone, the checkpoint is not: its marks must stay in the past.
    left.files.retain(|path, _| path.to_str().unwrap().starts_with("evenkeel-checkpoint"));
    run_on(&left, |env| async move {
        let checkpoint = checkpoint::load(&env, Group::Recovery).await.unwrap().unwrap();
        let found = replay(&env, &checkpoint, Group::Recovery).await.unwrap();
        assert!(mark.run < found.start().run);
    });
}

/// Four commits of a page each, all but the last flushed, and the file that holds them.
fn four_frames() -> (Contents, PathBuf) {
    let (_, sim) = run(|env| async move {
        let journal = opened(&env).await;
        for base in 0..4 {
            let item = batch(&env, 0, base, 10);
            journal.commit(vec![item], base < 3, GROUP).await.unwrap();
        }
    });
    let contents = sim.disk().contents();
    let path = journal_files(&contents).remove(0);
    (contents, path)
}

#[test]
fn a_damaged_frame_that_had_been_flushed_is_named_and_the_others_are_replayed() {
    for (frame, lost) in [(0, true), (1, true), (2, true), (3, false)] {
        let (mut contents, path) = four_frames();
        contents.files.get_mut(&path).unwrap()[4096 * (frame + 1) + 100] ^= 4;
        run_on(&contents, |env| async move {
            let found = replayed(&env).await;
            let sequence = frame as u64;
            let damage = Damage::Frames { path, run: 1, sequences: sequence..sequence + 1 };
            let named: Vec<Damage> = if lost { vec![damage] } else { Vec::new() };
            assert_eq!(found.damage(), named);
            let others: Vec<i64> = (0..4).filter(|n| *n != i64::try_from(frame).unwrap()).collect();
            assert_eq!(bases(&found, 0).await, others);
        });
    }
}

#[test]
fn a_damaged_header_page_is_named() {
    let (mut contents, path) = four_frames();
    contents.files.get_mut(&path).unwrap()[33] ^= 1;
    run_on(&contents, |env| async move {
        let found = replayed(&env).await;
        assert_eq!(found.damage(), [Damage::Header { path }]);
        assert!(found.partitions().is_empty());
        assert_eq!(found.start().first_number, 1, "its number is not used again");
    });
}

#[test]
fn a_file_under_another_name_or_of_another_version_is_not_replayed() {
    let (mut contents, path) = four_frames();
    let bytes = contents.files.remove(&path).unwrap();
    contents.files.insert("evenkeel-journal-7-7".into(), bytes.clone());
    run_on(&contents, |env| async move {
        assert!(replayed(&env).await.partitions().is_empty());
    });
    let mut newer = bytes;
    newer[9] = 2;
    let crc = crc32c::crc32c(&newer[..60]);
    newer[60..64].copy_from_slice(&crc.to_be_bytes());
    contents.files.insert(path.clone(), newer);
    run_on(&contents, |env| async move {
        let refused = replay(&env, &Checkpoint::default(), Group::Recovery).await;
        assert_eq!(refused.err(), Some(ReplayError::Version { path, version: 2 }));
    });
}

#[test]
fn a_piece_that_changed_since_the_scan_is_refused() {
    let (contents, path) = four_frames();
    run_on(&contents, |env| async move {
        let found = replayed(&env).await;
        let piece = found.partition(partition(0)).unwrap().pieces[1];
        let file = env.disk().open(&path, OpenMode::existing()).await.unwrap();
        file.write_at(sealed(&env, &[1]), 2 * 4096 + 150, GROUP).await.unwrap();
        let refused = found.read(&piece, Group::Recovery).await;
        assert!(matches!(refused, Err(ReplayError::Changed { .. })), "{refused:?}");
    });
}

#[test]
fn a_truncation_inside_a_piece_leaves_its_first_batches() {
    run(|env| async move {
        let journal = opened(&env).await;
        let parts = vec![sealed(&env, &[built(0, 9), built(1, 9), built(2, 9)].concat())];
        let (id, epoch) = (partition(0), LeaderEpoch::ZERO);
        let item = Item::Batches { partition: id, base: at(0), next: at(3), epoch, parts };
        let cut = Item::Truncated { partition: id, to: at(2) };
        journal.commit(vec![item, cut], true, GROUP).await.unwrap();
        assert_eq!(bases(&replayed(&env).await, 0).await, [0, 1]);
    });
}

#[test]
fn zeros_on_their_way_never_meet_a_frame() {
    for seed in 0..12 {
        let sim: Sim<()> = Sim::new(seed, SimOptions::default());
        let env = sim.env(ShardId(0));
        sim.run(async {
            let options = JournalOptions { file_bytes: 4 << 20, ..small(RunStart::FIRST) };
            let journal = Journal::open(env.clone(), options).await.unwrap();
            for base in 0..30 {
                journal.commit(vec![batch(&env, 0, base, 90_000)], false, GROUP).await.unwrap();
            }
            assert!(0 < journal.metrics().waits_for_space, "frames never caught up");
            env.sleep(std::time::Duration::from_secs(1)).await;
            assert_eq!(bases(&replayed(&env).await, 0).await, (0..30).collect::<Vec<_>>());
        })
        .done();
    }
}

#[test]
fn what_is_held_for_a_failure_is_bounded() {
    run(|env| async move {
        let held_bytes_max = 40 << 10;
        let options = JournalOptions { held_bytes_max, ..JournalOptions::new(RunStart::FIRST) };
        let journal = Journal::open(env.clone(), options).await.unwrap();
        for base in 0..50 {
            journal.commit(vec![batch(&env, 0, base, 7000)], false, GROUP).await.unwrap();
            let zeros = 256 << 10;
            assert!(journal.memory_bytes() <= held_bytes_max + (8 << 10) + zeros);
        }
        assert_eq!(journal.metrics().flushes, 50 / 6);
    });
}

#[test]
fn a_frame_that_went_to_another_place_costs_only_what_it_covers() {
    let (mut contents, path) = four_frames();
    contents.files.get_mut(&path).unwrap().copy_within(3 * 4096..4 * 4096, 4096);
    run_on(&contents, |env| async move {
        let found = replayed(&env).await;
        let damage = Damage::Frames { path, run: 1, sequences: 0..1 };
        assert_eq!(found.damage(), [damage]);
        assert_eq!(bases(&found, 0).await, [1, 2, 3]);
    });
}

#[test]
fn a_removal_that_is_undone_brings_nothing_back() {
    let (contents, _) = four_frames();
    let sim: Sim<()> = Sim::restart(6, SimOptions::default(), Image::of(&contents));
    let env = sim.env(ShardId(0));
    sim.run(async {
        let found = replayed(&env).await;
        env.disk().inject(Fault::of(Op::SyncDir, Errno::Eio));
        found.old_files().retire(&env).await.unwrap_err();
        found.old_files().retire(&env).await.expect_err("it is never made up for");
    })
    .done();
    let mut came_back = 0;
    for seed in 0..20 {
        let left = sim.disk().survivor(seed);
        came_back += journal_files(&left).len();
        run_on(&left, |env| async move {
            let found = replayed(&env).await;
            assert!(found.partitions().is_empty() && found.damage().is_empty());
        });
    }
    assert!(0 < came_back, "the test wants files that came back");
}
