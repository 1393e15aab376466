//! Kafka's `.lock` in a data directory: whoever holds it is the only one that writes there.
//!
//! Kafka locks it the POSIX way (Java's `FileChannel.tryLock` is `fcntl` with `F_SETLK`), which no `flock`
//! excludes and which a second lock of the same process does not, either. So both are taken.

use std::fs::{File, OpenOptions};
use std::path::Path;

use rustix::fs::{FlockOperation, fcntl_lock};

const NAME: &str = ".lock";

/// The directory is ours until this is dropped.
#[derive(Debug)]
pub(crate) struct DirectoryLock {
    /// A POSIX lock goes when its process closes any descriptor of the file: nobody else in this
    /// program opens it while this is held.
    _file: File,
}

/// Takes the lock, so that no second broker, ours or Kafka, starts on the directory.
pub(crate) fn lock(dir: &Path) -> Result<DirectoryLock, String> {
    let path = dir.join(NAME);
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .open(&path)
        .map_err(|error| format!("cannot open {}: {error}", path.display()))?;
    if file.try_lock().is_ok()
        && fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive).is_ok()
    {
        return Ok(DirectoryLock { _file: file });
    }
    Err(format!(
        "{} is in use: another broker runs on this directory; stop it first",
        dir.display()
    ))
}

/// Whether a broker runs on `dir`, as far as its lock file says. Changes nothing.
pub(crate) fn is_in_use(dir: &Path) -> bool {
    File::open(dir.join(NAME)).is_ok_and(|file| {
        file.try_lock_shared().is_err()
            || fcntl_lock(&file, FlockOperation::NonBlockingLockShared).is_err()
    })
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Write};
    use std::process::{Command, Stdio};

    use super::*;

    const HELD_DIR: &str = "EVENKEEL_TEST_HELD_DIR";

    /// The other process: holds the lock as Java does until its input ends. Does nothing when the
    /// variable is not set.
    #[test]
    fn another_process_holds_the_lock() {
        let Some(dir) = std::env::var_os(HELD_DIR) else { return };
        let path = Path::new(&dir).join(NAME);
        let file = OpenOptions::new().write(true).open(path).expect("the lock file");
        fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive).expect("nobody holds it");
        let mut out = std::io::stdout();
        writeln!(out, "\nheld").expect("a reader");
        out.flush().expect("a reader");
        std::io::stdin().lines().for_each(drop);
    }

    #[test]
    fn a_directory_that_kafka_runs_on_is_in_use() {
        let dir = tempfile::tempdir().expect("a directory");
        drop(lock(dir.path()).expect("nobody holds it"));
        let this = std::env::current_exe().expect("a test binary");
        let mut other = Command::new(this)
            .args(["--exact", "--nocapture"])
            .arg("directory_lock::tests::another_process_holds_the_lock")
            .env(HELD_DIR, dir.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("it starts");
        let mut lines = BufReader::new(other.stdout.take().expect("piped")).lines();
        let held = lines.by_ref().map_while(Result::ok).any(|line| line.ends_with("held"));
        assert!(held, "the other process ended");
        assert!(is_in_use(dir.path()));
        let why = lock(dir.path()).expect_err("held by another process");
        assert!(why.contains("in use"), "{why}");
        drop(other.stdin.take());
        lines.for_each(drop);
        assert!(other.wait().expect("it ends").success());
        assert!(!is_in_use(dir.path()));
        assert!(lock(dir.path()).is_ok());
    }
}
