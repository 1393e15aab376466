//! One file: what the process sees, what is durable, and what lies between.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use super::chance::Chance;
use super::content::Content;
use super::ledger::Ledger;
use super::losses::Losses;

/// Bytes that a device writes whole or not at all.
pub(crate) const SECTOR: usize = 512;

/// Open changes of one file beyond which the world writes the oldest back by itself.
const OPEN_CHANGES_MAX: usize = 4096;

pub(crate) type FileRef = Rc<RefCell<FileNode>>;

#[derive(Clone, Debug)]
pub(crate) enum Change {
    Write { position: u64, data: Arc<[u8]> },
    SetLen(u64),
    Allocate(u64),
}

#[derive(Debug)]
pub(crate) struct FileNode {
    /// Tells this file from every other of the same tree.
    pub(crate) uid: u64,
    current: Content,
    durable: Content,
    ledger: Ledger<Change>,
}

fn apply(content: &mut Content, change: &Change) {
    match change {
        Change::Write { position, data } => content.write(*position, data),
        Change::SetLen(len) => content.set_len(*len),
        Change::Allocate(len) => content.set_len(content.len().max(*len)),
    }
}

impl FileNode {
    /// A file of which everything is durable.
    pub(crate) fn of(uid: u64, content: Content) -> FileRef {
        let durable = content.clone();
        let ledger = Ledger::default();
        Rc::new(RefCell::new(FileNode { uid, current: content, durable, ledger }))
    }

    /// What the process sees.
    pub(crate) fn current(&self) -> &Content {
        &self.current
    }

    /// Makes `change` visible; its number in the ledger.
    pub(crate) fn change(&mut self, change: Change) -> u64 {
        apply(&mut self.current, &change);
        let id = self.ledger.push(change);
        if OPEN_CHANGES_MAX < self.ledger.len() {
            self.ledger.write_back_oldest();
            self.settle();
        }
        id
    }

    pub(crate) fn ledger(&mut self) -> &mut Ledger<Change> {
        &mut self.ledger
    }

    /// A sync that was called when `covered` was complete succeeded.
    pub(crate) fn sync(&mut self, covered: &[u64]) {
        self.ledger.sync(covered);
        self.settle();
    }

    /// A sync failed.
    pub(crate) fn fail_sync(&mut self) {
        self.ledger.doom();
        self.settle();
    }

    fn settle(&mut self) {
        for change in self.ledger.settled() {
            apply(&mut self.durable, &change);
        }
    }

    /// What is left of the file after a power cut, decided by `chance`. What is not is counted in
    /// `losses`.
    pub(crate) fn survivor(&self, chance: &Chance, losses: &mut Losses) -> Content {
        let mut survivor = Surviving {
            len: self.durable.len(),
            content: self.durable.clone(),
            open: Vec::new(),
            chance: chance.of_node(self.uid),
            lost_one: false,
            losses,
        };
        for entry in self.ledger.entries() {
            if entry.doomed {
                continue;
            }
            match &entry.change {
                Change::Write { position, data } if !entry.synced => {
                    survivor.open.push((entry.id, *position, data));
                }
                change if entry.synced || survivor.chance.keeps(entry.id) => {
                    survivor.apply(change);
                }
                _ => {}
            }
        }
        let left = survivor.end();
        losses.lengths += u64::from(left.len() != self.current.len());
        left
    }
}

/// The state of a file while its survivor is put together. Data beyond the length is kept until
/// the end: a later change of the length may cover it.
struct Surviving<'a> {
    content: Content,
    len: u64,
    /// Writes since the last change that is certain or cuts: they may arrive in any order.
    open: Vec<(u64, u64, &'a Arc<[u8]>)>,
    chance: Chance,
    /// A write so far left nothing.
    lost_one: bool,
    losses: &'a mut Losses,
}

impl Surviving<'_> {
    fn apply(&mut self, change: &Change) {
        self.apply_open();
        match change {
            Change::Write { position, data } => {
                self.content.put(*position, data);
                self.len = self.len.max(*position + data.len() as u64);
            }
            Change::SetLen(len) => {
                if *len < self.len {
                    self.content.cut(*len);
                }
                self.len = *len;
            }
            Change::Allocate(len) => self.len = self.len.max(*len),
        }
    }

    fn apply_open(&mut self) {
        let mut open = std::mem::take(&mut self.open);
        for (id, _, data) in &open {
            self.count(*id, data.len());
        }
        self.chance.shuffle(&mut open);
        for (id, position, data) in open {
            let end = position + data.len() as u64;
            if self.len < end && self.chance.keeps_size(id) {
                self.len = end;
            }
            let mut at = 0;
            let mut sector = 0;
            while at < data.len() {
                let in_sector = usize::try_from((position + at as u64) % SECTOR as u64)
                    .expect("below a sector");
                let n = (SECTOR - in_sector).min(data.len() - at);
                if self.chance.keeps_sector(id, sector, data.len().div_ceil(SECTOR)) {
                    self.content.put(position + at as u64, &data[at..at + n]);
                }
                at += n;
                sector += 1;
            }
        }
    }

    /// Counts what becomes of write `id` of `len` bytes. In the order of the writes.
    fn count(&mut self, id: u64, len: usize) {
        let sectors = len.div_ceil(SECTOR);
        let kept = (0_u64..).take(sectors).filter(|s| self.chance.keeps_sector(id, *s, sectors));
        let kept = kept.count();
        if kept == 0 {
            self.lost_one = true;
            self.losses.writes += 1;
            return;
        }
        self.losses.torn_writes += u64::from(kept < sectors);
        self.losses.overtaken_writes += u64::from(self.lost_one);
    }

    fn end(mut self) -> Content {
        self.apply_open();
        self.content.cut(self.len);
        self.content.set_len(self.len);
        self.content
    }
}
