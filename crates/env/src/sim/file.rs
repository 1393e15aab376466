//! An open file of the simulated disk.

use std::fmt;
use std::path::Path;
use std::rc::Rc;

use buf::{Buffer, PAGE, Sealed};

use super::disk::{Call, Effect, SimDisk, hash_bytes};
use super::faults::{Errno, Op};
use super::rng::mix;
use super::tree::{Change, FileRef, SECTOR, Ticket};
use crate::{File, Group, IoFailure};

/// An open file of a [`SimDisk`].
#[derive(Clone)]
pub struct SimFile {
    disk: SimDisk,
    node: FileRef,
    path: Rc<Path>,
    direct: bool,
}

impl SimFile {
    pub(super) fn new(disk: SimDisk, node: FileRef, path: &Path, direct: bool) -> SimFile {
        SimFile { disk, node, path: path.into(), direct }
    }

    /// Panics unless a direct operation has the alignment that a real one needs.
    fn check_alignment(&self, op: &str, address: *const u8, len: usize, position: u64) {
        if !self.direct {
            return;
        }
        let path = self.path.display();
        let page = PAGE as u64;
        assert!(
            position.is_multiple_of(page),
            "direct {op} of {path}: the caller's position {position} is not a multiple of {PAGE}"
        );
        assert!(
            len.is_multiple_of(PAGE),
            "direct {op} of {path}: the caller's length {len} is not a multiple of {PAGE}"
        );
        assert!(
            len == 0 || address.addr().is_multiple_of(PAGE),
            "direct {op} of {path}: the caller's memory does not start at a multiple of {PAGE}"
        );
    }

    /// Submits a change of the length to `wanted(length)` bytes.
    async fn resize(
        &self,
        op: Op,
        change: Change,
        wanted: impl FnOnce(u64) -> u64 + 'static,
    ) -> Result<(), IoFailure> {
        let detail = match change {
            Change::SetLen(len) | Change::Allocate(len) => len,
            Change::Write { position, .. } => position,
        };
        let (node, path) = (Rc::clone(&self.node), Rc::clone(&self.path));
        let call = Call { op, path: &self.path, detail };
        self.disk
            .submit(call, move |device| {
                if !device.begin_mutation() {
                    return Effect::Cut;
                }
                let call = Call { op, path: &path, detail };
                if let Some(errno) = device.strike(call) {
                    return Effect::Told(Err(call.fails(errno)), Ticket::Nothing);
                }
                let len = node.borrow().current().len();
                if !device.has_room(len, wanted(len)) {
                    return Effect::Told(Err(call.fails(Errno::Enospc)), Ticket::Nothing);
                }
                let id = node.borrow_mut().change(change);
                Effect::Told(Ok(()), Ticket::File(node, id))
            })
            .await
    }
}

impl File for SimFile {
    fn alignment(&self) -> usize {
        if self.direct { PAGE } else { 1 }
    }

    async fn read_at(
        &self,
        into: Buffer,
        len: usize,
        position: u64,
        _group: Group,
    ) -> (Result<usize, IoFailure>, Buffer) {
        self.check_alignment("read", into.as_slice().as_ptr(), len, position);
        assert!(
            len <= into.capacity(),
            "read of {}: the caller wants {len} bytes into a buffer of {}",
            self.path.display(),
            into.capacity()
        );
        let (node, path) = (Rc::clone(&self.node), Rc::clone(&self.path));
        let detail = mix(position) ^ len as u64;
        let call = Call { op: Op::Read, path: &self.path, detail };
        let done = self.disk.submit(call, move |device| {
            let mut into = into;
            let call = Call { op: Op::Read, path: &path, detail };
            let result = match device.strike(call) {
                Some(errno) => Err(call.fails(errno)),
                None => {
                    let into = &mut into.as_mut_slice()[..len];
                    Ok(node.borrow().current().read(position, into))
                }
            };
            Effect::Told(Ok((result, into)), Ticket::Nothing)
        });
        done.await.expect("its failure is inside")
    }

    async fn write_at(&self, data: Sealed, position: u64, _: Group) -> Result<(), IoFailure> {
        self.check_alignment("write", data.as_ptr(), data.len(), position);
        let (node, path) = (Rc::clone(&self.node), Rc::clone(&self.path));
        let detail = mix(position) ^ hash_bytes(&data);
        let call = Call { op: Op::Write, path: &self.path, detail };
        self.disk
            .submit(call, move |device| {
                if !device.begin_mutation() {
                    return Effect::Cut;
                }
                let call = Call { op: Op::Write, path: &path, detail };
                let end = position + data.len() as u64;
                let full = || {
                    let len = node.borrow().current().len();
                    (!device.has_room(len, len.max(end))).then_some(Errno::Enospc)
                };
                let failed = device.strike(call).or_else(full);
                let written = match failed {
                    None => data.len(),
                    // What does not fit is not there; of what failed any part may be.
                    Some(Errno::Enospc) => 0,
                    Some(Errno::Eio) => {
                        (device.rng.index(data.len() / SECTOR + 2) * SECTOR).min(data.len())
                    }
                };
                let mut ticket = Ticket::Nothing;
                if written > 0 {
                    let data = data[..written].into();
                    let id = node.borrow_mut().change(Change::Write { position, data });
                    ticket = Ticket::File(Rc::clone(&node), id);
                }
                Effect::Told(failed.map_or(Ok(()), |errno| Err(call.fails(errno))), ticket)
            })
            .await
    }

    async fn sync(&self, _: Group) -> Result<(), IoFailure> {
        let (node, path) = (Rc::clone(&self.node), Rc::clone(&self.path));
        // What this sync must cover is what the callers were told of by now.
        let covered = node.borrow_mut().ledger().completed();
        let call = Call { op: Op::Sync, path: &self.path, detail: covered.len() as u64 };
        self.disk
            .submit(call, move |device| {
                if !device.begin_mutation() {
                    return Effect::Cut;
                }
                let call = Call { op: Op::Sync, path: &path, detail: 0 };
                if let Some(errno) = device.strike(call) {
                    node.borrow_mut().fail_sync();
                    return Effect::Told(Err(call.fails(errno)), Ticket::Nothing);
                }
                node.borrow_mut().sync(&covered);
                Effect::Told(Ok(()), Ticket::Nothing)
            })
            .await
    }

    async fn allocate(&self, len: u64) -> Result<(), IoFailure> {
        self.resize(Op::Allocate, Change::Allocate(len), move |now| now.max(len)).await
    }

    async fn set_len(&self, len: u64) -> Result<(), IoFailure> {
        // A longer length allocates nothing, so it always fits.
        self.resize(Op::SetLen, Change::SetLen(len), |now| now).await
    }

    async fn len(&self) -> Result<u64, IoFailure> {
        let (node, path) = (Rc::clone(&self.node), Rc::clone(&self.path));
        let call = Call { op: Op::Stat, path: &self.path, detail: 1 };
        self.disk
            .submit(call, move |device| {
                let call = Call { op: Op::Stat, path: &path, detail: 1 };
                let result = match device.strike(call) {
                    Some(errno) => Err(call.fails(errno)),
                    None => Ok(node.borrow().current().len()),
                };
                Effect::Told(result, Ticket::Nothing)
            })
            .await
    }
}

impl fmt::Debug for SimFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SimFile({})", self.path.display())
    }
}
