//! What xtask says to the person who runs it.

use std::io::{self, Write};

/// Writes one line to standard output. A closed pipe (`| head`) is not our trouble.
pub fn say(line: impl AsRef<str>) {
    let mut out = io::stdout().lock();
    drop(writeln!(out, "{}", line.as_ref()));
    drop(out.flush());
}
