//! The decisions of the controller: from an image and a request to records and answers.
//!
//! Each function is pure. It changes nothing; whoever appends the records of a [`Decision`] and
//! folds them makes it so. All of a decision's records belong into one batch or one metadata
//! transaction ([`crate::log::batches`] sees to that), and decisions must be taken one after the
//! other, each on the image that holds the records of the one before.
//!
//! Not here: authorization, error codes, and the answer's shape on the wire.

mod alter;
mod create_partitions;
mod create_topics;
mod delete_topics;
mod names;
mod placement;
mod producer_ids;
mod start;

pub use alter::{AlterOp, AlterRequest, AlterWhy, alter_configs, incremental_alter_configs};
pub use create_partitions::{CreatePartitionsWhy, MorePartitions, create_partitions};
pub use create_topics::{CreateTopicWhy, CreatedTopic, NewTopic, create_topics};
pub use delete_topics::{DeleteTopicWhy, DeletedTopic, TopicKey, delete_topics};
pub use names::{NameWhy, check_topic_name};
pub use placement::PlacementWhy;
pub use producer_ids::{
    PRODUCER_IDS_PER_BLOCK, ProducerIdBlock, ProducerIdsWhy, allocate_producer_ids,
};
pub use start::{
    BrokerWhy, Registration, Start, bootstrap, elect_at_start, fence_broker, register_broker,
    supported_features, unfence_broker,
};

use crate::records::Record;

/// Records to append, and one outcome for each thing that was asked for, in its order.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision<T> {
    /// What to append, together. Empty when nothing changes.
    pub records: Vec<Record>,
    /// What to answer.
    pub outcomes: Vec<T>,
}

impl<T> Decision<T> {
    fn new() -> Decision<T> {
        Decision { records: Vec::new(), outcomes: Vec::new() }
    }
}

/// Most partitions that one topic of one request may create, and most records of one request:
/// a larger request is refused, like Kafka's controller does.
pub const RECORDS_PER_REQUEST_MAX: usize = 10_000;

/// Names that occur more than once.
fn repeated<'a, T: Ord + 'a>(
    items: impl Iterator<Item = &'a T>,
) -> std::collections::BTreeSet<&'a T> {
    let mut seen = std::collections::BTreeSet::new();
    items.filter(|item| !seen.insert(*item)).collect()
}

#[cfg(test)]
mod tests;
