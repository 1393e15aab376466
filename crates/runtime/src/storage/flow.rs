//! What goes to the kernel next, and what it is charged for.

use std::os::fd::{AsFd, AsRawFd};
use std::rc::Rc;

use env::Group;
use io_uring::{opcode, types};
use sched::device::Kind;

use super::file::OpenFile;
use super::ring::Inner;
use super::slot::{Class, Groups, Keep, Slot, Work};
use crate::shares::{Count, Table};

/// Flushes with the kernel at a time.
const SYNCS_MAX: u32 = 16;
/// Background flushes with the kernel at a time.
const BACKGROUND_SYNCS_MAX: u32 = 1;

impl Inner {
    pub(super) fn next_ready(&mut self) -> Option<u32> {
        if let Some(slot) = self.ready.pop_front() {
            return Some(slot);
        }
        if self.syncs_in_flight < SYNCS_MAX {
            if let Some(file) = self.syncs[0].pop_front() {
                return Some(self.sync_slot(file, Class::ForegroundSync));
            }
            if self.background_syncs_in_flight < BACKGROUND_SYNCS_MAX
                && let Some(file) = self.syncs[1].pop_front()
            {
                return Some(self.sync_slot(file, Class::BackgroundSync));
            }
        }
        let admitted = self.admission.admit()?;
        u32::try_from(admitted.id).ok()
    }

    fn sync_slot(&mut self, file: Rc<OpenFile>, class: Class) -> u32 {
        let groups = file.issue_sync();
        let entry = opcode::Fsync::new(types::Fd(file.as_fd().as_raw_fd()))
            .flags(types::FsyncFlags::DATASYNC)
            .build();
        self.new_slot(entry, Keep::Sync(file, groups), class, true)
    }

    pub(super) fn note_issue(&mut self, slot: u32, now_ns: u64) {
        self.counters.issued += 1;
        let slot = &mut self.slots[slot as usize];
        slot.issued_ns = now_ns;
        if matches!(slot.keep, Keep::Sync(..)) {
            self.counters.syncs += 1;
            self.syncs_in_flight += 1;
        }
        match slot.class {
            Class::Plain => {}
            Class::Foreground(_) | Class::ForegroundSync => {
                let is_quiet =
                    self.admission.in_flight_bytes() == 0 && self.background_syncs_in_flight == 0;
                slot.quiet_since = is_quiet.then_some(self.background_issued);
                self.admission.window_mut().foreground_starts(now_ns);
            }
            Class::Background(_) => {
                self.background_issued += 1;
                let most = &mut self.counters.background_most_bytes;
                *most = (*most).max(self.admission.in_flight_bytes());
                let window = &mut self.counters.window_most_bytes;
                *window = (*window).max(self.admission.window().bytes());
            }
            Class::BackgroundSync => {
                self.background_issued += 1;
                self.background_syncs_in_flight += 1;
            }
        }
    }

    pub(super) fn note_end(&mut self, slot: u32, now_ns: u64) {
        let slot = &self.slots[slot as usize];
        if matches!(slot.keep, Keep::Sync(..)) {
            self.syncs_in_flight -= 1;
        }
        charge(&self.remote.groups, slot, |kind, bytes| self.model.cost_ns(kind, bytes));
        let is_quiet = slot.quiet_since == Some(self.background_issued);
        let latency_ns = now_ns.saturating_sub(slot.started_ns);
        let window = self.admission.window_mut();
        match slot.class {
            Class::Plain => {}
            Class::Foreground(work) => {
                window.foreground_ended(work.kind, work.bytes, latency_ns, is_quiet);
            }
            Class::ForegroundSync => {
                window.foreground_ended(Kind::Sync, 0, latency_ns, is_quiet);
            }
            Class::Background(work) => self.admission.complete(work.bytes),
            Class::BackgroundSync => self.background_syncs_in_flight -= 1,
        }
    }
}

/// Charges the groups that an operation was for. A flush is divided among them.
fn charge(table: &Table, slot: &Slot, cost_ns: impl Fn(Kind, u64) -> u64) {
    let waited_ns = slot.issued_ns.saturating_sub(slot.started_ns);
    if let Keep::Sync(_, Groups(groups)) = slot.keep {
        let each_ns = cost_ns(Kind::Sync, 0) / u64::from(groups.count_ones().max(1));
        for group in Group::ALL.iter().filter(|group| groups & (1 << **group as u32) != 0) {
            let cell = table.cell(*group as usize);
            cell.add(Count::IoRequests, 1);
            cell.add(Count::IoDeviceNs, each_ns);
            cell.add(Count::IoWaitedNs, waited_ns);
        }
    } else if let Class::Foreground(work) | Class::Background(work) = slot.class {
        let Work { group, kind, bytes } = work;
        let cell = table.cell(group as usize);
        let count = if kind == Kind::Read { Count::IoReadBytes } else { Count::IoWrittenBytes };
        cell.add(Count::IoRequests, 1);
        cell.add(count, bytes);
        cell.add(Count::IoDeviceNs, cost_ns(kind, bytes));
        cell.add(Count::IoWaitedNs, waited_ns);
    }
}
