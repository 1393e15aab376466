//! A log with its meaning: roles, epochs, producer state, high watermark.
