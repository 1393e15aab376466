//! The rounds: write, kill or stop, come back, check.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Duration;

use kit::{Broker, BrokerOptions, Failure, Flavour, Kind, Outcome, Workload, evenkeel_binary};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;

use crate::TOPICS;
use crate::check::Check;
use crate::writer::Writer;

/// Producers at a time.
const WRITERS: u32 = 4;
/// Everything is read again from the beginning in every such round; in the others only what is new.
const WHOLE_EVERY: u32 = 5;

/// What to do.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Shards of the broker.
    pub shards: u32,
    /// Rounds, each with one end of the broker.
    pub rounds: u32,
    /// Where the random numbers begin.
    pub seed: u64,
    /// The data directory; it stays. `None` makes one that goes.
    pub data: Option<PathBuf>,
    /// The same end in every round; `None` for a mixture.
    pub always: Option<End>,
    /// What the offline tools may take, each.
    pub tool_limit: Duration,
}

impl Plan {
    /// The plan of the environment: `CRASH_ROUNDS` (5), `CRASH_SEED` (1), `CRASH_DATA`, and
    /// `CRASH_END`: `kill`, `close`, `stop` or a mixture.
    #[must_use]
    pub fn from_environment(shards: u32) -> Plan {
        let number = |name| std::env::var(name).ok().and_then(|text| text.parse::<u32>().ok());
        let data = std::env::var_os("CRASH_DATA").map(PathBuf::from);
        let always = match std::env::var("CRASH_END").as_deref() {
            Ok("kill") => Some(End::Kill),
            Ok("close") => Some(End::KillAndClose),
            Ok("stop") => Some(End::Stop),
            _ => None,
        };
        Plan {
            shards,
            rounds: number("CRASH_ROUNDS").unwrap_or(5),
            seed: u64::from(number("CRASH_SEED").unwrap_or(1)),
            data: data.map(|dir| dir.join(format!("shards-{shards}"))),
            always,
            tool_limit: Duration::from_secs(120),
        }
    }
}

/// How the broker ends in a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// SIGKILL.
    Kill,
    /// Killed, and the directory is closed by the tool before the next start.
    KillAndClose,
    /// SIGTERM.
    Stop,
}

impl End {
    /// Every tenth round a clean stop, every tenth the tool, unless the plan says otherwise.
    fn of(round: u32, plan: &Plan) -> End {
        match (plan.always, round % 10) {
            (Some(end), _) => end,
            (None, 4) => End::KillAndClose,
            (None, 9) => End::Stop,
            (None, _) => End::Kill,
        }
    }
}

/// Runs the rounds.
///
/// # Errors
/// The first thing that is not as it must be, with the round and the seed.
pub fn run(plan: &Plan, mut say: impl FnMut(String)) -> Outcome<()> {
    let mut options = BrokerOptions::new(Kind::Evenkeel { shards: plan.shards });
    options.data.clone_from(&plan.data);
    let mut broker = Broker::start(options)?;
    create_topics(&broker)?;
    let mut random = Workload::new(plan.seed, Flavour::Noise, 0, 0);
    let mut writers = Vec::new();
    for number in 0..WRITERS {
        writers.push(Writer::new(&broker, number, plan.seed)?);
    }
    let mut retired = Vec::new();
    let mut check = Check::new();
    for round in 0..plan.rounds {
        let end = End::of(round, plan);
        let done = one_round(plan, &mut broker, &mut writers, end, &mut random).and_then(|()| {
            if round % WHOLE_EVERY == WHOLE_EVERY - 1 || round + 1 == plan.rounds {
                check = Check::new();
            }
            let all: Vec<Writer> = retired.drain(..).chain(writers.drain(..)).collect();
            let result = check.catch_up(&broker, &all);
            let active = all.len() - usize::try_from(WRITERS).expect("small");
            retired = all;
            writers = retired.split_off(active);
            result
        });
        done.map_err(|failure| {
            let words = broker.last_words();
            let Plan { shards, seed, .. } = plan;
            let what = format!("round {round} ({end:?}), {shards} shards, seed {seed}");
            Failure::new(format!("{}; the broker said: {words}", failure.during(&what)))
        })?;
        say(format!("round {round} ({end:?}): {} records read", check.records()));
        if round % 3 == 2 {
            let number = WRITERS + round;
            let fresh = Writer::new(&broker, number, plan.seed)?;
            retired.push(writers.remove(0));
            writers.push(fresh);
        }
    }
    broker.stop()
}

/// Takes from a killed broker's directory what it had acknowledged, and gives what the check says then.
///
/// # Errors
/// When it does not come that far. The inner error is what should come: the check finds the loss.
pub fn lose_on_purpose(plan: &Plan) -> Outcome<Outcome<()>> {
    let mut broker = Broker::start(BrokerOptions::new(Kind::Evenkeel { shards: plan.shards }))?;
    create_topics(&broker)?;
    let mut writers = vec![Writer::new(&broker, 1, plan.seed)?];
    let mut random = Workload::new(plan.seed, Flavour::Noise, 0, 0);
    one_round(plan, &mut broker, &mut writers, End::Kill, &mut random)?;
    Check::new().catch_up(&broker, &writers)?;
    broker.kill()?;
    for entry in std::fs::read_dir(broker.data())? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.starts_with("evenkeel-journal-") {
            std::fs::remove_file(&path)?;
        }
        if name == format!("{}-0", TOPICS[0].name) {
            let log = path.join("00000000000000000000.log");
            std::fs::File::options().write(true).open(log)?.set_len(100)?;
        }
    }
    broker.restart()?;
    Ok(Check::of_a_loss().catch_up(&broker, &writers))
}

/// Writes while the broker ends and comes back, then waits until everything is acknowledged.
fn one_round(
    plan: &Plan,
    broker: &mut Broker,
    writers: &mut [Writer],
    end: End,
    random: &mut Workload,
) -> Outcome<()> {
    let stop = AtomicBool::new(false);
    let mut pause = |max_ms| Duration::from_millis(random.below(max_ms));
    let (before, between, after) = (pause(900), pause(40), pause(300));
    let went = thread::scope(|scope| {
        let stop = &stop;
        let running: Vec<_> =
            writers.iter_mut().map(|writer| scope.spawn(move || writer.write(stop))).collect();
        thread::sleep(before);
        let went = take_down(plan, broker, end).and_then(|()| {
            thread::sleep(between);
            broker.restart()
        });
        thread::sleep(after);
        stop.store(true, Ordering::Release);
        let written: Outcome<Vec<()>> =
            running.into_iter().map(|thread| thread.join().expect("no writer panics")).collect();
        went.and(written.map(drop))
    });
    went?;
    writers.iter().try_for_each(Writer::settle)
}

fn take_down(plan: &Plan, broker: &mut Broker, end: End) -> Outcome<()> {
    match end {
        End::Kill => broker.kill(),
        End::Stop => {
            broker.stop()?;
            tool(plan, "verify", broker.data())
        }
        End::KillAndClose => {
            broker.kill()?;
            tool(plan, "verify", broker.data())?;
            tool(plan, "close", broker.data())?;
            tool(plan, "verify", broker.data())
        }
    }
}

/// `evenkeel log VERB DIR`, which must succeed.
fn tool(plan: &Plan, verb: &str, dir: &Path) -> Outcome<()> {
    let mut command = Command::new(evenkeel_binary()?);
    command.args(["log", verb]).arg(dir);
    let finished = kit::run(&mut command, &[], plan.tool_limit)?;
    finished.success().map(drop).map_err(|failure| failure.during(&format!("log {verb}")))
}

fn create_topics(broker: &Broker) -> Outcome<()> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", broker.bootstrap());
    let admin: AdminClient<DefaultClientContext> =
        config.create().map_err(|error| Failure::new(format!("an admin client: {error}")))?;
    let topics: Vec<NewTopic<'_>> = TOPICS
        .iter()
        .map(|topic| {
            let new = NewTopic::new(topic.name, topic.partitions, TopicReplication::Fixed(1));
            topic.configs.iter().fold(new, |new, (name, value)| new.set(name, value))
        })
        .collect();
    let options = AdminOptions::new();
    let answers = wait(admin.create_topics(&topics, &options));
    let answers = answers.map_err(|error| Failure::new(format!("creating topics: {error}")))?;
    match answers.into_iter().find_map(Result::err) {
        // A directory that was kept has them.
        Some((name, code)) => Err(Failure::new(format!("creating {name}: {code}"))),
        None => Ok(()),
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Waits for an answer of the admin client, which completes on librdkafka's own thread.
fn wait<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(value) => return value,
            Poll::Pending => thread::park(),
        }
    }
}
