//! The answer to Fetch, encoded around its records: they leave as the slices they arrived as.
//!
//! Owns the plain input struct and the encoder for every served version. The small parts of one
//! answer share one block of memory. Decides nothing about what is fetched.

use buf::{Pool, Sealed};

use crate::api::ApiKey;
use crate::messages::fetch_response::{
    AbortedTransaction, EpochEndOffset, FetchResponseData, FetchableTopicResponse,
    LeaderIdAndEpoch, NodeEndpoint, PartitionData, SnapshotId,
};
use crate::messages::{Bytes, KafkaString, KafkaUuid};
use crate::response::EncodeError;

#[cfg(test)]
mod tests;

/// An answer to Fetch, versions 4 to 18. A field that the version of the answer does not have is
/// left out without an error.
#[derive(Clone, Debug, Default)]
pub struct FetchAnswer {
    /// How long the client was held back by a quota, in milliseconds.
    pub throttle_time_ms: i32,
    /// An error of the whole request (version 7 and later).
    pub error_code: i16,
    /// The fetch session, 0 for none (version 7 and later).
    pub session_id: i32,
    /// What was fetched.
    pub topics: Vec<FetchedTopic>,
    /// Where the current leaders of refused partitions are (version 16 and later).
    pub node_endpoints: Vec<NodeEndpoint>,
}

/// The partitions of one topic. Only one of name and id travels.
#[derive(Clone, Debug, Default)]
pub struct FetchedTopic {
    /// The name (version 12 and earlier).
    pub name: KafkaString,
    /// The id (version 13 and later).
    pub id: KafkaUuid,
    /// The partitions, in the order of the answer.
    pub partitions: Vec<FetchedPartition>,
}

/// What was fetched of one partition.
#[derive(Clone, Debug)]
pub struct FetchedPartition {
    /// The partition.
    pub partition: i32,
    /// An error of this partition, 0 for none.
    pub error_code: i16,
    /// The high watermark, exclusive; -1 with an error.
    pub high_watermark: i64,
    /// The last stable offset, exclusive; -1 when not known.
    pub last_stable_offset: i64,
    /// The log's start, inclusive; -1 when not known (version 5 and later).
    pub log_start_offset: i64,
    /// Where the follower's log leaves the leader's (version 12 and later).
    pub diverging_epoch: Option<EpochEndOffset>,
    /// The leader to ask instead (version 12 and later).
    pub current_leader: Option<LeaderIdAndEpoch>,
    /// The snapshot to fetch instead (version 12 and later).
    pub snapshot_id: Option<SnapshotId>,
    /// Aborted transactions among the records, by first offset; `None` if the client did not ask
    /// for committed records only.
    pub aborted_transactions: Option<Vec<AbortedTransaction>>,
    /// The replica to read from, -1 for this one (version 11 and later).
    pub preferred_read_replica: i32,
    /// Whole batches, in order. None at all is sent as records of length 0, never as null.
    pub records: Vec<Sealed>,
}

impl Default for FetchedPartition {
    fn default() -> FetchedPartition {
        FetchedPartition {
            partition: 0,
            error_code: 0,
            high_watermark: -1,
            last_stable_offset: -1,
            log_start_offset: -1,
            diverging_epoch: None,
            current_leader: None,
            snapshot_id: None,
            aborted_transactions: None,
            preferred_read_replica: -1,
            records: Vec::new(),
        }
    }
}

impl FetchedPartition {
    /// An answer of nothing but an error, which is one of [`crate::ErrorCode`].
    #[must_use]
    pub fn failed(partition: i32, error_code: i16) -> FetchedPartition {
        FetchedPartition { partition, error_code, ..FetchedPartition::default() }
    }

    /// Bytes of the records.
    #[must_use]
    pub fn records_bytes(&self) -> usize {
        self.records.iter().map(|part| part.len()).sum()
    }
}

impl FetchAnswer {
    /// Bytes of all records.
    #[must_use]
    pub fn records_bytes(&self) -> usize {
        let partitions = self.topics.iter().flat_map(|topic| &topic.partitions);
        partitions.map(FetchedPartition::records_bytes).sum()
    }

    /// The answer of a decoded message. `frame` is what it was decoded from: records become views
    /// of it.
    pub(crate) fn of_message(message: FetchResponseData, frame: &Sealed) -> FetchAnswer {
        FetchAnswer {
            throttle_time_ms: message.throttle_time_ms,
            error_code: message.error_code,
            session_id: message.session_id,
            topics: message
                .responses
                .into_iter()
                .map(|topic| fetched_topic(topic, frame))
                .collect(),
            node_endpoints: message.node_endpoints,
        }
    }
}

fn fetched_topic(topic: FetchableTopicResponse, frame: &Sealed) -> FetchedTopic {
    let partitions = topic.partitions.into_iter();
    FetchedTopic {
        name: topic.topic,
        id: topic.topic_id,
        partitions: partitions.map(|partition| fetched_partition(partition, frame)).collect(),
    }
}

fn fetched_partition(partition: PartitionData, frame: &Sealed) -> FetchedPartition {
    let records = partition.records.filter(|records| !records.is_empty());
    FetchedPartition {
        partition: partition.partition_index,
        error_code: partition.error_code,
        high_watermark: partition.high_watermark,
        last_stable_offset: partition.last_stable_offset,
        log_start_offset: partition.log_start_offset,
        diverging_epoch: Some(partition.diverging_epoch).filter(|it| *it != Default::default()),
        current_leader: Some(partition.current_leader).filter(|it| *it != Default::default()),
        snapshot_id: Some(partition.snapshot_id).filter(|it| *it != Default::default()),
        aborted_transactions: partition.aborted_transactions,
        preferred_read_replica: partition.preferred_read_replica,
        records: records.map(|records| view_of(&records, frame)).into_iter().collect(),
    }
}

/// The view of `frame` that `slice`, which was cut out of it, covers.
fn view_of(slice: &Bytes, frame: &Sealed) -> Sealed {
    let at = slice.as_ptr().addr() - frame.as_ptr().addr();
    frame.slice(at..at + slice.len())
}

/// Encodes an answer as parts ready to write, the frame's length first. Takes one block for
/// everything but the records.
pub(crate) fn encode(
    version: i16,
    correlation_id: i32,
    answer: &FetchAnswer,
    pool: &Pool,
) -> Result<Vec<Sealed>, EncodeError> {
    if !ApiKey::Fetch.serves(version) {
        return Err(EncodeError::Version { key: ApiKey::Fetch, version });
    }
    let layout = Layout::of(version);
    let mut count = Count::default();
    write_answer(&mut count, layout, correlation_id, answer)?;
    let len = count.small_bytes + count.records_bytes;
    let Ok(frame_len) = i32::try_from(len) else {
        return Err(EncodeError::TooLong { key: ApiKey::Fetch, bytes: len });
    };
    let mut block = pool.buffer(4 + count.small_bytes)?;
    let mut fill = Fill { bytes: block.as_mut_slice(), at: 0, cuts: Vec::new() };
    fill.put(&frame_len.to_be_bytes());
    write_answer(&mut fill, layout, correlation_id, answer)?;
    let Fill { at, cuts, .. } = fill;
    debug_assert_eq!(at, 4 + count.small_bytes, "both passes write the same");
    Ok(weave(&block.seal(at), &cuts))
}

/// Puts the records between the small parts that they were cut out of.
fn weave(small: &Sealed, cuts: &[(usize, &[Sealed])]) -> Vec<Sealed> {
    let records = cuts.iter().map(|(_, records)| records.len()).sum::<usize>();
    let mut parts = Vec::with_capacity(cuts.len() + 1 + records);
    let mut from = 0;
    for (at, records) in cuts {
        parts.push(small.slice(from..*at));
        parts.extend(records.iter().filter(|part| !part.is_empty()).cloned());
        from = *at;
    }
    if from < small.len() {
        parts.push(small.slice(from..small.len()));
    }
    parts
}

/// What a version changes in the layout of the answer.
#[derive(Clone, Copy)]
struct Layout {
    flexible: bool,
    session: bool,
    log_start: bool,
    preferred_read_replica: bool,
    topic_id: bool,
    node_endpoints: bool,
}

impl Layout {
    const fn of(version: i16) -> Layout {
        Layout {
            flexible: version >= 12,
            session: version >= 7,
            log_start: version >= 5,
            preferred_read_replica: version >= 11,
            topic_id: version >= 13,
            node_endpoints: version >= 16,
        }
    }
}

/// Where the encoder writes to: once to count, once to fill.
trait Sink<'a> {
    fn put(&mut self, bytes: &[u8]);

    /// The records of a partition come here.
    fn records(&mut self, records: &'a [Sealed]);
}

#[derive(Default)]
struct Count {
    small_bytes: usize,
    records_bytes: usize,
}

impl Sink<'_> for Count {
    fn put(&mut self, bytes: &[u8]) {
        self.small_bytes += bytes.len();
    }

    fn records(&mut self, records: &[Sealed]) {
        self.records_bytes += records.iter().map(|part| part.len()).sum::<usize>();
    }
}

struct Fill<'b, 'a> {
    bytes: &'b mut [u8],
    at: usize,
    /// Places in `bytes` where records go, with the records.
    cuts: Vec<(usize, &'a [Sealed])>,
}

impl<'a> Sink<'a> for Fill<'_, 'a> {
    fn put(&mut self, bytes: &[u8]) {
        self.bytes[self.at..self.at + bytes.len()].copy_from_slice(bytes);
        self.at += bytes.len();
    }

    fn records(&mut self, records: &'a [Sealed]) {
        if records.iter().any(|part| !part.is_empty()) {
            self.cuts.push((self.at, records));
        }
    }
}

fn write_answer<'a>(
    to: &mut impl Sink<'a>,
    layout: Layout,
    correlation_id: i32,
    answer: &'a FetchAnswer,
) -> Result<(), EncodeError> {
    to.put(&correlation_id.to_be_bytes());
    if layout.flexible {
        to.put(&[0]); // no tagged fields in the header
    }
    to.put(&answer.throttle_time_ms.to_be_bytes());
    if layout.session {
        to.put(&answer.error_code.to_be_bytes());
        to.put(&answer.session_id.to_be_bytes());
    }
    put_array_len(to, layout, Some(answer.topics.len()))?;
    for topic in &answer.topics {
        if layout.topic_id {
            to.put(&topic.id.to_bytes());
        } else {
            put_string(to, layout, &topic.name)?;
        }
        put_array_len(to, layout, Some(topic.partitions.len()))?;
        for partition in &topic.partitions {
            write_partition(to, layout, partition)?;
        }
        put_no_tags(to, layout);
    }
    if layout.node_endpoints && !answer.node_endpoints.is_empty() {
        let mut inner = Count::default();
        write_node_endpoints(&mut inner, layout, &answer.node_endpoints)?;
        to.put(&[1]);
        put_tag(to, 0, inner.small_bytes)?;
        write_node_endpoints(to, layout, &answer.node_endpoints)?;
    } else {
        put_no_tags(to, layout);
    }
    Ok(())
}

fn write_partition<'a>(
    to: &mut impl Sink<'a>,
    layout: Layout,
    partition: &'a FetchedPartition,
) -> Result<(), EncodeError> {
    to.put(&partition.partition.to_be_bytes());
    to.put(&partition.error_code.to_be_bytes());
    to.put(&partition.high_watermark.to_be_bytes());
    to.put(&partition.last_stable_offset.to_be_bytes());
    if layout.log_start {
        to.put(&partition.log_start_offset.to_be_bytes());
    }
    let aborted = partition.aborted_transactions.as_deref();
    put_array_len(to, layout, aborted.map(<[_]>::len))?;
    for transaction in aborted.unwrap_or_default() {
        to.put(&transaction.producer_id.to_be_bytes());
        to.put(&transaction.first_offset.to_be_bytes());
        put_no_tags(to, layout);
    }
    if layout.preferred_read_replica {
        to.put(&partition.preferred_read_replica.to_be_bytes());
    }
    let len = partition.records_bytes();
    if layout.flexible {
        put_uvarint(to, checked::<u32>(len)?.saturating_add(1));
    } else {
        to.put(&checked::<i32>(len)?.to_be_bytes());
    }
    to.records(&partition.records);
    if layout.flexible {
        write_partition_tags(to, partition)?;
    }
    Ok(())
}

/// The three tagged fields of a partition, without those that are absent or at their default:
/// defaults are not sent, as in every message (see the test named after librdkafka 2.0.2).
fn write_partition_tags<'a>(
    to: &mut impl Sink<'a>,
    partition: &FetchedPartition,
) -> Result<(), EncodeError> {
    let unlike_default = |it: &&EpochEndOffset| (it.epoch, it.end_offset) != (-1, -1);
    let diverging = partition.diverging_epoch.as_ref().filter(unlike_default);
    let unlike_default = |it: &&LeaderIdAndEpoch| (it.leader_id, it.leader_epoch) != (-1, -1);
    let leader = partition.current_leader.as_ref().filter(unlike_default);
    let unlike_default = |it: &&SnapshotId| (it.end_offset, it.epoch) != (-1, -1);
    let snapshot = partition.snapshot_id.as_ref().filter(unlike_default);

    to.put(&[u8::from(diverging.is_some())
        + u8::from(leader.is_some())
        + u8::from(snapshot.is_some())]);
    if let Some(diverging) = diverging {
        put_tag(to, 0, 4 + 8 + 1)?;
        to.put(&diverging.epoch.to_be_bytes());
        to.put(&diverging.end_offset.to_be_bytes());
        to.put(&[0]);
    }
    if let Some(leader) = leader {
        put_tag(to, 1, 4 + 4 + 1)?;
        to.put(&leader.leader_id.to_be_bytes());
        to.put(&leader.leader_epoch.to_be_bytes());
        to.put(&[0]);
    }
    if let Some(snapshot) = snapshot {
        put_tag(to, 2, 8 + 4 + 1)?;
        to.put(&snapshot.end_offset.to_be_bytes());
        to.put(&snapshot.epoch.to_be_bytes());
        to.put(&[0]);
    }
    Ok(())
}

fn write_node_endpoints<'a>(
    to: &mut impl Sink<'a>,
    layout: Layout,
    endpoints: &[NodeEndpoint],
) -> Result<(), EncodeError> {
    put_array_len(to, layout, Some(endpoints.len()))?;
    for endpoint in endpoints {
        to.put(&endpoint.node_id.to_be_bytes());
        put_string(to, layout, &endpoint.host)?;
        to.put(&endpoint.port.to_be_bytes());
        match &endpoint.rack {
            Some(rack) => put_string(to, layout, rack)?,
            None => to.put(&[0]),
        }
        put_no_tags(to, layout);
    }
    Ok(())
}

fn put_no_tags<'a>(to: &mut impl Sink<'a>, layout: Layout) {
    if layout.flexible {
        to.put(&[0]);
    }
}

/// A tag and the size of what follows.
fn put_tag<'a>(to: &mut impl Sink<'a>, tag: u32, bytes: usize) -> Result<(), EncodeError> {
    put_uvarint(to, tag);
    put_uvarint(to, checked(bytes)?);
    Ok(())
}

/// An array's length; `None` is null.
fn put_array_len<'a>(
    to: &mut impl Sink<'a>,
    layout: Layout,
    len: Option<usize>,
) -> Result<(), EncodeError> {
    match (layout.flexible, len) {
        (true, None) => put_uvarint(to, 0),
        (true, Some(len)) => put_uvarint(to, checked::<u32>(len)?.saturating_add(1)),
        (false, None) => to.put(&(-1_i32).to_be_bytes()),
        (false, Some(len)) => to.put(&checked::<i32>(len)?.to_be_bytes()),
    }
    Ok(())
}

fn put_string<'a>(
    to: &mut impl Sink<'a>,
    layout: Layout,
    string: &KafkaString,
) -> Result<(), EncodeError> {
    if layout.flexible {
        put_uvarint(to, checked::<u32>(string.len())?.saturating_add(1));
    } else {
        to.put(&checked::<i16>(string.len())?.to_be_bytes());
    }
    to.put(string.as_bytes());
    Ok(())
}

fn put_uvarint<'a>(to: &mut impl Sink<'a>, mut value: u32) {
    while value >= 0x80 {
        to.put(&[value.to_le_bytes()[0] | 0x80]);
        value >>= 7;
    }
    to.put(&[value.to_le_bytes()[0]]);
}

fn checked<T: TryFrom<usize>>(len: usize) -> Result<T, EncodeError> {
    T::try_from(len).map_err(|_| EncodeError::TooLong { key: ApiKey::Fetch, bytes: len })
}
