//! Index files. Input: two bytes of choices, then the file.

use index::{AbortedIndex, OffsetIndex, TimeIndex};
use record::Offset;

use super::take;

/// Reads `data` as an index of each kind, and looks things up in it.
///
/// # Panics
/// If what was decoded encodes to something else, or a lookup finds what lies above its target.
pub fn index(data: &[u8]) {
    let mut data = data;
    let base = Offset::ZERO.plus(i64::from(take(&mut data)));
    let target = base.plus(i64::from(take(&mut data)) * 3);
    if let Ok(offsets) = OffsetIndex::decode(base, data) {
        assert_same(&offsets.encode(0, offsets.len()), data);
        if let Some(found) = offsets.lookup(target) {
            assert!(found.offset <= target);
        }
        let mut cut = offsets.clone();
        cut.truncate(target);
        assert!(cut.last().is_none_or(|last| last.offset < target));
    }
    if let Ok(times) = TimeIndex::decode(base, data) {
        assert_same(&times.encode(0, times.len()), data);
        if let Some(found) = times.lookup(target.raw()) {
            assert!(found.timestamp_ms <= target.raw());
        }
        let mut cut = times.clone();
        cut.truncate(target);
        assert!(cut.last().is_none_or(|last| last.offset < target));
    }
    if let Ok(aborted) = AbortedIndex::decode(data) {
        assert_eq!(aborted.encode(), data);
        let (found, _) = aborted.overlapping(base, target);
        assert!(found.iter().all(|entry| base <= entry.last_offset && entry.first_offset < target));
        let mut cut = aborted.clone();
        cut.truncate(target);
        assert!(cut.entries().iter().all(|entry| entry.last_offset < target));
    }
}

/// `encoded` is `data`, but for the zeros of space that was never used.
fn assert_same(encoded: &[u8], data: &[u8]) {
    let (front, rest) = data.split_at(encoded.len());
    assert_eq!(encoded, front);
    assert!(rest.iter().all(|byte| *byte == 0));
}
