//! The merge of the key indexes of a pass: which records are superseded by a later segment.
//!
//! Streams in the order of the hashes, at most [`FAN_IN`] at a time; with more segments the winners
//! of each part are spilled and merged again. Only the superseded are kept, sorted by segment and
//! offset.

use env::{Disk, Env, Group};
use index::keys::{BlockReader, BlockWriter, Extent, KeyEntry, KeyIndex};

use crate::PassError;
use crate::spill::{FAN_IN, Merge, Sorted, Sorter, Spills};

/// Bytes of a superseded record: the number of its segment in the pass and its delta, both u32.
pub(crate) const LOSER_LEN: usize = 8;

/// Bytes of a winner: its hash, the number of its segment, its delta, its number in the key index.
const WINNER_LEN: usize = 28;

/// What a merge found.
pub(crate) struct Losers<E: Env> {
    /// How many records of each segment of the pass are superseded by a later segment.
    pub(crate) counts: Vec<u64>,
    /// All of them, by segment and delta.
    pub(crate) sorted: Sorted<E, LOSER_LEN>,
    /// All of them, by segment and number in its key index.
    pub(crate) numbers: Sorted<E, LOSER_LEN>,
}

struct Merging<E: Env> {
    losers: Sorter<E, LOSER_LEN>,
    numbers: Sorter<E, LOSER_LEN>,
    counts: Vec<u64>,
}

impl<E: Env> Merging<E> {
    async fn lose(&mut self, loser: [u8; WINNER_LEN]) -> Result<(), PassError> {
        let field = |at: usize| loser[at..at + 4].try_into().expect("four bytes");
        let (segment, delta, number) = (field(16), field(20), field(24));
        let segment = u32::from_be_bytes(segment);
        self.counts[usize::try_from(segment).expect("32 bits")] += 1;
        self.losers.push(crate::keys_out::loser(segment, u32::from_be_bytes(delta))).await?;
        self.numbers.push(crate::keys_out::loser(segment, u32::from_be_bytes(number))).await
    }

    /// One more entry of the stream; gives the winner of the hash before, when that is decided.
    async fn take(
        &mut self,
        best: &mut Option<[u8; WINNER_LEN]>,
        next: [u8; WINNER_LEN],
    ) -> Result<Option<[u8; WINNER_LEN]>, PassError> {
        let Some(old) = best.replace(next) else { return Ok(None) };
        if old[..16] != next[..16] {
            return Ok(Some(old));
        }
        // Within a hash the larger bytes are the later segment.
        let (winner, loser) = if old < next { (next, old) } else { (old, next) };
        *best = Some(winner);
        self.lose(loser).await?;
        Ok(None)
    }
}

/// Merges the key indexes of the segments of a pass, oldest first. `open` opens that of a segment.
pub(crate) async fn merge<E: Env>(
    spills: &Spills<E>,
    segments: usize,
    open: impl AsyncFn(usize) -> Result<KeyIndex<E>, PassError>,
) -> Result<Losers<E>, PassError> {
    let mut merging = Merging {
        losers: Sorter::new(spills),
        numbers: Sorter::new(spills),
        counts: vec![0; segments],
    };
    let mut parts = Vec::new();
    for first in (0..segments).step_by(FAN_IN) {
        let last = segments.min(first + FAN_IN);
        let mut readers = Vec::new();
        for number in first..last {
            readers.push(open(number).await?.entries());
        }
        let mut merge: Merge<E, { KeyEntry::LEN }> = Merge::of(&spills.env, readers).await?;
        // The winners of the only part are of no use.
        let mut out = if segments <= FAN_IN { None } else { Some(Part::begin(spills).await?) };
        let mut best = None;
        let mut given = vec![0_u32; last - first];
        while let Some((bytes, number)) = merge.next().await? {
            let winner = winner(KeyEntry::decode(bytes), first + number, given[number]);
            given[number] += 1;
            if let Some(decided) = merging.take(&mut best, winner).await? {
                put(&mut out, decided).await?;
            }
        }
        finish_part(&mut parts, out, best).await?;
    }
    while 1 < parts.len() {
        let last_level = parts.len() <= FAN_IN;
        let mut next_parts = Vec::new();
        while !parts.is_empty() {
            let now: Vec<Part<E>> = parts.drain(..parts.len().min(FAN_IN)).collect();
            let reader = |part: &Part<E>| {
                BlockReader::new(&spills.env, part.file.clone(), part.extent, Group::Compaction)
            };
            let readers = now.iter().map(reader).collect();
            let mut merge: Merge<E, WINNER_LEN> = Merge::of(&spills.env, readers).await?;
            let mut out = if last_level { None } else { Some(Part::begin(spills).await?) };
            let mut best = None;
            while let Some((entry, _)) = merge.next().await? {
                if let Some(decided) = merging.take(&mut best, entry).await? {
                    put(&mut out, decided).await?;
                }
            }
            finish_part(&mut next_parts, out, best).await?;
            for part in now {
                spills.env.disk().remove_file(&part.path).await?;
            }
        }
        parts = next_parts;
    }
    let Merging { losers, numbers, counts } = merging;
    Ok(Losers { counts, sorted: losers.finish().await?, numbers: numbers.finish().await? })
}

fn winner(entry: KeyEntry, segment: usize, number: u32) -> [u8; WINNER_LEN] {
    let mut bytes = [0; WINNER_LEN];
    bytes[..16].copy_from_slice(&entry.hash);
    let segment = u32::try_from(segment).expect("a pass has fewer segments");
    bytes[16..20].copy_from_slice(&segment.to_be_bytes());
    bytes[20..24].copy_from_slice(&entry.delta.to_be_bytes());
    bytes[24..].copy_from_slice(&number.to_be_bytes());
    bytes
}

/// Winners on disk.
struct Part<E: Env> {
    file: <E::Disk as Disk>::File,
    path: std::path::PathBuf,
    extent: Extent,
}

/// A part that is being written.
struct OpenPart<E: Env> {
    file: <E::Disk as Disk>::File,
    path: std::path::PathBuf,
    writer: BlockWriter<E>,
}

impl<E: Env> Part<E> {
    async fn begin(spills: &Spills<E>) -> Result<OpenPart<E>, PassError> {
        let (file, path) = spills.file().await?;
        let salt = spills.env.random();
        let extent = Extent { start: 0, entries: 0, entry_len: WINNER_LEN, salt };
        let writer = BlockWriter::new(&spills.env, file.clone(), extent, Group::Compaction);
        Ok(OpenPart { file, path, writer })
    }
}

async fn put<E: Env>(
    out: &mut Option<OpenPart<E>>,
    winner: [u8; WINNER_LEN],
) -> Result<(), PassError> {
    if let Some(part) = out {
        part.writer.push(&winner).await?;
    }
    Ok(())
}

async fn finish_part<E: Env>(
    parts: &mut Vec<Part<E>>,
    mut out: Option<OpenPart<E>>,
    best: Option<[u8; WINNER_LEN]>,
) -> Result<(), PassError> {
    if let Some(winner) = best {
        put(&mut out, winner).await?;
    }
    if let Some(OpenPart { file, path, writer }) = out {
        parts.push(Part { file, path, extent: writer.finish().await? });
    }
    Ok(())
}
