//! `cargo xtask perf`: measures against Apache Kafka, in turn, and writes docs/performance.md.
//!
//! Scenarios are data in `deploy/perf`. Each pair runs Evenkeel, then Kafka, on a new directory;
//! what counts is the median of the pairs' ratios, with their range. No pair is left out.

mod machine;
mod measure;
mod page;
mod scenario;
mod summary;

use std::fs;
use std::path::Path;

use kit::{Failure, Kind, Outcome, workspace_root};

use crate::ci::{cargo, release_binary, target_directory};
use crate::out::say;
use measure::Run;
use scenario::Scenario;
use summary::Pair;

/// What to measure.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Scenarios are the files of deploy/perf. Fewer than 7 pairs are for a look only: they are printed
and not written.

Examples:
  cargo xtask perf                               every scenario, 7 pairs each
  cargo xtask perf --only start-up               one scenario
  cargo xtask perf --only produce --pairs 1      a quick look at all that begin with `produce`
  cargo xtask perf --only idle --target kafka    one side only, printed and not written
  cargo xtask perf --list                        the names")]
pub struct Options {
    /// Only the scenarios whose name begins with this.
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// How many pairs, Evenkeel and Kafka in turn.
    #[arg(long, default_value_t = 7)]
    pairs: usize,
    /// Run only one side.
    #[arg(long, value_parser = ["evenkeel", "kafka"])]
    target: Option<String>,
    /// Shards of Evenkeel, for scenarios that do not say.
    #[arg(long, default_value_t = 2)]
    shards: u32,
    /// Say the names of the scenarios and run none.
    #[arg(long)]
    list: bool,
}

/// Fewer pairs than this decide nothing and are not written.
const PAIRS_WRITTEN_MIN: usize = 7;

/// Measures and writes.
///
/// # Errors
/// When a scenario is malformed, or a run fails.
pub fn run(options: &Options) -> Outcome<()> {
    let root = workspace_root();
    let all = scenario::read_all(&root.join("deploy").join("perf"))?;
    let chosen: Vec<&Scenario> = all.iter().filter(|one| chosen(one, &options.only)).collect();
    if chosen.is_empty() {
        return Err(Failure::new("no scenario has such a name; --list shows them"));
    }
    if options.list {
        chosen.iter().for_each(|one| say(format!("{:24} {}", one.name, one.title)));
        return Ok(());
    }
    let sides = prepare(&root, options)?;
    for scenario in chosen {
        let pairs = measure_pairs(scenario, &sides, options.pairs)?;
        let section = page::section(scenario, &pairs, &machine::describe(&root));
        say(&section);
        if sides.len() == 2 && pairs.len() >= PAIRS_WRITTEN_MIN {
            write_section(&root, &all, scenario, &section)?;
        }
    }
    Ok(())
}

fn chosen(scenario: &Scenario, only: &[String]) -> bool {
    only.is_empty() || only.iter().any(|name| scenario.name.starts_with(name.as_str()))
}

/// Builds what is needed; the sides to measure, in order.
fn prepare(root: &Path, options: &Options) -> Outcome<Vec<Side>> {
    cargo(root, &["build", "--release", "--locked", "-p", "evenkeel-load"], &[])?;
    let load = target_directory(root).join("release").join("evenkeel-load");
    let mut sides = Vec::new();
    if options.target.as_deref() != Some("kafka") {
        release_binary(root)?;
        let kind = Kind::Evenkeel { shards: options.shards };
        sides.push(Side { kind, load: load.clone() });
    }
    if options.target.as_deref() != Some("evenkeel") {
        kit::KafkaJars::ensure()?;
        sides.push(Side { kind: Kind::Kafka, load });
    }
    Ok(sides)
}

/// One broker of the comparison and the generator.
#[derive(Debug)]
struct Side {
    kind: Kind,
    load: std::path::PathBuf,
}

fn measure_pairs(scenario: &Scenario, sides: &[Side], pairs: usize) -> Outcome<Vec<Pair>> {
    let mut done = Vec::new();
    for number in 1..=pairs {
        let mut pair = Pair::default();
        for side in sides {
            let run = Run { scenario, kind: side.kind, load: &side.load };
            let name = if side.kind == Kind::Kafka { "Kafka" } else { "Evenkeel" };
            let figures = run.figures().map_err(|failure| {
                failure.during(&format!("{}, pair {number}, {name}", scenario.name))
            })?;
            let shown: Vec<String> =
                figures.iter().map(|(figure, value)| format!("{figure} {value:.3}")).collect();
            say(format!("{} {number}/{pairs} {name}: {}", scenario.name, shown.join(", ")));
            *(if side.kind == Kind::Kafka { &mut pair.kafka } else { &mut pair.evenkeel }) =
                figures;
        }
        done.push(pair);
    }
    Ok(done)
}

fn write_section(root: &Path, all: &[Scenario], scenario: &Scenario, section: &str) -> Outcome<()> {
    let path = root.join("docs").join("performance.md");
    let before = fs::read_to_string(&path).unwrap_or_default();
    fs::write(&path, page::replace(&before, all, &scenario.name, section))?;
    Ok(())
}
