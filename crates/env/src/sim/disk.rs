//! The simulated disk: the tree's rules, in virtual time, with faults and a power cut.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::io;
use std::path::Path;
use std::rc::Rc;

use super::engine::{Engine, Event, nanos};
use super::faults::{Errno, Fault, Op};
use super::file::SimFile;
use super::rng::{Rng, mix};
use super::tree::{Contents, DirNode, Losses, Ticket, Tree};
use super::{DiskOptions, SimOptions};
use crate::sync::oneshot;
use crate::{Disk, Entry, IoFailure, OpenMode, RootFence, Space, Stat};

/// The one disk of a simulation; every shard has a handle to it. See [`DiskOptions`] for what
/// it can do to its users.
#[derive(Clone)]
pub struct SimDisk {
    pub(super) engine: Rc<Engine>,
    pub(super) device: Rc<Device>,
}

pub(super) struct Device {
    pub(super) tree: Tree,
    options: DiskOptions,
    cut_after: Option<u64>,
    mutations: Cell<u64>,
    faults: RefCell<Vec<Fault>>,
    root_fence: RootFence,
    pub(super) rng: Rng,
}

/// What an operation did when its time came.
pub(super) enum Effect<T> {
    /// The power was cut instead. It will never complete.
    Cut,
    /// The caller will be told so.
    Told(Result<T, IoFailure>, Ticket),
}

/// An operation on a path.
#[derive(Clone, Copy)]
pub(super) struct Call<'a> {
    pub(super) op: Op,
    pub(super) path: &'a Path,
    /// Positions, lengths and data, for the trace.
    pub(super) detail: u64,
}

impl Call<'_> {
    pub(super) fn fails(self, errno: Errno) -> IoFailure {
        let error = io::Error::from_raw_os_error(errno.raw());
        IoFailure::new(self.op.name(), self.path, &error)
    }

    fn fails_as(self, kind: io::ErrorKind) -> IoFailure {
        IoFailure::of_kind(self.op.name(), self.path, kind)
    }
}

/// Folds bytes into a number.
pub(super) fn hash_bytes(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    let fold =
        |hash: u64, word: u64| (hash.rotate_left(5) ^ word).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let hash = words.iter().fold(bytes.len() as u64, |h, word| fold(h, u64::from_le_bytes(*word)));
    rest.iter().fold(hash, |h, byte| fold(h, u64::from(*byte)))
}

impl Device {
    pub(super) fn new(seed: u64, options: &SimOptions, tree: Tree) -> Device {
        Device {
            tree,
            options: options.disk.clone(),
            cut_after: options.cut_after_mutations,
            mutations: Cell::new(0),
            faults: RefCell::new(options.disk.faults.clone()),
            root_fence: RootFence::default(),
            rng: Rng::new(seed, 2),
        }
    }

    /// Counts a mutation that is about to take effect; false if the power goes first.
    pub(super) fn begin_mutation(&self) -> bool {
        if self.cut_after.is_some_and(|after| after <= self.mutations.get()) {
            return false;
        }
        self.mutations.set(self.mutations.get() + 1);
        true
    }

    pub(super) fn strike(&self, call: Call<'_>) -> Option<Errno> {
        let mut faults = self.faults.borrow_mut();
        // Every fault sees every call, so that one does not hide calls from the next.
        let strikes = faults.iter_mut().filter_map(|f| f.strikes(call.op, call.path, &self.rng));
        strikes.reduce(|first, _| first)
    }

    /// Whether the device has room for a file to grow from `len` to `wanted` bytes.
    pub(super) fn has_room(&self, len: u64, wanted: u64) -> bool {
        let page = buf::PAGE as u64;
        let more = wanted.next_multiple_of(page).saturating_sub(len.next_multiple_of(page));
        match self.options.bytes_max {
            Some(bytes_max) if more > 0 => self.tree.used_bytes() + more <= bytes_max,
            _ => true,
        }
    }

    pub(super) fn direct(&self) -> bool {
        self.options.direct
    }
}

impl SimDisk {
    /// Adds a fault that operations from now on may meet.
    pub fn inject(&self, fault: Fault) {
        self.device.faults.borrow_mut().push(fault);
    }

    /// From now on nothing fails.
    pub fn clear_faults(&self) {
        self.device.faults.borrow_mut().clear();
    }

    /// How many mutations took effect: writes, changes of a length, creations, renames,
    /// removals and flushes, failed ones included.
    #[must_use]
    pub fn mutations(&self) -> u64 {
        self.device.mutations.get()
    }

    /// Bytes that the files take, each in whole pages.
    #[must_use]
    pub fn used_bytes(&self) -> u64 {
        self.device.tree.used_bytes()
    }

    /// What a process sees in the tree now, for a test to look at. Not an operation: takes no
    /// time and cannot fail.
    #[must_use]
    pub fn contents(&self) -> Contents {
        self.device.tree.contents()
    }

    /// One of the trees that a power cut now may leave, chosen by `seed`; nothing is cut.
    #[must_use]
    pub fn survivor(&self, seed: u64) -> Contents {
        self.device.tree.survivor(seed).0.contents()
    }

    /// What it would take: the counts for [`survivor`](SimDisk::survivor) of the same seed.
    #[must_use]
    pub fn losses(&self, seed: u64) -> Losses {
        self.device.tree.survivor(seed).1
    }

    fn latency(&self, op: Op) -> u64 {
        let options = &self.device.options;
        let longest = nanos(options.latency_max);
        let longest = match op {
            Op::Sync | Op::SyncDir => longest * 4,
            _ => longest,
        };
        let stall = match options.stalls {
            Some(stalls) if self.engine.rng().per_mille(stalls.per_mille) => {
                self.engine.latency(nanos(stalls.longest))
            }
            _ => 0,
        };
        self.engine.latency(longest) + stall
    }

    /// Submits `effect`: it happens after some time, and is told after some more. Dropping the
    /// future changes nothing of that.
    pub(super) async fn submit<T: 'static>(
        &self,
        call: Call<'_>,
        effect: impl FnOnce(&Device) -> Effect<T> + 'static,
    ) -> Result<T, IoFailure> {
        let detail = mix(call.detail) ^ hash_bytes(call.path.as_os_str().as_encoded_bytes());
        let what = call.op as u64;
        self.engine.trace(what, detail);
        let (tell, told) = oneshot();
        let (until_effect, until_told) = (self.latency(call.op) / 2 + 1, self.latency(call.op) / 2);
        let (engine, device) = (Rc::clone(&self.engine), Rc::clone(&self.device));
        let happen = move || {
            engine.trace(what + 100, detail);
            match effect(&device) {
                Effect::Cut => engine.cut_now(),
                Effect::Told(result, ticket) => {
                    let complete = move || {
                        ticket.complete();
                        tell.send(result);
                    };
                    engine.after(until_told, Event::Run(Box::new(complete)));
                }
            }
        };
        self.engine.after(until_effect, Event::Run(Box::new(happen)));
        match told.await {
            Some(result) => result,
            // The run is over; whoever waits here is never told.
            None => std::future::pending().await,
        }
    }

    /// Submits an operation on names. `mutates` says whether it will change anything.
    async fn on_names<T: 'static>(
        &self,
        op: Op,
        path: &Path,
        mutates: impl FnOnce(&Tree) -> bool + 'static,
        effect: impl FnOnce(&Tree) -> Result<(T, Ticket), io::ErrorKind> + 'static,
    ) -> Result<T, IoFailure> {
        let owned = path.to_path_buf();
        self.submit(Call { op, path, detail: 0 }, move |device| {
            let call = Call { op, path: &owned, detail: 0 };
            if mutates(&device.tree) && !device.begin_mutation() {
                return Effect::Cut;
            }
            if let Some(errno) = device.strike(call) {
                return Effect::Told(Err(call.fails(errno)), Ticket::Nothing);
            }
            match effect(&device.tree) {
                Ok((value, ticket)) => Effect::Told(Ok(value), ticket),
                Err(kind) => Effect::Told(Err(call.fails_as(kind)), Ticket::Nothing),
            }
        })
        .await
    }
}

impl Disk for SimDisk {
    type File = SimFile;

    async fn open(&self, path: &Path, mode: OpenMode) -> Result<SimFile, IoFailure> {
        let (asked, opened) = (path.to_path_buf(), path.to_path_buf());
        let creates = move |tree: &Tree| tree.would_create(&asked, mode);
        let node = self.on_names(Op::Open, path, creates, move |tree| tree.open(&opened, mode));
        let node = node.await?;
        Ok(SimFile::new(self.clone(), node, path, mode.direct && self.device.direct()))
    }

    async fn create_dir(&self, path: &Path) -> Result<(), IoFailure> {
        let (asked, created) = (path.to_path_buf(), path.to_path_buf());
        let creates = move |tree: &Tree| tree.find(&asked).is_none();
        let create = move |tree: &Tree| Ok(((), tree.create_dir(&created)?));
        self.on_names(Op::CreateDir, path, creates, create).await
    }

    async fn rename(&self, from: &Path, to: &Path) -> Result<(), IoFailure> {
        let (old, new) = (from.to_path_buf(), to.to_path_buf());
        let rename = move |tree: &Tree| Ok(((), tree.rename(&old, &new)?));
        self.on_names(Op::Rename, from, |_| true, rename).await
    }

    async fn remove_file(&self, path: &Path) -> Result<(), IoFailure> {
        let gone = path.to_path_buf();
        let remove = move |tree: &Tree| Ok(((), tree.remove(&gone, false)?));
        self.on_names(Op::Remove, path, |_| true, remove).await
    }

    async fn remove_dir(&self, path: &Path) -> Result<(), IoFailure> {
        let gone = path.to_path_buf();
        let remove = move |tree: &Tree| Ok(((), tree.remove(&gone, true)?));
        self.on_names(Op::Remove, path, |_| true, remove).await
    }

    async fn list(&self, path: &Path) -> Result<Vec<Entry>, IoFailure> {
        let asked = path.to_path_buf();
        let list = move |tree: &Tree| Ok((tree.list(&asked)?, Ticket::Nothing));
        self.on_names(Op::List, path, |_| false, list).await
    }

    async fn stat(&self, path: &Path) -> Result<Option<Stat>, IoFailure> {
        let asked = path.to_path_buf();
        let stat = move |tree: &Tree| Ok((tree.stat(&asked), Ticket::Nothing));
        self.on_names(Op::Stat, path, |_| false, stat).await
    }

    /// Known if the simulated device has a size.
    async fn space(&self) -> Result<Option<Space>, IoFailure> {
        let Some(total_bytes) = self.device.options.bytes_max else { return Ok(None) };
        let space = move |tree: &Tree| {
            let usable_bytes = total_bytes.saturating_sub(tree.used_bytes());
            Ok((Some(Space { total_bytes, usable_bytes }), Ticket::Nothing))
        };
        self.on_names(Op::Stat, Path::new(""), |_| false, space).await
    }

    async fn sync_dir(&self, path: &Path) -> Result<(), IoFailure> {
        let call = Call { op: Op::SyncDir, path, detail: 0 };
        self.device.root_fence.check(path)?;
        // The updates that this sync must cover are those whose callers were told by now.
        let dir = self.device.tree.dir(path).map_err(|kind| call.fails_as(kind))?;
        let covered = dir.borrow_mut().ledger().completed();
        let owned = path.to_path_buf();
        let synced = self.submit(call, move |device| {
            if !device.begin_mutation() {
                return Effect::Cut;
            }
            let call = Call { op: Op::SyncDir, path: &owned, detail: 0 };
            if let Some(errno) = device.strike(call) {
                dir.borrow_mut().fail_sync();
                return Effect::Told(Err(call.fails(errno)), Ticket::Nothing);
            }
            DirNode::sync(&dir, &covered);
            Effect::Told(Ok(()), Ticket::Nothing)
        });
        self.device.root_fence.note(path, synced.await)
    }
}

impl fmt::Debug for SimDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimDisk").field("mutations", &self.mutations()).finish_non_exhaustive()
    }
}
