//! The plane over its port, with shards that are threads of the test.

mod bounds;
mod pages;
mod shards;
mod shares;
