//! `evenkeel log compact DIR`: one pass over every compacted log of a directory that was stopped cleanly.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;

use compaction::rules::LastOfProducer;
use compaction::{Aborted, Compression, Inputs, Pass, Report, Settings, Stage, Step};
use env::std_world::StdEnv;
use env::{Env, Group, read_all, replace_file};
use metadata::configs::{CompressionType, Node, TopicConfig, effective_topic_config};
use metadata::kafka_files::{CLEAN_SHUTDOWN, OffsetCheckpoint, decode_offsets, encode_offsets};
use partition::producers::Producers;
use partition::snapshot;
use record::{Codec, Offset};
use segment::{Known, Log, LogOptions};

use super::directory::{self, Kind, LogFiles, METADATA_TOPIC};
use super::fold::fold;
use super::progress::Progress;
use crate::table::bytes;
use crate::{directory_lock, print};

/// Where Kafka's cleaner notes how far each log is clean.
const CLEANED: &str = "cleaner-offset-checkpoint";
/// Longest small file that is read, in bytes.
const FILE_BYTES_MAX: usize = 64 << 20;

/// Compacts what the directory holds; says what came of it.
pub(super) fn run(dir: &Path, topic: Option<&str>) -> Result<ExitCode, String> {
    let env = super::world(dir)?;
    let _lock = directory_lock::lock(dir)?;
    print(compacted(&env, dir, topic, Progress::on_stderr)?.trim_end());
    Ok(ExitCode::SUCCESS)
}

/// Compacts the logs of `topic`, or of all topics whose policy says so.
pub(super) fn compacted(
    env: &StdEnv,
    dir: &Path,
    topic: Option<&str>,
    progress: impl Fn(u64) -> Progress,
) -> Result<String, String> {
    if !dir.join(CLEAN_SHUTDOWN).exists() {
        let dir = dir.display();
        return Err(format!("{dir} was not stopped cleanly: run `evenkeel log close {dir}` first"));
    }
    env.block_on(async {
        let found = directory::read(env).await.map_err(|failure| failure.to_string())?;
        let configs = configs(env, &found).await?;
        let wanted = |name: &str, config: &TopicConfig| match topic {
            Some(topic) => topic == name,
            None => config.cleanup.compact,
        };
        let (mut lines, mut open_only) = (Vec::new(), 0);
        for ((name, partition), files) in &found.logs {
            let config = configs(name);
            if name == METADATA_TOPIC || !wanted(name, &config) {
                continue;
            }
            let log = format!("{name}-{partition}");
            let one = One { env, files, config: &config, key: (name.clone(), *partition) };
            let report = one.compact(&progress).await.map_err(|why| format!("{log}: {why}"))?;
            match report {
                Some(report) => lines.push(line(&log, report)),
                None => open_only += 1,
            }
        }
        if 0 < open_only {
            lines.push(format!(
                "{open_only} logs have no closed segment below the last stable offset"
            ));
        }
        if lines.is_empty() {
            lines.push("no log is compacted: name one with --topic".to_owned());
        }
        Ok(lines.join("\n"))
    })
}

/// What holds for each topic, by the metadata in the directory.
async fn configs(
    env: &StdEnv,
    found: &directory::Directory,
) -> Result<impl Fn(&str) -> TopicConfig + use<>, String> {
    let mut image = metadata::Image::new();
    if let Some(files) = found.logs.get(&(METADATA_TOPIC.to_owned(), 0)) {
        image = fold(env, files).await.map_err(|failure| failure.to_string())?.image;
    }
    let id = found.identity.as_ref().map_or(1, |identity| identity.node_id);
    let node = Node { id, configs: BTreeMap::new() };
    Ok(move |topic: &str| effective_topic_config(&image, &node, topic))
}

fn line(log: &str, report: Report) -> String {
    format!(
        "{log}: {} of {} segments written again, {} became {}, {} records went",
        report.rewritten,
        report.segments,
        bytes(report.before_bytes),
        bytes(report.after_bytes),
        report.dropped_records,
    )
}

/// One log to be compacted.
struct One<'a> {
    env: &'a StdEnv,
    files: &'a LogFiles,
    config: &'a TopicConfig,
    key: (String, i32),
}

impl One<'_> {
    async fn compact(&self, progress: &impl Fn(u64) -> Progress) -> Result<Option<Report>, String> {
        let start = self.noted("log-start-offset-checkpoint").await?.unwrap_or(Offset::ZERO);
        let known = Known { start, recovery_point: Offset::MAX, clean: true, tail: None };
        let (env, dir) = (self.env, &self.files.dir);
        let opened = Log::open(env, dir, options(self.config), known, Group::System).await;
        let (log, opened) = opened.map_err(|error| error.to_string())?;
        if let Some(damage) = opened.damage.first() {
            return Err(damage.at.to_string());
        }
        let (producers, open) = self.producers(&log).await?;
        let watermark = self.noted("replication-offset-checkpoint").await?;
        let end = log.ends().end.min(watermark.unwrap_or(Offset::MAX));
        let inputs = Inputs {
            stable: open.unwrap_or(end).min(end),
            now_ms: env.wall_ms(),
            producers,
            aborted: Aborted::Files,
        };
        let pass = Pass::begin(&log, env, settings(self.config), inputs).await;
        let Some(mut pass) = pass.map_err(|error| error.to_string())? else { return Ok(None) };
        let report = drive(&mut pass, progress(self.files.log_bytes())).await?;
        log.close(Group::System).await.map_err(|error| error.to_string())?;
        self.note_cleaned(report.cleaned_to).await?;
        Ok(Some(report))
    }

    /// What a checkpoint file of the directory says of the log.
    async fn noted(&self, name: &str) -> Result<Option<Offset>, String> {
        Ok(self.checkpoint(name).await?.get(&self.key).copied())
    }

    async fn checkpoint(&self, name: &str) -> Result<OffsetCheckpoint, String> {
        let path = Path::new(name);
        let content = read_all(self.env, path, FILE_BYTES_MAX, Group::System).await;
        let content = content.map_err(|failure| failure.to_string())?.unwrap_or_default();
        decode_offsets(&content).map_err(|error| format!("{name}: {error}"))
    }

    /// Tells Kafka's cleaner how far the log is clean.
    async fn note_cleaned(&self, to: Offset) -> Result<(), String> {
        let mut cleaned = self.checkpoint(CLEANED).await?;
        cleaned.insert(self.key.clone(), to);
        let bytes = encode_offsets(&cleaned);
        let written = replace_file(self.env, Path::new(CLEANED), &bytes, Group::System).await;
        written.map_err(|failure| failure.to_string())
    }

    /// The last batch of each producer, from the newest snapshot and what lies behind it, and where
    /// the earliest open transaction begins.
    async fn producers(
        &self,
        log: &Log<StdEnv>,
    ) -> Result<(BTreeMap<i64, LastOfProducer>, Option<Offset>), String> {
        let (mut last, mut open) = (BTreeMap::new(), BTreeMap::new());
        let mut from = log.ends().start;
        let mut offsets = self.files.snapshots.clone();
        offsets.sort();
        for offset in offsets.into_iter().rev().filter(|offset| *offset <= log.ends().end) {
            let path = self.files.path(offset, Kind::Snapshot);
            let content = read_all(self.env, &path, FILE_BYTES_MAX, Group::System).await;
            let content = content.map_err(|failure| failure.to_string())?.unwrap_or_default();
            if let Ok(producers) = snapshot::decode(&content) {
                take_snapshot(&producers, &mut last, &mut open);
                from = from.max(offset);
                break;
            }
        }
        let scanned = log.scan(from, Group::System, |seen| {
            let header = &seen.header;
            let (id, epoch) = (header.producer_id, header.producer_epoch);
            if !header.has_producer() {
                return;
            }
            let known = last.entry(id).or_insert(LastOfProducer { last_data_offset: None, epoch });
            known.epoch = epoch;
            if header.is_control() {
                open.remove(&id);
                return;
            }
            known.last_data_offset = Some(header.last_offset());
            if header.is_transactional() {
                open.entry(id).or_insert(header.base_offset);
            }
        });
        scanned.await.map_err(|error| error.to_string())?;
        Ok((last, open.into_values().min()))
    }
}

fn take_snapshot(
    producers: &Producers,
    last: &mut BTreeMap<i64, LastOfProducer>,
    open: &mut BTreeMap<i64, Offset>,
) {
    for (id, producer) in producers.iter() {
        let last_data_offset = producer.batches.back().map(|batch| batch.last_offset);
        last.insert(id, LastOfProducer { last_data_offset, epoch: producer.epoch });
        open.extend(producer.transaction_start.map(|start| (id, start)));
    }
}

async fn drive(pass: &mut Pass<StdEnv>, mut progress: Progress) -> Result<Report, String> {
    let mut seen = 0;
    loop {
        match pass.step().await.map_err(|error| error.to_string())? {
            Step::Done(report) => {
                progress.finish();
                return Ok(report);
            }
            Step::Working(Stage::Rewrite { done, .. }) => {
                progress.add(done.saturating_sub(seen));
                seen = done;
            }
            Step::Working(Stage::Index { .. } | Stage::Merge) => {}
        }
    }
}

fn options(config: &TopicConfig) -> LogOptions {
    LogOptions {
        segment_bytes: u64::from(config.segment_bytes),
        segment_ms: config.segment_ms,
        segment_jitter_ms: config.segment_jitter_ms,
        index_interval_bytes: config.index_interval_bytes,
        index_bytes_max: config.segment_index_bytes,
        // Nobody reads the directory now.
        file_delete_delay_ms: 0,
    }
}

fn settings(config: &TopicConfig) -> Settings {
    let codec = match config.compression {
        CompressionType::Producer => None,
        CompressionType::Uncompressed => Some(Codec::None),
        CompressionType::Gzip => Some(Codec::Gzip),
        CompressionType::Snappy => Some(Codec::Snappy),
        CompressionType::Lz4 => Some(Codec::Lz4),
        CompressionType::Zstd => Some(Codec::Zstd),
    };
    Settings {
        delete_retention_ms: config.delete_retention_ms,
        min_compaction_lag_ms: config.min_compaction_lag_ms,
        compression: Compression { codec, level: codec.and_then(|codec| config.level(codec)) },
        ..Settings::default()
    }
}
