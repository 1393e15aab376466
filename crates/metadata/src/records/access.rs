//! Records about who may do what and how much: access rules, credentials, tokens, quotas.

use super::Uuid;
use super::table::fields;

fields! {
    /// A credential of a user for one SCRAM mechanism.
    UserScramCredentialRecord {
        /// User.
        name: String;
        /// 1 SCRAM-SHA-256, 2 SCRAM-SHA-512.
        mechanism: i8;
        /// Salt.
        salt: Vec<u8>;
        /// Stored key.
        stored_key: Vec<u8>;
        /// Server key.
        server_key: Vec<u8>;
        /// Iterations.
        iterations: i32;
    }

    /// A credential is gone.
    RemoveUserScramCredentialRecord {
        /// User.
        name: String;
        /// Mechanism, as in the record that set it.
        mechanism: i8;
    }

    /// A delegation token exists.
    DelegationTokenRecord {
        /// Principal that owns it.
        owner: String;
        /// Principal that asked for it.
        requester: String;
        /// Principals that may renew it.
        renewers: Vec<String>;
        /// When it was issued, milliseconds.
        issue_timestamp: i64;
        /// When it ends for good, milliseconds.
        max_timestamp: i64;
        /// When it ends unless renewed, milliseconds.
        expiration_timestamp: i64;
        /// Its id.
        token_id: String;
    }

    /// A delegation token is gone.
    RemoveDelegationTokenRecord {
        /// Its id.
        token_id: String;
    }

    /// One part of the entity that a quota holds for.
    QuotaEntity {
        /// `user`, `client-id` or `ip`.
        entity_type: String;
        /// Its name; `None` is the default entity of that type.
        entity_name: Option<String>;
    }

    /// A quota was set or taken away.
    ClientQuotaRecord {
        /// For whom.
        entity: Vec<QuotaEntity>;
        /// Which quota, like `producer_byte_rate`.
        key: String;
        /// How much.
        value: f64;
        /// Whether it is taken away.
        remove: bool;
    }

    /// An access rule exists.
    AccessControlEntryRecord {
        /// Its id.
        id: Uuid;
        /// Kind of resource, as in the protocol.
        resource_type: i8;
        /// Resource, or its prefix.
        resource_name: String;
        /// 3 literal, 4 prefixed.
        pattern_type: i8;
        /// Principal.
        principal: String;
        /// Host, `*` for all.
        host: String;
        /// Operation, as in the protocol.
        operation: i8;
        /// 2 deny, 3 allow.
        permission_type: i8;
    }

    /// An access rule is gone.
    RemoveAccessControlEntryRecord {
        /// Its id.
        id: Uuid;
    }
}
