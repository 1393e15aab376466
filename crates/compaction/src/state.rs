//! What a log's compaction remembers across restarts: the file `evenkeel-compaction` in its
//! directory. The form is described in `docs/design/format.md`, part 5.

use std::path::{Path, PathBuf};

use env::{Env, Group, read_all, replace_file};
use record::Offset;

use crate::PassError;

const NAME: &str = "evenkeel-compaction";
const MAGIC: [u8; 8] = *b"EKCOMPAC";
const VERSION: u16 = 1;
/// Longest file: head, sources, aborted transactions.
const BYTES_MAX: usize = 4 << 20;

/// How far a pass has come inside a group of segments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Progress {
    /// The wall clock when the pass began.
    pub(crate) now_ms: i64,
    /// The end of the pass.
    pub(crate) until: Offset,
    /// Base offset and length of each segment of the group.
    pub(crate) sources: Vec<(Offset, u64)>,
    /// The segment that is being read, and where its next batch begins.
    pub(crate) source: usize,
    pub(crate) position: u64,
    /// Bytes of the part that are flushed.
    pub(crate) len: u64,
    /// Entries of its index of aborted transactions, as in the file.
    pub(crate) aborted: Vec<u8>,
}

/// What is remembered of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct State {
    /// Key of the hash of the log's key indexes.
    pub(crate) hash_key: [u8; 16],
    /// Below it the log was clean after the last pass.
    pub(crate) cleaned_to: Offset,
    /// The earliest delete horizon that the last pass left, in milliseconds.
    pub(crate) earliest_horizon_ms: Option<i64>,
    pub(crate) progress: Option<Progress>,
}

impl State {
    /// Of a log that was never compacted.
    pub(crate) fn new<E: Env>(env: &E) -> State {
        let mut hash_key = [0; 16];
        hash_key[..8].copy_from_slice(&env.random().to_be_bytes());
        hash_key[8..].copy_from_slice(&env.random().to_be_bytes());
        State { hash_key, cleaned_to: Offset::ZERO, earliest_horizon_ms: None, progress: None }
    }

    fn path(dir: &Path) -> PathBuf {
        dir.join(NAME)
    }

    /// Reads the file of the log in `dir`; `None` if there is none that can be used.
    pub(crate) async fn read<E: Env>(env: &E, dir: &Path) -> Result<Option<State>, PassError> {
        let bytes = read_all(env, &State::path(dir), BYTES_MAX, Group::Compaction).await?;
        Ok(bytes.and_then(|bytes| State::decode(&bytes)))
    }

    /// Writes the file, durably.
    pub(crate) async fn write<E: Env>(&self, env: &E, dir: &Path) -> Result<(), PassError> {
        Ok(replace_file(env, &State::path(dir), &self.encode(), Group::Compaction).await?)
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&VERSION.to_be_bytes());
        bytes.push(u8::from(self.progress.is_some()));
        bytes.push(u8::from(self.earliest_horizon_ms.is_some()));
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(&self.hash_key);
        bytes.extend_from_slice(&self.cleaned_to.raw().to_be_bytes());
        bytes.extend_from_slice(&self.earliest_horizon_ms.unwrap_or(0).to_be_bytes());
        if let Some(progress) = &self.progress {
            let small = |n: usize| u32::try_from(n).expect("a pass is bounded").to_be_bytes();
            bytes.extend_from_slice(&progress.now_ms.to_be_bytes());
            bytes.extend_from_slice(&progress.until.raw().to_be_bytes());
            bytes.extend_from_slice(&small(progress.sources.len()));
            bytes.extend_from_slice(&small(progress.source));
            bytes.extend_from_slice(&progress.position.to_be_bytes());
            bytes.extend_from_slice(&progress.len.to_be_bytes());
            for (base, len) in &progress.sources {
                bytes.extend_from_slice(&base.raw().to_be_bytes());
                bytes.extend_from_slice(&len.to_be_bytes());
            }
            bytes.extend_from_slice(&progress.aborted);
        }
        bytes.extend_from_slice(&crc32c::crc32c(&bytes).to_be_bytes());
        bytes
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<State> {
        let (covered, crc) = bytes.split_last_chunk::<4>()?;
        let wrong = covered.get(..10)? != [&MAGIC[..], &VERSION.to_be_bytes()].concat();
        if wrong || crc32c::crc32c(covered) != u32::from_be_bytes(*crc) {
            return None;
        }
        let mut fields = Fields { rest: covered.get(16..)? };
        let mut state = State {
            hash_key: fields.take()?,
            cleaned_to: fields.offset()?,
            earliest_horizon_ms: fields.i64().filter(|_| covered[11] == 1),
            progress: None,
        };
        if covered[10] == 1 {
            let (now_ms, until) = (fields.i64()?, fields.offset()?);
            let (count, source) = (fields.usize()?, fields.usize()?);
            let (position, len) = (fields.u64()?, fields.u64()?);
            let mut sources = Vec::new();
            for _ in 0..count {
                sources.push((fields.offset()?, fields.u64()?));
            }
            let aborted = fields.rest.to_vec();
            let progress = Progress { now_ms, until, sources, source, position, len, aborted };
            state.progress = Some(progress).filter(|_| source < count);
        }
        Some(state)
    }
}

struct Fields<'a> {
    rest: &'a [u8],
}

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (field, rest) = self.rest.split_first_chunk::<N>()?;
        self.rest = rest;
        Some(*field)
    }

    fn i64(&mut self) -> Option<i64> {
        self.take().map(i64::from_be_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_be_bytes)
    }

    fn usize(&mut self) -> Option<usize> {
        usize::try_from(u32::from_be_bytes(self.take()?)).ok()
    }

    fn offset(&mut self) -> Option<Offset> {
        self.i64().and_then(Offset::new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_read_back_and_any_flipped_byte_or_cut_is_refused() {
        let at = |raw| Offset::new(raw).unwrap();
        let progress = Progress {
            now_ms: 5,
            until: at(900),
            sources: vec![(at(0), 10), (at(7), 20)],
            source: 1,
            position: 11,
            len: 12,
            aborted: vec![1, 2, 3],
        };
        let idle = State {
            hash_key: [3; 16],
            cleaned_to: at(77),
            earliest_horizon_ms: Some(-4),
            progress: None,
        };
        for state in [State { progress: Some(progress), ..idle.clone() }, idle] {
            let bytes = state.encode();
            assert_eq!(State::decode(&bytes), Some(state));
            for at in 0..bytes.len() {
                assert_eq!(State::decode(&bytes[..at]), None);
                let mut bad = bytes.clone();
                bad[at] ^= 1;
                assert_eq!(State::decode(&bad), None, "{at}");
            }
        }
    }
}
