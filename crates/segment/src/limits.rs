//! Every bound of this crate, with its unit.

/// Most bytes of one write or read.
pub(crate) const PIECE_BYTES: usize = 1 << 20;

/// Most writes of one log in flight.
pub(crate) const WRITES_IN_FLIGHT: usize = 4;

/// Bytes of the first chunk of a log, and of one that is filled slowly.
pub(crate) const CHUNK_BYTES_MIN: usize = 16 << 10;

/// Most bytes of a chunk.
pub(crate) const CHUNK_BYTES_MAX: usize = 1 << 20;

/// A chunk that is full within this time is followed by one of four times its size.
pub(crate) const CHUNK_FAST_MS: i64 = 1_000;

/// A chunk that took longer than this is followed by one of a quarter of its size.
pub(crate) const CHUNK_SLOW_MS: i64 = 30_000;

/// Bytes between two remembered batch positions in a chunk.
pub(crate) const MARK_BYTES: u64 = 8 << 10;

/// Most bytes by which the allocated space of a file runs ahead of what is written.
pub(crate) const ALLOCATE_BYTES_MAX: u64 = 64 << 20;

/// Headers that are looked at between two yields.
pub(crate) const HEADERS_PER_TURN: usize = 128;

/// Bytes whose checksum is computed between two yields, about 10 microseconds.
pub(crate) const CHECKSUM_BYTES_PER_TURN: usize = 256 << 10;

/// Bytes of one read when only headers are wanted.
pub(crate) const SCAN_BYTES: usize = 256 << 10;

/// A segment whose index is missing is read from its beginning up to this length; a longer one
/// gets a new index first.
pub(crate) const UNINDEXED_BYTES_MAX: u64 = 1 << 20;

/// Index entries of the active segment in memory before they are moved to its files.
pub(crate) const INDEX_ENTRIES_MAX: usize = 4096;

/// Bytes of one write to an index file.
pub(crate) const INDEX_PIECE_BYTES: usize = 64 << 10;

/// Longest control batch in which a marker is looked for; that of Kafka has 78 bytes.
pub(crate) const CONTROL_BYTES_MAX: usize = 1 << 10;

/// Places where a reader may go on, remembered for each log.
pub(crate) const CURSORS: usize = 16;

/// Places that are read ahead, at most, for each log.
pub(crate) const AHEADS: usize = 4;

/// Handles of sealed segments that stay open for each log.
pub(crate) const SEALED_FILES_MAX: usize = 2;

/// Most bytes of records that a search for a timestamp decompresses at a time.
pub(crate) const DECOMPRESSED_BYTES_MAX: usize = 64 << 20;

const _: () = assert!(PIECE_BYTES.is_multiple_of(buf::PAGE));
const _: () = assert!(CHUNK_BYTES_MIN.is_multiple_of(buf::PAGE));
const _: () = assert!(CHUNK_BYTES_MAX <= PIECE_BYTES);
const _: () = assert!(SCAN_BYTES.is_multiple_of(buf::PAGE) && SCAN_BYTES <= PIECE_BYTES);
