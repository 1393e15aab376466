//! Binary search in an index file, a few reads of one page each.

use buf::PAGE;
use env::{Env, File, Group};

use crate::SearchError;

/// A sorted run of entries at the beginning of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// Bytes of one entry, at most a page.
    pub entry_len: usize,
    /// Number of entries.
    pub entries: u64,
}

/// An entry that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hit {
    /// Its number, from 0.
    pub entry: u64,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// The last entry for which `before` is true, where it is true for a first part of the run and
/// false for the rest; `None` if it is true for none. `file` must be buffered: pages are read at
/// multiples of whole entries.
pub async fn last_before<E: Env, F: File>(
    env: &E,
    file: &F,
    run: Run,
    before: impl Fn(&[u8]) -> bool,
    group: Group,
) -> Result<Option<Hit>, SearchError> {
    let Run { entry_len, entries } = run;
    let page_entries = (PAGE / entry_len) as u64;
    // Every entry below `low` is before; none from `high` on is.
    let (mut low, mut high) = (0, entries);
    let mut best = None;
    let mut buffer = env.pool().buffer(PAGE)?;
    while low < high {
        let first = u64::midpoint(low, high) / page_entries * page_entries;
        let count = page_entries.min(entries - first);
        let len = usize::try_from(count).expect("at most a page") * entry_len;
        let (read, back) = file.read_at(buffer, len, first * entry_len as u64, group).await;
        buffer = back;
        if read? < len {
            return Err(SearchError::Short);
        }
        let page = &buffer.as_slice()[..len];
        let holds = page.chunks_exact(entry_len).take_while(|entry| before(entry)).count();
        let after = first + holds as u64;
        if holds == 0 {
            high = first;
            continue;
        }
        let at = (holds - 1) * entry_len;
        best = Some(Hit { entry: after - 1, bytes: page[at..at + entry_len].to_vec() });
        low = after;
        if after < first + count {
            high = after;
        }
    }
    Ok(best)
}

#[cfg(test)]
mod tests {
    use super::*;
    use env::{Disk, OpenMode, std_world::StdEnv};
    use std::path::Path;

    /// Searches a file of the numbers 0, 10, 20, .. for the last one below `target`.
    fn search(entries: u64, told: u64, target: u64) -> Result<Option<u64>, SearchError> {
        let dir = tempfile::tempdir().unwrap();
        let env = StdEnv::new(dir.path(), 1 << 20);
        let main = {
            let env = env.clone();
            async move {
                let file = env.disk().open(Path::new("index"), OpenMode::create()).await?;
                let bytes: Vec<u8> = (0..entries).flat_map(|n| (n * 10).to_be_bytes()).collect();
                let mut buffer = env.pool().buffer(bytes.len())?;
                buffer.as_mut_slice()[..bytes.len()].copy_from_slice(&bytes);
                file.write_at(buffer.seal(bytes.len()), 0, Group::Fetch).await?;
                let run = Run { entry_len: 8, entries: told };
                let before = |entry: &[u8]| u64::from_be_bytes(entry.try_into().unwrap()) < target;
                let hit = last_before(&env, &file, run, before, Group::Fetch).await?;
                Ok(hit.map(|hit| {
                    assert_eq!(hit.bytes, (hit.entry * 10).to_be_bytes());
                    hit.entry
                }))
            }
        };
        env.block_on(main)
    }

    #[test]
    fn it_finds_what_a_linear_search_finds() {
        for entries in [1, 2, 511, 512, 513, 5000] {
            for target in [0, 1, 10, 5109, 5110, 5111, 5120, 5121, 25_000, 49_990, 49_991, 60_000] {
                let want = (0..entries).rfind(|n| n * 10 < target);
                assert_eq!(search(entries, entries, target), Ok(want), "{entries} {target}");
            }
        }
    }

    #[test]
    fn an_empty_run_is_not_read() {
        assert_eq!(search(1, 0, 5), Ok(None));
    }

    #[test]
    fn a_file_that_is_too_short_is_an_error() {
        assert_eq!(search(10, 20, 150), Err(SearchError::Short));
    }
}
