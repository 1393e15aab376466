//! The main job on real data: 336,776 flights through kcat and back.

use std::collections::BTreeMap;

use kit::Outcome;

use crate::bench::{Bench, PARTITIONS, ensure};

const ROWS: usize = 336_776;

/// The lines of each key, in order. The key is what stands before the first bar.
fn by_key(lines: &[u8]) -> BTreeMap<&[u8], Vec<&[u8]>> {
    let mut keys: BTreeMap<&[u8], Vec<&[u8]>> = BTreeMap::new();
    for line in lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let end = line.iter().position(|byte| *byte == b'|').unwrap_or(line.len());
        keys.entry(&line[..end]).or_default().push(line);
    }
    keys
}

pub(super) fn run(bench: &Bench) -> Outcome<String> {
    let flights = bench.python("flights.py", &[])?;
    let sent = by_key(&flights);
    let rows = sent.values().map(Vec::len).sum::<usize>();
    ensure(rows == ROWS, || format!("the data set has {rows} rows"))?;
    bench.create("flights", PARTITIONS, &[])?;
    let produce = ["-P", "-t", "flights", "-K", "|", "-X", "enable.idempotence=true"];
    bench.kcat(&produce, &flights)?;
    let consume = ["-C", "-t", "flights", "-o", "beginning", "-e", "-f", "%k|%s\n"];
    let read = bench.kcat(&consume, b"")?;
    let read = by_key(&read);
    let back = read.values().map(Vec::len).sum::<usize>();
    ensure(back == ROWS, || format!("{back} of {ROWS} rows came back"))?;
    for (key, lines) in &sent {
        ensure(read.get(key) == Some(lines), || {
            format!("the flights of {} differ", String::from_utf8_lossy(key))
        })?;
    }
    Ok(format!("{ROWS} rows, {} keys, each equal and in order", sent.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_gathered_by_key_in_order() {
        let keys = by_key(b"a|1\nb|2\na|3\n");
        assert_eq!(keys[&b"a"[..]], [&b"a|1"[..], b"a|3"]);
        assert_eq!(keys.len(), 2);
    }
}
