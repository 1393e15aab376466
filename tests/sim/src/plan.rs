//! How a run goes, as a pure function of a seed.

use crate::broken::Rule;
use crate::random::Random;

/// How a run goes.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Everything follows from it.
    pub seed: u64,
    /// Shards of the broker.
    pub shards: u16,
    /// Producers, each on a connection of its own.
    pub producers: u16,
    /// Partitions of the one topic.
    pub partitions: i32,
    /// Batches that each producer sends in one incarnation, if nothing stops it.
    pub batches: u32,
    /// Incarnations that end in a power cut.
    pub cuts: u32,
    /// Longest value in bytes; larger ones go straight to segments.
    pub value_bytes_max: usize,
    /// What goes wrong besides.
    pub trouble: Trouble,
    /// The power is cut at one of the first so many mutations of the disk.
    pub mutations_max: u64,
    /// Whether the broker is stopped cleanly when the clients are done.
    pub stops: bool,
    /// Whether records have timestamps. Without, they are of the year 1970, and old.
    pub timestamps: bool,
    /// The rule that is broken on purpose.
    pub rule: Rule,
}

/// What goes wrong besides the power.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// Nothing.
    None,
    /// The disk stops now and then.
    SlowDisk,
    /// One shard stops now and then.
    SlowShard,
    /// Now and then an operation on the disk fails.
    Errors,
    /// The disk is full after a while.
    Full,
    /// The process dies in place of the power: what was written survives.
    Kill,
}

impl Trouble {
    /// Whether requests may fail without anybody being to blame.
    #[must_use]
    pub fn may_fail(self) -> bool {
        matches!(self, Trouble::Errors | Trouble::Full)
    }
}

impl Plan {
    /// The plan of CI for `seed`: two shards, a few clients, cuts at random mutations. Every
    /// eighth is long enough that journals recycle their files.
    #[must_use]
    pub fn of_seed(seed: u64) -> Plan {
        let mut random = Random(seed ^ 0x5DEE_CE66_D1CE_4E5B);
        let plan = Plan {
            seed,
            shards: 2,
            producers: 3,
            partitions: 3,
            batches: 12,
            cuts: 2,
            value_bytes_max: if random.below(4) == 0 { 200 << 10 } else { 600 },
            trouble: match random.below(10) {
                0 => Trouble::SlowDisk,
                1 => Trouble::SlowShard,
                2 => Trouble::Errors,
                3 => Trouble::Full,
                4 => Trouble::Kill,
                _ => Trouble::None,
            },
            mutations_max: 400,
            stops: random.below(4) == 0,
            timestamps: random.below(8) != 0,
            rule: Rule::None,
        };
        if random.below(8) == 0 { plan.long() } else { plan }
    }

    /// Many small batches: journals fill their files and use them again.
    #[must_use]
    pub fn long(self) -> Plan {
        Plan { batches: 120, value_bytes_max: 600, mutations_max: 3_000, ..self }
    }

    /// Nothing goes wrong but the power, and what `rule` says.
    #[must_use]
    pub fn breaking(self, rule: Rule) -> Plan {
        Plan { trouble: Trouble::None, rule, ..self }
    }
}
