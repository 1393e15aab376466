//! A Kafka client over any connection of any world: one request at a time, the real protocol.

use broker::{Shard, ShardMessage};
use buf::Sealed;
use env::sim::{SimEnv, SimStream, stream};
use env::{Env, Group, Stream};
use wire::messages::{
    Bytes, CreateTopicsRequestData, DeleteTopicsRequestData, FetchRequestData,
    InitProducerIdRequestData, MetadataRequestData, ProduceRequestData, create_topics_request,
    fetch_request, metadata_request, produce_request, string, uuid,
};
use wire::{ApiKey, ErrorCode, RequestBody, ResponseBody};

use crate::broken::BrokenEnv;

/// The world of a simulated broker, in which a rule may be broken.
pub type World = BrokenEnv<SimEnv<ShardMessage>>;

/// A client in a simulation.
pub type SimClient = Client<SimEnv<ShardMessage>, SimStream>;

/// The connection ended: the broker closed it, or the power was cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Disconnected;

/// One connection.
#[derive(Debug)]
pub struct Client<E, S> {
    env: E,
    stream: S,
    correlation: i32,
}

/// A batch that the broker acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Acknowledged {
    /// The offset of its first record.
    pub base_offset: i64,
}

/// What a fetch brought.
#[derive(Clone, Debug, Default)]
pub struct Fetched {
    /// Kafka's error code.
    pub error: i16,
    /// Offset and value of each record.
    pub records: Vec<(i64, Vec<u8>)>,
    /// The high watermark.
    pub high_watermark: i64,
}

impl SimClient {
    /// Connects to `shard`.
    #[must_use]
    pub fn connect(
        env: &SimEnv<ShardMessage>,
        shard: &Shard<World>,
        shard_env: &World,
    ) -> SimClient {
        let (ours, theirs) = stream::pair(env);
        let serving = shard.clone().serve(theirs);
        shard_env.spawn(Group::System, serving);
        Client::over(env.clone(), ours, 0)
    }
}

impl<E: Env, S: Stream> Client<E, S> {
    /// A client that has `stream` for itself. Its requests are numbered from `correlation` on,
    /// exclusive.
    pub fn over(env: E, stream: S, correlation: i32) -> Client<E, S> {
        Client { env, stream, correlation }
    }

    /// The wall clock where the client is.
    pub fn wall_ms(&self) -> i64 {
        self.env.wall_ms()
    }

    /// The number of the last request.
    pub fn correlation(&self) -> i32 {
        self.correlation
    }

    /// Sends `body` and waits for the answer.
    pub async fn ask(
        &mut self,
        key: ApiKey,
        version: i16,
        body: RequestBody,
    ) -> Result<ResponseBody, Disconnected> {
        self.correlation += 1;
        let pool = self.env.pool();
        let parts = wire::encode_request(version, self.correlation, Some("sim"), &body, pool)
            .expect("requests of the tests can be encoded");
        self.stream.write_all(parts).await.map_err(|_| Disconnected)?;
        let frame = self.read_frame().await?;
        let (_, body) = wire::decode_response(key, version, frame).map_err(|_| Disconnected)?;
        Ok(body)
    }

    async fn read_frame(&mut self) -> Result<Sealed, Disconnected> {
        let length = self.read_exactly(4).await?;
        let length = i32::from_be_bytes(length[..4].try_into().expect("four bytes"));
        let length = usize::try_from(length).map_err(|_| Disconnected)?;
        self.read_exactly(length).await
    }

    async fn read_exactly(&mut self, len: usize) -> Result<Sealed, Disconnected> {
        let mut buffer = self.env.pool().buffer(len).expect("clients have memory");
        let mut have = 0;
        while have < len {
            let (read, back) = self.stream.read(buffer, have, len - have).await;
            buffer = back;
            match read {
                Ok(0) | Err(_) => return Err(Disconnected),
                Ok(n) => have += n,
            }
        }
        Ok(buffer.seal(len))
    }

    /// Creates a topic; gives the error code.
    pub async fn create_topic(
        &mut self,
        name: &str,
        partitions: i32,
        configs: &[(&str, &str)],
    ) -> Result<i16, Disconnected> {
        let configs = configs
            .iter()
            .map(|(name, value)| create_topics_request::CreatableTopicConfig {
                name: string(name),
                value: Some(string(value)),
                ..Default::default()
            })
            .collect();
        let topic = create_topics_request::CreatableTopic {
            name: string(name),
            num_partitions: partitions,
            replication_factor: 1,
            configs,
            ..Default::default()
        };
        let request = CreateTopicsRequestData {
            topics: vec![topic],
            timeout_ms: 10_000,
            ..Default::default()
        };
        match self.ask(ApiKey::CreateTopics, 7, request.into()).await? {
            ResponseBody::CreateTopics(answer) => Ok(answer.topics[0].error_code),
            other => panic!("an answer to another request: {:?}", other.key()),
        }
    }

    /// Deletes a topic; gives the error code.
    pub async fn delete_topic(&mut self, name: &str) -> Result<i16, Disconnected> {
        let request = DeleteTopicsRequestData {
            topic_names: vec![string(name)],
            timeout_ms: 10_000,
            ..Default::default()
        };
        match self.ask(ApiKey::DeleteTopics, 5, request.into()).await? {
            ResponseBody::DeleteTopics(answer) => Ok(answer.responses[0].error_code),
            other => panic!("an answer to another request: {:?}", other.key()),
        }
    }

    /// The id of a topic.
    pub async fn topic_id(&mut self, name: &str) -> Result<Option<[u8; 16]>, Disconnected> {
        let request = MetadataRequestData {
            topics: Some(vec![metadata_request::MetadataRequestTopic {
                name: Some(string(name)),
                ..Default::default()
            }]),
            allow_auto_topic_creation: false,
            ..Default::default()
        };
        match self.ask(ApiKey::Metadata, 12, request.into()).await? {
            ResponseBody::Metadata(answer) => Ok(answer
                .topics
                .first()
                .filter(|topic| topic.error_code == 0)
                .map(|topic| topic.topic_id.to_bytes())),
            other => panic!("an answer to another request: {:?}", other.key()),
        }
    }

    /// An idempotent producer's id.
    pub async fn producer_id(&mut self) -> Result<i64, Disconnected> {
        let request = InitProducerIdRequestData {
            transactional_id: None,
            transaction_timeout_ms: 60_000,
            producer_id: -1,
            producer_epoch: -1,
            ..Default::default()
        };
        match self.ask(ApiKey::InitProducerId, 4, request.into()).await? {
            ResponseBody::InitProducerId(answer) => Ok(answer.producer_id),
            other => panic!("an answer to another request: {:?}", other.key()),
        }
    }

    /// Produces one batch with `acks`; `Ok(Err)` is the broker's error.
    pub async fn produce(
        &mut self,
        topic: &str,
        partition: i32,
        batch: Vec<u8>,
        acks: i16,
    ) -> Result<Result<Acknowledged, ErrorCode>, Disconnected> {
        let request = ProduceRequestData {
            acks,
            timeout_ms: 30_000,
            topic_data: vec![produce_request::TopicProduceData {
                name: string(topic),
                partition_data: vec![produce_request::PartitionProduceData {
                    index: partition,
                    records: Some(Bytes::from(batch)),
                    ..Default::default()
                }],
                ..Default::default()
            }],
            ..Default::default()
        };
        match self.ask(ApiKey::Produce, 9, request.into()).await? {
            ResponseBody::Produce(answer) => {
                let answer = &answer.responses[0].partition_responses[0];
                Ok(match ErrorCode::from_code(answer.error_code) {
                    Some(ErrorCode::None) => Ok(Acknowledged { base_offset: answer.base_offset }),
                    Some(code) => Err(code),
                    None => panic!("error code {} does not exist", answer.error_code),
                })
            }
            other => panic!("an answer to another request: {:?}", other.key()),
        }
    }

    /// Fetches from one partition, waiting up to `wait_ms` for a byte.
    pub async fn fetch(
        &mut self,
        topic: [u8; 16],
        partition: i32,
        offset: i64,
        wait_ms: i32,
    ) -> Result<Fetched, Disconnected> {
        let request = FetchRequestData {
            max_wait_ms: wait_ms,
            min_bytes: 1,
            max_bytes: 1 << 20,
            session_epoch: -1,
            topics: vec![fetch_request::FetchTopic {
                topic_id: uuid(topic),
                partitions: vec![fetch_request::FetchPartition {
                    partition,
                    current_leader_epoch: -1,
                    fetch_offset: offset,
                    last_fetched_epoch: -1,
                    log_start_offset: -1,
                    partition_max_bytes: 256 << 10,
                    ..Default::default()
                }],
                ..Default::default()
            }],
            ..Default::default()
        };
        match self.ask(ApiKey::Fetch, 16, request.into()).await? {
            ResponseBody::Fetch(answer) => {
                let Some(found) = answer.topics.first().and_then(|t| t.partitions.first()) else {
                    return Ok(Fetched { error: answer.error_code, ..Fetched::default() });
                };
                let bytes: Vec<u8> = found.records.iter().flat_map(|part| part.to_vec()).collect();
                let records = records_from(&bytes, offset);
                Ok(Fetched {
                    error: found.error_code,
                    records,
                    high_watermark: found.high_watermark,
                })
            }
            other => panic!("an answer to another request: {:?}", other.key()),
        }
    }
}

/// The records in whole batches, from offset `from` on.
fn records_from(bytes: &[u8], from: i64) -> Vec<(i64, Vec<u8>)> {
    let mut records = Vec::new();
    for batch in record::Batches::new(bytes) {
        let (header, batch) = batch.expect("the broker sends whole batches");
        assert!(record::crc_is_right(batch), "the broker sends batches with a right checksum");
        let payload = record::payload(batch, 64 << 20).expect("records can be read");
        for one in record::Records::new(&header, &payload) {
            let one = one.expect("records can be read");
            let offset = header.base_offset.raw() + i64::from(one.offset_delta);
            if from <= offset {
                records.push((offset, one.value.unwrap_or_default().to_vec()));
            }
        }
    }
    records
}
