//! `cargo xtask perf`.
use kit::Outcome;
/// Options.
#[derive(Debug, clap::Args)]
pub struct Options {}
/// Runs.
///
/// # Errors
/// None yet.
pub fn run(_options: &Options) -> Outcome<()> {
    Ok(())
}
