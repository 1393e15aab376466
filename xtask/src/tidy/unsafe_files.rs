//! The files that may hold unsafe code. A new one is a commit of its own, with the reason.

/// Buffers (alignment, origin) and the runtime's executor, rings and mailboxes.
const FILES: &[&str] = &[
    "crates/buf/src/block.rs",
    "crates/buf/src/buffer.rs",
    "crates/buf/src/chunk.rs",
    "crates/buf/src/pool.rs",
    "crates/buf/src/sealed.rs",
];

/// Whether this file, relative to the workspace, may.
pub(crate) fn allowed(path: &str) -> bool {
    FILES.contains(&path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listed_file_may_and_its_neighbour_may_not() {
        assert!(allowed("crates/buf/src/block.rs"));
        assert!(!allowed("crates/buf/src/lib.rs"));
        assert!(!allowed("crates/broker/src/block.rs"));
    }

    #[test]
    fn every_listed_file_exists() {
        for file in FILES {
            assert!(kit::workspace_root().join(file).is_file(), "{file} is gone: take it off");
        }
    }
}
