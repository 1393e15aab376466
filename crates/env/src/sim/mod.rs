//! A deterministic world from one seed.
