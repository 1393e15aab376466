//! One pass over a log of many keys in 64 MiB, with what it took:
//!
//! `many_keys fill DIR KEYS PERCENT CODEC` writes `DIR/many-0`: so many distinct keys, then so many
//! percent of them again. `many_keys compact DIR` compacts it and says time, CPU time and memory.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

use env::std_world::StdEnv;
use env::{Env, Group};
use evenkeel_compaction::{Aborted, Inputs, Pass, Settings};
use record::{Builder, Codec, LeaderEpoch, Offset};
use segment::{Known, Log, LogOptions, Stamp};

const LOG: &str = "many-0";
const RECORDS_PER_BATCH: u64 = 500;
const MEMORY_BYTES: usize = 64 << 20;

type Failure = Box<dyn std::error::Error>;

fn options() -> LogOptions {
    LogOptions { segment_bytes: 256 << 20, file_delete_delay_ms: 0, ..LogOptions::default() }
}

async fn fill(env: StdEnv, keys: u64, percent: u64, codec: Codec) -> Result<(), Failure> {
    let log = Log::create(&env, Path::new(LOG), options(), Offset::ZERO).await?;
    let again = keys * percent / 100;
    let all = (0..keys).chain((0..again).map(|n| n * 100 / percent.max(1) % keys));
    let mut batch = Builder::new(codec);
    let mut text = String::new();
    for (number, key) in (1..).zip(all) {
        text.clear();
        write!(text, "customer {key:012} in state {} since event {number}", key % 13)?;
        let timestamp_ms = 1_700_000_000_000 + number;
        batch.record(timestamp_ms, Some(&text.as_bytes()[..21]), Some(text.as_bytes()), &[]);
        if u64::try_from(number)?.is_multiple_of(RECORDS_PER_BATCH) {
            let full = std::mem::replace(&mut batch, Builder::new(codec)).build();
            let stamp = Stamp { base: log.ends().end, epoch: LeaderEpoch::ZERO };
            log.append(&full, stamp, timestamp_ms)?;
            if log.unwritten_bytes() > 8 << 20 {
                log.write(Group::Produce).await?;
                log.evict(usize::MAX);
            }
        }
    }
    // So that all of it is closed.
    log.set_options(LogOptions { segment_bytes: 1 << 20, ..options() });
    let mut last = Builder::new(Codec::None);
    last.record(1_800_000_000_000, Some(b"last"), Some(&[0; 1 << 19]), &[]);
    let last = last.build();
    for _ in 0..3 {
        let stamp = Stamp { base: log.ends().end, epoch: LeaderEpoch::ZERO };
        log.append(&last, stamp, 1_800_000_000_000)?;
    }
    Ok(log.close(Group::Produce).await?)
}

async fn compact(env: StdEnv) -> Result<String, Failure> {
    let known = Known { start: Offset::ZERO, recovery_point: Offset::MAX, clean: true, tail: None };
    let (log, _) = Log::open(&env, Path::new(LOG), options(), known, Group::Recovery).await?;
    let inputs = Inputs {
        stable: log.ends().end,
        now_ms: env.wall_ms(),
        producers: Default::default(),
        aborted: Aborted::Files,
    };
    let pass = Pass::begin(&log, &env, Settings::default(), inputs).await?;
    let report = pass.ok_or("there is nothing to compact")?.run().await?;
    Ok(format!("{report:#?}"))
}

/// User and system time of this process in seconds, and its largest resident memory.
fn took() -> Result<(f64, String), Failure> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or("").split_whitespace().collect();
    let ticks: f64 = fields[11].parse::<f64>()? + fields[12].parse::<f64>()?;
    let status = std::fs::read_to_string("/proc/self/status")?;
    let most = status.lines().find(|line| line.starts_with("VmHWM")).unwrap_or_default();
    Ok((ticks / 100.0, most.to_owned()))
}

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let began = Instant::now();
    let world = |dir: &str| -> Result<StdEnv, Failure> {
        std::fs::create_dir_all(PathBuf::from(dir))?;
        Ok(StdEnv::new(Path::new(dir), MEMORY_BYTES))
    };
    let text = match &arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["fill", dir, keys, percent, codec] => {
            let codec = Codec::ALL.into_iter().find(|one| one.name() == *codec);
            let codec = codec.ok_or("no such codec")?;
            let env = world(dir)?;
            env.block_on(fill(env.clone(), keys.parse()?, percent.parse()?, codec))?;
            "filled".to_owned()
        }
        ["compact", dir] => {
            let env = world(dir)?;
            env.block_on(compact(env.clone()))?
        }
        _ => return Err("usage: many_keys fill DIR KEYS PERCENT CODEC | compact DIR".into()),
    };
    let (cpu_s, memory) = took()?;
    let wall_s = began.elapsed().as_secs_f64();
    writeln!(std::io::stdout(), "{text}\n{wall_s:.1} s, {cpu_s:.1} s of CPU, {memory}")?;
    Ok(())
}
