//! The records of the metadata log: what they hold and how their bytes look.
//!
//! A record is the value of a record batch entry with a null key:
//!
//! ```text
//! uvarint frame version (1) | uvarint api key | uvarint version | fields, flexible encoding
//! ```
//!
//! An api key or a version that is not in the table is an error, never skipped: an image that
//! lacks a record is wrong. Control records have no frame; see [`ControlRecord`].
//! Not here: what a record does to the image.

mod access;
mod cluster;
pub(crate) mod codec;
mod control;
pub(crate) mod table;
mod topics;
mod uuid;

pub use access::{
    AccessControlEntryRecord, ClientQuotaRecord, DelegationTokenRecord, QuotaEntity,
    RemoveAccessControlEntryRecord, RemoveDelegationTokenRecord, RemoveUserScramCredentialRecord,
    UserScramCredentialRecord,
};
pub use cluster::{
    AbortTransactionRecord, BeginTransactionRecord, BrokerRegistrationChangeRecord,
    EndTransactionRecord, Endpoint, FeatureLevelRecord, FeatureRange, FenceBrokerRecord,
    NoOpRecord, ProducerIdsRecord, RegisterBrokerRecord, RegisterControllerRecord,
    UnfenceBrokerRecord, UnregisterBrokerRecord, ZkMigrationStateRecord,
};
pub use control::{
    ControlRecord, KRaftVersionRange, KRaftVersionRecord, LeaderChangeRecord, LeaderVoter,
    SnapshotFooterRecord, SnapshotHeaderRecord, Voter, VoterEndpoint, VotersRecord,
};
pub use topics::{
    ClearElrRecord, ConfigRecord, NO_LEADER, NO_LEADER_CHANGE, PartitionChangeRecord,
    PartitionRecord, RemoveTopicRecord, TopicRecord,
};
pub use uuid::{NotAUuid, Uuid};

use codec::{Field, Input, write_uvarint};

/// The version of the frame around each record.
const FRAME_VERSION: u32 = 1;

/// Why bytes are not a record, or a record has no bytes. Nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// The bytes end inside a field, or a length exceeds them.
    #[error("the record ends inside a field")]
    Truncated,
    /// Bytes follow the last field.
    #[error("{left} bytes follow the last field")]
    TrailingBytes {
        /// How many.
        left: usize,
    },
    /// A variable-length integer does not fit 32 bits.
    #[error("a variable-length integer does not fit 32 bits")]
    VarintTooLong,
    /// A field that must have a value is null.
    #[error("a field is null that may not be")]
    Null,
    /// A text is not UTF-8.
    #[error("a text is not utf-8")]
    NotText,
    /// A text or list is longer than the format allows.
    #[error("a text or list of {len} bytes or elements is longer than the format allows")]
    TooLong {
        /// Its length.
        len: usize,
    },
    /// The frame is of a version that this crate does not know.
    #[error("unknown frame version {version}")]
    UnknownFrame {
        /// The version.
        version: u32,
    },
    /// No record has this api key.
    #[error("unknown metadata record type {api_key}")]
    UnknownType {
        /// The api key.
        api_key: u32,
    },
    /// The record type is known, this version of it is not.
    #[error("unknown version {version} of metadata record type {api_key}")]
    UnknownVersion {
        /// The api key.
        api_key: u32,
        /// The version.
        version: u32,
    },
    /// A control record is of a type that does not belong to a metadata log.
    #[error("unknown control record type {kind} (version {version})")]
    UnknownControl {
        /// The type in the key.
        kind: i16,
        /// The version of the body.
        version: i16,
    },
    /// A field has a value that the version asked for cannot hold.
    #[error("version {version} of {structure} has no field {field}")]
    FieldNotInVersion {
        /// The structure.
        structure: &'static str,
        /// Its field.
        field: &'static str,
        /// The version asked for.
        version: i16,
    },
}

macro_rules! records {
    ($( $(#[$meta:meta])* $variant:ident ($body:ident) = $key:literal ..= $max:literal ; )*) => {
        /// One record of the metadata log.
        ///
        /// Exhaustive: every kind of record that Kafka 4.3 can write.
        #[derive(Clone, Debug, PartialEq)]
        pub enum Record { $( $(#[$meta])* $variant($body), )* }

        $( impl From<$body> for Record {
            fn from(body: $body) -> Record { Record::$variant(body) }
        } )*

        impl Record {
            /// The number of this kind of record.
            pub const fn api_key(&self) -> u32 {
                match self { $( Record::$variant(_) => $key, )* }
            }

            /// The name of this kind of record, as Kafka's tools print it.
            pub const fn name(&self) -> &'static str {
                match self { $( Record::$variant(_) => stringify!($body), )* }
            }

            /// The highest version of this kind of record that this crate knows; 0 is the lowest.
            pub const fn max_version(&self) -> i16 {
                match self { $( Record::$variant(_) => $max, )* }
            }

            fn write_body(&self, out: &mut Vec<u8>, version: i16) -> Result<(), RecordError> {
                match self { $( Record::$variant(body) => body.write(out, version), )* }
            }

            fn read_body(
                api_key: u32,
                version: u32,
                input: &mut Input<'_>,
            ) -> Result<(Record, i16), RecordError> {
                let known = |max: i16| {
                    i16::try_from(version)
                        .ok()
                        .filter(|version| *version <= max)
                        .ok_or(RecordError::UnknownVersion { api_key, version })
                };
                match api_key {
                    $( $key => {
                        let version = known($max)?;
                        Ok((Record::$variant($body::read(input, version)?), version))
                    } )*
                    _ => Err(RecordError::UnknownType { api_key }),
                }
            }
        }
    };
}

records! {
    /// A broker has registered.
    RegisterBroker(RegisterBrokerRecord) = 0 ..= 4;
    /// A broker was taken out of the cluster.
    UnregisterBroker(UnregisterBrokerRecord) = 1 ..= 0;
    /// A topic exists.
    Topic(TopicRecord) = 2 ..= 0;
    /// A partition exists.
    Partition(PartitionRecord) = 3 ..= 2;
    /// A configuration was set or taken away.
    Config(ConfigRecord) = 4 ..= 0;
    /// A partition changed.
    PartitionChange(PartitionChangeRecord) = 5 ..= 2;
    /// A broker was fenced.
    FenceBroker(FenceBrokerRecord) = 7 ..= 0;
    /// A broker was unfenced.
    UnfenceBroker(UnfenceBrokerRecord) = 8 ..= 0;
    /// A topic is gone.
    RemoveTopic(RemoveTopicRecord) = 9 ..= 0;
    /// A delegation token exists.
    DelegationToken(DelegationTokenRecord) = 10 ..= 0;
    /// A SCRAM credential exists.
    UserScramCredential(UserScramCredentialRecord) = 11 ..= 0;
    /// A feature was finalized.
    FeatureLevel(FeatureLevelRecord) = 12 ..= 0;
    /// A quota was set or taken away.
    ClientQuota(ClientQuotaRecord) = 14 ..= 0;
    /// Producer ids were handed out.
    ProducerIds(ProducerIdsRecord) = 15 ..= 0;
    /// A broker's registration changed.
    BrokerRegistrationChange(BrokerRegistrationChangeRecord) = 17 ..= 3;
    /// An access rule exists.
    AccessControlEntry(AccessControlEntryRecord) = 18 ..= 0;
    /// An access rule is gone.
    RemoveAccessControlEntry(RemoveAccessControlEntryRecord) = 19 ..= 0;
    /// Nothing.
    NoOp(NoOpRecord) = 20 ..= 0;
    /// Nothing any more.
    ZkMigrationState(ZkMigrationStateRecord) = 21 ..= 0;
    /// A SCRAM credential is gone.
    RemoveUserScramCredential(RemoveUserScramCredentialRecord) = 22 ..= 0;
    /// A metadata transaction begins.
    BeginTransaction(BeginTransactionRecord) = 23 ..= 0;
    /// A metadata transaction ends.
    EndTransaction(EndTransactionRecord) = 24 ..= 0;
    /// A metadata transaction is undone.
    AbortTransaction(AbortTransactionRecord) = 25 ..= 0;
    /// A delegation token is gone.
    RemoveDelegationToken(RemoveDelegationTokenRecord) = 26 ..= 0;
    /// A controller has registered.
    RegisterController(RegisterControllerRecord) = 27 ..= 0;
    /// Partitions forget replicas that may lead.
    ClearElr(ClearElrRecord) = 28 ..= 0;
}

impl Record {
    /// The version that a controller writes at this `metadata.version`.
    pub const fn version_at(&self, metadata_version: i16) -> i16 {
        match self {
            Record::RegisterBroker(_) => match metadata_version {
                30.. => 4,
                17.. => 3,
                8.. => 2,
                _ => 1,
            },
            // The lowest version that holds what the change says.
            Record::BrokerRegistrationChange(change) => {
                if change.cordoned_log_dirs.is_some() {
                    3
                } else if !change.log_dirs.is_empty() {
                    2
                } else if change.in_controlled_shutdown != 0 {
                    1
                } else {
                    0
                }
            }
            Record::Partition(_) | Record::PartitionChange(_) => match metadata_version {
                23.. => 2,
                17.. => 1,
                _ => 0,
            },
            _ => 0,
        }
    }

    /// Appends the record's frame at this version to `out`.
    ///
    /// # Errors
    ///
    /// `UnknownVersion` for a version above [`Record::max_version`], `FieldNotInVersion` when a
    /// value cannot be told at that version, `TooLong` for an overlong text or list. What `out`
    /// holds beyond its old length is then without meaning.
    pub fn encode(&self, version: i16, out: &mut Vec<u8>) -> Result<(), RecordError> {
        let unknown = RecordError::UnknownVersion {
            api_key: self.api_key(),
            version: u32::from(version.cast_unsigned()),
        };
        if version > self.max_version() {
            return Err(unknown);
        }
        write_uvarint(out, FRAME_VERSION);
        write_uvarint(out, self.api_key());
        write_uvarint(out, u32::try_from(version).map_err(|_| unknown)?);
        self.write_body(out, version)
    }

    /// Reads one frame, which must be all of `bytes`; gives the record and its version.
    ///
    /// # Errors
    ///
    /// See [`RecordError`]. An unknown type or version means that this broker must not go on.
    pub fn decode(bytes: &[u8]) -> Result<(Record, i16), RecordError> {
        let mut input = Input::new(bytes);
        let frame = input.uvarint()?;
        if frame != FRAME_VERSION {
            return Err(RecordError::UnknownFrame { version: frame });
        }
        let (api_key, version) = (input.uvarint()?, input.uvarint()?);
        let decoded = Record::read_body(api_key, version, &mut input)?;
        input.end()?;
        Ok(decoded)
    }
}

#[cfg(test)]
mod tests;
