//! A commit round: who writes to the segment, who shares the journal frame, who waits.
//!
//! Pure.

/// Pending bytes from which a partition has its own write and flush, in bytes: there a shared
/// flush saves nothing, and the second copy costs.
pub const DIRECT_BYTES: usize = 128 << 10;

/// One partition with something to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pending {
    /// Bytes that were appended and are neither in the journal nor in the segment.
    pub pending_bytes: usize,
    /// Somebody waits until they are durable.
    pub wants_flush: bool,
    /// A write to its segment is under way: nothing may overtake it.
    pub direct_in_flight: bool,
}

/// What happens to one partition in this round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// Straight to its segment.
    Direct {
        /// And flush it.
        flush: bool,
    },
    /// Into the journal, with the others.
    Journal,
    /// Stays for a later round.
    Wait,
}

/// A round: a route for each partition, in the order in which they were given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Round {
    /// The routes.
    pub routes: Vec<Route>,
    /// Bytes of batches that go to the journal.
    pub journal_bytes: usize,
    /// Whether the commit to the journal is flushed.
    pub journal_flush: bool,
}

/// What bounds a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RoundLimits {
    /// Bytes of batches that share the commit to the journal.
    pub journal_bytes_max: usize,
    /// Pending bytes from which a partition goes straight to its segment: [`DIRECT_BYTES`], or
    /// less where the journal's frames are shorter.
    pub direct_bytes: usize,
}

/// Decides a round over `pending`, oldest wish first. At most `journal_bytes_max` bytes share the
/// commit to the journal, so that nobody waits long for the bytes of others; but the first always
/// goes. What does not fit waits, and nobody behind it that is younger goes before it with the
/// journal, so that it is first the next time.
#[must_use]
pub fn plan(pending: &[Pending], limits: RoundLimits) -> Round {
    let RoundLimits { journal_bytes_max, direct_bytes } = limits;
    let mut round = Round { routes: Vec::with_capacity(pending.len()), ..Round::default() };
    let mut closed = false;
    for one in pending {
        let route = if one.direct_in_flight {
            Route::Wait
        } else if direct_bytes <= one.pending_bytes {
            Route::Direct { flush: one.wants_flush }
        } else {
            let is_first = round.journal_bytes == 0;
            let fits =
                one.pending_bytes <= journal_bytes_max - round.journal_bytes.min(journal_bytes_max);
            closed |= !is_first && !fits;
            if closed { Route::Wait } else { Route::Journal }
        };
        if route == Route::Journal {
            round.journal_bytes += one.pending_bytes;
            round.journal_flush |= one.wants_flush;
        }
        round.routes.push(route);
    }
    round
}

#[cfg(test)]
mod tests {
    use super::*;
    use Route::{Direct, Journal, Wait};

    fn pending(pending_bytes: usize) -> Pending {
        Pending { pending_bytes, wants_flush: true, direct_in_flight: false }
    }

    fn check(pending: &[Pending], routes: &[Route], journal_bytes: usize, flush: bool) {
        let limits = RoundLimits { journal_bytes_max: 256 << 10, direct_bytes: DIRECT_BYTES };
        let round = plan(pending, limits);
        assert_eq!(round.routes, routes, "{pending:?}");
        assert_eq!((round.journal_bytes, round.journal_flush), (journal_bytes, flush));
    }

    #[test]
    fn the_size_decides_between_segment_and_journal() {
        check(&[], &[], 0, false);
        check(&[pending(DIRECT_BYTES)], &[Direct { flush: true }], 0, false);
        check(&[pending(DIRECT_BYTES - 1)], &[Journal], DIRECT_BYTES - 1, true);
        let mixed = [pending(100), pending(1 << 20), pending(200)];
        check(&mixed, &[Journal, Direct { flush: true }, Journal], 300, true);
    }

    #[test]
    fn nothing_overtakes_a_write_to_the_segment() {
        for bytes in [0, 100, DIRECT_BYTES] {
            let busy = Pending { direct_in_flight: true, ..pending(bytes) };
            check(&[busy, pending(1)], &[Wait, Journal], 1, true);
        }
    }

    #[test]
    fn one_wish_flushes_the_whole_frame() {
        let cached = Pending { wants_flush: false, ..pending(10) };
        check(&[cached, cached], &[Journal, Journal], 20, false);
        check(&[cached, pending(5)], &[Journal, Journal], 15, true);
        let large = Pending { wants_flush: false, ..pending(DIRECT_BYTES) };
        check(&[large], &[Direct { flush: false }], 0, false);
        check(&[pending(0)], &[Journal], 0, true);
    }

    #[test]
    fn a_full_frame_makes_the_younger_wait() {
        let kib = |n: usize| pending(n << 10);
        let routes = [Journal, Journal, Wait, Wait, Direct { flush: true }];
        check(&[kib(100), kib(100), kib(100), kib(1), kib(500)], &routes, 200 << 10, true);
        let round = plan(
            &[kib(100), kib(1)],
            RoundLimits { journal_bytes_max: 4096, direct_bytes: DIRECT_BYTES },
        );
        assert_eq!(round.routes, [Journal, Wait], "the first goes whatever the limit");
    }
}
