//! A broker under siege: the attack runs while another client goes on, and both are judged.

use std::fs;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use kit::{Broker, BrokerOptions, Failure, Kind, Outcome};

use crate::{Batch, Heard, Line, api_versions, metadata, produce_error};

/// The witness's own topic.
const TOPIC: &str = "witness";
/// How long one request of the witness may take on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(5);
/// Between two requests of the witness.
const PAUSE: Duration = Duration::from_millis(10);

/// Resident memory of a process now, in bytes.
///
/// # Errors
/// When it does not run.
pub fn memory_bytes(pid: u32) -> Outcome<u64> {
    status_bytes(pid, "VmRSS:")
}

/// The most resident memory that a process ever had, in bytes.
///
/// # Errors
/// When it does not run.
pub fn memory_peak_bytes(pid: u32) -> Outcome<u64> {
    status_bytes(pid, "VmHWM:")
}

fn status_bytes(pid: u32, name: &str) -> Outcome<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let kib = text.lines().find_map(|line| line.strip_prefix(name)?.trim().strip_suffix(" kB"));
    let kib: Option<u64> = kib.and_then(|kib| kib.trim().parse().ok());
    kib.map(|kib| kib * 1024).ok_or_else(|| Failure::new(format!("no {name} of {pid}")))
}

/// A broker with a witness.
#[derive(Debug)]
pub struct Besieged {
    broker: Broker,
    over: Arc<AtomicBool>,
    witness: Option<JoinHandle<Outcome<u64>>>,
}

impl Besieged {
    /// Starts a broker with two shards, or `HOSTILE_SHARDS`, and `memory_mib` of memory, and a client
    /// that produces to it until [`relieve`](Besieged::relieve).
    ///
    /// # Errors
    /// When the broker does not start or does not serve.
    pub fn start(memory_mib: u32) -> Outcome<Besieged> {
        let wanted = std::env::var("HOSTILE_SHARDS").ok().and_then(|text| text.parse().ok());
        let mut options = BrokerOptions::new(Kind::Evenkeel { shards: wanted.unwrap_or(2) });
        options.extra = vec!["--memory".to_owned(), memory_mib.to_string()];
        let broker = Broker::start(options)?;
        make_topic(broker.address(), TOPIC)?;
        let over = Arc::new(AtomicBool::new(false));
        let address = broker.address();
        let end = Arc::clone(&over);
        let witness = Some(thread::spawn(move || bear_witness(address, &end)));
        Ok(Besieged { broker, over, witness })
    }

    /// The broker.
    #[must_use]
    pub fn broker(&self) -> &Broker {
        &self.broker
    }

    /// A new connection.
    ///
    /// # Errors
    /// When it is not accepted.
    pub fn line(&self) -> Outcome<Line> {
        Line::open(self.broker.address())
    }

    /// Creates a topic with one partition, and waits until it takes records.
    ///
    /// # Errors
    /// When it does not come to be.
    pub fn topic(&self, name: &str) -> Outcome<()> {
        make_topic(self.broker.address(), name)
    }

    /// Resident memory now, in bytes.
    ///
    /// # Errors
    /// When the broker does not run any more.
    pub fn memory(&self) -> Outcome<u64> {
        memory_bytes(self.broker.pid()?)
    }

    /// The most resident memory so far, in bytes.
    ///
    /// # Errors
    /// When the broker does not run any more.
    pub fn memory_peak(&self) -> Outcome<u64> {
        memory_peak_bytes(self.broker.pid()?)
    }

    /// The attack is over: the witness must have been served all the time, the broker must still
    /// run, have said nothing of a panic, and stop cleanly.
    ///
    /// # Errors
    /// What was not so.
    pub fn relieve(mut self) -> Outcome<()> {
        self.over.store(true, Ordering::Release);
        let witness = self.witness.take().expect("it is taken once");
        let served = witness.join().map_err(|_| Failure::new("the witness panicked"))?;
        let served = served.map_err(|failure| failure.during("witness"));
        let errors = self.broker.errors();
        if errors.contains("panicked") {
            return Err(Failure::new(format!("it panicked: {}", kit::tail(&errors, 8))));
        }
        served?;
        self.broker.stop()
    }
}

fn make_topic(address: SocketAddr, name: &str) -> Outcome<()> {
    let started = Instant::now();
    let mut line = Line::open(address)?;
    let batch = Batch::of(&[b"first"]).bytes();
    loop {
        if line.ask(&metadata(1, name))? == Heard::Closed {
            return Err(Failure::new("metadata closed the connection"));
        }
        match produce_error(&mut line, name, &batch)? {
            0 => return Ok(()),
            code if PATIENCE < started.elapsed() => {
                return Err(Failure::new(format!("{name} answers {code}")));
            }
            _ => thread::sleep(Duration::from_millis(20)),
        }
    }
}

/// Produces and asks for versions, on one old and on many new connections; counts its requests.
fn bear_witness(address: SocketAddr, over: &AtomicBool) -> Outcome<u64> {
    let mut old = Line::open(address)?;
    let mut served = 0;
    loop {
        let started = Instant::now();
        let code = produce_error(&mut old, TOPIC, &Batch::of(&[b"again", b"more"]).bytes())?;
        if code != 0 {
            return Err(Failure::new(format!("produce answered {code} after {served} requests")));
        }
        let mut new = Line::open(address)?;
        if !matches!(new.ask(&api_versions(5))?, Heard::Answer(5, _)) {
            return Err(Failure::new(format!("no versions after {served} requests")));
        }
        if PATIENCE < started.elapsed() {
            return Err(Failure::new(format!("it waited {:?}", started.elapsed())));
        }
        served += 1;
        // An attack may be over before the witness is served for the first time.
        if over.load(Ordering::Acquire) {
            return Ok(served);
        }
        thread::sleep(PAUSE);
    }
}
