//! `cargo xtask tidy`: the rules of the house that the compiler and clippy do not check.
//!
//! Each rule is a pure function from text (or from what `cargo metadata` says) to violations, with
//! a test that shows it catching one. This module walks the tree and puts them together.

mod acceptance;
mod documents;
mod layers;
mod names;
mod source;
mod unsafe_files;
mod words;

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use kit::{Failure, Outcome, workspace_root};

use crate::out::say;

/// What to check.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Rules: layers, size, header, name, word, ignore, unsafe, purity, readme, acceptance, license,
generated. A line of output is `path:line: rule: what is wrong and what to do`.

Examples:
  cargo xtask tidy
  cargo xtask tidy --quiet     violations only, no warnings")]
pub struct Options {
    /// Leave out the warnings (files over 400 lines).
    #[arg(long)]
    quiet: bool,
}

/// One place that breaks a rule.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Violation {
    /// The file, relative to the workspace.
    pub path: String,
    /// Line, from 1; 0 when the whole file is meant.
    pub line: usize,
    /// The rule's name.
    pub rule: &'static str,
    /// What is wrong and what to do.
    pub what: String,
    /// A warning does not fail the check.
    pub warning: bool,
}

impl Violation {
    fn new(path: &str, line: usize, rule: &'static str, what: impl Into<String>) -> Violation {
        Violation { path: path.to_owned(), line, rule, what: what.into(), warning: false }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Violation { path, line, rule, what, warning } = self;
        let kind = if *warning { "warning: " } else { "" };
        write!(f, "{path}:{line}: {kind}{rule}: {what}")
    }
}

/// Checks the workspace and says what it found.
///
/// # Errors
/// When a rule is broken, or the workspace cannot be read.
pub fn run(options: &Options) -> Outcome<()> {
    check_and_say(&workspace_root(), options.quiet)
}

/// As [`run`], on this workspace.
///
/// # Errors
/// When a rule is broken, or the workspace cannot be read.
pub fn check_and_say(root: &Path, quiet: bool) -> Outcome<()> {
    let found = check(root)?;
    let (warnings, errors): (Vec<_>, Vec<_>) = found.into_iter().partition(|one| one.warning);
    if !quiet {
        warnings.iter().for_each(|one| say(one.to_string()));
    }
    errors.iter().for_each(|one| say(one.to_string()));
    say(format!("tidy: {} broken, {} warnings", errors.len(), warnings.len()));
    if errors.is_empty() { Ok(()) } else { Err(Failure::new("a rule is broken")) }
}

/// Every violation in the workspace at `root`, sorted.
///
/// # Errors
/// When the workspace cannot be read or `cargo metadata` fails.
pub fn check(root: &Path) -> Outcome<Vec<Violation>> {
    let mut found = layers::check(&layers::read_workspace(root)?);
    for path in rust_files(root)? {
        let name = relative(root, &path);
        let text = fs::read_to_string(&path)?;
        found.extend(source::check(&name, &text));
    }
    found.extend(documents::check(root)?);
    found.sort();
    Ok(found)
}

fn relative(root: &Path, path: &Path) -> String {
    path.strip_prefix(root).unwrap_or(path).to_string_lossy().into_owned()
}

/// The directories that hold our source.
const SOURCE_DIRECTORIES: [&str; 3] = ["crates", "tests", "xtask"];

fn rust_files(root: &Path) -> Outcome<Vec<PathBuf>> {
    let mut files = Vec::new();
    for directory in SOURCE_DIRECTORIES {
        walk(&root.join(directory), &mut files)?;
    }
    files.sort();
    Ok(files)
}

fn walk(directory: &Path, files: &mut Vec<PathBuf>) -> Outcome<()> {
    if !directory.is_dir() {
        return Ok(());
    }
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() {
            // `target` is what cargo builds, `fixtures` and `corpus` are bytes.
            let name = path.file_name().unwrap_or_default();
            if name != "target" && name != "fixtures" && name != "corpus" {
                walk(&path, files)?;
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    Ok(())
}
