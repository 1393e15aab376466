//! How long the running group may go on, and how often a task looks at the clock for it.

use std::cell::Cell;

use crate::clock;

/// The most calls of `is_over` between two looks at the clock.
const STRIDE_MAX: u32 = 8;
/// The stride grows while calls come closer together than this.
const STRIDE_GROWS_BELOW_NS: u64 = 1_000;
/// The stride falls back to one when calls are further apart than this.
const STRIDE_FALLS_ABOVE_NS: u64 = 4_000;

/// The turn of a group.
pub(super) struct Turn {
    /// The running group gives way at this time.
    until_ns: Cell<u64>,
    stride: Cell<u32>,
    stride_left: Cell<u32>,
    stride_ns: Cell<u64>,
}

impl Turn {
    pub(super) fn new() -> Turn {
        Turn {
            until_ns: Cell::new(0),
            stride: Cell::new(1),
            stride_left: Cell::new(1),
            stride_ns: Cell::new(0),
        }
    }

    pub(super) fn begin(&self, until_ns: u64) {
        self.until_ns.set(until_ns);
    }

    /// A task is polled: what it does between two calls is not known yet.
    pub(super) fn begin_poll(&self, now_ns: u64) {
        self.stride.set(1);
        self.stride_left.set(1);
        self.stride_ns.set(now_ns);
    }

    /// Whether the turn is over. Looks at the clock on every call at first, and less often when
    /// calls come close together.
    #[inline]
    pub(super) fn is_over(&self) -> bool {
        let left = self.stride_left.get();
        if 1 < left {
            self.stride_left.set(left - 1);
            return false;
        }
        self.look()
    }

    fn look(&self) -> bool {
        let now_ns = clock::now_ns();
        let stride = self.stride.get();
        let apart_ns = (now_ns - self.stride_ns.get()) / u64::from(stride);
        let stride = if STRIDE_FALLS_ABOVE_NS < apart_ns {
            1
        } else if apart_ns < STRIDE_GROWS_BELOW_NS {
            (stride * 2).min(STRIDE_MAX)
        } else {
            stride
        };
        self.stride.set(stride);
        self.stride_left.set(stride);
        self.stride_ns.set(now_ns);
        self.until_ns.get() <= now_ns
    }
}
