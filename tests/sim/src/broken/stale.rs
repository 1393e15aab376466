//! Frames of an earlier use in a recycled journal file: counting them, and making them valid again.
//!
//! Reads the bytes by `docs/design/format.md`, not by the journal's code: what distinguishes a frame
//! from a stale one is the rule that is broken here.

use std::ops::Range;
use std::path::Path;

use buf::{PAGE, page_up};
use env::sim::Contents;

/// Shard, number, run, generation and salt of a file, at the same place in its header and in every
/// frame.
const IDENTITY: Range<usize> = 8..40;
const SEQUENCE: Range<usize> = 40..48;
const ORDINAL: Range<usize> = 56..60;
const PAYLOAD_LEN: Range<usize> = 60..64;
const FRAME_HEADER_LEN: usize = 72;

/// Whether `path` is that of a journal file.
#[must_use]
pub fn is_journal(path: &Path) -> bool {
    path.to_str().is_some_and(|name| name.starts_with("evenkeel-journal-"))
}

/// Frames that lie in the journal files of `contents` and are not of the file's present use.
#[must_use]
pub fn count(contents: &Contents) -> usize {
    let journals = contents.files.iter().filter(|(path, _)| is_journal(path));
    journals.map(|(_, bytes)| stale_in(bytes)).sum()
}

fn stale_in(file: &[u8]) -> usize {
    if !file.starts_with(b"EKJOURNL") {
        return 0;
    }
    let of_old_use =
        |at: &usize| frame_len(file, *at).is_some() && file[*at..][IDENTITY] != file[IDENTITY];
    (PAGE..file.len()).step_by(PAGE).filter(of_old_use).count()
}

/// Makes the stale frames that directly follow the present ones look as if they had been written
/// behind them; says how many there are.
pub fn revive(file: &mut [u8]) -> usize {
    if !file.starts_with(b"EKJOURNL") {
        return 0;
    }
    let mut at = PAGE;
    let mut last = None;
    while let Some(len) = frame_len(file, at).filter(|_| file[at..][IDENTITY] == file[IDENTITY]) {
        last = Some((number(&file[at..], SEQUENCE), number(&file[at..], ORDINAL)));
        at += page_up(len);
    }
    let mut revived = 0;
    while let Some(len) = frame_len(file, at) {
        file.copy_within(IDENTITY, at + IDENTITY.start);
        let frame = &mut file[at..at + len];
        if let Some((sequence, ordinal)) = last {
            frame[SEQUENCE].copy_from_slice(&(sequence + 1).to_be_bytes());
            frame[ORDINAL].copy_from_slice(&(ordinal + 1).to_be_bytes()[4..]);
            last = Some((sequence + 1, ordinal + 1));
        }
        let crc = crc32c::crc32c(&frame[8..]);
        frame[4..8].copy_from_slice(&crc.to_be_bytes());
        revived += 1;
        at += page_up(len);
    }
    revived
}

/// The big-endian number at `place`.
fn number(bytes: &[u8], place: Range<usize>) -> u64 {
    bytes[place].iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// The length of the intact frame, of whatever use, at `at`; `None` if there is none.
fn frame_len(file: &[u8], at: usize) -> Option<usize> {
    let frame = file.get(at..)?;
    if frame.len() < FRAME_HEADER_LEN || !frame.starts_with(b"EKJF") {
        return None;
    }
    let payload_len = usize::try_from(number(frame, PAYLOAD_LEN)).ok()?;
    let frame = frame.get(..FRAME_HEADER_LEN.checked_add(payload_len)?)?;
    let crc = number(frame, 4..8);
    (u64::from(crc32c::crc32c(&frame[8..])) == crc).then_some(frame.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A page that is a header or a frame of the use `id`.
    fn page(magic: &[u8], id: u8, sequence: u8, ordinal: u8) -> Vec<u8> {
        let mut page = vec![0; PAGE];
        page[..magic.len()].copy_from_slice(magic);
        page[IDENTITY].fill(id);
        if magic == b"EKJF" {
            page[SEQUENCE.end - 1] = sequence;
            page[ORDINAL.end - 1] = ordinal;
            page[PAYLOAD_LEN.end - 1] = 100;
            let crc = crc32c::crc32c(&page[8..FRAME_HEADER_LEN + 100]);
            page[4..8].copy_from_slice(&crc.to_be_bytes());
        }
        page
    }

    #[test]
    fn a_stale_frame_is_counted_and_becomes_one_of_the_present_use() {
        let header = page(b"EKJOURNL", 7, 0, 0);
        let present = page(b"EKJF", 7, 40, 0);
        let (stale, behind) = (page(b"EKJF", 3, 11, 1), page(b"EKJF", 3, 12, 2));
        let mut file = [header.clone(), present.clone(), stale, behind].concat();
        assert_eq!(stale_in(&file), 2);
        assert_eq!(revive(&mut file), 2);
        let wanted = [header, present, page(b"EKJF", 7, 41, 1), page(b"EKJF", 7, 42, 2)].concat();
        assert!(file == wanted, "identity, sequence, ordinal and checksum as if written here");
        assert_eq!(stale_in(&file), 0);
    }

    #[test]
    fn what_is_no_intact_frame_stays_as_it_is() {
        let mut torn = page(b"EKJF", 3, 11, 0);
        torn[100] ^= 1;
        let mut file = [page(b"EKJOURNL", 7, 0, 0), torn].concat();
        let before = file.clone();
        assert_eq!((stale_in(&file), revive(&mut file)), (0, 0));
        assert!(file == before);
    }
}
