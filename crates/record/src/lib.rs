//! Offsets, epochs and Kafka's record batch v2: view, validate, build; codecs; CRC-32C.
