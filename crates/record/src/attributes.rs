//! The attributes field of a batch: codec, timestamp type and flags.

/// How the records of a batch are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Codec {
    /// Not at all.
    None,
    /// RFC 1952.
    Gzip,
    /// Snappy, in xerial's framing or raw.
    Snappy,
    /// LZ4 frames of independent blocks.
    Lz4,
    /// Zstandard, RFC 8878.
    Zstd,
}

/// The codec field holds a number that no codec has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown compression codec {id}")]
pub struct UnknownCodec {
    /// 5, 6 or 7.
    pub id: u8,
}

impl Codec {
    /// Every codec, in the order of their numbers.
    pub const ALL: [Codec; 5] = [Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd];

    /// The number in the attributes, 0 to 4.
    #[must_use]
    pub const fn id(self) -> u8 {
        match self {
            Codec::None => 0,
            Codec::Gzip => 1,
            Codec::Snappy => 2,
            Codec::Lz4 => 3,
            Codec::Zstd => 4,
        }
    }

    /// The codec with this number.
    pub const fn from_id(id: u8) -> Result<Codec, UnknownCodec> {
        match id {
            0 => Ok(Codec::None),
            1 => Ok(Codec::Gzip),
            2 => Ok(Codec::Snappy),
            3 => Ok(Codec::Lz4),
            4 => Ok(Codec::Zstd),
            _ => Err(UnknownCodec { id }),
        }
    }

    /// Kafka's name for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Codec::None => "none",
            Codec::Gzip => "gzip",
            Codec::Snappy => "snappy",
            Codec::Lz4 => "lz4",
            Codec::Zstd => "zstd",
        }
    }
}

/// Who set the timestamps of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TimestampType {
    /// The producer, record by record.
    CreateTime,
    /// The broker: every record has the batch's largest timestamp.
    LogAppendTime,
}

/// The attributes of a batch. As in Kafka only the low byte means something; the high byte is kept
/// as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Attributes(i16);

const CODEC_MASK: u8 = 0b0000_0111;
const LOG_APPEND_TIME: i16 = 0b0000_1000;
const TRANSACTIONAL: i16 = 0b0001_0000;
const CONTROL: i16 = 0b0010_0000;
const DELETE_HORIZON: i16 = 0b0100_0000;

impl Attributes {
    /// Wraps the field.
    #[must_use]
    pub const fn new(raw: i16) -> Attributes {
        Attributes(raw)
    }

    /// The field.
    #[must_use]
    pub const fn raw(self) -> i16 {
        self.0
    }

    /// How the records are compressed.
    pub const fn codec(self) -> Result<Codec, UnknownCodec> {
        let [_, low] = self.0.to_be_bytes();
        Codec::from_id(low & CODEC_MASK)
    }

    /// Who set the timestamps.
    #[must_use]
    pub const fn timestamp_type(self) -> TimestampType {
        if self.has(LOG_APPEND_TIME) {
            TimestampType::LogAppendTime
        } else {
            TimestampType::CreateTime
        }
    }

    /// Whether the batch is part of a transaction, its end marker included.
    #[must_use]
    pub const fn is_transactional(self) -> bool {
        self.has(TRANSACTIONAL)
    }

    /// Whether the batch is the broker's own word, not for consumers.
    #[must_use]
    pub const fn is_control(self) -> bool {
        self.has(CONTROL)
    }

    /// Whether the base timestamp is the time after which tombstones of the batch may go (KIP-534).
    #[must_use]
    pub const fn has_delete_horizon(self) -> bool {
        self.has(DELETE_HORIZON)
    }

    /// The same with another codec.
    #[must_use]
    pub fn with_codec(self, codec: Codec) -> Attributes {
        Attributes(self.0 & !i16::from(CODEC_MASK) | i16::from(codec.id()))
    }

    /// The same with another timestamp type.
    #[must_use]
    pub fn with_timestamp_type(self, timestamps: TimestampType) -> Attributes {
        self.with(LOG_APPEND_TIME, timestamps == TimestampType::LogAppendTime)
    }

    /// The same, transactional or not.
    #[must_use]
    pub fn with_transactional(self, yes: bool) -> Attributes {
        self.with(TRANSACTIONAL, yes)
    }

    /// The same, a control batch or not.
    #[must_use]
    pub fn with_control(self, yes: bool) -> Attributes {
        self.with(CONTROL, yes)
    }

    /// The same, with the delete horizon's flag set or not.
    #[must_use]
    pub fn with_delete_horizon(self, yes: bool) -> Attributes {
        self.with(DELETE_HORIZON, yes)
    }

    const fn has(self, flag: i16) -> bool {
        self.0 & flag != 0
    }

    fn with(self, flag: i16, yes: bool) -> Attributes {
        Attributes(if yes { self.0 | flag } else { self.0 & !flag })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codecs_five_to_seven_do_not_exist() {
        for codec in Codec::ALL {
            assert_eq!(Codec::from_id(codec.id()), Ok(codec));
            assert_eq!(Attributes::new(-1).with_codec(codec).codec(), Ok(codec));
        }
        assert_eq!(Attributes::new(0x105).codec(), Err(UnknownCodec { id: 5 }));
    }

    #[test]
    fn each_flag_has_its_bit() {
        let none = Attributes::default();
        assert_eq!(none.with_timestamp_type(TimestampType::LogAppendTime).raw(), 8);
        assert_eq!(none.with_transactional(true).raw(), 16);
        assert_eq!(none.with_control(true).raw(), 32);
        assert_eq!(none.with_delete_horizon(true).raw(), 64);
        assert_eq!(Attributes::new(0x7f10).with_transactional(false).raw(), 0x7f00);
    }
}
