//! What a shard counts: plain cells of its own thread, read when somebody asks.

use std::cell::Cell;
use std::time::Duration;

use env::Group;
use wire::ApiKey;
use wire::api::ADVERTISED;

use crate::shard::{Shard, World};

/// Kafka's numbers of the served requests are below it.
const CODES: usize = 96;

const GROUPS: usize = Group::ALL.len();

/// Bounds of the counts of a [`Latency`] in microseconds, inclusive.
pub const LATENCY_BOUNDS_US: [u64; 14] = [
    50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 1_000_000,
    5_000_000,
];

/// A shard at one moment. What is not a gauge only grows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// Every served request, by ascending key.
    pub requests: Vec<Requests>,
    /// How long requests took, by group (in the order of [`Group::ALL`]): from the whole frame to the
    /// encoded answer, waiting for new records included.
    pub latencies: Vec<Latency>,
    /// Bytes of batches appended to partitions of this shard.
    pub produced_bytes: u64,
    /// Bytes of batches in answers to fetches on this shard's connections.
    pub fetched_bytes: u64,
    /// Connections that are open; a gauge.
    pub connections_open: u64,
    /// Connections that were handed to this shard.
    pub connections_accepted: u64,
    /// Bytes of the pool in use; a gauge.
    pub memory_used_bytes: u64,
    /// The pool's limit in bytes.
    pub memory_limit_bytes: u64,
    /// Journal frames written.
    pub journal_frames: u64,
    /// Bytes written for them, whole pages.
    pub journal_written_bytes: u64,
    /// Flushes that commits made.
    pub journal_flushes: u64,
}

/// Requests of one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Requests {
    /// Which.
    pub key: ApiKey,
    /// Requests that were answered, or ended their connection.
    pub answered: u64,
    /// Those among them whose answer holds an error, or that ended their connection.
    pub failed: u64,
}

/// How long something took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Latency {
    /// How many took longer than the bound before theirs in [`LATENCY_BOUNDS_US`] and no longer
    /// than it; the last count is for what took longer than all.
    pub counts: [u64; LATENCY_BOUNDS_US.len() + 1],
    /// All added, in nanoseconds.
    pub sum_ns: u64,
}

/// The counts of one shard.
pub(crate) struct Tally {
    answered: [Cell<u64>; CODES],
    failed: [Cell<u64>; CODES],
    latencies: [Took; GROUPS],
    produced_bytes: Cell<u64>,
    fetched_bytes: Cell<u64>,
    connections_open: Cell<u64>,
    connections_accepted: Cell<u64>,
}

#[derive(Default)]
struct Took {
    counts: [Cell<u64>; LATENCY_BOUNDS_US.len() + 1],
    sum_ns: Cell<u64>,
}

impl Default for Tally {
    fn default() -> Tally {
        Tally {
            answered: std::array::from_fn(|_| Cell::default()),
            failed: std::array::from_fn(|_| Cell::default()),
            latencies: std::array::from_fn(|_| Took::default()),
            produced_bytes: Cell::default(),
            fetched_bytes: Cell::default(),
            connections_open: Cell::default(),
            connections_accepted: Cell::default(),
        }
    }
}

fn add(cell: &Cell<u64>, more: u64) {
    cell.set(cell.get().wrapping_add(more));
}

fn place(key: ApiKey) -> usize {
    usize::from(key.code().unsigned_abs())
}

impl Tally {
    /// A request of `key`, served in `group`, has its answer after `took`.
    pub(crate) fn answered(&self, key: ApiKey, group: Group, took: Duration) {
        add(&self.answered[place(key)], 1);
        let took_ns = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        let us = took_ns.div_ceil(1_000);
        let latency = &self.latencies[group as usize];
        add(&latency.counts[LATENCY_BOUNDS_US.partition_point(|bound| *bound < us)], 1);
        add(&latency.sum_ns, took_ns);
    }

    /// The answer to a request of `key` holds an error, or is the end of its connection.
    pub(crate) fn failed(&self, key: ApiKey) {
        add(&self.failed[place(key)], 1);
    }

    pub(crate) fn produced(&self, bytes: usize) {
        add(&self.produced_bytes, u64::try_from(bytes).unwrap_or(u64::MAX));
    }

    pub(crate) fn fetched(&self, bytes: usize) {
        add(&self.fetched_bytes, u64::try_from(bytes).unwrap_or(u64::MAX));
    }

    /// A connection is open until what this gives is dropped.
    pub(crate) fn connection(&self) -> Connected<'_> {
        add(&self.connections_accepted, 1);
        add(&self.connections_open, 1);
        Connected(self)
    }

    fn requests(&self) -> Vec<Requests> {
        let of = |key: ApiKey| Requests {
            key,
            answered: self.answered[place(key)].get(),
            failed: self.failed[place(key)].get(),
        };
        ADVERTISED.iter().map(|range| of(range.key)).collect()
    }

    fn latencies(&self) -> Vec<Latency> {
        let of = |took: &Took| Latency {
            counts: std::array::from_fn(|place| took.counts[place].get()),
            sum_ns: took.sum_ns.get(),
        };
        self.latencies.iter().map(of).collect()
    }
}

/// An open connection.
pub(crate) struct Connected<'a>(&'a Tally);

impl Drop for Connected<'_> {
    fn drop(&mut self) {
        self.0.connections_open.set(self.0.connections_open.get() - 1);
    }
}

impl<E: World> Shard<E> {
    /// What this shard counted so far. Takes microseconds.
    #[must_use]
    pub fn reading(&self) -> Reading {
        let tally = &self.inner.tally;
        let pool = self.env().pool();
        let journal = self.inner.served.borrow().as_ref().map(|it| it.committer.journal_metrics());
        let journal = journal.unwrap_or_default();
        let bytes = |bytes: usize| u64::try_from(bytes).unwrap_or(u64::MAX);
        Reading {
            requests: tally.requests(),
            latencies: tally.latencies(),
            produced_bytes: tally.produced_bytes.get(),
            fetched_bytes: tally.fetched_bytes.get(),
            connections_open: tally.connections_open.get(),
            connections_accepted: tally.connections_accepted.get(),
            memory_used_bytes: bytes(pool.used()),
            memory_limit_bytes: bytes(pool.limit()),
            journal_frames: journal.frames,
            journal_written_bytes: journal.written_bytes,
            journal_flushes: journal.flushes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_served_key_has_its_place() {
        for range in ADVERTISED {
            assert!(place(range.key) < CODES, "{:?}", range.key);
        }
    }

    #[test]
    fn what_takes_as_long_as_a_bound_counts_below_it() {
        let tally = Tally::default();
        for took_ns in [0, 50_000, 50_001, 100_000, 5_000_000_000, 5_000_000_001] {
            tally.answered(ApiKey::Fetch, Group::Fetch, Duration::from_nanos(took_ns));
        }
        let latency = tally.latencies()[Group::Fetch as usize];
        assert_eq!((latency.counts[0], latency.counts[1]), (2, 2));
        assert_eq!((latency.counts[13], latency.counts[14]), (1, 1));
        assert_eq!(latency.counts.iter().sum::<u64>(), 6);
        assert_eq!(latency.sum_ns, 10_000_200_002);
        let fetches = tally.requests()[1];
        assert_eq!((fetches.key, fetches.answered, fetches.failed), (ApiKey::Fetch, 6, 0));
    }

    #[test]
    fn a_connection_is_open_until_it_is_dropped() {
        let tally = Tally::default();
        let first = tally.connection();
        drop(tally.connection());
        assert_eq!((tally.connections_open.get(), tally.connections_accepted.get()), (1, 2));
        drop(first);
        assert_eq!(tally.connections_open.get(), 0);
    }
}
