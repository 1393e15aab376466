//! What shards say to each other. One typed enum; every call is answered by one [`Reply`].

use env::ShardId;
use journal::RunStart;
use metadata::Image;
use partition::{Bounds, Placed};
use record::{Checked, LeaderEpoch, Offset, TopicPartition};
use wire::messages::Bytes;
use wire::{ErrorCode, RequestBody, ResponseBody};

use crate::fetch_session::Wanted;

/// The number of a call at the shard that made it.
pub type CallId = u64;

/// A message between two shards.
#[derive(Debug)]
pub enum ShardMessage {
    /// Do something and answer.
    Call(CallId, Call),
    /// The answer to a call of the receiving shard.
    Reply(CallId, Reply),
    /// Nobody waits for this call of the sending shard any more.
    Cancel(CallId),
}

/// What one shard asks of another.
#[derive(Debug)]
pub enum Call {
    /// Append these batches, in this order, and answer when they are acknowledged.
    Produce(ProduceCall),
    /// Read these partitions; wait for more if there is too little.
    Fetch(FetchCall),
    /// Find offsets.
    ListOffsets(Vec<OffsetQuery>),
    /// Where leader epochs end.
    EpochEnds(Vec<EpochQuery>),
    /// Move log starts.
    DeleteRecords(Vec<(TopicPartition, Option<Offset>)>),
    /// Sizes of the partitions that this shard owns.
    LogSizes(Vec<TopicPartition>),
    /// A change of metadata, or something only the controller's shard knows. To shard 0.
    Control {
        /// The request as it came.
        body: Box<RequestBody>,
        /// Its version.
        version: i16,
    },
    /// Create these topics with the broker's defaults, for a client that asked about them. To
    /// shard 0.
    AutoCreate(Vec<String>),
    /// A block of producer ids. To shard 0.
    ProducerIds,
    /// Take this image of the metadata in. From shard 0.
    Publish(Image),
    /// Read the journals and checkpoints. From shard 0, before any shard begins.
    Scan {
        /// Whether the last stop was clean.
        clean: bool,
    },
    /// The sender needs nothing of earlier journals any more. To shard 0.
    RecoverySettled,
    /// Begin to serve, with this image. From shard 0, once.
    Begin(Box<Begin>),
    /// Write and flush everything and close every log. From shard 0, at a clean stop.
    Close,
}

/// How a shard begins.
#[derive(Clone, Debug)]
pub struct Begin {
    /// The metadata.
    pub image: Image,
    /// How this start is called in the journals.
    pub run: RunStart,
    /// Whether the last stop was clean.
    pub clean: bool,
    /// Who the broker is.
    pub identity: crate::shard::Identity,
    /// Kafka's checkpoints of a clean directory, by topic name and partition.
    pub kafka_ends: KafkaEnds,
}

/// What Kafka's own checkpoint files say.
#[derive(Clone, Debug, Default)]
pub struct KafkaEnds {
    /// First readable offset.
    pub log_starts: std::collections::BTreeMap<(String, i32), i64>,
    /// High watermark.
    pub high_watermarks: std::collections::BTreeMap<(String, i32), i64>,
    /// Recovery point.
    pub recovery_points: std::collections::BTreeMap<(String, i32), i64>,
}

/// The answer to a [`Call`].
#[derive(Debug)]
pub enum Reply {
    /// For each batch, by its place in the request.
    Produced(Vec<(usize, Result<Produced, ProduceFailure>)>),
    /// For each partition asked for, in order.
    Fetched(Vec<Fetched>),
    /// For each query, in order.
    Offsets(Vec<Result<FoundOffset, ErrorCode>>),
    /// For each query, in order.
    EpochEnds(Vec<Result<Option<(LeaderEpoch, Offset)>, ErrorCode>>),
    /// For each partition, in order: its log start.
    Deleted(Vec<Result<Offset, ErrorCode>>),
    /// For each partition that exists: its size.
    Sizes(Vec<(TopicPartition, u64)>),
    /// The answer of the controller.
    Control(Box<ResponseBody>),
    /// Topics were created, or not.
    AutoCreated,
    /// First id of a block, and the first after it.
    ProducerIds(Result<(i64, i64), ErrorCode>),
    /// Where each log ended when it was closed.
    Closed(Vec<crate::directory::Ends>),
    /// It is done.
    Done,
    /// It could not be done; the text says why.
    Failed(String),
}

/// Batches of one produce request for one shard.
#[derive(Debug)]
pub struct ProduceCall {
    /// The batches, in the order of the request.
    pub parts: Vec<ProducePart>,
    /// What the producer waits for.
    pub acks: Acks,
    /// How long it waits, in milliseconds.
    pub timeout_ms: u32,
}

/// One batch of a produce request.
#[derive(Debug)]
pub struct ProducePart {
    /// Its place in the request.
    pub slot: usize,
    /// Where it goes.
    pub partition: TopicPartition,
    /// One batch as sent: a view of the request's frame.
    pub batch: Bytes,
    /// What validation found.
    pub checked: Checked,
}

/// A produce request's `acks`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acks {
    /// No answer.
    None,
    /// Written by the leader.
    Leader,
    /// Committed.
    All,
}

/// A batch that is in the log, as far as its `acks` asked.
#[derive(Clone, Copy, Debug)]
pub struct Produced {
    /// Where it is.
    pub placed: Placed,
    /// The log start offset.
    pub log_start: Offset,
}

/// A batch that was not acknowledged.
#[derive(Clone, Debug)]
pub struct ProduceFailure {
    /// Kafka's error.
    pub code: ErrorCode,
    /// Why, for the client's log.
    pub message: Option<String>,
}

/// Partitions of one fetch request on one shard.
#[derive(Debug)]
pub struct FetchCall {
    /// In the order in which they are served.
    pub wanted: Vec<(TopicPartition, Wanted)>,
    /// Most bytes in all; the first batch comes even if it is larger.
    pub max_bytes: usize,
    /// Wait until there are so many.
    pub min_bytes: usize,
    /// Wait at most so long, in milliseconds; 0 answers at once.
    pub max_wait_ms: u32,
    /// Only committed transactions.
    pub committed_only: bool,
}

/// What a fetch found in one partition.
#[derive(Clone, Debug)]
pub struct Fetched {
    /// Which.
    pub partition: TopicPartition,
    /// Kafka's error, or none.
    pub code: ErrorCode,
    /// Ends of the partition; `None` with an error that does not know them.
    pub bounds: Option<Bounds>,
    /// Where the fetcher's history leaves the leader's (KIP-595): epoch and end offset.
    pub diverging: Option<(LeaderEpoch, Offset)>,
    /// Whole batches, possibly cut into several views.
    pub records: Vec<buf::Sealed>,
    /// The aborted transactions that have records among them, by producer and first offset; none
    /// unless only committed ones were asked for.
    pub aborted: Vec<(i64, Offset)>,
}

impl Fetched {
    /// Bytes of records.
    #[must_use]
    pub fn len_bytes(&self) -> usize {
        self.records.iter().map(|part| part.len()).sum()
    }
}

/// One partition of a ListOffsets request.
#[derive(Clone, Copy, Debug)]
pub struct OffsetQuery {
    /// Which.
    pub partition: TopicPartition,
    /// A timestamp in milliseconds, or one of Kafka's negative ones.
    pub timestamp: i64,
    /// The leader epoch the client believes in; -1 unknown.
    pub current_leader_epoch: i32,
    /// Only committed transactions.
    pub committed_only: bool,
}

/// What a ListOffsets query found; -1 for what is not there.
#[derive(Clone, Copy, Debug)]
pub struct FoundOffset {
    /// The offset.
    pub offset: i64,
    /// Its timestamp.
    pub timestamp_ms: i64,
    /// The epoch under which it was written.
    pub leader_epoch: i32,
}

/// One partition of an OffsetForLeaderEpoch request.
#[derive(Clone, Copy, Debug)]
pub struct EpochQuery {
    /// Which.
    pub partition: TopicPartition,
    /// The epoch asked about.
    pub epoch: i32,
    /// The leader epoch the client believes in; -1 unknown.
    pub current_leader_epoch: i32,
}

/// The shard that owns a partition when there are `shards` of them. Derived, never stored, so it
/// may change with the number of cores: neighbouring partitions of a topic land on different
/// shards.
#[must_use]
pub fn owner(id: TopicPartition, shards: u16) -> ShardId {
    let seed = id
        .topic
        .bytes()
        .iter()
        .fold(0_u64, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01B3));
    let place = seed.wrapping_add(u64::from(id.partition.unsigned_abs())) % u64::from(shards);
    ShardId(u16::try_from(place).expect("below the number of shards"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use record::TopicId;

    #[test]
    fn neighbours_land_on_different_shards_and_all_are_used() {
        for topic in 0..50_u8 {
            let at = |partition| {
                owner(TopicPartition { topic: TopicId::from_bytes([topic; 16]), partition }, 2)
            };
            assert_ne!(at(0), at(1));
            assert_eq!(at(0), at(2));
        }
        let alone = TopicPartition { topic: TopicId::from_bytes([9; 16]), partition: 5 };
        assert_eq!(owner(alone, 1), ShardId(0));
    }
}
