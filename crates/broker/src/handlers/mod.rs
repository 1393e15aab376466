//! One module for each kind of request, on the shard of the connection.

mod configs;
mod describe;
mod fetch;
mod fetch_codecs;
mod log_dirs;
mod offsets;
mod produce;
mod producer_id;
