//! Names the task that holds its core too long.
//!
//! A shard measures every poll itself and reports the long ones when they end. One plain thread
//! for the process looks at the shards now and then, so that a poll that does not end is named
//! too. It looks rarely while all shards sleep.

use std::panic::Location;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use env::Group;

use crate::clock;
use crate::remote::{Inner, Remote};

/// A poll longer than this is reported, in nanoseconds.
pub const STALL_NS: u64 = 10_000_000;

const LOOK_EVERY: Duration = Duration::from_millis(20);
const LOOK_RARELY: Duration = Duration::from_millis(640);
/// The thread reports a poll that has not ended after this long: five times the limit, since it
/// cannot tell a task that runs from one that the operating system has set aside.
const STUCK_NS: u64 = 5 * STALL_NS;
/// Reports further apart than this are written; others are only counted.
const REPORT_EVERY_NS: u64 = 1_000_000_000;

static REPORTED_NS: AtomicU64 = AtomicU64::new(0);
static SUPPRESSED: AtomicU64 = AtomicU64::new(0);

/// Counts a long poll and, if none was lately, writes it to the log.
pub(crate) fn report(shard: &Inner, group: Group, site: &'static Location<'static>, took_ns: u64) {
    shard.running.stalls.fetch_add(1, Ordering::Relaxed);
    warn(shard.shard, group, site, took_ns, "a task held its core");
}

fn warn(shard: u16, group: Group, site: &Location<'_>, took_ns: u64, what: &'static str) {
    let now_ns = clock::now_ns();
    let reported_ns = REPORTED_NS.load(Ordering::Relaxed);
    if reported_ns != 0 && now_ns.saturating_sub(reported_ns) < REPORT_EVERY_NS {
        SUPPRESSED.fetch_add(1, Ordering::Relaxed);
        return;
    }
    REPORTED_NS.store(now_ns.max(1), Ordering::Relaxed);
    let suppressed = SUPPRESSED.swap(0, Ordering::Relaxed);
    let group = group.name();
    let took_ms = took_ns / 1_000_000;
    tracing::warn!(shard, group, spawned_at = %site, took_ms, suppressed, "{what}");
}

/// Looks at `shards` until the other end of `stop` is dropped.
pub(crate) fn watch(shards: &[Remote], stop: &Receiver<()>) {
    let mut seen: Vec<(u64, u64)> = vec![(0, 0); shards.len()];
    let mut pause = LOOK_EVERY;
    while let Err(RecvTimeoutError::Timeout) = stop.recv_timeout(pause) {
        let asleep = shards.iter().all(|shard| shard.inner.is_sleeping());
        pause = if asleep { (pause * 2).min(LOOK_RARELY) } else { LOOK_EVERY };
        for (shard, seen) in shards.iter().zip(&mut seen) {
            look(&shard.inner, seen);
        }
    }
}

/// `seen` is the sequence of the last look that saw a new one, and when that was.
fn look(shard: &Inner, seen: &mut (u64, u64)) {
    let running = &shard.running;
    let sequence = running.sequence.load(Ordering::Acquire);
    let now_ns = clock::now_ns();
    if sequence != seen.0 {
        *seen = (sequence, now_ns);
        return;
    }
    let for_ns = now_ns - seen.1;
    if sequence.is_multiple_of(2) || for_ns < STUCK_NS {
        return;
    }
    let site = running.site.load(Ordering::Relaxed);
    let group = Group::ALL[usize::from(running.group.load(Ordering::Relaxed))];
    if running.sequence.load(Ordering::Acquire) != sequence {
        return;
    }
    // SAFETY: the shard stores only addresses of 'static locations here, before the sequence
    // turned odd for the first time.
    #[expect(unsafe_code, reason = "a location that travels through an atomic")]
    let Some(site) = (unsafe { site.as_ref() }) else { return };
    warn(shard.shard, group, site, for_ns, "a task holds its core");
}
