//! Kills the release binary (SIGKILL) under idempotent producers, starts it again on the same directory, and
//! checks that every acknowledged record is there once and in order.
//!
//! Owns the rounds: who writes what, when the broker dies, what is checked after it came back. Process death
//! only: what the loss of power takes is the simulation's.

mod check;
mod rounds;
mod writer;

pub use rounds::{End, Plan, lose_on_purpose, run};

/// A topic that is written to.
#[derive(Clone, Copy, Debug)]
struct Topic {
    name: &'static str,
    partitions: i32,
    configs: &'static [(&'static str, &'static str)],
}

/// Both meanings of an acknowledgement, with segments so small that they roll.
const TOPICS: [Topic; 2] = [
    Topic {
        name: "sync",
        partitions: 6,
        configs: &[("segment.bytes", "1048576"), ("retention.ms", "-1")],
    },
    Topic {
        name: "cached",
        partitions: 6,
        configs: &[("write.caching", "true"), ("segment.bytes", "1048576"), ("retention.ms", "-1")],
    },
];

/// A partition: the place of its topic in [`TOPICS`], and its number.
type Place = (usize, i32);

/// Every partition of every topic.
fn places() -> impl Iterator<Item = Place> {
    let each = TOPICS.iter().enumerate();
    each.flat_map(|(topic, of)| (0..of.partitions).map(move |partition| (topic, partition)))
}
