//! The only source of chance in a simulation: SplitMix64, one stream for each purpose.

use std::cell::Cell;

/// A bijection of 64 bits without visible pattern.
pub(crate) const fn mix(value: u64) -> u64 {
    let mixed = (value ^ (value >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

/// One stream of random numbers.
#[derive(Debug)]
pub(crate) struct Rng {
    state: Cell<u64>,
}

impl Rng {
    /// The stream number `purpose` of `seed`: two purposes of one seed have nothing in common.
    pub(crate) const fn new(seed: u64, purpose: u64) -> Rng {
        Rng { state: Cell::new(mix(seed ^ mix(purpose.wrapping_add(0x5EED)))) }
    }

    pub(crate) fn next(&self) -> u64 {
        let state = self.state.get().wrapping_add(0x9E37_79B9_7F4A_7C15);
        self.state.set(state);
        mix(state)
    }

    /// A number in `[0, n)`; 0 if `n` is 0.
    pub(crate) fn below(&self, n: u64) -> u64 {
        let random = self.next();
        if n == 0 { 0 } else { random % n }
    }

    /// A place in something of `len` elements, which must not be 0.
    pub(crate) fn index(&self, len: usize) -> usize {
        usize::try_from(self.below(len as u64)).expect("below a usize")
    }

    /// True once in `n` times; never for 0.
    pub(crate) fn one_in(&self, n: u64) -> bool {
        n != 0 && self.below(n) == 0
    }

    /// True `n` times in 1,000.
    pub(crate) fn per_mille(&self, n: u32) -> bool {
        self.below(1000) < u64::from(n)
    }
}
