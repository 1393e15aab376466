//! Which package may depend on which. The table is the architecture: a new edge is a commit of its
//! own, with the reason.

use std::path::Path;
use std::process::Command;

use kit::{Failure, Outcome};
use serde_json::Value;

use super::Violation;

/// A package of the workspace as `cargo metadata` describes it.
#[derive(Debug, Clone)]
pub(crate) struct Package {
    /// Directory relative to the workspace: `crates/buf`.
    pub(crate) directory: String,
    pub(crate) dependencies: Vec<Dependency>,
}

/// One line of a `[dependencies]` table.
#[derive(Debug, Clone)]
pub(crate) struct Dependency {
    /// The package's name on the registry, or the directory of a workspace package.
    pub(crate) on: String,
    pub(crate) ours: bool,
    pub(crate) dev: bool,
}

/// The allowed edges between our packages. Development edges may reach these too, and the kit.
const EDGES: &[(&str, &[&str])] = &[
    ("crates/buf", &[]),
    ("crates/record", &["crates/buf"]),
    ("crates/env", &["crates/buf"]),
    ("crates/sched", &[]),
    ("crates/runtime", &["crates/buf", "crates/env", "crates/sched"]),
    ("crates/index", &["crates/buf", "crates/env", "crates/record"]),
    ("crates/segment", &["crates/buf", "crates/env", "crates/index", "crates/record"]),
    ("crates/journal", &["crates/buf", "crates/env", "crates/record"]),
    ("crates/partition", PARTITION),
    (
        "crates/compaction",
        &["crates/buf", "crates/env", "crates/index", "crates/record", "crates/segment"],
    ),
    ("crates/metadata", &["crates/record"]),
    ("crates/coordinator", &["crates/record"]),
    ("crates/wire", &["crates/buf"]),
    ("crates/admin", &[]),
    ("crates/broker", BROKER),
    ("crates/evenkeel", EVENKEEL),
    ("tests/kit", &[]),
    ("tests/conformance", &["tests/kit"]),
    ("tests/load", &["tests/kit"]),
    ("tests/crash", &["tests/kit"]),
    ("tests/hostile", &["tests/kit"]),
    ("tests/requests", &["tests/kit"]),
    ("tests/admin", &["crates/admin", "tests/kit"]),
    ("tests/fuzz_corpus", FUZZED),
    ("tests/sim", SIMULATION),
    ("tests/recorded", RECORDED),
    ("tests/reuse", &["crates/buf", "crates/env", "crates/record", "crates/segment"]),
    ("xtask", &["tests/kit"]),
];

const FUZZED: &[&str] =
    &["crates/buf", "crates/env", "crates/index", "crates/journal", "crates/record", "crates/wire"];

const PARTITION: &[&str] = &[
    "crates/buf",
    "crates/env",
    "crates/index",
    "crates/journal",
    "crates/record",
    "crates/segment",
];

const BROKER: &[&str] = &[
    "crates/buf",
    "crates/compaction",
    "crates/coordinator",
    "crates/env",
    "crates/index",
    "crates/journal",
    "crates/metadata",
    "crates/partition",
    "crates/record",
    "crates/sched",
    "crates/segment",
    "crates/wire",
];

const EVENKEEL: &[&str] = &[
    "crates/admin",
    "crates/broker",
    "crates/buf",
    "crates/compaction",
    "crates/coordinator",
    "crates/env",
    "crates/index",
    "crates/journal",
    "crates/metadata",
    "crates/partition",
    "crates/record",
    "crates/runtime",
    "crates/sched",
    "crates/segment",
    "crates/wire",
];

/// The simulation runs the broker in the simulated world: everything but the real one.
const SIMULATION: &[&str] = &[
    "crates/broker",
    "crates/buf",
    "crates/env",
    "crates/index",
    "crates/journal",
    "crates/metadata",
    "crates/partition",
    "crates/record",
    "crates/segment",
    "crates/wire",
    "tests/kit",
];

/// The recorded broker runs in the real world and is recovered in the simulated one.
const RECORDED: &[&str] =
    &["crates/broker", "crates/buf", "crates/env", "crates/runtime", "tests/sim"];

/// The plane, and what asks it from outside.
const ADMIN: &[&str] = &["crates/admin", "tests/admin"];

/// Foreign packages that only some of ours may name.
const OWNERS: &[(&str, &[&str])] = &[
    ("monoio", &["crates/runtime"]),
    ("io-uring", &["crates/runtime"]),
    ("libc", &["crates/runtime", "crates/evenkeel"]),
    ("tokio", ADMIN),
    ("tokio-util", ADMIN),
    ("tonic", ADMIN),
    ("prost", &["crates/admin"]),
    ("axum", &["crates/admin"]),
    ("hyper", &["crates/admin"]),
    ("prometheus-client", &["crates/admin"]),
    ("clap", &["crates/evenkeel", "tests/conformance", "tests/load", "xtask"]),
    ("toml", &["crates/evenkeel", "xtask"]),
    ("serde", &["crates/evenkeel", "tests/load", "xtask"]),
    ("kacrab-protocol", &["crates/wire", "tests/requests"]),
    ("rdkafka", &["tests/conformance", "tests/crash", "tests/load"]),
    ("anyhow", &[]),
];

/// Every edge that the table does not allow.
pub(crate) fn check(packages: &[Package]) -> Vec<Violation> {
    let mut found = Vec::new();
    for package in packages {
        let manifest = format!("{}/Cargo.toml", package.directory);
        let mut report = |what: String| found.push(Violation::new(&manifest, 0, "layers", what));
        let Some((_, edges)) = EDGES.iter().find(|(name, _)| *name == package.directory) else {
            report("this package is not in the table of xtask/src/tidy/layers.rs".to_owned());
            continue;
        };
        for dependency in &package.dependencies {
            let on = dependency.on.as_str();
            if dependency.ours {
                // A package's tests may reach the package itself with more features.
                let of_tests = on == "tests/kit" || on == package.directory;
                if !(edges.contains(&on) || dependency.dev && of_tests) {
                    report(format!("it may not depend on {on}"));
                }
            } else if let Some((_, owners)) = OWNERS.iter().find(|(name, _)| *name == on)
                && !owners.contains(&package.directory.as_str())
            {
                report(format!("only {owners:?} may name {on}"));
            }
        }
    }
    found
}

/// Asks cargo for the packages of the workspace.
///
/// # Errors
/// When cargo fails or answers in another form.
pub(crate) fn read_workspace(root: &Path) -> Outcome<Vec<Package>> {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(program)
        .args(["metadata", "--no-deps", "--format-version", "1"])
        .current_dir(root)
        .output()?;
    if !output.status.success() {
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        return Err(Failure::new(errors).during("cargo metadata"));
    }
    let metadata: Value = serde_json::from_slice(&output.stdout)
        .map_err(|error| Failure::new(format!("cargo metadata: {error}")))?;
    parse(&metadata, root).ok_or_else(|| Failure::new("cargo metadata has another form"))
}

fn parse(metadata: &Value, root: &Path) -> Option<Vec<Package>> {
    let relative = |path: &str| super::relative(root, Path::new(path));
    metadata["packages"]
        .as_array()?
        .iter()
        .map(|package| {
            let manifest = relative(package["manifest_path"].as_str()?);
            let directory = manifest.strip_suffix("/Cargo.toml")?.to_owned();
            let dependencies = package["dependencies"].as_array()?.iter().map(|dependency| {
                let path = dependency["path"].as_str().map(relative);
                Some(Dependency {
                    ours: path.is_some(),
                    on: path.or_else(|| dependency["name"].as_str().map(str::to_owned))?,
                    dev: dependency["kind"].as_str() == Some("dev"),
                })
            });
            Some(Package { directory, dependencies: dependencies.collect::<Option<_>>()? })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn package(directory: &str, on: &str, ours: bool, dev: bool) -> Vec<Package> {
        let dependencies = vec![Dependency { on: on.to_owned(), ours, dev }];
        vec![Package { directory: directory.to_owned(), dependencies }]
    }

    #[test]
    fn an_edge_of_the_table_is_allowed() {
        assert_eq!(check(&package("crates/segment", "crates/record", true, false)), []);
    }

    #[test]
    fn an_upward_edge_is_caught() {
        let found = check(&package("crates/record", "crates/segment", true, false));
        assert_eq!(found.len(), 1);
        assert!(found[0].what.contains("crates/segment"), "{}", found[0]);
    }

    #[test]
    fn an_upward_edge_of_a_development_dependency_is_caught() {
        assert_eq!(check(&package("crates/record", "crates/segment", true, true)).len(), 1);
    }

    #[test]
    fn the_kit_is_for_development_only() {
        assert_eq!(check(&package("crates/broker", "tests/kit", true, true)), []);
        assert_eq!(check(&package("crates/broker", "tests/kit", true, false)).len(), 1);
    }

    #[test]
    fn a_package_may_name_itself_for_its_tests_only() {
        assert_eq!(check(&package("crates/env", "crates/env", true, true)), []);
        assert_eq!(check(&package("crates/env", "crates/env", true, false)).len(), 1);
    }

    #[test]
    fn a_foreign_package_with_owners_is_caught_elsewhere() {
        assert_eq!(check(&package("crates/runtime", "monoio", false, false)), []);
        assert_eq!(check(&package("crates/broker", "monoio", false, false)).len(), 1);
        assert_eq!(check(&package("crates/broker", "tokio", false, true)).len(), 1);
        assert_eq!(check(&package("crates/broker", "bytes", false, false)), []);
    }

    #[test]
    fn a_package_that_is_not_in_the_table_is_caught() {
        assert_eq!(check(&package("crates/shared", "bytes", false, false)).len(), 1);
    }

    #[test]
    fn every_edge_points_down_the_table_or_to_a_package_in_it() {
        for (from, edges) in EDGES {
            for to in *edges {
                let place = |name: &str| EDGES.iter().position(|(known, _)| *known == name);
                assert!(place(to) < place(from), "{from} -> {to} points up");
            }
        }
    }

    #[test]
    fn metadata_is_read_with_kinds_and_paths() {
        let metadata = json!({ "packages": [{
            "manifest_path": "/w/crates/env/Cargo.toml",
            "dependencies": [
                { "name": "evenkeel-buf", "path": "/w/crates/buf", "kind": null },
                { "name": "proptest", "kind": "dev" },
            ],
        }]});
        let packages = parse(&metadata, Path::new("/w")).expect("the form is right");
        assert_eq!(packages[0].directory, "crates/env");
        let [buf, proptest] = &packages[0].dependencies[..] else { panic!("two dependencies") };
        assert!(buf.ours && !buf.dev && buf.on == "crates/buf");
        assert!(!proptest.ours && proptest.dev && proptest.on == "proptest");
    }
}
