//! How long a request may be, decided from its first twelve bytes, before memory is taken for it.
//!
//! A frame is a big-endian 32-bit length and that many bytes. Its first eight bytes are the key,
//! the version and the correlation id, whatever the header version. Reads nothing itself and takes
//! no memory; the caller reads what [`FrameLimits::judge`] asks for.

use crate::api::ApiKey;

/// Bytes of the length in front of a frame; the length does not count them.
pub const LENGTH_BYTES: usize = 4;

/// Bytes from the start of the length that decide about a frame.
pub const PREFIX_BYTES: usize = LENGTH_BYTES + START_BYTES;

/// Bytes of key, version and correlation id.
const START_BYTES: usize = 8;

/// Key, version, correlation id and an absent client id.
const SHORTEST_FRAME_BYTES: usize = START_BYTES + 2;

/// The most bytes of an ApiVersions request: a client id, a software name and a version, each at
/// its longest on the wire, and some tagged fields.
const API_VERSIONS_BYTES: usize = 128 << 10;

/// Longest frame of requests other than Produce, unless the caller's limit is lower.
pub const OTHER_BYTES: usize = 2 << 20;

/// The longest frames of one connection, in bytes without the length itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameLimits {
    /// The longest frame of all, inclusive: what Produce may use. The shard's frame limit; less
    /// while the peer has not authenticated.
    pub max_bytes: usize,
    /// The longest frame of requests other than Produce, inclusive. `max_bytes` wins when lower.
    pub other_bytes: usize,
}

/// What the bytes of a connection so far say about the next frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Not decided: judge again with at least the first `bytes` bytes.
    More {
        /// Bytes wanted from the start of the length, 4 or 12.
        bytes: usize,
    },
    /// The frame may be read: `len` bytes after the length.
    Read {
        /// Bytes of the frame, without its length.
        len: usize,
        /// What it will be.
        start: FrameStart,
    },
}

/// The first eight bytes of a frame that passed its limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameStart {
    /// The request.
    pub key: ApiKey,
    /// Its version, not checked here.
    pub version: i16,
    /// The client's number for the answer.
    pub correlation_id: i32,
}

/// The connection must be closed: nothing after these bytes can be understood or held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameRefusal {
    /// The length is negative.
    #[error("frame length {len} is negative")]
    Negative {
        /// The length as sent.
        len: i32,
    },
    /// The length leaves no room for a request header.
    #[error("frame of {len} bytes is shorter than a request header")]
    Short {
        /// The length as sent.
        len: usize,
    },
    /// The frame is longer than allowed for its request, or for any.
    #[error("frame of {len} bytes is longer than the {max_bytes} allowed")]
    Long {
        /// The length as sent.
        len: usize,
        /// The limit that it broke.
        max_bytes: usize,
    },
    /// A request that is not served: Kafka closes the connection too.
    #[error("request key {key} is not served")]
    UnknownKey {
        /// The key as sent.
        key: i16,
    },
}

impl FrameLimits {
    /// Produce up to `max_bytes`, everything else up to [`OTHER_BYTES`].
    #[must_use]
    pub const fn new(max_bytes: usize) -> FrameLimits {
        FrameLimits { max_bytes, other_bytes: OTHER_BYTES }
    }

    /// The longest frame of a request, in bytes, inclusive.
    #[must_use]
    pub fn of(&self, key: ApiKey) -> usize {
        let bytes = match key {
            ApiKey::Produce => self.max_bytes,
            ApiKey::ApiVersions => self.other_bytes.min(API_VERSIONS_BYTES),
            _ => self.other_bytes,
        };
        bytes.min(self.max_bytes)
    }

    /// Decides about a frame from its beginning, which starts at the length and may hold more than
    /// the frame. Pure: the same bytes give the same verdict.
    pub fn judge(&self, beginning: &[u8]) -> Result<Verdict, FrameRefusal> {
        let Some((length, rest)) = beginning.split_first_chunk::<LENGTH_BYTES>() else {
            return Ok(Verdict::More { bytes: LENGTH_BYTES });
        };
        let len = self.length(*length)?;
        let Some((start, _)) = rest.split_first_chunk::<START_BYTES>() else {
            return Ok(Verdict::More { bytes: PREFIX_BYTES });
        };
        let start = self.start(len, *start)?;
        Ok(Verdict::Read { len, start })
    }

    /// The length of a frame, if any request may be that long.
    pub fn length(&self, length: [u8; LENGTH_BYTES]) -> Result<usize, FrameRefusal> {
        let len = i32::from_be_bytes(length);
        let Ok(len) = usize::try_from(len) else {
            return Err(FrameRefusal::Negative { len });
        };
        if len < SHORTEST_FRAME_BYTES {
            return Err(FrameRefusal::Short { len });
        }
        if len > self.max_bytes {
            return Err(FrameRefusal::Long { len, max_bytes: self.max_bytes });
        }
        Ok(len)
    }

    /// The start of a frame of `len` bytes, if this request may be that long.
    pub fn start(&self, len: usize, start: [u8; 8]) -> Result<FrameStart, FrameRefusal> {
        let [k0, k1, v0, v1, c0, c1, c2, c3] = start;
        let code = i16::from_be_bytes([k0, k1]);
        let Some(key) = ApiKey::from_code(code) else {
            return Err(FrameRefusal::UnknownKey { key: code });
        };
        let max_bytes = self.of(key);
        if len > max_bytes {
            return Err(FrameRefusal::Long { len, max_bytes });
        }
        Ok(FrameStart {
            key,
            version: i16::from_be_bytes([v0, v1]),
            correlation_id: i32::from_be_bytes([c0, c1, c2, c3]),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: FrameLimits = FrameLimits { max_bytes: 1000, other_bytes: 100 };

    fn beginning(len: i32, key: i16, version: i16, correlation_id: i32) -> Vec<u8> {
        let mut bytes = len.to_be_bytes().to_vec();
        bytes.extend(key.to_be_bytes());
        bytes.extend(version.to_be_bytes());
        bytes.extend(correlation_id.to_be_bytes());
        bytes
    }

    #[test]
    fn a_frame_is_judged_as_its_bytes_arrive() {
        let bytes = beginning(50, 3, 12, 7);
        for so_far in 0..4 {
            assert_eq!(LIMITS.judge(&bytes[..so_far]), Ok(Verdict::More { bytes: 4 }));
        }
        for so_far in 4..12 {
            assert_eq!(LIMITS.judge(&bytes[..so_far]), Ok(Verdict::More { bytes: 12 }));
        }
        let start = FrameStart { key: ApiKey::Metadata, version: 12, correlation_id: 7 };
        assert_eq!(LIMITS.judge(&bytes), Ok(Verdict::Read { len: 50, start }));
    }

    #[test]
    fn hostile_lengths_are_refused_from_four_bytes() {
        for len in [-1, i32::MIN, -104_857_600] {
            assert_eq!(LIMITS.judge(&len.to_be_bytes()), Err(FrameRefusal::Negative { len }));
        }
        for len in [1001, i32::MAX, 0x4745_5420] {
            let refused = LIMITS.judge(&len.to_be_bytes());
            assert!(matches!(refused, Err(FrameRefusal::Long { max_bytes: 1000, .. })), "{len}");
        }
        for len in 0..10_i32 {
            let refused = LIMITS.judge(&len.to_be_bytes());
            assert!(matches!(refused, Err(FrameRefusal::Short { .. })), "{len}");
        }
        assert!(LIMITS.judge(&1000_i32.to_be_bytes()).is_ok());
    }

    #[test]
    fn only_produce_may_use_the_whole_limit() {
        assert!(LIMITS.judge(&beginning(1000, 0, 9, 0)).is_ok());
        for range in crate::ADVERTISED.iter().filter(|range| range.key != ApiKey::Produce) {
            let key = range.key.code();
            assert!(LIMITS.judge(&beginning(100, key, range.max, 0)).is_ok());
            assert_eq!(
                LIMITS.judge(&beginning(101, key, range.max, 0)),
                Err(FrameRefusal::Long { len: 101, max_bytes: 100 }),
            );
        }
    }

    #[test]
    fn the_callers_limit_wins_over_every_other() {
        let limits = FrameLimits::new(4096);
        for range in crate::ADVERTISED {
            assert_eq!(limits.of(range.key), 4096);
        }
        assert_eq!(FrameLimits::new(1 << 30).of(ApiKey::ApiVersions), API_VERSIONS_BYTES);
        assert_eq!(FrameLimits::new(1 << 30).of(ApiKey::Fetch), OTHER_BYTES);
    }

    #[test]
    fn a_key_that_is_not_served_is_refused_before_its_body_is_read() {
        for key in [-1, 4, 5, 6, 7, 52, 76, i16::MAX] {
            let refused = LIMITS.judge(&beginning(50, key, 0, 0));
            assert_eq!(refused, Err(FrameRefusal::UnknownKey { key }));
        }
    }

    #[test]
    fn an_api_versions_request_of_any_version_is_read() {
        for version in [-1, 0, 4, 5, i16::MAX] {
            assert!(LIMITS.judge(&beginning(50, 18, version, 0)).is_ok());
        }
    }
}
