//! The control records of the metadata log and of its snapshots.
//!
//! They stand in control batches: the key is `int16 version (0) | int16 type`, the value a flexible
//! structure that begins with its own version. A control batch may hold several.

use super::codec::{Field, Input};
use super::table::fields;
use super::{RecordError, Uuid};

fields! {
    /// A member of the quorum in a leader change.
    LeaderVoter {
        /// Node id.
        voter_id: i32;
        /// Directory id of its metadata log.
        voter_directory_id: Uuid [since(1)];
    }

    /// The first record of each raft epoch.
    LeaderChangeRecord {
        /// Version of this structure.
        version: i16;
        /// The leader of the epoch.
        leader_id: i32;
        /// The quorum.
        voters: Vec<LeaderVoter>;
        /// Those who voted for the leader.
        granting_voters: Vec<LeaderVoter>;
    }

    /// The first record of a snapshot.
    SnapshotHeaderRecord {
        /// Version of this structure.
        version: i16;
        /// Append time of the last record that the snapshot covers, milliseconds.
        last_contained_log_timestamp_ms: i64;
    }

    /// The last record of a snapshot: without it the file is incomplete.
    SnapshotFooterRecord {
        /// Version of this structure.
        version: i16;
    }

    /// The level of the quorum's protocol.
    KRaftVersionRecord {
        /// Version of this structure.
        version: i16;
        /// The level.
        kraft_version: i16;
    }

    /// Where a voter listens.
    VoterEndpoint {
        /// The listener's name.
        name: String;
        /// Host name or address.
        host: String;
        /// Port.
        port: u16;
    }

    /// The levels of the quorum's protocol that a voter supports, both inclusive.
    KRaftVersionRange {
        /// Lowest level.
        min: i16;
        /// Highest level.
        max: i16;
    }

    /// A member of the quorum.
    Voter {
        /// Node id.
        voter_id: i32;
        /// Directory id of its metadata log.
        voter_directory_id: Uuid;
        /// Where it listens.
        endpoints: Vec<VoterEndpoint>;
        /// What it supports.
        kraft_versions: KRaftVersionRange;
    }

    /// The quorum, from kraft.version 1 on.
    VotersRecord {
        /// Version of this structure.
        version: i16;
        /// Its members.
        voters: Vec<Voter>;
    }
}

/// One record of a control batch of the metadata log.
#[derive(Clone, Debug, PartialEq)]
pub enum ControlRecord {
    /// A raft epoch begins.
    LeaderChange(LeaderChangeRecord),
    /// A snapshot begins.
    SnapshotHeader(SnapshotHeaderRecord),
    /// A snapshot is complete.
    SnapshotFooter(SnapshotFooterRecord),
    /// The level of the quorum's protocol.
    KRaftVersion(KRaftVersionRecord),
    /// The quorum.
    KRaftVoters(VotersRecord),
}

impl ControlRecord {
    /// The type in the record's key.
    pub const fn kind(&self) -> i16 {
        match self {
            ControlRecord::LeaderChange(_) => 2,
            ControlRecord::SnapshotHeader(_) => 3,
            ControlRecord::SnapshotFooter(_) => 4,
            ControlRecord::KRaftVersion(_) => 5,
            ControlRecord::KRaftVoters(_) => 6,
        }
    }

    /// Key and value of the record.
    ///
    /// # Errors
    ///
    /// `FieldNotInVersion` and `TooLong`, as in [`super::Record::encode`]; `UnknownControl` for a
    /// version that this crate does not know.
    pub fn encode(&self) -> Result<(Vec<u8>, Vec<u8>), RecordError> {
        let mut key = Vec::with_capacity(4);
        0i16.write(&mut key, 0)?;
        self.kind().write(&mut key, 0)?;
        let mut value = Vec::new();
        macro_rules! write {
            ($body:expr, $max:literal) => {{
                known(self.kind(), $body.version, $max)?;
                $body.write(&mut value, $body.version)?;
            }};
        }
        match self {
            ControlRecord::LeaderChange(body) => write!(body, 1),
            ControlRecord::SnapshotHeader(body) => write!(body, 0),
            ControlRecord::SnapshotFooter(body) => write!(body, 0),
            ControlRecord::KRaftVersion(body) => write!(body, 0),
            ControlRecord::KRaftVoters(body) => write!(body, 0),
        }
        Ok((key, value))
    }

    /// Reads key and value of one control record, each to its end.
    ///
    /// # Errors
    ///
    /// See [`RecordError`]; a transaction marker is `UnknownControl` here.
    pub fn decode(key: &[u8], value: &[u8]) -> Result<ControlRecord, RecordError> {
        let mut key = Input::new(key);
        let _version = i16::read(&mut key, 0)?;
        let kind = i16::read(&mut key, 0)?;
        key.end()?;
        let version = i16::read(&mut Input::new(value), 0)?;
        let mut input = Input::new(value);
        let record = match kind {
            2 => {
                let version = known(kind, version, 1)?;
                ControlRecord::LeaderChange(Field::read(&mut input, version)?)
            }
            3 => {
                let version = known(kind, version, 0)?;
                ControlRecord::SnapshotHeader(Field::read(&mut input, version)?)
            }
            4 => {
                let version = known(kind, version, 0)?;
                ControlRecord::SnapshotFooter(Field::read(&mut input, version)?)
            }
            5 => {
                let version = known(kind, version, 0)?;
                ControlRecord::KRaftVersion(Field::read(&mut input, version)?)
            }
            6 => {
                let version = known(kind, version, 0)?;
                ControlRecord::KRaftVoters(Field::read(&mut input, version)?)
            }
            _ => return Err(RecordError::UnknownControl { kind, version }),
        };
        input.end()?;
        Ok(record)
    }
}

fn known(kind: i16, version: i16, max: i16) -> Result<i16, RecordError> {
    if (0..=max).contains(&version) {
        Ok(version)
    } else {
        Err(RecordError::UnknownControl { kind, version })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_footer_is_three_zero_bytes() {
        let footer = ControlRecord::SnapshotFooter(SnapshotFooterRecord::default());
        let (key, value) = footer.encode().expect("a footer");
        assert_eq!(key, [0, 0, 0, 4]);
        assert_eq!(value, [0, 0, 0]);
        assert_eq!(ControlRecord::decode(&key, &value), Ok(footer));
    }

    #[test]
    fn every_control_record_comes_back() {
        let voter = Voter {
            voter_id: 1,
            voter_directory_id: Uuid::LOST,
            endpoints: vec![VoterEndpoint { name: "C".into(), host: "h".into(), port: 65_535 }],
            kraft_versions: KRaftVersionRange { min: 0, max: 1 },
        };
        let member = LeaderVoter { voter_id: 1, voter_directory_id: Uuid::LOST };
        for record in [
            ControlRecord::LeaderChange(LeaderChangeRecord {
                version: 1,
                leader_id: 1,
                voters: vec![member.clone()],
                granting_voters: vec![member],
            }),
            ControlRecord::SnapshotHeader(SnapshotHeaderRecord {
                version: 0,
                last_contained_log_timestamp_ms: 5,
            }),
            ControlRecord::KRaftVersion(KRaftVersionRecord { version: 0, kraft_version: 1 }),
            ControlRecord::KRaftVoters(VotersRecord { version: 0, voters: vec![voter] }),
        ] {
            let (key, value) = record.encode().expect("valid");
            assert_eq!(ControlRecord::decode(&key, &value), Ok(record));
        }
    }

    #[test]
    fn a_transaction_marker_and_an_unknown_version_are_refused() {
        assert_eq!(
            ControlRecord::decode(&[0, 0, 0, 1], &[0, 0, 0]),
            Err(RecordError::UnknownControl { kind: 1, version: 0 })
        );
        assert_eq!(
            ControlRecord::decode(&[0, 0, 0, 4], &[0, 1, 0]),
            Err(RecordError::UnknownControl { kind: 4, version: 1 })
        );
        assert_eq!(ControlRecord::decode(&[0, 0], &[0, 0, 0]), Err(RecordError::Truncated));
    }
}
