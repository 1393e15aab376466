//! Scheduling policy as pure state machines: CPU picking and I/O admission.
