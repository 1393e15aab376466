//! One at a time, inside one shard.

use std::cell::Cell;

use env::sync::Signal;

/// Lets one task pass at a time; the others wait.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    taken: Cell<bool>,
    freed: Signal,
}

impl Gate {
    /// Waits until nobody holds the gate, and takes it. Dropping the future takes nothing.
    pub(crate) async fn pass(&self) -> Pass<'_> {
        loop {
            let seen = self.freed.seen();
            if !self.taken.replace(true) {
                return Pass { gate: self };
            }
            self.freed.after(seen).await;
        }
    }
}

/// The gate is held until this is dropped.
#[derive(Debug)]
pub(crate) struct Pass<'a> {
    gate: &'a Gate,
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        self.gate.taken.set(false);
        self.gate.freed.notify();
    }
}
