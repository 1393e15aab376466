//! The executor of a shard: tasks in groups, nested in one task of the driver.

mod core;
mod ring_map;
mod root;
mod task;
mod turn;
mod yields;

pub use self::core::Counters;
pub(crate) use self::core::{Core, Station};
pub(crate) use ring_map::RingMap;
pub(crate) use root::{Bells, Root};
pub(crate) use task::{Meta, running_here};
pub(crate) use yields::YieldIfNeeded;
