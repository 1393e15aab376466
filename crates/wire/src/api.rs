//! Which requests are served, in which versions, and how their headers look.
//!
//! Owns the advertised table and the version rules that framing needs. Does not decide what a
//! broker answers; see [`crate::api_versions`] for the answer to ApiVersions.

/// Defines [`ApiKey`], its numbers and its table row in one place.
macro_rules! apis {
    ($($name:ident = $key:literal, advertised $min:literal..=$max:literal, served from $served:literal, flexible from $flexible:literal;)*) => {
        /// A request that is served, by Kafka's name and number.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(i16)]
        #[expect(missing_docs, reason = "Kafka's names say it")]
        pub enum ApiKey {
            $($name = $key,)*
        }

        /// Every served request with its versions, by ascending key: what ApiVersions advertises.
        pub const ADVERTISED: &[ApiRange] = &[
            $(ApiRange { key: ApiKey::$name, min: $min, max: $max },)*
        ];

        impl ApiKey {
            /// The served request with this number, if there is one.
            #[must_use]
            pub const fn from_code(code: i16) -> Option<ApiKey> {
                match code {
                    $($key => Some(ApiKey::$name),)*
                    _ => None,
                }
            }

            /// Kafka's name.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(ApiKey::$name => stringify!($name),)*
                }
            }

            const fn versions(self) -> Versions {
                match self {
                    $(ApiKey::$name => Versions {
                        min: $min,
                        max: $max,
                        served: $served,
                        flexible: $flexible,
                    },)*
                }
            }
        }
    };
}

struct Versions {
    min: i16,
    max: i16,
    served: i16,
    flexible: i16,
}

/// The versions of one request that are advertised, both ends inclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ApiRange {
    /// The request.
    pub key: ApiKey,
    /// Lowest advertised version.
    pub min: i16,
    /// Highest advertised version.
    pub max: i16,
}

// Produce is advertised from 0 though nothing below 3 is served: librdkafka before 2.11.1 looks for
// exact low versions and silently stops compressing when they are missing (KAFKA-18659).
apis! {
    Produce = 0, advertised 0..=13, served from 3, flexible from 9;
    Fetch = 1, advertised 4..=18, served from 4, flexible from 12;
    ListOffsets = 2, advertised 1..=11, served from 1, flexible from 6;
    Metadata = 3, advertised 0..=13, served from 0, flexible from 9;
    ApiVersions = 18, advertised 0..=4, served from 0, flexible from 3;
    CreateTopics = 19, advertised 2..=7, served from 2, flexible from 5;
    DeleteTopics = 20, advertised 1..=6, served from 1, flexible from 4;
    DeleteRecords = 21, advertised 0..=2, served from 0, flexible from 2;
    InitProducerId = 22, advertised 0..=5, served from 0, flexible from 2;
    OffsetForLeaderEpoch = 23, advertised 2..=4, served from 2, flexible from 4;
    DescribeConfigs = 32, advertised 1..=4, served from 1, flexible from 4;
    DescribeLogDirs = 35, advertised 1..=5, served from 1, flexible from 2;
    CreatePartitions = 37, advertised 0..=3, served from 0, flexible from 2;
    IncrementalAlterConfigs = 44, advertised 0..=1, served from 0, flexible from 1;
    ListPartitionReassignments = 46, advertised 0..=0, served from 0, flexible from 0;
    DescribeCluster = 60, advertised 0..=2, served from 0, flexible from 0;
    ListConfigResources = 74, advertised 0..=1, served from 0, flexible from 0;
    DescribeTopicPartitions = 75, advertised 0..=0, served from 0, flexible from 0;
}

impl ApiKey {
    /// Kafka's number.
    #[must_use]
    pub const fn code(self) -> i16 {
        self as i16
    }

    /// The advertised versions.
    #[must_use]
    pub const fn advertised(self) -> ApiRange {
        let versions = self.versions();
        ApiRange { key: self, min: versions.min, max: versions.max }
    }

    /// Whether requests of this version are answered. Narrower than the advertised range for
    /// Produce only.
    #[must_use]
    pub const fn serves(self, version: i16) -> bool {
        let versions = self.versions();
        version >= versions.served && version <= versions.max
    }

    /// The versions that are answered, both ends inclusive.
    #[must_use]
    pub const fn served(self) -> std::ops::RangeInclusive<i16> {
        let versions = self.versions();
        versions.served..=versions.max
    }

    /// Whether this version has compact lengths and tagged fields (KIP-482).
    #[must_use]
    pub const fn is_flexible(self, version: i16) -> bool {
        version >= self.versions().flexible
    }

    /// Version of the request header: 2 for flexible versions (tagged fields at its end), else 1.
    #[must_use]
    pub const fn request_header_version(self, version: i16) -> i16 {
        if self.is_flexible(version) { 2 } else { 1 }
    }

    /// Version of the response header: 1 for flexible versions (tagged fields at its end), else 0.
    /// ApiVersions always answers with 0: the client reads that answer before it knows what the
    /// broker speaks (KIP-511).
    #[must_use]
    pub const fn response_header_version(self, version: i16) -> i16 {
        match self {
            ApiKey::ApiVersions => 0,
            _ if self.is_flexible(version) => 1,
            _ => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIXTURE: &str = include_str!("../tests/fixtures/kafka_4_3_advertised.txt");

    /// Rows of the fixture: key, name, minimum, maximum, first flexible version.
    fn fixture() -> Vec<(i16, &'static str, i16, i16, i16)> {
        let number = |text: &str| text.parse().expect("a number");
        FIXTURE
            .lines()
            .filter(|line| !line.starts_with('#') && !line.is_empty())
            .map(|line| {
                let cells: Vec<&str> = line.split('|').map(str::trim).collect();
                let (min, max) = cells[2].split_once('-').expect("a range");
                let flexible = cells[3].strip_suffix('+').expect("a first version");
                (number(cells[0]), cells[1], number(min), number(max), number(flexible))
            })
            .collect()
    }

    #[test]
    fn the_advertised_table_is_that_of_kafka_4_3_for_the_keys_we_serve() {
        let rows = fixture();
        assert_eq!(rows.len(), ADVERTISED.len());
        for ((key, name, min, max, flexible), ours) in rows.into_iter().zip(ADVERTISED) {
            assert_eq!((ours.key.code(), ours.key.name()), (key, name));
            assert_eq!((ours.min, ours.max), (min, max), "{name}");
            assert_eq!(ApiKey::from_code(key), Some(ours.key));
            assert_eq!(ours.key.advertised(), *ours);
            for version in 0..=max {
                assert_eq!(ours.key.is_flexible(version), version >= flexible, "{name} {version}");
            }
        }
    }

    #[test]
    fn produce_is_advertised_from_zero_though_served_from_three() {
        assert_eq!(ApiKey::Produce.advertised().min, 0);
        assert!(!ApiKey::Produce.serves(2));
        assert!(ApiKey::Produce.serves(3) && ApiKey::Produce.serves(13));
        assert!(!ApiKey::Produce.serves(14));
    }

    #[test]
    fn only_produce_is_served_more_narrowly_than_advertised() {
        for range in ADVERTISED.iter().filter(|range| range.key != ApiKey::Produce) {
            assert_eq!(range.key.served(), range.min..=range.max, "{}", range.key.name());
        }
    }

    #[test]
    fn old_librdkafka_finds_the_exact_versions_it_looks_for() {
        // src/rdkafka_feature.c of 2.0.2: message format 2, zstd, idempotence, offset for time.
        let exact = [
            (ApiKey::Produce, 3),
            (ApiKey::Fetch, 4),
            (ApiKey::Produce, 0),
            (ApiKey::Produce, 7),
            (ApiKey::Fetch, 10),
            (ApiKey::ApiVersions, 0),
            (ApiKey::InitProducerId, 0),
            (ApiKey::ListOffsets, 1),
        ];
        for (key, version) in exact {
            let range = key.advertised();
            assert!((range.min..=range.max).contains(&version), "{} {version}", key.name());
        }
    }

    #[test]
    fn the_versions_that_clients_stop_at_are_served() {
        let clients = [
            // librdkafka 2.15.0
            (ApiKey::Produce, 10),
            (ApiKey::Fetch, 16),
            (ApiKey::ListOffsets, 7),
            (ApiKey::Metadata, 13),
            (ApiKey::ApiVersions, 3),
            (ApiKey::CreateTopics, 4),
            (ApiKey::DeleteTopics, 4),
            (ApiKey::DeleteRecords, 2),
            (ApiKey::InitProducerId, 4),
            (ApiKey::OffsetForLeaderEpoch, 2),
            (ApiKey::DescribeConfigs, 1),
            (ApiKey::CreatePartitions, 2),
            (ApiKey::IncrementalAlterConfigs, 1),
            // librdkafka 2.0.2
            (ApiKey::Produce, 7),
            (ApiKey::Fetch, 11),
            (ApiKey::Metadata, 4),
            (ApiKey::ListOffsets, 2),
            // kafkajs, and what old kafka-python probes with
            (ApiKey::Metadata, 6),
            (ApiKey::Metadata, 0),
            (ApiKey::Metadata, 1),
            (ApiKey::ApiVersions, 0),
        ];
        for (key, version) in clients {
            assert!(key.serves(version), "{} {version}", key.name());
        }
    }

    #[test]
    fn topic_ids_on_the_data_path_come_with_topic_ids_in_metadata() {
        let max = |key: ApiKey| key.advertised().max;
        if max(ApiKey::Produce) >= 13 || max(ApiKey::Fetch) >= 13 {
            assert!(max(ApiKey::Metadata) >= 10);
        }
    }

    #[test]
    fn the_answer_to_api_versions_has_the_oldest_header_in_every_version() {
        for version in 0..=i16::MAX {
            assert_eq!(ApiKey::ApiVersions.response_header_version(version), 0);
        }
        assert_eq!(ApiKey::ApiVersions.request_header_version(3), 2);
        assert_eq!(ApiKey::Metadata.response_header_version(9), 1);
        assert_eq!(ApiKey::Metadata.response_header_version(8), 0);
    }
}
