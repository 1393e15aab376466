//! A broker with its admin plane, asked in three ways: its own client, plain HTTP, the command line.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use admin::Client;
use kit::{Broker, BrokerOptions, Failure, Kind, Outcome, evenkeel_binary};
use serde_json::Value;

/// How long a page may take on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// A broker with two shards.
///
/// # Errors
/// When it does not start.
pub fn broker() -> Outcome<Broker> {
    Broker::start(BrokerOptions::new(Kind::Evenkeel { shards: 2 }))
}

/// A client of its admin plane.
///
/// # Errors
/// When it does not answer.
pub fn client(broker: &Broker) -> Outcome<Client> {
    Client::connect(&broker.admin_address().to_string())
        .map_err(|error| Failure::new(error.to_string()))
}

/// The whole answer to GET, status line and headers with it.
///
/// # Errors
/// When there is none.
pub fn page(broker: &Broker, path: &str) -> Outcome<String> {
    let mut stream = TcpStream::connect(broker.admin_address())?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

/// The value of one series of `/metrics`.
///
/// # Errors
/// When it is not there.
pub fn metric(broker: &Broker, series: &str) -> Outcome<f64> {
    let text = page(broker, "/metrics")?;
    let value = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    value
        .and_then(|value| value.parse().ok())
        .ok_or_else(|| Failure::new(format!("{series} is not in\n{text}")))
}

/// What the command line says.
#[derive(Debug)]
pub struct Said {
    /// Its exit code.
    pub code: Option<i32>,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Said {
    /// Standard output as one JSON value.
    ///
    /// # Errors
    /// When it is none.
    pub fn json(&self) -> Outcome<Value> {
        serde_json::from_str(&self.out)
            .map_err(|error| Failure::new(format!("{error}: {} {}", self.out, self.err)))
    }
}

/// Runs the binary with these arguments.
///
/// # Errors
/// When it cannot be started.
pub fn evenkeel(arguments: &[&str]) -> Outcome<Said> {
    let done = Command::new(evenkeel_binary()?).args(arguments).output()?;
    Ok(Said {
        code: done.status.code(),
        out: String::from_utf8_lossy(&done.stdout).into_owned(),
        err: String::from_utf8_lossy(&done.stderr).into_owned(),
    })
}

/// Runs `evenkeel sched` against `broker`.
///
/// # Errors
/// When it cannot be started.
pub fn sched(broker: &Broker, arguments: &[&str]) -> Outcome<Said> {
    let address = broker.admin_address().to_string();
    let mut all = vec!["sched"];
    all.extend(arguments);
    all.extend(["--admin", address.as_str()]);
    evenkeel(&all)
}
