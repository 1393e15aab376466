//! Test kit: starts the binary, generates workloads, keeps a model log.
