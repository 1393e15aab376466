//! The answer to Fetch, encoded around its records: they leave as the slices they arrived as.
//!
//! Owns the plain input struct and the encoder for every served version. The small parts of one
//! answer share one block of memory. Decides nothing about what is fetched.

mod answer;
#[cfg(test)]
mod tests;

use buf::{Pool, Sealed};

pub use self::answer::{FetchAnswer, FetchedPartition, FetchedTopic};
use crate::api::ApiKey;
use crate::messages::KafkaString;
use crate::messages::fetch_response::{EpochEndOffset, LeaderIdAndEpoch, NodeEndpoint, SnapshotId};
use crate::response::EncodeError;

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
