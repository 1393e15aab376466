//! producer-perf-test and the verifiable producer.

use kit::Outcome;

use crate::bench::{Bench, PARTITIONS, ensure, ensure_contains};
use crate::clients::console::counts;

const PERFORMANCE: &str = "org.apache.kafka.tools.ProducerPerformance";
const VERIFIABLE: &str = "org.apache.kafka.tools.VerifiableProducer";

pub(super) fn perf_test(bench: &Bench) -> Outcome<String> {
    bench.create("perf-test", PARTITIONS, &[])?;
    let bootstrap = format!("bootstrap.servers={}", bench.broker.bootstrap());
    let arguments = [
        "--topic",
        "perf-test",
        "--num-records",
        "20000",
        "--record-size",
        "512",
        "--throughput",
        "-1",
        "--command-property",
        &bootstrap,
    ];
    let text = bench.offline_tool(PERFORMANCE, &arguments)?;
    ensure_contains(&text, "20000 records sent")?;
    let total: usize = counts(bench, "perf-test")?.iter().sum();
    ensure(total == 20_000, || format!("{total} of 20000 records are there"))?;
    Ok("20,000 records of 512 B, all there".to_owned())
}

pub(super) fn verifiable(bench: &Bench) -> Outcome<String> {
    bench.create("verifiable", PARTITIONS, &[])?;
    let arguments = ["--topic", "verifiable", "--max-messages", "5000", "--acks", "-1"];
    let text = bench.tool(VERIFIABLE, &arguments)?;
    ensure_contains(&text, "\"sent\":5000,\"acked\":5000")?;
    let read = bench.kcat(&["-C", "-t", "verifiable", "-o", "beginning", "-e"], b"")?;
    let text = String::from_utf8_lossy(&read).into_owned();
    let mut values: Vec<usize> = text.lines().filter_map(|line| line.parse().ok()).collect();
    values.sort_unstable();
    ensure(values.iter().copied().eq(0..5_000), || {
        format!("{} values came back, not 0 to 4999 once each", values.len())
    })?;
    Ok("5,000 values acknowledged and read back once each".to_owned())
}
