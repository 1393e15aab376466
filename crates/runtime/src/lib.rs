//! One shard per core on monoio: groups, executor, storage ring, mailboxes, watchdog.
