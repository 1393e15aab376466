//! Sorting more entries than memory holds: runs that spill to files of the log's directory, and
//! their merge, at most [`FAN_IN`] at a time.

use std::cell::Cell;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use buf::Charge;
use env::{Disk, Env, Group, OpenMode};
use index::keys::{BlockReader, BlockWriter, Extent};

use crate::PassError;

/// Most files that are merged at a time; each has a block in memory.
pub(crate) const FAN_IN: usize = 64;

/// What the names of spill files begin with. Whatever is left of them is worth nothing.
const PREFIX: &str = "evenkeel-compaction-";
const SUFFIX: &str = ".spill";

/// Entries between two yields: some tens of microseconds.
const PER_TURN: u64 = 256;

/// Names for spill files, none twice.
#[derive(Clone, Debug)]
pub(crate) struct Spills<E: Env> {
    pub(crate) env: E,
    dir: PathBuf,
    next: Rc<Cell<u64>>,
    /// Bytes that a sorter holds before it spills.
    pub(crate) sort_bytes: usize,
}

impl<E: Env> Spills<E> {
    pub(crate) fn new(env: &E, dir: &Path, sort_bytes: usize) -> Spills<E> {
        Spills { env: env.clone(), dir: dir.to_path_buf(), next: Rc::default(), sort_bytes }
    }

    fn path(&self) -> PathBuf {
        let number = self.next.get();
        self.next.set(number + 1);
        self.dir.join(format!("{PREFIX}{number}{SUFFIX}"))
    }

    /// A new file and its name.
    pub(crate) async fn file(&self) -> Result<(<E::Disk as Disk>::File, PathBuf), PassError> {
        let path = self.path();
        let mode = OpenMode::create().direct();
        Ok((self.env.disk().open(&path, mode).await?, path))
    }
}

/// Whether a file of this name was spilled by a pass.
pub(crate) fn is_spill(name: &str) -> bool {
    name.starts_with(PREFIX) && name.ends_with(SUFFIX)
}

/// A sorted run in a file.
struct RunFile<E: Env> {
    file: <E::Disk as Disk>::File,
    path: PathBuf,
    extent: Extent,
}

/// Entries that are sorted at once: some tens of microseconds.
const SORTED_AT_ONCE: usize = 512;

/// Entries in memory, in sorted chunks.
struct Held<const N: usize> {
    entries: Vec<[u8; N]>,
    /// While they are given out: the next one of each chunk, its place, the chunk's end.
    heads: BinaryHeap<Reverse<([u8; N], usize, usize)>>,
}

impl<const N: usize> Held<N> {
    fn push(&mut self, entry: [u8; N]) {
        self.entries.push(entry);
        if self.entries.len().is_multiple_of(SORTED_AT_ONCE) {
            let first = self.entries.len() - SORTED_AT_ONCE;
            self.entries[first..].sort_unstable();
        }
    }

    /// Nothing more is pushed.
    fn seal(&mut self) {
        let (end, whole) = (self.entries.len(), self.entries.len() / SORTED_AT_ONCE);
        self.entries[whole * SORTED_AT_ONCE..].sort_unstable();
        let heads = (0..end).step_by(SORTED_AT_ONCE);
        let heads = heads.map(|at| Reverse((self.entries[at], at, end.min(at + SORTED_AT_ONCE))));
        self.heads = heads.collect();
    }

    /// The next one in order, once it is sealed.
    fn next(&mut self) -> Option<[u8; N]> {
        let mut least = self.heads.peek_mut()?;
        let Reverse((entry, at, end)) = *least;
        if at + 1 < end {
            *least = Reverse((self.entries[at + 1], at + 1, end));
        } else {
            PeekMut::pop(least);
        }
        Some(entry)
    }

    fn clear(&mut self) {
        self.entries.clear();
        self.heads.clear();
    }
}

/// Takes entries in any order; bytes sort them.
pub(crate) struct Sorter<E: Env, const N: usize> {
    spills: Spills<E>,
    held: Held<N>,
    most: usize,
    charge: Option<Charge>,
    runs: Vec<RunFile<E>>,
}

impl<E: Env, const N: usize> Sorter<E, N> {
    pub(crate) fn new(spills: &Spills<E>) -> Sorter<E, N> {
        let most = (spills.sort_bytes / N).max(1);
        let held = Held { entries: Vec::new(), heads: BinaryHeap::new() };
        Sorter { spills: spills.clone(), held, most, charge: None, runs: Vec::new() }
    }

    pub(crate) async fn push(&mut self, entry: [u8; N]) -> Result<(), PassError> {
        if self.held.entries.len() == self.held.entries.capacity() {
            self.grow().await?;
        }
        self.held.push(entry);
        Ok(())
    }

    /// Makes room for more: twice the memory, counted first, or a run on disk.
    async fn grow(&mut self) -> Result<(), PassError> {
        let wanted = (self.held.entries.capacity() * 2).clamp(64, self.most.max(64));
        if self.held.entries.capacity() < wanted {
            // The old memory is still there while the new one is filled.
            let pool = self.spills.env.pool();
            if let Ok(charge) = pool.charge(wanted * N) {
                let entries = &mut self.held.entries;
                entries.reserve_exact(wanted - entries.len());
                self.charge = Some(charge);
                return Ok(());
            }
            if self.held.entries.is_empty() {
                self.charge = Some(pool.charge(wanted * N)?);
            }
        }
        self.spill().await
    }

    async fn spill(&mut self) -> Result<(), PassError> {
        self.held.seal();
        let (file, path) = self.spills.file().await?;
        let salt = self.spills.env.random();
        let extent = Extent { start: 0, entries: 0, entry_len: N, salt };
        let mut writer =
            BlockWriter::new(&self.spills.env, file.clone(), extent, Group::Compaction);
        let mut given = 0_u64;
        while let Some(entry) = self.held.next() {
            writer.push(&entry).await?;
            given += 1;
            if given.is_multiple_of(PER_TURN) {
                self.spills.env.yield_if_needed().await;
            }
        }
        let extent = writer.finish().await?;
        self.runs.push(RunFile { file, path, extent });
        self.held.clear();
        if self.runs.len() == FAN_IN {
            self.merge_runs().await?;
        }
        Ok(())
    }

    /// Makes one run of all.
    async fn merge_runs(&mut self) -> Result<(), PassError> {
        let runs = std::mem::take(&mut self.runs);
        let mut merge: Merge<E, N> = Merge::begin(&self.spills.env, &runs).await?;
        let (file, path) = self.spills.file().await?;
        let salt = self.spills.env.random();
        let extent = Extent { start: 0, entries: 0, entry_len: N, salt };
        let mut writer =
            BlockWriter::new(&self.spills.env, file.clone(), extent, Group::Compaction);
        while let Some((entry, _)) = merge.next().await? {
            writer.push(&entry).await?;
        }
        let extent = writer.finish().await?;
        for run in runs {
            self.spills.env.disk().remove_file(&run.path).await?;
        }
        self.runs.push(RunFile { file, path, extent });
        Ok(())
    }

    /// Everything, sorted. What never spilled stays in memory.
    pub(crate) async fn finish(mut self) -> Result<Sorted<E, N>, PassError> {
        if self.runs.is_empty() {
            let Sorter { mut held, charge, .. } = self;
            held.seal();
            return Ok(Sorted { from: From::Memory(held, charge), peeked: None });
        }
        if !self.held.entries.is_empty() {
            self.spill().await?;
        }
        self.held.entries = Vec::new();
        self.charge = None;
        let merge = Merge::begin(&self.spills.env, &self.runs).await?;
        let paths = self.runs.iter().map(|run| run.path.clone()).collect();
        Ok(Sorted { from: From::Files(merge, self.spills, paths), peeked: None })
    }
}

enum From<E: Env, const N: usize> {
    Memory(Held<N>, Option<Charge>),
    Files(Merge<E, N>, Spills<E>, Vec<PathBuf>),
}

/// Sorted entries, given out once.
pub(crate) struct Sorted<E: Env, const N: usize> {
    from: From<E, N>,
    peeked: Option<[u8; N]>,
}

impl<E: Env, const N: usize> Sorted<E, N> {
    /// The next entry. Files go with the last one.
    pub(crate) async fn next(&mut self) -> Result<Option<[u8; N]>, PassError> {
        if let Some(entry) = self.peeked.take() {
            return Ok(Some(entry));
        }
        match &mut self.from {
            From::Memory(held, charge) => {
                let next = held.next();
                if next.is_none() {
                    held.entries = Vec::new();
                    *charge = None;
                }
                Ok(next)
            }
            From::Files(merge, spills, paths) => {
                let next = merge.next().await?.map(|(entry, _)| entry);
                if next.is_none() {
                    for path in paths.drain(..) {
                        spills.env.disk().remove_file(&path).await?;
                    }
                }
                Ok(next)
            }
        }
    }

    /// The next entry, which stays.
    pub(crate) async fn peek(&mut self) -> Result<Option<[u8; N]>, PassError> {
        if self.peeked.is_none() {
            self.peeked = self.next().await?;
        }
        Ok(self.peeked)
    }
}

/// The merge of sorted streams: of equal entries, that of the earlier stream first.
pub(crate) struct Merge<E: Env, const N: usize> {
    env: E,
    readers: Vec<BlockReader<E>>,
    heap: BinaryHeap<Reverse<([u8; N], usize)>>,
    given: u64,
}

impl<E: Env, const N: usize> Merge<E, N> {
    async fn begin(env: &E, runs: &[RunFile<E>]) -> Result<Merge<E, N>, PassError> {
        let reader = |run: &RunFile<E>| {
            BlockReader::new(env, run.file.clone(), run.extent, Group::Compaction)
        };
        Merge::of(env, runs.iter().map(reader).collect()).await
    }

    /// Merges `readers`, at most [`FAN_IN`].
    pub(crate) async fn of(
        env: &E,
        mut readers: Vec<BlockReader<E>>,
    ) -> Result<Merge<E, N>, PassError> {
        assert!(readers.len() <= FAN_IN, "{} streams are merged at once", readers.len());
        let mut heap = BinaryHeap::with_capacity(readers.len());
        for (number, reader) in readers.iter_mut().enumerate() {
            if let Some(entry) = reader.next::<N>().await? {
                heap.push(Reverse((entry, number)));
            }
        }
        Ok(Merge { env: env.clone(), readers, heap, given: 0 })
    }

    /// The next entry and the number of its stream.
    pub(crate) async fn next(&mut self) -> Result<Option<([u8; N], usize)>, PassError> {
        let Some(mut least) = self.heap.peek_mut() else { return Ok(None) };
        let Reverse((entry, number)) = *least;
        match self.readers[number].next::<N>().await? {
            Some(next) => *least = Reverse((next, number)),
            None => {
                PeekMut::pop(least);
            }
        }
        self.given += 1;
        if self.given.is_multiple_of(PER_TURN) {
            self.env.yield_if_needed().await;
        }
        Ok(Some((entry, number)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use env::std_world::StdEnv;

    /// Sorts `count` entries with `sort_bytes` of memory.
    fn sorted(count: u32, sort_bytes: usize) -> (Vec<u32>, usize, usize) {
        let dir = tempfile::tempdir().unwrap();
        let env = StdEnv::new(dir.path(), 8 << 20);
        env.block_on(async {
            let spills = Spills::new(&env, Path::new(""), sort_bytes);
            let mut sorter: Sorter<StdEnv, 4> = Sorter::new(&spills);
            for n in 0..count {
                sorter.push(n.wrapping_mul(2_654_435_761).to_be_bytes()).await.unwrap();
            }
            let mut sorted = sorter.finish().await.unwrap();
            let files = std::fs::read_dir(dir.path()).unwrap().count();
            let mut found = Vec::new();
            while let Some(entry) = sorted.next().await.unwrap() {
                found.push(u32::from_be_bytes(entry));
            }
            let left = std::fs::read_dir(dir.path()).unwrap().count();
            (found, files, left)
        })
    }

    #[test]
    fn any_number_is_sorted_in_little_memory() {
        for (count, sort_bytes, spilled) in
            [(0, 1024, 0), (10, 1024, 0), (1_000, 1024, 4), (50_000, 400, 59)]
        {
            let (found, files, left) = sorted(count, sort_bytes);
            let mut want: Vec<u32> = (0..count).map(|n| n.wrapping_mul(2_654_435_761)).collect();
            want.sort_unstable();
            assert_eq!(found, want, "{count}");
            assert!(files.abs_diff(spilled) <= 1 && left == 0, "{files} files of {count}");
        }
    }
}
