//! What clients do in one incarnation of a broker: producers, and a consumer that follows them.

use std::collections::BTreeMap;

use broker::ShardMessage;
use env::sim::Sim;
use env::sync::{all, oneshot};
use env::{Env, Group};
use record::{Builder, Codec};

use crate::client::{Disconnected, SimClient};
use crate::history::{History, Place};
use crate::plan::{Plan, Trouble};
use crate::random::Random;
use crate::recovered::start;

/// The one topic.
pub const TOPIC: &str = "records";

/// Starts the broker, lets producers and a consumer work, and ends when they are done or cannot
/// go on.
///
/// # Panics
/// If the broker refuses what it should not.
pub async fn incarnation_of(
    sim: &Sim<ShardMessage>,
    plan: Plan,
    incarnation: u32,
    history: History,
) {
    let Some(shards) = start(sim, plan.rule).await else {
        assert!(plan.trouble.may_fail(), "seed {}: the broker does not start", plan.seed);
        return;
    };
    let connect = |n: u16| {
        let (shard, env) = &shards[usize::from(n % plan.shards)];
        SimClient::connect(&sim.client_env(), shard, env)
    };
    let mut admin = connect(0);
    // The topic may be there from an earlier incarnation.
    // A written record survives the death of the process, though not of the machine.
    let caching = plan.trouble == Trouble::Kill && plan.seed.is_multiple_of(2);
    let configs: &[(&str, &str)] = if caching { &[("write.caching", "true")] } else { &[] };
    let _ = admin.create_topic(TOPIC, plan.partitions, configs).await;
    let Ok(Some(topic)) = admin.topic_id(TOPIC).await else { return };
    let mut running = Vec::new();
    for n in 0..plan.producers {
        let (done, wait) = oneshot();
        let client = connect(n);
        let producer = Producer { plan, n, incarnation, history: history.clone() };
        sim.client_env().spawn(Group::Produce, async move {
            let _ = producer.run(client).await;
            done.send(());
        });
        running.push(wait);
    }
    let (done, wait) = oneshot();
    let consumer = connect(plan.producers);
    let seen = history.clone();
    sim.client_env().spawn(Group::Fetch, async move {
        let _ = consume(consumer, plan, topic, seen).await;
        done.send(());
    });
    running.push(wait);
    all(running).await;
    if plan.stops {
        let leader = shards.iter().map(|(shard, _)| shard).find(|shard| shard.leads());
        let stopped = leader.expect("shard 0 leads").stop().await;
        assert!(stopped.is_ok() || plan.trouble.may_fail(), "seed {}: {stopped:?}", plan.seed);
    }
}

struct Producer {
    plan: Plan,
    n: u16,
    incarnation: u32,
    history: History,
}

impl Producer {
    async fn run(self, mut client: SimClient) -> Result<(), Disconnected> {
        let mut random =
            Random(self.plan.seed ^ (u64::from(self.n) << 32) ^ u64::from(self.incarnation));
        let id = client.producer_id().await?;
        let mut sequences: BTreeMap<i32, i32> = BTreeMap::new();
        for batch in 0..self.plan.batches {
            let partitions = u64::from(self.plan.partitions.unsigned_abs());
            let partition = i32::try_from(random.below(partitions)).expect("small");
            let values: Vec<Vec<u8>> =
                (0..=random.below(3)).map(|k| self.value(batch, k, &mut random)).collect();
            let sequence = sequences.entry(partition).or_default();
            let timestamp_ms = if self.plan.timestamps { client.wall_ms() } else { -1 };
            let bytes = build((id, *sequence), timestamp_ms, &values);
            *sequence += i32::try_from(values.len()).expect("small");
            let place: Place = (TOPIC.to_owned(), partition);
            self.history.sends(&place, &values);
            match client.produce(TOPIC, partition, bytes, -1).await? {
                Ok(acknowledged) => {
                    self.history.acknowledged(&place, acknowledged.base_offset, &values);
                }
                Err(code) if self.plan.trouble.may_fail() => {
                    // Unknown from here on: a producer that goes on needs a new id.
                    println!("a batch of producer {} failed: {code}", self.n);
                    return Ok(());
                }
                Err(code) => panic!("seed {}: produce failed with {code}", self.plan.seed),
            }
        }
        Ok(())
    }

    fn value(&self, batch: u32, k: u64, random: &mut Random) -> Vec<u8> {
        let mut value = format!("{}.{}-{batch}-{k}-", self.n, self.incarnation).into_bytes();
        let len = random.below(self.plan.value_bytes_max as u64);
        value.resize(value.len() + usize::try_from(len).expect("small"), b'.');
        value
    }
}

/// A batch of `values` of a producer with its sequence, both -1 for one that is not idempotent.
#[must_use]
pub fn build((producer, sequence): (i64, i32), timestamp_ms: i64, values: &[Vec<u8>]) -> Vec<u8> {
    let mut builder = Builder::new(Codec::None);
    builder.producer(producer, 0, sequence);
    for value in values {
        builder.record(timestamp_ms, None, Some(value), &[]);
    }
    builder.build()
}

/// Follows every partition until nothing new comes for a while.
async fn consume(
    mut client: SimClient,
    plan: Plan,
    topic: [u8; 16],
    history: History,
) -> Result<(), Disconnected> {
    let mut next: BTreeMap<i32, i64> = BTreeMap::new();
    let mut quiet = 0;
    while quiet < 3 * plan.partitions {
        for partition in 0..plan.partitions {
            let offset = next.entry(partition).or_default();
            let fetched = client.fetch(topic, partition, *offset, 20).await?;
            if plan.trouble.may_fail() && fetched.error != 0 {
                return Ok(());
            }
            assert_eq!(fetched.error, 0, "seed {}: fetch from {offset}", plan.seed);
            quiet = if fetched.records.is_empty() { quiet + 1 } else { 0 };
            for (at, value) in fetched.records {
                history.saw(&(TOPIC.to_owned(), partition), at, &value);
                *offset = at + 1;
            }
        }
    }
    Ok(())
}
