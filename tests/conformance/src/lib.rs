//! Unmodified Kafka clients and tools against the release binary.
