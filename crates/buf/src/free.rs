//! Blocks that came home and wait to be used again.

use std::collections::BTreeMap;

use crate::block::Memory;

/// Free blocks by the bytes that they have addresses for. How many are kept is the pool's decision.
#[derive(Default)]
pub(crate) struct FreeBlocks {
    blocks: BTreeMap<usize, Vec<Memory>>,
    bytes: usize,
}

impl FreeBlocks {
    /// Bytes of all of them.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether there is one of exactly `capacity` bytes.
    pub(crate) fn has(&self, capacity: usize) -> bool {
        self.blocks.contains_key(&capacity)
    }

    pub(crate) fn put(&mut self, memory: Memory) {
        self.bytes += memory.most();
        self.blocks.entry(memory.most()).or_default().push(memory);
    }

    /// One of exactly `capacity` bytes.
    pub(crate) fn take(&mut self, capacity: usize) -> Option<Memory> {
        let same = self.blocks.get_mut(&capacity)?;
        let memory = same.pop();
        if same.is_empty() {
            self.blocks.remove(&capacity);
        }
        if memory.is_some() {
            self.bytes -= capacity;
        }
        memory
    }

    /// Gives blocks back to the system, the largest first, until at most `bytes` are kept.
    pub(crate) fn cut_to(&mut self, bytes: usize) {
        while bytes < self.bytes {
            let Some(mut largest) = self.blocks.last_entry() else { return };
            self.bytes -= *largest.key();
            drop(largest.get_mut().pop());
            if largest.get().is_empty() {
                largest.remove();
            }
        }
    }
}
