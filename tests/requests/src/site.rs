//! A broker with what most tests do to it: make a topic, produce, fetch, look up an offset.

use kit::{Broker, BrokerOptions, Failure, Kind, Outcome};

use crate::message::{Bytes, KafkaUuid, m, text};
use crate::{Batch, Client, Stored, error, read_back};
use m::create_topics_request::{CreatableTopic, CreatableTopicConfig, CreateTopicsRequestData};
use m::delete_records_request::{
    DeleteRecordsPartition, DeleteRecordsRequestData, DeleteRecordsTopic,
};
use m::fetch_request::{FetchPartition, FetchRequestData, FetchTopic};
use m::fetch_response::PartitionData;
use m::incremental_alter_configs_request::{
    AlterConfigsResource, AlterableConfig, IncrementalAlterConfigsRequestData,
};
use m::list_offsets_request::{ListOffsetsPartition, ListOffsetsRequestData, ListOffsetsTopic};
use m::list_offsets_response::ListOffsetsPartitionResponse;
use m::produce_request::{PartitionProduceData, ProduceRequestData, TopicProduceData};
use m::produce_response::PartitionProduceResponse;

/// A running broker.
#[derive(Debug)]
pub struct Site {
    /// The broker.
    pub broker: Broker,
    /// Its number of shards.
    pub shards: u32,
}

/// A topic that exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topic {
    /// Its name.
    pub name: String,
    /// Its id.
    pub id: KafkaUuid,
}

/// Runs `check` against a broker with one shard and against one with two. With two shards the
/// partitions 0 and 1 of a topic lie on different ones, so a check over both has a partition on
/// the shard that owns the connection and one on the other.
///
/// # Panics
/// When the broker does not start, `check` fails, or the broker does not stop cleanly.
pub fn everywhere(check: impl Fn(&mut Site) -> Outcome<()>) {
    everywhere_with(&[], check);
}

/// As [`everywhere`], with these settings of the broker.
///
/// # Panics
/// As [`everywhere`].
pub fn everywhere_with(settings: &[&str], check: impl Fn(&mut Site) -> Outcome<()>) {
    for shards in [1, 2] {
        let run = || {
            let mut options = BrokerOptions::new(Kind::Evenkeel { shards });
            for setting in settings {
                options.extra.extend(["--set".to_owned(), (*setting).to_owned()]);
            }
            let mut site = Site { broker: Broker::start(options)?, shards };
            let checked = check(&mut site);
            let errors = site.broker.errors();
            if errors.contains("panicked") {
                return Err(Failure::new(format!("it panicked: {}", kit::tail(&errors, 8))));
            }
            checked?;
            site.broker.stop()
        };
        if let Err(failure) = run() {
            panic!("with {shards} shards: {failure}");
        }
    }
}

impl Site {
    /// A new connection.
    ///
    /// # Errors
    /// When it is not accepted.
    pub fn client(&self) -> Outcome<Client> {
        Client::connect(self.broker.address())
    }

    /// Creates a topic with two partitions.
    ///
    /// # Errors
    /// When the broker refuses.
    pub fn topic(&self, name: &str, configs: &[(&str, &str)]) -> Outcome<Topic> {
        self.topic_of(name, 2, configs)
    }

    /// Creates a topic with so many partitions.
    ///
    /// # Errors
    /// When the broker refuses.
    pub fn topic_of(
        &self,
        name: &str,
        partitions: i32,
        configs: &[(&str, &str)],
    ) -> Outcome<Topic> {
        let configs = configs.iter().map(|(name, value)| CreatableTopicConfig {
            name: text(name),
            value: Some(text(value)),
            ..CreatableTopicConfig::default()
        });
        let topic = CreatableTopic {
            name: text(name),
            num_partitions: partitions,
            replication_factor: 1,
            configs: configs.collect(),
            ..CreatableTopic::default()
        };
        let request = CreateTopicsRequestData {
            topics: vec![topic],
            timeout_ms: 10_000,
            ..CreateTopicsRequestData::default()
        };
        let answer = self.client()?.ask(7, &request)?;
        match answer.topics.first() {
            Some(topic) if topic.error_code == error::NONE => {
                Ok(Topic { name: name.to_owned(), id: topic.topic_id })
            }
            other => Err(Failure::new(format!("CreateTopics answered {other:?}"))),
        }
    }

    /// Sets configs of a topic.
    ///
    /// # Errors
    /// When the broker refuses.
    pub fn set(&self, topic: &Topic, configs: &[(&str, &str)]) -> Outcome<()> {
        let configs = configs.iter().map(|(name, value)| AlterableConfig {
            name: text(name),
            config_operation: 0,
            value: Some(text(value)),
            ..AlterableConfig::default()
        });
        let resource = AlterConfigsResource {
            resource_type: 2,
            resource_name: text(&topic.name),
            configs: configs.collect(),
            ..AlterConfigsResource::default()
        };
        let request = IncrementalAlterConfigsRequestData {
            resources: vec![resource],
            ..IncrementalAlterConfigsRequestData::default()
        };
        let answer = self.client()?.ask(1, &request)?;
        match answer.responses.first() {
            Some(response) if response.error_code == error::NONE => Ok(()),
            other => Err(Failure::new(format!("IncrementalAlterConfigs answered {other:?}"))),
        }
    }
}

impl Topic {
    /// A produce request of one partition, acks all.
    #[must_use]
    pub fn produce(&self, partition: i32, version: i16, records: &[u8]) -> ProduceRequestData {
        let data = PartitionProduceData {
            index: partition,
            records: Some(Bytes::copy_from_slice(records)),
            ..PartitionProduceData::default()
        };
        let topic = TopicProduceData {
            name: if version < 13 { text(&self.name) } else { text("") },
            topic_id: if version < 13 { KafkaUuid::ZERO } else { self.id },
            partition_data: vec![data],
            ..TopicProduceData::default()
        };
        ProduceRequestData {
            acks: -1,
            timeout_ms: 10_000,
            topic_data: vec![topic],
            ..ProduceRequestData::default()
        }
    }

    /// A fetch request of these partitions from these offsets, without a session, that does not
    /// wait. Further fields are the caller's to set.
    #[must_use]
    pub fn fetch(&self, version: i16, from: &[(i32, i64)]) -> FetchRequestData {
        let partitions = from.iter().map(|(partition, offset)| FetchPartition {
            partition: *partition,
            fetch_offset: *offset,
            partition_max_bytes: 1 << 20,
            ..FetchPartition::default()
        });
        let topic = FetchTopic {
            topic: if version < 13 { text(&self.name) } else { text("") },
            topic_id: if version < 13 { KafkaUuid::ZERO } else { self.id },
            partitions: partitions.collect(),
            ..FetchTopic::default()
        };
        FetchRequestData {
            replica_id: -1,
            min_bytes: 1,
            max_bytes: 50 << 20,
            session_epoch: -1,
            topics: vec![topic],
            ..FetchRequestData::default()
        }
    }
}

impl Client {
    /// Produces to one partition in version 12 and gives its part of the answer.
    ///
    /// # Errors
    /// When there is none.
    pub fn produce(
        &mut self,
        topic: &Topic,
        partition: i32,
        records: &[u8],
    ) -> Outcome<PartitionProduceResponse> {
        self.produce_in(12, topic, partition, records)
    }

    /// Produces to one partition in this version and gives its part of the answer.
    ///
    /// # Errors
    /// When there is none.
    pub fn produce_in(
        &mut self,
        version: i16,
        topic: &Topic,
        partition: i32,
        records: &[u8],
    ) -> Outcome<PartitionProduceResponse> {
        let mut answer = self.ask(version, &topic.produce(partition, version, records))?;
        let mut topics = answer.responses.drain(..);
        let part = topics.next().and_then(|topic| topic.partition_responses.into_iter().next());
        part.ok_or_else(|| "an answer without the partition".into())
    }

    /// Produces a batch that must be taken; gives the offset of its first record.
    ///
    /// # Errors
    /// When it is refused.
    pub fn append(&mut self, topic: &Topic, partition: i32, batch: &Batch) -> Outcome<i64> {
        let part = self.produce(topic, partition, &batch.bytes())?;
        match part.error_code {
            error::NONE => Ok(part.base_offset),
            _ => Err(Failure::new(format!("produce answered {part:?}"))),
        }
    }

    /// Fetches one partition from this offset in version 12 and gives its part of the answer.
    ///
    /// # Errors
    /// When there is none.
    pub fn fetch(&mut self, topic: &Topic, partition: i32, from: i64) -> Outcome<PartitionData> {
        let mut answer = self.ask(12, &topic.fetch(12, &[(partition, from)]))?;
        let mut topics = answer.responses.drain(..);
        let part = topics.next().and_then(|topic| topic.partitions.into_iter().next());
        part.ok_or_else(|| "an answer without the partition".into())
    }

    /// Every batch of a partition from this offset, to the end that is visible.
    ///
    /// # Errors
    /// When a fetch fails.
    pub fn stored(&mut self, topic: &Topic, partition: i32, from: i64) -> Outcome<Vec<Stored>> {
        let mut all: Vec<Stored> = Vec::new();
        let mut next = from;
        loop {
            let part = self.fetch(topic, partition, next)?;
            if part.error_code != error::NONE {
                return Err(Failure::new(format!("fetch from {next} answered {part:?}")));
            }
            let records = part.records.ok_or("null records")?;
            let more = read_back(&records)?;
            let Some(last) = more.last().and_then(|batch| batch.records.last()) else {
                return Ok(all);
            };
            next = last.offset + 1;
            all.extend(more);
        }
    }

    /// DeleteRecords of one partition up to this offset, version 2; gives the new start.
    ///
    /// # Errors
    /// When the broker refuses.
    pub fn delete_to(&mut self, topic: &Topic, partition: i32, offset: i64) -> Outcome<i64> {
        let one = DeleteRecordsPartition {
            partition_index: partition,
            offset,
            ..DeleteRecordsPartition::default()
        };
        let one = DeleteRecordsTopic {
            name: text(&topic.name),
            partitions: vec![one],
            ..DeleteRecordsTopic::default()
        };
        let request = DeleteRecordsRequestData {
            topics: vec![one],
            timeout_ms: 10_000,
            ..DeleteRecordsRequestData::default()
        };
        let answer = self.ask(2, &request)?;
        let part = answer.topics.first().and_then(|topic| topic.partitions.first());
        match part {
            Some(part) if part.error_code == error::NONE => Ok(part.low_watermark),
            other => Err(Failure::new(format!("DeleteRecords answered {other:?}"))),
        }
    }

    /// ListOffsets for one partition, version 10.
    ///
    /// # Errors
    /// When there is no answer for it.
    pub fn offset(
        &mut self,
        topic: &Topic,
        partition: i32,
        timestamp: i64,
    ) -> Outcome<ListOffsetsPartitionResponse> {
        let partition = ListOffsetsPartition {
            partition_index: partition,
            current_leader_epoch: -1,
            timestamp,
            ..ListOffsetsPartition::default()
        };
        let topic = ListOffsetsTopic {
            name: text(&topic.name),
            partitions: vec![partition],
            ..ListOffsetsTopic::default()
        };
        let request = ListOffsetsRequestData {
            replica_id: -1,
            topics: vec![topic],
            ..ListOffsetsRequestData::default()
        };
        let mut answer = self.ask(10, &request)?;
        let mut topics = answer.topics.drain(..);
        let part = topics.next().and_then(|topic| topic.partitions.into_iter().next());
        part.ok_or_else(|| "an answer without the partition".into())
    }
}
