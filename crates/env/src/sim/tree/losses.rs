//! Counts of what a power cut took.

/// What a power cut did to changes that no flush covered, counted: for a test that wants to know
/// that its runs met what they claim to survive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Losses {
    /// Writes of which nothing is left.
    pub writes: u64,
    /// Writes of which some sectors of 512 bytes are left and others are not.
    pub torn_writes: u64,
    /// Writes of which something is left though an earlier one to the same file is lost.
    pub overtaken_writes: u64,
    /// Files that do not have the length that the process saw.
    pub lengths: u64,
    /// Creations, renames and removals that are undone.
    pub names: u64,
}

impl Losses {
    /// Both together.
    #[must_use]
    pub fn and(self, other: Losses) -> Losses {
        Losses {
            writes: self.writes + other.writes,
            torn_writes: self.torn_writes + other.torn_writes,
            overtaken_writes: self.overtaken_writes + other.overtaken_writes,
            lengths: self.lengths + other.lengths,
            names: self.names + other.names,
        }
    }
}
