//! What a power cut takes from the simulated disk, and what it must leave.

#![expect(clippy::unwrap_used, reason = "a test that fails may panic")]

use std::cell::Cell;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use buf::Sealed;
use evenkeel_env::sim::{Contents, Image, Losses, Sim, SimEnv, SimFile, SimOptions};
use evenkeel_env::{Disk, Env, File, Group, OpenMode, ShardId};

const GROUP: Group = Group::Produce;
const SEEDS: u64 = 300;

type World = SimEnv<()>;

fn sim(seed: u64) -> (Sim<()>, World) {
    let sim = Sim::new(seed, SimOptions::default());
    let env = sim.env(ShardId(0));
    (sim, env)
}

/// Runs `scenario` and gives what power cuts with many seeds leave.
fn survivors(scenario: impl AsyncFn(&World)) -> Vec<Contents> {
    let (sim, env) = sim(7);
    sim.run(scenario(&env)).done();
    (0..SEEDS).map(|seed| sim.disk().survivor(seed)).collect()
}

fn page(byte: u8) -> Sealed {
    let bytes: &'static [u8] = match byte {
        1 => &[1; 4096],
        2 => &[2; 4096],
        _ => &[3; 4096],
    };
    Sealed::of_static(bytes)
}

async fn create(env: &World, path: &str) -> SimFile {
    env.disk().open(Path::new(path), OpenMode::create()).await.unwrap()
}

/// A file whose content and name are durable.
async fn durable(env: &World, path: &str, byte: u8) -> SimFile {
    let file = create(env, path).await;
    file.write_at(page(byte), 0, GROUP).await.unwrap();
    file.sync(GROUP).await.unwrap();
    let parent = Path::new(path).parent().unwrap();
    env.disk().sync_dir(parent).await.unwrap();
    file
}

fn content<'a>(survivor: &'a Contents, path: &str) -> Option<&'a Vec<u8>> {
    survivor.files.get(Path::new(path))
}

#[test]
fn what_was_synced_is_always_there() {
    for survivor in survivors(async |env| {
        durable(env, "a", 1).await;
    }) {
        assert_eq!(content(&survivor, "a"), Some(&vec![1; 4096]));
    }
}

#[test]
fn an_unsynced_overwrite_is_lost_kept_or_torn() {
    let left = survivors(async |env| {
        let file = durable(env, "a", 1).await;
        file.write_at(page(2), 0, GROUP).await.unwrap();
    });
    let kinds: BTreeSet<Vec<u8>> = left
        .iter()
        .map(|survivor| {
            let bytes = content(survivor, "a").unwrap();
            let sectors: Vec<u8> = bytes.chunks(512).map(|sector| sector[0]).collect();
            let whole = bytes.chunks(512).all(|s| s.iter().all(|b| *b == s[0]));
            assert!(whole, "a sector is whole");
            sectors
        })
        .collect();
    assert!(kinds.contains(&vec![1; 8]), "sometimes all of it is lost");
    assert!(kinds.contains(&vec![2; 8]), "sometimes all of it is kept");
    assert!(kinds.contains(&vec![2, 2, 2, 2, 1, 1, 1, 1]), "sometimes it loses its end");
    assert!(kinds.iter().any(|k| k[0] == 1 && k[7] == 2), "sometimes its beginning");
    assert!(kinds.iter().all(|k| k.iter().all(|b| [1, 2].contains(b))), "old or new bytes only");
}

#[test]
fn later_writes_may_survive_earlier_ones() {
    let left = survivors(async |env| {
        let file = durable(env, "a", 1).await;
        file.write_at(page(1), 4096, GROUP).await.unwrap();
        file.sync(GROUP).await.unwrap();
        file.write_at(page(2), 0, GROUP).await.unwrap();
        file.write_at(page(3), 4096, GROUP).await.unwrap();
    });
    let pairs: BTreeSet<(u8, u8)> =
        left.iter().map(|s| content(s, "a").unwrap()).map(|b| (b[0], b[4096])).collect();
    assert_eq!(pairs, BTreeSet::from([(1, 1), (1, 3), (2, 1), (2, 3)]));
}

#[test]
fn a_lost_length_takes_the_data_with_it() {
    let left = survivors(async |env| {
        let file = durable(env, "a", 1).await;
        file.write_at(page(2), 4096, GROUP).await.unwrap();
    });
    let lens: BTreeSet<usize> = left.iter().map(|s| content(s, "a").unwrap().len()).collect();
    assert_eq!(lens, BTreeSet::from([4096, 8192]));
    let grown = left.iter().map(|s| content(s, "a").unwrap()).filter(|b| b.len() == 8192);
    let ends: BTreeSet<u8> = grown.map(|bytes| bytes[8191]).collect();
    assert_eq!(ends, BTreeSet::from([0, 2]), "the length may come without the data, as zeros");
}

#[test]
fn an_unsynced_cut_may_come_back() {
    let left = survivors(async |env| {
        let file = durable(env, "a", 1).await;
        file.set_len(100).await.unwrap();
        file.allocate(9000).await.unwrap();
    });
    let lens: BTreeSet<usize> = left.iter().map(|s| content(s, "a").unwrap().len()).collect();
    assert_eq!(lens, BTreeSet::from([100, 4096, 9000]));
    let beyond: BTreeSet<Option<u8>> =
        left.iter().map(|s| content(s, "a").unwrap().get(200).copied()).collect();
    assert_eq!(beyond, BTreeSet::from([None, Some(0), Some(1)]));
}

#[test]
fn a_name_that_was_not_synced_may_vanish_with_synced_data() {
    let left = survivors(async |env| {
        let file = create(env, "a").await;
        file.write_at(page(1), 0, GROUP).await.unwrap();
        file.sync(GROUP).await.unwrap();
    });
    assert!(left.iter().any(|s| content(s, "a").is_none()));
    assert!(left.iter().any(|s| content(s, "a") == Some(&vec![1; 4096])));
    assert!(left.iter().flat_map(|s| s.files.values()).all(|bytes| *bytes == vec![1; 4096]));
}

#[test]
fn a_directory_that_was_not_synced_takes_its_files_along() {
    let left = survivors(async |env| {
        env.disk().create_dir(Path::new("d")).await.unwrap();
        durable(env, "d/a", 1).await;
    });
    assert!(left.iter().any(|s| s.dirs.is_empty() && s.files.is_empty()));
    assert!(left.iter().any(|s| content(s, "d/a").is_some()));
}

#[test]
fn a_rename_is_whole_or_did_not_happen() {
    let left = survivors(async |env| {
        durable(env, "old", 1).await;
        durable(env, "new", 2).await;
        env.disk().rename(Path::new("new"), Path::new("old")).await.unwrap();
    });
    let seen: BTreeSet<(u8, Option<u8>)> = left
        .iter()
        .map(|s| (content(s, "old").unwrap()[0], content(s, "new").map(|b| b[0])))
        .collect();
    assert_eq!(seen, BTreeSet::from([(1, Some(2)), (2, None)]));
}

#[test]
fn a_rename_into_another_directory_never_loses_the_file() {
    let left = survivors(async |env| {
        for dir in ["d", "e"] {
            env.disk().create_dir(Path::new(dir)).await.unwrap();
        }
        env.disk().sync_dir(Path::new("")).await.unwrap();
        durable(env, "d/a", 1).await;
        durable(env, "d/b", 2).await;
        env.disk().rename(Path::new("d/a"), Path::new("e/a")).await.unwrap();
        env.disk().sync_dir(Path::new("d")).await.unwrap();
        env.disk().rename(Path::new("d/b"), Path::new("e/b")).await.unwrap();
    });
    for survivor in &left {
        assert!(content(survivor, "e/a").is_some() && content(survivor, "d/a").is_none());
        assert!(content(survivor, "e/b").is_some() || content(survivor, "d/b").is_some());
    }
    assert!(left.iter().any(|s| content(s, "e/b").is_none()));
    assert!(left.iter().any(|s| content(s, "d/b").is_none()));
}

#[test]
fn overlapping_writes_may_arrive_in_any_order() {
    let left = survivors(async |env| {
        let file = durable(env, "a", 1).await;
        file.write_at(page(2).slice(0..100), 0, GROUP).await.unwrap();
        file.write_at(page(3).slice(0..100), 50, GROUP).await.unwrap();
    });
    let seen: BTreeSet<[u8; 3]> =
        left.iter().map(|s| content(s, "a").unwrap()).map(|b| [b[0], b[70], b[120]]).collect();
    assert!(seen.contains(&[2, 3, 3]) && seen.contains(&[2, 2, 3]), "{seen:?}");
}

#[test]
fn lost_data_beyond_the_end_does_not_come_back_when_the_file_grows() {
    for seed in 0..100 {
        let (first, env) = sim(seed);
        first
            .run(async {
                let file = durable(&env, "a", 1).await;
                file.write_at(page(2), 4096, GROUP).await.unwrap();
            })
            .done();
        let image = first.cut_power();
        let had = content(&image.contents(), "a").unwrap().clone();
        let second: Sim<()> = Sim::restart(seed, SimOptions::default(), image);
        let env = second.env(ShardId(0));
        second.run(async { create(&env, "a").await.set_len(9000).await.unwrap() }).done();
        let has = second.disk().contents().files[Path::new("a")].clone();
        assert!(has.iter().skip(had.len()).all(|byte| *byte == 0), "seed {seed}");
    }
}

/// Overwrites a durable file and returns as soon as the write took effect, if that is before
/// its caller was told.
async fn write_without_an_answer(sim: &Sim<()>, env: &World) -> Option<SimFile> {
    let file = durable(env, "a", 1).await;
    let told = Rc::new(Cell::new(false));
    let (tell, writing) = (Rc::clone(&told), file.clone());
    env.spawn(GROUP, async move {
        writing.write_at(page(2), 0, GROUP).await.unwrap();
        tell.set(true);
    });
    while sim.disk().contents().files[Path::new("a")][0] == 1 {
        env.sleep(Duration::from_nanos(1)).await;
    }
    (!told.get()).then_some(file)
}

#[test]
fn a_sync_covers_only_what_was_told_when_it_was_called() {
    let (mut kept, mut lost) = (0, 0);
    for seed in 0..SEEDS {
        let (sim, env) = sim(seed);
        sim.run(async {
            if let Some(file) = write_without_an_answer(&sim, &env).await {
                file.sync(GROUP).await.unwrap();
            }
        })
        .done();
        let is_kept = sim.disk().survivor(seed).files[Path::new("a")] == vec![2; 4096];
        kept += u32::from(is_kept);
        lost += u32::from(!is_kept);
    }
    assert!(kept > 30 && lost > 30, "{kept} kept, {lost} lost");
}

#[test]
fn a_sync_of_the_next_process_covers_what_the_killed_one_was_not_told() {
    for seed in 0..SEEDS {
        let (first, env) = sim(seed);
        if first.run(write_without_an_answer(&first, &env)).done().is_none() {
            continue;
        }
        let second: Sim<()> = Sim::restart(seed, SimOptions::default(), first.kill_process());
        let env = second.env(ShardId(0));
        second.run(async { create(&env, "a").await.sync(GROUP).await.unwrap() }).done();
        let left = second.cut_power().contents();
        assert_eq!(content(&left, "a"), Some(&vec![2; 4096]), "seed {seed}");
    }
}

#[test]
fn a_killed_process_leaves_what_was_written_and_a_later_cut_may_take_it() {
    let (mut kept, mut taken) = (0, 0);
    for seed in 0..100 {
        let (first, env) = sim(seed);
        first
            .run(async {
                let file = durable(&env, "a", 1).await;
                file.write_at(page(2), 0, GROUP).await.unwrap();
                create(&env, "b").await;
            })
            .done();
        let image = first.kill_process();
        assert_eq!(content(&image.contents(), "a"), Some(&vec![2; 4096]));
        assert_eq!(content(&image.contents(), "b"), Some(&vec![]));
        let second: Sim<()> = Sim::restart(seed, SimOptions::default(), image);
        if seed % 2 == 0 {
            let env = second.env(ShardId(0));
            second.run(async { create(&env, "a").await.sync(GROUP).await.unwrap() }).done();
        }
        let left = second.cut_power().contents();
        let is_kept = content(&left, "a") == Some(&vec![2; 4096]);
        assert!(is_kept || seed % 2 == 1, "a sync by the next process covers it");
        kept += u32::from(is_kept);
        taken += u32::from(!is_kept);
    }
    assert!(kept > 50 && taken > 10, "{kept} kept, {taken} taken");
}

#[test]
fn a_cut_comes_in_place_of_the_mutation_it_is_set_to() {
    let scenario = async |env: &World| {
        for name in ["a", "b", "c"] {
            durable(env, name, 1).await;
        }
        "done"
    };
    let whole = {
        let (sim, env) = sim(3);
        assert_eq!(sim.run(scenario(&env)).done(), "done");
        sim.mutations()
    };
    assert_eq!(whole, 12, "create, write, sync and sync_dir of three files");
    for cut in 0..whole {
        let options = SimOptions { cut_after_mutations: Some(cut), ..SimOptions::default() };
        let sim: Sim<()> = Sim::new(3, options);
        let env = sim.env(ShardId(0));
        assert!(sim.run(scenario(&env)).is_cut());
        assert_eq!(sim.mutations(), cut);
        assert!(sim.run(scenario(&env)).is_cut(), "after a cut nothing happens any more");
        let durable = usize::try_from(cut / 4).unwrap();
        let left: Vec<PathBuf> = sim.cut_power().contents().files.into_keys().collect();
        assert!(durable <= left.len() && left.len() <= durable + 1);
    }
}

#[test]
fn the_wall_clock_goes_on_after_a_restart() {
    let (first, env) = sim(0);
    let before = env.wall_ms();
    first.run(env.sleep(Duration::from_secs(5))).done();
    first.shift_wall_ms(1000);
    let second: Sim<()> = Sim::restart(1, SimOptions::default(), first.cut_power());
    assert!(before + 6000 <= second.env(ShardId(0)).wall_ms());
}

#[test]
fn an_image_of_contents_is_durable() {
    let mut contents = Contents::default();
    contents.dirs.insert("d".into());
    contents.files.insert("d/a".into(), vec![5; 10]);
    let sim: Sim<()> = Sim::restart(0, SimOptions::default(), Image::of(&contents));
    for seed in 0..20 {
        assert_eq!(sim.disk().survivor(seed), contents);
    }
}

/// Two files and a name of which the flush covers nothing, and one of which it covers all.
async fn unflushed(env: &World) {
    let file = durable(env, "a", 1).await;
    durable(env, "c", 3).await;
    for n in 0..4 {
        file.write_at(page(2), n * 4096, GROUP).await.unwrap();
    }
    create(env, "b").await;
}

#[test]
fn every_kind_of_loss_happens_and_is_counted() {
    let (sim, env) = sim(7);
    sim.run(unflushed(&env)).done();
    let disk = sim.disk().clone();
    let current = disk.contents();
    let mut all = Losses::default();
    for seed in 0..SEEDS {
        let (left, losses) = (disk.survivor(seed), disk.losses(seed));
        let same = content(&left, "a") == content(&current, "a");
        assert_eq!(losses.writes + losses.torn_writes + losses.lengths == 0, same, "{losses:?}");
        assert_eq!(losses.names, u64::from(content(&left, "b").is_none()));
        all = all.and(losses);
    }
    let Losses { writes, torn_writes, overtaken_writes, lengths, names } = all;
    for count in [writes, torn_writes, overtaken_writes, lengths, names] {
        assert!(10 < count, "{all:?}");
    }
}

#[test]
fn what_is_flushed_loses_nothing() {
    let (sim, env) = sim(7);
    sim.run(async {
        durable(&env, "a", 1).await;
    })
    .done();
    assert_eq!(sim.cut_power().losses(), Losses::default());
}
