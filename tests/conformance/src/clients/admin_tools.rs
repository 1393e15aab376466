//! Kafka's administration tools, each used as its documentation shows.

use kit::Outcome;

use crate::bench::{Bench, PARTITIONS, TOPICS, ensure, ensure_contains};

const CONFIGS: &str = "kafka.admin.ConfigCommand";
const GET_OFFSETS: &str = "org.apache.kafka.tools.GetOffsetShell";
const DELETE_RECORDS: &str = "org.apache.kafka.tools.DeleteRecordsCommand";
const LOG_DIRS: &str = "org.apache.kafka.tools.LogDirsCommand";
const API_VERSIONS: &str = "org.apache.kafka.tools.BrokerApiVersionsCommand";
const CLUSTER: &str = "org.apache.kafka.tools.ClusterTool";

/// `count` lines into each partition of a new topic.
fn fill(bench: &Bench, topic: &str, count: u32) -> Outcome<()> {
    bench.create(topic, PARTITIONS, &[])?;
    let lines: String = (0..count).map(|number| format!("line {number}\n")).collect();
    for partition in 0..PARTITIONS {
        let arguments = ["-P", "-t", topic, "-p", &partition.to_string()];
        bench.kcat(&arguments, lines.as_bytes())?;
    }
    Ok(())
}

pub(super) fn topics(bench: &Bench) -> Outcome<String> {
    bench.create("topics", 3, &["retention.ms=3600000"])?;
    ensure_contains(&bench.tool(TOPICS, &["--list"])?, "topics")?;
    let describe = || bench.tool(TOPICS, &["--describe", "--topic", "topics"]);
    let before = describe()?;
    ensure_contains(&before, "PartitionCount: 3")?;
    ensure_contains(&before, "ReplicationFactor: 1")?;
    ensure_contains(&before, "retention.ms=3600000")?;
    ensure_contains(&before, "TopicId: ")?;
    ensure_contains(&before, "Leader: 1")?;
    ensure_contains(&before, "Isr: 1")?;
    bench.tool(TOPICS, &["--alter", "--topic", "topics", "--partitions", "9"])?;
    ensure_contains(&describe()?, "PartitionCount: 9")?;
    let again = ["--create", "--topic", "topics", "--partitions", "1"];
    let refused = bench.try_tool(TOPICS, &again, b"")?;
    ensure(refused.code != Some(0), || "a topic was created twice".to_owned())?;
    ensure_contains(&(refused.text() + &refused.errors()), "TopicExistsException")?;
    let broken = ["--describe", "--under-replicated-partitions"];
    ensure(bench.tool(TOPICS, &broken)?.trim().is_empty(), || "under-replicated".to_owned())?;
    bench.tool(TOPICS, &["--delete", "--topic", "topics"])?;
    let listed = bench.tool(TOPICS, &["--list"])?;
    ensure(!listed.lines().any(|line| line.trim() == "topics"), || "still listed".to_owned())?;
    Ok("create, list, describe, alter, delete; twice refused".to_owned())
}

pub(super) fn configs(bench: &Bench) -> Outcome<String> {
    bench.create("configs", 1, &["retention.ms=3600000"])?;
    let topic = ["--entity-type", "topics", "--entity-name", "configs"];
    let with = |more: &[&str]| bench.tool(CONFIGS, &[&topic[..], more].concat());
    with(&["--alter", "--add-config", "max.message.bytes=200000,segment.bytes=2097152"])?;
    let set = with(&["--describe"])?;
    for wanted in ["max.message.bytes=200000", "segment.bytes=2097152", "retention.ms=3600000"] {
        ensure_contains(&set, wanted)?;
    }
    let all = with(&["--describe", "--all"])?;
    ensure_contains(&all, "DYNAMIC_TOPIC_CONFIG:max.message.bytes=200000")?;
    ensure_contains(&all, "DEFAULT_CONFIG:log.")?;
    ensure_contains(&all, "compression.type=producer")?;
    with(&["--alter", "--delete-config", "max.message.bytes"])?;
    let after = with(&["--describe"])?;
    ensure(!after.contains("max.message.bytes"), || format!("not deleted: {after}"))?;
    ensure_contains(&after, "retention.ms=3600000")?;
    let unknown = [&topic[..], &["--alter", "--add-config", "no.such.config=1"]].concat();
    let refused = bench.try_tool(CONFIGS, &unknown, b"")?;
    ensure(refused.code != Some(0), || "an unknown config was accepted".to_owned())?;
    let broker = ["--entity-type", "brokers", "--entity-name", "1", "--describe", "--all"];
    ensure_contains(&bench.tool(CONFIGS, &broker)?, "num.partitions=1")?;
    Ok("describe, --all with sources, add, delete; unknown refused; broker".to_owned())
}

pub(super) fn get_offsets(bench: &Bench) -> Outcome<String> {
    fill(bench, "offsets", 40)?;
    let ask = |time: &str| bench.tool(GET_OFFSETS, &["--topic", "offsets", "--time", time]);
    for (time, wanted) in [("-1", 40), ("-2", 0), ("latest", 40), ("earliest", 0), ("1", 0)] {
        let text = ask(time)?;
        for partition in 0..PARTITIONS {
            ensure_contains(&text, &format!("offsets:{partition}:{wanted}\n"))?;
        }
    }
    let newest = ask("max-timestamp")?;
    ensure(newest.lines().count() == usize::try_from(PARTITIONS).expect("small"), || {
        newest.clone()
    })?;
    Ok("latest, earliest, max-timestamp, a time".to_owned())
}

pub(super) fn delete_records(bench: &Bench) -> Outcome<String> {
    fill(bench, "deleted", 30)?;
    let file = bench.scratch.path().join("delete.json");
    let entries: Vec<String> = (0..PARTITIONS)
        .map(|at| format!("{{\"topic\":\"deleted\",\"partition\":{at},\"offset\":{}}}", at + 5))
        .collect();
    let json = format!("{{\"partitions\":[{}],\"version\":1}}", entries.join(","));
    std::fs::write(&file, json)?;
    let text = bench.tool(DELETE_RECORDS, &["--offset-json-file", &file.to_string_lossy()])?;
    let earliest = bench.tool(GET_OFFSETS, &["--topic", "deleted", "--time", "earliest"])?;
    for partition in 0..PARTITIONS {
        let mark = partition + 5;
        ensure_contains(&text, &format!("partition: deleted-{partition}\tlow_watermark: {mark}"))?;
        ensure_contains(&earliest, &format!("deleted:{partition}:{mark}\n"))?;
    }
    let read = bench.kcat(&["-C", "-t", "deleted", "-p", "4", "-o", "beginning", "-e"], b"")?;
    ensure(read.starts_with(b"line 9\n"), || "records below the start are read".to_owned())?;
    Ok("low watermarks moved, records below are gone".to_owned())
}

pub(super) fn log_dirs(bench: &Bench) -> Outcome<String> {
    fill(bench, "measured", 20)?;
    let text = bench.tool(LOG_DIRS, &["--describe", "--topic-list", "measured"])?;
    ensure_contains(&text, "\"error\":null")?;
    ensure_contains(&text, "\"partition\":\"measured-7\"")?;
    ensure(!text.contains("\"size\":0,"), || "a partition with records has size 0".to_owned())?;
    ensure_contains(&text, &bench.broker.data().to_string_lossy())?;
    Ok("directory, partitions and sizes".to_owned())
}

/// What must be advertised, as the tool prints it.
const ADVERTISED: [&str; 18] = [
    "Produce(0): 0 to 13",
    "Fetch(1): 4 to 18",
    "ListOffsets(2): 1 to 11",
    "Metadata(3): 0 to 13",
    "ApiVersions(18): 0 to 4",
    "CreateTopics(19): 2 to 7",
    "DeleteTopics(20): 1 to 6",
    "DeleteRecords(21): 0 to 2",
    "InitProducerId(22): 0 to 5",
    "OffsetForLeaderEpoch(23): 2 to 4",
    "DescribeConfigs(32): 1 to 4",
    "DescribeLogDirs(35): 1 to 5",
    "CreatePartitions(37): 0 to 3",
    "IncrementalAlterConfigs(44): 0 to 1",
    "ListPartitionReassignments(46): 0",
    "DescribeCluster(60): 0 to 2",
    "ListConfigResources(74): 0 to 1",
    "DescribeTopicPartitions(75): 0",
];

pub(super) fn api_versions(bench: &Bench) -> Outcome<String> {
    let text = bench.tool(API_VERSIONS, &[])?;
    ensure_contains(&text, &format!("{} (id: 1 ", bench.broker.bootstrap()))?;
    let missing: Vec<&str> = ADVERTISED.into_iter().filter(|row| !text.contains(row)).collect();
    ensure(missing.is_empty(), || format!("not advertised: {}", missing.join("; ")))?;
    Ok(format!("{} keys with the versions of Kafka 4.3", ADVERTISED.len()))
}

pub(super) fn cluster(bench: &Bench) -> Outcome<String> {
    let id = bench
        .offline_tool(CLUSTER, &["cluster-id", "--bootstrap-server", &bench.broker.bootstrap()])?;
    ensure_contains(&id, "Cluster ID: ")?;
    ensure(!id.contains("null"), || id.clone())?;
    let arguments = ["list-endpoints", "--bootstrap-server", &bench.broker.bootstrap()];
    let endpoints = bench.offline_tool(CLUSTER, &arguments)?;
    ensure_contains(&endpoints, &bench.broker.address().port().to_string())?;
    Ok("cluster-id, list-endpoints".to_owned())
}
