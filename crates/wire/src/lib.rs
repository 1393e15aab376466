//! The Kafka protocol both ways: framing, versions, limits; no I/O.
