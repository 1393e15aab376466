//! Test kit: starts and stops brokers as processes, makes workloads, checks histories.
//!
//! Owns what the black-box tests share: the built `evenkeel` binary and Apache Kafka as child
//! processes with free ports, temporary directories and captured logs; records made from a seed;
//! a hash chain that says whether acknowledged records came back once and in order. It knows
//! nothing of the broker's crates: everything goes through processes, sockets and files.

mod broker;
mod failure;
mod future;
mod history;
mod kafka;
mod ports;
mod probe;
mod process;
mod raw;
mod workload;
mod workspace;

pub use broker::{Broker, BrokerOptions, KafkaTuning, Kind};
pub use failure::{Failure, Outcome};
pub use future::wait;
pub use history::{Chain, History, Violation};
pub use kafka::{KAFKA_VERSION, KafkaJars, format_directory};
pub use ports::free_port;
pub use probe::{answers_api_versions, api_versions};
pub use process::{
    CpuTime, Finished, cpu_time, resident_bytes, run, signal_interrupt, signal_terminate, tail,
    thread_time,
};
pub use raw::{RawClient, first_acknowledgement};
pub use workload::{Flavour, Workload};
pub use workspace::{cache_directory, evenkeel_binary, workspace_root};
