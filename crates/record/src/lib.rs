#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod attributes;
mod batches;
mod builder;
mod checksum;
pub mod codec;
mod control;
mod header;
mod ids;
pub mod layout;
mod offset;
mod records;
mod refusal;
mod rewrite;
mod validate;
mod varint;

pub use attributes::{Attributes, Codec, TimestampType, UnknownCodec};
pub use batches::Batches;
pub use builder::{Builder, RecordHeader};
pub use checksum::{crc, crc_is_right, stamp, write_crc};
pub use codec::DecompressError;
pub use control::{ControlError, ControlKind, EndTransaction};
pub use header::{Header, HeaderError, Producer, sequence_after};
pub use ids::{MalformedTopicId, ProducerEpoch, ProducerId, TopicId, TopicPartition};
pub use offset::{LeaderEpoch, Offset};
pub use records::{Flaw, Headers, MalformedRecord, PayloadError, Record, Records, payload};
pub use refusal::{RecordError, RecordErrors, RecordFlaw, Refusal};
pub use rewrite::{Rewrite, emptied, rewrite};
pub use validate::{Checked, Compression, Payload, Rules, Timestamps, validate};
