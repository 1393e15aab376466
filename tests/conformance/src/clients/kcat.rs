//! kcat: list, produce, consume from offsets, times and the ends, with every codec.

use kit::Outcome;

use crate::bench::{Bench, PARTITIONS, ensure, ensure_contains};

const LINES: usize = 200;

/// The lines of one partition: `key|value`.
fn lines(partition: u32) -> String {
    (0..LINES).map(|number| format!("key-{number}|partition {partition} line {number}\n")).collect()
}

pub(super) fn run(bench: &Bench) -> Outcome<String> {
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        let topic = format!("kcat-{codec}");
        bench.create(&topic, PARTITIONS, &[])?;
        round_trip(bench, &topic, codec)?;
    }
    positions(bench)?;
    times(bench)?;
    acknowledgements(bench)?;
    let listing = bench.kcat(&["-L"], b"")?;
    let listing = String::from_utf8_lossy(&listing).into_owned();
    ensure_contains(&listing, &format!("broker 1 at {}", bench.broker.bootstrap()))?;
    ensure_contains(&listing, &format!("topic \"kcat-zstd\" with {PARTITIONS} partitions"))?;
    Ok("list, 5 codecs, offsets, times, ends, acks 0 1 all, idempotent".to_owned())
}

fn round_trip(bench: &Bench, topic: &str, codec: &str) -> Outcome<()> {
    for partition in 0..PARTITIONS {
        let produce = ["-P", "-t", topic, "-p", &partition.to_string(), "-K", "|", "-z", codec];
        bench.kcat(&produce, lines(partition).as_bytes())?;
    }
    let consume = ["-C", "-t", topic, "-o", "beginning", "-e", "-f", "%p %k|%s\n"];
    let read = bench.kcat(&consume, b"")?;
    let read = String::from_utf8_lossy(&read).into_owned();
    for partition in 0..PARTITIONS {
        let prefix = format!("{partition} ");
        let came: Vec<&str> = read.lines().filter_map(|line| line.strip_prefix(&prefix)).collect();
        ensure(came.iter().copied().eq(lines(partition).lines()), || {
            format!("{topic} {partition}: {} lines came back, others than sent", came.len())
        })?;
    }
    Ok(())
}

fn positions(bench: &Bench) -> Outcome<()> {
    for partition in 0..3 {
        let place = partition.to_string();
        let read = |from: &str| {
            let arguments = ["-C", "-t", "kcat-none", "-p", &place, "-o", from, "-e", "-f", "%o\n"];
            bench.kcat(&arguments, b"").map(|read| String::from_utf8_lossy(&read).into_owned())
        };
        for (from, first, count) in [("0", "0\n", LINES), ("150", "150\n", 50), ("-3", "197\n", 3)]
        {
            let offsets = read(from)?;
            ensure(offsets.starts_with(first) && offsets.lines().count() == count, || {
                format!("from {from}: {:?}", kit::tail(&offsets, 3))
            })?;
        }
        ensure(read("end")?.is_empty(), || "there is something after the end".to_owned())?;
    }
    Ok(())
}

fn times(bench: &Bench) -> Outcome<()> {
    let query = |time: &str| {
        let question = format!("kcat-none:3:{time}");
        bench
            .kcat(&["-Q", "-t", &question], b"")
            .map(|answer| String::from_utf8_lossy(&answer).into_owned())
    };
    ensure_contains(&query("1")?, "kcat-none [3] offset 0")?;
    let future = query("4102444800000")?;
    ensure(future.contains("offset -1") || future.contains("offset 200"), || future.clone())?;
    let arguments = ["-C", "-t", "kcat-none", "-p", "3", "-o", "s@1", "-e", "-f", "%o\n"];
    let read = bench.kcat(&arguments, b"")?;
    ensure(read.starts_with(b"0\n"), || "a time before all records is not the start".to_owned())
}

fn acknowledgements(bench: &Bench) -> Outcome<()> {
    bench.create("kcat-acks", PARTITIONS, &[])?;
    for settings in [&["-X", "acks=0"][..], &["-X", "acks=1"], &["-X", "enable.idempotence=true"]] {
        for partition in 0..PARTITIONS {
            let place = partition.to_string();
            let mut arguments = vec!["-P", "-t", "kcat-acks", "-p", &place, "-K", "|"];
            arguments.extend(settings);
            bench.kcat(&arguments, lines(partition).as_bytes())?;
        }
    }
    // Without acknowledgements kcat may be gone before the broker has appended: wait for the rest.
    for _ in 0..50 {
        let all =
            bench.kcat(&["-C", "-t", "kcat-acks", "-o", "beginning", "-e", "-f", "%o\n"], b"")?;
        let count = all.iter().filter(|byte| **byte == b'\n').count();
        if count == 3 * LINES * usize::try_from(PARTITIONS).expect("small") {
            return Ok(());
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    Err("records are missing after acks 0, 1 and idempotent".into())
}
