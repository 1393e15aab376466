//! The evenkeel binary: reads the command line and hands over. Exit codes: 0 done, 1 cannot, 2 wrong
//! use.

mod cli;
mod config;
mod directory_lock;
mod log_tools;
mod sched_tools;
mod start;
mod steering;
mod table;

use std::process::ExitCode;

use clap::Parser;

use crate::cli::{Cli, Command};

fn main() -> ExitCode {
    // Wrong use ends here, with exit code 2 and a usage line.
    let cli = Cli::parse();
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_env_filter(
            tracing_subscriber::EnvFilter::try_from_env("EVENKEEL_LOG")
                .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info")),
        )
        .init();
    let done = match cli.command {
        Command::Start(start) => start::start(&start),
        Command::Log { command } => log_tools::run(&command),
        Command::Sched { command } => sched_tools::run(&command),
    };
    match done {
        Ok(code) => code,
        Err(why) => {
            say(&format!("evenkeel: {why}"));
            ExitCode::FAILURE
        }
    }
}

/// One line on stderr.
#[expect(clippy::print_stderr, reason = "the command line talks to whoever called it")]
fn say(line: &str) {
    eprintln!("{line}");
}

/// One line on stdout, at once.
#[expect(clippy::print_stdout, reason = "the command line talks to whoever called it")]
pub(crate) fn print(line: &str) {
    use std::io::Write;
    println!("{line}");
    // A reader that went away is not the broker's trouble.
    let _ = std::io::stdout().flush();
}
