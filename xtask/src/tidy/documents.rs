//! The rules about documents: crate READMEs, licence, acceptance, and that the generated tables
//! name every scenario there is.

use std::fs;
use std::path::Path;

use kit::Outcome;

use super::{Violation, acceptance};

/// The longest example of a crate's README, in lines.
const EXAMPLE_LINES_MAX: usize = 60;

const INCLUDE: &str = "#![doc = include_str!(\"../README.md\")]";

/// Every violation in the documents of the workspace at `root`.
///
/// # Errors
/// When a directory cannot be read.
pub(crate) fn check(root: &Path) -> Outcome<Vec<Violation>> {
    let mut found = Vec::new();
    let read = |name: &str| fs::read_to_string(root.join(name)).unwrap_or_default();
    found.extend(acceptance::check("docs/acceptance.md", &read("docs/acceptance.md")));
    found.extend(license(&read("LICENSE")));
    for page in ["README.md", "ARCHITECTURE.md", "STYLE.md", "CONTRIBUTING.md", "docs/glossary.md"]
    {
        if read(page).trim().is_empty() {
            found.push(Violation::new(page, 0, "readme", "the page is missing"));
        }
    }
    for directory in directories(&root.join("crates"))? {
        let path = format!("crates/{directory}");
        let library = read(&format!("{path}/src/lib.rs"));
        if !library.is_empty() {
            found.extend(crate_readme(&path, &library, &read(&format!("{path}/README.md"))));
        }
    }
    let scenarios = stems(&root.join("deploy/perf"), "toml")?;
    found.extend(generated("docs/performance.md", &read("docs/performance.md"), &scenarios));
    Ok(found)
}

fn license(text: &str) -> Option<Violation> {
    let apache = text.contains("Apache License") && text.contains("Version 2.0, January 2004");
    (!apache).then(|| Violation::new("LICENSE", 0, "license", "it is not Apache-2.0"))
}

/// The README of a library crate is its documentation and holds one example of bounded length.
fn crate_readme(path: &str, library: &str, readme: &str) -> Vec<Violation> {
    let mut found = Vec::new();
    let page = format!("{path}/README.md");
    let mut report = |path: &str, line, what: String| {
        found.push(Violation::new(path, line, "readme", what));
    };
    if !library.contains(INCLUDE) {
        report(&format!("{path}/src/lib.rs"), 1, format!("the README is not its docs: {INCLUDE}"));
    }
    let examples = examples(readme);
    if examples.is_empty() {
        report(&page, 0, "no example that rustdoc runs".to_owned());
    }
    for (line, lines) in examples {
        if lines > EXAMPLE_LINES_MAX {
            report(
                &page,
                line,
                format!("an example of {lines} lines, at most {EXAMPLE_LINES_MAX}"),
            );
        }
    }
    found
}

/// First line and length of each fenced block that rustdoc compiles and runs.
fn examples(readme: &str) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    let mut open: Option<(usize, bool)> = None;
    for (place, line) in readme.lines().enumerate() {
        let Some(language) = line.trim_start().strip_prefix("```") else { continue };
        open = match open {
            None => Some((place, matches!(language.trim(), "" | "rust"))),
            Some((start, runs)) => {
                if runs {
                    found.push((start + 1, place - start - 1));
                }
                None
            }
        };
    }
    found
}

/// A generated table that exists names every scenario there is, so that none is left out.
fn generated(path: &str, text: &str, scenarios: &[String]) -> Vec<Violation> {
    if text.is_empty() {
        return Vec::new();
    }
    scenarios
        .iter()
        .filter(|scenario| !text.contains(&format!("`{scenario}`")))
        .map(|scenario| {
            let what = format!("scenario `{scenario}` is not in it: run `cargo xtask perf`");
            Violation::new(path, 0, "generated", what)
        })
        .collect()
}

fn directories(parent: &Path) -> Outcome<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(parent)? {
        let entry = entry?;
        if entry.path().is_dir() {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    names.sort();
    Ok(names)
}

fn stems(directory: &Path, extension: &str) -> Outcome<Vec<String>> {
    let mut names = Vec::new();
    if directory.is_dir() {
        for entry in fs::read_dir(directory)? {
            let path = entry?.path();
            if path.extension().is_some_and(|found| found == extension) {
                names.extend(path.file_stem().map(|stem| stem.to_string_lossy().into_owned()));
            }
        }
    }
    names.sort();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "# A crate\n\n```\nassert!(true);\n```\n";

    #[test]
    fn a_crate_with_its_readme_as_docs_is_in_order() {
        assert_eq!(crate_readme("crates/a", INCLUDE, GOOD), []);
    }

    #[test]
    fn a_crate_that_does_not_include_its_readme_is_caught() {
        assert_eq!(crate_readme("crates/a", "//! Docs.\n", GOOD).len(), 1);
    }

    #[test]
    fn a_readme_without_a_running_example_is_caught() {
        assert_eq!(crate_readme("crates/a", INCLUDE, "# A crate\n").len(), 1);
        assert_eq!(crate_readme("crates/a", INCLUDE, "```text\na drawing\n```\n").len(), 1);
        assert_eq!(crate_readme("crates/a", INCLUDE, "```ignore\nf();\n```\n").len(), 1);
    }

    #[test]
    fn an_example_of_61_lines_is_caught() {
        let example = |lines: usize| format!("```rust\n{}```\n", "f();\n".repeat(lines));
        assert_eq!(crate_readme("crates/a", INCLUDE, &example(60)), []);
        assert_eq!(crate_readme("crates/a", INCLUDE, &example(61)).len(), 1);
    }

    #[test]
    fn another_licence_is_caught() {
        assert!(license("MIT License").is_some());
        assert!(license("Apache License\n Version 2.0, January 2004").is_none());
    }

    #[test]
    fn a_scenario_that_is_left_out_of_the_numbers_is_caught() {
        let scenarios = ["idle".to_owned(), "start-up".to_owned()];
        assert_eq!(generated("docs/performance.md", "| `idle` | `start-up` |", &scenarios), []);
        assert_eq!(generated("docs/performance.md", "| `idle` |", &scenarios).len(), 1);
        assert_eq!(generated("docs/performance.md", "", &scenarios), []);
    }

    #[test]
    fn a_missing_page_is_caught() {
        let root = tempfile::tempdir().expect("a temporary directory");
        fs::create_dir(root.path().join("crates")).expect("made");
        let found = check(root.path()).expect("it can be read");
        assert!(found.iter().any(|one| one.path == "STYLE.md"));
    }
}
