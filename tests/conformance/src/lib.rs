//! Unmodified Kafka clients and tools against the release binary, as named scenarios.
//!
//! A scenario is one function that uses one client as a person would and judges what comes back.
//! The runner starts the broker, gives each scenario its own topics, and prints and writes the
//! table. Every scenario also runs against Apache Kafka itself (`--target kafka`): one that fails
//! there is wrong. The scenarios of the rdkafka crate are cargo tests in `tests/rdkafka`.

mod bench;
mod clients;
mod install;
mod report;
mod runner;

pub use bench::{Bench, Target};
pub use clients::{SCENARIOS, Scenario};
pub use report::{Row, Verdict, markdown, table};
pub use runner::{Choice, run};
