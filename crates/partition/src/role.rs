//! What this node is for one partition.

use std::collections::BTreeSet;

use record::{LeaderEpoch, Offset};

/// The role that metadata gave this node for one partition. A role is taken with an epoch and
/// left with the next one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Role {
    /// It appends, under `epoch`.
    Leader(Leadership),
    /// It appends what the leader of `epoch` sends, as it is.
    Follower {
        /// Epoch of the leader that it follows.
        epoch: LeaderEpoch,
    },
    /// It has no role: nothing is appended and nothing is served.
    Offline,
}

/// A leader's standing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leadership {
    /// The epoch under which it leads.
    pub epoch: LeaderEpoch,
    /// The log end when it began to lead.
    pub epoch_start: Offset,
    /// This node's id.
    pub node: i32,
    /// Nodes that hold every committed record, this one among them.
    pub in_sync: BTreeSet<i32>,
}

impl Role {
    /// The leadership, if this node leads.
    #[must_use]
    pub fn leadership(&self) -> Option<&Leadership> {
        match self {
            Role::Leader(leadership) => Some(leadership),
            Role::Follower { .. } | Role::Offline => None,
        }
    }

    /// The epoch of the role.
    #[must_use]
    pub fn epoch(&self) -> Option<LeaderEpoch> {
        match self {
            Role::Leader(leadership) => Some(leadership.epoch),
            Role::Follower { epoch } => Some(*epoch),
            Role::Offline => None,
        }
    }
}

impl Leadership {
    /// The high watermark: the smallest end among the nodes in sync. `own` is how far this node
    /// counts itself; the others are known by `end_of`, `None` while they have not fetched.
    #[must_use]
    pub fn high_watermark(
        &self,
        own: Offset,
        end_of: impl Fn(i32) -> Option<Offset>,
        now: Offset,
    ) -> Offset {
        let mut lowest = own;
        for node in self.in_sync.iter().filter(|node| **node != self.node) {
            lowest = lowest.min(end_of(*node).unwrap_or(now));
        }
        // It never moves back under one leadership.
        lowest.max(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(raw: i64) -> Offset {
        Offset::new(raw).unwrap()
    }

    fn leader(in_sync: &[i32]) -> Leadership {
        Leadership {
            epoch: LeaderEpoch::ZERO,
            epoch_start: at(0),
            node: 1,
            in_sync: in_sync.iter().copied().collect(),
        }
    }

    #[test]
    fn alone_in_sync_it_commits_what_it_has() {
        assert_eq!(leader(&[1]).high_watermark(at(7), |_| None, at(3)), at(7));
    }

    #[test]
    fn the_slowest_in_sync_decides_and_the_silent_hold_it() {
        let end_of = |node| if node == 2 { Some(at(5)) } else { None };
        assert_eq!(leader(&[1, 2]).high_watermark(at(7), end_of, at(3)), at(5));
        assert_eq!(leader(&[1, 2, 3]).high_watermark(at(7), end_of, at(3)), at(3));
        assert_eq!(leader(&[1, 2]).high_watermark(at(7), end_of, at(6)), at(6));
    }
}
