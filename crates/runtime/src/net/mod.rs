//! TCP on the driver's ring: [`TcpListener`] and [`TcpStream`].

mod listener;
mod parts;
mod stream;

pub use listener::{HeldPort, TcpListener};
pub use stream::TcpStream;
