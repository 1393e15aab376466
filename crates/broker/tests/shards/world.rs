//! A simulated broker whose messages and spawned tasks are counted, and a client for it.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::future::Future;
use std::rc::Rc;
use std::time::Duration;

use buf::{Pool, Sealed};
use env::sim::{Sim, SimDisk, SimEnv, SimOptions, SimStream, stream};
use env::sync::all;
use env::{Env, Envelope, Group, Mesh, Nanos, ShardId, Stream};
use evenkeel_broker::{Limits, Options, Shard, ShardMessage};
use wire::messages::{
    Bytes, CreateTopicsRequestData, FetchRequestData, MetadataRequestData, ProduceRequestData,
    create_topics_request, fetch_request, metadata_request, produce_request, string, uuid,
};
use wire::{ApiKey, RequestBody, ResponseBody};

/// What the shards did since the last [`Counts::clear`].
#[derive(Default)]
pub(crate) struct Counts {
    /// Messages: from, to, in which group.
    pub(crate) sent: RefCell<Vec<(ShardId, ShardId, Group)>>,
    /// Tasks: on which shard, in which group.
    pub(crate) spawned: RefCell<Vec<(ShardId, Group)>>,
}

impl Counts {
    pub(crate) fn clear(&self) {
        self.sent.borrow_mut().clear();
        self.spawned.borrow_mut().clear();
    }
}

/// A simulated shard that counts.
#[derive(Clone)]
pub(crate) struct Counted {
    inner: SimEnv<ShardMessage>,
    counts: Rc<Counts>,
}

impl Env for Counted {
    type Disk = SimDisk;

    fn disk(&self) -> &SimDisk {
        self.inner.disk()
    }

    fn pool(&self) -> &Pool {
        self.inner.pool()
    }

    fn shard(&self) -> ShardId {
        self.inner.shard()
    }

    fn shards(&self) -> u16 {
        self.inner.shards()
    }

    fn now(&self) -> Nanos {
        self.inner.now()
    }

    fn wall_ms(&self) -> i64 {
        self.inner.wall_ms()
    }

    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> {
        self.inner.sleep(duration)
    }

    fn yield_if_needed(&self) -> impl Future<Output = ()> {
        self.inner.yield_if_needed()
    }

    fn spawn(&self, group: Group, task: impl Future<Output = ()> + 'static) {
        self.counts.spawned.borrow_mut().push((self.shard(), group));
        self.inner.spawn(group, task);
    }

    fn random(&self) -> u64 {
        self.inner.random()
    }
}

impl Mesh<ShardMessage> for Counted {
    fn send(&self, to: ShardId, envelope: Envelope<ShardMessage>) -> impl Future<Output = ()> {
        self.counts.sent.borrow_mut().push((self.shard(), to, envelope.group));
        self.inner.send(to, envelope)
    }

    fn receive(&self) -> impl Future<Output = Envelope<ShardMessage>> {
        self.inner.receive()
    }
}

/// A broker of two shards with 16 MiB each.
pub(crate) struct Cluster<'a> {
    pub(crate) sim: &'a Sim<ShardMessage>,
    pub(crate) shards: Vec<(Shard<Counted>, Counted)>,
    pub(crate) counts: Rc<Counts>,
}

/// Runs `scenario` on a broker that has started.
pub(crate) fn on_two_shards(seed: u64, scenario: impl AsyncFnOnce(Cluster<'_>)) {
    let options = SimOptions {
        shards: 2,
        memory_bytes: 16 << 20,
        time_max: Duration::from_secs(600),
        ..SimOptions::default()
    };
    let sim = Sim::new(seed, options);
    let run = async {
        let counts = Rc::new(Counts::default());
        let envs: Vec<Counted> = (0..2)
            .map(|shard| Counted { inner: sim.env(ShardId(shard)), counts: Rc::clone(&counts) })
            .collect();
        let starting =
            envs.iter().map(|env| evenkeel_broker::start(env.clone(), options_of_broker()));
        let shards =
            all(starting.collect()).await.into_iter().map(|shard| shard.expect("it starts"));
        let shards = shards.zip(envs).collect();
        scenario(Cluster { sim: &sim, shards, counts }).await;
    };
    sim.run(run).done();
}

fn options_of_broker() -> Options {
    Options {
        node_id: 1,
        advertised_host: "sim".to_owned(),
        advertised_port: 9092,
        log_dir: "/sim".to_owned(),
        configs: BTreeMap::new(),
        limits: Limits {
            requests_in_flight: 8,
            produces_in_flight: 8,
            journal_file_bytes: 1 << 20,
            journal_files: 3,
        },
    }
}

impl Cluster<'_> {
    /// A connection to one shard.
    pub(crate) fn connect(&self, shard: usize) -> Client {
        let env = self.sim.client_env();
        let (ours, theirs) = stream::pair(&env);
        let (served, on) = &self.shards[shard];
        on.inner.spawn(Group::System, served.clone().serve(theirs));
        Client { env, stream: ours, correlation: 0 }
    }

    /// Bytes handed out by a shard's pool.
    pub(crate) fn used(&self, shard: usize) -> usize {
        let pool = self.shards[shard].1.pool();
        pool.collect();
        pool.used()
    }

    /// Bytes copied on all shards.
    pub(crate) fn copied(&self) -> u64 {
        self.shards.iter().map(|(_, env)| env.pool().copied()).sum()
    }
}

/// One connection.
pub(crate) struct Client {
    env: SimEnv<ShardMessage>,
    pub(crate) stream: SimStream,
    correlation: i32,
}

impl Client {
    /// Sends `body` and waits for the answer; `None` at the end of the connection.
    pub(crate) async fn ask(
        &mut self,
        key: ApiKey,
        version: i16,
        body: RequestBody,
    ) -> Option<ResponseBody> {
        self.correlation += 1;
        let pool = self.env.pool();
        let parts = wire::encode_request(version, self.correlation, Some("t"), &body, pool);
        self.stream.write_all(parts.expect("it can be encoded")).await.ok()?;
        let frame = self.hear().await?;
        Some(wire::decode_response(key, version, frame).expect("an answer").1)
    }

    /// The next answer without its length; `None` at the end of the connection.
    pub(crate) async fn hear(&mut self) -> Option<Sealed> {
        let length = self.read_exactly(4).await?;
        let length = i32::from_be_bytes(length[..4].try_into().expect("four bytes"));
        self.read_exactly(usize::try_from(length).expect("a length")).await
    }

    async fn read_exactly(&mut self, len: usize) -> Option<Sealed> {
        let mut buffer = self.env.pool().buffer(len).expect("clients have memory");
        let mut have = 0;
        while have < len {
            let (read, back) = self.stream.read(buffer, have, len - have).await;
            buffer = back;
            match read {
                Ok(0) | Err(_) => return None,
                Ok(n) => have += n,
            }
        }
        Some(buffer.seal(len))
    }

    /// Sends bytes as they are.
    pub(crate) async fn say(&self, bytes: &[u8]) {
        let mut buffer = self.env.pool().buffer(bytes.len()).expect("clients have memory");
        buffer.as_mut_slice()[..bytes.len()].copy_from_slice(bytes);
        // A connection that was ended shows when something is read.
        drop(self.stream.write_all(vec![buffer.seal(bytes.len())]).await);
    }

    /// Creates a topic and gives its id.
    pub(crate) async fn topic(&mut self, name: &str, partitions: i32) -> [u8; 16] {
        self.topic_with(name, partitions, &[]).await
    }

    /// The same, with settings of its own.
    pub(crate) async fn topic_with(
        &mut self,
        name: &str,
        partitions: i32,
        configs: &[(&str, &str)],
    ) -> [u8; 16] {
        let config = |(name, value): &(&str, &str)| create_topics_request::CreatableTopicConfig {
            name: string(name),
            value: Some(string(value)),
            ..Default::default()
        };
        let topic = create_topics_request::CreatableTopic {
            name: string(name),
            num_partitions: partitions,
            replication_factor: 1,
            configs: configs.iter().map(config).collect(),
            ..Default::default()
        };
        let topics = vec![topic];
        let request = CreateTopicsRequestData { topics, timeout_ms: 9_000, ..Default::default() };
        self.ask(ApiKey::CreateTopics, 7, request.into()).await.expect("an answer");
        let request = MetadataRequestData {
            topics: Some(vec![metadata_request::MetadataRequestTopic {
                name: Some(string(name)),
                ..Default::default()
            }]),
            ..Default::default()
        };
        match self.ask(ApiKey::Metadata, 12, request.into()).await {
            Some(ResponseBody::Metadata(answer)) => answer.topics[0].topic_id.to_bytes(),
            _ => panic!("no answer"),
        }
    }

    /// Produces one batch; the error code.
    pub(crate) async fn produce(
        &mut self,
        topic: &str,
        partition: i32,
        batch: &[u8],
    ) -> Option<i16> {
        let request = produce_of(topic, partition, batch);
        match self.ask(ApiKey::Produce, 9, request.into()).await? {
            ResponseBody::Produce(answer) => {
                Some(answer.responses[0].partition_responses[0].error_code)
            }
            _ => panic!("an answer to another request"),
        }
    }

    /// The bytes of a produce of one batch.
    pub(crate) fn encoded(&self, topic: &str, partition: i32, batch: &[u8]) -> Vec<u8> {
        let body = produce_of(topic, partition, batch).into();
        let parts = wire::encode_request(9, 1, Some("t"), &body, self.env.pool());
        parts.expect("it can be encoded").iter().flat_map(|part| part.to_vec()).collect()
    }

    /// Asks for one partition from its beginning, and does not wait for the answer.
    pub(crate) async fn ask_to_fetch(&self, topic: [u8; 16], partition: i32) {
        let body = fetch_of(topic, partition).into();
        let parts = wire::encode_request(16, 1, Some("t"), &body, self.env.pool());
        drop(self.stream.write_all(parts.expect("it can be encoded")).await);
    }

    /// Fetches one partition from its beginning; the bytes of its records.
    pub(crate) async fn fetch(&mut self, topic: [u8; 16], partition: i32) -> usize {
        let request = fetch_of(topic, partition);
        match self.ask(ApiKey::Fetch, 16, request.into()).await {
            Some(ResponseBody::Fetch(answer)) => {
                answer.topics[0].partitions[0].records.iter().map(|part| part.len()).sum()
            }
            _ => panic!("no answer"),
        }
    }
}

fn produce_of(topic: &str, partition: i32, batch: &[u8]) -> ProduceRequestData {
    ProduceRequestData {
        acks: -1,
        timeout_ms: 30_000,
        topic_data: vec![produce_request::TopicProduceData {
            name: string(topic),
            partition_data: vec![produce_request::PartitionProduceData {
                index: partition,
                records: Some(Bytes::copy_from_slice(batch)),
                ..Default::default()
            }],
            ..Default::default()
        }],
        ..Default::default()
    }
}

fn fetch_of(topic: [u8; 16], partition: i32) -> FetchRequestData {
    FetchRequestData {
        max_wait_ms: 100,
        min_bytes: 1,
        max_bytes: 1 << 20,
        session_epoch: -1,
        topics: vec![fetch_request::FetchTopic {
            topic_id: uuid(topic),
            partitions: vec![fetch_request::FetchPartition {
                partition,
                current_leader_epoch: -1,
                last_fetched_epoch: -1,
                log_start_offset: -1,
                partition_max_bytes: 1 << 20,
                ..Default::default()
            }],
            ..Default::default()
        }],
        ..Default::default()
    }
}
