//! Where the fields of a record batch lie: version 2 ("magic 2"), all numbers big endian
//! (KIP-98; `DefaultRecordBatch` in Kafka's sources).
//!
//! ```text
//!  0  base offset      i64 |  21 attributes         i16 |  43 producer id     i64
//!  8  length           i32 |  23 last offset delta  i32 |  51 producer epoch  i16
//! 12  leader epoch     i32 |  27 base timestamp     i64 |  53 base sequence   i32
//! 16  magic             i8 |  35 max timestamp      i64 |  57 record count    i32
//! 17  CRC-32C          u32 |                            |  61 records
//! ```
//!
//! The length counts the bytes after its own field. The checksum covers everything behind itself,
//! so base offset and leader epoch can be stamped without it.

/// Offset of the first record, i64.
pub const BASE_OFFSET: usize = 0;
/// Bytes of the batch after this field, i32.
pub const LENGTH: usize = BASE_OFFSET + 8;
/// Epoch of the leader that appended the batch, i32.
pub const LEADER_EPOCH: usize = LENGTH + 4;
/// Version of the format, i8: [`MAGIC_2`].
pub const MAGIC: usize = LEADER_EPOCH + 4;
/// CRC-32C of the bytes from [`ATTRIBUTES`] to the end, u32.
pub const CRC: usize = MAGIC + 1;
/// Codec and flags, i16.
pub const ATTRIBUTES: usize = CRC + 4;
/// Last offset less the base offset, i32.
pub const LAST_OFFSET_DELTA: usize = ATTRIBUTES + 2;
/// What the records' timestamp deltas are relative to, in milliseconds, i64.
pub const BASE_TIMESTAMP: usize = LAST_OFFSET_DELTA + 4;
/// Largest timestamp of the records, in milliseconds, i64.
pub const MAX_TIMESTAMP: usize = BASE_TIMESTAMP + 8;
/// Producer id or -1, i64.
pub const PRODUCER_ID: usize = MAX_TIMESTAMP + 8;
/// Producer epoch or -1, i16.
pub const PRODUCER_EPOCH: usize = PRODUCER_ID + 8;
/// Sequence of the first record or -1, i32.
pub const BASE_SEQUENCE: usize = PRODUCER_EPOCH + 2;
/// Number of records, i32.
pub const RECORD_COUNT: usize = BASE_SEQUENCE + 4;
/// Where the records begin: the length of the header, in bytes.
pub const HEADER_LEN: usize = RECORD_COUNT + 4;

/// What the length field does not count: the bytes up to its end.
pub const LENGTH_EXCLUDES: usize = LENGTH + 4;
/// The only version of the format that is read here.
pub const MAGIC_2: u8 = 2;

const _: () = assert!(MAGIC == 16 && CRC == 17 && ATTRIBUTES == 21);
const _: () = assert!(MAX_TIMESTAMP == 35 && PRODUCER_ID == 43 && BASE_SEQUENCE == 53);
const _: () = assert!(HEADER_LEN == 61 && LENGTH_EXCLUDES == 12);

/// The `N` bytes at `at`. The caller has checked that `bytes` holds a header.
pub(crate) fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes[at..at + N].try_into().expect("a range of N bytes is an array of N bytes")
}

/// Writes `field` at `at`. The caller has checked that `bytes` holds a header.
pub(crate) fn put(bytes: &mut [u8], at: usize, field: &[u8]) {
    bytes[at..at + field.len()].copy_from_slice(field);
}
