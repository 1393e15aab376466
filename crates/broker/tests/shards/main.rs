//! What two shards say to each other, in which group, what memory a request takes, and what
//! a failing data directory does to both: by counts, in simulated time.

mod counts;
mod frames;
mod groups;
mod memory;
mod root;
mod world;
