//! The console producer and the console consumer with `--partition`.

use kit::Outcome;

use crate::bench::{Bench, PARTITIONS, ensure};

const PRODUCER: &str = "org.apache.kafka.tools.ConsoleProducer";
const CONSUMER: &str = "org.apache.kafka.tools.consumer.ConsoleConsumer";
const LINES: usize = 500;

fn lines() -> String {
    (0..LINES).map(|number| format!("key {}|console line {number}\n", number % 50)).collect()
}

/// Produces keyed lines to a new topic with these producer settings.
fn produce(bench: &Bench, topic: &str, settings: &[&str]) -> Outcome<()> {
    bench.create(topic, PARTITIONS, &[])?;
    let mut arguments = vec!["--topic", topic, "--reader-property", "parse.key=true"];
    arguments.extend(["--reader-property", "key.separator=|"]);
    for setting in settings {
        arguments.extend(["--command-property", setting]);
    }
    bench.tool_with_input(PRODUCER, &arguments, lines().as_bytes()).map(drop)
}

/// Consumes one partition from its beginning to its end, `count` records.
pub(super) fn consume(bench: &Bench, topic: &str, partition: u32, count: usize) -> Outcome<String> {
    if count == 0 {
        return Ok(String::new());
    }
    let (place, count) = (partition.to_string(), count.to_string());
    let mut arguments = vec!["--topic", topic, "--partition", &place, "--offset", "earliest"];
    arguments.extend(["--max-messages", &count, "--timeout-ms", "30000"]);
    arguments.extend(["--formatter-property", "print.key=true"]);
    arguments.extend(["--formatter-property", "key.separator=|"]);
    bench.tool(CONSUMER, &arguments)
}

/// How many records each partition holds, as kcat reads them.
pub(super) fn counts(bench: &Bench, topic: &str) -> Outcome<Vec<usize>> {
    let arguments = ["-C", "-t", topic, "-o", "beginning", "-e", "-f", "%p\n"];
    let read = bench.kcat(&arguments, b"")?;
    let text = String::from_utf8_lossy(&read).into_owned();
    let mut counts = vec![0; usize::try_from(PARTITIONS).expect("small")];
    for line in text.lines() {
        let partition: usize = line.parse().map_err(|_| format!("kcat printed {line:?}"))?;
        *counts.get_mut(partition).ok_or_else(|| format!("partition {partition}"))? += 1;
    }
    Ok(counts)
}

pub(super) fn round_trip(bench: &Bench) -> Outcome<String> {
    produce(bench, "console", &[])?;
    let mut read = Vec::new();
    for (partition, count) in (0..).zip(counts(bench, "console")?) {
        let text = consume(bench, "console", partition, count)?;
        read.extend(text.lines().map(str::to_owned));
    }
    let sent: Vec<String> = lines().lines().map(str::to_owned).collect();
    // A key stays on its partition, so its records keep their order; the keys mix.
    for number in 0..50 {
        let key = format!("key {number}|");
        let of = |all: &[String]| -> Vec<String> {
            all.iter().filter(|line| line.starts_with(&key)).cloned().collect()
        };
        ensure(of(&sent) == of(&read), || format!("the records of {key:?} differ"))?;
    }
    Ok(format!("{LINES} keyed lines over {PARTITIONS} partitions, in order"))
}

pub(super) fn codecs(bench: &Bench) -> Outcome<String> {
    for codec in ["gzip", "snappy", "lz4", "zstd"] {
        let topic = format!("console-{codec}");
        produce(bench, &topic, &[&format!("compression.type={codec}")])?;
        same_lines(bench, &topic)?;
    }
    for (acks, idempotence) in [("0", "false"), ("1", "false"), ("all", "true")] {
        let topic = format!("console-acks-{acks}");
        let idempotence = format!("enable.idempotence={idempotence}");
        produce(bench, &topic, &[&format!("acks={acks}"), &idempotence])?;
        same_lines(bench, &topic)?;
    }
    Ok("gzip, snappy (xerial), lz4, zstd; acks 0, 1, all".to_owned())
}

/// What kcat reads are the lines that were sent, in any order over the partitions.
fn same_lines(bench: &Bench, topic: &str) -> Outcome<()> {
    let arguments = ["-C", "-t", topic, "-o", "beginning", "-e", "-f", "%k|%s\n"];
    let read = bench.kcat(&arguments, b"")?;
    let text = String::from_utf8_lossy(&read).into_owned();
    let sorted = |text: &str| {
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    ensure(sorted(&text) == sorted(&lines()), || {
        format!("{topic}: {} of {LINES} lines came back", text.lines().count())
    })
}
