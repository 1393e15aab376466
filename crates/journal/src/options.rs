//! How large a journal is, and what it says of itself.

use buf::PAGE;

use crate::frame::FrameLimits;
use crate::layout::FRAME_HEADER_LEN;
use crate::limits::{FILE_BYTES_MIN, FRAME_BYTES_MAX, PREPARE_WRITE_BYTES};
use crate::replay::RunStart;

/// How large a journal is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JournalOptions {
    /// Length of a file in bytes: whole pages, at least five. 32 MiB.
    pub file_bytes: u64,
    /// Files that may exist at a time, at least two; one more while a failure is dealt with. 4.
    pub files_max: usize,
    /// Bytes after which a frame ends and the next begins, at most [`FRAME_BYTES_MAX`]. A single
    /// batch that needs more gets it. 512 KiB.
    pub frame_bytes: usize,
    /// Frames that were written and not flushed are held in memory up to this many bytes, so
    /// that a failure can be outlived; a commit that goes beyond is flushed. 4 MiB.
    pub held_bytes_max: usize,
    /// What [`replay`](crate::replay()) says, the same on every shard of a start.
    pub start: RunStart,
}

impl JournalOptions {
    /// The sizes named above.
    #[must_use]
    pub fn new(start: RunStart) -> JournalOptions {
        JournalOptions {
            file_bytes: 32 << 20,
            files_max: 4,
            frame_bytes: 512 << 10,
            held_bytes_max: 4 << 20,
            start,
        }
    }

    /// The same within what the format and a file can do.
    pub(crate) fn within_limits(self) -> JournalOptions {
        let file_bytes = buf::page_down(self.file_bytes.max(FILE_BYTES_MIN));
        let usable = usize::try_from(file_bytes).unwrap_or(usize::MAX) - PAGE;
        let quarter = usable / 4 / PAGE * PAGE;
        JournalOptions {
            file_bytes,
            files_max: self.files_max.max(2),
            frame_bytes: buf::page_up(self.frame_bytes).clamp(PAGE, quarter.min(FRAME_BYTES_MAX)),
            held_bytes_max: self.held_bytes_max.min(usable / 2),
            start: self.start,
        }
    }

    pub(crate) fn frame_limits(&self) -> FrameLimits {
        let usable = usize::try_from(self.file_bytes).unwrap_or(usize::MAX) - PAGE;
        FrameLimits {
            payload_wanted: self.frame_bytes - FRAME_HEADER_LEN,
            payload_max: (usable / 4 / PAGE * PAGE).min(FRAME_BYTES_MAX) - FRAME_HEADER_LEN,
        }
    }

    /// Held frames in blocks of powers of two, and beside them a frame that is written, one that
    /// is rewritten, and zeros.
    pub(crate) fn memory_bytes(&self) -> usize {
        2 * self.held_bytes_max + 4 * FRAME_BYTES_MAX + 2 * PREPARE_WRITE_BYTES
    }
}

/// Where a commit went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The number of the file.
    pub file: u32,
    /// The sequence of its last frame: consecutive in this journal.
    pub sequence: u64,
}

/// How full a journal is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pressure {
    /// Bytes of files that cannot be used again yet, and of the current file up to its end.
    pub used_bytes: u64,
    /// Bytes at which commits are refused.
    pub limit_bytes: u64,
}

impl Pressure {
    /// Of the journal's size, rounded down.
    #[must_use]
    pub fn percent(&self) -> u64 {
        self.used_bytes * 100 / self.limit_bytes.max(1)
    }

    /// Whether a checkpoint should begin: half of the journal is used.
    #[must_use]
    pub fn checkpoint_is_due(&self) -> bool {
        50 <= self.percent()
    }

    /// Whether a checkpoint must not wait for anything: three quarters are used, and when all is,
    /// every acknowledgement waits for it.
    #[must_use]
    pub fn checkpoint_is_urgent(&self) -> bool {
        75 <= self.percent()
    }
}

/// What a journal did since it was opened. Each only grows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Metrics {
    /// Frames written, rewritten ones apart.
    pub frames: u64,
    /// Bytes of items in them.
    pub payload_bytes: u64,
    /// Bytes written for them, whole pages.
    pub written_bytes: u64,
    /// Flushes that commits made.
    pub flushes: u64,
    /// Commits that waited until space was filled with zeros or a file was created.
    pub waits_for_space: u64,
    /// Files that got a new identity.
    pub files_recycled: u64,
    /// Failures that were outlived by rewriting held frames to a fresh file.
    pub rescues: u64,
}
