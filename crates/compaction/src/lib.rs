#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod build;
pub mod chooser;
mod error;
mod group;
mod keys_out;
mod marks;
mod merge;
mod output;
mod pass;
pub mod plan;
mod report;
mod rewrite;
pub mod rules;
mod source;
mod spill;
mod state;
mod survey;
mod transactions;

pub use error::PassError;
pub use pass::Pass;
pub use report::{Inputs, Report, Settings, Stage, Step};
pub use rewrite::Compression;
pub use survey::{Survey, survey};
pub use transactions::Aborted;
