//! The command line: what can be asked, with defaults and help.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Parser, Subcommand};

/// A Kafka-compatible log broker that stays level.
#[derive(Debug, Parser)]
#[command(name = "evenkeel", version, propagate_version = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Start the broker and serve until SIGTERM or SIGINT.
    #[command(after_help = "Examples:
  evenkeel start
  evenkeel start --data /var/lib/evenkeel --listen 0.0.0.0:9092 --advertise broker-1:9092
  evenkeel start --shards 2 --set log.retention.hours=24")]
    Start(Start),
    /// Look at, check and repair a data directory while no broker runs on it.
    Log {
        #[command(subcommand)]
        command: Log,
    },
}

/// How the broker is started.
#[derive(Debug, Parser)]
pub(crate) struct Start {
    /// The data directory; created and formatted if it is missing or empty.
    #[arg(long, value_name = "DIR", default_value = "./evenkeel-data")]
    pub(crate) data: PathBuf,
    /// Where Kafka clients connect. Anything but loopback is an explicit choice.
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:9092")]
    pub(crate) listen: SocketAddr,
    /// What clients are told to connect to, if not the address of --listen.
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) advertise: Option<String>,
    /// The address of the admin plane. It is held and told; nothing is served there yet.
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:9644")]
    pub(crate) admin: SocketAddr,
    /// Shards, each with a thread and a core of its own; one for each available core if not said.
    #[arg(long, value_name = "N")]
    pub(crate) shards: Option<u16>,
    /// Memory for buffers, caches and requests of all shards together, in MiB.
    #[arg(long, value_name = "MIB", default_value_t = 512)]
    pub(crate) memory: usize,
    /// The id of this node, used when the directory is formatted.
    #[arg(long, value_name = "ID", default_value_t = 1)]
    pub(crate) node_id: i32,
    /// A file of broker settings: `[broker]` with Kafka's names as keys.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// One broker setting by Kafka's name; wins over --config. May be given several times.
    #[arg(long, value_name = "NAME=VALUE")]
    pub(crate) set: Vec<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Log {
    /// Show the logs of a directory: segments, ends, leader epochs.
    #[command(after_help = "Example:\n  evenkeel log inspect ./evenkeel-data")]
    Inspect(Directory),
    /// Check every batch of every segment, and the journal, without changing anything.
    #[command(after_help = "Example:\n  evenkeel log verify ./evenkeel-data")]
    Verify(Directory),
    /// Bring a directory that a broker left without a clean stop to the state of a clean stop,
    /// so that Apache Kafka can start on it.
    #[command(after_help = "Example:\n  evenkeel log close ./evenkeel-data")]
    Close(Directory),
}

/// One data directory.
#[derive(Debug, Parser)]
pub(crate) struct Directory {
    /// The data directory.
    #[arg(value_name = "DIR")]
    pub(crate) dir: PathBuf,
}
