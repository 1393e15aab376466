//! What every world must do: run by the tests of each implementation, in its own world.
//!
//! Each function panics with what was promised and not kept. Owns no world; makes what it needs
//! under one directory of its own and removes it at the end. What survives a power cut is not
//! here: only the simulated and the recording disk can tell.

mod disk;
mod mesh;
mod stream;
mod world;

pub use disk::disk_suite;
pub use mesh::{MESH_MESSAGES, mesh_receiver, mesh_sender};
pub use stream::stream_suite;
pub use world::world_suite;
