//! The tools on small directories.
