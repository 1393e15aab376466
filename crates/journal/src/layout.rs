//! The bytes of a journal file: names, the header page, the frame header. `docs/design/format.md`
//! is the normative text. Numbers are big-endian, as in every file of a Kafka directory.
//!
//! Pure; the items inside a frame are in `item`.

use std::path::PathBuf;

/// Length of the header at the front of a file; the rest of its page is zero.
pub(crate) const FILE_HEADER_LEN: usize = 64;
/// Length of the header of a frame.
pub(crate) const FRAME_HEADER_LEN: usize = 72;
/// Length of what precedes the body of an item.
pub(crate) const ITEM_HEAD_LEN: usize = 8;
/// Length of the body of a batches item without the batches.
pub(crate) const BATCHES_HEAD_LEN: usize = 40;

/// The version of the format that this crate writes, the only one it reads.
pub(crate) const VERSION: u16 = 1;

const FILE_MAGIC: [u8; 8] = *b"EKJOURNL";
const FRAME_MAGIC: [u8; 4] = *b"EKJF";
const NAME_PREFIX: &str = "evenkeel-journal-";

/// A place in the history of the whole broker: everything a partition wrote to a journal before
/// it has a lower mark. `run` numbers the starts of the broker, `sequence` the frames of one
/// journal in one run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mark {
    /// The start of the broker, from 1; 0 is before all.
    pub run: u64,
    /// The frame, from 0.
    pub sequence: u64,
}

/// What distinguishes one use of a file from every other use of every file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FileId {
    pub(crate) shard: u16,
    pub(crate) number: u32,
    pub(crate) run: u64,
    /// Counts the uses of files in one journal and run.
    pub(crate) generation: u64,
    /// Random.
    pub(crate) salt: u64,
}

/// What the header of a frame says, its magic and its file's identity apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FrameHeader {
    pub(crate) id: FileId,
    pub(crate) version: u16,
    pub(crate) crc: u32,
    /// Journal-wide, one more than the frame before.
    pub(crate) sequence: u64,
    /// Every frame below this sequence was flushed when this one was written.
    pub(crate) flushed_below: u64,
    /// Place in its file, from 0.
    pub(crate) ordinal: u32,
    pub(crate) payload_len: u32,
    pub(crate) items: u32,
}

/// What the first page of a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FilePage {
    Header(FileId),
    /// The checksum is right, the version is not ours.
    Version(u16),
    Unreadable,
}

pub(crate) fn file_name(shard: u16, number: u32) -> PathBuf {
    PathBuf::from(format!("{NAME_PREFIX}{shard}-{number}"))
}

/// The number of the file called `name`; `None` if it is not a name that `file_name` gives.
pub(crate) fn parse_name(name: &str) -> Option<(u16, u32)> {
    let (shard, number) = name.strip_prefix(NAME_PREFIX)?.split_once('-')?;
    let parsed = (shard.parse().ok()?, number.parse().ok()?);
    (file_name(parsed.0, parsed.1).to_str() == Some(name)).then_some(parsed)
}

/// `N` bytes at `at`, which the caller knows to be there.
pub(crate) fn bytes_at<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    *bytes[at..].first_chunk().expect("the caller checked the length")
}

pub(crate) fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    bytes[at..at + value.len()].copy_from_slice(value);
}

impl FileId {
    fn put(&self, bytes: &mut [u8]) {
        put(bytes, 8, &VERSION.to_be_bytes());
        put(bytes, 10, &self.shard.to_be_bytes());
        put(bytes, 12, &self.number.to_be_bytes());
        put(bytes, 16, &self.run.to_be_bytes());
        put(bytes, 24, &self.generation.to_be_bytes());
        put(bytes, 32, &self.salt.to_be_bytes());
    }

    fn take(bytes: &[u8]) -> FileId {
        FileId {
            shard: u16::from_be_bytes(bytes_at(bytes, 10)),
            number: u32::from_be_bytes(bytes_at(bytes, 12)),
            run: u64::from_be_bytes(bytes_at(bytes, 16)),
            generation: u64::from_be_bytes(bytes_at(bytes, 24)),
            salt: u64::from_be_bytes(bytes_at(bytes, 32)),
        }
    }

    /// Writes the header page of a file.
    pub(crate) fn write_page(&self, page: &mut [u8]) {
        page.fill(0);
        put(page, 0, &FILE_MAGIC);
        self.put(page);
        let crc = crc32c::crc32c(&page[..FILE_HEADER_LEN - 4]);
        put(page, FILE_HEADER_LEN - 4, &crc.to_be_bytes());
    }

    /// Reads the first page of a file, or as much of it as there is.
    pub(crate) fn read_page(page: &[u8]) -> FilePage {
        let Some(header) = page.first_chunk::<FILE_HEADER_LEN>() else {
            return FilePage::Unreadable;
        };
        let crc = u32::from_be_bytes(bytes_at(header, FILE_HEADER_LEN - 4));
        if header[..8] != FILE_MAGIC || crc != crc32c::crc32c(&header[..FILE_HEADER_LEN - 4]) {
            return FilePage::Unreadable;
        }
        match u16::from_be_bytes(bytes_at(header, 8)) {
            VERSION => FilePage::Header(FileId::take(header)),
            other => FilePage::Version(other),
        }
    }
}

impl FrameHeader {
    /// Writes the header in front of the payload that lies behind it in `frame`, with the
    /// checksum of both; `crc` and `version` of `self` do not matter.
    pub(crate) fn write(&self, frame: &mut [u8]) {
        put(frame, 0, &FRAME_MAGIC);
        self.id.put(frame);
        put(frame, 40, &self.sequence.to_be_bytes());
        put(frame, 48, &self.flushed_below.to_be_bytes());
        put(frame, 56, &self.ordinal.to_be_bytes());
        put(frame, 60, &self.payload_len.to_be_bytes());
        put(frame, 64, &self.items.to_be_bytes());
        put(frame, 68, &[0; 4]);
        let crc = crc32c::crc32c(&frame[8..self.frame_len()]);
        put(frame, 4, &crc.to_be_bytes());
    }

    /// Reads the header at the front of `bytes`; `None` if there is none. Nothing is checked but
    /// the magic.
    pub(crate) fn read(bytes: &[u8]) -> Option<FrameHeader> {
        let header = bytes.first_chunk::<FRAME_HEADER_LEN>()?;
        (header[..4] == FRAME_MAGIC).then(|| FrameHeader {
            id: FileId::take(header),
            version: u16::from_be_bytes(bytes_at(header, 8)),
            crc: u32::from_be_bytes(bytes_at(header, 4)),
            sequence: u64::from_be_bytes(bytes_at(header, 40)),
            flushed_below: u64::from_be_bytes(bytes_at(header, 48)),
            ordinal: u32::from_be_bytes(bytes_at(header, 56)),
            payload_len: u32::from_be_bytes(bytes_at(header, 60)),
            items: u32::from_be_bytes(bytes_at(header, 64)),
        })
    }

    /// Header and payload without the padding, in bytes. Saturates, so that a wild length is
    /// beyond every limit.
    pub(crate) fn frame_len(&self) -> usize {
        usize::try_from(self.payload_len).unwrap_or(usize::MAX).saturating_add(FRAME_HEADER_LEN)
    }

    /// Whether the bytes of the frame, header and payload, are those that were written.
    pub(crate) fn crc_is_right(&self, frame: &[u8]) -> bool {
        frame.len() == self.frame_len() && crc32c::crc32c(&frame[8..]) == self.crc
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_what_we_write_and_nothing_else() {
        assert_eq!(file_name(3, 17).to_str(), Some("evenkeel-journal-3-17"));
        assert_eq!(parse_name("evenkeel-journal-3-17"), Some((3, 17)));
        for other in [
            "evenkeel-journal-3",
            "evenkeel-journal-3-",
            "evenkeel-journal-03-17",
            "evenkeel-journal-3-+17",
            "evenkeel-journal-3-17.tmp",
            "evenkeel-journal-70000-1",
            "evenkeel-checkpoint",
        ] {
            assert_eq!(parse_name(other), None, "{other}");
        }
    }

    #[test]
    fn a_changed_header_page_is_unreadable() {
        let id = FileId { shard: 1, number: 2, run: 3, generation: 4, salt: 5 };
        let mut page = vec![7; 4096];
        id.write_page(&mut page);
        assert_eq!(FileId::read_page(&page), FilePage::Header(id));
        for bit in 0..FILE_HEADER_LEN * 8 {
            page[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(FileId::read_page(&page), FilePage::Unreadable, "bit {bit}");
            page[bit / 8] ^= 1 << (bit % 8);
        }
        assert_eq!(FileId::read_page(&page[..63]), FilePage::Unreadable);
    }

    #[test]
    fn another_version_is_told_from_damage() {
        let id = FileId { shard: 1, number: 2, run: 3, generation: 4, salt: 5 };
        let mut page = vec![0; 4096];
        id.write_page(&mut page);
        put(&mut page, 8, &9_u16.to_be_bytes());
        let crc = crc32c::crc32c(&page[..60]);
        put(&mut page, 60, &crc.to_be_bytes());
        assert_eq!(FileId::read_page(&page), FilePage::Version(9));
    }
}
