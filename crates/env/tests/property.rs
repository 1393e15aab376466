//! Survivors are legal: random work on files and names, against a model that knows for each
//! sector, length and name only the set of things it may be.

#![expect(clippy::unwrap_used, reason = "a test that fails may panic")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use evenkeel_env::recording::{Contents, Recording, RecordingEnv};
use evenkeel_env::sim::{Sim, SimEnv, SimOptions};
use evenkeel_env::{Disk, Env, File, Group, OpenMode, ShardId};
use proptest::prelude::*;

const GROUP: Group = Group::Produce;
const SECTOR: usize = 512;
const DIRS: u8 = 2;
const NAMES: u8 = 3;

type World = RecordingEnv<SimEnv<()>>;

#[derive(Clone, Debug)]
enum Work {
    Write { path: u8, sector: u8, sectors: u8 },
    SetLen { path: u8, sectors: u8 },
    Allocate { path: u8, sectors: u8 },
    Sync { path: u8 },
    SyncDir { dir: u8 },
    Rename { from: u8, to: u8 },
    Remove { path: u8 },
}

fn dir(number: u8) -> PathBuf {
    PathBuf::from(format!("d{number}"))
}

fn path(number: u8) -> PathBuf {
    dir(number % DIRS).join(format!("f{}", number / DIRS))
}

fn work() -> impl Strategy<Value = Work> {
    let any_path = || 0..DIRS * NAMES;
    prop_oneof![
        6 => (any_path(), 0_u8..10, 1_u8..6)
            .prop_map(|(path, sector, sectors)| Work::Write { path, sector, sectors }),
        1 => (any_path(), 0_u8..12).prop_map(|(path, sectors)| Work::SetLen { path, sectors }),
        1 => (any_path(), 0_u8..12).prop_map(|(path, sectors)| Work::Allocate { path, sectors }),
        3 => any_path().prop_map(|path| Work::Sync { path }),
        2 => (0..DIRS).prop_map(|dir| Work::SyncDir { dir }),
        2 => (any_path(), any_path()).prop_map(|(from, to)| Work::Rename { from, to }),
        1 => any_path().prop_map(|path| Work::Remove { path }),
    ]
}

/// A file; each sector is known by the number of the write that filled it, 0 for none.
#[derive(Clone, Debug, Default)]
struct ModelFile {
    committed: Vec<u64>,
    current: Vec<u64>,
    /// Writes since the last sync, as first sector, sectors, number.
    writes: Vec<(usize, usize, u64)>,
    /// Lengths since the last sync that were set, and so may have cut something off.
    lens: Vec<usize>,
}

impl ModelFile {
    fn write(&mut self, first: usize, sectors: usize, number: u64) {
        let end = first + sectors;
        self.current.resize(self.current.len().max(end), 0);
        self.current[first..end].fill(number);
        self.writes.push((first, sectors, number));
    }

    fn set_len(&mut self, sectors: usize) {
        self.current.resize(sectors, 0);
        self.lens.push(sectors);
    }

    fn allocate(&mut self, sectors: usize) {
        self.set_len(sectors.max(self.current.len()));
        // It may survive a growth before it that does not.
        self.lens.push(sectors.max(self.committed.len()));
    }

    fn sync(&mut self) {
        self.committed = self.current.clone();
        self.writes.clear();
        self.lens.clear();
    }

    fn allows(&self, bytes: &[u8]) -> bool {
        let ends = self.writes.iter().map(|(first, sectors, _)| first + sectors);
        let mut lens = ends.chain(self.lens.iter().copied()).chain([self.committed.len()]);
        lens.any(|len| len * SECTOR == bytes.len())
            && bytes.chunks(SECTOR).enumerate().all(|(place, sector)| self.allows_at(place, sector))
    }

    fn allows_at(&self, place: usize, sector: &[u8]) -> bool {
        let old = self.committed.get(place).copied().unwrap_or(0);
        let mut may_be = BTreeSet::from([old]);
        if !self.lens.is_empty() {
            may_be.insert(0);
        }
        let covers = |(first, sectors, _): &&(usize, usize, u64)| {
            (*first..*first + *sectors).contains(&place)
        };
        may_be.extend(self.writes.iter().filter(covers).map(|(_, _, number)| *number));
        may_be.iter().any(|number| sector.chunks(8).all(|word| word == number.to_le_bytes()))
    }
}

type Names = BTreeMap<PathBuf, Option<usize>>;

/// The whole tree; a file is known by its place in `files`.
#[derive(Clone, Debug, Default)]
struct Model {
    files: Vec<ModelFile>,
    committed: Names,
    current: Names,
    /// What names were given to since their directory was synced.
    updates: Vec<(PathBuf, Option<usize>)>,
}

impl Model {
    fn update(&mut self, path: PathBuf, file: Option<usize>) {
        self.current.insert(path.clone(), file);
        self.updates.push((path, file));
    }

    fn file(&self, path: &Path) -> Option<usize> {
        self.current.get(path).copied().flatten()
    }

    fn sync_dir(&mut self, dir: &Path) {
        for (path, file) in self.current.iter().filter(|(path, _)| path.starts_with(dir)) {
            self.committed.insert(path.clone(), *file);
        }
        self.updates.retain(|(path, _)| !path.starts_with(dir));
    }

    /// Panics with what is not legal about `left`.
    fn check(&self, left: &Contents) {
        assert_eq!(left.dirs.len(), usize::from(DIRS));
        for number in 0..DIRS * NAMES {
            let path = path(number);
            let committed = self.committed.get(&path).copied().flatten();
            let updates = self.updates.iter().filter(|(of, _)| *of == path);
            let mut may_be = updates.map(|(_, file)| *file).chain([committed]);
            let legal = match left.files.get(&path) {
                None => may_be.any(|file| file.is_none()),
                Some(bytes) => may_be.flatten().any(|file| self.files[file].allows(bytes)),
            };
            let lens = left.files.get(&path).map(Vec::len);
            assert!(legal, "{} of {lens:?} bytes is not legal", path.display());
        }
        let known: BTreeSet<PathBuf> = (0..DIRS * NAMES).map(path).collect();
        assert!(left.files.keys().all(|path| known.contains(path)));
    }
}

/// Does one piece of work to the world and to the model. Work on missing files makes them, but
/// names are only changed where there are some.
async fn perform(env: &World, model: &mut Model, work: &Work, number: u64) {
    let disk = env.disk();
    match *work {
        Work::Write { path: at, sector, sectors } => {
            let (file, id) = open(env, model, at).await;
            let len = usize::from(sectors) * SECTOR;
            let mut buffer = env.pool().buffer(len).unwrap();
            for word in buffer.as_mut_slice()[..len].chunks_mut(8) {
                word.copy_from_slice(&number.to_le_bytes());
            }
            let position = u64::from(sector) * SECTOR as u64;
            file.write_at(buffer.seal(len), position, GROUP).await.unwrap();
            model.files[id].write(usize::from(sector), usize::from(sectors), number);
        }
        Work::SetLen { path: at, sectors } => {
            let (file, id) = open(env, model, at).await;
            file.set_len(u64::from(sectors) * SECTOR as u64).await.unwrap();
            model.files[id].set_len(usize::from(sectors));
        }
        Work::Allocate { path: at, sectors } => {
            let (file, id) = open(env, model, at).await;
            file.allocate(u64::from(sectors) * SECTOR as u64).await.unwrap();
            model.files[id].allocate(usize::from(sectors));
        }
        Work::Sync { path: at } => {
            let (file, id) = open(env, model, at).await;
            file.sync(GROUP).await.unwrap();
            model.files[id].sync();
        }
        Work::SyncDir { dir: at } => {
            disk.sync_dir(&dir(at)).await.unwrap();
            model.sync_dir(&dir(at));
        }
        Work::Rename { from, to } => {
            let (from, to) = (path(from), path(to));
            let Some(id) = model.file(&from).filter(|_| from != to) else { return };
            disk.rename(&from, &to).await.unwrap();
            model.update(from, None);
            model.update(to, Some(id));
        }
        Work::Remove { path: at } => {
            let at = path(at);
            if model.file(&at).is_some() {
                disk.remove_file(&at).await.unwrap();
                model.update(at, None);
            }
        }
    }
}

async fn open(
    env: &World,
    model: &mut Model,
    at: u8,
) -> (<<World as Env>::Disk as Disk>::File, usize) {
    let at = path(at);
    let file = env.disk().open(&at, OpenMode::create()).await.unwrap();
    if model.file(&at).is_none() {
        model.files.push(ModelFile::default());
        model.update(at.clone(), Some(model.files.len() - 1));
    }
    (file, model.file(&at).unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(50))]

    #[test]
    fn survivors_of_the_simulated_and_of_the_recorded_disk_are_legal(
        seed in any::<u64>(),
        works in prop::collection::vec(work(), 1..40),
    ) {
        let sim: Sim<()> = Sim::new(seed, SimOptions::default());
        let recording = Recording::new(Contents::default());
        let env = RecordingEnv::new(sim.env(ShardId(0)), &recording);
        let mut model = Model::default();
        sim.run(async {
            for number in 0..DIRS {
                env.disk().create_dir(&dir(number)).await.unwrap();
            }
            env.disk().sync_dir(Path::new("")).await.unwrap();
        })
        .done();
        let mut places = Vec::new();
        for (number, work) in (1..).zip(&works) {
            sim.run(perform(&env, &mut model, work, number)).done();
            for survivor in 0..3 {
                model.check(&sim.disk().survivor(seed ^ survivor));
            }
            places.push((recording.len(), model.clone()));
        }
        let mut replay = recording.replay();
        for (place, model) in places {
            replay.advance_to(place);
            for survivor in 0..3 {
                model.check(&replay.survivor(seed ^ survivor));
            }
        }
        prop_assert_eq!(replay.written(), sim.disk().contents());
    }
}
