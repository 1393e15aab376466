//! Building the key index of a sealed segment: one walk over its batches, then a merge of what was
//! sorted.

use std::path::Path;

use buf::Charge;
use env::{Disk, Env, Group};
use index::keys::{
    KeyEntry, KeyFacts, KeyHasher, KeyIndex, KeyIndexHeader, KeyIndexWriter, LogIdentity, Note,
    TransactionEvent, TransactionStep,
};
use record::codec::decompress_into;
use record::layout::HEADER_LEN;
use record::{Codec, Header, Records, crc_is_right};
use segment::{Flaw, SegmentFile, SegmentView, segment_path};

use crate::PassError;
use crate::source::Source;
use crate::spill::{Sorter, Spills};
use crate::transactions::{AbortedHere, Open};

/// Records between two yields: some tens of microseconds.
const RECORDS_PER_TURN: usize = 128;

/// Most bytes of the records of one batch, decompressed. A pass takes its part of the pool.
const PAYLOAD_BYTES_MAX: usize = 128 << 20;

/// Memory for the records of one batch, counted by the pool and used again.
#[derive(Debug, Default)]
pub(crate) struct Payload {
    bytes: Vec<u8>,
    charge: Option<Charge>,
}

/// The records of a batch cannot be had.
pub(crate) enum PayloadError {
    /// They are damaged.
    Damaged,
    /// They do not fit into the pass's memory.
    Pass(PassError),
}

impl Payload {
    /// The records of `batch`, decompressed within what the pool gives.
    pub(crate) fn of<'a, E: Env>(
        &'a mut self,
        env: &E,
        header: &Header,
        batch: &'a [u8],
    ) -> Result<&'a [u8], PayloadError> {
        let codec = header.codec().map_err(|_| PayloadError::Damaged)?;
        if codec == Codec::None {
            return Ok(&batch[HEADER_LEN..]);
        }
        let mut room = (header.len * 8).max(64 << 10);
        loop {
            room = room.min(PAYLOAD_BYTES_MAX);
            if self.charge.as_ref().is_none_or(|charge| charge.bytes() < room) {
                (self.bytes, self.charge) = (Vec::new(), None);
                let charge = env.pool().charge(room);
                self.charge = Some(charge.map_err(|over| PayloadError::Pass(over.into()))?);
            }
            match decompress_into(codec, &batch[HEADER_LEN..], room, &mut self.bytes) {
                Ok(()) => return Ok(&self.bytes),
                Err(record::DecompressError::TooLarge { .. }) if room < PAYLOAD_BYTES_MAX => {
                    room *= 4;
                }
                Err(_) => return Err(PayloadError::Damaged),
            }
        }
    }
}

/// The key index of `view`, if the one beside it is right: of this content and under this key.
pub(crate) async fn existing<E: Env>(
    env: &E,
    dir: &Path,
    view: SegmentView,
    hash_key: &[u8; 16],
) -> Result<Option<KeyIndex<E>>, PassError> {
    let path = segment_path(dir, view.base, SegmentFile::Keys);
    let Some(index) = KeyIndex::open(env, &path, Group::Compaction).await? else {
        return Ok(None);
    };
    let header = index.header();
    let fits = header.base == view.base && header.hash_key == *hash_key;
    if !fits || header.facts.log.len_bytes != view.len_bytes {
        return Ok(None);
    }
    let log = header.facts.log;
    if 0 < view.len_bytes {
        for (position, crc) in [(0, log.first_crc), (log.last_position, log.last_crc)] {
            if view.len_bytes <= position {
                return Ok(None);
            }
            let mut source = Source::open(env, dir, view, position).await?;
            match source.next().await {
                Ok(Some((_, header))) if header.crc == crc => {}
                Ok(_) | Err(PassError::Corrupt(_)) => return Ok(None),
                Err(error) => return Err(error),
            }
        }
    }
    Ok(Some(index))
}

/// A walk over one segment.
struct Walk<E: Env> {
    env: E,
    view: SegmentView,
    hasher: KeyHasher,
    entries: Sorter<E, { KeyEntry::LEN }>,
    notes: Sorter<E, { Note::LEN }>,
    writer: KeyIndexWriter<E>,
    facts: KeyFacts,
    open: Open,
    payload: Payload,
}

/// Builds the key index of `view`, all of which lies below the last stable offset, and puts it
/// beside the segment. Says how many bytes of the segment were read.
pub(crate) async fn build<E: Env>(
    spills: &Spills<E>,
    dir: &Path,
    view: SegmentView,
    hash_key: &[u8; 16],
    aborted: &AbortedHere,
) -> Result<u64, PassError> {
    let env = spills.env.clone();
    let (_, temporary) = spills.file().await?;
    let writer = KeyIndexWriter::create(&env, &temporary, Group::Compaction).await?;
    let facts =
        KeyFacts { first_timestamp_ms: -1, largest_timestamp_ms: -1, ..KeyFacts::default() };
    let mut walk = Walk {
        env: env.clone(),
        view,
        hasher: KeyHasher::new(hash_key),
        entries: Sorter::new(spills),
        notes: Sorter::new(spills),
        writer,
        facts,
        open: Open::default(),
        payload: Payload::default(),
    };
    let mut source = Source::open(&env, dir, view, 0).await?;
    while let Some((position, header)) = source.next().await? {
        walk.batch(&source, position, &header, aborted).await?;
        env.yield_if_needed().await;
    }
    walk.facts.log.len_bytes = view.len_bytes;
    let read_bytes = source.read_bytes;
    drop(source);
    walk.finish(hash_key).await?;
    let path = segment_path(dir, view.base, SegmentFile::Keys);
    env.disk().rename(&temporary, &path).await?;
    Ok(read_bytes)
}

impl<E: Env> Walk<E> {
    async fn batch(
        &mut self,
        source: &Source<E>,
        position: u64,
        header: &Header,
        aborted: &AbortedHere,
    ) -> Result<(), PassError> {
        let damaged = |what| source.corrupt(position, header.base_offset, what);
        if !crc_is_right(source.batch()) {
            return Err(damaged(Flaw::Checksum));
        }
        self.count(position, header);
        if header.is_control() {
            if header.is_transactional() {
                self.open.marker(header.producer_id);
                self.writer.event(self.event(header, TransactionStep::Marker)).await?;
            }
            return Ok(());
        }
        if header.is_transactional() && self.open.data(header.producer_id) {
            self.writer.event(self.event(header, TransactionStep::Data)).await?;
        }
        self.facts.records += u64::try_from(header.records).unwrap_or(0);
        if header.records <= 0 || aborted.of(header).is_some() {
            return Ok(());
        }
        let payload = match self.payload.of(&self.env, header, source.batch()) {
            Ok(payload) => payload,
            Err(PayloadError::Damaged) => return Err(damaged(Flaw::Records)),
            Err(PayloadError::Pass(error)) => return Err(error),
        };
        let mut has_tombstone = false;
        for (number, record) in Records::new(header, payload).enumerate() {
            let record = record.map_err(|_| damaged(Flaw::Records))?;
            let delta = u32::try_from(record.offset.since(self.view.base));
            let inside =
                header.base_offset <= record.offset && record.offset <= header.last_offset();
            let delta = delta.ok().filter(|_| inside).ok_or_else(|| damaged(Flaw::Order))?;
            match record.key {
                Some(key) => {
                    let (hash, tombstone) = (self.hasher.hash(key), record.is_tombstone());
                    has_tombstone |= tombstone;
                    self.entries.push(KeyEntry { hash, delta, tombstone }.encode()).await?;
                }
                None => self.notes.push(Note::new(delta, false).encode()).await?,
            }
            if number % RECORDS_PER_TURN == RECORDS_PER_TURN - 1 {
                self.env.yield_if_needed().await;
            }
        }
        if has_tombstone {
            self.date(header);
        }
        Ok(())
    }

    fn count(&mut self, position: u64, header: &Header) {
        let facts = &mut self.facts;
        if facts.batches == 0 {
            facts.log = LogIdentity { first_crc: header.crc, ..LogIdentity::default() };
            facts.first_timestamp_ms = header.max_timestamp_ms;
        }
        facts.log.last_position = position;
        facts.log.last_crc = header.crc;
        facts.batches += 1;
        facts.empty_batches += u64::from(header.records == 0);
        facts.largest_timestamp_ms = facts.largest_timestamp_ms.max(header.max_timestamp_ms);
    }

    /// Counts a batch with a tombstone.
    fn date(&mut self, header: &Header) {
        match header.delete_horizon_ms() {
            None => self.facts.undated_batches += 1,
            Some(horizon_ms) => {
                let earliest_ms = self.facts.earliest_horizon_ms.unwrap_or(i64::MAX);
                self.facts.earliest_horizon_ms = Some(earliest_ms.min(horizon_ms));
            }
        }
    }

    fn event(&self, header: &Header, step: TransactionStep) -> TransactionEvent {
        let delta = header.last_offset().since(self.view.base);
        TransactionEvent {
            producer_id: header.producer_id,
            delta: u32::try_from(delta).unwrap_or(u32::MAX >> 1),
            step,
            horizon_ms: header.delete_horizon_ms(),
        }
    }

    /// Writes the sections that are sorted: of each key the latest record is an entry, the others
    /// are dead.
    async fn finish(self, hash_key: &[u8; 16]) -> Result<KeyIndexHeader, PassError> {
        let Walk { view, entries, mut notes, mut writer, facts, payload, .. } = self;
        drop(payload);
        let mut sorted = entries.finish().await?;
        while let Some(entry) = sorted.next().await? {
            let entry = KeyEntry::decode(entry);
            let newer = sorted.peek().await?.map(KeyEntry::decode);
            if newer.is_some_and(|newer| newer.hash == entry.hash) {
                notes.push(Note::new(entry.delta, false).encode()).await?;
                continue;
            }
            writer.entry(entry).await?;
            if entry.tombstone {
                notes.push(Note::new(entry.delta, true).encode()).await?;
            }
        }
        drop(sorted);
        let mut sorted = notes.finish().await?;
        while let Some(note) = sorted.next().await? {
            writer.note(Note::decode(note)).await?;
        }
        Ok(writer.finish(view.base, *hash_key, facts).await?)
    }
}
