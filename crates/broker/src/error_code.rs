//! From what went wrong to the Kafka error code that says it: the only place that maps.
//!
//! Every `match` is exhaustive on purpose: a new way to fail does not compile until somebody decided what
//! a client is told. Sources: the order and codes of Kafka's `LogValidator`, `UnifiedLog`, `ProducerAppendInfo`.

use metadata::controller::{AlterWhy, CreatePartitionsWhy, CreateTopicWhy, DeleteTopicWhy};
use partition::producers::SequenceRefusal;
use partition::{AppendRefusal, DeleteRecordsError, FetchError};
use record::Refusal;
use segment::ReadError;
use wire::ErrorCode;

use crate::message::ProduceFailure;

/// A batch that validation refused.
pub(crate) fn of_refusal(refusal: &Refusal) -> ErrorCode {
    match refusal {
        Refusal::NoBatch
        | Refusal::OldMagic { .. }
        | Refusal::ManyBatches
        | Refusal::BaseOffset { .. }
        | Refusal::Count { .. }
        | Refusal::Control
        | Refusal::NoSequence { .. }
        | Refusal::Malformed(_)
        | Refusal::NullKey(_) => ErrorCode::InvalidRecord,
        Refusal::Length { .. } | Refusal::UnknownMagic { .. } | Refusal::Crc => {
            ErrorCode::CorruptMessage
        }
        Refusal::ZstdNotAllowed => ErrorCode::UnsupportedCompressionType,
        Refusal::TooLarge { .. } => ErrorCode::MessageTooLarge,
        Refusal::UnknownCodec { .. } | Refusal::Decompress(_) => ErrorCode::UnknownServerError,
        Refusal::InvalidTimestamp(_) => ErrorCode::InvalidTimestamp,
    }
}

/// The records of a refused batch that are to blame, with what is wrong.
pub(crate) fn record_errors(refusal: &Refusal) -> Vec<(i32, String)> {
    match refusal {
        Refusal::InvalidTimestamp(errors) | Refusal::NullKey(errors) => {
            errors.first.iter().map(|error| (error.index, error.flaw.to_string())).collect()
        }
        _ => Vec::new(),
    }
}

/// A batch that the partition refused.
pub(crate) fn of_append(refusal: &AppendRefusal) -> ProduceFailure {
    let code = match refusal {
        AppendRefusal::NotLeader => ErrorCode::NotLeaderOrFollower,
        AppendRefusal::Sequence(SequenceRefusal::OldEpoch { .. }) => {
            ErrorCode::InvalidProducerEpoch
        }
        AppendRefusal::Sequence(SequenceRefusal::OutOfOrder { .. }) => {
            ErrorCode::OutOfOrderSequenceNumber
        }
        AppendRefusal::Sequence(SequenceRefusal::TransactionOpen { .. }) => {
            ErrorCode::InvalidTxnState
        }
        // Retriable: one of them ends.
        AppendRefusal::Sequence(SequenceRefusal::TooManyTransactions { .. }) => {
            ErrorCode::RequestTimedOut
        }
        AppendRefusal::LargerThanSegment { .. } => ErrorCode::RecordListTooLarge,
        // Retriable: by then memory is free again.
        AppendRefusal::OverBudget => ErrorCode::RequestTimedOut,
        AppendRefusal::Storage(_) => ErrorCode::KafkaStorageError,
        AppendRefusal::Discontinuous { .. } | AppendRefusal::Corrupt => {
            ErrorCode::UnknownServerError
        }
    };
    ProduceFailure { code, message: Some(refusal.to_string()) }
}

/// A read that failed.
pub(crate) fn of_fetch(error: &FetchError) -> ErrorCode {
    match error {
        FetchError::OutOfRange | FetchError::Read(ReadError::OutOfRange { .. }) => {
            ErrorCode::OffsetOutOfRange
        }
        FetchError::NotLeader => ErrorCode::NotLeaderOrFollower,
        FetchError::Read(ReadError::OverBudget(_)) => ErrorCode::RequestTimedOut,
        FetchError::Read(ReadError::Io(_) | ReadError::Corrupt(_)) => ErrorCode::KafkaStorageError,
    }
}

/// Records that could not be deleted.
pub(crate) fn of_delete_records(error: &DeleteRecordsError) -> ErrorCode {
    match error {
        DeleteRecordsError::OutOfRange => ErrorCode::OffsetOutOfRange,
        DeleteRecordsError::NotLeader => ErrorCode::NotLeaderOrFollower,
        DeleteRecordsError::Journal(_) => ErrorCode::KafkaStorageError,
    }
}

/// A topic that was not created.
pub(crate) fn of_create_topic(why: &CreateTopicWhy) -> ErrorCode {
    match why {
        CreateTopicWhy::Repeated
        | CreateTopicWhy::AssignmentAndPartitions
        | CreateTopicWhy::AssignmentAndFactor => ErrorCode::InvalidRequest,
        CreateTopicWhy::Name(_) | CreateTopicWhy::Reserved => ErrorCode::InvalidTopicException,
        CreateTopicWhy::Exists { .. } => ErrorCode::TopicAlreadyExists,
        CreateTopicWhy::PartitionsNotPositive { .. } => ErrorCode::InvalidPartitions,
        CreateTopicWhy::TooLarge => ErrorCode::PolicyViolation,
        CreateTopicWhy::Factor(_) => ErrorCode::InvalidReplicationFactor,
        CreateTopicWhy::Assignment(_) => ErrorCode::InvalidReplicaAssignment,
        CreateTopicWhy::NoValue { .. } | CreateTopicWhy::Config(_) => ErrorCode::InvalidConfig,
    }
}

/// Partitions that were not added.
pub(crate) fn of_create_partitions(why: &CreatePartitionsWhy) -> ErrorCode {
    match why {
        CreatePartitionsWhy::Repeated => ErrorCode::InvalidRequest,
        CreatePartitionsWhy::UnknownTopic { .. } => ErrorCode::UnknownTopicOrPartition,
        CreatePartitionsWhy::SameCount { .. } | CreatePartitionsWhy::Fewer { .. } => {
            ErrorCode::InvalidPartitions
        }
        CreatePartitionsWhy::TooLarge => ErrorCode::PolicyViolation,
        CreatePartitionsWhy::AssignmentCount { .. } | CreatePartitionsWhy::Assignment(_) => {
            ErrorCode::InvalidReplicaAssignment
        }
        CreatePartitionsWhy::Factor(_) => ErrorCode::InvalidReplicationFactor,
    }
}

/// A topic that was not deleted.
pub(crate) fn of_delete_topic(why: &DeleteTopicWhy) -> ErrorCode {
    match why {
        DeleteTopicWhy::Repeated => ErrorCode::InvalidRequest,
        DeleteTopicWhy::UnknownName { .. } => ErrorCode::UnknownTopicOrPartition,
        DeleteTopicWhy::UnknownId { .. } => ErrorCode::UnknownTopicId,
    }
}

/// Configurations that were not altered.
pub(crate) fn of_alter(why: &AlterWhy) -> ErrorCode {
    match why {
        AlterWhy::Repeated | AlterWhy::RepeatedConfig { .. } | AlterWhy::Kind { .. } => {
            ErrorCode::InvalidRequest
        }
        AlterWhy::UnknownTopic { .. } => ErrorCode::UnknownTopicOrPartition,
        AlterWhy::NotANode { .. } | AlterWhy::UnknownBroker { .. } => ErrorCode::InvalidRequest,
        AlterWhy::NoValue { .. } | AlterWhy::NotAList { .. } | AlterWhy::Config(_) => {
            ErrorCode::InvalidConfig
        }
    }
}
