//! The directory is Kafka's: one broker writes it, the other starts on it as it is.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use kit::{Broker, BrokerOptions, Kind, Outcome, evenkeel_binary, run};

use crate::bench::{Bench, PARTITIONS, TOPICS, ensure, ensure_contains};
use crate::clients::console;

const DUMP_LOG: &str = "org.apache.kafka.tools.DumpLogSegments";
const CONFIGS: &str = "kafka.admin.ConfigCommand";
const PERFORMANCE: &str = "org.apache.kafka.tools.ProducerPerformance";

/// What a client sees of a broker: everything that must be the same on the other side.
#[derive(Debug, PartialEq, Eq)]
struct View {
    /// kafka-topics --describe, sorted: names, ids, partitions, configs.
    topics: Vec<String>,
    /// `topic partition offset key value` of every record, sorted.
    records: Vec<String>,
}

impl View {
    fn take(bench: &Bench) -> Outcome<View> {
        let described = bench.tool(TOPICS, &["--describe", "--exclude-internal"])?;
        let mut topics: Vec<String> =
            described.lines().filter(|line| line.starts_with("Topic:")).map(in_order).collect();
        topics.sort();
        let mut records = Vec::new();
        for topic in ["plain", "packed", "cut"] {
            let format = "%t %p %o %T %k|%s\n";
            let arguments = ["-C", "-t", topic, "-o", "beginning", "-e", "-f", format];
            let read = bench.kcat(&arguments, b"")?;
            records.extend(String::from_utf8_lossy(&read).lines().map(str::to_owned));
        }
        records.sort();
        Ok(View { topics, records })
    }

    fn same_as(&self, other: &View, what: &str) -> Outcome<()> {
        let first = |ours: &[String], theirs: &[String]| {
            ours.iter().find(|line| !theirs.contains(line)).cloned().unwrap_or_default()
        };
        ensure(self.topics == other.topics, || {
            let (before, after) =
                (first(&self.topics, &other.topics), first(&other.topics, &self.topics));
            format!("{what}: topics differ: {before:?} became {after:?}")
        })?;
        ensure(self.records == other.records, || {
            let (before, after) = (self.records.len(), other.records.len());
            let lost = first(&self.records, &other.records);
            format!("{what}: {before} records became {after}; {lost:?} is not there")
        })
    }
}

/// A line of kafka-topics with its configs sorted: the order in which they are listed means nothing.
fn in_order(line: &str) -> String {
    let line = line.split_whitespace().collect::<Vec<_>>().join(" ");
    let Some((topic, configs)) = line.split_once("Configs: ") else { return line };
    let mut configs: Vec<&str> = configs.split(',').collect();
    configs.sort_unstable();
    format!("{topic}Configs: {}", configs.join(","))
}

/// Starts a broker of this kind on the directory.
fn start(bench: &Bench, kind: Kind, data: &Path) -> Outcome<Bench> {
    bench.beside(Broker::start(BrokerOptions::new(kind).on(data))?)
}

/// Topics of every sort: several segments, codecs, idempotent producers, a moved start, a deleted one.
fn fill(bench: &Bench) -> Outcome<()> {
    let small = ["segment.bytes=1048576", "retention.ms=-1"];
    bench.create("plain", PARTITIONS, &small)?;
    bench.create("packed", PARTITIONS, &["max.message.bytes=2000000"])?;
    bench.create("cut", PARTITIONS, &[])?;
    bench.create("gone", PARTITIONS, &[])?;
    let lines: String =
        (0..300).map(|number| format!("key {number}|{number} {}\n", "x".repeat(500))).collect();
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        let arguments = ["-P", "-t", "packed", "-K", "|", "-z", codec];
        bench.kcat(&arguments, lines.as_bytes())?;
    }
    for topic in ["cut", "gone"] {
        let arguments = ["-P", "-t", topic, "-K", "|", "-X", "enable.idempotence=true"];
        bench.kcat(&arguments, lines.as_bytes())?;
    }
    let bootstrap = format!("bootstrap.servers={}", bench.broker.bootstrap());
    // 8 partitions of about 3 MB each: three segments.
    let arguments = [
        "--topic",
        "plain",
        "--num-records",
        "24000",
        "--record-size",
        "1000",
        "--throughput",
        "-1",
        "--command-property",
        &bootstrap,
    ];
    bench.offline_tool(PERFORMANCE, &arguments)?;
    let change = ["--entity-type", "topics", "--entity-name", "cut", "--alter"];
    bench.tool(CONFIGS, &[&change[..], &["--add-config", "retention.bytes=100000000"]].concat())?;
    let file = bench.scratch.path().join("cut.json");
    let json = r#"{"partitions":[{"topic":"cut","partition":0,"offset":5}],"version":1}"#;
    fs::write(&file, json)?;
    let tool = "org.apache.kafka.tools.DeleteRecordsCommand";
    bench.tool(tool, &["--offset-json-file", &file.to_string_lossy()])?;
    bench.tool(TOPICS, &["--delete", "--topic", "gone"]).map(drop)
}

/// Names of directories that Kafka set aside because it knows no topic for them.
fn strays(data: &Path) -> Outcome<Vec<String>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(data)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name.ends_with("-stray") {
            found.push(name);
        }
    }
    Ok(found)
}

/// One broker fills a directory, the other serves it and adds to it, the first takes it back.
fn exchange(bench: &Bench, first: Kind, second: Kind) -> Outcome<String> {
    let root = tempfile::tempdir()?;
    let data = root.path().join("data");
    let mut one = start(bench, first, &data)?;
    fill(&one)?;
    let before = View::take(&one)?;
    one.broker.stop().map_err(|failure| failure.during("stopping the first broker"))?;
    let mut two = start(bench, second, &data)
        .map_err(|failure| failure.during("starting the second broker on the directory"))?;
    before.same_as(&View::take(&two)?, "on the second broker")?;
    let set_aside = strays(&data)?;
    ensure(set_aside.is_empty(), || format!("marked stray: {}", set_aside.join(", ")))?;
    let counts = console::counts(&two, "packed")?;
    let read = console::consume(&two, "packed", 1, counts[1])?;
    ensure(read.lines().count() == counts[1], || "the console consumer reads less".to_owned())?;
    two.kcat(&["-P", "-t", "packed", "-K", "|"], b"new key|from the second broker\n")?;
    two.create("added", 2, &[])?;
    let between = View::take(&two)?;
    two.broker.stop().map_err(|failure| failure.during("stopping the second broker"))?;
    let mut three = start(bench, first, &data)
        .map_err(|failure| failure.during("starting the first broker again"))?;
    between.same_as(&View::take(&three)?, "back on the first broker")?;
    three.broker.stop()?;
    Ok(format!(
        "{} records in {} topic lines, there and back",
        between.records.len(),
        between.topics.len()
    ))
}

pub(super) fn to_kafka(bench: &Bench) -> Outcome<String> {
    exchange(bench, bench.target.kind(), Kind::Kafka)
}

pub(super) fn from_kafka(bench: &Bench) -> Outcome<String> {
    exchange(bench, Kind::Kafka, bench.target.kind())
}

fn transactions_seen(bench: &Bench) -> Outcome<String> {
    let seen = bench.python("transactions.py", &["read", &bench.broker.bootstrap()])?;
    Ok(String::from_utf8_lossy(&seen).into_owned())
}

/// Kafka has committed, aborted and open transactions; the other broker shows what Kafka shows of
/// them, and so does Kafka when it takes the directory back.
pub(super) fn transactions(bench: &Bench) -> Outcome<String> {
    let root = tempfile::tempdir()?;
    let data = root.path().join("data");
    let mut kafka = start(bench, Kind::Kafka, &data)?;
    kafka.python("transactions.py", &["write", &kafka.broker.bootstrap()])?;
    let before = transactions_seen(&kafka)?;
    ensure(before.lines().count() == 2, || format!("not two views: {before}"))?;
    kafka.broker.stop()?;
    let mut ours = start(bench, bench.target.kind(), &data)?;
    let on_ours = transactions_seen(&ours)?;
    ensure(on_ours == before, || format!("of {before} came {on_ours}"))?;
    ours.broker.stop()?;
    let (files, _) = log_files(&data)?;
    let indexes = files.iter().filter(|file| file.extension().is_some_and(|e| e == "txnindex"));
    ensure(1 < indexes.count(), || "there are no indexes of aborted transactions".to_owned())?;
    for some in files.chunks(100) {
        dump(bench, some, "--deep-iteration")?;
    }
    let mut back = start(bench, Kind::Kafka, &data)?;
    let on_kafka = transactions_seen(&back)?;
    ensure(on_kafka == before, || format!("back on Kafka, of {before} came {on_kafka}"))?;
    back.broker.stop()?;
    Ok(before
        .lines()
        .map(|line| line.split(", ").next().unwrap_or(line))
        .collect::<Vec<_>>()
        .join("; "))
}

/// The files under `data` that kafka-dump-log reads, with the ones of the metadata log apart.
fn log_files(data: &Path) -> Outcome<(Vec<PathBuf>, Vec<PathBuf>)> {
    const KNOWN: [&str; 5] = ["log", "index", "timeindex", "txnindex", "snapshot"];
    let (mut files, mut metadata) = (Vec::new(), Vec::new());
    for directory in fs::read_dir(data)? {
        let directory = directory?.path();
        if !directory.is_dir() {
            continue;
        }
        let of_metadata = directory.ends_with("__cluster_metadata-0");
        for file in fs::read_dir(&directory)? {
            let file = file?.path();
            let extension = file.extension().unwrap_or_default().to_string_lossy().into_owned();
            if KNOWN.contains(&extension.as_str()) && !of_metadata {
                files.push(file);
            } else if of_metadata && (extension == "log" || extension == "checkpoint") {
                metadata.push(file);
            }
        }
    }
    files.sort();
    metadata.sort();
    Ok((files, metadata))
}

fn dump(bench: &Bench, files: &[PathBuf], option: &str) -> Outcome<String> {
    let names: Vec<String> = files.iter().map(|file| file.to_string_lossy().into_owned()).collect();
    let text = bench.offline_tool(DUMP_LOG, &["--files", &names.join(","), option])?;
    // What the tool says about each kind of damage.
    for bad in [
        "Exception",
        "isvalid: false",
        "mismatch",
        "is not sane",
        "non-consecutive",
        "WARN",
        "orrupt",
    ] {
        if let Some(line) = text.lines().find(|line| line.contains(bad)) {
            return Err(format!("kafka-dump-log: {line}").into());
        }
    }
    Ok(text)
}

fn dump_all(bench: &Bench, data: &Path) -> Outcome<String> {
    let (files, metadata) = log_files(data)?;
    ensure(files.len() > 40, || format!("only {} files", files.len()))?;
    for some in files.chunks(100) {
        dump(bench, some, "--deep-iteration")?;
    }
    ensure(!metadata.is_empty(), || "no metadata log".to_owned())?;
    let text = dump(bench, &metadata, "--cluster-metadata-decoder")?;
    ensure_contains(&text, "TOPIC_RECORD")?;
    Ok(format!("{} files and {} of the metadata log accepted", files.len(), metadata.len()))
}

pub(super) fn dump_log(bench: &Bench) -> Outcome<String> {
    let root = tempfile::tempdir()?;
    let data = root.path().join("data");
    let mut filled = start(bench, bench.target.kind(), &data)?;
    fill(&filled)?;
    filled.broker.stop()?;
    dump_all(bench, &data)
}

pub(super) fn after_kill(bench: &Bench) -> Outcome<String> {
    let root = tempfile::tempdir()?;
    let data = root.path().join("data");
    let mut killed = start(bench, bench.target.kind(), &data)?;
    fill(&killed)?;
    let before = View::take(&killed)?;
    killed.broker.kill()?;
    let mut close = Command::new(evenkeel_binary()?);
    close.args(["log", "close"]).arg(&data);
    run(&mut close, b"", Duration::from_secs(60))
        .and_then(kit::Finished::success)
        .map_err(|failure| failure.during("evenkeel log close"))?;
    let dumped = dump_all(bench, &data)?;
    let mut kafka = start(bench, Kind::Kafka, &data)?;
    before.same_as(&View::take(&kafka)?, "on Kafka")?;
    let set_aside = strays(&data)?;
    ensure(set_aside.is_empty(), || format!("marked stray: {}", set_aside.join(", ")))?;
    kafka.broker.stop()?;
    Ok(format!("{} records on Kafka after kill and close; {dumped}", before.records.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_configs_does_not_matter_and_their_values_do() {
        let one = in_order("Topic: t\tTopicId: i\tConfigs: b=2,a=1");
        assert_eq!(one, in_order("Topic: t\tTopicId: i\tConfigs: a=1,b=2"));
        assert_ne!(one, in_order("Topic: t\tTopicId: i\tConfigs: a=1,b=3"));
        assert_ne!(one, in_order("Topic: t\tTopicId: j\tConfigs: a=1,b=2"));
    }
}
