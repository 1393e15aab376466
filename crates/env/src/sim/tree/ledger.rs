//! Changes in the order in which they took effect, until a flush settles them.

use std::collections::VecDeque;

/// Changes of one file or directory that may not be durable yet. An entry leaves from the
/// front, once it is synced (then it is part of the durable state for good) or doomed (then it
/// will never be durable); so what is synced is applied in the order of effect even if an
/// earlier change is still open.
#[derive(Debug)]
pub(crate) struct Ledger<C> {
    entries: VecDeque<Entry<C>>,
    next_id: u64,
}

#[derive(Debug)]
pub(crate) struct Entry<C> {
    pub(crate) id: u64,
    pub(crate) change: C,
    /// The caller was told, or could have been: a sync called from now on covers it.
    pub(crate) completed: bool,
    pub(crate) synced: bool,
    /// A sync that covered it failed: no later sync will save it.
    pub(crate) doomed: bool,
}

impl<C> Default for Ledger<C> {
    fn default() -> Ledger<C> {
        Ledger { entries: VecDeque::new(), next_id: 0 }
    }
}

impl<C> Ledger<C> {
    /// Notes a change that took effect now; its number.
    pub(crate) fn push(&mut self, change: C) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        self.entries.push_back(Entry {
            id,
            change,
            completed: false,
            synced: false,
            doomed: false,
        });
        id
    }

    fn entry_mut(&mut self, id: u64) -> Option<&mut Entry<C>> {
        let at = self.entries.binary_search_by_key(&id, |entry| entry.id).ok()?;
        self.entries.get_mut(at)
    }

    pub(crate) fn entries(&self) -> impl Iterator<Item = &Entry<C>> {
        self.entries.iter()
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The entry `id` if it is not settled yet.
    pub(crate) fn get(&self, id: u64) -> Option<&Entry<C>> {
        let at = self.entries.binary_search_by_key(&id, |entry| entry.id).ok()?;
        self.entries.get(at)
    }

    pub(crate) fn complete(&mut self, id: u64) {
        if let Some(entry) = self.entry_mut(id) {
            entry.completed = true;
        }
    }

    pub(crate) fn complete_all(&mut self) {
        for entry in &mut self.entries {
            entry.completed = true;
        }
    }

    /// What a sync that is called now must make durable.
    pub(crate) fn completed(&self) -> Vec<u64> {
        self.entries.iter().filter(|e| e.completed && !e.synced).map(|e| e.id).collect()
    }

    /// A sync of `ids` succeeded. Those that were doomed stay so.
    pub(crate) fn sync(&mut self, ids: &[u64]) {
        for id in ids {
            if let Some(entry) = self.entry_mut(*id) {
                entry.synced = !entry.doomed;
            }
        }
    }

    /// A sync failed: nothing that is not durable by now ever will be.
    pub(crate) fn doom(&mut self) {
        for entry in &mut self.entries {
            entry.doomed = !entry.synced;
        }
    }

    /// Takes out the front as far as it is decided; what of it is durable, in order.
    pub(crate) fn settled(&mut self) -> Vec<C> {
        let mut settled = Vec::new();
        while let Some(entry) = self.entries.front() {
            if !entry.synced && !entry.doomed {
                break;
            }
            if let Some(entry) = self.entries.pop_front()
                && entry.synced
            {
                settled.push(entry.change);
            }
        }
        settled
    }

    /// Lets the world write the oldest open change back by itself, if its caller knows of it.
    pub(crate) fn write_back_oldest(&mut self) {
        if let Some(entry) = self.entries.front_mut() {
            entry.synced = entry.completed && !entry.doomed;
        }
    }
}
