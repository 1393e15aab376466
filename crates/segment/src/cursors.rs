//! Where readers left off.

use record::Offset;

use crate::limits::CURSORS;

/// The place of one batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cursor {
    /// The offset with which a reader will come: the one after what it read.
    pub(crate) next: Offset,
    /// The segment.
    pub(crate) base: Offset,
    /// Where the next batch begins in it.
    pub(crate) position: u64,
}

/// The last few places up to which something was read. A reader that goes on needs no index.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cursors {
    /// Oldest first, at most [`CURSORS`].
    places: Vec<Cursor>,
}

impl Cursors {
    /// Remembers a place, and forgets the oldest if there are too many.
    pub(crate) fn put(&mut self, cursor: Cursor) {
        self.places.retain(|place| place.next != cursor.next);
        if self.places.len() == CURSORS {
            self.places.remove(0);
        }
        self.places.push(cursor);
    }

    /// The place of `offset` in the segment `base`, if somebody left off there.
    pub(crate) fn find(&self, offset: Offset, base: Offset) -> Option<u64> {
        let place = self.places.iter().find(|place| place.next == offset && place.base == base);
        place.map(|place| place.position)
    }

    /// The place that was remembered last.
    pub(crate) fn last(&self) -> Option<Cursor> {
        self.places.last().copied()
    }

    /// Forgets every place.
    pub(crate) fn clear(&mut self) {
        self.places.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_place_goes() {
        let mut cursors = Cursors::default();
        let at = |raw| Offset::new(raw).unwrap();
        for n in 0..=i64::try_from(CURSORS).unwrap() {
            let position = u64::try_from(n * 100).unwrap();
            cursors.put(Cursor { next: at(n), base: at(0), position });
        }
        assert_eq!(cursors.find(at(0), at(0)), None);
        assert_eq!(cursors.find(at(1), at(0)), Some(100));
        assert_eq!(cursors.find(at(1), at(1)), None, "another segment");
        cursors.clear();
        assert_eq!(cursors.find(at(1), at(0)), None);
    }
}
