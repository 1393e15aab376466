//! What the clients of one shard's thread do: they produce to durable, cached, rolling and doomed
//! topics, follow what they can see, and delete a topic.

use std::collections::BTreeMap;

use broker::ShardMessage;
use env::sync::{all, oneshot};
use env::{Env, Group};
use runtime::{ShardEnv, TcpStream};
use sim::client::{Client, Disconnected};
use sim::history::Place;
use sim::load::build;
use sim::random::Random;

use crate::facts::{CACHED, Fact};
use crate::live::Run;

/// Every topic: name, partitions, configs.
type Topic = (&'static str, i32, &'static [(&'static str, &'static str)]);

const DURABLE: &str = "durable";
const ROLLING: &str = "rolling";
const DOOMED: &str = "doomed";

/// What is created, and read after a recovery.
const TOPICS: [Topic; 4] = [
    (DURABLE, 3, &[]),
    (CACHED, 2, &[("write.caching", "true")]),
    (ROLLING, 1, &[("segment.bytes", "1048576")]),
    (DOOMED, 1, &[]),
];

/// Names and partitions of every topic.
pub(crate) fn topics() -> Vec<(&'static str, i32)> {
    TOPICS.iter().map(|(name, partitions, _)| (*name, *partitions)).collect()
}

/// A client and what it needs to note facts.
struct Worker {
    client: Client<ShardEnv<ShardMessage>, TcpStream>,
    run: Run,
    n: i32,
    random: Random,
}

/// Producers of each shard's thread.
const PRODUCERS: i32 = 4;

/// Everything that clients on this shard's thread do. Shard 0 creates the topics.
pub(crate) async fn on_shard(env: &ShardEnv<ShardMessage>, run: &Run) {
    let shard = i32::from(env.shard().0);
    if shard == 0 {
        let mut admin = Worker::connect(env, run, 0).await;
        admin.create_topics().await.expect("nothing ends this connection");
    }
    let mut running = Vec::new();
    for n in 1..=PRODUCERS + 2 {
        let mut worker = Worker::connect(env, run, shard * 100 + n).await;
        let (done, wait) = oneshot();
        env.spawn(Group::Admin, async move {
            let result = match n {
                1 if shard == 0 => worker.big_batches().await,
                1 => worker.doom().await,
                2 => worker.consume().await,
                _ => worker.small_batches().await,
            };
            result.expect("nothing ends this connection");
            done.send(());
        });
        running.push(wait);
    }
    all(running).await;
}

impl Worker {
    async fn connect(env: &ShardEnv<ShardMessage>, run: &Run, n: i32) -> Worker {
        let stream = env.connect(run.addr).await.expect("the broker listens");
        // Numbers of requests are unique in the run.
        let client = Client::over(env.clone(), stream, n << 20);
        let random = Random(run.seed ^ u64::from(n.unsigned_abs()) << 40);
        Worker { client, run: run.clone(), n, random }
    }

    /// Notes what follows from the last answer.
    fn told(&self, fact: Fact) {
        self.run.facts.note(self.run.answers.before(self.client.correlation()), fact);
    }

    /// Notes what is about to be done.
    fn about_to(&self, fact: Fact) {
        self.run.facts.note(self.run.recording.len(), fact);
    }

    async fn create_topics(&mut self) -> Result<(), Disconnected> {
        for (name, partitions, configs) in TOPICS {
            let error = self.client.create_topic(name, partitions, configs).await?;
            assert_eq!(error, 0, "{name} is created");
        }
        Ok(())
    }

    /// Waits until every topic is there.
    async fn ids(&mut self) -> Result<BTreeMap<&'static str, [u8; 16]>, Disconnected> {
        let mut ids = BTreeMap::new();
        for (name, ..) in TOPICS.iter().filter(|topic| topic.0 != DOOMED) {
            loop {
                if let Some(id) = self.client.topic_id(name).await? {
                    ids.insert(*name, id);
                    break;
                }
            }
        }
        Ok(ids)
    }

    async fn small_batches(&mut self) -> Result<(), Disconnected> {
        self.ids().await?;
        for batch in 0..60 {
            let (topic, partitions) = match self.random.below(4) {
                0 => (CACHED, 2),
                _ => (DURABLE, 3),
            };
            let partition = i32::try_from(self.random.below(partitions)).expect("small");
            let records = 1 + self.random.below(3);
            self.produce((topic.to_owned(), partition), batch, records, 900).await?;
        }
        Ok(())
    }

    /// Batches that go straight to segments, which become full.
    async fn big_batches(&mut self) -> Result<(), Disconnected> {
        self.ids().await?;
        for batch in 0..24 {
            let (records, bytes) = if batch % 3 == 2 { (1, 200) } else { (2, 150 << 10) };
            self.produce((ROLLING.to_owned(), 0), batch, records, bytes).await?;
        }
        Ok(())
    }

    async fn doom(&mut self) -> Result<(), Disconnected> {
        while self.client.topic_id(DOOMED).await?.is_none() {}
        for batch in 0..20 {
            self.produce((DOOMED.to_owned(), 0), batch, 2, 600).await?;
        }
        self.about_to(Fact::Deletes(DOOMED.to_owned()));
        let error = self.client.delete_topic(DOOMED).await?;
        assert_eq!(error, 0, "{DOOMED} is deleted");
        self.told(Fact::Deleted(DOOMED.to_owned()));
        Ok(())
    }

    async fn produce(
        &mut self,
        place: Place,
        batch: u32,
        records: u64,
        bytes_max: u64,
    ) -> Result<(), Disconnected> {
        let values: Vec<Vec<u8>> = (0..records)
            .map(|k| {
                let mut value = format!("{}-{batch}-{k}-", self.n).into_bytes();
                let len = bytes_max / 2 + self.random.below(bytes_max / 2);
                value.resize(value.len() + usize::try_from(len).expect("small"), b'.');
                value
            })
            .collect();
        self.about_to(Fact::Sends(place.clone(), values.clone()));
        let built = build((-1, -1), self.client.wall_ms(), &values);
        let answer = self.client.produce(&place.0, place.1, built, -1).await?;
        let base = answer.expect("nothing fails here").base_offset;
        self.told(Fact::Acknowledged(place, base, values));
        Ok(())
    }

    /// Follows the durable and the cached topic until nothing new comes.
    async fn consume(&mut self) -> Result<(), Disconnected> {
        let ids = self.ids().await?;
        let mut next: BTreeMap<Place, i64> = BTreeMap::new();
        let mut quiet = 0;
        while quiet < 15 {
            for (topic, partitions) in [(DURABLE, 3), (CACHED, 2)] {
                for partition in 0..partitions {
                    let place = (topic.to_owned(), partition);
                    let offset = next.entry(place.clone()).or_default();
                    let fetched = self.client.fetch(ids[topic], partition, *offset, 10).await?;
                    assert_eq!(fetched.error, 0, "a fetch of {place:?}");
                    quiet = if fetched.records.is_empty() { quiet + 1 } else { 0 };
                    if let Some((last, _)) = fetched.records.last() {
                        *offset = last + 1;
                    }
                    for (at, value) in fetched.records {
                        self.told(Fact::Saw(place.clone(), at, value));
                    }
                }
            }
        }
        Ok(())
    }
}
