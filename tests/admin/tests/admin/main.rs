//! The admin plane of the release binary (`EVENKEEL_BIN`, else `release/evenkeel` of the target
//! directory).

mod command_line;
mod hostile;
mod pages;
mod services;
mod shares;
mod start;
