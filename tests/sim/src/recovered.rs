//! Starting a broker on whatever is left, and reading everything that it has.

use std::collections::BTreeMap;
use std::future::Future;

use broker::{Limits, Options, Shard, ShardMessage};
use env::sim::Sim;
use env::sync::oneshot;
use env::{Env, ShardId};

use crate::broken::Rule;
use crate::client::{SimClient, World};
use crate::history::Place;

/// The broker's shards, begun; `None` if one of them cannot.
pub async fn start(sim: &Sim<ShardMessage>, rule: Rule) -> Option<Vec<(Shard<World>, World)>> {
    let (done, mut began) = oneshot();
    let mut done = Some(done);
    let shards = sim.env(ShardId(0)).shards();
    let mut starting: Vec<_> = (0..shards)
        .map(|shard| {
            let env = World::new(sim.env(ShardId(shard)), rule);
            Box::pin(async move { (broker::start(env.clone(), options()).await, env) })
        })
        .collect();
    // A shard whose leader cannot start waits for ever: the first refusal ends the wait.
    let mut found = Vec::new();
    std::future::poll_fn(move |context| {
        starting.retain_mut(|one| match one.as_mut().poll(context) {
            std::task::Poll::Ready((Ok(shard), env)) => {
                found.push((shard, env));
                false
            }
            std::task::Poll::Ready((Err(why), _)) => {
                println!("a shard does not start: {why}");
                if let Some(done) = done.take() {
                    done.send(None);
                }
                false
            }
            std::task::Poll::Pending => true,
        });
        if starting.is_empty()
            && let Some(done) = done.take()
        {
            done.send(Some(std::mem::take(&mut found)));
        }
        std::pin::Pin::new(&mut began).poll(context)
    })
    .await
    .flatten()
}

/// What the broker of every run is told: journals so small that they are soon full.
#[must_use]
pub fn options() -> Options {
    Options {
        node_id: 1,
        advertised_host: "sim".to_owned(),
        advertised_port: 9092,
        log_dir: "/sim".to_owned(),
        configs: BTreeMap::new(),
        limits: Limits {
            requests_in_flight: 8,
            produces_in_flight: 16,
            journal_file_bytes: 128 << 10,
            journal_files: 3,
        },
    }
}

/// Everything that a broker has: offset and value of each record, by place.
pub type Recovered = BTreeMap<Place, Vec<(i64, Vec<u8>)>>;

/// Starts on whatever is left and reads every partition of `topics`, given with their numbers of
/// partitions. A topic that is not there is left out.
///
/// # Panics
/// If it does not start or does not answer.
pub async fn read_everything(
    sim: &Sim<ShardMessage>,
    rule: Rule,
    topics: &[(&str, i32)],
) -> Recovered {
    let shards = start(sim, rule).await.expect("it starts on whatever is left");
    let (shard, env) = &shards[0];
    let mut client = SimClient::connect(&sim.client_env(), shard, env);
    let mut recovered = Recovered::new();
    for (name, partitions) in topics {
        let id = client.topic_id(name).await.expect("nothing ends this connection");
        let Some(id) = id else { continue };
        for partition in 0..*partitions {
            let found = read_partition(&mut client, id, partition).await;
            recovered.insert(((*name).to_owned(), partition), found);
        }
    }
    recovered
}

async fn read_partition(
    client: &mut SimClient,
    topic: [u8; 16],
    partition: i32,
) -> Vec<(i64, Vec<u8>)> {
    let mut offset = 0;
    let mut found = Vec::new();
    loop {
        let fetched = client.fetch(topic, partition, offset, 0).await;
        let fetched = fetched.expect("nothing ends this connection");
        assert_eq!(fetched.error, 0, "fetch of partition {partition} from {offset}");
        let Some((last, _)) = fetched.records.last() else {
            assert_eq!(fetched.high_watermark, offset, "all that is visible was read");
            return found;
        };
        offset = last + 1;
        found.extend(fetched.records);
    }
}
