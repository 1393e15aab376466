//! What is known of one segment: plain state, no I/O.

use index::Building;
use record::{Header, Offset};

use crate::Corrupt;
use crate::aborted::Aborted;
use crate::tail::{Mark, Tail};

/// One segment of a log. The last one of a log is active; the others are sealed.
///
/// One struct with many fields because a segment is one thing that passes through stages: in
/// memory, in its files, flushed, indexed.
#[derive(Debug)]
pub(crate) struct Segment<F> {
    /// Its first offset, which names its files.
    pub(crate) base: Offset,
    /// Offset after its last record.
    pub(crate) next: Offset,
    /// Bytes of batches.
    pub(crate) len: u64,
    /// What the file holds: bytes, and the offset after them. Always the end of a batch.
    pub(crate) written: u64,
    pub(crate) written_next: Offset,
    /// The batches that are in memory.
    pub(crate) tail: Tail,
    /// The beginning of the page that holds `written`, when it is in the file and not in the tail.
    pub(crate) lead: Option<Lead>,
    /// The largest timestamp of the first batch, -1 for none; `None` while it was not read.
    pub(crate) first_timestamp_ms: Option<i64>,
    /// When it was created or opened, for segments without timestamps.
    pub(crate) created_ms: i64,
    /// What is taken off its greatest age.
    pub(crate) jitter_ms: i64,
    /// The largest timestamp, -1 for none; `None` while it was not read.
    pub(crate) largest_ms: Option<i64>,
    pub(crate) log_file: LogFile<F>,
    pub(crate) indexes: Indexes<F>,
    pub(crate) aborted: Aborted<F>,
    /// Positions of batches whose content is damaged, in order.
    pub(crate) bad: Vec<u64>,
    /// What is wrong behind `len`, if the file goes on there and cannot be read.
    pub(crate) broken: Option<Corrupt>,
}

/// The file of a segment's batches.
#[derive(Debug)]
pub(crate) struct LogFile<F> {
    pub(crate) handle: Option<F>,
    /// Whether it has been created.
    pub(crate) exists: bool,
    /// The handle must stay: the file does not have its name yet.
    pub(crate) pinned: bool,
    /// Length of the file, or more.
    pub(crate) len: u64,
    /// It may hold bytes behind `written` that are not zeros.
    pub(crate) stale: bool,
    /// Allocating space failed once; it is not tried again.
    pub(crate) no_allocation: bool,
    /// How often it was changed, and how many of the changes are flushed.
    pub(crate) changes: u64,
    pub(crate) flushed: u64,
}

/// The two index files of a segment.
#[derive(Debug)]
pub(crate) struct Indexes<F> {
    /// The entries that are not in the files yet; `None` once the segment is finished.
    pub(crate) building: Option<Building>,
    /// What the files hold, which comes before what is in `building`.
    pub(crate) files: Files,
    /// The files exist; otherwise they are created, empty if need be, when they are written.
    pub(crate) exist: bool,
    /// The part of the segment before this position has its entries in the files.
    pub(crate) filed_to: u64,
    /// Open index files that hold unflushed entries.
    pub(crate) unflushed: Vec<F>,
}

/// What is known of the index files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Files {
    /// They were not looked at yet.
    Unread,
    /// So many entries. With none, what may be in them has no meaning.
    Hold(Filed),
    /// They are missing or wrong.
    Useless,
}

/// How many entries the index files hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Filed {
    pub(crate) offsets: u64,
    pub(crate) times: u64,
}

/// The beginning of a page.
#[derive(Clone, Debug)]
pub(crate) struct Lead {
    /// Where the page begins.
    pub(crate) page: u64,
    pub(crate) bytes: Vec<u8>,
}

impl Lead {
    /// Where the known bytes end, exclusive.
    pub(crate) fn end(&self) -> u64 {
        self.page + self.bytes.len() as u64
    }
}

impl<F> Segment<F> {
    /// An empty segment that exists in memory only.
    pub(crate) fn new(base: Offset, created_ms: i64, jitter_ms: i64) -> Segment<F> {
        Segment {
            base,
            next: base,
            len: 0,
            written: 0,
            written_next: base,
            tail: Tail::default(),
            lead: None,
            first_timestamp_ms: None,
            created_ms,
            jitter_ms,
            largest_ms: Some(-1),
            log_file: LogFile {
                handle: None,
                exists: false,
                pinned: false,
                len: 0,
                stale: false,
                no_allocation: false,
                changes: 0,
                flushed: 0,
            },
            indexes: Indexes {
                building: Some(Building::new(base)),
                files: Files::Hold(Filed::default()),
                exist: false,
                filed_to: 0,
                unflushed: Vec::new(),
            },
            aborted: Aborted::none(),
            bad: Vec::new(),
            broken: None,
        }
    }

    /// A segment whose file holds `len` bytes of whole batches up to `next`, as the caller knows.
    pub(crate) fn existing(base: Offset, next: Offset, len: u64, file_len: u64) -> Segment<F> {
        let mut segment = Segment::new(base, 0, 0);
        segment.next = next;
        segment.len = len;
        segment.written = len;
        segment.written_next = next;
        segment.largest_ms = None;
        segment.log_file.exists = true;
        segment.log_file.len = file_len;
        segment.log_file.stale = len < file_len;
        segment
    }

    /// Counts a batch that was copied to the end.
    pub(crate) fn add(&mut self, header: &Header, base: Offset, interval_bytes: u32) {
        let header = &Header { base_offset: base, ..*header };
        if self.len == 0 {
            self.first_timestamp_ms = Some(header.max_timestamp_ms);
        }
        if let Some(largest_ms) = &mut self.largest_ms {
            *largest_ms = header.max_timestamp_ms.max(*largest_ms);
        }
        let position = u32::try_from(self.len).expect("a segment is shorter than 2 GiB");
        let building = self.indexes.building.as_mut().expect("the active segment is not finished");
        building.add(header, position, interval_bytes);
        self.len += header.len as u64;
        self.next = header.next_offset();
        self.aborted.wanted |= header.is_transactional();
    }

    /// A batch in memory at or before the one that holds `offset`, or is the next one behind it;
    /// `None` if that one may not be in memory.
    pub(crate) fn start_in_memory(&self, offset: Offset) -> Option<Mark> {
        let range = self.tail.range();
        let whole = range == (0..self.len);
        let unwritten = range.start <= self.written && range.end == self.len;
        match self.tail.find(offset) {
            Some(mark) => Some(mark),
            None if whole => Some(Mark { base: self.base, position: 0 }),
            // It lies in a gap between what is in the file and what is not.
            None if unwritten && self.written_next <= offset => {
                Some(Mark { base: self.written_next, position: self.written })
            }
            None => None,
        }
    }

    /// How long it has been open for a batch with this largest timestamp: by the timestamps if it
    /// has any, else by the wall clock.
    pub(crate) fn age_ms(&self, max_timestamp_ms: i64, now_ms: i64) -> i64 {
        match self.first_timestamp_ms {
            Some(first_ms) if 0 <= first_ms => max_timestamp_ms.saturating_sub(first_ms),
            _ => now_ms.saturating_sub(self.created_ms),
        }
    }

    /// Entries of the offset index and of the time index, in files and in memory.
    pub(crate) fn index_entries(&self) -> (u64, u64) {
        let filed = match self.indexes.files {
            Files::Hold(filed) => filed,
            Files::Unread | Files::Useless => Filed::default(),
        };
        let building = self.indexes.building.as_ref();
        let (offsets, times) =
            building.map_or((0, 0), |building| (building.offsets.len(), building.times.len()));
        (filed.offsets + offsets as u64, filed.times + times as u64)
    }

    /// Whether everything in it, but entries of the active segment's indexes by offset and time, is
    /// in the files, and a sealed segment is cut to its length and indexed.
    pub(crate) fn is_settled(&self, active: bool) -> bool {
        self.written == self.len
            && self.log_file.exists
            && (active || self.indexes.building.is_none())
            && self.aborted.is_filed(active, self.written_next)
    }

    /// Whether its file exists, and the aborted transactions of what is written are in theirs.
    pub(crate) fn is_filed(&self) -> bool {
        self.log_file.exists && self.aborted.is_filed(true, self.written_next)
    }

    /// Whether its files must be flushed.
    pub(crate) fn is_unflushed(&self) -> bool {
        self.log_file.flushed < self.log_file.changes
            || !self.indexes.unflushed.is_empty()
            || self.aborted.flushed < self.aborted.changes
    }
}
