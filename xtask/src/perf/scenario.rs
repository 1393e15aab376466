//! Scenarios as data: `deploy/perf/NAME.toml`.

use std::fs;
use std::path::Path;

use kit::{Failure, Outcome};
use serde::Deserialize;

/// What is done with the broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Act {
    /// Start on an empty directory, to the first answer and the first acknowledgement.
    StartUp,
    /// Memory and CPU of a broker without clients.
    Idle,
    /// The load of the table `[load]`.
    Load,
    /// Fill, kill -9, drop the page cache, start, first acknowledgement.
    Restart,
}

/// One scenario.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Scenario {
    /// The file's name without `.toml`.
    #[serde(skip)]
    pub(crate) name: String,
    /// What a reader of the table sees.
    pub(crate) title: String,
    /// What is done.
    pub(crate) act: Act,
    /// The plan of evenkeel-load, see tests/load/src/plan.rs.
    #[serde(default)]
    pub(crate) load: toml::Table,
    /// Topic configs for one broker only.
    #[serde(default)]
    pub(crate) topic: TopicConfigs,
    /// Seconds before an idle broker is looked at, and for how long.
    #[serde(default)]
    pub(crate) idle: IdleTimes,
    /// What must hold.
    #[serde(default)]
    pub(crate) target: Vec<Goal>,
}

/// Configs of the topic, `name=value`: what makes the two brokers promise the same.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct TopicConfigs {
    pub(crate) evenkeel: Vec<String>,
    pub(crate) kafka: Vec<String>,
}

/// When an idle broker is looked at.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct IdleTimes {
    pub(crate) settle_s: u64,
    pub(crate) window_s: u64,
}

impl Default for IdleTimes {
    fn default() -> IdleTimes {
        IdleTimes { settle_s: 10, window_s: 20 }
    }
}

/// One target: a figure, and a bound on it or on its ratio to Kafka's.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Goal {
    /// The figure's name.
    pub(crate) figure: String,
    /// Evenkeel divided by Kafka, at most.
    pub(crate) ratio_max: Option<f64>,
    /// Evenkeel divided by Kafka, at least.
    pub(crate) ratio_min: Option<f64>,
    /// Evenkeel's figure itself, at most.
    pub(crate) at_most: Option<f64>,
    /// Evenkeel's figure itself, at least.
    pub(crate) at_least: Option<f64>,
}

/// Reads every scenario of the directory, by name.
///
/// # Errors
/// When a file is malformed.
pub(crate) fn read_all(directory: &Path) -> Outcome<Vec<Scenario>> {
    let mut all = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            all.push(parse(&name, &fs::read_to_string(&path)?)?);
        }
    }
    all.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(all)
}

fn parse(name: &str, text: &str) -> Outcome<Scenario> {
    let scenario: Scenario = toml::from_str(text)
        .map_err(|error| Failure::new(format!("deploy/perf/{name}.toml: {error}")))?;
    Ok(Scenario { name: name.to_owned(), ..scenario })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scenario_of_the_project_is_well_formed_and_has_a_target() {
        let all = read_all(&kit::workspace_root().join("deploy").join("perf")).expect("readable");
        assert!(!all.is_empty());
        for scenario in &all {
            assert!(!scenario.target.is_empty(), "{} has no target", scenario.name);
            let bounds = |goal: &Goal| {
                [goal.ratio_max, goal.ratio_min, goal.at_most, goal.at_least]
                    .iter()
                    .flatten()
                    .count()
            };
            assert!(scenario.target.iter().all(|goal| bounds(goal) == 1), "{}", scenario.name);
        }
    }

    #[test]
    fn every_scenario_shows_a_claim() {
        let root = kit::workspace_root();
        let page = fs::read_to_string(root.join("docs").join("acceptance.md")).expect("readable");
        let cells = page.lines().filter_map(|line| line.split('|').nth(2));
        let named: Vec<&str> = cells.flat_map(|cell| cell.split([' ', ','])).collect();
        for scenario in read_all(&root.join("deploy").join("perf")).expect("readable") {
            assert!(named.contains(&scenario.name.as_str()), "no claim names {}", scenario.name);
        }
    }

    #[test]
    fn an_unknown_field_is_refused() {
        let failure =
            parse("x", "title = \"t\"\nact = \"idle\"\nsecond = 1\n").expect_err("unknown");
        assert!(failure.to_string().contains("second"), "{failure}");
    }
}
