//! The segment store of one log: recover, append, read, roll, truncate, retain.
