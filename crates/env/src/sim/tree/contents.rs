//! A directory tree as plain data.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// What is in a tree, as plain data. Paths are relative to the root, which is not listed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contents {
    /// Every directory.
    pub dirs: BTreeSet<PathBuf>,
    /// Every file with its bytes.
    pub files: BTreeMap<PathBuf, Vec<u8>>,
}

impl Contents {
    /// What is under the real directory `root`. Anything but directories and files fails with
    /// `InvalidData`.
    pub fn read_from(root: &Path) -> io::Result<Contents> {
        let mut contents = Contents::default();
        let mut left = vec![PathBuf::new()];
        while let Some(dir) = left.pop() {
            for entry in fs::read_dir(root.join(&dir))? {
                let entry = entry?;
                let path = dir.join(entry.file_name());
                let kind = entry.file_type()?;
                if kind.is_dir() {
                    contents.dirs.insert(path.clone());
                    left.push(path);
                } else if kind.is_file() {
                    contents.files.insert(path, fs::read(entry.path())?);
                } else {
                    return Err(io::ErrorKind::InvalidData.into());
                }
            }
        }
        Ok(contents)
    }

    /// Makes the real directory `root`, which must be there, hold exactly this. On an error any
    /// part may be there.
    pub fn write_to(&self, root: &Path) -> io::Result<()> {
        for entry in fs::read_dir(root)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                fs::remove_dir_all(entry.path())?;
            } else {
                fs::remove_file(entry.path())?;
            }
        }
        for dir in &self.dirs {
            fs::create_dir(root.join(dir))?;
        }
        for (path, bytes) in &self.files {
            fs::write(root.join(path), bytes)?;
        }
        Ok(())
    }
}
