//! Names of things that Kafka numbers: producers and topics.

use std::fmt;
use std::str::FromStr;

/// A producer's number, assigned by the cluster. `-1` on the wire means that there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProducerId(i64);

impl ProducerId {
    /// Wraps a number.
    #[must_use]
    pub const fn new(raw: i64) -> ProducerId {
        ProducerId(raw)
    }

    /// The number.
    #[must_use]
    pub const fn raw(self) -> i64 {
        self.0
    }
}

impl fmt::Display for ProducerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The generation of a producer id: a higher one fences the lower ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProducerEpoch(i16);

impl ProducerEpoch {
    /// Wraps a number.
    #[must_use]
    pub const fn new(raw: i16) -> ProducerEpoch {
        ProducerEpoch(raw)
    }

    /// The number.
    #[must_use]
    pub const fn raw(self) -> i16 {
        self.0
    }
}

impl fmt::Display for ProducerEpoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A topic's identity for ever, whatever its name: 16 bytes, written as Kafka writes them, in 22
/// characters of base64url without padding.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicId([u8; 16]);

/// The text is not the 22-character form of a topic id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a topic id: want 22 characters of base64url")]
pub struct MalformedTopicId;

impl TopicId {
    /// Kafka's "no id", on the wire of those who know a topic by its name only.
    pub const ZERO: TopicId = TopicId([0; 16]);

    /// The id of `__cluster_metadata` in every cluster.
    pub const CLUSTER_METADATA: TopicId = TopicId([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);

    /// Wraps the 16 bytes as they are on the wire.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> TopicId {
        TopicId(bytes)
    }

    /// The 16 bytes for the wire.
    #[must_use]
    pub const fn bytes(self) -> [u8; 16] {
        self.0
    }
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
const TEXT_LEN: usize = 22;

impl fmt::Display for TopicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = [0; TEXT_LEN];
        // 128 bits in 22 digits of 6 bits: the last digit's low four bits are padding.
        let bits = u128::from_be_bytes(self.0);
        for (n, digit) in (0_u32..).zip(text.iter_mut()) {
            let shifted = if n < 21 { bits >> (122 - 6 * n) } else { bits << 4 };
            let [low, ..] = shifted.to_le_bytes();
            *digit = ALPHABET[usize::from(low & 63)];
        }
        f.pad(std::str::from_utf8(&text).expect("base64url is ASCII"))
    }
}

impl fmt::Debug for TopicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TopicId({self})")
    }
}

impl FromStr for TopicId {
    type Err = MalformedTopicId;

    /// Takes exactly what `Display` writes, so that one id has one text.
    fn from_str(text: &str) -> Result<TopicId, MalformedTopicId> {
        let text: &[u8; TEXT_LEN] = text.as_bytes().try_into().map_err(|_| MalformedTopicId)?;
        let mut bits = 0_u128;
        for (n, digit) in text.iter().enumerate() {
            let value = ALPHABET.iter().position(|a| a == digit).ok_or(MalformedTopicId)?;
            let value = value as u128;
            if n < 21 {
                bits = bits << 6 | value;
            } else if value & 15 == 0 {
                bits = bits << 2 | value >> 4;
            } else {
                return Err(MalformedTopicId);
            }
        }
        Ok(TopicId(bits.to_be_bytes()))
    }
}

/// One partition, by the topic's id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicPartition {
    /// The topic.
    pub topic: TopicId,
    /// The partition's number in it, from 0.
    pub partition: i32,
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.topic, self.partition)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_id_has_kafkas_text() {
        assert_eq!(TopicId::ZERO.to_string(), "AAAAAAAAAAAAAAAAAAAAAA");
        assert_eq!(TopicId::CLUSTER_METADATA.to_string(), "AAAAAAAAAAAAAAAAAAAAAQ");
        let id = TopicId::from_bytes(*b"\xff\xee\xdd\xcc\xbb\xaa\x99\x88\x77fUD3\"\x11\xfa");
        assert_eq!(id.to_string(), "_-7dzLuqmYh3ZlVEMyIR-g");
        assert_eq!("_-7dzLuqmYh3ZlVEMyIR-g".parse(), Ok(id));
        assert_eq!(format!("{id:?}"), "TopicId(_-7dzLuqmYh3ZlVEMyIR-g)");
    }

    #[test]
    fn a_text_that_display_does_not_write_is_refused() {
        let texts = ["", "AAAA", "AAAAAAAAAAAAAAAAAAAAAB", "AAAAAAAAAAAAAAAAAAAAA+"];
        for text in texts.into_iter().chain(["AAAAAAAAAAAAAAAAAAAAAA==", "AAAAAAAAAAAAAAAAAAAAé"])
        {
            assert_eq!(text.parse::<TopicId>(), Err(MalformedTopicId), "{text}");
        }
    }

    #[test]
    fn a_partition_is_written_topic_then_number() {
        let partition = TopicPartition { topic: TopicId::ZERO, partition: 3 };
        assert_eq!(partition.to_string(), "AAAAAAAAAAAAAAAAAAAAAA-3");
    }
}
