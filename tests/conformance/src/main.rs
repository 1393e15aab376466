//! The command line of the client scenarios; `cargo xtask conformance` builds the binary and calls
//! it.

use std::fs;
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use evenkeel_conformance::{Choice, Row, Target, Verdict, markdown, run, table};
use kit::{Outcome, workspace_root};

/// Unmodified Kafka clients against the release binary.
#[derive(Parser)]
struct Arguments {
    /// evenkeel or kafka.
    #[arg(long, default_value = "evenkeel", value_parser = ["evenkeel", "kafka"])]
    target: String,
    /// Only scenarios whose name begins with this; may be given several times.
    #[arg(long)]
    only: Vec<String>,
    /// Only with this many shards.
    #[arg(long)]
    shards: Option<u32>,
    /// Begin no scenario after so many seconds.
    #[arg(long)]
    within: Option<u64>,
    /// Print the names and run nothing.
    #[arg(long)]
    list: bool,
    /// Write docs/conformance.md.
    #[arg(long)]
    write: bool,
}

impl Arguments {
    fn choice(&self) -> Choice {
        let targets = match (self.target.as_str(), self.shards) {
            ("kafka", _) => vec![Target::Kafka],
            (_, Some(shards)) => vec![Target::Evenkeel { shards }],
            (_, None) => vec![Target::Evenkeel { shards: 1 }, Target::Evenkeel { shards: 2 }],
        };
        let within = self.within.map(Duration::from_secs);
        Choice { targets, only: self.only.clone(), within }
    }
}

fn say(line: &str) {
    let mut out = io::stdout().lock();
    // A closed pipe is not the scenarios' trouble.
    drop(writeln!(out, "{line}"));
    drop(out.flush());
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let choice = arguments.choice();
    if choice.scenarios().is_empty() {
        say("no scenario has such a name; --list shows them");
        return ExitCode::from(2);
    }
    if arguments.list {
        choice.scenarios().iter().for_each(|scenario| say(scenario.name));
        return ExitCode::SUCCESS;
    }
    match conclude(&arguments, &choice) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(failure) => {
            say(&format!("conformance: {failure}"));
            ExitCode::FAILURE
        }
    }
}

/// Runs and writes; whether nothing failed.
fn conclude(arguments: &Arguments, choice: &Choice) -> Outcome<bool> {
    let rows = run(choice, |row| say(&table(row)))?;
    if arguments.write {
        let page = markdown(&rows, &machine(), "cargo xtask conformance --write");
        fs::write(workspace_root().join("docs").join("conformance.md"), page)?;
    }
    let count = |wanted: fn(&Verdict) -> bool| {
        rows.iter().filter(|row: &&Row| wanted(&row.verdict)).count()
    };
    let passed = count(|verdict| matches!(verdict, Verdict::Passed(_)));
    let failed = count(|verdict| matches!(verdict, Verdict::Failed(_)));
    say(&format!("{passed} passed, {failed} failed, {} skipped", rows.len() - passed - failed));
    Ok(failed == 0)
}

fn machine() -> String {
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let cpus = std::thread::available_parallelism().map_or(0, usize::from);
    format!("Linux {}, {cpus} CPUs", kernel.trim())
}
