//! `evenkeel log close DIR`: brings a directory that a broker left without a clean stop to the state of one.
//!
//! It starts the broker library on the directory, with one shard and no listener, and stops it cleanly: so
//! recovery is the one that a server runs.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;

use broker::{Limits, Options, ShardMessage};
use env::std_world::{Alone, StdEnv};
use env::{Env, Group};
use journal::checkpoint::Checkpoint;
use metadata::kafka_files::{CLEAN_SHUTDOWN, META_PROPERTIES, decode_meta_properties};

use crate::{directory_lock, print};

/// Memory of the shard, in bytes.
const MEMORY_BYTES: usize = 256 << 20;

/// Closes the directory; says whether there was anything to do.
pub(super) fn run(dir: &Path) -> Result<ExitCode, String> {
    super::world(dir)?;
    let _lock = directory_lock::lock(dir)?;
    print(&close(dir)?);
    Ok(ExitCode::SUCCESS)
}

/// Closes the directory, which nobody else uses.
pub(super) fn close(dir: &Path) -> Result<String, String> {
    if dir.join(CLEAN_SHUTDOWN).exists() {
        return Ok(format!("{} was stopped cleanly already; nothing changed", dir.display()));
    }
    let options = options(dir)?;
    let env: Alone<ShardMessage> = Alone::new(StdEnv::new(dir, MEMORY_BYTES));
    env.block_on(async {
        let shard = broker::start(env.clone(), options).await.map_err(|error| error.to_string())?;
        shard.stop().await.map_err(|why| format!("the stop was not clean: {why}"))?;
        remove_journals(&env).await
    })?;
    Ok(format!("{} is closed: Apache Kafka can start on it", dir.display()))
}

/// After the clean stop all that the journals hold is in flushed segments.
async fn remove_journals(env: &impl Env) -> Result<(), String> {
    let nothing = Checkpoint::default();
    let replay = journal::replay(env, &nothing, Group::System).await;
    let replay = replay.map_err(|error| error.to_string())?;
    replay.old_files().retire(env).await.map_err(|error| error.to_string())
}

/// As a server would be started on it; nothing is advertised to anybody.
fn options(dir: &Path) -> Result<Options, String> {
    let path = dir.join(META_PROPERTIES);
    let cannot = |why: String| format!("{}: {why}", path.display());
    let bytes = std::fs::read(&path).map_err(|error| cannot(error.to_string()))?;
    let identity = decode_meta_properties(&bytes).map_err(|error| cannot(error.to_string()))?;
    Ok(Options {
        node_id: identity.node_id,
        advertised_host: "localhost".to_owned(),
        advertised_port: 9092,
        log_dir: dir.display().to_string(),
        configs: BTreeMap::new(),
        limits: Limits::server(),
    })
}
