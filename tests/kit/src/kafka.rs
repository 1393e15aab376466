//! Apache Kafka from its Maven jars: fetched once, formatted once, started as one JVM.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::process::run;
use crate::workspace::cache_directory;
use crate::{Failure, Outcome};

/// The version that everything is compared with.
pub const KAFKA_VERSION: &str = "4.3.1";

const POM: &str = include_str!("../kafka-pom.xml");
const FETCH_LIMIT: Duration = Duration::from_secs(900);

/// The directory with the jars; it exists and is complete.
#[derive(Debug, Clone)]
pub struct KafkaJars {
    libs: PathBuf,
}

impl KafkaJars {
    /// Finds the jars in `target/kafka-4.3.1/libs`, or fetches them with Maven (55 MB).
    /// Safe to call from several processes: one fetches, the others wait.
    ///
    /// # Errors
    /// When Maven is missing, cannot fetch, or takes longer than 15 minutes.
    pub fn ensure() -> Outcome<KafkaJars> {
        let home = cache_directory(&format!("kafka-{KAFKA_VERSION}"));
        fs::create_dir_all(&home)?;
        let lock = File::create(home.join("lock"))?;
        lock.lock()?;
        let jars = KafkaJars { libs: home.join("libs") };
        if !jars.complete() {
            let pom = home.join("pom.xml");
            fs::write(&pom, POM)?;
            let mut maven = Command::new("mvn");
            maven.args(["-q", "-B", "dependency:copy-dependencies", "-DoutputDirectory=libs"]);
            maven.arg("-f").arg(&pom).current_dir(&home);
            run(&mut maven, b"", FETCH_LIMIT)
                .and_then(crate::Finished::success)
                .map_err(|failure| failure.during("fetching Kafka's jars with Maven"))?;
            if !jars.complete() {
                return Err(Failure::new(format!("Maven left {} incomplete", home.display())));
            }
        }
        Ok(jars)
    }

    fn complete(&self) -> bool {
        ["kafka_2.13", "kafka-tools", "kafka-clients", "kafka-server"]
            .iter()
            .all(|name| self.libs.join(format!("{name}-{KAFKA_VERSION}.jar")).is_file())
    }

    /// The directory that holds the jars.
    pub fn libs(&self) -> &Path {
        &self.libs
    }

    /// A command that runs `class` in a small JVM that starts fast: for tools, not for brokers
    /// that are measured.
    pub fn tool(&self, class: &str) -> Command {
        let mut java = self.java(&["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xmx256m"]);
        java.arg(class);
        java
    }

    /// A JVM with these options and the jars as class path; the class is still to be named.
    pub(crate) fn java(&self, options: &[&str]) -> Command {
        let mut java = Command::new("java");
        java.args(options).arg("-Dorg.slf4j.simpleLogger.defaultLogLevel=warn");
        java.arg("-cp").arg(self.libs.join("*"));
        java
    }
}

/// What a single-node Kafka is told: everything else is its default.
pub(crate) fn server_properties(node: &str, port: u16, controller: u16, data: &Path) -> String {
    format!(
        "process.roles=broker,controller\n\
         node.id={node}\n\
         controller.quorum.voters={node}@127.0.0.1:{controller}\n\
         listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}\n\
         advertised.listeners=PLAINTEXT://127.0.0.1:{port}\n\
         controller.listener.names=CONTROLLER\n\
         inter.broker.listener.name=PLAINTEXT\n\
         listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT\n\
         log.dirs={}\n\
         offsets.topic.replication.factor=1\n\
         transaction.state.log.replication.factor=1\n\
         transaction.state.log.min.isr=1\n\
         share.coordinator.state.topic.replication.factor=1\n\
         share.coordinator.state.topic.min.isr=1\n\
         group.initial.rebalance.delay.ms=0\n",
        data.display()
    )
}

/// The node id that a formatted directory carries in `meta.properties`; 1 when it has none yet.
pub(crate) fn node_id(data: &Path) -> String {
    fs::read_to_string(data.join("meta.properties"))
        .ok()
        .and_then(|text| {
            text.lines().find_map(|line| line.strip_prefix("node.id=").map(str::to_owned))
        })
        .unwrap_or_else(|| "1".to_owned())
}

/// Formats `data` as Kafka's StorageTool does, unless it is formatted already.
///
/// # Errors
/// When the tool refuses.
pub fn format_directory(jars: &KafkaJars, data: &Path) -> Outcome<()> {
    fs::create_dir_all(data)?;
    if data.join("meta.properties").is_file() {
        return Ok(());
    }
    let properties = data.with_extension("format.properties");
    fs::write(&properties, server_properties("1", 9092, 9093, data))?;
    let mut format = jars.tool("kafka.tools.StorageTool");
    format.args(["format", "-t", "ZXZlbmtlZWwtdGVzdC0xMg", "-c"]).arg(&properties);
    run(&mut format, b"", Duration::from_secs(60))
        .and_then(crate::Finished::success)
        .map_err(|failure| failure.during("formatting a directory for Kafka"))?;
    fs::remove_file(&properties)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_node_id_comes_from_the_directory() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        assert_eq!(node_id(dir.path()), "1");
        fs::write(dir.path().join("meta.properties"), "version=1\nnode.id=5\n").expect("written");
        assert_eq!(node_id(dir.path()), "5");
    }
}
