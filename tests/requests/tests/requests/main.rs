//! Kafka's requests to the release binary (`EVENKEEL_BIN`, else `release/evenkeel` of the target
//! directory), each with one shard and with two.

mod batches;
mod budgets;
mod configs;
mod idempotence;
mod keeping;
mod keys_cluster;
mod keys_configs;
mod keys_data;
mod keys_topics;
mod sessions;
mod traps;
