//! A panic on a shard ends the process, and says whose task it was.

use std::io::Write;
use std::panic::PanicHookInfo;
use std::sync::Once;

use crate::exec::running_here;

static INSTALL: Once = Once::new();

/// Installs the hook once. Threads that are no shards keep the behaviour they had.
pub(crate) fn install_hook() {
    INSTALL.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            before(info);
            abort_if_on_shard(info);
        }));
    });
}

fn abort_if_on_shard(info: &PanicHookInfo<'_>) {
    let Some((shard, task)) = running_here() else { return };
    let text = match task {
        Some((group, site)) => format!(
            "shard {shard}: a task of group {}, spawned at {site}, panicked: {info}\n",
            group.name()
        ),
        None => format!("shard {shard} panicked outside of a task: {info}\n"),
    };
    // Half of a shard's state is worse than none: the process ends, and recovery does its work.
    let _ = std::io::stderr().write_all(text.as_bytes());
    std::process::abort();
}
