//! The scenarios of the rdkafka crate (librdkafka) against the release binary, each with one and
//! with two shards.
//!
//! The binary is `EVENKEEL_BIN`, else `release/evenkeel` of the target directory. With
//! `EVENKEEL_TARGET=kafka` the same scenarios run against Apache Kafka 4.3.1, which shows that a
//! scenario itself is right. Topics have more partitions than there are shards, and each scenario
//! opens several connections, so that partitions live on the connection's shard and on the other.

mod admin;
mod fetch;
mod produce;
mod restart;
mod support;
