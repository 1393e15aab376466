//! One directory: names that the process sees, names that are durable, and updates between.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::{Rc, Weak};

use super::chance::Chance;
use super::file::FileRef;
use super::ledger::Ledger;
use super::losses::Losses;

pub(crate) type DirRef = Rc<RefCell<DirNode>>;
pub(crate) type Names = BTreeMap<String, Node>;

#[derive(Clone, Debug)]
pub(crate) enum Node {
    File(FileRef),
    Dir(DirRef),
}

impl Node {
    pub(crate) fn is(&self, other: &Node) -> bool {
        match (self, other) {
            (Node::File(a), Node::File(b)) => Rc::ptr_eq(a, b),
            (Node::Dir(a), Node::Dir(b)) => Rc::ptr_eq(a, b),
            _ => false,
        }
    }
}

/// One update of the names in a directory. A rename inside it is one update, kept or lost whole.
#[derive(Clone, Debug)]
pub(crate) enum Update {
    Put {
        name: String,
        node: Node,
    },
    Remove {
        name: String,
        node: Node,
    },
    Rename {
        from: String,
        to: String,
        node: Node,
    },
    /// Half of a rename into another directory: never survives without the other half, which
    /// is update `put` there.
    MoveOut {
        name: String,
        node: Node,
        into: Weak<RefCell<DirNode>>,
        put: u64,
    },
}

#[derive(Debug)]
pub(crate) struct DirNode {
    pub(crate) uid: u64,
    current: Names,
    durable: Names,
    ledger: Ledger<Update>,
}

fn take(names: &mut Names, name: &str, node: &Node) {
    if names.get(name).is_some_and(|there| there.is(node)) {
        names.remove(name);
    }
}

fn apply(names: &mut Names, update: &Update) {
    match update {
        Update::Put { name, node } => {
            names.insert(name.clone(), node.clone());
        }
        Update::Remove { name, node } | Update::MoveOut { name, node, .. } => {
            take(names, name, node);
        }
        Update::Rename { from, to, node } => {
            take(names, from, node);
            names.insert(to.clone(), node.clone());
        }
    }
}

impl DirNode {
    /// A directory of which everything is durable.
    pub(crate) fn of(uid: u64, names: Names) -> DirRef {
        let durable = names.clone();
        let ledger = Ledger::default();
        Rc::new(RefCell::new(DirNode { uid, current: names, durable, ledger }))
    }

    /// What the process sees.
    pub(crate) fn current(&self) -> &Names {
        &self.current
    }

    /// Makes `update` visible; its number in the ledger.
    pub(crate) fn update(&mut self, update: Update) -> u64 {
        apply(&mut self.current, &update);
        self.ledger.push(update)
    }

    pub(crate) fn ledger(&mut self) -> &mut Ledger<Update> {
        &mut self.ledger
    }

    /// A sync of `dir` that was called when `covered` was complete succeeded.
    pub(crate) fn sync(dir: &DirRef, covered: &[u64]) {
        // The other halves first: durable here and lost there would lose the file.
        let mut halves = Vec::new();
        for entry in dir.borrow().ledger.entries() {
            if let Update::MoveOut { into, put, .. } = &entry.change
                && covered.binary_search(&entry.id).is_ok()
                && let Some(into) = into.upgrade()
            {
                halves.push((into, *put));
            }
        }
        for (into, put) in halves {
            into.borrow_mut().settle(&[put]);
        }
        dir.borrow_mut().settle(covered);
    }

    fn settle(&mut self, covered: &[u64]) {
        self.ledger.sync(covered);
        for update in self.ledger.settled() {
            apply(&mut self.durable, &update);
        }
    }

    /// A sync failed.
    pub(crate) fn fail_sync(&mut self) {
        self.ledger.doom();
        self.settle(&[]);
    }

    /// The names that are left after a power cut, decided by `chance`. Updates that are not are
    /// counted in `losses`.
    pub(crate) fn survivor(&self, chance: &Chance, losses: &mut Losses) -> Names {
        let own = chance.of_node(self.uid);
        let mut names = self.durable.clone();
        for entry in self.ledger.entries() {
            let kept = entry.synced || !entry.doomed && own.keeps(entry.id);
            let whole = match &entry.change {
                Update::MoveOut { into, put, .. } => arrived(into, *put, chance),
                _ => true,
            };
            if kept && whole {
                apply(&mut names, &entry.change);
            } else {
                losses.names += 1;
            }
        }
        names
    }
}

/// Whether the other half of a rename survives too.
fn arrived(into: &Weak<RefCell<DirNode>>, put: u64, chance: &Chance) -> bool {
    let Some(into) = into.upgrade() else { return true };
    let into = into.borrow();
    match into.ledger.get(put) {
        Some(entry) if entry.doomed => false,
        Some(entry) => entry.synced || chance.of_node(into.uid).keeps(put),
        None => true,
    }
}
