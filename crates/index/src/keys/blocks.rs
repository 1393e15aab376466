//! Sorted entries of one length in checksummed blocks: written and read as streams, one block in
//! memory.
//!
//! The form is described in `docs/design/format.md`, part 4.2.

use std::fmt;

use buf::{Buffer, OverBudget, PAGE};
use env::{Disk, Env, File, Group, IoFailure};

/// Most bytes of one block, a whole number of pages.
pub const BLOCK_BYTES: usize = 64 << 10;

/// Checksum and length before the entries of a block.
const HEAD_LEN: usize = 8;

/// Blocks could not be written or read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BlockError {
    /// The disk failed.
    #[error(transparent)]
    Io(#[from] IoFailure),
    /// No memory for a block.
    #[error(transparent)]
    OverBudget(#[from] OverBudget),
    /// A block is not the one that was written there.
    #[error("block {number} is damaged")]
    Damaged {
        /// Its number, from 0.
        number: u64,
    },
}

/// Where a run of blocks lies in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// Position of the first block, a multiple of a page.
    pub start: u64,
    /// Number of entries.
    pub entries: u64,
    /// Bytes of one entry.
    pub entry_len: usize,
    /// Goes into every checksum, so that a block of another run is not taken for one of this.
    pub salt: u64,
}

impl Extent {
    fn entries_per_block(&self) -> u64 {
        ((BLOCK_BYTES - HEAD_LEN) / self.entry_len) as u64
    }

    /// Entries of a block.
    fn entries_in(&self, number: u64) -> usize {
        let before = number.saturating_mul(self.entries_per_block());
        let left = self.entries.saturating_sub(before).min(self.entries_per_block());
        usize::try_from(left).expect("at most a block")
    }

    /// Position behind the last block.
    #[must_use]
    pub fn end(&self) -> u64 {
        let full = self.entries / self.entries_per_block();
        let rest = self.entries_in(full);
        let rest_bytes = if rest == 0 { 0 } else { block_len(rest * self.entry_len) };
        self.start + full * BLOCK_BYTES as u64 + rest_bytes as u64
    }
}

/// Bytes of a block with `used` bytes of entries, in whole pages.
fn block_len(used: usize) -> usize {
    (HEAD_LEN + used).div_ceil(PAGE) * PAGE
}

fn checksum(salt: u64, number: u64, content: &[u8]) -> u32 {
    let crc = crc32c::crc32c(&salt.to_be_bytes());
    let crc = crc32c::crc32c_append(crc, &number.to_be_bytes());
    crc32c::crc32c_append(crc, content)
}

type FileOf<E> = <<E as Env>::Disk as Disk>::File;

/// Writes entries into blocks, one after the other.
pub struct BlockWriter<E: Env> {
    env: E,
    file: FileOf<E>,
    group: Group,
    extent: Extent,
    number: u64,
    used: usize,
    buffer: Option<Buffer>,
}

impl<E: Env> BlockWriter<E> {
    /// Begins a run at `start`, a multiple of a page, with entries of `entry_len` bytes.
    #[must_use]
    pub fn new(env: &E, file: FileOf<E>, extent: Extent, group: Group) -> BlockWriter<E> {
        let extent = Extent { entries: 0, ..extent };
        BlockWriter { env: env.clone(), file, group, extent, number: 0, used: 0, buffer: None }
    }

    /// Entries so far.
    #[must_use]
    pub fn entries(&self) -> u64 {
        self.extent.entries
    }

    /// Appends one entry.
    ///
    /// # Panics
    /// If it has another length than the run's entries.
    pub async fn push(&mut self, entry: &[u8]) -> Result<(), BlockError> {
        assert_eq!(entry.len(), self.extent.entry_len, "an entry of another run");
        let buffer = match &mut self.buffer {
            Some(buffer) => buffer,
            none => none.insert(self.env.pool().buffer(BLOCK_BYTES)?),
        };
        let at = HEAD_LEN + self.used;
        buffer.as_mut_slice()[at..at + entry.len()].copy_from_slice(entry);
        self.used += entry.len();
        self.extent.entries += 1;
        if BLOCK_BYTES < HEAD_LEN + self.used + entry.len() {
            self.write_block().await?;
        }
        Ok(())
    }

    async fn write_block(&mut self) -> Result<(), BlockError> {
        let Some(mut buffer) = self.buffer.take() else { return Ok(()) };
        let len = block_len(self.used);
        let bytes = buffer.as_mut_slice();
        bytes[HEAD_LEN + self.used..len].fill(0);
        let used = u32::try_from(self.used).expect("at most a block");
        bytes[4..HEAD_LEN].copy_from_slice(&used.to_be_bytes());
        let content = &bytes[4..HEAD_LEN + self.used];
        let crc = checksum(self.extent.salt, self.number, content);
        bytes[..4].copy_from_slice(&crc.to_be_bytes());
        let position = self.extent.start + self.number * BLOCK_BYTES as u64;
        self.file.write_at(buffer.seal(len), position, self.group).await?;
        self.number += 1;
        self.used = 0;
        self.env.yield_if_needed().await;
        Ok(())
    }

    /// Writes the last block; nothing is flushed.
    pub async fn finish(mut self) -> Result<Extent, BlockError> {
        if 0 < self.used {
            self.write_block().await?;
        }
        Ok(self.extent)
    }
}

impl<E: Env> fmt::Debug for BlockWriter<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BlockWriter").field("extent", &self.extent).finish_non_exhaustive()
    }
}

/// Reads entries from blocks, one after the other.
pub struct BlockReader<E: Env> {
    env: E,
    file: FileOf<E>,
    group: Group,
    extent: Extent,
    next: u64,
    /// The block that holds `next` or the entry before, and its number.
    block: Option<(u64, Buffer)>,
}

impl<E: Env> BlockReader<E> {
    /// Begins at the first entry.
    #[must_use]
    pub fn new(env: &E, file: FileOf<E>, extent: Extent, group: Group) -> BlockReader<E> {
        BlockReader { env: env.clone(), file, group, extent, next: 0, block: None }
    }

    /// Number of the next entry, from 0.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.next
    }

    /// The next entry; `None` behind the last one.
    ///
    /// # Panics
    /// If entries do not have `N` bytes.
    pub async fn next<const N: usize>(&mut self) -> Result<Option<[u8; N]>, BlockError> {
        assert_eq!(N, self.extent.entry_len, "an entry of another run");
        if self.extent.entries <= self.next {
            self.block = None;
            return Ok(None);
        }
        let per_block = self.extent.entries_per_block();
        let (number, place) = (self.next / per_block, self.next % per_block);
        if self.block.as_ref().is_none_or(|(loaded, _)| *loaded != number) {
            self.load(number).await?;
        }
        let (_, buffer) = self.block.as_ref().expect("it was loaded");
        let at = HEAD_LEN + usize::try_from(place).expect("within a block") * N;
        self.next += 1;
        Ok(Some(buffer.as_slice()[at..at + N].try_into().expect("N bytes")))
    }

    async fn load(&mut self, number: u64) -> Result<(), BlockError> {
        let used = self.extent.entries_in(number) * self.extent.entry_len;
        let len = block_len(used);
        let buffer = match self.block.take() {
            Some((_, buffer)) => buffer,
            None => self.env.pool().buffer(BLOCK_BYTES)?,
        };
        let position = self.extent.start + number * BLOCK_BYTES as u64;
        let (read, buffer) = self.file.read_at(buffer, len, position, self.group).await;
        let bytes = &buffer.as_slice()[..read?];
        let right = bytes.len() == len
            && bytes[4..8] == u32::try_from(used).expect("at most a block").to_be_bytes()
            && bytes[..4]
                == checksum(self.extent.salt, number, &bytes[4..HEAD_LEN + used]).to_be_bytes();
        if !right {
            return Err(BlockError::Damaged { number });
        }
        self.block = Some((number, buffer));
        self.env.yield_if_needed().await;
        Ok(())
    }
}

impl<E: Env> fmt::Debug for BlockReader<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("BlockReader");
        debug.field("extent", &self.extent).field("next", &self.next).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use env::OpenMode;
    use env::std_world::StdEnv;
    use std::path::Path;

    /// Writes `count` entries of three bytes and reads them with `salt`, one bit of the file
    /// flipped at `flip`.
    fn round_trip(count: u32, salt: u64, flip: Option<usize>) -> Result<Vec<u32>, BlockError> {
        let dir = tempfile::tempdir().unwrap();
        let world = StdEnv::new(dir.path(), 2 * BLOCK_BYTES);
        world.block_on(async {
            let file = world.disk().open(Path::new("f"), OpenMode::create()).await.unwrap();
            let extent = Extent { start: 4096, entries: 0, entry_len: 3, salt: 7 };
            let mut writer = BlockWriter::new(&world, file.clone(), extent, Group::Compaction);
            for n in 0..count {
                writer.push(&n.to_be_bytes()[1..]).await?;
            }
            let extent = writer.finish().await?;
            assert_eq!(file.len().await?, if count == 0 { 0 } else { extent.end() });
            if let Some(at) = flip {
                let path = dir.path().join("f");
                let mut bytes = std::fs::read(&path).unwrap();
                bytes[4096 + at] ^= 1;
                std::fs::write(&path, bytes).unwrap();
            }
            let extent = Extent { salt, ..extent };
            let mut reader = BlockReader::new(&world, file, extent, Group::Compaction);
            let mut found = Vec::new();
            while let Some([a, b, c]) = reader.next::<3>().await? {
                found.push(u32::from_be_bytes([0, a, b, c]));
            }
            Ok(found)
        })
    }

    #[test]
    fn what_was_written_is_read_in_two_blocks_of_memory() {
        let per_block = u32::try_from((BLOCK_BYTES - HEAD_LEN) / 3).unwrap();
        for count in [0, 1, per_block - 1, per_block, per_block + 1, 3 * per_block + 5] {
            assert_eq!(round_trip(count, 7, None), Ok((0..count).collect()), "{count}");
        }
    }

    #[test]
    fn another_run_and_a_flipped_bit_are_found() {
        assert_eq!(round_trip(10, 8, None), Err(BlockError::Damaged { number: 0 }));
        for at in [0, 5, 8, 37] {
            assert_eq!(round_trip(10, 7, Some(at)), Err(BlockError::Damaged { number: 0 }), "{at}");
        }
        let second = BLOCK_BYTES + 9;
        assert_eq!(round_trip(30_000, 7, Some(second)), Err(BlockError::Damaged { number: 1 }));
    }
}
