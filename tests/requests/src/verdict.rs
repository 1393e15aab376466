//! What a check says when something is not as it must be.

use std::fmt::Debug;

use kit::{Failure, Outcome};

/// Both must be equal.
///
/// # Errors
/// When they are not; the message has both.
pub fn same<T: PartialEq<W> + Debug, W: Debug>(found: T, wanted: W, what: &str) -> Outcome<()> {
    if found == wanted {
        return Ok(());
    }
    Err(Failure::new(format!("{what}: {found:?}, not {wanted:?}")))
}

/// `condition` must hold of `found`.
///
/// # Errors
/// When it does not.
pub fn holds<T: Debug>(condition: bool, found: T, what: &str) -> Outcome<()> {
    if condition { Ok(()) } else { Err(Failure::new(format!("not so: {what}: {found:?}"))) }
}
