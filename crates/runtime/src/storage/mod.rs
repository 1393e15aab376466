//! Files on a ring of our own: [`RingDisk`] and [`RingFile`].
//!
//! The driver of the sockets knows few operations on files, so storage has a second ring. What an
//! operation points to (buffer, path, open file) belongs to its slot until the completion came,
//! whether or not anybody still waits for it.

mod disk;
mod file;
mod flow;
mod operation;
mod ring;
mod slot;

pub use disk::RingDisk;
pub use file::RingFile;
pub(crate) use ring::StorageRing;
pub use ring::{StorageCounters, WORKERS_MAX};
