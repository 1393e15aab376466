//! Reading a key index.

use std::fmt;
use std::path::Path;

use buf::{OverBudget, PAGE};
use env::{Disk, Env, File, Group, IoFailure, OpenMode};

use super::{BlockReader, KeyIndexHeader};

/// A key index could not be opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyIndexError {
    /// The disk failed.
    #[error(transparent)]
    Io(#[from] IoFailure),
    /// No memory for its header.
    #[error(transparent)]
    OverBudget(#[from] OverBudget),
}

/// An open key index.
pub struct KeyIndex<E: Env> {
    env: E,
    file: <E::Disk as Disk>::File,
    group: Group,
    header: KeyIndexHeader,
}

impl<E: Env> KeyIndex<E> {
    /// Opens the file at `path`; `None` if there is none, or its header is not one.
    pub async fn open(
        env: &E,
        path: &Path,
        group: Group,
    ) -> Result<Option<KeyIndex<E>>, KeyIndexError> {
        let file = match env.disk().open(path, OpenMode::existing().direct()).await {
            Ok(file) => file,
            Err(failure) if failure.kind == std::io::ErrorKind::NotFound => return Ok(None),
            Err(failure) => return Err(failure.into()),
        };
        let buffer = env.pool().buffer(PAGE)?;
        let (read, buffer) = file.read_at(buffer, PAGE, 0, group).await;
        let Some(header) = KeyIndexHeader::decode(&buffer.as_slice()[..read?]) else {
            return Ok(None);
        };
        Ok(Some(KeyIndex { env: env.clone(), file, group, header }))
    }

    /// What its first page says.
    #[must_use]
    pub fn header(&self) -> &KeyIndexHeader {
        &self.header
    }

    /// The entries ([`KeyEntry`](super::KeyEntry)), by hash.
    #[must_use]
    pub fn entries(&self) -> BlockReader<E> {
        BlockReader::new(&self.env, self.file.clone(), self.header.entries, self.group)
    }

    /// The notes ([`Note`](super::Note)), by offset.
    #[must_use]
    pub fn notes(&self) -> BlockReader<E> {
        BlockReader::new(&self.env, self.file.clone(), self.header.notes, self.group)
    }

    /// The steps of transactions ([`TransactionEvent`](super::TransactionEvent)), by offset.
    #[must_use]
    pub fn events(&self) -> BlockReader<E> {
        BlockReader::new(&self.env, self.file.clone(), self.header.events, self.group)
    }
}

impl<E: Env> fmt::Debug for KeyIndex<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyIndex").field("header", &self.header).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::{
        KeyEntry, KeyFacts, KeyIndexWriter, Note, TransactionEvent, TransactionStep,
    };
    use env::std_world::StdEnv;
    use record::Offset;

    #[test]
    fn what_was_written_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let env = StdEnv::new(dir.path(), 1 << 20);
        let path = Path::new("k");
        let entry = |n: u32| {
            let mut hash = [0; 16];
            hash[..4].copy_from_slice(&n.to_be_bytes());
            KeyEntry { hash, delta: 100_000 - n, tombstone: n.is_multiple_of(3) }
        };
        let event = TransactionEvent {
            producer_id: 5,
            delta: 9,
            step: TransactionStep::Marker,
            horizon_ms: None,
        };
        env.block_on(async {
            assert!(KeyIndex::open(&env, path, Group::System).await.unwrap().is_none());
            let mut writer = KeyIndexWriter::create(&env, path, Group::System).await.unwrap();
            writer.event(event).await.unwrap();
            for n in 0..20_000 {
                writer.entry(entry(n)).await.unwrap();
            }
            writer.note(Note::new(3, true)).await.unwrap();
            let facts = KeyFacts { records: 20_001, ..KeyFacts::default() };
            let written = writer.finish(Offset::ZERO, [9; 16], facts).await.unwrap();
            let index = KeyIndex::open(&env, path, Group::System).await.unwrap().unwrap();
            assert_eq!(*index.header(), written);
            let mut entries = index.entries();
            for n in 0..20_000 {
                assert_eq!(entries.next().await.unwrap().map(KeyEntry::decode), Some(entry(n)));
            }
            assert_eq!(entries.next::<{ KeyEntry::LEN }>().await, Ok(None));
            let note = index.notes().next().await.unwrap().map(Note::decode);
            assert_eq!(note, Some(Note::new(3, true)));
            let found = index.events().next().await.unwrap().map(TransactionEvent::decode);
            assert_eq!(found, Some(event));
        });
        std::fs::write(dir.path().join("k"), [0; 5000]).unwrap();
        assert!(env.block_on(KeyIndex::open(&env, path, Group::System)).unwrap().is_none());
    }
}
