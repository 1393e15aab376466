//! The three kinds of entries of a key index, as they lie in the file.

/// Most a delta can be: 31 bits.
const DELTA_MAX: u32 = i32::MAX.unsigned_abs();

/// The hash of a key.
pub type KeyHash = [u8; 16];

/// The latest record of one key in a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeyEntry {
    /// The keyed hash of the key.
    pub hash: KeyHash,
    /// The record's offset less the segment's base offset, below 2^31.
    pub delta: u32,
    /// Whether the record has no value.
    pub tombstone: bool,
}

impl KeyEntry {
    /// Bytes of one entry.
    pub const LEN: usize = 20;

    /// The bytes. They sort as the entries do: by hash, then by offset.
    ///
    /// # Panics
    /// If the delta needs more than 31 bits.
    #[must_use]
    pub fn encode(self) -> [u8; KeyEntry::LEN] {
        let mut bytes = [0; KeyEntry::LEN];
        bytes[..16].copy_from_slice(&self.hash);
        bytes[16..].copy_from_slice(&Note::new(self.delta, self.tombstone).encode());
        bytes
    }

    /// Reads one entry.
    #[must_use]
    pub fn decode(bytes: [u8; KeyEntry::LEN]) -> KeyEntry {
        let (hash, rest) = bytes.split_first_chunk::<16>().expect("16 of 20 bytes");
        let note = Note::decode(rest.try_into().expect("4 bytes are left"));
        KeyEntry { hash: *hash, delta: note.delta, tombstone: note.tombstone }
    }
}

/// A record of the segment that is dead or a tombstone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Note {
    /// The record's offset less the segment's base offset, below 2^31.
    pub delta: u32,
    /// It is the latest of its key in the segment and has no value. Otherwise it is dead: a later
    /// record of the segment has its key, or it has no key, or its transaction was aborted.
    pub tombstone: bool,
}

impl Note {
    /// Bytes of one note.
    pub const LEN: usize = 4;

    /// A note.
    #[must_use]
    pub const fn new(delta: u32, tombstone: bool) -> Note {
        Note { delta, tombstone }
    }

    /// The bytes. They sort as the notes do: by offset.
    ///
    /// # Panics
    /// If the delta needs more than 31 bits.
    #[must_use]
    pub fn encode(self) -> [u8; Note::LEN] {
        assert!(self.delta <= DELTA_MAX, "a segment spans 2^31 offsets");
        (self.delta << 1 | u32::from(self.tombstone)).to_be_bytes()
    }

    /// Reads one note.
    #[must_use]
    pub fn decode(bytes: [u8; Note::LEN]) -> Note {
        let raw = u32::from_be_bytes(bytes);
        Note { delta: raw >> 1, tombstone: raw & 1 == 1 }
    }
}

/// What happened to a transaction in the segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransactionStep {
    /// A data batch, the first one of its producer since the last marker or the segment's begin.
    Data,
    /// A marker, or what is left of one, which decides the transaction.
    Marker,
}

/// A step of one producer's transactions, in order of offsets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransactionEvent {
    /// The producer.
    pub producer_id: i64,
    /// Last offset of the batch less the segment's base offset, below 2^31.
    pub delta: u32,
    /// What happened.
    pub step: TransactionStep,
    /// The delete horizon of a marker's batch, in milliseconds.
    pub horizon_ms: Option<i64>,
}

impl TransactionEvent {
    /// Bytes of one event.
    pub const LEN: usize = 24;

    /// The bytes.
    #[must_use]
    pub fn encode(self) -> [u8; TransactionEvent::LEN] {
        let mut bytes = [0; TransactionEvent::LEN];
        bytes[..8].copy_from_slice(&self.producer_id.to_be_bytes());
        bytes[8..12].copy_from_slice(&self.delta.to_be_bytes());
        let step: u8 = match self.step {
            TransactionStep::Data => 0,
            TransactionStep::Marker => 1,
        };
        bytes[12] = step;
        bytes[13] = u8::from(self.horizon_ms.is_some());
        bytes[16..].copy_from_slice(&self.horizon_ms.unwrap_or(0).to_be_bytes());
        bytes
    }

    /// Reads one event. The block it comes from was checked, so any step but data is a marker.
    #[must_use]
    pub fn decode(bytes: [u8; TransactionEvent::LEN]) -> TransactionEvent {
        let eight = |at: usize| -> [u8; 8] { bytes[at..at + 8].try_into().expect("eight bytes") };
        let delta = bytes[8..12].try_into().expect("four bytes");
        let step = if bytes[12] == 0 { TransactionStep::Data } else { TransactionStep::Marker };
        TransactionEvent {
            producer_id: i64::from_be_bytes(eight(0)),
            delta: u32::from_be_bytes(delta),
            step,
            horizon_ms: (bytes[13] == 1).then(|| i64::from_be_bytes(eight(16))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_field_has_its_place() {
        let entry = KeyEntry { hash: [7; 16], delta: DELTA_MAX, tombstone: true };
        let bytes = entry.encode();
        assert_eq!(bytes[16..], [0xff; 4]);
        assert_eq!(KeyEntry::decode(bytes), entry);
        assert_eq!(Note::new(3, false).encode(), [0, 0, 0, 6]);
        let event = TransactionEvent {
            producer_id: 0x0102,
            delta: 0x0304,
            step: TransactionStep::Marker,
            horizon_ms: Some(0x0506),
        };
        let hex: String = event.encode().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "0000000000000102000003040101000000000000 00000506".replace(' ', ""));
        assert_eq!(TransactionEvent::decode(event.encode()), event);
        let data = TransactionEvent { step: TransactionStep::Data, horizon_ms: None, ..event };
        assert_eq!(TransactionEvent::decode(data.encode()), data);
    }

    #[test]
    fn bytes_sort_as_entries_do() {
        let entry = |byte, delta, tombstone| KeyEntry { hash: [byte; 16], delta, tombstone };
        let sorted =
            [entry(1, 9, true), entry(2, 0, false), entry(2, 1, true), entry(2, 700, false)];
        assert!(sorted.is_sorted() && sorted.map(KeyEntry::encode).is_sorted());
    }
}
