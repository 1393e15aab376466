//! Reads on the shard that owns the partition: fetch with its long poll, offsets, epoch ends.

use std::future::Future;
use std::time::Duration;

use env::sync::race;
use env::{Env, Group, ShardId};
use partition::{CommittedRead, FetchError, Isolation, Partition, ReadBudget};
use record::{LeaderEpoch, Offset, TopicPartition};
use segment::AbortedTransaction;
use wire::ErrorCode;

use crate::error_code;
use crate::fetch_session::Wanted;
use crate::message::{CallId, EpochQuery, FetchCall, Fetched, FoundOffset, OffsetQuery};
use crate::shard::{Shard, World};

/// ListOffsets: the log end (for consumers: the high watermark or the last stable offset).
const LATEST: i64 = -1;
/// ListOffsets: the log start.
const EARLIEST: i64 = -2;
/// ListOffsets: the record with the largest timestamp (KIP-734).
const MAX_TIMESTAMP: i64 = -3;
/// ListOffsets: the start of what is kept locally (KIP-405).
const EARLIEST_LOCAL: i64 = -4;
/// ListOffsets: the end of what is in remote storage (KIP-1005); there is none.
const LATEST_TIERED: i64 = -5;
/// ListOffsets: the first offset not yet uploaded (KIP-1023); there is no upload.
const EARLIEST_PENDING_UPLOAD: i64 = -6;

/// Whether ListOffsets of `version` knows what `timestamp` asks for. Any time that is not negative is a
/// time; what the negative ones mean came with different versions.
pub(crate) fn may_ask(version: i16, timestamp: i64) -> bool {
    let since = match timestamp {
        LATEST | EARLIEST => 1,
        MAX_TIMESTAMP => 7,
        EARLIEST_LOCAL => 8,
        LATEST_TIERED => 9,
        EARLIEST_PENDING_UPLOAD => 11,
        _ => return 0 <= timestamp,
    };
    since <= version
}

impl<E: World> Shard<E> {
    /// Reads what `call` wants of this shard's partitions, waiting as it says. A wait on behalf
    /// of `asker` ends early when that call is cancelled.
    pub(crate) async fn fetch_here(
        &self,
        call: FetchCall,
        group: Group,
        asker: Option<(ShardId, CallId)>,
    ) -> Vec<Fetched> {
        let started = self.env().now();
        let limit = Duration::from_millis(u64::from(call.max_wait_ms));
        loop {
            let seen = self.moved_counts(&call.wanted);
            let fetched = self.read_all(&call, group).await;
            let bytes: usize = fetched.iter().map(Fetched::len_bytes).sum();
            let failed = fetched.iter().any(|one| one.code != ErrorCode::None);
            let diverged = fetched.iter().any(|one| one.diverging.is_some());
            let waited = self.env().now().since(started);
            if call.min_bytes <= bytes || failed || diverged || limit <= waited {
                return fetched;
            }
            if self.is_cancelled(asker) || self.inner.closing.get() {
                return fetched;
            }
            self.wait_for_news(&call.wanted, &seen, limit - waited, asker).await;
        }
    }

    fn is_cancelled(&self, asker: Option<(ShardId, CallId)>) -> bool {
        asker.is_some_and(|asker| self.inner.cancelled.borrow().contains(&asker))
    }

    fn moved_counts(&self, wanted: &[(TopicPartition, Wanted)]) -> Vec<u64> {
        let count = |id| self.inner.table.get(id).map_or(0, |open| open.moved().seen());
        wanted.iter().map(|(id, _)| count(*id)).collect()
    }

    /// Waits until one of the partitions moved, the call was cancelled, or `limit` passed.
    async fn wait_for_news(
        &self,
        wanted: &[(TopicPartition, Wanted)],
        seen: &[u64],
        limit: Duration,
        asker: Option<(ShardId, CallId)>,
    ) {
        let mut signals: Vec<_> = wanted
            .iter()
            .zip(seen)
            .filter_map(|((id, _), seen)| {
                self.inner.table.get(*id).map(|open| open.moved().after(*seen))
            })
            .collect();
        if asker.is_some() {
            signals.push(self.inner.cancel_seen.after(self.inner.cancel_seen.seen()));
        }
        let any = std::future::poll_fn(|context| {
            let ready = signals
                .iter_mut()
                .any(|signal| std::pin::Pin::new(signal).poll(context).is_ready());
            if ready { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
        });
        race(any, self.env().sleep(limit)).await;
    }

    async fn read_all(&self, call: &FetchCall, group: Group) -> Vec<Fetched> {
        let mut left = call.max_bytes;
        let mut first = true;
        let mut all = Vec::with_capacity(call.wanted.len());
        for (id, wanted) in &call.wanted {
            let max_bytes = left.min(usize::try_from(wanted.max_bytes.max(0)).unwrap_or(0));
            let budget = ReadBudget { max_bytes, at_least_one: first };
            let fetched = self.read_one(*id, wanted, budget, (call.committed_only, group)).await;
            let bytes = fetched.len_bytes();
            left = left.saturating_sub(bytes);
            first &= bytes == 0;
            all.push(fetched);
        }
        all
    }

    async fn read_one(
        &self,
        id: TopicPartition,
        wanted: &Wanted,
        budget: ReadBudget,
        (committed_only, group): (bool, Group),
    ) -> Fetched {
        let mut fetched = Fetched {
            partition: id,
            code: ErrorCode::None,
            bounds: None,
            diverging: None,
            records: Vec::new(),
            aborted: Vec::new(),
        };
        let partition = match self.open_partition(id, group).await {
            Ok(partition) => partition,
            Err(code) => return Fetched { code, ..fetched },
        };
        if let Err(code) = check_epoch(&partition, wanted.current_leader_epoch) {
            return Fetched { code, ..fetched };
        }
        fetched.bounds = Some(partition.bounds());
        let Some(from) = Offset::new(wanted.fetch_offset) else {
            return Fetched { code: ErrorCode::OffsetOutOfRange, ..fetched };
        };
        if let Some(diverging) = divergence(&partition, wanted, from) {
            return Fetched { diverging: Some(diverging), ..fetched };
        }
        let read = if committed_only {
            partition.fetch_committed(from, budget, cold(group)).await
        } else {
            let read = partition.fetch(from, Isolation::HighWatermark, budget, cold(group)).await;
            read.map(|read| CommittedRead { read, aborted: Vec::new() })
        };
        match read {
            Ok(CommittedRead { read, aborted }) => {
                fetched.records = read.parts;
                let named = |entry: AbortedTransaction| (entry.producer_id, entry.first_offset);
                fetched.aborted = aborted.into_iter().map(named).collect();
                // Moved on while the disk answered: what is told must cover what is given.
                fetched.bounds = Some(partition.bounds());
            }
            Err(FetchError::Read(segment::ReadError::OverBudget(_))) => {
                // Nothing now; the consumer asks again.
                self.inner.was_short.set(true);
                self.evict(self.env().pool().limit() / 8);
            }
            Err(error) => fetched.code = error_code::of_fetch(&error),
        }
        fetched
    }

    /// Answers ListOffsets queries.
    pub(crate) async fn find_offsets(
        &self,
        queries: Vec<OffsetQuery>,
    ) -> Vec<Result<FoundOffset, ErrorCode>> {
        let mut found = Vec::with_capacity(queries.len());
        for query in queries {
            found.push(self.find_offset(query).await);
            self.env().yield_if_needed().await;
        }
        found
    }

    async fn find_offset(&self, query: OffsetQuery) -> Result<FoundOffset, ErrorCode> {
        let partition = self.open_partition(query.partition, Group::Fetch).await?;
        check_epoch(&partition, query.current_leader_epoch)?;
        let bounds = partition.bounds();
        let end = if query.committed_only { bounds.last_stable } else { bounds.high_watermark };
        let place = |offset: Offset, timestamp_ms| FoundOffset {
            offset: offset.raw(),
            timestamp_ms,
            leader_epoch: partition.epoch_of(offset).map_or(-1, LeaderEpoch::raw),
        };
        let nothing = FoundOffset { offset: -1, timestamp_ms: -1, leader_epoch: -1 };
        let read = |error| error_code::of_fetch(&FetchError::Read(error));
        match query.timestamp {
            LATEST => {
                let mut latest = place(end, -1);
                // The end has no record yet: it belongs to the epoch that will write it.
                latest.leader_epoch = partition.role().epoch().map_or(-1, LeaderEpoch::raw);
                Ok(latest)
            }
            EARLIEST | EARLIEST_LOCAL => Ok(place(bounds.log_start, -1)),
            MAX_TIMESTAMP => {
                let max = partition.log().max_timestamp(Group::ColdRead).await.map_err(read)?;
                let max = max.filter(|max| max.offset < end);
                Ok(max.map_or(nothing, |max| place(max.offset, max.timestamp_ms)))
            }
            LATEST_TIERED | EARLIEST_PENDING_UPLOAD => Ok(nothing),
            timestamp if timestamp < 0 => Err(ErrorCode::UnsupportedVersion),
            timestamp => {
                let at =
                    partition.log().find_time(timestamp, Group::ColdRead).await.map_err(read)?;
                let visible = at.filter(|at| at.offset < end);
                Ok(visible
                    .map_or(nothing, |at| place(at.offset.max(bounds.log_start), at.timestamp_ms)))
            }
        }
    }

    /// Answers OffsetForLeaderEpoch queries.
    pub(crate) async fn epoch_ends(
        &self,
        queries: Vec<EpochQuery>,
    ) -> Vec<Result<Option<(LeaderEpoch, Offset)>, ErrorCode>> {
        let mut ends = Vec::with_capacity(queries.len());
        for query in queries {
            ends.push(self.epoch_end(query).await);
        }
        ends
    }

    async fn epoch_end(
        &self,
        query: EpochQuery,
    ) -> Result<Option<(LeaderEpoch, Offset)>, ErrorCode> {
        let partition = self.open_partition(query.partition, Group::Fetch).await?;
        check_epoch(&partition, query.current_leader_epoch)?;
        let end = LeaderEpoch::new(query.epoch).and_then(|epoch| partition.epoch_end(epoch));
        Ok(end.map(|end| (end.epoch, end.end)))
    }
}

/// Whether the leader epoch that a client believes in is this partition's.
pub(crate) fn check_epoch<E: Env>(partition: &Partition<E>, sent: i32) -> Result<(), ErrorCode> {
    let role = partition.role();
    let Some(leadership) = role.leadership() else {
        return Err(ErrorCode::NotLeaderOrFollower);
    };
    if sent < 0 || sent == leadership.epoch.raw() {
        Ok(())
    } else if sent < leadership.epoch.raw() {
        Err(ErrorCode::FencedLeaderEpoch)
    } else {
        Err(ErrorCode::UnknownLeaderEpoch)
    }
}

/// Where the history of a fetcher that names its last epoch leaves this log (KIP-595).
fn divergence<E: Env>(
    partition: &Partition<E>,
    wanted: &Wanted,
    from: Offset,
) -> Option<(LeaderEpoch, Offset)> {
    let last = LeaderEpoch::new(wanted.last_fetched_epoch)?;
    let end = partition.epoch_end(last)?;
    (end.epoch < last || end.end < from).then_some((end.epoch, end.end))
}

/// The group in which the disk is read for a request of `group`.
fn cold(group: Group) -> Group {
    match group {
        Group::Fetch => Group::ColdRead,
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_came_with_a_version() {
        for (timestamp, since) in [(0, 0), (-1, 1), (-2, 1), (-3, 7), (-4, 8), (-5, 9), (-6, 11)] {
            assert!(may_ask(since, timestamp), "{timestamp}");
            assert!(0 <= timestamp || !may_ask(since - 1, timestamp), "{timestamp}");
        }
        assert!(!may_ask(11, -7));
    }
}
