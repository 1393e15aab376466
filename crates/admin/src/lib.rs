#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod broker_service;
mod client;
mod connection;
mod http;
mod mailbox;
mod metrics;
mod plane;
mod process;
mod proto;
mod reading;
mod scheduler_service;
mod server;
mod trial;

pub use client::{Applied, Client, ClientError, Group, Groups, OpenTrial, Version};
pub use connection::CONNECTIONS_MAX;
pub use mailbox::{Ask, DEPTH, Inbox, Mailbox, Reply, Unanswered, mailbox};
pub use plane::{About, Readiness};
pub use reading::{
    GroupReading, GroupShares, JournalReading, LATENCY_BOUNDS_US, Latency, RequestReading,
    ShardReading, SharesChange,
};
pub use server::{Running, Starting, start};
pub use trial::TRIAL_MAX;
