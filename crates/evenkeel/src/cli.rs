//! The command line: what can be asked, with defaults and help.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

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
    /// See and change what scheduling groups get of a running broker.
    Sched {
        #[command(subcommand)]
        command: Sched,
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
    /// The address of the admin plane: gRPC, /metrics, /live and /ready. There is no
    /// authentication, so anything but loopback is an explicit choice.
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
    /// Compact the logs of a directory that was stopped cleanly: of each key the latest record stays.
    #[command(after_help = "Examples:
  evenkeel log compact ./evenkeel-data
  evenkeel log compact ./evenkeel-data --topic prices")]
    Compact(Compact),
}

/// What to compact.
#[derive(Debug, Parser)]
pub(crate) struct Compact {
    /// The data directory.
    #[arg(value_name = "DIR")]
    pub(crate) dir: PathBuf,
    /// Only the logs of this topic, whatever its cleanup.policy; without it, all whose policy has
    /// `compact`.
    #[arg(long, value_name = "NAME")]
    pub(crate) topic: Option<String>,
}

/// One data directory.
#[derive(Debug, Parser)]
pub(crate) struct Directory {
    /// The data directory.
    #[arg(value_name = "DIR")]
    pub(crate) dir: PathBuf,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Sched {
    /// Show every group: its shares and what it used since the start.
    #[command(after_help = "Examples:
  evenkeel sched groups
  evenkeel sched groups --by-shard
  evenkeel sched groups --json")]
    Groups {
        /// A row for each shard instead of their sum.
        #[arg(long)]
        by_shard: bool,
        #[command(flatten)]
        to: Admin,
    },
    /// Show live what every group uses.
    #[command(after_help = "Examples:
  evenkeel sched top
  evenkeel sched top --every 500ms --count 10
  evenkeel sched top --json | jq .")]
    Top {
        /// Between two looks: 500ms, 2s; from 100ms to 1m.
        #[arg(long, value_name = "TIME", default_value = "1s", value_parser = duration)]
        every: Duration,
        /// End after so many looks.
        #[arg(long, value_name = "N")]
        count: Option<u64>,
        #[command(flatten)]
        to: Admin,
    },
    /// Change the shares of a group on every shard, and keep the broker's own controllers from
    /// changing them, until the broker ends or they are released.
    #[command(after_help = "Examples:
  evenkeel sched set compaction --cpu 20 --io 20
  evenkeel sched set cold_read --io 100")]
    Set {
        #[command(flatten)]
        shares: SharesOf,
        #[command(flatten)]
        to: Admin,
    },
    /// Let the broker's own controllers change the shares of a group again.
    #[command(after_help = "Example:\n  evenkeel sched release compaction")]
    Release(OneGroup),
    /// Change them for a time: they go back by themselves unless they are confirmed.
    #[command(after_help = "Examples:
  evenkeel sched trial compaction --cpu 900 --for 10m
  evenkeel sched confirm compaction      # keeps it
  evenkeel sched cancel compaction       # goes back now")]
    Trial {
        #[command(flatten)]
        shares: SharesOf,
        /// How long: 30s, 10m, 2h; at most 24h.
        #[arg(long = "for", value_name = "TIME", value_parser = duration)]
        time: Duration,
        #[command(flatten)]
        to: Admin,
    },
    /// Keep what a trial tries.
    #[command(after_help = "Example:\n  evenkeel sched confirm compaction")]
    Confirm(OneGroup),
    /// End a trial now: the shares go back.
    #[command(after_help = "Example:\n  evenkeel sched cancel compaction")]
    Cancel(OneGroup),
}

/// Which broker is asked, and how the answer looks.
#[derive(Debug, Parser)]
pub(crate) struct Admin {
    /// The admin plane of the broker.
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:9644")]
    pub(crate) admin: String,
    /// Answer in JSON, for programs.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Shares of a group.
#[derive(Debug, Parser)]
pub(crate) struct SharesOf {
    /// The group, as `evenkeel sched groups` names it.
    #[arg(value_name = "GROUP")]
    pub(crate) group: String,
    /// Weight for the CPU, 1 to 10000; as it is if not said.
    #[arg(long, value_name = "SHARES", required_unless_present = "io")]
    pub(crate) cpu: Option<u32>,
    /// Weight for storage, 1 to 10000; as it is if not said.
    #[arg(long, value_name = "SHARES")]
    pub(crate) io: Option<u32>,
}

/// A group.
#[derive(Debug, Parser)]
pub(crate) struct OneGroup {
    /// The group, as `evenkeel sched groups` names it.
    #[arg(value_name = "GROUP")]
    pub(crate) group: String,
    #[command(flatten)]
    pub(crate) to: Admin,
}

/// A number with its unit: `500ms`, `30s`, `10m`, `2h`.
fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().map_err(|_| "a number with ms, s, m or h expected")?;
    let unit_ms = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err("a number with ms, s, m or h expected".to_owned()),
    };
    number.checked_mul(unit_ms).map(Duration::from_millis).ok_or_else(|| "too long".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn times_have_units() {
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("10m"), Ok(Duration::from_secs(600)));
        for bad in ["", "5", "s", "-1s", "1 s", "1d", "99999999999999999999s", "9999999999999999h"]
        {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_change_names_shares() {
        let parse = |line: &str| Cli::try_parse_from(line.split(' '));
        assert!(parse("evenkeel sched set compaction").is_err());
        assert!(parse("evenkeel sched set compaction --io 20").is_ok());
        assert!(parse("evenkeel sched trial compaction --cpu 20").is_err(), "for how long");
        assert!(parse("evenkeel sched trial compaction --cpu 20 --for 10m").is_ok());
    }
}
