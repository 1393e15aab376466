//! The command line of the load generator.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;
use evenkeel_load::{Broker, Plan, run};

/// Load on a broker through librdkafka; prints its figures as one line of JSON.
#[derive(Parser)]
#[command(after_help = "\
Example:
  evenkeel-load --bootstrap 127.0.0.1:9092 --pid 4711 \\
      '{\"kind\": \"closed\", \"topic\": \"load\", \"producers\": 4, \"partitions\": 16}'")]
struct Arguments {
    /// Where the broker listens.
    #[arg(long)]
    bootstrap: String,
    /// The broker's process.
    #[arg(long)]
    pid: u32,
    /// The plan as JSON; the fields and their defaults stand in src/plan.rs.
    plan: String,
}

fn main() -> ExitCode {
    let Arguments { bootstrap, pid, plan } = Arguments::parse();
    let plan: Plan = match serde_json::from_str(&plan) {
        Ok(plan) => plan,
        Err(error) => {
            drop(writeln!(io::stderr(), "evenkeel-load: the plan: {error}"));
            return ExitCode::from(2);
        }
    };
    match run(&Broker { bootstrap, pid }, &plan) {
        Ok(figures) => {
            let line = serde_json::to_string(&figures.values()).expect("numbers under names");
            drop(writeln!(io::stdout(), "{line}"));
            ExitCode::SUCCESS
        }
        Err(failure) => {
            drop(writeln!(io::stderr(), "evenkeel-load: {failure}"));
            ExitCode::FAILURE
        }
    }
}
