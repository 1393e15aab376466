//! Takes changes of shares that other threads asked for.

use std::rc::Rc;

use crate::exec::{Core, Station};
use crate::storage::StorageRing;

/// The part of a shard that puts changes of shares into force.
pub(crate) struct Steering {
    core: Rc<Core>,
    ring: Rc<StorageRing>,
}

impl Steering {
    pub(crate) fn new(core: &Rc<Core>, ring: &Rc<StorageRing>) -> Steering {
        Steering { core: Rc::clone(core), ring: Rc::clone(ring) }
    }
}

impl Station for Steering {
    fn collect(&self) -> bool {
        let groups = &self.core.remote().groups;
        if groups.is_behind() {
            groups.take_changes(|group, cpu, io| {
                self.core.set_shares(group, cpu);
                self.ring.set_shares(group, io);
            });
        }
        false
    }

    fn flush(&self) {}

    fn has_work(&self) -> bool {
        self.core.remote().groups.is_behind()
    }
}
