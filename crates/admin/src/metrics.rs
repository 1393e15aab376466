//! `/metrics`: a reading as OpenMetrics text, which Prometheus scrapes.
//!
//! The shards keep the numbers; nothing is registered or counted here. The number of series is
//! bounded, for a tested bound: labels are shards, scheduling groups, Kafka's request names and the
//! bounds of a histogram, never what a client sends.

use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::{Registry, Unit};

use crate::plane::Reading;
use crate::process::ProcessReading;
use crate::reading::{GroupReading, LATENCY_BOUNDS_US, Latency, RequestReading, ShardReading};

/// What the page is.
pub(crate) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// One page.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) reading: Arc<Reading>,
    pub(crate) groups: Vec<&'static str>,
    pub(crate) version: &'static str,
    pub(crate) is_ready: bool,
    pub(crate) process: Option<ProcessReading>,
}

/// The text of a page.
pub(crate) fn render(page: Page) -> Result<String, fmt::Error> {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(page));
    let mut text = String::new();
    encode(&mut text, &registry)?;
    Ok(text)
}

type Encoder<'a> = DescriptorEncoder<'a>;

impl Collector for Page {
    fn encode(&self, mut encoder: Encoder<'_>) -> fmt::Result {
        self.broker(&mut encoder)?;
        self.requests(&mut encoder)?;
        self.latencies(&mut encoder)?;
        self.shards(&mut encoder)?;
        self.groups(&mut encoder)
    }
}

impl Page {
    fn broker(&self, encoder: &mut Encoder<'_>) -> fmt::Result {
        let ready = i64::from(self.is_ready);
        let help = "1 when every shard accepts connections";
        let metric = encoder.encode_descriptor("evenkeel_ready", help, None, MetricType::Gauge)?;
        ConstGauge::new(ready).encode(metric)?;
        let mut metric =
            encoder.encode_descriptor("evenkeel_build", "The binary", None, MetricType::Info)?;
        metric.encode_info(&[("version", self.version)])?;
        let Some(process) = self.process else { return Ok(()) };
        let metric = encoder.encode_descriptor(
            "process_cpu",
            "CPU time of the process",
            Some(&Unit::Seconds),
            MetricType::Counter,
        )?;
        ConstCounter::new(process.cpu_s).encode(metric)?;
        for (name, help, unit, value) in [
            (
                "process_resident_memory",
                "Resident memory",
                Some(Unit::Bytes),
                process.resident_bytes,
            ),
            ("process_open_fds", "Open descriptors", None, process.open_fds),
        ] {
            let metric = encoder.encode_descriptor(name, help, unit.as_ref(), MetricType::Gauge)?;
            ConstGauge::new(signed(value)).encode(metric)?;
        }
        Ok(())
    }

    fn requests(&self, encoder: &mut Encoder<'_>) -> fmt::Result {
        let all = added(self.reading.shards.iter().map(|shard| shard.requests.as_slice()));
        for (name, help, of) in [
            (
                "evenkeel_requests",
                "Kafka requests that were answered",
                (|one| one.answered) as fn(&RequestReading) -> u64,
            ),
            ("evenkeel_request_errors", "Answers that hold an error", |one| one.failed),
        ] {
            let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            for one in &all {
                ConstCounter::new(of(one)).encode(metric.encode_family(&[("key", one.name)])?)?;
            }
        }
        Ok(())
    }

    fn latencies(&self, encoder: &mut Encoder<'_>) -> fmt::Result {
        let mut metric = encoder.encode_descriptor(
            "evenkeel_request_latency",
            "From the whole request to its answer; waiting for new records included",
            Some(&Unit::Seconds),
            MetricType::Histogram,
        )?;
        for (number, name) in self.groups.iter().enumerate() {
            let mut all = Latency::default();
            for shard in &self.reading.shards {
                all.add(&shard.latencies.get(number).copied().unwrap_or_default());
            }
            if 0 < all.count() {
                let labels = [("group", *name)];
                let mut family = metric.encode_family(&labels)?;
                let buckets = buckets(&all);
                let sum_s = seconds(all.sum_ns);
                family.encode_histogram::<NoLabelSet>(sum_s, all.count(), &buckets, None)?;
            }
        }
        Ok(())
    }

    fn shards(&self, encoder: &mut Encoder<'_>) -> fmt::Result {
        type Of = fn(&ShardReading) -> u64;
        let bytes = || Some(Unit::Bytes);
        let counters: [(&str, &str, Option<Unit>, Of); 6] = [
            ("evenkeel_produced", "Record batches produced", bytes(), |s| s.produced_bytes),
            ("evenkeel_fetched", "Record batches read", bytes(), |s| s.fetched_bytes),
            ("evenkeel_connections_accepted", "Connections that came", None, |s| {
                s.connections_accepted
            }),
            ("evenkeel_journal_frames", "Journal frames written", None, |s| s.journal.frames),
            ("evenkeel_journal_written", "Written for them", bytes(), |s| s.journal.written_bytes),
            ("evenkeel_journal_flushes", "Journal flushes", None, |s| s.journal.flushes),
        ];
        for (name, help, unit, of) in counters {
            let kind = MetricType::Counter;
            let mut metric = encoder.encode_descriptor(name, help, unit.as_ref(), kind)?;
            for (number, shard) in self.reading.shards.iter().enumerate() {
                ConstCounter::new(of(shard)).encode(metric.encode_family(&[("shard", number)])?)?;
            }
        }
        let gauges: [(&str, &str, Option<Unit>, Of); 3] = [
            ("evenkeel_connections", "Connections that are open", None, |s| s.connections_open),
            ("evenkeel_memory_used", "Memory in use", bytes(), |s| s.memory_used_bytes),
            ("evenkeel_memory_limit", "The budget", bytes(), |s| s.memory_limit_bytes),
        ];
        for (name, help, unit, of) in gauges {
            let kind = MetricType::Gauge;
            let mut metric = encoder.encode_descriptor(name, help, unit.as_ref(), kind)?;
            for (number, shard) in self.reading.shards.iter().enumerate() {
                ConstGauge::new(signed(of(shard)))
                    .encode(metric.encode_family(&[("shard", number)])?)?;
            }
        }
        Ok(())
    }

    fn groups(&self, encoder: &mut Encoder<'_>) -> fmt::Result {
        type Of = fn(&GroupReading) -> u64;
        let gauges: [(&str, &str, Of); 2] = [
            ("evenkeel_group_cpu_shares", "Weight for the CPU", |g| g.shares.cpu.into()),
            ("evenkeel_group_io_shares", "Weight for storage", |g| g.shares.io.into()),
        ];
        for (name, help, of) in gauges {
            let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            for (labels, value) in self.of_groups(of) {
                ConstGauge::new(signed(value)).encode(metric.encode_family(&labels)?)?;
            }
        }
        let times: [(&str, &str, Of); 4] = [
            ("evenkeel_group_cpu", "Ran", |g| g.cpu_used_ns),
            ("evenkeel_group_cpu_wait", "Could run and did not", |g| g.cpu_waited_ns),
            ("evenkeel_group_io", "Time of the device, by the broker's model of it", |g| {
                g.io_used_ns
            }),
            ("evenkeel_group_io_wait", "Requests before they were given to the kernel", |g| {
                g.io_waited_ns
            }),
        ];
        for (name, help, of) in times {
            let (unit, kind) = (Unit::Seconds, MetricType::Counter);
            let mut metric = encoder.encode_descriptor(name, help, Some(&unit), kind)?;
            for (labels, value) in self.of_groups(of) {
                ConstCounter::new(seconds(value)).encode(metric.encode_family(&labels)?)?;
            }
        }
        let counts: [(&str, &str, Option<Unit>, Of); 3] = [
            ("evenkeel_group_io_requests", "Reads, writes and flushes", None, |g| g.io_requests),
            ("evenkeel_group_io_read", "Read", Some(Unit::Bytes), |g| g.io_read_bytes),
            ("evenkeel_group_io_written", "Written", Some(Unit::Bytes), |g| g.io_written_bytes),
        ];
        for (name, help, unit, of) in counts {
            let kind = MetricType::Counter;
            let mut metric = encoder.encode_descriptor(name, help, unit.as_ref(), kind)?;
            for (labels, value) in self.of_groups(of) {
                ConstCounter::new(value).encode(metric.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }

    /// The value of each group on each shard, with its labels.
    fn of_groups(
        &self,
        of: fn(&GroupReading) -> u64,
    ) -> impl Iterator<Item = ([(&'static str, String); 2], u64)> {
        self.reading.shards.iter().enumerate().flat_map(move |(number, shard)| {
            self.groups.iter().zip(&shard.groups).map(move |(name, group)| {
                let labels = [("group", (*name).to_owned()), ("shard", number.to_string())];
                (labels, of(group))
            })
        })
    }
}

/// The requests of all shards, added by their place.
fn added<'a>(shards: impl Iterator<Item = &'a [RequestReading]>) -> Vec<RequestReading> {
    let mut all: Vec<RequestReading> = Vec::new();
    for shard in shards {
        for (place, one) in shard.iter().enumerate() {
            match all.get_mut(place) {
                Some(sum) => {
                    sum.answered += one.answered;
                    sum.failed += one.failed;
                }
                None => all.push(*one),
            }
        }
    }
    all
}

fn buckets(latency: &Latency) -> Vec<(f64, u64)> {
    let bounds = LATENCY_BOUNDS_US.iter().map(|bound| seconds(bound * 1_000));
    bounds.chain([f64::MAX]).zip(latency.counts).collect()
}

#[expect(clippy::cast_precision_loss, reason = "a metric is a floating-point number")]
fn seconds(ns: u64) -> f64 {
    ns as f64 / 1e9
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;
    use crate::reading::JournalReading;

    fn full(number: u64) -> GroupReading {
        GroupReading { cpu_used_ns: number, io_read_bytes: number, ..GroupReading::default() }
    }

    fn page(shards: usize, number: u64) -> String {
        let latency = Latency { counts: [number; LATENCY_BOUNDS_US.len() + 1], sum_ns: number };
        let shard = ShardReading {
            groups: vec![full(number); 3],
            latencies: vec![latency; 3],
            requests: vec![
                RequestReading { name: "Produce", answered: number, failed: number },
                RequestReading { name: "Fetch", answered: number, failed: number },
            ],
            journal: JournalReading { frames: number, written_bytes: number, flushes: number },
            ..ShardReading::default()
        };
        let reading = Reading { at: Instant::now(), shards: vec![shard; shards] };
        render(Page {
            reading: Arc::new(reading),
            groups: vec!["system", "produce", "compaction"],
            version: "1.2.3",
            is_ready: true,
            process: Some(ProcessReading::default()),
        })
        .expect("text")
    }

    fn series(text: &str) -> usize {
        text.lines().filter(|line| !line.starts_with('#')).count()
    }

    #[test]
    fn the_number_of_series_follows_from_shards_groups_and_keys_alone() {
        let (groups, keys) = (3, 2);
        // Sum, count and a bucket for each bound and beyond.
        let histogram = LATENCY_BOUNDS_US.len() + 1 + 2;
        for shards in [1, 2, 16] {
            let most = 5 + keys * 2 + groups * histogram + shards * (9 + groups * 9);
            assert_eq!(series(&page(shards, 1)), most);
            assert_eq!(series(&page(shards, u64::MAX >> 8)), most);
        }
    }

    #[test]
    fn a_histogram_is_cumulative_and_ends_at_its_count() {
        let text = page(2, 1);
        let of = |end: &str| format!("evenkeel_request_latency_seconds_{end}");
        assert!(
            text.contains(&of("bucket{le=\"5e-05\",group=\"produce\"} 2"))
                || text.contains(&of("bucket{le=\"0.00005\",group=\"produce\"} 2")),
            "{text}"
        );
        assert!(text.contains(&of("bucket{le=\"+Inf\",group=\"produce\"} 30")), "{text}");
        assert!(text.contains(&of("count{group=\"produce\"} 30")), "{text}");
    }

    #[test]
    fn the_text_ends_as_the_format_wants() {
        assert!(page(1, 0).ends_with("# EOF\n"));
    }
}
