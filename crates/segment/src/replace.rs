//! Putting compacted files into the place of sealed segments.
//!
//! The order on disk, each step durable before the next; a crash between two leaves either the
//! originals or, from step 3 on, the replacements (`recover::leftovers` finishes what is begun):
//!
//! 1. the finished files get the ending `.cleaned`: worth nothing yet;
//! 2. those of each replacement get the ending `.swap`, the last replacement first: as long as the
//!    first one still has a `.cleaned` file none of them counts;
//! 3. with the first one they all count. Readers see them from here on;
//! 4. the originals whose names are not used again go;
//! 5. the replacements get their names.

use env::{Disk, Env, File, Group, IoFailure, OpenMode};
use index::Building;
use record::Offset;

use crate::aborted::Aborted;
use crate::layout::{self, Kind};
use crate::limits::INDEX_PIECE_BYTES;
use crate::log::{Log, State};
use crate::reader::is_missing;
use crate::segment::{Filed, Files, Segment};
use crate::truncate::remove_if_there;
use crate::{LogOptions, SegmentView, WriteError};

/// A file that is to take the place of segments. The caller has written and flushed its parts
/// under the names of [`part_path`](crate::part_path): batches, and what else it says.
#[derive(Clone, Debug)]
pub struct Replacement {
    /// Base offset, which will be its name: of the first one that of the first segment replaced.
    pub base: Offset,
    /// Bytes of batches.
    pub len_bytes: u64,
    /// Index entries of all batches, the last time entry included.
    pub building: Building,
    /// There is a part for the index of aborted transactions.
    pub has_transactions: bool,
    /// There is a part for the key index.
    pub has_keys: bool,
}

/// Segments were not replaced.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplaceError {
    /// They are not there as they were any more, or not settled: nothing changed. The parts are
    /// worth nothing.
    #[error("the segments have changed")]
    Changed,
    /// There was no room, and nothing changed, or the log is fenced: then opening it again finds
    /// the segments as they were, or replaced.
    #[error(transparent)]
    Write(#[from] WriteError),
}

/// The sealed segments of a log at one moment: what a replacement relies on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Structure {
    /// The sealed segments, oldest first.
    pub segments: Vec<SegmentView>,
    /// Where the active segment begins.
    pub active: Offset,
    /// How often the end of the log was cut since it was opened.
    pub truncations: u64,
}

impl<E: Env> Log<E> {
    /// The sealed segments. Cheap; the largest timestamps may not be known.
    #[must_use]
    pub fn structure(&self) -> Structure {
        let mut segments = self.segments();
        let active = segments.pop().map_or(Offset::ZERO, |active| active.base);
        let truncations = self.inner.state.borrow().truncations;
        Structure { segments, active, truncations }
    }

    /// The settings in use.
    #[must_use]
    pub fn options(&self) -> LogOptions {
        self.inner.state.borrow().options
    }

    /// Replaces `sources`, neighbouring sealed and flushed segments of `structure`, by `with`, at
    /// least one, in order. Appends, writes, flushes and reads go on meanwhile; a read sees the one
    /// or the other. When this returns `Ok` the replacement is durable. If the future is dropped
    /// the work goes on.
    ///
    /// # Panics
    /// If `sources` or `with` is empty, or `with` does not begin where `sources` do.
    pub async fn replace(
        &self,
        structure: &Structure,
        sources: Vec<Offset>,
        with: Vec<Replacement>,
        group: Group,
    ) -> Result<(), ReplaceError> {
        assert_eq!(sources.first().copied(), with.first().map(|first| first.base), "one begin");
        let (log, truncations) = (self.clone(), structure.truncations);
        let expected: Vec<SegmentView> = structure
            .segments
            .iter()
            .filter(|view| sources.contains(&view.base))
            .copied()
            .collect();
        assert!(!sources.is_empty() && expected.len() == sources.len(), "sources are sealed");
        self.to_its_end(group, async move {
            let _structure_turn = log.inner.structure_gate.enter().await;
            log.replace_held(&expected, truncations, with, group).await
        })
        .await
    }

    async fn replace_held(
        &self,
        sources: &[SegmentView],
        truncations: u64,
        with: Vec<Replacement>,
        group: Group,
    ) -> Result<(), ReplaceError> {
        {
            let state = self.inner.state.borrow();
            state.check_fence()?;
            if state.truncations != truncations || !state.holds(sources) {
                return Err(ReplaceError::Changed);
            }
        }
        let bases: Vec<Offset> = with.iter().map(|replacement| replacement.base).collect();
        let clean = self.make_cleaned(&with, group).await;
        clean.map_err(|failure| self.failed(failure))?;
        let swapped = self.swap_in(sources, with).await;
        // Which of the two is there is decided when the log is opened again.
        swapped.map_err(|failure| self.fence(failure))?;
        let named = self.give_names(sources, &bases).await;
        named.map_err(|failure| self.fence(failure))?;
        Ok(())
    }

    /// Step 1. A failure leaves files that are worth nothing.
    async fn make_cleaned(&self, with: &[Replacement], group: Group) -> Result<(), IoFailure> {
        let (disk, dir) = (self.inner.env.disk(), &self.inner.dir);
        for replacement in with {
            let Replacement { base, building, .. } = replacement;
            let offsets = building.offsets.encode(0, building.offsets.len());
            self.write_cleaned(*base, Kind::Index, &offsets, group).await?;
            let times = building.times.encode(0, building.times.len());
            self.write_cleaned(*base, Kind::TimeIndex, &times, group).await?;
            for kind in replacement.parts() {
                let part = layout::part_path(dir, *base, kind);
                disk.rename(&part, &layout::cleaned_path(dir, *base, kind)).await?;
            }
        }
        disk.sync_dir(dir).await
    }

    async fn write_cleaned(
        &self,
        base: Offset,
        kind: Kind,
        bytes: &[u8],
        group: Group,
    ) -> Result<(), IoFailure> {
        let env = &self.inner.env;
        let path = layout::cleaned_path(&self.inner.dir, base, kind);
        let file = env.disk().open(&path, OpenMode::create()).await?;
        file.set_len(0).await?;
        let mut position = 0;
        for part in bytes.chunks(INDEX_PIECE_BYTES) {
            let buffer = env.pool().buffer(part.len());
            let mut buffer = buffer
                .map_err(|_| IoFailure::of_kind("write", &path, std::io::ErrorKind::OutOfMemory))?;
            buffer.as_mut_slice()[..part.len()].copy_from_slice(part);
            file.write_at(buffer.seal(part.len()), position, group).await?;
            position += part.len() as u64;
            env.yield_if_needed().await;
        }
        file.sync(group).await
    }

    /// Steps 2 and 3.
    async fn swap_in(
        &self,
        sources: &[SegmentView],
        with: Vec<Replacement>,
    ) -> Result<(), IoFailure> {
        let (disk, dir) = (self.inner.env.disk(), &self.inner.dir);
        let mut files = Vec::new();
        for replacement in with.iter().rev() {
            let base = replacement.base;
            for kind in [Kind::Index, Kind::TimeIndex].into_iter().chain(replacement.parts()) {
                let from = layout::cleaned_path(dir, base, kind);
                disk.rename(&from, &layout::swap_path(dir, base, kind)).await?;
            }
            disk.sync_dir(dir).await?;
            let path = layout::swap_path(dir, base, Kind::Log);
            files.push(disk.open(&path, OpenMode::existing().direct()).await?);
        }
        files.reverse();

        self.inner.state.borrow_mut().switch(sources, with, files);
        Ok(())
    }

    /// Steps 4 and 5.
    async fn give_names(&self, sources: &[SegmentView], bases: &[Offset]) -> Result<(), IoFailure> {
        let (disk, dir) = (self.inner.env.disk(), &self.inner.dir);
        let sources = sources.iter().map(|source| source.base);
        let gone: Vec<Offset> = sources.filter(|base| !bases.contains(base)).collect();
        for base in bases {
            // What the replacement does not have must not stay from what was there.
            for kind in [Kind::TxnIndex, Kind::Keys] {
                if disk.stat(&layout::swap_path(dir, *base, kind)).await?.is_none() {
                    remove_if_there(&self.inner.env, &layout::path(dir, *base, kind)).await?;
                }
            }
        }
        self.remove_renamed(&gone).await?;
        for base in bases {
            for kind in Kind::ALL {
                let to = layout::path(dir, *base, kind);
                match disk.rename(&layout::swap_path(dir, *base, kind), &to).await {
                    Err(failure) if !is_missing(&failure) => return Err(failure),
                    _ => {}
                }
            }
        }
        disk.sync_dir(dir).await?;
        self.inner.state.borrow_mut().named(bases);
        Ok(())
    }
}

impl Replacement {
    /// What the caller wrote, the batches last.
    fn parts(&self) -> impl Iterator<Item = Kind> + use<> {
        let optional = [(self.has_transactions, Kind::TxnIndex), (self.has_keys, Kind::Keys)];
        let optional = optional.into_iter().filter_map(|(there, kind)| there.then_some(kind));
        optional.chain([Kind::Log])
    }
}

impl<F> State<F> {
    /// Whether these segments are there, sealed, flushed and as they were.
    fn holds(&self, sources: &[SegmentView]) -> bool {
        let active = self.active_base();
        let neighbours = sources.windows(2).all(|pair| pair[0].next == pair[1].base);
        neighbours
            && sources.iter().all(|view| {
                let settled = |segment: &Segment<F>| {
                    let same = segment.len == view.len_bytes && segment.broken.is_none();
                    let flushed = segment.base < self.flushed_below && !segment.is_unflushed();
                    same && flushed && segment.bad.is_empty() && segment.is_settled(false)
                };
                let next = (std::ops::Bound::Excluded(view.base), std::ops::Bound::Unbounded);
                let next = self.segments.range(next).next().map(|(base, _)| *base);
                view.base < active
                    && self.segments.get(&view.base).is_some_and(settled)
                    && next == Some(view.next)
            })
    }

    /// Step 3 in memory. The files have no names of their own yet, so their handles stay, and so do
    /// the index entries.
    fn switch(&mut self, sources: &[SegmentView], with: Vec<Replacement>, files: Vec<F>) {
        self.note_removal();
        let end = sources.last().map_or(Offset::ZERO, |last| last.next);
        let mut old = None;
        for source in sources {
            old = self.segments.remove(&source.base).or(old);
        }
        let created_ms = old.map_or(0, |segment| segment.created_ms);
        let nexts: Vec<Offset> = with.iter().skip(1).map(|r| r.base).chain([end]).collect();
        for ((replacement, next), file) in with.into_iter().zip(nexts).zip(files) {
            let Replacement { base, len_bytes, building, has_transactions, .. } = replacement;
            let mut segment = Segment::existing(base, next, len_bytes, len_bytes);
            segment.created_ms = created_ms;
            segment.largest_ms = Some(building.largest().map_or(-1, |most| most.timestamp_ms));
            segment.log_file.handle = Some(file);
            segment.log_file.pinned = true;
            segment.indexes.building = Some(building);
            segment.indexes.files = Files::Hold(Filed::default());
            segment.indexes.exist = true;
            // Without such a part there is no transactional batch.
            if has_transactions {
                segment.aborted = Aborted::found(len_bytes, next, true);
            }
            self.segments.insert(base, segment);
        }
    }

    /// After step 5: what is in memory can be found by name.
    fn named(&mut self, bases: &[Offset]) {
        for base in bases {
            if let Some(segment) = self.segments.get_mut(base) {
                segment.log_file.pinned = false;
                segment.indexes.building = None;
                segment.indexes.files = Files::Unread;
                if segment.aborted.exists {
                    // What was read of it under that name was the index of the originals.
                    segment.aborted = Aborted::found(segment.len, segment.next, true);
                }
            }
        }
    }
}
