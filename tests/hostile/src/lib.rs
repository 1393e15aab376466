//! Hostile clients over plain sockets, and a witness that must stay served meanwhile.
//!
//! Owns bytes that are wrong on purpose: frames, requests and record batches, made by hand from Kafka's
//! formats, without the broker's own crates; so an error that the broker shares with itself is still seen.

mod batch;
mod line;
mod request;
mod witness;

pub use batch::{Batch, Codec, varint};
pub use line::{Heard, Line};
pub use request::{
    api_versions, fetch, framed, metadata, metadata_of_bytes, produce, produce_error,
};
pub use witness::{Besieged, memory_bytes, memory_peak_bytes};
