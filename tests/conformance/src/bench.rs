//! What a scenario works with: the broker under test and the clients.

use std::process::Command;
use std::time::Duration;

use kit::{Broker, BrokerOptions, Failure, Finished, KafkaJars, Kind, Outcome, run};
use tempfile::TempDir;

use crate::install;

/// More partitions than shards, so that each connection meets both cases of ownership.
pub(crate) const PARTITIONS: u32 = 8;

const LIMIT: Duration = Duration::from_secs(120);

/// The broker under test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// The release binary with so many shards.
    Evenkeel {
        /// `--shards`.
        shards: u32,
    },
    /// Apache Kafka 4.3.1: are the scenarios right?
    Kafka,
}

impl Target {
    pub(crate) fn kind(self) -> Kind {
        match self {
            Target::Evenkeel { shards } => Kind::Evenkeel { shards },
            Target::Kafka => Kind::Kafka,
        }
    }

    pub(crate) fn is_kafka(self) -> bool {
        self == Target::Kafka
    }
}

/// A broker that runs, and the clients beside it.
#[derive(Debug)]
pub struct Bench {
    pub(crate) target: Target,
    pub(crate) broker: Broker,
    pub(crate) jars: KafkaJars,
    pub(crate) scratch: TempDir,
}

impl Bench {
    /// Starts the broker.
    ///
    /// # Errors
    /// When it or the jars cannot be had.
    pub fn start(target: Target) -> Outcome<Bench> {
        let jars = KafkaJars::ensure()?;
        let broker = Broker::start(BrokerOptions::new(target.kind()))?;
        Ok(Bench { target, broker, jars, scratch: tempfile::tempdir()? })
    }

    /// The same clients beside another broker, for scenarios that start their own.
    pub(crate) fn beside(&self, broker: Broker) -> Outcome<Bench> {
        let scratch = tempfile::tempdir()?;
        Ok(Bench { target: self.target, broker, jars: self.jars.clone(), scratch })
    }

    /// Runs a Java tool of Kafka with `--bootstrap-server`; its output when it exits with 0.
    pub(crate) fn tool(&self, class: &str, arguments: &[&str]) -> Outcome<String> {
        self.tool_with_input(class, arguments, b"").map(|finished| finished.text())
    }

    /// As [`Bench::tool`], with standard input.
    pub(crate) fn tool_with_input(
        &self,
        class: &str,
        arguments: &[&str],
        input: &[u8],
    ) -> Outcome<Finished> {
        self.try_tool(class, arguments, input)?.success().map_err(|failure| failure.during(class))
    }

    /// As [`Bench::tool_with_input`], whatever the exit code.
    pub(crate) fn try_tool(
        &self,
        class: &str,
        arguments: &[&str],
        input: &[u8],
    ) -> Outcome<Finished> {
        let mut java = self.jars.tool(class);
        java.args(["--bootstrap-server", &self.broker.bootstrap()]).args(arguments);
        run(&mut java, input, LIMIT)
    }

    /// Runs a Java tool that takes no bootstrap server.
    pub(crate) fn offline_tool(&self, class: &str, arguments: &[&str]) -> Outcome<String> {
        let mut java = self.jars.tool(class);
        java.args(arguments);
        let finished = run(&mut java, b"", LIMIT)?;
        let errors = finished.errors();
        let text = finished.success().map_err(|failure| failure.during(class))?.text();
        Ok(text + &errors)
    }

    /// Runs kcat against the broker; its output when it exits with 0.
    pub(crate) fn kcat(&self, arguments: &[&str], input: &[u8]) -> Outcome<Vec<u8>> {
        let mut kcat = Command::new("kcat");
        kcat.args(["-q", "-b", &self.broker.bootstrap()]).args(arguments);
        let finished = run(&mut kcat, input, LIMIT)?;
        finished
            .success()
            .map(|finished| finished.stdout)
            .map_err(|failure| failure.during(&format!("kcat {}", arguments.join(" "))))
    }

    /// Runs a script of `tests/conformance/clients`; its output when it exits with 0.
    pub(crate) fn python(&self, script: &str, arguments: &[&str]) -> Outcome<Vec<u8>> {
        let mut python = Command::new(install::python()?);
        python.arg(install::script(script)).args(arguments);
        let finished = run(&mut python, b"", LIMIT)?.success();
        finished.map(|finished| finished.stdout).map_err(|failure| failure.during(script))
    }

    /// Creates a topic with kafka-topics.
    pub(crate) fn create(&self, topic: &str, partitions: u32, configs: &[&str]) -> Outcome<()> {
        let count = partitions.to_string();
        let mut arguments = vec!["--create", "--topic", topic, "--partitions", &count];
        configs.iter().for_each(|config| arguments.extend(["--config", config]));
        self.tool(TOPICS, &arguments).map(drop)
    }
}

/// kafka-topics.
pub(crate) const TOPICS: &str = "org.apache.kafka.tools.TopicCommand";

/// Fails with what `what` says unless `holds`.
pub(crate) fn ensure(holds: bool, what: impl FnOnce() -> String) -> Outcome<()> {
    if holds { Ok(()) } else { Err(Failure::new(what())) }
}

/// Fails unless `text` contains `wanted`.
pub(crate) fn ensure_contains(text: &str, wanted: &str) -> Outcome<()> {
    ensure(text.contains(wanted), || format!("{wanted:?} is not in {:?}", kit::tail(text, 12)))
}
