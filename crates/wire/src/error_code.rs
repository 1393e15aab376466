//! Kafka's error codes: numbers, names, and a sentence for each.
//!
//! Which failure becomes which code is the broker's to decide.

/// Defines [`ErrorCode`] and its tables in one place.
macro_rules! codes {
    ($($name:ident = $code:literal, $kafka:literal, $kind:ident, $message:literal;)*) => {
        /// An error code of Kafka's protocol, -1 to 133.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(i16)]
        pub enum ErrorCode {
            $(
                #[doc = concat!("`", $kafka, "`: ", $message, ".")]
                $name = $code,
            )*
        }

        impl ErrorCode {
            /// Every code, by number.
            pub const ALL: &[ErrorCode] = &[$(ErrorCode::$name,)*];

            /// The code of this number, if Kafka 4.3 has one.
            #[must_use]
            pub const fn from_code(code: i16) -> Option<ErrorCode> {
                match code {
                    $($code => Some(ErrorCode::$name),)*
                    _ => None,
                }
            }

            /// Kafka's name for it.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(ErrorCode::$name => $kafka,)*
                }
            }

            /// A sentence for people, without a capital and a full stop.
            #[must_use]
            pub const fn message(self) -> &'static str {
                match self {
                    $(ErrorCode::$name => $message,)*
                }
            }

            /// Whether clients try again by themselves.
            #[must_use]
            pub const fn is_retriable(self) -> bool {
                match self {
                    $(ErrorCode::$name => codes!(@ $kind),)*
                }
            }
        }
    };
    (@ retriable) => { true };
    (@ final) => { false };
}

codes! {
    UnknownServerError = -1, "UNKNOWN_SERVER_ERROR", final, "the broker failed in a way that it did not foresee";
    None = 0, "NONE", final, "no error";
    OffsetOutOfRange = 1, "OFFSET_OUT_OF_RANGE", final, "the offset is outside the log";
    CorruptMessage = 2, "CORRUPT_MESSAGE", retriable, "the records are damaged or do not match their checksum";
    UnknownTopicOrPartition = 3, "UNKNOWN_TOPIC_OR_PARTITION", retriable, "this broker knows no such topic or partition";
    InvalidFetchSize = 4, "INVALID_FETCH_SIZE", final, "the fetch size is not valid";
    LeaderNotAvailable = 5, "LEADER_NOT_AVAILABLE", retriable, "the partition has no leader at the moment";
    NotLeaderOrFollower = 6, "NOT_LEADER_OR_FOLLOWER", retriable, "this broker does not lead the partition";
    RequestTimedOut = 7, "REQUEST_TIMED_OUT", retriable, "the request took longer than it allowed";
    BrokerNotAvailable = 8, "BROKER_NOT_AVAILABLE", final, "the broker is not available";
    ReplicaNotAvailable = 9, "REPLICA_NOT_AVAILABLE", retriable, "the replica is not available";
    MessageTooLarge = 10, "MESSAGE_TOO_LARGE", final, "the batch is larger than the topic accepts";
    StaleControllerEpoch = 11, "STALE_CONTROLLER_EPOCH", retriable, "the controller's epoch is out of date";
    OffsetMetadataTooLarge = 12, "OFFSET_METADATA_TOO_LARGE", final, "the metadata committed with the offset is too long";
    NetworkException = 13, "NETWORK_EXCEPTION", retriable, "the connection was lost before an answer came";
    CoordinatorLoadInProgress = 14, "COORDINATOR_LOAD_IN_PROGRESS", retriable, "the coordinator is still loading its state";
    CoordinatorNotAvailable = 15, "COORDINATOR_NOT_AVAILABLE", retriable, "the coordinator is not available";
    NotCoordinator = 16, "NOT_COORDINATOR", retriable, "this broker is not the coordinator";
    InvalidTopicException = 17, "INVALID_TOPIC_EXCEPTION", final, "the topic's name is not valid, or the topic may not be used so";
    RecordListTooLarge = 18, "RECORD_LIST_TOO_LARGE", final, "the records are larger than a segment may be";
    NotEnoughReplicas = 19, "NOT_ENOUGH_REPLICAS", retriable, "fewer replicas are in sync than the topic demands";
    NotEnoughReplicasAfterAppend = 20, "NOT_ENOUGH_REPLICAS_AFTER_APPEND", retriable, "appended, but fewer replicas are in sync than the topic demands";
    InvalidRequiredAcks = 21, "INVALID_REQUIRED_ACKS", final, "the number of required acknowledgements is not valid";
    IllegalGeneration = 22, "ILLEGAL_GENERATION", final, "the group's generation is not the current one";
    InconsistentGroupProtocol = 23, "INCONSISTENT_GROUP_PROTOCOL", final, "the group protocol does not fit the group's members";
    InvalidGroupId = 24, "INVALID_GROUP_ID", final, "the group id is not valid";
    UnknownMemberId = 25, "UNKNOWN_MEMBER_ID", final, "the group has no such member";
    InvalidSessionTimeout = 26, "INVALID_SESSION_TIMEOUT", final, "the session timeout is outside the allowed range";
    RebalanceInProgress = 27, "REBALANCE_IN_PROGRESS", retriable, "the group is rebalancing";
    InvalidCommitOffsetSize = 28, "INVALID_COMMIT_OFFSET_SIZE", final, "the offset commit is too large";
    TopicAuthorizationFailed = 29, "TOPIC_AUTHORIZATION_FAILED", final, "access to the topic is denied";
    GroupAuthorizationFailed = 30, "GROUP_AUTHORIZATION_FAILED", final, "access to the group is denied";
    ClusterAuthorizationFailed = 31, "CLUSTER_AUTHORIZATION_FAILED", final, "access to the cluster is denied";
    InvalidTimestamp = 32, "INVALID_TIMESTAMP", final, "a record's timestamp is outside the allowed range";
    UnsupportedSaslMechanism = 33, "UNSUPPORTED_SASL_MECHANISM", final, "the SASL mechanism is not offered";
    IllegalSaslState = 34, "ILLEGAL_SASL_STATE", final, "the request does not fit the state of authentication";
    UnsupportedVersion = 35, "UNSUPPORTED_VERSION", final, "the version of the request is not served";
    TopicAlreadyExists = 36, "TOPIC_ALREADY_EXISTS", final, "a topic of this name exists";
    InvalidPartitions = 37, "INVALID_PARTITIONS", final, "the number of partitions is not valid";
    InvalidReplicationFactor = 38, "INVALID_REPLICATION_FACTOR", final, "the replication factor is not valid";
    InvalidReplicaAssignment = 39, "INVALID_REPLICA_ASSIGNMENT", final, "the assignment of replicas is not valid";
    InvalidConfig = 40, "INVALID_CONFIG", final, "a configuration is not valid";
    NotController = 41, "NOT_CONTROLLER", retriable, "this broker is not the controller";
    InvalidRequest = 42, "INVALID_REQUEST", final, "the request is not valid";
    UnsupportedForMessageFormat = 43, "UNSUPPORTED_FOR_MESSAGE_FORMAT", final, "the message format on disk does not allow this";
    PolicyViolation = 44, "POLICY_VIOLATION", final, "a policy of the broker forbids this";
    OutOfOrderSequenceNumber = 45, "OUT_OF_ORDER_SEQUENCE_NUMBER", final, "the sequence number does not follow the producer's last one";
    DuplicateSequenceNumber = 46, "DUPLICATE_SEQUENCE_NUMBER", final, "the sequence number was used before";
    InvalidProducerEpoch = 47, "INVALID_PRODUCER_EPOCH", final, "the producer's epoch is older than the current one";
    InvalidTxnState = 48, "INVALID_TXN_STATE", final, "the transaction's state does not allow this";
    InvalidProducerIdMapping = 49, "INVALID_PRODUCER_ID_MAPPING", final, "the producer id does not belong to the transactional id";
    InvalidTransactionTimeout = 50, "INVALID_TRANSACTION_TIMEOUT", final, "the transaction timeout is longer than the broker allows";
    ConcurrentTransactions = 51, "CONCURRENT_TRANSACTIONS", final, "another operation of the same transaction is not finished";
    TransactionCoordinatorFenced = 52, "TRANSACTION_COORDINATOR_FENCED", final, "the transaction coordinator was replaced";
    TransactionalIdAuthorizationFailed = 53, "TRANSACTIONAL_ID_AUTHORIZATION_FAILED", final, "access to the transactional id is denied";
    SecurityDisabled = 54, "SECURITY_DISABLED", final, "security features are switched off";
    OperationNotAttempted = 55, "OPERATION_NOT_ATTEMPTED", final, "not attempted, because another part of the request failed";
    KafkaStorageError = 56, "KAFKA_STORAGE_ERROR", final, "the log directory failed";
    LogDirNotFound = 57, "LOG_DIR_NOT_FOUND", final, "there is no such log directory";
    SaslAuthenticationFailed = 58, "SASL_AUTHENTICATION_FAILED", final, "authentication failed";
    UnknownProducerId = 59, "UNKNOWN_PRODUCER_ID", final, "the producer id is not known here";
    ReassignmentInProgress = 60, "REASSIGNMENT_IN_PROGRESS", final, "the partition is being reassigned";
    DelegationTokenAuthDisabled = 61, "DELEGATION_TOKEN_AUTH_DISABLED", final, "delegation tokens are switched off";
    DelegationTokenNotFound = 62, "DELEGATION_TOKEN_NOT_FOUND", final, "there is no such delegation token";
    DelegationTokenOwnerMismatch = 63, "DELEGATION_TOKEN_OWNER_MISMATCH", final, "the token belongs to somebody else";
    DelegationTokenRequestNotAllowed = 64, "DELEGATION_TOKEN_REQUEST_NOT_ALLOWED", final, "delegation tokens may not be requested over this connection";
    DelegationTokenAuthorizationFailed = 65, "DELEGATION_TOKEN_AUTHORIZATION_FAILED", final, "access to the delegation token is denied";
    DelegationTokenExpired = 66, "DELEGATION_TOKEN_EXPIRED", final, "the delegation token has expired";
    InvalidPrincipalType = 67, "INVALID_PRINCIPAL_TYPE", final, "the type of principal is not supported";
    NonEmptyGroup = 68, "NON_EMPTY_GROUP", final, "the group is not empty";
    GroupIdNotFound = 69, "GROUP_ID_NOT_FOUND", final, "there is no such group";
    FetchSessionIdNotFound = 70, "FETCH_SESSION_ID_NOT_FOUND", retriable, "there is no such fetch session";
    InvalidFetchSessionEpoch = 71, "INVALID_FETCH_SESSION_EPOCH", retriable, "the epoch of the fetch session is not the expected one";
    ListenerNotFound = 72, "LISTENER_NOT_FOUND", final, "the leader has no listener of the name that was asked on";
    TopicDeletionDisabled = 73, "TOPIC_DELETION_DISABLED", final, "topics may not be deleted here";
    FencedLeaderEpoch = 74, "FENCED_LEADER_EPOCH", final, "the leader epoch is older than the broker's";
    UnknownLeaderEpoch = 75, "UNKNOWN_LEADER_EPOCH", final, "the leader epoch is newer than the broker's";
    UnsupportedCompressionType = 76, "UNSUPPORTED_COMPRESSION_TYPE", final, "the client cannot read this compression";
    StaleBrokerEpoch = 77, "STALE_BROKER_EPOCH", final, "the broker's epoch changed";
    OffsetNotAvailable = 78, "OFFSET_NOT_AVAILABLE", retriable, "the new leader does not know its high watermark yet";
    MemberIdRequired = 79, "MEMBER_ID_REQUIRED", final, "join again with the member id given";
    PreferredLeaderNotAvailable = 80, "PREFERRED_LEADER_NOT_AVAILABLE", retriable, "the preferred leader is not available";
    GroupMaxSizeReached = 81, "GROUP_MAX_SIZE_REACHED", final, "the group has as many members as it may have";
    FencedInstanceId = 82, "FENCED_INSTANCE_ID", final, "another member took the instance id";
    EligibleLeadersNotAvailable = 83, "ELIGIBLE_LEADERS_NOT_AVAILABLE", retriable, "no eligible leader is available";
    ElectionNotNeeded = 84, "ELECTION_NOT_NEEDED", retriable, "the partition has the right leader";
    NoReassignmentInProgress = 85, "NO_REASSIGNMENT_IN_PROGRESS", retriable, "the partition is not being reassigned";
    GroupSubscribedToTopic = 86, "GROUP_SUBSCRIBED_TO_TOPIC", final, "the group is subscribed to the topic";
    InvalidRecord = 87, "INVALID_RECORD", final, "a record broke a rule of its topic";
    UnstableOffsetCommit = 88, "UNSTABLE_OFFSET_COMMIT", retriable, "offsets of an open transaction have to be settled first";
    ThrottlingQuotaExceeded = 89, "THROTTLING_QUOTA_EXCEEDED", retriable, "a quota was exceeded";
    ProducerFenced = 90, "PRODUCER_FENCED", final, "a newer producer took the transactional id";
    ResourceNotFound = 91, "RESOURCE_NOT_FOUND", final, "there is no such resource";
    DuplicateResource = 92, "DUPLICATE_RESOURCE", final, "the resource exists twice, or exists already";
    UnacceptableCredential = 93, "UNACCEPTABLE_CREDENTIAL", final, "the credential does not meet the rules";
    InconsistentVoterSet = 94, "INCONSISTENT_VOTER_SET", final, "sender and receiver disagree about the set of voters";
    InvalidUpdateVersion = 95, "INVALID_UPDATE_VERSION", final, "the update version is not valid";
    FeatureUpdateFailed = 96, "FEATURE_UPDATE_FAILED", final, "a feature could not be updated";
    PrincipalDeserializationFailure = 97, "PRINCIPAL_DESERIALIZATION_FAILURE", final, "the forwarded principal could not be read";
    SnapshotNotFound = 98, "SNAPSHOT_NOT_FOUND", final, "there is no such snapshot";
    PositionOutOfRange = 99, "POSITION_OUT_OF_RANGE", final, "the position is outside the snapshot";
    UnknownTopicId = 100, "UNKNOWN_TOPIC_ID", retriable, "this broker knows no topic of this id";
    DuplicateBrokerRegistration = 101, "DUPLICATE_BROKER_REGISTRATION", final, "a broker of this id is registered";
    BrokerIdNotRegistered = 102, "BROKER_ID_NOT_REGISTERED", final, "no broker of this id is registered";
    InconsistentTopicId = 103, "INCONSISTENT_TOPIC_ID", final, "the topic's id is not the one that the log has";
    InconsistentClusterId = 104, "INCONSISTENT_CLUSTER_ID", final, "the cluster's id is another one";
    TransactionalIdNotFound = 105, "TRANSACTIONAL_ID_NOT_FOUND", final, "the transactional id is not known";
    FetchSessionTopicIdError = 106, "FETCH_SESSION_TOPIC_ID_ERROR", retriable, "the topic ids of a fetch session are inconsistent";
    IneligibleReplica = 107, "INELIGIBLE_REPLICA", final, "the replica may not join the in-sync set";
    NewLeaderElected = 108, "NEW_LEADER_ELECTED", retriable, "the update elected another leader";
    OffsetMovedToTieredStorage = 109, "OFFSET_MOVED_TO_TIERED_STORAGE", retriable, "the offset lies in remote storage";
    FencedMemberEpoch = 110, "FENCED_MEMBER_EPOCH", retriable, "the member's epoch is not the current one";
    UnreleasedInstanceId = 111, "UNRELEASED_INSTANCE_ID", retriable, "the instance id is held by a member that is still there";
    UnsupportedAssignor = 112, "UNSUPPORTED_ASSIGNOR", final, "none of the offered assignors is supported";
    StaleMemberEpoch = 113, "STALE_MEMBER_EPOCH", retriable, "the member's epoch is out of date";
    MismatchedEndpointType = 114, "MISMATCHED_ENDPOINT_TYPE", final, "the request came to the wrong kind of listener";
    UnsupportedEndpointType = 115, "UNSUPPORTED_ENDPOINT_TYPE", final, "the kind of endpoint is not supported";
    UnknownControllerId = 116, "UNKNOWN_CONTROLLER_ID", final, "the controller id is not known";
    UnknownSubscriptionId = 117, "UNKNOWN_SUBSCRIPTION_ID", final, "the metrics subscription changed";
    TelemetryTooLarge = 118, "TELEMETRY_TOO_LARGE", final, "the metrics are larger than allowed";
    InvalidRegistration = 119, "INVALID_REGISTRATION", final, "the broker's registration is not valid";
    TransactionAbortable = 120, "TRANSACTION_ABORTABLE", final, "the transaction has to be aborted";
    InvalidRecordState = 121, "INVALID_RECORD_STATE", final, "the record's state does not allow this acknowledgement";
    ShareSessionNotFound = 122, "SHARE_SESSION_NOT_FOUND", retriable, "there is no such share session";
    InvalidShareSessionEpoch = 123, "INVALID_SHARE_SESSION_EPOCH", retriable, "the epoch of the share session is not the expected one";
    FencedStateEpoch = 124, "FENCED_STATE_EPOCH", final, "the share coordinator's state epoch is newer";
    InvalidVoterKey = 125, "INVALID_VOTER_KEY", final, "the voter's key is not its recorded one";
    DuplicateVoter = 126, "DUPLICATE_VOTER", final, "the voter is in the set already";
    VoterNotFound = 127, "VOTER_NOT_FOUND", final, "the voter is not in the set";
    InvalidRegularExpression = 128, "INVALID_REGULAR_EXPRESSION", final, "the regular expression is not valid";
    RebootstrapRequired = 129, "REBOOTSTRAP_REQUIRED", retriable, "the client has to start again from its bootstrap servers";
    StreamsInvalidTopology = 130, "STREAMS_INVALID_TOPOLOGY", final, "the streams topology is not valid";
    StreamsInvalidTopologyEpoch = 131, "STREAMS_INVALID_TOPOLOGY_EPOCH", final, "the epoch of the streams topology is not valid";
    StreamsTopologyFenced = 132, "STREAMS_TOPOLOGY_FENCED", final, "the streams topology is older than the group's";
    ShareSessionLimitReached = 133, "SHARE_SESSION_LIMIT_REACHED", final, "as many share sessions are open as may be";
}

impl ErrorCode {
    /// The number on the wire.
    #[must_use]
    pub const fn code(self) -> i16 {
        self as i16
    }

    /// Whether it says that something failed.
    #[must_use]
    pub const fn is_error(self) -> bool {
        !matches!(self, ErrorCode::None)
    }
}

impl std::fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({})", self.name(), self.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_codes_are_minus_one_to_133_without_a_gap() {
        let codes: Vec<i16> = ErrorCode::ALL.iter().map(|error| error.code()).collect();
        assert_eq!(codes, (-1..=133).collect::<Vec<i16>>());
        for code in i16::MIN..=i16::MAX {
            let known = ErrorCode::from_code(code);
            assert_eq!(known.map(ErrorCode::code), (-1..=133).contains(&code).then_some(code));
        }
    }

    #[test]
    fn numbers_and_retries_agree_with_the_generated_table() {
        use kacrab_protocol::generated::ErrorCode as Generated;
        for error in ErrorCode::ALL {
            let generated = Generated::from(error.code());
            assert_eq!(format!("{error:?}"), format!("{generated:?}"));
            assert_eq!(error.is_retriable(), generated.is_retriable(), "{error}");
            assert_eq!(error.is_error(), generated.is_error(), "{error}");
        }
    }

    #[test]
    fn names_are_kafkas() {
        assert_eq!(ErrorCode::UnsupportedVersion.to_string(), "UNSUPPORTED_VERSION (35)");
        assert_eq!(ErrorCode::InvalidTopicException.name(), "INVALID_TOPIC_EXCEPTION");
        assert_eq!(ErrorCode::KafkaStorageError.name(), "KAFKA_STORAGE_ERROR");
    }
}
