#![forbid(unsafe_code)]
#![doc = include_str!("../README.md")]

pub mod configs;
pub mod controller;
pub mod image;
pub mod kafka_files;
pub mod log;
pub mod records;

pub use image::{Changes, Fold, Image};
pub use records::{Record, RecordError, Uuid};
