//! The whole broker on real shards, the real ring and real files, with a disk around the ring that
//! writes down what is done to it; and what a power cut, or the death of the process, at any moment of
//! that might have left.
//!
//! [`live`] runs it under load and gives a recording and the [`facts`] that clients were told, each
//! with its place in the recording. [`cut`] takes a prefix of the recording, one of the legal remains
//! of it, recovers a broker on them in the simulated world, and holds what it has against the facts
//! of that prefix.

pub mod cut;
pub mod facts;
pub mod live;
mod load;
mod told;
