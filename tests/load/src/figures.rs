//! The figures of one run: CPU time over a window, rates, latencies.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use kit::{Outcome, cpu_time, resident_bytes};

use crate::Broker;

/// Figures by name; the unit stands last in each name.
#[derive(Debug, Clone, Default)]
pub struct Figures(BTreeMap<String, f64>);

impl Figures {
    /// All of them.
    pub fn values(&self) -> &BTreeMap<String, f64> {
        &self.0
    }

    pub(crate) fn set(&mut self, name: &str, value: f64) {
        self.0.insert(name.to_owned(), value);
    }

    /// Median, 99th, 99.9th percentile and the largest of these latencies, as `NAME_p50_ms`, ...
    pub(crate) fn set_latencies(&mut self, name: &str, mut micros: Vec<u32>) {
        micros.sort_unstable();
        for (label, permille) in [("p50", 500), ("p99", 990), ("p999", 999), ("max", 1_000)] {
            if let Some(value) = quantile(&micros, permille) {
                self.set(&format!("{name}_{label}_ms"), f64::from(value) / 1_000.0);
            }
        }
    }
}

/// The smallest value that at least `permille` of the sorted values do not exceed.
fn quantile(sorted: &[u32], permille: usize) -> Option<u32> {
    let rank = (sorted.len() * permille).div_ceil(1_000);
    sorted.get(rank.saturating_sub(1)).copied()
}

/// CPU time of the broker and of this process from one instant to another.
#[derive(Debug)]
pub(crate) struct Window {
    broker: u32,
    began: Instant,
    broker_s: f64,
    generator_s: f64,
}

impl Window {
    pub(crate) fn open(broker: &Broker) -> Outcome<Window> {
        Ok(Window {
            broker: broker.pid,
            began: Instant::now(),
            broker_s: cpu_time(broker.pid)?.total_s(),
            generator_s: cpu_time(std::process::id())?.total_s(),
        })
    }

    /// Ends it: `records` of `bytes` in all were moved meanwhile.
    pub(crate) fn close(self, records: u64, bytes: u64) -> Outcome<Figures> {
        let elapsed = self.began.elapsed();
        let broker_s = cpu_time(self.broker)?.total_s() - self.broker_s;
        let generator_s = cpu_time(std::process::id())?.total_s() - self.generator_s;
        let mut figures = rates(elapsed, records, bytes, broker_s, generator_s);
        let resident = count(resident_bytes(self.broker)?);
        figures.set("broker_resident_mb", resident / 1e6);
        Ok(figures)
    }
}

fn rates(elapsed: Duration, records: u64, bytes: u64, broker_s: f64, generator_s: f64) -> Figures {
    let seconds = elapsed.as_secs_f64();
    let gigabytes = count(bytes) / 1e9;
    let mut figures = Figures::default();
    figures.set("mb_per_s", count(bytes) / 1e6 / seconds);
    figures.set("records_per_s", count(records) / seconds);
    figures.set("broker_cpu_percent", 100.0 * broker_s / seconds);
    if records > 0 {
        figures.set("broker_cpu_s_per_gb", broker_s / gigabytes);
        figures.set("generator_cpu_s_per_gb", generator_s / gigabytes);
        figures.set("broker_cpu_us_per_record", 1e6 * broker_s / count(records));
    }
    figures
}

/// A count as a number to divide by; exact up to 2^53.
#[expect(clippy::cast_precision_loss, reason = "counts of a run are far below 2^53")]
pub(crate) fn count(value: u64) -> f64 {
    value as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_values_that_occurred() {
        let sorted: Vec<u32> = (1..=1_000).collect();
        assert_eq!(quantile(&sorted, 500), Some(500));
        assert_eq!(quantile(&sorted, 990), Some(990));
        assert_eq!(quantile(&sorted, 1_000), Some(1_000));
        assert_eq!(quantile(&[7], 999), Some(7));
        assert_eq!(quantile(&[], 500), None);
    }

    #[test]
    fn rates_are_per_second_and_per_gigabyte() {
        let figures = rates(Duration::from_secs(2), 1_000, 4_000_000_000, 8.0, 4.0);
        let value = |name: &str| figures.values()[name];
        assert!((value("mb_per_s") - 2_000.0).abs() < 1e-9);
        assert!((value("records_per_s") - 500.0).abs() < 1e-9);
        assert!((value("broker_cpu_s_per_gb") - 2.0).abs() < 1e-9);
        assert!((value("broker_cpu_percent") - 400.0).abs() < 1e-9);
    }

    #[test]
    fn a_run_without_records_has_no_cost_per_record() {
        let figures = rates(Duration::from_secs(1), 0, 0, 1.0, 1.0);
        assert!(!figures.values().contains_key("broker_cpu_s_per_gb"));
    }
}
