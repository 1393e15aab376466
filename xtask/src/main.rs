//! The command line of xtask; the work is in the library.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use xtask::{ci, conformance, crash, out, perf, tidy};

/// The project's own commands.
#[derive(Parser)]
#[command(
    name = "cargo xtask",
    version,
    after_help = "\
Examples:
  cargo xtask ci                       everything that must pass before a change lands
  cargo xtask ci --only tidy           one step of it
  cargo xtask conformance --only kcat  Debian's kcat against the release binary
  cargo xtask perf --only start-up     one measurement against Apache Kafka"
)]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Runs what must pass before a change lands: formatting, tidy, lints, docs, tests, clients.
    Ci(ci::Options),
    /// Checks the rules that the compiler does not: layers, sizes, names, headers, documents.
    Tidy(tidy::Options),
    /// Runs unmodified Kafka clients and tools against the release binary or against Kafka itself.
    Conformance(conformance::Options),
    /// Kills the release binary under producers; nothing acknowledged may be missing.
    Crash(crash::Options),
    /// Measures against Apache Kafka, A B A B, and writes docs/performance.md.
    Perf(perf::Options),
}

fn main() -> ExitCode {
    let result = match Arguments::parse().verb {
        Verb::Ci(options) => ci::run(&options),
        Verb::Tidy(options) => tidy::run(&options),
        Verb::Conformance(options) => conformance::run(&options),
        Verb::Crash(options) => crash::run(&options),
        Verb::Perf(options) => perf::run(&options),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            out::say(format!("xtask: {failure}"));
            ExitCode::FAILURE
        }
    }
}
