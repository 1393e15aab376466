//! How to start, and why a start may fail.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use crate::{SharesHandle, Stopper};

/// What [`crate::run`] needs to know.
#[derive(Clone, Debug)]
pub struct Config {
    /// How many shards, at least one; usually one for each processor.
    pub shards: u16,
    /// The data directory, which must exist.
    pub data_dir: PathBuf,
    /// The limit of each shard's pool, in bytes.
    pub memory_bytes_per_shard: usize,
    /// How long a shard looks for work before it blocks, if that paid lately. Zero: not at all.
    pub spin: Duration,
    /// Keep each shard on a processor of its own. Ignored where there are fewer than shards.
    pub pin: bool,
    /// Stops all shards from outside; see [`crate::ShardEnv::stopped`].
    pub stopper: Stopper,
    /// Changes shares and reads what groups used, from any thread.
    pub shares: SharesHandle,
}

impl Config {
    /// `shards` shards on `data_dir` with 256 MiB each, a spin of 20 us, pinned.
    #[must_use]
    pub fn new(shards: u16, data_dir: PathBuf) -> Config {
        Config {
            shards,
            data_dir,
            memory_bytes_per_shard: 256 << 20,
            spin: Duration::from_micros(20),
            pin: true,
            stopper: Stopper::new(),
            shares: SharesHandle::new(),
        }
    }
}

/// Why nothing was started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The kernel, or what confines this process, refuses io_uring.
    #[error(
        "io_uring is not available ({0}); it needs Linux 5.19 or later, \
         /proc/sys/kernel/io_uring_disabled = 0, and a container profile that allows it"
    )]
    NoRing(#[source] io::Error),
    /// The rings do not fit into the memory that this user may lock, which is counted over all of
    /// the user's processes.
    #[error(
        "the rings need about 48 KiB of lockable memory for each shard ({0}); \
         raise the limit (ulimit -l) or start fewer shards"
    )]
    RingMemory(#[source] io::Error),
    /// The data directory cannot be opened.
    #[error("cannot open the data directory {path}: {error}", path = path.display())]
    DataDir {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        error: io::Error,
    },
    /// Some other resource of a shard cannot be had: a thread, a descriptor.
    #[error("cannot start shard {shard}: {error}")]
    Shard {
        /// Which.
        shard: u16,
        /// Why.
        #[source]
        error: io::Error,
    },
    /// The configuration asks for no shards.
    #[error("at least one shard is needed")]
    NoShards,
}

impl StartError {
    /// What the failure to make a ring means.
    pub(crate) fn of_ring(error: io::Error) -> StartError {
        if error.raw_os_error() == Some(libc::ENOMEM) {
            StartError::RingMemory(error)
        } else {
            StartError::NoRing(error)
        }
    }
}
