//! The broker as a library: connections, requests, shards.
