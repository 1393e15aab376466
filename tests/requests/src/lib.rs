//! A client that says exactly what a test wants, to the release binary, and hears exactly what comes.
//!
//! Owns connections, requests in any version, and record batches made and read by hand. Messages come
//! from the library that `wire` is built on, and nothing from the broker's own crates. It does not
//! retry, keep metadata or hide errors: a test sees what the broker said.

mod batch;
mod client;
pub mod error;
mod message;
mod read_back;
mod site;
mod verdict;

pub use batch::{Batch, Codec, now_ms};
pub use client::{Client, Heard};
pub use message::{Answer, Ask, Bytes, KafkaString, KafkaUuid, m, text};
pub use read_back::{Record, Stored, read_back};
pub use site::{Site, Topic, everywhere, everywhere_with};
pub use verdict::{holds, same};
