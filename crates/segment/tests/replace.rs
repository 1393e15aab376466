//! Replacing sealed segments: the power is cut at every mutation, and readers go on meanwhile.

#![expect(clippy::unwrap_used, reason = "a test that fails may panic")]

mod kit;

use std::cell::Cell;
use std::rc::Rc;

use env::sim::{Image, Sim, SimEnv, SimOptions};
use env::{Disk, Env, File, Group, OpenMode, ShardId};
use evenkeel_segment::{
    Log, LogOptions, ReplaceError, Replacement, Seen, SegmentFile, is_part, part_path,
};
use index::Building;
use kit::{Kept, Model, append, at, bytes_of, dir};
use record::{Header, Offset};

type World = SimEnv<()>;

fn options() -> LogOptions {
    LogOptions { segment_bytes: 5_000, index_interval_bytes: 300, ..kit::small() }
}

fn sim_options(cut_after_mutations: Option<u64>) -> SimOptions {
    SimOptions { cut_after_mutations, ..SimOptions::default() }
}

/// A closed log of some segments; each batch is longer than the one before by `grows` a record.
async fn filled(env: &World, grows: usize) -> (Log<World>, Model) {
    env.disk().create_dir(std::path::Path::new("topic-0")).await.unwrap();
    let log = Log::create(env, dir(), options(), Offset::ZERO).await.unwrap();
    let mut model = Model::default();
    for number in 0..60 {
        let bytes = kit::batch(
            2,
            if grows == 0 { 300 } else { 100 + number * grows },
            number as i64 * 10,
            number as u64,
        );
        append(&log, &mut model, &bytes, 0);
    }
    log.close(Group::System).await.unwrap();
    assert!(5 < log.structure().segments.len(), "{:?}", log.structure());
    (log, model)
}

/// Writes the batches that are kept of `[from, until)` as a part, and says what it is.
async fn part(env: &World, kept: &[Kept], from: Offset, until: Offset) -> Replacement {
    let inside = kept.iter().filter(|batch| from <= batch.base && batch.base < until);
    let mut building = Building::new(from);
    let mut bytes = Vec::new();
    for batch in inside {
        let position = u32::try_from(bytes.len()).unwrap();
        building.add(&Header::read(&batch.bytes).unwrap(), position, 300);
        bytes.extend_from_slice(&batch.bytes);
    }
    building.finish();
    for kind in [SegmentFile::Keys, SegmentFile::Log] {
        let path = part_path(dir(), from, kind);
        let file = env.disk().open(&path, OpenMode::create()).await.unwrap();
        let mut buffer = env.pool().buffer(bytes.len().max(1)).unwrap();
        buffer.as_mut_slice()[..bytes.len()].copy_from_slice(&bytes);
        file.write_at(buffer.seal(bytes.len()), 0, Group::Compaction).await.unwrap();
        file.sync(Group::Compaction).await.unwrap();
    }
    let len_bytes = bytes.len() as u64;
    Replacement { base: from, len_bytes, building, has_transactions: false, has_keys: true }
}

/// Replaces segments 1 to 4 by two files with every third batch.
async fn compact(
    env: &World,
    log: &Log<World>,
    model: &Model,
) -> (Model, Result<(), ReplaceError>) {
    let structure = log.structure();
    let sources: Vec<Offset> = structure.segments[1..5].iter().map(|view| view.base).collect();
    let (from, middle, until) = (sources[0], sources[2], structure.segments[4].next);
    let mut kept = model.clone();
    kept.batches
        .retain(|batch| batch.base < from || until <= batch.base || batch.base.raw() % 3 == 0);
    let first_in_second = kept.batches.iter().find(|batch| middle <= batch.base).unwrap().base;
    let with = vec![
        part(env, &kept.batches, from, first_in_second).await,
        part(env, &kept.batches, first_in_second, until).await,
    ];
    let replaced = log.replace(&structure, sources, with, Group::Compaction).await;
    (kept, replaced)
}

fn same(found: &[u8], model: &Model) -> bool {
    let want: Vec<u8> = model.batches.iter().flat_map(|batch| batch.bytes.clone()).collect();
    found == want
}

async fn everything(log: &Log<World>) -> Vec<u8> {
    let end = log.ends().end;
    let (mut from, mut bytes) = (log.ends().start, Vec::new());
    while from < end {
        let read = log.read(from, end, 900, true, Group::Fetch).await.unwrap();
        bytes.extend(bytes_of(&read));
        from = read.next.unwrap();
    }
    bytes
}

/// Opens what is left: one or the other, whole, and again the same.
fn recovers(image: Image, seed: u64, before: &Model, after: &Model, must_be_after: bool) -> Image {
    let sim: Sim<()> = Sim::restart(seed, sim_options(None), image);
    let env = sim.env(ShardId(0));
    sim.run(async {
        let known = kit::unclean(before.end);
        let opened = Log::open(&env, dir(), options(), known, Group::Recovery).await;
        let (log, opened) = opened.unwrap();
        assert_eq!((opened.damage, opened.cut), (vec![], None), "seed {seed}");
        let found = everything(&log).await;
        let (old, new) = (same(&found, before), same(&found, after));
        assert!(new || (old && !must_be_after), "seed {seed}: {old} {new} {must_be_after}");
        kit::check(&log, if new { after } else { before }).await;
        for entry in env.disk().list(dir()).await.unwrap() {
            let name = entry.name;
            let left = [".cleaned", ".swap", ".deleted"].iter().any(|end| name.ends_with(end));
            assert!(!left, "seed {seed}: {name}");
        }
        log.close(Group::System).await.unwrap();
    })
    .done();
    sim.kill_process()
}

#[test]
fn a_power_cut_at_any_mutation_leaves_the_one_or_the_other() {
    let plain: Sim<()> = Sim::new(1, sim_options(None));
    let env = plain.env(ShardId(0));
    let (first, last) = plain
        .run(async {
            let (log, model) = filled(&env, 7).await;
            let first = plain.mutations();
            let (kept, replaced) = compact(&env, &log, &model).await;
            replaced.unwrap();
            kit::check(&log, &kept).await;
            (first, plain.mutations())
        })
        .done();
    let mut seen = [0, 0];
    for cut in first..=last {
        for survivor in 0..4 {
            let sim: Sim<()> = Sim::new(1, sim_options(Some(cut)));
            let env = sim.env(ShardId(0));
            let told = Rc::new(Cell::new(false));
            let models = Rc::new(std::cell::RefCell::new(None));
            let outcome = sim.run(async {
                let (log, model) = filled(&env, 7).await;
                let mut after = model.clone();
                let views = log.structure().segments;
                let (from, until) = (views[1].base, views[4].next);
                after.batches.retain(|b| b.base < from || until <= b.base || b.base.raw() % 3 == 0);
                *models.borrow_mut() = Some((model.clone(), after));
                let (_, replaced) = compact(&env, &log, &model).await;
                told.set(replaced.is_ok());
            });
            assert!(outcome.is_cut() || cut == last, "cut {cut}");
            let (before, after) = models.borrow_mut().take().unwrap();
            let seed = cut * 10 + survivor;
            let image = sim.cut_power_as(seed);
            let image = recovers(image, seed, &before, &after, told.get());
            // A second power cut finds the same; parts that were not used are still there.
            let sim: Sim<()> = Sim::restart(seed, sim_options(None), image);
            let names = sim.disk().contents();
            let mut paths = names.files.keys();
            let parts = paths.any(|path| is_part(path.file_name().unwrap().to_str().unwrap()));
            seen[usize::from(parts)] += 1;
            let _ = recovers(sim.cut_power_as(seed + 1), seed, &before, &after, told.get());
        }
    }
    assert!(seen.iter().all(|count| 0 < *count), "{seen:?}");
}

#[test]
fn readers_see_the_one_or_the_other_and_never_wait() {
    for seed in 0..60 {
        // With batches of one length a place in the old file is one in the new file, a wrong one.
        let grows = if seed % 2 == 0 { 0 } else { 7 };
        let sim: Sim<()> = Sim::new(seed, sim_options(None));
        let env = sim.env(ShardId(0));
        sim.run(async {
            let (log, model) = filled(&env, grows).await;
            log.evict(usize::MAX);
            let over = Rc::new(Cell::new(0));
            for reader in 0..6_usize {
                let (log, env, model, over) =
                    (log.clone(), env.clone(), model.clone(), Rc::clone(&over));
                env.clone().spawn(Group::Fetch, async move {
                    for round in 0..8 {
                        let skip = usize::try_from(env.random() % 50).unwrap();
                        let from = model.batches[skip].base;
                        let mut next = from;
                        while next < model.end {
                            let max_bytes = 200 + 300 * reader;
                            let read = log.read(next, model.end, max_bytes, true, Group::Fetch);
                            let read = read.await.unwrap();
                            // Every batch is one of the log, in order, and none of those that stay
                            // is passed over.
                            let bytes = bytes_of(&read);
                            let mut found = record::Batches::new(&bytes).map(|b| b.unwrap().0);
                            let reached = read.next.unwrap();
                            let mut bases: Vec<_> = found.by_ref().map(|h| h.base_offset).collect();
                            bases.retain(|base| next <= *base);
                            let all = model
                                .batches
                                .iter()
                                .filter(|b| next <= b.base && b.next <= reached);
                            let stay = all.filter(|b| b.base.raw() % 3 == 0);
                            for batch in stay {
                                assert!(bases.contains(&batch.base), "seed {seed} round {round}");
                            }
                            next = reached;
                        }
                        log.release_files();
                        let mut seen = Vec::new();
                        let each = |one: &Seen| seen.push(one.header.base_offset);
                        log.scan(from, Group::Fetch, each).await.unwrap();
                        let all = model.batches.iter().filter(|batch| from <= batch.base);
                        for batch in all.filter(|batch| batch.base.raw() % 3 == 0) {
                            assert!(seen.contains(&batch.base), "seed {seed} round {round}");
                        }
                    }
                    over.set(over.get() + 1);
                });
            }
            let (kept, replaced) = compact(&env, &log, &model).await;
            replaced.unwrap();
            // Again and again, one segment at a time, by the same batches as a file of its own.
            for _ in 0..6 {
                for view in log.structure().segments {
                    let structure = log.structure();
                    let whole = part(&env, &kept.batches, view.base, view.next).await;
                    let sources = vec![view.base];
                    let again = log.replace(&structure, sources, vec![whole], Group::Compaction);
                    again.await.unwrap();
                }
            }
            while over.get() < 6 {
                env.sleep(std::time::Duration::from_micros(50)).await;
            }
            kit::check(&log, &kept).await;
            // It can be appended to, truncated inside the replaced part, and replaced again.
            let mut model = kept;
            append(&log, &mut model, &kit::batch(1, 10, 9_999, 1), 0);
            log.write(Group::Produce).await.unwrap();
            kit::check(&log, &model).await;
            let cut = model.batches[model.batches.len() / 2].base;
            log.truncate(cut, Group::System).await.unwrap();
            model.cut(cut);
            kit::check(&log, &model).await;
        })
        .done();
    }
}

#[test]
fn what_changed_is_not_replaced() {
    let sim: Sim<()> = Sim::new(3, sim_options(None));
    let env = sim.env(ShardId(0));
    sim.run(async {
        let (log, model) = filled(&env, 7).await;
        let structure = log.structure();
        let bases: Vec<Offset> = structure.segments.iter().map(|view| view.base).collect();
        let whole = part(&env, &model.batches, bases[1], bases[2]).await;
        log.truncate(at(model.end.raw() - 2), Group::System).await.unwrap();
        let tried = log.replace(&structure, vec![bases[1]], vec![whole.clone()], Group::Compaction);
        assert_eq!(tried.await, Err(ReplaceError::Changed), "it was cut meanwhile");
        let structure = log.structure();
        log.advance_start(bases[2], Group::System).await.unwrap();
        let tried = log.replace(&structure, vec![bases[1]], vec![whole], Group::Compaction);
        assert_eq!(tried.await, Err(ReplaceError::Changed), "it is gone");
    })
    .done();
}
