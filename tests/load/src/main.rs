//! Load generator on librdkafka.
fn main() {}
