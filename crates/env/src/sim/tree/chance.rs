//! What a power cut spares, as a pure function of a seed.

use crate::sim::rng::{Rng, mix};

/// Decides about single changes. The answer depends on the seed, the file and the number of the
/// change only, so it does not matter in which order the questions are asked.
#[derive(Clone, Debug)]
pub(crate) struct Chance {
    seed: u64,
    /// Of 8: how many open changes are kept.
    keep: u64,
}

const SIZE: u64 = 0x517E;
const TEAR: u64 = 0x7EA8;

impl Chance {
    pub(crate) fn new(seed: u64) -> Chance {
        Chance { seed: mix(seed), keep: 8 }
    }

    /// The chance of one file or directory. Some lose nothing, some everything, most a part:
    /// independent coins alone would hardly ever spare or lose all of many changes.
    pub(crate) fn of_node(&self, uid: u64) -> Chance {
        let seed = mix(self.seed ^ mix(uid));
        // The whole tree shares a mood in half of the cuts, so that cuts that lose almost
        // nothing anywhere, and everything everywhere, happen too.
        let mood = if self.seed.is_multiple_of(2) { self.seed >> 8 } else { seed >> 8 };
        let keep = [0, 1, 4, 4, 4, 6, 7, 8][usize::try_from(mood % 8).expect("below 8")];
        Chance { seed, keep }
    }

    fn coin(&self, id: u64, purpose: u64) -> u64 {
        mix(self.seed ^ mix(id ^ purpose.rotate_left(32)))
    }

    /// Whether change `id` of this file or directory survives.
    pub(crate) fn keeps(&self, id: u64) -> bool {
        self.coin(id, 0) % 8 < self.keep
    }

    /// Whether the growth of the file by write `id` survives.
    pub(crate) fn keeps_size(&self, id: u64) -> bool {
        self.coin(id, SIZE) % 8 < self.keep
    }

    /// Whether sector number `sector` of the `sectors` of write `id` survives: half of the
    /// surviving writes are whole, the others lose an end or any of their sectors.
    pub(crate) fn keeps_sector(&self, id: u64, sector: u64, sectors: usize) -> bool {
        if !self.keeps(id) {
            return false;
        }
        let how = self.coin(id, TEAR);
        match how % 4 {
            0 | 1 => true,
            2 => sector < (how >> 8) % (sectors as u64 + 1),
            _ => self.coin(id, TEAR ^ mix(sector + 1)).is_multiple_of(2),
        }
    }

    /// Changes the order of `items`.
    pub(crate) fn shuffle<T>(&self, items: &mut [T]) {
        let rng = Rng::new(self.seed, items.len() as u64);
        for end in (1..items.len()).rev() {
            items.swap(end, rng.index(end + 1));
        }
    }
}
