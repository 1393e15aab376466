//! The 128-bit identifiers that are not topic ids: directories, incarnations, access rules.

use std::fmt;
use std::str::FromStr;

use record::TopicId;

/// A 128-bit identifier; its text is Kafka's 22 characters of URL-safe base64.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Uuid([u8; 16]);

impl Uuid {
    /// All zero. As a directory: the replica's directory is not known yet (migrating).
    pub const ZERO: Uuid = Uuid([0; 16]);
    /// As a directory: not assigned yet (KIP-858).
    pub const UNASSIGNED: Uuid = Uuid::small(1);
    /// As a directory: the directory of the replica is offline (KIP-858).
    pub const LOST: Uuid = Uuid::small(2);

    const fn small(value: u128) -> Uuid {
        Uuid(value.to_be_bytes())
    }

    /// Wraps 16 bytes, most significant first.
    pub const fn from_bytes(bytes: [u8; 16]) -> Uuid {
        Uuid(bytes)
    }

    /// The 16 bytes, most significant first.
    pub const fn bytes(self) -> [u8; 16] {
        self.0
    }

    /// Whether this is one of the first 100 values, which no directory may have (KIP-858).
    pub fn is_reserved(self) -> bool {
        u128::from_be_bytes(self.0) < 100
    }

    /// The version 4 form of 16 random bytes, moved off every value whose text would begin with
    /// a dash (which the command-line tools of Kafka cannot take) or is reserved.
    pub fn from_random(mut bytes: [u8; 16]) -> Uuid {
        bytes[6] = bytes[6] & 0x0f | 0x40;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        // The first six bits give the first character; 62 is the dash.
        if bytes[0] >> 2 == 62 {
            bytes[0] ^= 0x80;
        }
        Uuid(bytes)
    }
}

impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        TopicId::from_bytes(self.0).fmt(f)
    }
}

/// A text that is not 22 characters of URL-safe base64 holding 128 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an identifier of 22 base64 characters")]
pub struct NotAUuid;

impl FromStr for Uuid {
    type Err = NotAUuid;

    fn from_str(text: &str) -> Result<Uuid, NotAUuid> {
        text.parse().map(|id: TopicId| Uuid(id.bytes())).map_err(|_| NotAUuid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_is_kafkas_base64_and_comes_back() {
        // The id of the metadata topic, as Kafka prints it.
        assert_eq!(Uuid::UNASSIGNED.to_string(), "AAAAAAAAAAAAAAAAAAAAAQ");
        let bytes = std::array::from_fn(|i| u8::try_from(i * 17).expect("below 256"));
        let uuid = Uuid::from_bytes(bytes);
        assert_eq!(uuid.to_string().parse(), Ok(uuid));
        assert_eq!("AAAAAAAAAAAAAAAAAAAAAR".parse::<Uuid>(), Err(NotAUuid));
        assert_eq!("short".parse::<Uuid>(), Err(NotAUuid));
    }

    #[test]
    fn a_random_identifier_never_begins_with_a_dash() {
        for first in 0..=255u8 {
            let uuid = Uuid::from_random([first; 16]);
            assert!(!uuid.to_string().starts_with('-'));
            assert!(!uuid.is_reserved());
        }
    }
}
