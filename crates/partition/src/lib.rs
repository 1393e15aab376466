#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod append;
mod beside;
mod commit;
mod committed;
mod lifecycle;
mod open;
mod partition;
mod rebuild;

pub mod epochs;
pub mod producers;
pub mod progress;
pub mod retention;
pub mod role;
pub mod snapshot;
pub mod transactions;

pub use append::{AppendRefusal, MarkerError, Placed};
pub use beside::{read_topic_id, write_topic_id};
pub use commit::{CheckpointError, Committer, Counts};
pub use committed::CommittedRead;
pub use lifecycle::{DeleteRecordsError, RetainError};
pub use open::{OpenOptions, PartitionOpenError, Recovered};
pub use partition::{
    AckError, AckRule, AckWait, Bounds, FetchError, Isolation, Partition, ReadBudget, Trouble,
};
pub use progress::Level;
