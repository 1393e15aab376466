//! How dirty a log is, for whoever chooses among many: a few small reads, no pass.

use env::{Env, Group};
use record::Offset;
use segment::{Log, ReadError};

use crate::PassError;
use crate::pass::extents;
use crate::rules::{self, Dirt};
use crate::source::Source;
use crate::state::State;

/// What is known of a log between two passes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Survey {
    /// How dirty it is, for [`Dirt::due`] and the [`chooser`](crate::chooser).
    pub dirt: Dirt,
    /// Below it the log was clean after the last pass.
    pub cleaned_to: Offset,
    /// A pass was left in the middle of a segment and can go on.
    pub can_go_on: bool,
}

/// Looks at a log. `stable` and the clock are those of [`Inputs`](crate::Inputs). Nothing changes.
pub async fn survey<E: Env>(
    log: &Log<E>,
    env: &E,
    stable: Offset,
    min_compaction_lag_ms: i64,
    now_ms: i64,
) -> Result<Survey, PassError> {
    let state = State::read(env, log.dir()).await?;
    let known = state.as_ref().map_or(Offset::ZERO, |state| state.cleaned_to);
    let loaded = log.load_timestamps(Group::Compaction).await;
    loaded.map_err(PassError::of_read)?;
    let structure = log.structure();
    let extents = extents(&structure);
    let count = rules::cleanable(&extents, stable, known, min_compaction_lag_ms, now_ms);
    // As in Kafka: what is noted does not count if the log was cut below it.
    let cleaned_to = if log.ends().end < known { Offset::ZERO } else { known };
    let first_dirty = extents.partition_point(|extent| extent.next <= cleaned_to);
    let bytes = |from: usize, to: usize| {
        extents[from.min(to)..to].iter().map(|extent| extent.len_bytes).sum::<u64>()
    };
    let mut first_dirty_ms = None;
    if first_dirty < count {
        let view = structure.segments[first_dirty];
        let first = Source::open(env, log.dir(), view, 0).await?.next().await?;
        first_dirty_ms = first.map(|(_, header)| header.max_timestamp_ms).filter(|at| 0 <= *at);
    }
    let dirt = Dirt {
        clean_bytes: bytes(0, first_dirty),
        cleanable_bytes: bytes(first_dirty, count.max(first_dirty)),
        first_dirty_ms,
        earliest_horizon_ms: state.as_ref().and_then(|state| state.earliest_horizon_ms),
    };
    let can_go_on = state.is_some_and(|state| state.progress.is_some());
    Ok(Survey { dirt, cleaned_to, can_go_on })
}

impl PassError {
    /// A read of the log that failed.
    pub(crate) fn of_read(error: ReadError) -> PassError {
        match error {
            ReadError::Io(failure) => PassError::Io(failure),
            ReadError::OverBudget(over) => PassError::OverBudget(over),
            ReadError::Corrupt(corrupt) => PassError::Corrupt(corrupt),
            ReadError::OutOfRange { .. } => PassError::Changed,
        }
    }
}
