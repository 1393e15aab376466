//! Read-ahead: what a reader that goes on will want next is read while it is busy with what it has.
//!
//! Owns the places that are read ahead and their bounds. Only consumers are served (the group
//! `ColdRead`): whoever scans a log for the log's own sake takes what it needs and no more.

use std::time::Duration;

use buf::PAGE;
use env::sync::race;
use env::{Env, Group};
use record::Offset;

use crate::cursors::Cursor;
use crate::image::Image;
use crate::limits::AHEADS;
use crate::log::Log;
use crate::reader::FileReader;

/// What was read ahead and is not asked for within this time goes: its reader went away.
const KEPT: Duration = Duration::from_millis(500);

/// A place that is read ahead.
#[derive(Debug)]
struct Ahead {
    id: u64,
    /// The segment.
    base: Offset,
    /// Where its reader will go on.
    position: u64,
    /// `None` while the disk is busy with it.
    image: Option<Image>,
}

/// What there is for a reader.
#[derive(Debug)]
pub(crate) enum Found {
    Nothing,
    /// It is being read; the log's signal tells when that is over.
    UnderWay,
    Here(Image),
}

/// The places of one log that are read ahead, at most [`AHEADS`].
#[derive(Debug, Default)]
pub(crate) struct Aheads {
    places: Vec<Ahead>,
    next_id: u64,
}

impl Aheads {
    /// Claims a place. `None` if somebody reads it ahead already or there are too many.
    fn begin(&mut self, base: Offset, position: u64) -> Option<u64> {
        let known = |place: &Ahead| (place.base, place.position) == (base, position);
        if AHEADS <= self.places.len() || self.places.iter().any(known) {
            return None;
        }
        self.next_id += 1;
        self.places.push(Ahead { id: self.next_id, base, position, image: None });
        Some(self.next_id)
    }

    /// The disk answered. False if nobody wants it any more.
    fn filled(&mut self, id: u64, image: Image) -> bool {
        let place = self.places.iter_mut().find(|place| place.id == id);
        place.map(|place| place.image = Some(image)).is_some()
    }

    fn forget(&mut self, id: u64) {
        self.places.retain(|place| place.id != id);
    }

    fn holds(&self, id: u64) -> bool {
        self.places.iter().any(|place| place.id == id)
    }

    /// Gives what is there for who goes on at `position` of segment `base`.
    pub(crate) fn take(&mut self, base: Offset, position: u64) -> Found {
        let wanted = |place: &Ahead| (place.base, place.position) == (base, position);
        let Some(at) = self.places.iter().position(wanted) else { return Found::Nothing };
        match self.places[at].image.take() {
            None => Found::UnderWay,
            Some(image) => {
                self.places.swap_remove(at);
                Found::Here(image)
            }
        }
    }

    /// Lets go of what is here; says how many bytes that is.
    pub(crate) fn evict(&mut self) -> usize {
        let len = |image: &Image| match (image.start(), image.end()) {
            (Some(start), Some(end)) => usize::try_from(end - start).unwrap_or(0),
            _ => 0,
        };
        let bytes: usize =
            self.places.iter().filter_map(|place| place.image.as_ref()).map(len).sum();
        self.places.retain(|place| place.image.is_none());
        bytes
    }

    /// Lets go of everything, also of what is being read.
    pub(crate) fn clear(&mut self) {
        self.places.clear();
    }
}

impl<E: Env> Log<E> {
    /// What was read ahead for a reader at `position` of segment `base`; waits for the disk if
    /// that is busy with it. Empty if there is nothing.
    pub(crate) async fn image_ahead(&self, base: Offset, position: u64) -> Image {
        loop {
            let seen = self.inner.ahead_moved.seen();
            let found = self.inner.state.borrow_mut().aheads.take(base, position);
            match found {
                Found::Nothing => return Image::default(),
                Found::Here(image) => {
                    self.inner.ahead_moved.notify();
                    return image;
                }
                Found::UnderWay => self.inner.ahead_moved.after(seen).await,
            }
        }
    }

    /// Whether the shard's memory has room for `bytes` without what is left for requests. Clean
    /// chunks of this log give way: nobody asked for them yet, and the reader is about to ask.
    fn has_room_for(&self, bytes: usize) -> bool {
        let pool = self.inner.env.pool();
        let most = pool.limit() - pool.limit() / 16;
        let lacking = |wanted: usize| pool.used().saturating_add(wanted).saturating_sub(most);
        if 0 < lacking(bytes) {
            self.inner.state.borrow_mut().evict_chunks(lacking(bytes));
            pool.collect();
        }
        lacking(bytes) == 0
    }

    /// Begins to read `bytes` from where a reader stopped, in whole pages below `limit`, if there
    /// is memory for it.
    pub(crate) fn read_ahead(&self, from: Cursor, bytes: usize, limit: u64) {
        let start = buf::page_down(from.position);
        // The next batch's header tells the reader that it has enough.
        let end = from.position.saturating_add(bytes as u64 + PAGE as u64);
        let end = buf::page_down(end.min(limit));
        if end <= from.position || !self.has_room_for(bytes) {
            return;
        }
        let claimed = self.inner.state.borrow_mut().aheads.begin(from.base, from.position);
        let Some(id) = claimed else { return };
        let log = self.clone();
        self.inner.env.spawn(Group::ColdRead, async move {
            log.fill(id, from.base, start..end).await;
        });
    }

    async fn fill(&self, id: u64, base: Offset, range: std::ops::Range<u64>) {
        let env = &self.inner.env;
        let is_here = match self.log_file(base).await {
            Ok(file) => {
                let mut reader = FileReader::new(env, file, range.end, Group::ColdRead);
                match reader.need(range.start, range.end).await {
                    Ok(true) => self.inner.state.borrow_mut().aheads.filled(id, reader.image),
                    // Its reader will meet the same and say so.
                    Ok(false) | Err(_) => false,
                }
            }
            Err(_) => false,
        };
        if !is_here {
            self.inner.state.borrow_mut().aheads.forget(id);
            self.inner.ahead_moved.notify();
            return;
        }
        self.inner.ahead_moved.notify();
        let taken = async {
            loop {
                let seen = self.inner.ahead_moved.seen();
                if !self.inner.state.borrow().aheads.holds(id) {
                    return;
                }
                self.inner.ahead_moved.after(seen).await;
            }
        };
        race(taken, env.sleep(KEPT)).await;
        self.inner.state.borrow_mut().aheads.forget(id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_read_ahead_once_and_given_once() {
        let mut aheads = Aheads::default();
        let base = Offset::ZERO;
        let id = aheads.begin(base, 100).unwrap();
        assert_eq!(aheads.begin(base, 100), None);
        assert!(matches!(aheads.take(base, 100), Found::UnderWay));
        assert!(aheads.filled(id, Image::default()));
        assert!(matches!(aheads.take(base, 101), Found::Nothing));
        assert!(matches!(aheads.take(base, 100), Found::Here(_)));
        assert!(matches!(aheads.take(base, 100), Found::Nothing));
    }

    #[test]
    fn there_are_only_so_many_and_what_was_dropped_stays_dropped() {
        let mut aheads = Aheads::default();
        let ids: Vec<u64> =
            (0..AHEADS as u64).map(|at| aheads.begin(Offset::ZERO, at).unwrap()).collect();
        assert_eq!(aheads.begin(Offset::ZERO, 1000), None);
        aheads.forget(ids[0]);
        assert!(aheads.begin(Offset::ZERO, 1000).is_some());
        aheads.clear();
        assert!(!aheads.filled(ids[1], Image::default()));
        assert!(!aheads.holds(ids[1]));
    }
}
