#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod disk;
mod files;
mod gate;
mod group;
mod mesh;
mod stream;
mod world;

pub mod recording;
pub mod sim;
pub mod std_world;
#[cfg(feature = "suite")]
pub mod suite;
pub mod sync;

pub use disk::{Disk, Entry, File, IoFailure, OpenMode, RootFence, Space, Stat};
pub use files::{read_all, replace_file};
pub use gate::{Enter, Gate, Turn};
pub use group::Group;
pub use mesh::{Envelope, Mesh, ShardId};
pub use stream::Stream;
pub use world::{Env, Nanos};
