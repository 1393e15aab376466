//! Fills a log in a directory and closes it, for other tools to look at:
//! `fill DIR BATCHES` writes `DIR/topic-0`.

use std::path::{Path, PathBuf};

use env::std_world::StdEnv;
use env::{Env, Group};
use evenkeel_segment::{Log, LogOptions, Stamp};
use record::{Builder, Codec, LeaderEpoch, Offset};

async fn fill<E: Env>(env: E, batches: i64) -> Result<(), Box<dyn std::error::Error>> {
    let options = LogOptions { segment_bytes: 1 << 20, ..LogOptions::default() };
    let log = Log::create(&env, Path::new("topic-0"), options, Offset::ZERO).await?;
    for number in 0..batches {
        let mut builder = Builder::new(Codec::None);
        for record in 0..3 {
            let value = format!("record {record} of batch {number}").repeat(8);
            // Every seventh batch is late.
            let timestamp_ms = 1_700_000_000_000 + number * 10 - (number % 7) * 25 + record;
            builder.record(timestamp_ms, None, Some(value.as_bytes()), &[]);
        }
        let stamp = Stamp { base: log.ends().end, epoch: LeaderEpoch::ZERO };
        log.append(&builder.build(), stamp, env.wall_ms())?;
        if number % 100 == 0 {
            log.write(Group::Produce).await?;
        }
    }
    Ok(log.close(Group::Produce).await?)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(dir), Some(batches)) = (arguments.next(), arguments.next()) else {
        return Err("usage: fill DIR BATCHES".into());
    };
    let dir = PathBuf::from(dir);
    std::fs::create_dir_all(&dir)?;
    let env = StdEnv::new(&dir, 64 << 20);
    env.block_on(fill(env.clone(), batches.parse()?))
}
