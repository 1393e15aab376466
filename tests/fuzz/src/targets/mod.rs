//! What is done with arbitrary bytes. A target panics if a crate breaks a promise of its documentation;
//! errors are what bad bytes deserve.

mod index;
mod journal;
mod record;
mod wire;

pub use self::index::index;
pub use self::journal::{compact, journal};
pub use self::record::record;
pub use self::wire::wire;

/// Takes a byte off the front; 0 at the end.
fn take(data: &mut &[u8]) -> u8 {
    match data.split_first() {
        Some((first, rest)) => {
            *data = rest;
            *first
        }
        None => 0,
    }
}
