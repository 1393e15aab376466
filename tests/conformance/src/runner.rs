//! Runs the chosen scenarios, each against each target, and says how they ended.

use std::time::{Duration, Instant};

use kit::{KAFKA_VERSION, Outcome};

use crate::bench::{Bench, Target};
use crate::clients::{SCENARIOS, Scenario};
use crate::install;
use crate::report::{Row, Verdict};

/// What to run.
#[derive(Debug, Clone)]
pub struct Choice {
    /// The brokers, one after the other.
    pub targets: Vec<Target>,
    /// Scenarios whose names begin with one of these; all when it is empty.
    pub only: Vec<String>,
    /// No scenario begins after this.
    pub within: Option<Duration>,
}

impl Choice {
    /// The scenarios, in the order in which they run.
    pub fn scenarios(&self) -> Vec<&'static Scenario> {
        let wanted = |scenario: &&Scenario| {
            self.only.is_empty()
                || self.only.iter().any(|name| scenario.name.starts_with(name.as_str()))
        };
        SCENARIOS.iter().filter(wanted).collect()
    }
}

/// Runs them, telling each row as it comes.
///
/// # Errors
/// When the clients cannot be installed. A broker that does not start fails its scenarios.
pub fn run(choice: &Choice, mut tell: impl FnMut(&Row)) -> Outcome<Vec<Row>> {
    install::kcat()?;
    install::python()?;
    let started = Instant::now();
    let mut rows = Vec::new();
    for &target in &choice.targets {
        let mut bench = None;
        for scenario in choice.scenarios() {
            if scenario.ours_only && target.is_kafka() {
                continue;
            }
            let late = choice.within.is_some_and(|within| started.elapsed() >= within);
            let began = Instant::now();
            let verdict = if late { Verdict::NotRun } else { judge(&mut bench, target, scenario) };
            let row = Row {
                name: scenario.name,
                client: scenario.client,
                version: scenario.version,
                against: describe(target),
                verdict,
                seconds: began.elapsed().as_secs_f64(),
            };
            tell(&row);
            rows.push(row);
        }
    }
    Ok(rows)
}

fn describe(target: Target) -> String {
    match target {
        Target::Evenkeel { shards: 1 } => "1 shard".to_owned(),
        Target::Evenkeel { shards } => format!("{shards} shards"),
        Target::Kafka => format!("Kafka {KAFKA_VERSION}"),
    }
}

/// Runs one scenario; starts the broker first when none runs.
fn judge(bench: &mut Option<Bench>, target: Target, scenario: &Scenario) -> Verdict {
    let ready = match bench.take() {
        Some(ready) => Ok(ready),
        None => Bench::start(target),
    };
    let result = ready.and_then(|ready| {
        let result = (scenario.act)(&ready);
        let alive = kit::answers_api_versions(ready.broker.address(), Duration::from_secs(5));
        if alive {
            *bench = Some(ready);
            return result;
        }
        let words = ready.broker.last_words();
        Err(kit::Failure::new(match result {
            Ok(_) => format!("the broker does not answer any more: {words}"),
            Err(failure) => format!("{failure}; and the broker does not answer any more: {words}"),
        }))
    });
    match result {
        Ok(note) => Verdict::Passed(note),
        Err(failure) => Verdict::Failed(failure.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choice(only: &[&str]) -> Choice {
        let only = only.iter().map(|name| (*name).to_owned()).collect();
        Choice { targets: Vec::new(), only, within: None }
    }

    #[test]
    fn without_names_every_scenario_is_chosen() {
        assert_eq!(choice(&[]).scenarios().len(), SCENARIOS.len());
    }

    #[test]
    fn a_name_chooses_by_its_beginning() {
        let names: Vec<_> = choice(&["directory"]).scenarios().iter().map(|one| one.name).collect();
        assert!(names.len() >= 4 && names.iter().all(|name| name.starts_with("directory")));
        assert!(choice(&["no such"]).scenarios().is_empty());
    }
}
