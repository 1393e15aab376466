//! The pure rules of what a power cut may leave: a tree of directories and files of which each
//! knows its current state, its durable state and the changes between. Owns no clock, no fault
//! and no task. The simulated disk and the recording both stand on it.

mod chance;
mod content;
mod contents;
mod dir;
mod file;
mod ledger;
mod losses;

use std::cell::Cell;
use std::io::ErrorKind;
use std::path::{Component, Path};
use std::rc::Rc;

use crate::sim::rng::mix;
use crate::{Entry, OpenMode, Stat};
use chance::Chance;
use content::Content;
pub use contents::Contents;
pub(crate) use dir::{DirNode, DirRef, Node};
use dir::{Names, Update};
pub(crate) use file::{Change, FileNode, FileRef, SECTOR};
pub use losses::Losses;

/// A directory tree on a device that can lose power.
#[derive(Debug)]
pub(crate) struct Tree {
    root: DirRef,
    next_uid: Cell<u64>,
}

/// A change that took effect and that its caller was not told of yet.
#[derive(Debug)]
#[must_use]
pub(crate) enum Ticket {
    Nothing,
    File(FileRef, u64),
    Dirs(Vec<(DirRef, u64)>),
}

impl Ticket {
    /// The caller is told: a sync called from now on covers the change.
    pub(crate) fn complete(self) {
        match self {
            Ticket::Nothing => {}
            Ticket::File(file, id) => file.borrow_mut().ledger().complete(id),
            Ticket::Dirs(updates) => {
                for (dir, id) in updates {
                    dir.borrow_mut().ledger().complete(id);
                }
            }
        }
    }
}

/// The names on the way from the root to `path`.
///
/// # Panics
/// If `path` leaves the root or is not text: a mistake of the caller.
fn names(path: &Path) -> Vec<&str> {
    path.components()
        .filter(|component| !matches!(component, Component::CurDir))
        .map(|component| match component {
            Component::Normal(name) => name.to_str().expect("paths on the seam are text"),
            _ => panic!("the path {} is not relative to the root of the disk", path.display()),
        })
        .collect()
}

impl Tree {
    pub(crate) fn new() -> Tree {
        Tree { root: DirNode::of(0, Names::new()), next_uid: Cell::new(1) }
    }

    /// The same tree under another handle.
    pub(crate) fn share(&self) -> Tree {
        Tree { root: Rc::clone(&self.root), next_uid: self.next_uid.clone() }
    }

    fn uid(&self) -> u64 {
        let uid = self.next_uid.get();
        self.next_uid.set(uid + 1);
        uid
    }

    fn new_file(&self) -> FileRef {
        let uid = self.uid();
        FileNode::of(uid, Content::new(mix(uid ^ 0x5C4A_3B1E)))
    }

    pub(crate) fn find(&self, path: &Path) -> Option<Node> {
        let mut node = Node::Dir(Rc::clone(&self.root));
        for name in names(path) {
            let Node::Dir(dir) = &node else { return None };
            let next = dir.borrow().current().get(name).cloned()?;
            node = next;
        }
        Some(node)
    }

    pub(crate) fn dir(&self, path: &Path) -> Result<DirRef, ErrorKind> {
        match self.find(path) {
            Some(Node::Dir(dir)) => Ok(dir),
            Some(Node::File(_)) => Err(ErrorKind::NotADirectory),
            None => Err(ErrorKind::NotFound),
        }
    }

    /// The directory of `path` and the name in it.
    fn place<'a>(&self, path: &'a Path) -> Result<(DirRef, &'a str), ErrorKind> {
        let name = names(path).pop().ok_or(ErrorKind::InvalidInput)?;
        Ok((self.dir(path.parent().unwrap_or(Path::new("")))?, name))
    }

    /// Whether opening `path` in `mode` would create a file.
    pub(crate) fn would_create(&self, path: &Path, mode: OpenMode) -> bool {
        mode.create && self.find(path).is_none()
    }

    pub(crate) fn open(&self, path: &Path, mode: OpenMode) -> Result<(FileRef, Ticket), ErrorKind> {
        match self.find(path) {
            Some(Node::Dir(_)) => Err(ErrorKind::IsADirectory),
            Some(Node::File(_)) if mode.create && mode.exclusive => Err(ErrorKind::AlreadyExists),
            Some(Node::File(file)) => Ok((file, Ticket::Nothing)),
            None if mode.create => {
                let (dir, name) = self.place(path)?;
                let file = self.new_file();
                let ticket = put(&dir, name, Node::File(Rc::clone(&file)));
                Ok((file, ticket))
            }
            None => Err(ErrorKind::NotFound),
        }
    }

    pub(crate) fn create_dir(&self, path: &Path) -> Result<Ticket, ErrorKind> {
        match self.find(path) {
            Some(_) => Ok(Ticket::Nothing),
            None => {
                let (dir, name) = self.place(path)?;
                Ok(put(&dir, name, Node::Dir(DirNode::of(self.uid(), Names::new()))))
            }
        }
    }

    pub(crate) fn rename(&self, from: &Path, to: &Path) -> Result<Ticket, ErrorKind> {
        let (from_dir, from_name) = self.place(from)?;
        let (to_dir, to_name) = self.place(to)?;
        let node = self.find(from).ok_or(ErrorKind::NotFound)?;
        match (&node, self.find(to)) {
            (_, Some(there)) if there.is(&node) => return Ok(Ticket::Nothing),
            (Node::File(_), Some(Node::Dir(_))) => return Err(ErrorKind::IsADirectory),
            (Node::Dir(_), Some(Node::File(_))) => return Err(ErrorKind::NotADirectory),
            (Node::Dir(_), Some(Node::Dir(there))) if !there.borrow().current().is_empty() => {
                return Err(ErrorKind::DirectoryNotEmpty);
            }
            _ => {}
        }
        let (from_name, to_name) = (from_name.to_owned(), to_name.to_owned());
        if Rc::ptr_eq(&from_dir, &to_dir) {
            let update = Update::Rename { from: from_name, to: to_name, node };
            let id = from_dir.borrow_mut().update(update);
            return Ok(Ticket::Dirs(vec![(from_dir, id)]));
        }
        let put = Update::Put { name: to_name, node: node.clone() };
        let put = to_dir.borrow_mut().update(put);
        let into = Rc::downgrade(&to_dir);
        let out = Update::MoveOut { name: from_name, node, into, put };
        let out = from_dir.borrow_mut().update(out);
        Ok(Ticket::Dirs(vec![(to_dir, put), (from_dir, out)]))
    }

    /// Removes a file, or an empty directory if `is_dir`.
    pub(crate) fn remove(&self, path: &Path, is_dir: bool) -> Result<Ticket, ErrorKind> {
        let (dir, name) = self.place(path)?;
        let node = self.find(path).ok_or(ErrorKind::NotFound)?;
        match &node {
            Node::File(_) if is_dir => return Err(ErrorKind::NotADirectory),
            Node::Dir(_) if !is_dir => return Err(ErrorKind::IsADirectory),
            Node::Dir(gone) if !gone.borrow().current().is_empty() => {
                return Err(ErrorKind::DirectoryNotEmpty);
            }
            _ => {}
        }
        let id = dir.borrow_mut().update(Update::Remove { name: name.to_owned(), node });
        Ok(Ticket::Dirs(vec![(dir, id)]))
    }

    pub(crate) fn list(&self, path: &Path) -> Result<Vec<Entry>, ErrorKind> {
        let dir = self.dir(path)?;
        let dir = dir.borrow();
        let entry = |(name, node): (&String, &Node)| Entry {
            name: name.clone(),
            is_dir: matches!(node, Node::Dir(_)),
        };
        Ok(dir.current().iter().map(entry).collect())
    }

    pub(crate) fn stat(&self, path: &Path) -> Option<Stat> {
        Some(match self.find(path)? {
            Node::Dir(_) => Stat { is_dir: true, len: 0 },
            Node::File(file) => Stat { is_dir: false, len: file.borrow().current().len() },
        })
    }

    /// Bytes that the files take, each in whole pages.
    pub(crate) fn used_bytes(&self) -> u64 {
        fn of(dir: &DirRef) -> u64 {
            let bytes = |node: &Node| match node {
                Node::Dir(dir) => of(dir),
                Node::File(file) => file.borrow().current().len().next_multiple_of(4096),
            };
            dir.borrow().current().values().map(bytes).sum()
        }
        of(&self.root)
    }

    /// The process is gone: what took effect is as good as told.
    pub(crate) fn complete_all(&self) {
        fn complete(dir: &DirRef) {
            dir.borrow_mut().ledger().complete_all();
            for node in dir.borrow().current().values() {
                match node {
                    Node::Dir(dir) => complete(dir),
                    Node::File(file) => file.borrow_mut().ledger().complete_all(),
                }
            }
        }
        complete(&self.root);
    }

    /// A tree that a power cut now may leave: one of many, chosen by `seed`. And what it took.
    pub(crate) fn survivor(&self, seed: u64) -> (Tree, Losses) {
        fn copy(to: &Tree, dir: &DirRef, chance: &Chance, losses: &mut Losses) -> Names {
            let mut left = Names::new();
            for (name, node) in dir.borrow().survivor(chance, losses) {
                let node = match node {
                    Node::Dir(dir) => {
                        Node::Dir(DirNode::of(to.uid(), copy(to, &dir, chance, losses)))
                    }
                    Node::File(file) => {
                        let content = file.borrow().survivor(chance, losses);
                        Node::File(FileNode::of(to.uid(), content))
                    }
                };
                left.insert(name, node);
            }
            left
        }
        let mut tree = Tree::new();
        let mut losses = Losses::default();
        let names = copy(&tree, &self.root, &Chance::new(seed), &mut losses);
        tree.root = DirNode::of(0, names);
        (tree, losses)
    }

    /// What the process sees, as plain data.
    pub(crate) fn contents(&self) -> Contents {
        fn add(contents: &mut Contents, path: &Path, dir: &DirRef) {
            for (name, node) in dir.borrow().current() {
                let path = path.join(name);
                match node {
                    Node::Dir(dir) => {
                        add(contents, &path, dir);
                        contents.dirs.insert(path);
                    }
                    Node::File(file) => {
                        contents.files.insert(path, file.borrow().current().to_vec());
                    }
                }
            }
        }
        let mut contents = Contents::default();
        add(&mut contents, Path::new(""), &self.root);
        contents
    }

    /// A tree of `contents` of which everything is durable.
    ///
    /// # Panics
    /// If a parent of a directory or file is missing from it.
    pub(crate) fn of(contents: &Contents) -> Tree {
        let mut tree = Tree::new();
        for dir in &contents.dirs {
            tree.create_dir(dir).expect("parents sort before their children").complete();
        }
        for (path, bytes) in &contents.files {
            let (file, ticket) = tree.open(path, OpenMode::create()).expect("its parent is there");
            ticket.complete();
            file.borrow_mut().change(Change::SetLen(bytes.len() as u64));
            file.borrow_mut().change(Change::Write { position: 0, data: bytes[..].into() });
        }
        tree.settle();
        tree
    }

    /// Makes everything durable.
    fn settle(&mut self) {
        fn settle(dir: &DirRef) {
            dir.borrow_mut().ledger().complete_all();
            let covered = dir.borrow_mut().ledger().completed();
            DirNode::sync(dir, &covered);
            for node in dir.borrow().current().values() {
                match node {
                    Node::Dir(dir) => settle(dir),
                    Node::File(file) => {
                        let mut file = file.borrow_mut();
                        file.ledger().complete_all();
                        let covered = file.ledger().completed();
                        file.sync(&covered);
                    }
                }
            }
        }
        settle(&self.root);
    }
}

fn put(dir: &DirRef, name: &str, node: Node) -> Ticket {
    let id = dir.borrow_mut().update(Update::Put { name: name.to_owned(), node });
    Ticket::Dirs(vec![(Rc::clone(dir), id)])
}
