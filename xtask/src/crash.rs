//! `cargo xtask crash`: builds the release binary and kills it under producers, again and again.

use kit::{Outcome, workspace_root};

use crate::ci::{cargo, release_binary};

/// How often, and where the random numbers begin.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Each round kills the broker (SIGKILL) under four idempotent producers, starts it again on the same
directory and checks that every acknowledged record is there once and in order. Every tenth round
stops it cleanly; every tenth closes the directory with `evenkeel log close` first.

Examples:
  cargo xtask crash
  cargo xtask crash --rounds 1000 --seed 7")]
pub struct Options {
    /// Rounds with one shard, and as many with two.
    #[arg(long, value_name = "N", default_value_t = 100)]
    rounds: u32,
    /// The seed of sizes, pauses and places.
    #[arg(long, value_name = "SEED", default_value_t = 1)]
    seed: u32,
}

/// Builds and runs.
///
/// # Errors
/// When the build fails or a record is missing, doubled, reordered or altered.
pub fn run(options: &Options) -> Outcome<()> {
    let root = workspace_root();
    let binary = release_binary(&root)?.to_string_lossy().into_owned();
    let (rounds, seed) = (options.rounds.to_string(), options.seed.to_string());
    let variables =
        [("EVENKEEL_BIN", &*binary), ("CRASH_ROUNDS", &*rounds), ("CRASH_SEED", &*seed)];
    let arguments = ["test", "-p", "evenkeel-crash-tests", "--locked", "--", "--nocapture"];
    cargo(&root, &arguments, &variables)
}
