//! Incremental fetch sessions (KIP-227): what a consumer fetches, remembered so that it need not
//! say it again, and what it was told, so that it need not hear it again. Pure.
//!
//! Partitions are remembered as the consumer named them: it does not repeat those that were not there when it
//! asked, or whose topic was made again under the same name.
//!
//! Rules: Kafka's `FetchSession` and `FetchManager`. Session id 0 with epoch 0 asks for a new session, epoch
//! -1 for a full answer without one. Epochs count the requests of a session from 1 and wrap to 1.

use std::collections::BTreeMap;
use std::rc::Rc;

/// Sessions kept on one shard (Kafka: `max.incremental.fetch.session.cache.slots`, 1000 for a broker).
pub const SESSIONS_MAX: usize = 1_000;

/// Partitions remembered over all sessions of one shard; beyond it requests are served without
/// a session.
pub const SESSION_PARTITIONS_MAX: usize = 200_000;

/// A session that was not used for so long may be evicted for a new one.
const EVICTABLE_AFTER_MS: u64 = 120_000;

/// The epoch that ends a session, or asks for none.
const FINAL_EPOCH: i32 = -1;

/// A partition as a consumer names it, whether it exists or not.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Asked {
    /// Name of its topic; empty when it is named by id.
    pub topic: Rc<str>,
    /// Id of its topic; zero when it is named by name.
    pub topic_id: [u8; 16],
    /// Its index.
    pub partition: i32,
}

/// What a consumer asks of one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// From this offset, as sent: it may be nonsense.
    pub fetch_offset: i64,
    /// Most bytes.
    pub max_bytes: i32,
    /// The leader epoch the consumer believes in; -1 unknown.
    pub current_leader_epoch: i32,
    /// The epoch of the last record it has; -1 unknown.
    pub last_fetched_epoch: i32,
    /// A follower's log start; -1 for consumers.
    pub log_start_offset: i64,
}

/// What was last told of one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Told {
    /// Its high watermark.
    pub high_watermark: i64,
    /// Its log start offset.
    pub log_start: i64,
    /// Whether it was an error: it is told again until it is over.
    pub error: bool,
}

/// A fetch request's session fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionPlace {
    /// Session id; 0 for none.
    pub id: i32,
    /// Session epoch.
    pub epoch: i32,
}

/// How to answer a fetch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Plan {
    /// Everything asked for, without a session.
    Full(Vec<(Asked, Wanted)>),
    /// As session `id`: all its partitions; with `incremental` only changes are told.
    Session {
        /// The session.
        id: i32,
        /// Whether partitions without news are left out.
        incremental: bool,
        /// Every partition of the session, in the order in which they are served.
        wanted: Vec<(Asked, Wanted)>,
    },
}

/// The session fields do not fit what is remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SessionRefusal {
    /// Nothing is known of this id.
    #[error("unknown fetch session")]
    UnknownId,
    /// The epoch is not the next one.
    #[error("unexpected fetch session epoch")]
    WrongEpoch,
}

#[derive(Debug)]
struct Session {
    epoch: i32,
    used_ms: u64,
    /// In the order of serving: a partition that brought data moves behind the others.
    order: Vec<Asked>,
    partitions: BTreeMap<Asked, (Wanted, Option<Told>)>,
}

/// All sessions of one shard.
#[derive(Debug, Default)]
pub struct Sessions {
    by_id: BTreeMap<i32, Session>,
    partitions: usize,
}

impl Sessions {
    /// Sessions that are remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Whether no session is remembered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// Takes a request in: `added` and `forgotten` as sent. `fresh_id` is a random positive
    /// number for a new session.
    pub fn begin(
        &mut self,
        place: SessionPlace,
        added: Vec<(Asked, Wanted)>,
        forgotten: &[Asked],
        fresh_id: i32,
        now_ms: u64,
    ) -> Result<Plan, SessionRefusal> {
        if place.epoch == FINAL_EPOCH || place.epoch == 0 {
            self.remove(place.id);
            if place.epoch == FINAL_EPOCH {
                return Ok(Plan::Full(added));
            }
            return Ok(self.create(added, fresh_id, now_ms));
        }
        let session = self.by_id.get_mut(&place.id).ok_or(SessionRefusal::UnknownId)?;
        if session.epoch != place.epoch {
            return Err(SessionRefusal::WrongEpoch);
        }
        session.epoch = if session.epoch == i32::MAX { 1 } else { session.epoch + 1 };
        session.used_ms = now_ms;
        let before = session.partitions.len();
        for (partition, wanted) in added {
            match session.partitions.get_mut(&partition) {
                Some(known) => known.0 = wanted,
                None => {
                    session.order.push(partition.clone());
                    session.partitions.insert(partition, (wanted, None));
                }
            }
        }
        for partition in forgotten {
            session.partitions.remove(partition);
        }
        let kept = &session.partitions;
        session.order.retain(|partition| kept.contains_key(partition));
        self.partitions = self.partitions + session.partitions.len() - before;
        let wanted =
            session.order.iter().map(|id| (id.clone(), session.partitions[id].0)).collect();
        Ok(Plan::Session { id: place.id, incremental: true, wanted })
    }

    /// Whether `told` of `partition` is news for session `id`, given whether records go with
    /// it; and remembers it as told. A partition that brings records is served last next time.
    pub fn tell(&mut self, id: i32, partition: &Asked, told: Told, records: bool) -> bool {
        let Some(session) = self.by_id.get_mut(&id) else { return true };
        let Some(known) = session.partitions.get_mut(partition) else { return true };
        let news = records || told.error || known.1 != Some(told);
        known.1 = Some(told);
        if records && let Some(at) = session.order.iter().position(|other| other == partition) {
            let moved = session.order.remove(at);
            session.order.push(moved);
        }
        news
    }

    fn create(&mut self, wanted: Vec<(Asked, Wanted)>, id: i32, now_ms: u64) -> Plan {
        let fits = self.partitions + wanted.len() <= SESSION_PARTITIONS_MAX;
        let taken = self.by_id.contains_key(&id) || id <= 0;
        if wanted.is_empty() || !fits || taken || !self.make_room(now_ms) {
            return Plan::Full(wanted);
        }
        let order = wanted.iter().map(|(partition, _)| partition.clone()).collect();
        let partitions: BTreeMap<_, _> =
            wanted.iter().map(|(partition, wanted)| (partition.clone(), (*wanted, None))).collect();
        self.partitions += partitions.len();
        self.by_id.insert(id, Session { epoch: 1, used_ms: now_ms, order, partitions });
        Plan::Session { id, incremental: false, wanted }
    }

    fn make_room(&mut self, now_ms: u64) -> bool {
        if self.by_id.len() < SESSIONS_MAX {
            return true;
        }
        let oldest = self.by_id.iter().min_by_key(|(_, session)| session.used_ms);
        match oldest.map(|(id, session)| (*id, session.used_ms)) {
            Some((id, used_ms)) if used_ms + EVICTABLE_AFTER_MS <= now_ms => {
                self.remove(id);
                true
            }
            _ => false,
        }
    }

    fn remove(&mut self, id: i32) {
        if let Some(session) = self.by_id.remove(&id) {
            self.partitions -= session.partitions.len();
        }
    }
}

#[cfg(test)]
mod tests;
