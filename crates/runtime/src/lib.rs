#![doc = include_str!("../README.md")]

mod clock;
mod config;
mod cpus;
mod delay;
mod descriptor;
mod exec;
mod groups;
mod mail;
mod net;
mod panic;
mod random;
mod remote;
mod shard;
mod shares;
mod steering;
mod stop;
mod storage;
mod timer;
mod watchdog;
mod world;

pub use config::{Config, StartError};
pub use exec::Counters;
pub use mail::{BACKGROUND_LANE, DEPTH_MAX, FOREGROUND_LANE};
pub use net::{HeldPort, TcpListener, TcpStream};
pub use remote::Remote;
pub use sched::Shares;
pub use shard::run;
pub use shares::{Change, GroupStats, SharesHandle};
pub use stop::Stopper;
pub use storage::{RingDisk, RingFile, StorageCounters, WORKERS_MAX};
pub use watchdog::STALL_NS;
pub use world::ShardEnv;
