//! Flushes of one file: one in flight, one waiting that absorbs everybody who comes meanwhile.
//!
//! A flush covers what was written before it was *issued*, so who asks while one is in flight
//! has to wait for the next. Owns the numbering of the flushes and the fence after a failure; it
//! does not issue anything and holds no wakers.

/// A flush by its number. Who got it from [`SyncMerge::request`] is served when
/// [`SyncMerge::outcome`] gives an answer for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SyncTicket(u64);

/// What the caller must do after a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Enqueue {
    /// Queue this file for a flush of the given class.
    Now {
        /// Whether somebody waits for it.
        foreground: bool,
    },
    /// It is queued as background already, and now somebody waits for it: move it forward.
    Promote,
    /// Nothing: it is queued already, or will be when the one in flight is done.
    No,
}

/// The flushes of one file.
#[derive(Clone, Debug, Default)]
pub struct SyncMerge<E> {
    /// Number of the last flush that was issued.
    issued: u64,
    in_flight: bool,
    /// Class of the flush that waits, if one does. Its number is `issued + 1`.
    waiting: Option<bool>,
    /// Who asked for it: bit `g` for group `g`.
    groups: u64,
    /// Whether the waiting flush stands in the caller's queue.
    queued: bool,
    /// Every flush numbered up to this succeeded.
    succeeded: u64,
    failure: Option<E>,
}

impl<E: Clone> SyncMerge<E> {
    /// A file that was never flushed.
    #[must_use]
    pub fn new() -> SyncMerge<E> {
        SyncMerge {
            issued: 0,
            in_flight: false,
            waiting: None,
            groups: 0,
            queued: false,
            succeeded: 0,
            failure: None,
        }
    }

    /// Asks for a flush that covers everything written so far, on behalf of `group`. After a
    /// failure nothing is queued: the outcome is the failure, for good.
    ///
    /// # Panics
    /// If `group` is not below 64.
    pub fn request(&mut self, foreground: bool, group: usize) -> (SyncTicket, Enqueue) {
        let ticket = SyncTicket(self.issued + 1);
        if self.failure.is_some() {
            return (ticket, Enqueue::No);
        }
        self.groups |= 1 << group;
        let was = self.waiting;
        self.waiting = Some(was.unwrap_or(false) || foreground);
        let enqueue = if self.queued {
            if foreground && was == Some(false) { Enqueue::Promote } else { Enqueue::No }
        } else if self.in_flight {
            Enqueue::No
        } else {
            self.queued = true;
            Enqueue::Now { foreground }
        };
        (ticket, enqueue)
    }

    /// The caller issues the flush that waits, and is told who asked for it: bit `g` for group
    /// `g`. Requests from now on belong to the next.
    ///
    /// # Panics
    /// If none stands in the queue.
    pub fn issue(&mut self) -> u64 {
        assert!(self.queued && !self.in_flight, "a flush is issued once, from the queue");
        self.issued += 1;
        self.in_flight = true;
        self.queued = false;
        self.waiting = None;
        std::mem::take(&mut self.groups)
    }

    /// The flush in flight ended. Says whether the next one is to be queued, and as what. A
    /// failure fences: it is the outcome of every request that was not served before.
    ///
    /// # Panics
    /// If none is in flight.
    pub fn complete(&mut self, result: Result<(), E>) -> Enqueue {
        assert!(self.in_flight, "no flush is in flight");
        self.in_flight = false;
        match result {
            Ok(()) => self.succeeded = self.issued,
            Err(failure) => self.failure = Some(failure),
        }
        match self.waiting {
            Some(foreground) if self.failure.is_none() => {
                self.queued = true;
                Enqueue::Now { foreground }
            }
            _ => {
                self.waiting = None;
                Enqueue::No
            }
        }
    }

    /// What became of the flush that `ticket` waits for; `None` while it is not over.
    #[must_use]
    pub fn outcome(&self, ticket: SyncTicket) -> Option<Result<(), E>> {
        if ticket.0 <= self.succeeded {
            return Some(Ok(()));
        }
        self.failure.clone().map(Err)
    }

    /// Flushes issued so far.
    #[must_use]
    pub fn issued(&self) -> u64 {
        self.issued
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn merge() -> SyncMerge<&'static str> {
        SyncMerge::new()
    }

    #[test]
    fn everybody_who_comes_during_a_flush_shares_the_next() {
        let mut file = merge();
        let (first, enqueue) = file.request(true, 1);
        assert_eq!(enqueue, Enqueue::Now { foreground: true });
        file.issue();
        let later: Vec<_> = (0..63).map(|_| file.request(true, 1)).collect();
        assert!(later.iter().all(|(_, enqueue)| *enqueue == Enqueue::No));
        assert_eq!(file.outcome(first), None);
        assert_eq!(file.complete(Ok(())), Enqueue::Now { foreground: true });
        assert_eq!(file.outcome(first), Some(Ok(())));
        assert!(later.iter().all(|(ticket, _)| file.outcome(*ticket).is_none()));
        file.issue();
        assert_eq!(file.complete(Ok(())), Enqueue::No);
        assert!(later.iter().all(|(ticket, _)| file.outcome(*ticket) == Some(Ok(()))));
        assert_eq!(file.issued(), 2);
    }

    #[test]
    fn a_queued_flush_still_absorbs() {
        let mut file = merge();
        let (a, _) = file.request(false, 6);
        let (b, enqueue) = file.request(true, 1);
        assert_eq!((a, enqueue), (b, Enqueue::Promote));
        assert_eq!(file.request(true, 1).1, Enqueue::No);
        assert_eq!(file.issue(), 1 << 1 | 1 << 6);
        file.complete(Ok(()));
        assert_eq!(file.outcome(b), Some(Ok(())));
    }

    #[test]
    fn a_failure_reaches_everybody_and_is_final() {
        let mut file = merge();
        let (first, _) = file.request(true, 1);
        file.issue();
        let (second, _) = file.request(true, 1);
        assert_eq!(file.complete(Err("EIO")), Enqueue::No);
        let (third, enqueue) = file.request(true, 1);
        assert_eq!(enqueue, Enqueue::No);
        for ticket in [first, second, third] {
            assert_eq!(file.outcome(ticket), Some(Err("EIO")));
        }
    }

    #[test]
    fn what_was_flushed_before_a_failure_stays_flushed() {
        let mut file = merge();
        let (first, _) = file.request(true, 1);
        file.issue();
        file.complete(Ok(()));
        let (second, _) = file.request(true, 1);
        file.issue();
        file.complete(Err("EIO"));
        assert_eq!(file.outcome(first), Some(Ok(())));
        assert_eq!(file.outcome(second), Some(Err("EIO")));
    }
}
