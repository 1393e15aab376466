//! Whatever happens to the machine, what was acknowledged is replayed, in order, once, and nothing
//! that was not committed.

#![expect(clippy::unwrap_used, reason = "a test that fails may panic")]

mod faults;
mod model;
mod power;
mod run;
