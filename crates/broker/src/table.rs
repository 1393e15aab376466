//! The partitions that one shard owns: opened when they are first needed, or in the background.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::fmt;

use env::Env;
use env::sync::{Sender, Signal};
use partition::{Partition, Placed};
use record::TopicPartition;

use crate::message::{ProduceFailure, ProducePart};

/// Batches that wait for one partition, at most; more are refused. Their bytes are counted by
/// the pool of the connection's shard.
pub(crate) const WAITING_MAX: usize = 1_024;

/// The partitions of one shard by id.
pub(crate) struct Table<E: Env> {
    slots: RefCell<BTreeMap<TopicPartition, Slot<E>>>,
}

/// A partition in some state of being there.
pub(crate) struct Slot<E: Env> {
    pub(crate) state: SlotState<E>,
    /// Batches that could not be appended at once (the partition was not open, or there was no
    /// memory), in the order of arrival. While there are any, later ones queue behind them.
    pub(crate) waiting: VecDeque<Waiting>,
}

pub(crate) enum SlotState<E: Env> {
    /// Not opened since the start.
    Closed,
    /// Being opened; notified when that is over.
    Opening(Signal),
    /// Open.
    Open(Partition<E>),
    /// It could not be opened; the log of the broker says why.
    Failed,
}

/// A batch that waits, and who waits for it.
pub(crate) struct Waiting {
    pub(crate) part: ProducePart,
    pub(crate) done: Sender<Result<Placed, ProduceFailure>>,
}

impl<E: Env> Table<E> {
    pub(crate) fn new() -> Table<E> {
        Table { slots: RefCell::default() }
    }

    /// Adds a partition that is not there yet.
    pub(crate) fn insert(&self, id: TopicPartition) {
        self.slots
            .borrow_mut()
            .entry(id)
            .or_insert_with(|| Slot { state: SlotState::Closed, waiting: VecDeque::new() });
    }

    /// Takes a partition out; its waiting batches are dropped and so answered as unknown.
    pub(crate) fn remove(&self, id: TopicPartition) -> Option<Slot<E>> {
        self.slots.borrow_mut().remove(&id)
    }

    /// Every id, in order.
    pub(crate) fn ids(&self) -> Vec<TopicPartition> {
        self.slots.borrow().keys().copied().collect()
    }

    /// The partition, if it is open.
    pub(crate) fn get(&self, id: TopicPartition) -> Option<Partition<E>> {
        match self.slots.borrow().get(&id).map(|slot| &slot.state) {
            Some(SlotState::Open(partition)) => Some(partition.clone()),
            _ => None,
        }
    }

    /// Every open partition, in order.
    pub(crate) fn open_ones(&self) -> Vec<Partition<E>> {
        self.slots
            .borrow()
            .values()
            .filter_map(|slot| match &slot.state {
                SlotState::Open(partition) => Some(partition.clone()),
                _ => None,
            })
            .collect()
    }

    /// Looks at, or changes, one slot. The closure must not come back to the table.
    pub(crate) fn with<R>(
        &self,
        id: TopicPartition,
        f: impl FnOnce(&mut Slot<E>) -> R,
    ) -> Option<R> {
        self.slots.borrow_mut().get_mut(&id).map(f)
    }
}

impl<E: Env> fmt::Debug for Table<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Table({} partitions)", self.slots.borrow().len())
    }
}
