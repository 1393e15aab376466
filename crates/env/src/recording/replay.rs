//! The events of a recording, done again to a tree that knows what is durable.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::rc::Rc;

use super::Contents;
use super::log::{Act, Event, FileId, Log};
use crate::OpenMode;
use crate::sim::Image;
use crate::sim::tree::{Change, DirNode, DirRef, FileRef, Node, Ticket, Tree};

/// The state of a recorded directory after a prefix of the events.
pub struct Replay {
    events: Vec<Event>,
    /// Acts that failed in the end, by their place.
    failed: BTreeSet<usize>,
    tree: Tree,
    files: BTreeMap<FileId, FileRef>,
    next: usize,
    open: BTreeMap<usize, Open>,
}

/// An act that was begun and is not done.
enum Open {
    Change(Ticket),
    /// What a sync must cover: the changes that were done when it was called.
    Sync(FileRef, Vec<u64>),
    SyncDir(DirRef, Vec<u64>),
}

impl Replay {
    pub(super) fn new(log: &Log) -> Replay {
        let tree = Tree::of(&log.base);
        let file = |path| match tree.find(path) {
            Some(Node::File(file)) => file,
            _ => panic!("every base file is in the base"),
        };
        let files = log.base_files.iter().map(|(path, id)| (*id, file(path))).collect();
        let failed = |event: &Event| match event {
            Event::Done { begun, ok: false } => Some(*begun),
            _ => None,
        };
        Replay {
            failed: log.events.iter().filter_map(failed).collect(),
            events: log.events.clone(),
            tree,
            files,
            next: 0,
            open: BTreeMap::new(),
        }
    }

    /// How many events there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.events.len()
    }

    /// Whether there are no events.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// Goes on until the first `prefix` events are done.
    ///
    /// # Panics
    /// If it is beyond that already, or there are fewer events.
    pub fn advance_to(&mut self, prefix: usize) {
        assert!(self.next <= prefix && prefix <= self.len(), "no way to event {prefix}");
        while self.next < prefix {
            let place = self.next;
            match self.events[place].clone() {
                Event::Begun(act) => self.begin(place, act),
                Event::Done { begun, ok } => self.finish(begun, ok),
            }
            self.next += 1;
        }
    }

    /// What a power cut here might leave; see [`Recording::legal_survivor`].
    ///
    /// [`Recording::legal_survivor`]: super::Recording::legal_survivor
    #[must_use]
    pub fn survivor(&self, seed: u64) -> Contents {
        self.tree.survivor(seed).0.contents()
    }

    /// The same as a disk to start a simulation on, which is cheaper than plain data.
    #[must_use]
    pub fn survivor_image(&self, seed: u64) -> Image {
        let (tree, losses) = self.tree.survivor(seed);
        Image::of_tree(tree, losses)
    }

    /// What a process that starts here sees if the machine lives on and everything that was
    /// begun took effect.
    #[must_use]
    pub fn written(&self) -> Contents {
        self.tree.contents()
    }

    fn begin(&mut self, place: usize, act: Act) {
        // What fails on names or lengths changes nothing. A failed write is begun and never
        // done: any part of it may be there, and no sync covers it. A failed sync still counts.
        let failed = self.failed.contains(&place);
        if failed && !matches!(act, Act::Write { .. } | Act::Sync { .. } | Act::SyncDir { .. }) {
            return;
        }
        let open = match act {
            Act::Create { path, file } => {
                // `exclusive` would fail for a file that another handle created meanwhile.
                let opened = self.tree.open(&path, OpenMode::create());
                opened.ok().map(|(node, ticket)| {
                    self.files.insert(file, node);
                    Open::Change(ticket)
                })
            }
            Act::CreateDir { path } => self.tree.create_dir(&path).ok().map(Open::Change),
            Act::Rename { from, to } => self.tree.rename(&from, &to).ok().map(Open::Change),
            Act::Remove { path, is_dir } => self.tree.remove(&path, is_dir).ok().map(Open::Change),
            Act::SyncDir { path } => self.tree.dir(&path).ok().map(|dir| {
                let covered = dir.borrow_mut().ledger().completed();
                Open::SyncDir(dir, covered)
            }),
            Act::Write { file, position, data } => {
                self.change(file, Change::Write { position, data })
            }
            Act::SetLen { file, len } => self.change(file, Change::SetLen(len)),
            Act::Allocate { file, len } => self.change(file, Change::Allocate(len)),
            Act::Sync { file } => self.files.get(&file).map(|node| {
                let covered = node.borrow_mut().ledger().completed();
                Open::Sync(Rc::clone(node), covered)
            }),
        };
        match open {
            Some(open) => {
                self.open.insert(place, open);
            }
            None => assert!(failed, "event {place} succeeded and does not fit those before it"),
        }
    }

    fn change(&mut self, file: FileId, change: Change) -> Option<Open> {
        let node = self.files.get(&file)?;
        let id = node.borrow_mut().change(change);
        Some(Open::Change(Ticket::File(Rc::clone(node), id)))
    }

    fn finish(&mut self, begun: usize, ok: bool) {
        match (self.open.remove(&begun), ok) {
            (Some(Open::Change(ticket)), true) => ticket.complete(),
            (Some(Open::Sync(file, covered)), true) => file.borrow_mut().sync(&covered),
            (Some(Open::Sync(file, _)), false) => file.borrow_mut().fail_sync(),
            (Some(Open::SyncDir(dir, covered)), true) => DirNode::sync(&dir, &covered),
            (Some(Open::SyncDir(dir, _)), false) => dir.borrow_mut().fail_sync(),
            (Some(Open::Change(_)) | None, _) => {}
        }
    }
}

impl fmt::Debug for Replay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Replay(at {} of {} events)", self.next, self.len())
    }
}
