//! The files that may hold unsafe code. A new one is a commit of its own, with the reason.

/// Buffers (alignment, origin) and the runtime's executor, rings and mailboxes.
const FILES: &[&str] = &[
    "crates/buf/src/block.rs",
    "crates/buf/src/buffer.rs",
    "crates/buf/src/chunk.rs",
    "crates/buf/src/sealed.rs",
    "crates/runtime/src/cpus.rs",
    "crates/runtime/src/descriptor.rs",
    "crates/runtime/src/exec/ring_map.rs",
    "crates/runtime/src/exec/task.rs",
    "crates/runtime/src/net/listener.rs",
    "crates/runtime/src/net/parts.rs",
    "crates/runtime/src/net/stream.rs",
    "crates/runtime/src/random.rs",
    "crates/runtime/src/shard.rs",
    "crates/runtime/src/storage/disk.rs",
    "crates/runtime/src/storage/ring.rs",
    "crates/runtime/src/watchdog.rs",
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
    fn every_listed_file_holds_unsafe_code() {
        for file in FILES {
            let text = std::fs::read_to_string(kit::workspace_root().join(file));
            let text = text.unwrap_or_else(|_| panic!("{file} is gone: take it off"));
            let holds =
                ["unsafe {", "unsafe fn", "unsafe impl"].iter().any(|form| text.contains(form));
            assert!(holds, "{file} holds none: take it off");
        }
    }
}
