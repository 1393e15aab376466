//! Requests: from a frame's bytes to plain structs, and back for the client side.
//!
//! Decoding copies no record: what is opaque in a request is a slice of its frame. Refuses what
//! Kafka refuses by closing the connection. Decides nothing about what a request means.

use buf::{Pool, Sealed};
use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::api::ApiKey;
pub use crate::body::RequestBody;
use crate::response::{EncodeError, framed};
use crate::shape;

#[cfg(test)]
mod tests;

/// A decoded request.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// What every request begins with.
    pub header: RequestHeader,
    /// What is asked.
    pub body: RequestBody,
    /// Memory that the decoded form takes besides the frame, in bytes, estimated from above: what a
    /// ledger charges for the request on top of the frame. At most 16 MiB and a little; as much as
    /// the frame again if a string in it is not UTF-8.
    pub footprint_bytes: usize,
}

/// What every request begins with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestHeader {
    /// The request.
    pub key: ApiKey,
    /// Its version, one that is served.
    pub version: i16,
    /// The client's number for the answer.
    pub correlation_id: i32,
    /// What the client calls itself, at most 32,767 bytes on the wire; bytes that are not UTF-8 are
    /// replaced.
    pub client_id: Option<String>,
}

/// Why there is no request to answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// ApiVersions in a version that is not served. The only refusal with an answer:
    /// [`crate::response::unsupported_api_versions`].
    #[error("version {version} of ApiVersions is not served")]
    ApiVersionsUnsupported {
        /// The client's number for the answer.
        correlation_id: i32,
        /// The version as sent.
        version: i16,
    },
    /// The connection must be closed, after the answers that are due before this request.
    #[error("the connection must be closed: {why}")]
    Close {
        /// What was wrong.
        why: Malformed,
    },
}

/// What is wrong with a frame.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// The frame ends inside its header, or the header's fields contradict it.
    #[error("the request header is cut short")]
    Header,
    /// The key is not served.
    #[error("request key {key} is not served")]
    UnknownKey {
        /// The key as sent.
        key: i16,
    },
    /// The key is served, this version of it is not.
    #[error("version {version} of {} is not served", .key.name())]
    UnsupportedVersion {
        /// The request.
        key: ApiKey,
        /// The version as sent.
        version: i16,
    },
    /// The body does not follow its schema.
    #[error("body of {} version {version}: {why}", .key.name())]
    Body {
        /// The request.
        key: ApiKey,
        /// The version as sent.
        version: i16,
        /// What the decoder found.
        why: String,
    },
}

impl From<Malformed> for Refusal {
    fn from(why: Malformed) -> Refusal {
        Refusal::Close { why }
    }
}

/// A frame whose header was read and whose body was measured, before memory is taken for its decoded
/// form.
#[derive(Debug)]
pub struct Measured {
    header: RequestHeader,
    body: Bytes,
    footprint_bytes: usize,
    is_damaged: bool,
}

impl Measured {
    /// What the request begins with.
    #[must_use]
    pub fn header(&self) -> &RequestHeader {
        &self.header
    }

    /// Memory that [`decode`](Measured::decode) takes: [`Request::footprint_bytes`].
    #[must_use]
    pub fn footprint_bytes(&self) -> usize {
        self.footprint_bytes
    }

    /// The request.
    ///
    /// # Errors
    /// The body does not follow its schema where only decoding it shows that.
    pub fn decode(self) -> Result<Request, Refusal> {
        let Measured { header, mut body, footprint_bytes, is_damaged } = self;
        let (key, version) = (header.key, header.version);
        if is_damaged {
            body = shape::mend(shape::of(key), version, key.is_flexible(version), &body).into();
        }
        let body = RequestBody::read(key, version, &mut body)
            .map_err(|error| Malformed::Body { key, version, why: error.to_string() })?
            .expect("every request body has a generated struct");
        Ok(Request { header, body: normal(version, body), footprint_bytes })
    }
}

/// Reads the header of a frame (without its length) and walks its body.
///
/// # Errors
/// See [`Refusal`]. No bytes make it panic, and it takes memory for the client id only. Refuses a
/// body that would take more than 16 MiB decoded.
pub fn measure(frame: Sealed) -> Result<Measured, Refusal> {
    let mut bytes = frame.into_bytes();
    let header = decode_header(&mut bytes)?;
    let (key, version) = (header.key, header.version);
    let walked = shape::walk(shape::of(key), version, key.is_flexible(version), &bytes)
        .map_err(|error| Malformed::Body { key, version, why: error.to_string() })?;
    let client_id = header.client_id.as_ref().map_or(0, String::len);
    let copy = if walked.is_damaged { bytes.len() } else { 0 };
    let footprint_bytes = size_of::<Request>() + client_id + walked.footprint_bytes + copy;
    let is_damaged = walked.is_damaged;
    Ok(Measured { header, body: bytes, footprint_bytes, is_damaged })
}

/// Decodes a frame (without its length). Strings that are not UTF-8 have question marks where they
/// are not, so that a name that Kafka would find wrong is found wrong here. Bytes behind the body are ignored, as Kafka ignores them.
///
/// An empty topic list of Metadata version 0 means every topic; it is given as `topics: None`, as
/// in later versions.
///
/// # Errors
/// See [`Refusal`]. No bytes make it panic. It takes no memory for a length that the frame cannot
/// hold, and refuses a body that would take more than 16 MiB decoded.
pub fn decode(frame: Sealed) -> Result<Request, Refusal> {
    measure(frame)?.decode()
}

/// One meaning, one form, whatever the version.
fn normal(version: i16, mut body: RequestBody) -> RequestBody {
    if let RequestBody::Metadata(metadata) = &mut body
        && version == 0
    {
        metadata.topics.take_if(|topics| topics.is_empty());
    }
    body
}

fn decode_header(bytes: &mut Bytes) -> Result<RequestHeader, Refusal> {
    if bytes.len() < 8 {
        return Err(Malformed::Header.into());
    }
    let code = bytes.get_i16();
    let version = bytes.get_i16();
    let correlation_id = bytes.get_i32();
    let Some(key) = ApiKey::from_code(code) else {
        return Err(Malformed::UnknownKey { key: code }.into());
    };
    if !key.serves(version) {
        return Err(match key {
            ApiKey::ApiVersions => Refusal::ApiVersionsUnsupported { correlation_id, version },
            _ => Malformed::UnsupportedVersion { key, version }.into(),
        });
    }
    let client_id = client_id(bytes).ok_or(Malformed::Header)?;
    if key.request_header_version(version) >= 2 {
        skip_tagged_fields(bytes).ok_or(Malformed::Header)?;
    }
    Ok(RequestHeader { key, version, correlation_id, client_id })
}

/// The client id; its length is 16 bits even in flexible headers.
fn client_id(bytes: &mut Bytes) -> Option<Option<String>> {
    let len = bytes.try_get_i16().ok()?;
    let Ok(len) = usize::try_from(len) else { return Some(None) };
    let text = bytes.get(..len)?;
    let text = String::from_utf8_lossy(text).into_owned();
    bytes.advance(len);
    Some(Some(text))
}

/// Steps over the tagged fields of a header: Kafka knows none there, and ignores unknown ones.
pub(crate) fn skip_tagged_fields(bytes: &mut Bytes) -> Option<()> {
    let fields = uvarint(bytes)?;
    for _ in 0..fields {
        uvarint(bytes)?;
        let len = usize::try_from(uvarint(bytes)?).ok()?;
        if len > bytes.len() {
            return None;
        }
        bytes.advance(len);
    }
    Some(())
}

/// An unsigned varint of at most five bytes.
fn uvarint(bytes: &mut Bytes) -> Option<u32> {
    let mut value = 0;
    for shift in [0, 7, 14, 21, 28] {
        let byte = bytes.try_get_u8().ok()?;
        value |= u32::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

/// Encodes a request with its length in front, in one part from `pool`. Records are copied.
///
/// # Errors
/// The body does not fit the version (a set field that the version does not have, a string that is
/// too long), or the pool's limit.
pub fn encode_request(
    version: i16,
    correlation_id: i32,
    client_id: Option<&str>,
    body: &RequestBody,
    pool: &Pool,
) -> Result<Vec<Sealed>, EncodeError> {
    let key = body.key();
    if !key.serves(version) {
        return Err(EncodeError::Version { key, version });
    }
    let message = body.as_message().expect("every request body has a generated struct");
    let id = client_id.map_or(&[][..], str::as_bytes);
    let too_long = EncodeError::TooLong { key, bytes: id.len() };
    let id_len = i16::try_from(id.len()).map_err(|_| too_long)?;
    let flexible = key.request_header_version(version) >= 2;
    let header_len = 8 + 2 + id.len() + usize::from(flexible);
    let header = |to: &mut BytesMut| {
        to.put_i16(key.code());
        to.put_i16(version);
        to.put_i32(correlation_id);
        to.put_i16(if client_id.is_some() { id_len } else { -1 });
        to.put_slice(id);
        if flexible {
            to.put_u8(0);
        }
    };
    Ok(vec![framed((key, version), header_len, message, header, pool)?])
}
