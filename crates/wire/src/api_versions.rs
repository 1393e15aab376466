//! The answer to ApiVersions, and what a client may call itself.
//!
//! Which features exist is the caller's to say. Keys come from [`crate::ADVERTISED`].

use crate::api::{ADVERTISED, ApiKey, ApiRange};
use crate::error_code::ErrorCode;
use crate::messages::api_versions_response::{
    ApiVersion, FinalizedFeatureKey, SupportedFeatureKey,
};
use crate::messages::{ApiVersionsRequestData, ApiVersionsResponseData, KafkaString};

/// The features that an answer to ApiVersions names.
#[derive(Clone, Debug, PartialEq)]
pub struct Features {
    /// What this broker could do.
    pub supported: Vec<SupportedFeatureKey>,
    /// What the cluster agreed on.
    pub finalized: Vec<FinalizedFeatureKey>,
    /// Version of the agreement, -1 for none.
    pub finalized_epoch: i64,
}

impl Default for Features {
    fn default() -> Features {
        Features { supported: Vec::new(), finalized: Vec::new(), finalized_epoch: -1 }
    }
}

/// The answer to a request of a served version: everything that is advertised, or
/// INVALID_REQUEST when the client's name or version is not valid (version 3 and later).
#[must_use]
pub fn answer(
    version: i16,
    request: &ApiVersionsRequestData,
    features: Features,
) -> ApiVersionsResponseData {
    let name = request.client_software_name.as_str();
    let software_version = request.client_software_version.as_str();
    if version >= 3 && !(is_software_name(name) && is_software_name(software_version)) {
        return ApiVersionsResponseData {
            error_code: ErrorCode::InvalidRequest.code(),
            ..ApiVersionsResponseData::default()
        };
    }
    ApiVersionsResponseData {
        api_keys: ADVERTISED.iter().map(row).collect(),
        supported_features: kept(features.supported, |feature| &feature.name),
        finalized_features: kept(features.finalized, |feature| &feature.name),
        finalized_features_epoch: features.finalized_epoch,
        ..ApiVersionsResponseData::default()
    }
}

/// Features that are an empty promise without a request, and its key: EndTxn, ConsumerGroupHeartbeat,
/// ShareFetch, StreamsGroupHeartbeat. A client that sees the feature counts on the request.
const NEEDS: [(&str, i16); 4] = [
    ("transaction.version", 26),
    ("group.version", 68),
    ("share.version", 78),
    ("streams.version", 88),
];

/// The features whose requests are served.
fn kept<F>(mut features: Vec<F>, name: impl Fn(&F) -> &KafkaString) -> Vec<F> {
    features.retain(|feature| {
        let needed = NEEDS.iter().find(|(known, _)| *known == name(feature).as_str());
        needed.is_none_or(|(_, key)| ApiKey::from_code(*key).is_some())
    });
    features
}

/// The answer to a version that is not served, to be sent in the shape of version 0: the error and
/// the range to try again in.
#[must_use]
pub(crate) fn unsupported() -> ApiVersionsResponseData {
    ApiVersionsResponseData {
        error_code: ErrorCode::UnsupportedVersion.code(),
        api_keys: vec![row(&ApiKey::ApiVersions.advertised())],
        ..ApiVersionsResponseData::default()
    }
}

/// Leaves out the features that would break a client of this version: before version 4 Java
/// clients fail on a supported feature whose lowest level is 0 (KAFKA-17011).
pub(crate) fn fit(version: i16, body: &mut ApiVersionsResponseData) {
    if version < 4 {
        body.supported_features.retain(|feature| feature.min_version != 0);
    }
}

/// Whether a client may call its software, or the software's version, so (KIP-511): ASCII letters,
/// digits, and inside also `-` and `.`; not empty.
#[must_use]
pub fn is_software_name(name: &str) -> bool {
    let bytes = name.as_bytes();
    let (Some(first), Some(last)) = (bytes.first(), bytes.last()) else { return false };
    first.is_ascii_alphanumeric()
        && last.is_ascii_alphanumeric()
        && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.'))
}

fn row(range: &ApiRange) -> ApiVersion {
    ApiVersion {
        api_key: range.key.code(),
        min_version: range.min,
        max_version: range.max,
        ..ApiVersion::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::messages::string;

    #[test]
    fn software_names_are_checked_as_kafka_does() {
        for good in ["a", "librdkafka", "apache-kafka-java", "2.15.0", "1", "a--b..c"] {
            assert!(is_software_name(good), "{good}");
        }
        for bad in ["", "-", "a-", ".a", "a b", "a_b", "ä", "a/b", "a\n"] {
            assert!(!is_software_name(bad), "{bad}");
        }
    }

    #[test]
    fn an_invalid_software_name_is_answered_from_version_three() {
        let request = ApiVersionsRequestData::default();
        assert_eq!(answer(2, &request, Features::default()).error_code, 0);
        let refused = answer(3, &request, Features::default());
        assert_eq!(refused.error_code, 42);
        assert!(refused.api_keys.is_empty());
        let request = ApiVersionsRequestData {
            client_software_name: string("kcat"),
            client_software_version: string("1.7.1"),
            ..request
        };
        let answered = answer(3, &request, Features::default());
        assert_eq!(answered.error_code, 0);
        assert_eq!(answered.api_keys.len(), ADVERTISED.len());
    }

    #[test]
    fn features_whose_requests_are_not_served_are_not_announced() {
        let request = ApiVersionsRequestData::default();
        let names = ["metadata.version", "transaction.version", "group.version", "share.version"];
        let supported = |name| SupportedFeatureKey { name: string(name), ..Default::default() };
        let finalized = |name| FinalizedFeatureKey { name: string(name), ..Default::default() };
        let features = Features {
            supported: names.map(supported).to_vec(),
            finalized: names.map(finalized).to_vec(),
            finalized_epoch: 7,
        };
        let answered = answer(0, &request, features);
        let supported = answered.supported_features.iter().map(|one| one.name.as_str());
        let finalized = answered.finalized_features.iter().map(|one| one.name.as_str());
        assert_eq!(supported.collect::<Vec<_>>(), ["metadata.version"]);
        assert_eq!(finalized.collect::<Vec<_>>(), ["metadata.version"]);
    }

    #[test]
    fn features_of_level_zero_are_kept_from_older_clients() {
        let feature = |min_version| SupportedFeatureKey {
            name: string("kraft.version"),
            min_version,
            max_version: 1,
            ..SupportedFeatureKey::default()
        };
        for (version, kept) in [(0, 1), (3, 1), (4, 2)] {
            let mut body = ApiVersionsResponseData {
                supported_features: vec![feature(0), feature(1)],
                ..ApiVersionsResponseData::default()
            };
            fit(version, &mut body);
            assert_eq!(body.supported_features.len(), kept, "version {version}");
        }
    }
}
