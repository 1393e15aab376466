//! Load on a broker through librdkafka, from a plan that is data, measured in one window.
//!
//! Owns what moves records: producers in a closed loop, one record at a time, at a fixed rate with
//! a consumer at the tail, and consumers of what was just written. It starts no broker: it is given
//! an address and a process id, and reports one set of figures.

mod closed;
mod fetch;
mod figures;
mod open;
mod plan;
mod producing;
mod single;

pub use figures::Figures;
pub use plan::{Kind, Plan};

use kit::Outcome;

/// The broker under load.
#[derive(Debug, Clone)]
pub struct Broker {
    /// `HOST:PORT`.
    pub bootstrap: String,
    /// Its process, whose CPU time is counted.
    pub pid: u32,
}

/// Runs the plan.
///
/// # Errors
/// When a client cannot be made, the topic cannot be created, or a record is refused.
pub fn run(broker: &Broker, plan: &Plan) -> Outcome<Figures> {
    producing::create_topic(broker, plan)?;
    match plan.kind {
        Kind::Closed => closed::run(broker, plan),
        Kind::Single => single::run(broker, plan),
        Kind::Open => open::run(broker, plan),
        Kind::Fetch => fetch::run(broker, plan),
        Kind::Fill => closed::fill(broker, plan),
    }
}
