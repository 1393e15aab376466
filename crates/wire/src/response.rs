//! Answers: from plain structs to parts ready to write, and back for the client side.
//!
//! Adapts a body to its version where Kafka's schema would refuse it, so that handlers fill one
//! struct for all versions. Decides nothing about what is answered.

use buf::{OverBudget, Pool, Sealed};
use bytes::{Buf, BufMut, BytesMut};

use crate::api::ApiKey;
use crate::api_versions;
use crate::body::Message;
pub use crate::body::ResponseBody;
use crate::error_code::ErrorCode;
use crate::fetch_rope::{self, FetchAnswer};
use crate::messages::FetchResponseData;
use crate::request::skip_tagged_fields;

#[cfg(test)]
mod tests;

/// A message was not encoded; nothing was kept.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// The pool has no room for it now.
    #[error(transparent)]
    OverBudget(#[from] OverBudget),
    /// A version that is not served.
    #[error("version {version} of {} is not served", .key.name())]
    Version {
        /// The request.
        key: ApiKey,
        /// The version asked for.
        version: i16,
    },
    /// A part, or the whole, is longer than its length field can say.
    #[error("{bytes} bytes in a message of {} are more than its length field holds", .key.name())]
    TooLong {
        /// The request.
        key: ApiKey,
        /// Bytes, or elements.
        bytes: usize,
    },
    /// A value has no form in this version.
    #[error("{} version {version} cannot say this: {why}", .key.name())]
    Value {
        /// The request.
        key: ApiKey,
        /// The version asked for.
        version: i16,
        /// Which value.
        why: String,
    },
}

/// An answer that cannot be understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The frame ends inside its header.
    #[error("the response header is cut short")]
    Header,
    /// A version that is not served.
    #[error("version {version} of {} is not served", .key.name())]
    Version {
        /// The request.
        key: ApiKey,
        /// The version that was asked.
        version: i16,
    },
    /// The body does not follow its schema.
    #[error("answer to {} version {version}: {why}", .key.name())]
    Body {
        /// The request.
        key: ApiKey,
        /// The version that was asked.
        version: i16,
        /// What the decoder found.
        why: String,
    },
}

/// Encodes the answer to a request of `version` as parts to be written in order, the frame's length
/// first. Small parts are copied into memory of `pool`; the records of a [`FetchAnswer`] are the
/// slices that were given.
///
/// Besides the pool's block, an answer that is not Fetch's takes its own length from the heap while
/// it is encoded. Fields that the version does not have are left out, also those for which Kafka's schema would
/// refuse a value; a tagged field at its default is never sent.
///
/// # Errors
/// See [`EncodeError`].
pub fn encode(
    version: i16,
    correlation_id: i32,
    body: ResponseBody,
    pool: &Pool,
) -> Result<Vec<Sealed>, EncodeError> {
    let key = body.key();
    if !key.serves(version) {
        return Err(EncodeError::Version { key, version });
    }
    let body = match body {
        ResponseBody::Fetch(answer) => {
            return fetch_rope::encode(version, correlation_id, &answer, pool);
        }
        body => fit(version, body),
    };
    let message = body.as_message().expect("Fetch alone has no generated struct");
    let tagged = key.response_header_version(version) >= 1;
    let header = |to: &mut BytesMut| {
        to.put_i32(correlation_id);
        if tagged {
            to.put_u8(0);
        }
    };
    Ok(vec![framed((key, version), 4 + usize::from(tagged), message, header, pool)?])
}

/// The answer to an ApiVersions request of a version that is not served: the shape of version 0,
/// UNSUPPORTED_VERSION, and the range of ApiVersions alone.
pub fn unsupported_api_versions(
    correlation_id: i32,
    pool: &Pool,
) -> Result<Vec<Sealed>, EncodeError> {
    encode(0, correlation_id, api_versions::unsupported().into(), pool)
}

/// A frame of a header and a generated body, its length in front, in memory of `pool`.
/// `header_len` are the bytes that `header` appends.
pub(crate) fn framed(
    (key, version): (ApiKey, i16),
    header_len: usize,
    message: &dyn Message,
    header: impl FnOnce(&mut BytesMut),
    pool: &Pool,
) -> Result<Sealed, EncodeError> {
    let value = |error: kacrab_protocol::ProtocolError| EncodeError::Value {
        key,
        version,
        why: error.to_string(),
    };
    let len = header_len + message.encoded_len(version).map_err(value)?;
    let frame_len = i32::try_from(len).map_err(|_| EncodeError::TooLong { key, bytes: len })?;
    // The budget first: a refusal must not have taken memory.
    let mut block = pool.buffer(4 + len)?;
    let mut bytes = BytesMut::with_capacity(4 + len);
    bytes.put_i32(frame_len);
    header(&mut bytes);
    message.write(&mut bytes, version).map_err(value)?;
    if bytes.len() != 4 + len {
        let why = format!("{} bytes were announced, {} written", 4 + len, bytes.len());
        return Err(EncodeError::Value { key, version, why });
    }
    block.as_mut_slice()[..bytes.len()].copy_from_slice(&bytes);
    Ok(block.seal(bytes.len()))
}

/// Takes out of a body what its version cannot say and the generated code would refuse.
fn fit(version: i16, mut body: ResponseBody) -> ResponseBody {
    match &mut body {
        ResponseBody::ApiVersions(body) => api_versions::fit(version, body),
        ResponseBody::ListOffsets(body) if version < 4 => {
            let partitions = body.topics.iter_mut().flat_map(|topic| &mut topic.partitions);
            partitions.for_each(|partition| partition.leader_epoch = -1);
        }
        ResponseBody::Metadata(body) => {
            if !(8..=10).contains(&version) {
                body.cluster_authorized_operations = i32::MIN;
            }
            if version < 8 {
                for topic in &mut body.topics {
                    topic.topic_authorized_operations = i32::MIN;
                }
            }
        }
        ResponseBody::InitProducerId(body) if version < 6 => {
            body.ongoing_txn_producer_id = -1;
            body.ongoing_txn_producer_epoch = -1;
        }
        ResponseBody::DescribeCluster(body) => {
            if version < 1 {
                body.endpoint_type = 1;
            }
            if version < 2 {
                body.brokers.iter_mut().for_each(|broker| broker.is_fenced = false);
            }
        }
        _ => {}
    }
    body
}

/// The client's number in an answer's frame (without its length), which says what was asked.
#[must_use]
pub fn response_correlation_id(frame: &[u8]) -> Option<i32> {
    frame.first_chunk().map(|bytes| i32::from_be_bytes(*bytes))
}

/// Decodes an answer's frame (without its length) to a request of this key and version. Strings and
/// records in it are slices of the frame.
///
/// An answer to ApiVersions that says UNSUPPORTED_VERSION has the shape of version 0 whatever was
/// asked, and is read so.
///
/// # Errors
/// See [`DecodeError`]. No bytes make it panic.
pub fn decode_response(
    key: ApiKey,
    version: i16,
    frame: Sealed,
) -> Result<(i32, ResponseBody), DecodeError> {
    if !key.serves(version) {
        return Err(DecodeError::Version { key, version });
    }
    let mut bytes = frame.clone().into_bytes();
    let correlation_id = bytes.try_get_i32().map_err(|_| DecodeError::Header)?;
    if key.response_header_version(version) >= 1 {
        skip_tagged_fields(&mut bytes).ok_or(DecodeError::Header)?;
    }
    let unsupported = ErrorCode::UnsupportedVersion.code().to_be_bytes();
    let shape = match key {
        ApiKey::ApiVersions if bytes.starts_with(&unsupported) => 0,
        _ => version,
    };
    let body = match ResponseBody::read(key, shape, &mut bytes) {
        Ok(Some(body)) => Ok(body),
        Ok(None) => FetchResponseData::read(&mut bytes, version)
            .map(|message| FetchAnswer::of_message(message, &frame).into()),
        Err(error) => Err(error),
    };
    let body = body.map_err(|error| DecodeError::Body { key, version, why: error.to_string() })?;
    Ok((correlation_id, body))
}
