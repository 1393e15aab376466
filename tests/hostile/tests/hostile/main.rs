//! What no client should send, against the release binary (`EVENKEEL_BIN`, else `release/evenkeel` of the
//! target directory), while another client must stay served and memory must stay bounded.

mod batches;
mod bombs;
mod crowds;
mod frames;

use evenkeel_hostile::Besieged;

const MIB: u64 = 1 << 20;

/// A broker with little memory, so that a leak shows.
fn besieged() -> Besieged {
    Besieged::start(64).expect("the broker starts")
}
