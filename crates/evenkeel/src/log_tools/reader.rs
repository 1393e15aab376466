//! A file read from front to back through a window that grows to what is asked for.

use std::path::Path;

use env::std_world::{StdEnv, StdFile};
use env::{Disk, Env, File, Group, IoFailure, OpenMode};

/// What is read at a time, in bytes.
const PIECE_BYTES: usize = 1 << 20;

/// A part of a file in memory. Its length is at most that of the file.
#[derive(Debug)]
pub(super) struct Reader {
    env: StdEnv,
    file: StdFile,
    len: u64,
    start: u64,
    window: Vec<u8>,
}

impl Reader {
    /// Opens `path`, relative to the data directory.
    pub(super) async fn open(env: &StdEnv, path: &Path) -> Result<Reader, IoFailure> {
        let file = env.disk().open(path, OpenMode::existing()).await?;
        let len = file.len().await?;
        Ok(Reader { env: env.clone(), file, len, start: 0, window: Vec::new() })
    }

    /// Length of the file when it was opened, in bytes.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// The bytes `[position, position + len)`, fewer only at the end of the file. What lies before
    /// `position` is forgotten when more must be read.
    pub(super) async fn at(&mut self, position: u64, len: usize) -> Result<&[u8], IoFailure> {
        let wanted = self.len.saturating_sub(position).min(len as u64);
        let end = self.start + self.window.len() as u64;
        if position < self.start || end < position + wanted {
            self.load(position, wanted).await?;
        }
        let from = usize::try_from(position - self.start).unwrap_or(usize::MAX);
        let from = from.min(self.window.len());
        let to = from.saturating_add(len).min(self.window.len());
        Ok(&self.window[from..to])
    }

    async fn load(&mut self, position: u64, wanted: u64) -> Result<(), IoFailure> {
        let end = self.start + self.window.len() as u64;
        if self.start <= position && position < end {
            let gone = usize::try_from(position - self.start).unwrap_or(usize::MAX);
            self.window.drain(..gone);
        } else {
            self.window.clear();
        }
        self.start = position;
        while (self.window.len() as u64) < wanted {
            let at = position + self.window.len() as u64;
            let buffer = self.env.pool().buffer(PIECE_BYTES).map_err(|_| {
                IoFailure::of_kind("read", Path::new(""), std::io::ErrorKind::OutOfMemory)
            })?;
            let (read, buffer) = self.file.read_at(buffer, PIECE_BYTES, at, Group::System).await;
            let read = read?;
            if read == 0 {
                break;
            }
            self.window.extend_from_slice(&buffer.as_slice()[..read]);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_range_is_read_and_the_end_is_the_end() {
        let dir = tempfile::tempdir().unwrap();
        let content: Vec<u8> = (0..3_000_000_u32).map(|n| n.to_le_bytes()[1]).collect();
        std::fs::write(dir.path().join("f"), &content).unwrap();
        let env = StdEnv::new(dir.path(), 4 << 20);
        env.block_on(async {
            let mut reader = Reader::open(&env, Path::new("f")).await.unwrap();
            assert_eq!(reader.len(), 3_000_000);
            let mut check = async |position: usize, len: usize| {
                let found = reader.at(position as u64, len).await.unwrap().to_vec();
                let end = (position + len).min(content.len());
                let start = position.min(content.len());
                assert_eq!(found, &content[start..end.max(start)], "{position}+{len}");
            };
            check(0, 100).await;
            check(50, 2_000_000).await;
            check(1_900_000, 200_000).await;
            check(10, 5).await;
            check(2_999_990, 100).await;
            check(3_000_000, 1).await;
            check(9_000_000, 1).await;
        });
    }
}
