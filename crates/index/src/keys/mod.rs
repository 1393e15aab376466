//! The key index of one sealed segment: the file `.evenkeel-keys`.
//!
//! Which record of a segment is the latest of its key, by a keyed 128-bit hash of the key; which
//! records are dead on their own account; what happened to transactions. Derived state with
//! checksums: whoever finds it missing or wrong builds it anew. The form is described in
//! `docs/design/format.md`, part 4.

mod blocks;
mod entry;
mod hash;
mod header;
mod read;
mod write;

pub use blocks::{BLOCK_BYTES, BlockError, BlockReader, BlockWriter, Extent};
pub use entry::{KeyEntry, KeyHash, Note, TransactionEvent, TransactionStep};
pub use hash::KeyHasher;
pub use header::{KeyFacts, KeyIndexHeader, LogIdentity};
pub use read::{KeyIndex, KeyIndexError};
pub use write::KeyIndexWriter;
