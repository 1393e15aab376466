//! The bodies of requests and answers as one enum each, and the bridge to the generated codecs.
//!
//! Knows which struct belongs to which key; knows nothing of headers or frames.

use bytes::{Bytes, BytesMut};
use kacrab_protocol::ProtocolError;

use crate::api::ApiKey;
use crate::fetch_rope::FetchAnswer;
use crate::messages as m;

/// Defines a body enum and its bridge to the generated structs.
macro_rules! bodies {
    (
        $(#[$doc:meta])*
        $body:ident { $($name:ident: $data:ident,)* }
        own { $($own:ident: $answer:ident,)* }
    ) => {
        $(#[$doc])*
        #[derive(Clone, Debug)]
        #[expect(missing_docs, reason = "one variant for each key, by Kafka's name")]
        pub enum $body {
            $($name(m::$data),)*
            $($own($answer),)*
        }

        impl $body {
            /// Which request this belongs to.
            #[must_use]
            pub const fn key(&self) -> ApiKey {
                match self {
                    $($body::$name(_) => ApiKey::$name,)*
                    $($body::$own(_) => ApiKey::$own,)*
                }
            }

            /// Reads what the generated code reads; `None` for the bodies that have their own.
            pub(crate) fn read(
                key: ApiKey,
                version: i16,
                bytes: &mut Bytes,
            ) -> Result<Option<$body>, ProtocolError> {
                Ok(match key {
                    $(ApiKey::$name => Some($body::$name(m::$data::read(bytes, version)?)),)*
                    $(ApiKey::$own => None,)*
                })
            }

            /// The generated struct inside, if this body has one.
            pub(crate) fn as_message(&self) -> Option<&dyn Message> {
                match self {
                    $($body::$name(body) => Some(body),)*
                    $($body::$own(_) => None,)*
                }
            }
        }

        $(
            impl Message for m::$data {
                fn write(&self, to: &mut BytesMut, version: i16) -> Result<(), ProtocolError> {
                    m::$data::write(self, to, version)
                }

                fn encoded_len(&self, version: i16) -> Result<usize, ProtocolError> {
                    m::$data::encoded_len(self, version)
                }
            }

            impl From<m::$data> for $body {
                fn from(body: m::$data) -> $body {
                    $body::$name(body)
                }
            }
        )*

        $(
            impl From<$answer> for $body {
                fn from(body: $answer) -> $body {
                    $body::$own(body)
                }
            }
        )*
    };
}

/// What the generated structs have in common, so that framing is written once.
pub(crate) trait Message {
    /// Appends the body; what it leaves behind on an error is to be thrown away.
    fn write(&self, to: &mut BytesMut, version: i16) -> Result<(), ProtocolError>;

    /// Bytes that `write` appends.
    fn encoded_len(&self, version: i16) -> Result<usize, ProtocolError>;
}

bodies! {
    /// The body of a request. The structs are those of [`crate::messages`]; strings and records in
    /// a decoded one are slices of the frame.
    #[derive(PartialEq)]
    RequestBody {
        Produce: ProduceRequestData,
        Fetch: FetchRequestData,
        ListOffsets: ListOffsetsRequestData,
        Metadata: MetadataRequestData,
        ApiVersions: ApiVersionsRequestData,
        CreateTopics: CreateTopicsRequestData,
        DeleteTopics: DeleteTopicsRequestData,
        DeleteRecords: DeleteRecordsRequestData,
        InitProducerId: InitProducerIdRequestData,
        OffsetForLeaderEpoch: OffsetForLeaderEpochRequestData,
        DescribeConfigs: DescribeConfigsRequestData,
        DescribeLogDirs: DescribeLogDirsRequestData,
        CreatePartitions: CreatePartitionsRequestData,
        IncrementalAlterConfigs: IncrementalAlterConfigsRequestData,
        ListPartitionReassignments: ListPartitionReassignmentsRequestData,
        DescribeCluster: DescribeClusterRequestData,
        ListConfigResources: ListConfigResourcesRequestData,
        DescribeTopicPartitions: DescribeTopicPartitionsRequestData,
    }
    own {}
}

bodies! {
    /// The body of an answer. Fetch has a struct of its own, whose records are not copied.
    ResponseBody {
        Produce: ProduceResponseData,
        ListOffsets: ListOffsetsResponseData,
        Metadata: MetadataResponseData,
        ApiVersions: ApiVersionsResponseData,
        CreateTopics: CreateTopicsResponseData,
        DeleteTopics: DeleteTopicsResponseData,
        DeleteRecords: DeleteRecordsResponseData,
        InitProducerId: InitProducerIdResponseData,
        OffsetForLeaderEpoch: OffsetForLeaderEpochResponseData,
        DescribeConfigs: DescribeConfigsResponseData,
        DescribeLogDirs: DescribeLogDirsResponseData,
        CreatePartitions: CreatePartitionsResponseData,
        IncrementalAlterConfigs: IncrementalAlterConfigsResponseData,
        ListPartitionReassignments: ListPartitionReassignmentsResponseData,
        DescribeCluster: DescribeClusterResponseData,
        ListConfigResources: ListConfigResourcesResponseData,
        DescribeTopicPartitions: DescribeTopicPartitionsResponseData,
    }
    own {
        Fetch: FetchAnswer,
    }
}
