//! A broker as a child process: Evenkeel's binary or Apache Kafka, behind one handle.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::kafka::{format_directory, node_id, server_properties};
use crate::process::{CpuTime, cpu_time, resident_bytes, signal_interrupt, signal_terminate, tail};
use crate::{Failure, KafkaJars, Outcome, answers_api_versions, evenkeel_binary, free_port};

/// Which broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The binary of this workspace with so many shards.
    Evenkeel {
        /// `--shards`.
        shards: u32,
    },
    /// Apache Kafka 4.3.1, broker and controller in one JVM.
    Kafka,
}

/// How the JVM of Kafka is set up. Evenkeel has no such setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KafkaTuning {
    /// Starts fast and stays small: for tests of what it answers.
    Small,
    /// As recommended for production with a 1 GiB heap: for measurements.
    Measured,
}

/// How to start a broker.
#[derive(Debug, Clone)]
pub struct BrokerOptions {
    /// Which one.
    pub kind: Kind,
    /// Data directory; `None` makes a temporary one that goes with the handle.
    pub data: Option<PathBuf>,
    /// Further arguments of the command line (Evenkeel) or `key=value` overrides (Kafka).
    pub extra: Vec<String>,
    /// The JVM, when it is Kafka.
    pub tuning: KafkaTuning,
}

impl BrokerOptions {
    /// A broker of this kind on a new temporary directory.
    pub fn new(kind: Kind) -> BrokerOptions {
        BrokerOptions { kind, data: None, extra: Vec::new(), tuning: KafkaTuning::Small }
    }

    /// The same on this directory, which stays when the broker ends.
    #[must_use]
    pub fn on(mut self, data: &Path) -> BrokerOptions {
        self.data = Some(data.to_path_buf());
        self
    }
}

/// A running broker; dropping the handle kills the process and removes its temporary directory.
#[derive(Debug)]
pub struct Broker {
    options: BrokerOptions,
    child: Option<Child>,
    address: SocketAddr,
    admin: SocketAddr,
    data: PathBuf,
    logs: TempDir,
    answered_after: Duration,
    started: Instant,
}

const START_LIMIT: Duration = Duration::from_secs(90);
const STOP_LIMIT: Duration = Duration::from_secs(60);

impl Broker {
    /// Starts a broker and waits until it answers ApiVersions.
    ///
    /// # Errors
    /// When it cannot be started, ends, or does not answer within 90 s; the message has the last
    /// lines of its log.
    pub fn start(options: BrokerOptions) -> Outcome<Broker> {
        let logs = tempfile::Builder::new().prefix("evenkeel-test-").tempdir()?;
        let data = options.data.clone().unwrap_or_else(|| logs.path().join("data"));
        let local = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let mut broker = Broker {
            options,
            child: None,
            address: local(free_port()),
            admin: local(free_port()),
            data,
            logs,
            answered_after: Duration::ZERO,
            started: Instant::now(),
        };
        broker.launch()?;
        Ok(broker)
    }

    /// Starts it again on the same directory and the same addresses, after [`Broker::stop`] or
    /// [`Broker::kill`].
    ///
    /// # Errors
    /// As [`Broker::start`]; also when it still runs.
    pub fn restart(&mut self) -> Outcome<()> {
        if self.child.is_some() {
            return Err(Failure::new("the broker still runs"));
        }
        self.launch()
    }

    fn launch(&mut self) -> Outcome<()> {
        let mut command = match self.options.kind {
            Kind::Evenkeel { shards } => self.evenkeel_command(shards)?,
            Kind::Kafka => self.kafka_command()?,
        };
        let out = File::options().create(true).append(true).open(self.log_path("out"))?;
        let err = File::options().create(true).append(true).open(self.log_path("err"))?;
        command.stdin(Stdio::null()).stdout(out).stderr(err);
        self.started = Instant::now();
        let child = command.spawn().map_err(|error| {
            Failure::new(format!("cannot start {:?}: {error}", command.get_program()))
        })?;
        self.child = Some(child);
        self.wait_until_it_answers()
    }

    fn evenkeel_command(&self, shards: u32) -> Outcome<Command> {
        let mut command = Command::new(evenkeel_binary()?);
        command.arg("start").arg("--data").arg(&self.data);
        command.args(["--listen", &self.address.to_string()]);
        command.args(["--admin", &self.admin.to_string()]);
        command.args(["--shards", &shards.to_string()]);
        command.args(&self.options.extra);
        Ok(command)
    }

    fn kafka_command(&self) -> Outcome<Command> {
        let jars = KafkaJars::ensure()?;
        format_directory(&jars, &self.data)?;
        let properties = self.logs.path().join("server.properties");
        let node = node_id(&self.data);
        let text = server_properties(&node, self.address.port(), self.admin.port(), &self.data);
        fs::write(&properties, text)?;
        let mut command = match self.options.tuning {
            KafkaTuning::Small => {
                jars.java(&["-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"])
            }
            KafkaTuning::Measured => jars.java(&[
                "-Xms1g",
                "-Xmx1g",
                "-XX:+UseG1GC",
                "-XX:MaxGCPauseMillis=20",
                "-XX:InitiatingHeapOccupancyPercent=35",
            ]),
        };
        command.arg("kafka.Kafka").arg(&properties);
        for setting in &self.options.extra {
            command.args(["--override", setting]);
        }
        Ok(command)
    }

    fn wait_until_it_answers(&mut self) -> Outcome<()> {
        let pause = match self.options.kind {
            Kind::Evenkeel { .. } => Duration::from_micros(500),
            Kind::Kafka => Duration::from_millis(5),
        };
        while self.started.elapsed() < START_LIMIT {
            if answers_api_versions(self.address, Duration::from_secs(2)) {
                self.answered_after = self.started.elapsed();
                return Ok(());
            }
            let child = self.child.as_mut().expect("launch has set it");
            if let Some(status) = child.try_wait()? {
                self.child = None;
                return Err(Failure::new(format!("it ended ({status}): {}", self.last_words())));
            }
            thread::sleep(pause);
        }
        let words = self.last_words();
        self.kill()?;
        Err(Failure::new(format!("it did not answer in {} s: {words}", START_LIMIT.as_secs())))
    }

    /// Asks it to stop (SIGTERM) and waits for its end.
    ///
    /// # Errors
    /// When it does not run, has not ended after 60 s (then it is killed), or did not exit cleanly:
    /// Evenkeel with 0; a JVM that ends on SIGTERM exits with 143.
    pub fn stop(&mut self) -> Outcome<()> {
        self.stop_on(signal_terminate)
    }

    /// As [`Broker::stop`], with SIGINT: what a terminal sends.
    ///
    /// # Errors
    /// As [`Broker::stop`].
    pub fn interrupt(&mut self) -> Outcome<()> {
        self.stop_on(signal_interrupt)
    }

    fn stop_on(&mut self, signal: fn(u32)) -> Outcome<()> {
        let mut child = self.child.take().ok_or("the broker does not run")?;
        signal(child.id());
        let asked = Instant::now();
        while asked.elapsed() < STOP_LIMIT {
            if let Some(status) = child.try_wait()? {
                return self.judge_exit(status);
            }
            thread::sleep(Duration::from_millis(2));
        }
        child.kill()?;
        child.wait()?;
        Err(Failure::new(format!("it did not stop in {} s", STOP_LIMIT.as_secs())))
    }

    fn judge_exit(&self, status: ExitStatus) -> Outcome<()> {
        let wanted: &[i32] = match self.options.kind {
            Kind::Evenkeel { .. } => &[0],
            Kind::Kafka => &[0, 143],
        };
        match status.code() {
            Some(code) if wanted.contains(&code) => Ok(()),
            _ => Err(Failure::new(format!("it stopped with {status}: {}", self.last_words()))),
        }
    }

    /// Kills it (SIGKILL) and waits until it is gone. Its directory is as the kill left it.
    ///
    /// # Errors
    /// When it does not run.
    pub fn kill(&mut self) -> Outcome<()> {
        let mut child = self.child.take().ok_or("the broker does not run")?;
        child.kill()?;
        child.wait()?;
        Ok(())
    }

    /// Where clients connect.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `HOST:PORT` for the `bootstrap.servers` of a client.
    pub fn bootstrap(&self) -> String {
        self.address.to_string()
    }

    /// The admin address of Evenkeel; the controller's listener of Kafka.
    pub fn admin_address(&self) -> SocketAddr {
        self.admin
    }

    /// The data directory.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// Which broker this is.
    pub fn kind(&self) -> Kind {
        self.options.kind
    }

    /// From the start of the process to the first ApiVersions answer.
    pub fn answered_after(&self) -> Duration {
        self.answered_after
    }

    /// When the process was started.
    pub fn started(&self) -> Instant {
        self.started
    }

    /// Process id.
    ///
    /// # Errors
    /// When it does not run.
    pub fn pid(&self) -> Outcome<u32> {
        self.child.as_ref().map(Child::id).ok_or_else(|| "the broker does not run".into())
    }

    /// CPU time of the process so far.
    ///
    /// # Errors
    /// When it does not run.
    pub fn cpu(&self) -> Outcome<CpuTime> {
        cpu_time(self.pid()?)
    }

    /// Resident memory, in bytes.
    ///
    /// # Errors
    /// When it does not run.
    pub fn resident_bytes(&self) -> Outcome<u64> {
        resident_bytes(self.pid()?)
    }

    /// Everything it wrote to standard output, over all its starts.
    pub fn output(&self) -> String {
        fs::read_to_string(self.log_path("out")).unwrap_or_default()
    }

    /// Everything it wrote to standard error, over all its starts.
    pub fn errors(&self) -> String {
        fs::read_to_string(self.log_path("err")).unwrap_or_default()
    }

    /// The end of what it wrote, for a failure message.
    pub fn last_words(&self) -> String {
        format!("{} {}", tail(&self.errors(), 8), tail(&self.output(), 4))
    }

    fn log_path(&self, which: &str) -> PathBuf {
        self.logs.path().join(which)
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        // Nothing can be done about a process that cannot be killed: it is gone already.
        drop(self.kill());
    }
}
