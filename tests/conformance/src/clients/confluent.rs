//! confluent-kafka: the whole scenario is a Python script that asserts.

use kit::Outcome;

use crate::bench::{Bench, ensure_contains};

pub(super) fn run(bench: &Bench) -> Outcome<String> {
    let output = bench.python("confluent.py", &[&bench.broker.bootstrap()])?;
    let output = String::from_utf8_lossy(&output).into_owned();
    ensure_contains(&output, "all asserted")?;
    Ok(kit::tail(&output, 1))
}
