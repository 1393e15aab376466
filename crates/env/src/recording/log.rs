//! The events of a recording.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Contents;

/// A file of the recording: names change, this does not.
pub(super) type FileId = u64;

#[derive(Clone, Debug)]
pub(super) enum Act {
    Create { path: PathBuf, file: FileId },
    CreateDir { path: PathBuf },
    Rename { from: PathBuf, to: PathBuf },
    Remove { path: PathBuf, is_dir: bool },
    SyncDir { path: PathBuf },
    Write { file: FileId, position: u64, data: Arc<[u8]> },
    SetLen { file: FileId, len: u64 },
    Allocate { file: FileId, len: u64 },
    Sync { file: FileId },
}

#[derive(Clone, Debug)]
pub(super) enum Event {
    /// Submitted: from here on it may have taken effect. Its number is its place in the log.
    Begun(Act),
    /// The act at that place is over, as its caller is about to be told.
    Done { begun: usize, ok: bool },
}

#[derive(Debug)]
pub(super) struct Log {
    pub(super) base: Contents,
    pub(super) base_files: BTreeMap<PathBuf, FileId>,
    pub(super) events: Vec<Event>,
    /// Which file has which name now.
    names: BTreeMap<PathBuf, FileId>,
    next_file: FileId,
}

impl Log {
    pub(super) fn new(base: Contents) -> Log {
        let base_files: BTreeMap<PathBuf, FileId> = base.files.keys().cloned().zip(0..).collect();
        Log {
            next_file: base_files.len() as FileId,
            names: base_files.clone(),
            base,
            base_files,
            events: Vec::new(),
        }
    }

    /// The file of that name.
    pub(super) fn file(&self, path: &Path) -> Option<FileId> {
        self.names.get(path).copied()
    }

    /// A file that is about to be created.
    pub(super) fn new_file(&mut self, path: &Path) -> FileId {
        let file = self.next_file;
        self.next_file += 1;
        self.names.insert(path.to_path_buf(), file);
        file
    }

    /// `act` in words. A file is called what it was called last.
    pub(super) fn describe(&self, act: &Act) -> String {
        let name = |file: &FileId| {
            let named = self.names.iter().find(|(_, known)| *known == file);
            named.map_or(format!("removed file {file}"), |(path, _)| path.display().to_string())
        };
        match act {
            Act::Create { path, .. } => format!("create {}", path.display()),
            Act::CreateDir { path } => format!("create directory {}", path.display()),
            Act::Rename { from, to } => format!("rename {} to {}", from.display(), to.display()),
            Act::Remove { path, .. } => format!("remove {}", path.display()),
            Act::SyncDir { path } => format!("sync directory {:?}", path.display().to_string()),
            Act::Write { file, position, data } => {
                format!("write {} bytes at {position} of {}", data.len(), name(file))
            }
            Act::SetLen { file, len } => format!("set length {len} of {}", name(file)),
            Act::Allocate { file, len } => format!("allocate {len} of {}", name(file)),
            Act::Sync { file } => format!("sync {}", name(file)),
        }
    }

    pub(super) fn begin(&mut self, act: Act) -> usize {
        self.events.push(Event::Begun(act));
        self.events.len() - 1
    }

    pub(super) fn done(&mut self, begun: usize, ok: bool) {
        if let Event::Begun(act) = &self.events[begun] {
            match (act.clone(), ok) {
                (Act::Create { path, file }, false) if self.file(&path) == Some(file) => {
                    self.names.remove(&path);
                }
                (Act::Rename { from, to }, true) => self.rename(&from, &to),
                (Act::Remove { path, is_dir: false }, true) => {
                    self.names.remove(&path);
                }
                _ => {}
            }
        }
        self.events.push(Event::Done { begun, ok });
    }

    /// A file or a directory with all that is in it.
    fn rename(&mut self, from: &Path, to: &Path) {
        let moved: Vec<(PathBuf, FileId)> = self
            .names
            .iter()
            .filter(|(path, _)| path.starts_with(from))
            .map(|(path, file)| (path.clone(), *file))
            .collect();
        for (path, file) in moved {
            self.names.remove(&path);
            let rest = path.strip_prefix(from).expect("filtered");
            // Joining an empty rest would add a separator.
            let new = if rest == Path::new("") { to.to_path_buf() } else { to.join(rest) };
            self.names.insert(new, file);
        }
    }
}
