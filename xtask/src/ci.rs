//! `cargo xtask ci`: the steps that must pass before a change lands, in order, stopping at the
//! first that fails.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use kit::{Failure, Outcome, workspace_root};

use crate::out::say;
use crate::tidy;

/// What to run.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Steps: fmt, tidy, clippy, doc, test, simulation, release, clients, hardship. `simulation` runs the
whole broker from 2,000 seeds and the recorded one, `clients` the rdkafka scenarios of
tests/conformance against the release binary with one and with two shards, `hardship` kills the
binary under producers (tests/crash), asks it every request in every version (tests/requests),
sends it what no client should (tests/hostile), and steers it over its admin plane (tests/admin).

Examples:
  cargo xtask ci
  cargo xtask ci --only clippy
  cargo xtask ci --from release")]
pub struct Options {
    /// Run only this step.
    #[arg(long, value_name = "STEP")]
    only: Option<String>,
    /// Begin with this step.
    #[arg(long, value_name = "STEP", conflicts_with = "only")]
    from: Option<String>,
}

/// One step: its name and what it does.
struct Step {
    name: &'static str,
    act: fn(&Path) -> Outcome<()>,
}

const STEPS: [Step; 9] = [
    Step { name: "fmt", act: |root| cargo(root, &["fmt", "--all", "--check"], &[]) },
    Step { name: "tidy", act: |root| tidy::check_and_say(root, true) },
    Step { name: "clippy", act: clippy },
    Step { name: "doc", act: doc },
    Step { name: "test", act: test },
    Step { name: "simulation", act: simulation },
    Step { name: "release", act: |root| release_binary(root).map(drop) },
    Step { name: "clients", act: clients },
    Step { name: "hardship", act: hardship },
];

/// Runs the chosen steps.
///
/// # Errors
/// The first step that failed, or a step name that does not exist.
pub fn run(options: &Options) -> Outcome<()> {
    let root = workspace_root();
    let chosen = choose(options.only.as_deref(), options.from.as_deref())?;
    let mut times = Vec::new();
    for step in chosen {
        say(format!("== {}", step.name));
        let started = Instant::now();
        let result = (step.act)(&root);
        times.push(format!("{} {} s", step.name, started.elapsed().as_secs()));
        result.map_err(|failure| failure.during(step.name))?;
    }
    say(format!("ci: passed ({})", times.join(", ")));
    Ok(())
}

fn choose(only: Option<&str>, from: Option<&str>) -> Outcome<&'static [Step]> {
    let Some(name) = only.or(from) else { return Ok(&STEPS) };
    let place = STEPS.iter().position(|step| step.name == name).ok_or_else(|| {
        let names: Vec<&str> = STEPS.iter().map(|step| step.name).collect();
        Failure::new(format!("no step {name:?}; the steps are {}", names.join(", ")))
    })?;
    Ok(if only.is_some() { &STEPS[place..=place] } else { &STEPS[place..] })
}

fn clippy(root: &Path) -> Outcome<()> {
    cargo(
        root,
        &["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"],
        &[],
    )
}

fn doc(root: &Path) -> Outcome<()> {
    let arguments = ["doc", "--workspace", "--no-deps", "--document-private-items", "--locked"];
    cargo(root, &arguments, &[("RUSTDOCFLAGS", "-D warnings")])
}

/// Test packages that need the release binary; `clients` and `hardship` run them.
const BLACK_BOX: [&str; 5] = [
    "evenkeel-admin-tests",
    "evenkeel-conformance",
    "evenkeel-crash-tests",
    "evenkeel-hostile",
    "evenkeel-requests",
];

/// Test packages that run the whole broker many times over; `simulation` runs them.
const MANY_RUNS: [&str; 2] = ["evenkeel-sim-tests", "evenkeel-recorded-tests"];

/// Seeds of the simulation.
const SEEDS: &str = "2000";

/// Everything but what needs the release binary or takes many runs.
fn test(root: &Path) -> Outcome<()> {
    let mut arguments = vec!["test", "--workspace", "--locked"];
    let elsewhere = BLACK_BOX.iter().chain(&MANY_RUNS);
    arguments.extend(elsewhere.flat_map(|package| ["--exclude", *package]));
    cargo(root, &arguments, &[])
}

/// Optimised, since that is nine times as fast, with every debug assertion and overflow check.
/// The profile is the one of tests otherwise, so that foreign packages are not built again.
fn simulation(root: &Path) -> Outcome<()> {
    let mut arguments = vec!["test", "--locked", "--config", "profile.dev.opt-level=1"];
    arguments.extend(MANY_RUNS.iter().flat_map(|package| ["-p", *package]));
    cargo(root, &arguments, &[("SIM_SEEDS", SEEDS)])
}

fn clients(root: &Path) -> Outcome<()> {
    black_box(root, &["evenkeel-conformance"])
}

fn hardship(root: &Path) -> Outcome<()> {
    let packages =
        ["evenkeel-requests", "evenkeel-crash-tests", "evenkeel-hostile", "evenkeel-admin-tests"];
    black_box(root, &packages)
}

fn black_box(root: &Path, packages: &[&str]) -> Outcome<()> {
    let binary = release_binary(root)?;
    let binary = binary.to_string_lossy().into_owned();
    let mut arguments = vec!["test", "--locked"];
    arguments.extend(packages.iter().flat_map(|package| ["-p", *package]));
    cargo(root, &arguments, &[("EVENKEEL_BIN", &binary)])
}

/// Builds the release binary and says where it is.
///
/// # Errors
/// When the build fails.
pub fn release_binary(root: &Path) -> Outcome<PathBuf> {
    cargo(root, &["build", "--release", "--locked", "--bin", "evenkeel"], &[])?;
    let target = target_directory(root);
    let binary = target.join("release").join("evenkeel");
    if binary.is_file() {
        Ok(binary)
    } else {
        Err(Failure::new(format!("the build left no {}", binary.display())))
    }
}

/// Where cargo builds to.
pub fn target_directory(root: &Path) -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from)
}

/// Runs cargo in the workspace with its output on ours.
///
/// # Errors
/// When it does not exit with 0.
pub fn cargo(root: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Outcome<()> {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(program)
        .args(arguments)
        .envs(variables.iter().copied())
        .current_dir(root)
        .status()?;
    if status.success() {
        Ok(())
    } else {
        Err(Failure::new(format!("`cargo {}` failed ({status})", arguments.join(" "))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(steps: &[Step]) -> Vec<&str> {
        steps.iter().map(|step| step.name).collect()
    }

    #[test]
    fn without_a_choice_every_step_runs() {
        assert_eq!(choose(None, None).expect("all").len(), STEPS.len());
    }

    #[test]
    fn one_step_or_the_rest_can_be_chosen() {
        assert_eq!(names(choose(Some("doc"), None).expect("it exists")), ["doc"]);
        assert_eq!(
            names(choose(None, Some("release")).expect("it exists")),
            ["release", "clients", "hardship"]
        );
    }

    #[test]
    fn an_unknown_step_is_refused_with_the_names() {
        let failure = choose(Some("tests"), None).err().expect("no such step");
        assert!(failure.to_string().contains("clients"), "{failure}");
    }
}
