//! The schema of each served request, in the order of its fields.
//!
//! From the request schemas of Apache Kafka 4.3. Only what has a place on the wire is here: sizes,
//! versions, and whether null is allowed.

use crate::api::ApiKey;
use crate::messages as m;
use crate::shape::{Field, Kind, NEVER, Struct, Tag};

/// The body of a request of this key.
pub(crate) const fn of(key: ApiKey) -> &'static Struct {
    match key {
        ApiKey::Produce => &PRODUCE,
        ApiKey::Fetch => &FETCH,
        ApiKey::ListOffsets => &LIST_OFFSETS,
        ApiKey::Metadata => &METADATA,
        ApiKey::ApiVersions => &API_VERSIONS,
        ApiKey::CreateTopics => &CREATE_TOPICS,
        ApiKey::DeleteTopics => &DELETE_TOPICS,
        ApiKey::DeleteRecords => &DELETE_RECORDS,
        ApiKey::InitProducerId => &INIT_PRODUCER_ID,
        ApiKey::OffsetForLeaderEpoch => &OFFSET_FOR_LEADER_EPOCH,
        ApiKey::DescribeConfigs => &DESCRIBE_CONFIGS,
        ApiKey::DescribeLogDirs => &DESCRIBE_LOG_DIRS,
        ApiKey::CreatePartitions => &CREATE_PARTITIONS,
        ApiKey::IncrementalAlterConfigs => &INCREMENTAL_ALTER_CONFIGS,
        ApiKey::ListPartitionReassignments => &LIST_PARTITION_REASSIGNMENTS,
        ApiKey::DescribeCluster => &DESCRIBE_CLUSTER,
        ApiKey::ListConfigResources => &LIST_CONFIG_RESOURCES,
        ApiKey::DescribeTopicPartitions => &DESCRIBE_TOPIC_PARTITIONS,
    }
}

const BOOL: Field = fixed(1);
const I8: Field = fixed(1);
const I16: Field = fixed(2);
const I32: Field = fixed(4);
const I64: Field = fixed(8);
const UUID: Field = fixed(16);
const TEXT: Field = any(Kind::Text { null_from: NEVER });
const NULLABLE_TEXT: Field = any(Kind::Text { null_from: 0 });
const I8S: Field = any(Kind::Fixeds(1));
const I32S: Field = any(Kind::Fixeds(4));

const fn any(kind: Kind) -> Field {
    Field { kind, from: 0, to: NEVER }
}

const fn fixed(bytes: usize) -> Field {
    any(Kind::Fixed(bytes))
}

const fn structs(of: &'static Struct) -> Field {
    any(Kind::Structs { of, null_from: NEVER })
}

const fn nullable_structs(of: &'static Struct) -> Field {
    any(Kind::Structs { of, null_from: 0 })
}

/// From this version.
const fn since(from: i16, field: Field) -> Field {
    Field { kind: field.kind, from, to: field.to }
}

/// Up to this version, inclusive.
const fn until(to: i16, field: Field) -> Field {
    Field { kind: field.kind, from: field.from, to }
}

/// A struct decoded as `T`.
const fn shape<T>(fields: &'static [Field]) -> Struct {
    Struct { size: size_of::<T>(), fields, tags: &[] }
}

static PRODUCE: Struct = shape::<m::ProduceRequestData>(&[
    NULLABLE_TEXT,
    I16,
    I32,
    structs(&shape::<m::produce_request::TopicProduceData>(&[
        until(12, TEXT),
        since(13, UUID),
        structs(&shape::<m::produce_request::PartitionProduceData>(&[I32, any(Kind::Opaque)])),
    ])),
]);

static FETCH: Struct = Struct {
    size: size_of::<m::FetchRequestData>(),
    fields: &[
        until(14, I32),
        I32,
        I32,
        I32,
        I8,
        since(7, I32),
        since(7, I32),
        structs(&shape::<m::fetch_request::FetchTopic>(&[
            until(12, TEXT),
            since(13, UUID),
            structs(&shape::<m::fetch_request::FetchPartition>(&[
                I32,
                since(9, I32),
                I64,
                since(12, I32),
                since(5, I64),
                I32,
            ])),
        ])),
        since(
            7,
            structs(&shape::<m::fetch_request::ForgottenTopic>(&[
                until(12, TEXT),
                since(13, UUID),
                I32S,
            ])),
        ),
        since(11, TEXT),
    ],
    tags: &[Tag { tag: 1, from: 15, of: &shape::<m::fetch_request::ReplicaState>(&[I32, I64]) }],
};

static LIST_OFFSETS: Struct = shape::<m::ListOffsetsRequestData>(&[
    I32,
    since(2, I8),
    structs(&shape::<m::list_offsets_request::ListOffsetsTopic>(&[
        TEXT,
        structs(&shape::<m::list_offsets_request::ListOffsetsPartition>(&[
            I32,
            since(4, I32),
            I64,
        ])),
    ])),
    since(10, I32),
]);

static METADATA: Struct = shape::<m::MetadataRequestData>(&[
    any(Kind::Structs {
        of: &shape::<m::metadata_request::MetadataRequestTopic>(&[
            since(10, UUID),
            any(Kind::Text { null_from: 10 }),
        ]),
        null_from: 1,
    }),
    since(4, BOOL),
    until(10, since(8, BOOL)),
    since(8, BOOL),
]);

static API_VERSIONS: Struct = shape::<m::ApiVersionsRequestData>(&[since(3, TEXT), since(3, TEXT)]);

static CREATE_TOPICS: Struct = shape::<m::CreateTopicsRequestData>(&[
    structs(&shape::<m::create_topics_request::CreatableTopic>(&[
        TEXT,
        I32,
        I16,
        structs(&shape::<m::create_topics_request::CreatableReplicaAssignment>(&[I32, I32S])),
        structs(&shape::<m::create_topics_request::CreatableTopicConfig>(&[TEXT, NULLABLE_TEXT])),
    ])),
    I32,
    BOOL,
]);

static DELETE_TOPICS: Struct = shape::<m::DeleteTopicsRequestData>(&[
    since(6, structs(&shape::<m::delete_topics_request::DeleteTopicState>(&[NULLABLE_TEXT, UUID]))),
    until(5, any(Kind::Texts { null_from: NEVER })),
    I32,
]);

static DELETE_RECORDS: Struct = shape::<m::DeleteRecordsRequestData>(&[
    structs(&shape::<m::delete_records_request::DeleteRecordsTopic>(&[
        TEXT,
        structs(&shape::<m::delete_records_request::DeleteRecordsPartition>(&[I32, I64])),
    ])),
    I32,
]);

static INIT_PRODUCER_ID: Struct =
    shape::<m::InitProducerIdRequestData>(&[NULLABLE_TEXT, I32, since(3, I64), since(3, I16)]);

static OFFSET_FOR_LEADER_EPOCH: Struct = shape::<m::OffsetForLeaderEpochRequestData>(&[
    since(3, I32),
    structs(&shape::<m::offset_for_leader_epoch_request::OffsetForLeaderTopic>(&[
        TEXT,
        structs(&shape::<m::offset_for_leader_epoch_request::OffsetForLeaderPartition>(&[
            I32, I32, I32,
        ])),
    ])),
]);

static DESCRIBE_CONFIGS: Struct = shape::<m::DescribeConfigsRequestData>(&[
    structs(&shape::<m::describe_configs_request::DescribeConfigsResource>(&[
        I8,
        TEXT,
        any(Kind::Texts { null_from: 0 }),
    ])),
    BOOL,
    since(3, BOOL),
]);

static DESCRIBE_LOG_DIRS: Struct =
    shape::<m::DescribeLogDirsRequestData>(&[nullable_structs(&shape::<
        m::describe_log_dirs_request::DescribableLogDirTopic,
    >(&[TEXT, I32S]))]);

static CREATE_PARTITIONS: Struct = shape::<m::CreatePartitionsRequestData>(&[
    structs(&shape::<m::create_partitions_request::CreatePartitionsTopic>(&[
        TEXT,
        I32,
        nullable_structs(&shape::<m::create_partitions_request::CreatePartitionsAssignment>(&[
            I32S,
        ])),
    ])),
    I32,
    BOOL,
]);

static INCREMENTAL_ALTER_CONFIGS: Struct = shape::<m::IncrementalAlterConfigsRequestData>(&[
    structs(&shape::<m::incremental_alter_configs_request::AlterConfigsResource>(&[
        I8,
        TEXT,
        structs(&shape::<m::incremental_alter_configs_request::AlterableConfig>(&[
            TEXT,
            I8,
            NULLABLE_TEXT,
        ])),
    ])),
    BOOL,
]);

static LIST_PARTITION_REASSIGNMENTS: Struct = shape::<m::ListPartitionReassignmentsRequestData>(&[
    I32,
    nullable_structs(&shape::<
        m::list_partition_reassignments_request::ListPartitionReassignmentsTopics,
    >(&[TEXT, I32S])),
]);

static DESCRIBE_CLUSTER: Struct =
    shape::<m::DescribeClusterRequestData>(&[BOOL, since(1, I8), since(2, BOOL)]);

static LIST_CONFIG_RESOURCES: Struct = shape::<m::ListConfigResourcesRequestData>(&[since(1, I8S)]);

static DESCRIBE_TOPIC_PARTITIONS: Struct = shape::<m::DescribeTopicPartitionsRequestData>(&[
    structs(&shape::<m::describe_topic_partitions_request::TopicRequest>(&[TEXT])),
    I32,
    any(Kind::Optional(&shape::<m::describe_topic_partitions_request::Cursor>(&[TEXT, I32]))),
]);
