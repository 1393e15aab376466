//! One run of one scenario on one broker.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

use kit::{
    Broker, BrokerOptions, Failure, KafkaTuning, Kind, Outcome, first_acknowledgement, thread_time,
};

use super::scenario::{Act, Scenario};

/// Figures by name.
pub(crate) type Figures = BTreeMap<String, f64>;

/// The longest that one run of the generator may take.
const LOAD_LIMIT: Duration = Duration::from_secs(600);

/// One run: a new directory, a new process.
#[derive(Debug)]
pub(crate) struct Run<'a> {
    pub(crate) scenario: &'a Scenario,
    pub(crate) kind: Kind,
    /// The generator's binary.
    pub(crate) load: &'a Path,
}

impl Run<'_> {
    /// Does it.
    ///
    /// # Errors
    /// When the broker or the generator fails.
    pub(crate) fn figures(&self) -> Outcome<Figures> {
        // What an earlier run left to be written belongs to no figure of this one.
        kit::run(&mut Command::new("sync"), b"", Duration::from_secs(120))?;
        let mut broker = Broker::start(self.options())?;
        let figures = match self.scenario.act {
            Act::StartUp => start_up(&broker),
            Act::Idle => self.idle(&broker),
            Act::Load => self.run_load(&broker),
            Act::Restart => self.restart(&mut broker),
        };
        figures.map_err(|failure| {
            Failure::new(format!("{failure}; the broker says: {}", broker.last_words()))
        })
    }

    fn options(&self) -> BrokerOptions {
        let mut options = BrokerOptions::new(self.kind);
        options.tuning = KafkaTuning::Measured;
        options
    }

    fn idle(&self, broker: &Broker) -> Outcome<Figures> {
        let times = self.scenario.idle;
        thread::sleep(Duration::from_secs(times.settle_s));
        let pid = broker.pid()?;
        let before = thread_time(pid)?;
        thread::sleep(Duration::from_secs(times.window_s));
        let used = thread_time(pid)?.saturating_sub(before);
        let window = Duration::from_secs(times.window_s);
        let mut figures = Figures::new();
        figures.insert("resident_mb".to_owned(), megabytes(broker.resident_bytes()?));
        let percent = 100.0 * used.as_secs_f64() / window.as_secs_f64();
        figures.insert("cpu_percent".to_owned(), percent);
        Ok(figures)
    }

    fn run_load(&self, broker: &Broker) -> Outcome<Figures> {
        let mut plan = self.scenario.load.clone();
        let configs = match self.kind {
            Kind::Kafka => &self.scenario.topic.kafka,
            Kind::Evenkeel { .. } => &self.scenario.topic.evenkeel,
        };
        plan.insert("configs".to_owned(), configs.clone().into());
        let plan = serde_json::to_string(&plan).map_err(|error| Failure::new(error.to_string()))?;
        let mut load = Command::new(self.load);
        load.args(["--bootstrap", &broker.bootstrap(), "--pid", &broker.pid()?.to_string()]);
        load.arg(plan);
        let finished = kit::run(&mut load, b"", LOAD_LIMIT)?.success()?;
        serde_json::from_slice(&finished.stdout)
            .map_err(|error| Failure::new(format!("the generator printed no figures: {error}")))
    }

    fn restart(&self, broker: &mut Broker) -> Outcome<Figures> {
        let filled = self.run_load(broker)?;
        broker.kill()?;
        drop_page_cache()?;
        broker.restart()?;
        let mut figures = start_up(broker)?;
        figures.insert("filled_mb_per_s".to_owned(), filled["mb_per_s"]);
        Ok(figures)
    }
}

fn start_up(broker: &Broker) -> Outcome<Figures> {
    let acknowledged = first_acknowledgement(broker)?;
    let mut figures = Figures::new();
    let milliseconds = |time: Duration| time.as_secs_f64() * 1_000.0;
    figures.insert("first_answer_ms".to_owned(), milliseconds(broker.answered_after()));
    figures.insert("first_acknowledgement_ms".to_owned(), milliseconds(acknowledged));
    figures.insert("cpu_until_then_s".to_owned(), broker.cpu()?.total_s());
    Ok(figures)
}

fn megabytes(bytes: u64) -> f64 {
    // Whole kilobytes first: they fit a number that converts exactly.
    f64::from(u32::try_from(bytes / 1_000).unwrap_or(u32::MAX)) / 1_000.0
}

/// Writes out everything and empties the page cache, so that a restart reads from the device.
fn drop_page_cache() -> Outcome<()> {
    kit::run(&mut Command::new("sync"), b"", Duration::from_secs(120))?;
    fs::write("/proc/sys/vm/drop_caches", "3")
        .map_err(|error| Failure::new(format!("dropping the page cache (needs root): {error}")))
}
