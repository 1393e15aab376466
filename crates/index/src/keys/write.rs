//! Writing a key index: three sections in order, then the header.

use std::fmt;
use std::path::Path;

use buf::PAGE;
use env::{Disk, Env, File, Group, OpenMode};
use record::Offset;

use super::{
    BlockError, BlockWriter, Extent, KeyEntry, KeyFacts, KeyIndexHeader, Note, TransactionEvent,
};

/// Writes a key index: events, then entries, then notes. Nothing counts before
/// [`finish`](KeyIndexWriter::finish) wrote the header.
pub struct KeyIndexWriter<E: Env> {
    env: E,
    file: <E::Disk as Disk>::File,
    group: Group,
    blocks: Option<BlockWriter<E>>,
    /// The sections that are finished.
    done: Vec<Extent>,
    last_hash: Option<[u8; 16]>,
    last_note: Option<u32>,
}

/// Lengths of the entries, in order of the sections.
const SECTIONS: [usize; 3] = [TransactionEvent::LEN, KeyEntry::LEN, Note::LEN];

impl<E: Env> KeyIndexWriter<E> {
    /// Begins a new file at `path`, in place of one that may be there.
    pub async fn create(
        env: &E,
        path: &Path,
        group: Group,
    ) -> Result<KeyIndexWriter<E>, BlockError> {
        let file = env.disk().open(path, OpenMode::create().direct()).await?;
        file.set_len(0).await?;
        let (entry_len, salt) = (SECTIONS[0], env.random());
        let extent = Extent { start: PAGE as u64, entries: 0, entry_len, salt };
        let blocks = Some(BlockWriter::new(env, file.clone(), extent, group));
        let (env, done) = (env.clone(), Vec::new());
        Ok(KeyIndexWriter { env, file, group, blocks, done, last_hash: None, last_note: None })
    }

    /// Adds a step of a transaction. They come in order of their offsets.
    ///
    /// # Panics
    /// If entries or notes were added before.
    pub async fn event(&mut self, event: TransactionEvent) -> Result<(), BlockError> {
        self.section(0).await?.push(&event.encode()).await
    }

    /// Adds an entry. They come in order of their hashes.
    ///
    /// # Panics
    /// If the hash is not larger than the last one, or notes were added before.
    pub async fn entry(&mut self, entry: KeyEntry) -> Result<(), BlockError> {
        assert!(self.last_hash.is_none_or(|last| last < entry.hash), "entries are sorted");
        self.last_hash = Some(entry.hash);
        self.section(1).await?.push(&entry.encode()).await
    }

    /// Adds a note. They come in order of their offsets.
    ///
    /// # Panics
    /// If the offset is not larger than the last one.
    pub async fn note(&mut self, note: Note) -> Result<(), BlockError> {
        assert!(self.last_note.is_none_or(|last| last < note.delta), "notes are sorted");
        self.last_note = Some(note.delta);
        self.section(2).await?.push(&note.encode()).await
    }

    /// Goes on to the section with this number.
    async fn section(&mut self, number: usize) -> Result<&mut BlockWriter<E>, BlockError> {
        assert!(self.done.len() <= number, "sections come in order");
        while self.done.len() < number {
            let blocks = self.blocks.take().expect("a section is open");
            let extent = blocks.finish().await?;
            self.done.push(extent);
            let entry_len = SECTIONS[self.done.len()];
            let next = Extent { start: extent.end(), entries: 0, entry_len, salt: extent.salt };
            let file = self.file.clone();
            self.blocks = Some(BlockWriter::new(&self.env, file, next, self.group));
        }
        Ok(self.blocks.as_mut().expect("a section is open"))
    }

    /// Writes the header of the segment at `base` and flushes the file. Its name is not durable.
    pub async fn finish(
        mut self,
        base: Offset,
        hash_key: [u8; 16],
        facts: KeyFacts,
    ) -> Result<KeyIndexHeader, BlockError> {
        self.section(2).await?;
        let notes = self.blocks.take().expect("a section is open").finish().await?;
        let (events, entries) = (self.done[0], self.done[1]);
        let header = KeyIndexHeader { base, hash_key, facts, events, entries, notes };
        let mut buffer = self.env.pool().buffer(PAGE)?;
        buffer.as_mut_slice()[..PAGE].copy_from_slice(&header.encode());
        self.file.write_at(buffer.seal(PAGE), 0, self.group).await?;
        self.file.sync(self.group).await?;
        Ok(header)
    }
}

impl<E: Env> fmt::Debug for KeyIndexWriter<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyIndexWriter").field("done", &self.done).finish_non_exhaustive()
    }
}
