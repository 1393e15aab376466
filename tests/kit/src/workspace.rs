//! Where things are: the workspace, the cache for what tests download, the binary under test.

use std::env;
use std::path::{Path, PathBuf};

use crate::{Failure, Outcome};

/// The root of the workspace that this crate was built in.
pub fn workspace_root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).expect("the kit lives in tests/kit of the workspace").to_path_buf()
}

/// `target/NAME` of the workspace: what tests install stays there and is used again.
/// It does not follow `CARGO_TARGET_DIR`, so that every build of one checkout shares it.
pub fn cache_directory(name: &str) -> PathBuf {
    workspace_root().join("target").join(name)
}

/// The release binary under test: `EVENKEEL_BIN`, else `release/evenkeel` in the target directory.
///
/// # Errors
/// When there is no such file; the message says how to build it.
pub fn evenkeel_binary() -> Outcome<PathBuf> {
    if let Some(path) = env::var_os("EVENKEEL_BIN") {
        let path = PathBuf::from(path);
        if path.is_file() {
            return Ok(path);
        }
        return Err(Failure::new(format!("EVENKEEL_BIN={} is not a file", path.display())));
    }
    let target = env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| workspace_root().join("target"), PathBuf::from);
    let path = target.join("release").join("evenkeel");
    if path.is_file() {
        Ok(path)
    } else {
        Err(Failure::new(format!(
            "{} does not exist: run `cargo build --release --bin evenkeel`, or set EVENKEEL_BIN",
            path.display()
        )))
    }
}
