//! The key index of a file that is being written, made of those of the segments that it replaces:
//! what is copied need not be read again.

use std::path::PathBuf;

use env::{Disk, Env, Group};
use index::keys::{
    BlockReader, BlockWriter, Extent, KeyEntry, KeyFacts, KeyIndex, KeyIndexWriter, LogIdentity,
    Note, TransactionEvent, TransactionStep,
};
use record::{Header, Offset};
use segment::{SegmentFile, part_path};

use crate::PassError;
use crate::merge::LOSER_LEN;
use crate::spill::{FAN_IN, Merge, Sorted, Sorter, Spills};
use crate::transactions::Open;

/// A key index that grows with its file. It is given up if the file does not hold all that stays of
/// its sources, or if tombstones went: then it is built from the file when it is needed.
pub(crate) struct KeysOut<E: Env> {
    spills: Spills<E>,
    base: Offset,
    writer: KeyIndexWriter<E>,
    notes: Sorter<E, { Note::LEN }>,
    facts: KeyFacts,
    open: Open,
}

impl<E: Env> KeysOut<E> {
    /// For the file that begins at `base`.
    pub(crate) async fn create(
        spills: &Spills<E>,
        dir: &std::path::Path,
        base: Offset,
    ) -> Result<KeysOut<E>, PassError> {
        let path = part_path(dir, base, SegmentFile::Keys);
        let writer = KeyIndexWriter::create(&spills.env, &path, Group::Compaction).await?;
        let facts =
            KeyFacts { first_timestamp_ms: -1, largest_timestamp_ms: -1, ..KeyFacts::default() };
        let (spills, notes) = (spills.clone(), Sorter::new(spills));
        Ok(KeysOut { spills, base, writer, notes, facts, open: Open::default() })
    }

    /// A batch was appended at `position`. `tombstones` are the offsets of its records without a
    /// value.
    pub(crate) async fn batch(
        &mut self,
        header: &Header,
        position: u64,
        tombstones: impl Iterator<Item = Offset>,
    ) -> Result<(), PassError> {
        let facts = &mut self.facts;
        if facts.batches == 0 {
            facts.log = LogIdentity { first_crc: header.crc, ..LogIdentity::default() };
            facts.first_timestamp_ms = header.max_timestamp_ms;
        }
        facts.log.len_bytes = position + header.len as u64;
        facts.log.last_position = position;
        facts.log.last_crc = header.crc;
        facts.batches += 1;
        facts.empty_batches += u64::from(header.records == 0);
        facts.largest_timestamp_ms = facts.largest_timestamp_ms.max(header.max_timestamp_ms);
        if !header.is_control() {
            facts.records += u64::try_from(header.records).unwrap_or(0);
        }
        let mut has_tombstone = false;
        for offset in tombstones {
            has_tombstone = true;
            self.notes.push(Note::new(self.delta(offset), true).encode()).await?;
        }
        if has_tombstone {
            let facts = &mut self.facts;
            match header.delete_horizon_ms() {
                None => facts.undated_batches += 1,
                Some(at) => {
                    let earliest_ms = facts.earliest_horizon_ms.unwrap_or(i64::MAX);
                    facts.earliest_horizon_ms = Some(earliest_ms.min(at));
                }
            }
        }
        if header.is_transactional() {
            let step = if header.is_control() {
                self.open.marker(header.producer_id);
                TransactionStep::Marker
            } else if self.open.data(header.producer_id) {
                TransactionStep::Data
            } else {
                return Ok(());
            };
            let (producer_id, delta) = (header.producer_id, self.delta(header.last_offset()));
            let horizon_ms = header.delete_horizon_ms();
            let event = TransactionEvent { producer_id, delta, step, horizon_ms };
            self.writer.event(event).await?;
        }
        Ok(())
    }

    fn delta(&self, offset: Offset) -> u32 {
        u32::try_from(offset.since(self.base)).expect("a file spans 31 bits of offsets")
    }

    /// Writes the entries that stay of `sources`, key indexes of neighbouring segments with their
    /// numbers in the pass. `losers` are the numbers of the entries that do not.
    pub(crate) async fn finish(
        mut self,
        sources: Vec<(usize, KeyIndex<E>)>,
        losers: &mut Sorted<E, LOSER_LEN>,
    ) -> Result<(), PassError> {
        assert!(sources.len() <= FAN_IN, "a group has no more");
        let hash_key = sources[0].1.header().hash_key;
        let mut runs = Vec::new();
        for (number, index) in sources {
            runs.push(self.survivors(number, &index, losers).await?);
        }
        let reader = |run: &Run<E>| {
            BlockReader::new(&self.spills.env, run.file.clone(), run.extent, Group::Compaction)
        };
        let readers = runs.iter().map(reader).collect();
        let mut merge: Merge<E, { KeyEntry::LEN }> = Merge::of(&self.spills.env, readers).await?;
        while let Some((entry, _)) = merge.next().await? {
            self.writer.entry(KeyEntry::decode(entry)).await?;
        }
        drop(merge);
        for run in runs {
            self.spills.env.disk().remove_file(&run.path).await?;
        }
        let mut notes = self.notes.finish().await?;
        while let Some(note) = notes.next().await? {
            self.writer.note(Note::decode(note)).await?;
        }
        self.writer.finish(self.base, hash_key, self.facts).await?;
        Ok(())
    }

    /// The entries of one source that stay, with deltas of the new file.
    async fn survivors(
        &self,
        number: usize,
        index: &KeyIndex<E>,
        losers: &mut Sorted<E, LOSER_LEN>,
    ) -> Result<Run<E>, PassError> {
        let (file, path) = self.spills.file().await?;
        let extent = Extent {
            start: 0,
            entries: 0,
            entry_len: KeyEntry::LEN,
            salt: self.spills.env.random(),
        };
        let env = &self.spills.env;
        let mut writer = BlockWriter::new(env, file.clone(), extent, Group::Compaction);
        let shift = u32::try_from(index.header().base.since(self.base)).expect("one file");
        let number = u32::try_from(number).expect("a pass has fewer segments");
        let mut entries = index.entries();
        loop {
            let ordinal = u32::try_from(entries.position()).expect("a segment has fewer records");
            let Some(entry) = entries.next().await? else { break };
            let mine = loser(number, ordinal);
            while losers.peek().await?.is_some_and(|loser| loser < mine) {
                losers.next().await?;
            }
            if losers.peek().await? == Some(mine) {
                continue;
            }
            let entry = KeyEntry::decode(entry);
            let moved = KeyEntry { delta: entry.delta + shift, ..entry };
            writer.push(&moved.encode()).await?;
        }
        Ok(Run { file, path, extent: writer.finish().await? })
    }
}

/// Sorted entries on disk.
struct Run<E: Env> {
    file: <E::Disk as Disk>::File,
    path: PathBuf,
    extent: Extent,
}

/// A number of a segment and one of something in it, so that they sort.
pub(crate) fn loser(segment: u32, number: u32) -> [u8; LOSER_LEN] {
    let mut bytes = [0; LOSER_LEN];
    bytes[..4].copy_from_slice(&segment.to_be_bytes());
    bytes[4..].copy_from_slice(&number.to_be_bytes());
    bytes
}
