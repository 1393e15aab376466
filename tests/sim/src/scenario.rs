//! Runs of a whole broker: several incarnations on one disk, the power cut between them.

use std::collections::BTreeMap;
use std::future::Future;
use std::time::Duration;

use broker::{Limits, Options, Shard, ShardMessage};
use env::sim::{DiskOptions, Errno, Fault, Image, Op, Outcome, Sim, SimOptions, Stalls};
use env::sync::{all, oneshot};
use env::{Env, Group, ShardId};
use record::{Builder, Codec};

use crate::client::{Client, Disconnected, World};
use crate::history::{History, Place};

/// How a run goes.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Everything follows from it.
    pub seed: u64,
    /// Shards of the broker.
    pub shards: u16,
    /// Producers, each on a connection of its own.
    pub producers: u16,
    /// Partitions of the one topic.
    pub partitions: i32,
    /// Batches that each producer sends in one incarnation, if nothing stops it.
    pub batches: u32,
    /// Incarnations that end in a power cut.
    pub cuts: u32,
    /// Longest value in bytes; larger ones go straight to segments.
    pub value_bytes_max: usize,
    /// What goes wrong besides.
    pub trouble: Trouble,
}

/// What goes wrong besides the power.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// Nothing.
    None,
    /// The disk stops now and then.
    SlowDisk,
    /// One shard stops now and then.
    SlowShard,
    /// Now and then an operation on the disk fails.
    Errors,
    /// The disk is full after a while.
    Full,
    /// The process dies in place of the power: what was written survives.
    Kill,
}

impl Trouble {
    /// Whether requests may fail without anybody being to blame.
    fn may_fail(self) -> bool {
        matches!(self, Trouble::Errors | Trouble::Full)
    }
}

impl Plan {
    /// The plan of CI for `seed`: two shards, a few clients, cuts at random mutations.
    #[must_use]
    pub fn of_seed(seed: u64) -> Plan {
        let mut random = Random(seed ^ 0x5DEE_CE66_D1CE_4E5B);
        Plan {
            seed,
            shards: 2,
            producers: 3,
            partitions: 3,
            batches: 12,
            cuts: 2,
            value_bytes_max: if random.below(4) == 0 { 200 << 10 } else { 600 },
            trouble: match random.below(10) {
                0 => Trouble::SlowDisk,
                1 => Trouble::SlowShard,
                2 => Trouble::Errors,
                3 => Trouble::Full,
                4 => Trouble::Kill,
                _ => Trouble::None,
            },
        }
    }
}

/// Runs `plan` and checks everything that must hold. Returns a number that is equal for equal
/// runs.
///
/// # Panics
/// If a rule is broken; the message names the seed.
#[must_use]
pub fn run(plan: Plan) -> u64 {
    let history = History::default();
    let mut random = Random(plan.seed);
    let mut image: Option<Image> = None;
    let mut hash = plan.seed;
    for incarnation in 0..plan.cuts {
        let cut_after = 5 + random.below(400);
        let sim = machine(plan, random.draw(), Some(cut_after), image.take());
        disturb(&sim, plan, &mut random);
        let outcome = sim.run(incarnation_of(&sim, plan, incarnation, history.clone()));
        hash = hash.rotate_left(7) ^ sim.trace_hash();
        // Whether it came to the cut or not: the power goes now.
        let (acknowledged, seen) = history.counts();
        println!(
            "seed {} incarnation {incarnation}: {} after {} mutations; {acknowledged} \
             acknowledged, {seen} seen so far",
            plan.seed,
            if outcome.is_cut() { "cut" } else { "done" },
            sim.mutations(),
        );
        image = Some(match plan.trouble {
            Trouble::Kill => sim.kill_process(),
            _ => sim.cut_power(),
        });
    }
    for _ in 0..2 {
        let sim = machine(plan, random.draw(), None, image.take());
        match sim.run(read_everything(&sim, plan, history.clone())) {
            Outcome::Done(()) => {}
            Outcome::Cut => unreachable!("no cut was asked for"),
        }
        hash = hash.rotate_left(7) ^ sim.trace_hash();
        image = Some(match plan.trouble {
            // What was only written may go with the power, also after a restart.
            Trouble::Kill => sim.kill_process(),
            _ => sim.cut_power(),
        });
    }
    hash
}

fn machine(
    plan: Plan,
    seed: u64,
    cut_after_mutations: Option<u64>,
    image: Option<Image>,
) -> Sim<ShardMessage> {
    let stalls = Stalls { per_mille: 20, longest: Duration::from_millis(200) };
    let options = SimOptions {
        shards: plan.shards,
        memory_bytes: 16 << 20,
        time_max: Duration::from_secs(600),
        cut_after_mutations,
        slow_shard: (plan.trouble == Trouble::SlowShard).then_some((ShardId(1), stalls)),
        disk: DiskOptions {
            stalls: (plan.trouble == Trouble::SlowDisk).then_some(stalls),
            ..DiskOptions::default()
        },
        ..SimOptions::default()
    };
    match image {
        None => Sim::new(seed, options),
        Some(image) => Sim::restart(seed, options, image),
    }
}

/// Lets operations of the disk fail, as the plan says. A failing flush of a directory is left
/// out: it dooms what others did in that directory, which no broker could tell them.
fn disturb(sim: &Sim<ShardMessage>, plan: Plan, random: &mut Random) {
    let mut fail = |op, errno| {
        sim.disk().inject(Fault::of(op, errno).from_nth(20 + random.below(300)).per_mille(30));
    };
    match plan.trouble {
        Trouble::Errors => {
            for op in [Op::Write, Op::Sync, Op::Read, Op::Open, Op::Allocate, Op::SetLen] {
                fail(op, Errno::Eio);
            }
        }
        Trouble::Full => {
            for op in [Op::Write, Op::Allocate, Op::Open] {
                fail(op, Errno::Enospc);
            }
        }
        _ => {}
    }
}

/// The broker's shards, begun; `None` if one of them cannot.
pub async fn start(sim: &Sim<ShardMessage>, shards: u16) -> Option<Vec<(Shard<World>, World)>> {
    let (done, mut began) = oneshot();
    let mut done = Some(done);
    let mut starting: Vec<_> = (0..shards)
        .map(|shard| {
            let env = sim.env(ShardId(shard));
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

fn options() -> Options {
    Options {
        node_id: 1,
        advertised_host: "sim".to_owned(),
        advertised_port: 9092,
        log_dir: "/sim".to_owned(),
        configs: BTreeMap::new(),
        limits: Limits { requests_in_flight: 8, journal_file_bytes: 128 << 10, journal_files: 3 },
    }
}

const TOPIC: &str = "records";

async fn incarnation_of(sim: &Sim<ShardMessage>, plan: Plan, incarnation: u32, history: History) {
    let Some(shards) = start(sim, plan.shards).await else {
        assert!(plan.trouble.may_fail(), "seed {}: the broker does not start", plan.seed);
        return;
    };
    let connect = |n: u16| {
        let (shard, env) = &shards[usize::from(n % plan.shards)];
        Client::connect(&sim.client_env(), shard, env)
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
}

struct Producer {
    plan: Plan,
    n: u16,
    incarnation: u32,
    history: History,
}

impl Producer {
    async fn run(self, mut client: Client) -> Result<(), Disconnected> {
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
            let bytes = build(id, *sequence, &values);
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

fn build(producer: i64, sequence: i32, values: &[Vec<u8>]) -> Vec<u8> {
    let mut builder = Builder::new(Codec::None);
    builder.producer(producer, 0, sequence);
    for value in values {
        builder.record(-1, None, Some(value), &[]);
    }
    builder.build()
}

/// Follows every partition until nothing new comes for a while.
async fn consume(
    mut client: Client,
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

/// Reads every partition of a recovered broker and holds it against the history.
async fn read_everything(sim: &Sim<ShardMessage>, plan: Plan, history: History) {
    let shards = start(sim, plan.shards).await.expect("it starts on whatever is left");
    let (shard, env) = &shards[0];
    let mut client = Client::connect(&sim.client_env(), shard, env);
    let connected = "nothing ends this connection";
    let Some(topic) = client.topic_id(TOPIC).await.expect(connected) else {
        assert_eq!(history.counts(), (0, 0), "seed {}: the topic is gone", plan.seed);
        return;
    };
    for partition in 0..plan.partitions {
        let mut offset = 0;
        let mut found = Vec::new();
        loop {
            let fetched = client.fetch(topic, partition, offset, 0).await.expect(connected);
            assert_eq!(fetched.error, 0, "seed {}: fetch from {offset}", plan.seed);
            let Some((last, _)) = fetched.records.last() else {
                assert_eq!(fetched.high_watermark, offset, "all that is visible was read");
                break;
            };
            offset = last + 1;
            found.extend(fetched.records);
        }
        history.check(&(TOPIC.to_owned(), partition), &found);
    }
}

/// SplitMix64: the tests' own randomness, apart from the simulation's.
#[derive(Clone, Copy, Debug)]
pub struct Random(pub u64);

impl Random {
    /// The next 64 bits.
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.draw() % bound.max(1)
    }
}
