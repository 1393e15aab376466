//! What two shards say to each other, in which group, and what memory a request takes: by counts,
//! in simulated time.

mod counts;
mod frames;
mod groups;
mod memory;
mod world;
