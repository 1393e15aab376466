//! What clients did and were told, each fact with its place in the recording.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sim::history::{History, Place};

/// What a broker must live through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The power goes: what was not flushed may be lost.
    Power,
    /// The process dies: what was written is there.
    Process,
}

/// One fact.
#[derive(Clone, Debug)]
pub enum Fact {
    /// A producer is about to send these values.
    Sends(Place, Vec<Vec<u8>>),
    /// They were acknowledged from this offset on.
    Acknowledged(Place, i64, Vec<Vec<u8>>),
    /// A consumer saw this value at this offset.
    Saw(Place, i64, Vec<u8>),
    /// The topic is about to be deleted.
    Deletes(String),
    /// It was said to be deleted.
    Deleted(String),
}

/// All facts. A handle that threads share.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    facts: Arc<Mutex<Vec<(usize, Fact)>>>,
}

/// A topic whose acknowledgements mean *written*, not *durable*.
pub(crate) const CACHED: &str = "cached";

impl Facts {
    fn facts(&self) -> MutexGuard<'_, Vec<(usize, Fact)>> {
        self.facts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a fact that follows from the first `at` events of the recording, or, of what a
    /// client is about to do, that no earlier event follows from.
    pub fn note(&self, at: usize, fact: Fact) {
        self.facts().push((at, fact));
    }

    /// Where the facts are that clients were told.
    #[must_use]
    pub fn places(&self) -> Vec<usize> {
        let told = |fact: &Fact| !matches!(fact, Fact::Sends(..) | Fact::Deletes(_));
        self.facts().iter().filter(|(_, fact)| told(fact)).map(|(at, _)| *at).collect()
    }

    /// Records that were acknowledged.
    #[must_use]
    pub fn acknowledged(&self) -> usize {
        let records = |(_, fact): &(usize, Fact)| match fact {
            Fact::Acknowledged(_, _, values) => values.len(),
            _ => 0,
        };
        self.facts().iter().map(records).sum()
    }

    /// What must hold if it ends like `end` after the first `prefix` events.
    #[must_use]
    pub fn until(&self, prefix: usize, end: End) -> Known {
        let facts = self.facts();
        let past = || facts.iter().filter(|(at, _)| *at <= prefix).map(|(_, fact)| fact);
        let mut known = Known::default();
        for fact in past() {
            match fact {
                Fact::Deletes(topic) => _ = known.leaving.insert(topic.clone()),
                Fact::Deleted(topic) => _ = known.gone.insert(topic.clone()),
                _ => {}
            }
        }
        let counts = |place: &Place| {
            !known.leaving.contains(&place.0) && (end == End::Process || place.0 != CACHED)
        };
        for fact in past() {
            match fact {
                Fact::Sends(place, values) => known.history.sends(place, values),
                Fact::Acknowledged(place, base, values) if counts(place) => {
                    known.history.acknowledged(place, *base, values);
                }
                Fact::Saw(place, offset, value) if counts(place) => {
                    known.history.saw(place, *offset, value);
                }
                _ => {}
            }
        }
        known
    }
}

/// What is known at some moment.
#[derive(Debug, Default)]
pub struct Known {
    /// Of records.
    pub history: History,
    /// Topics that may be there or not.
    pub leaving: BTreeSet<String>,
    /// Topics that must not be there.
    pub gone: BTreeSet<String>,
}
