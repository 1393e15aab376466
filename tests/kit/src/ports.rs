//! Ports for brokers that tests start.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicU32, Ordering};

static NEXT: AtomicU32 = AtomicU32::new(0);

/// Below the range from which Linux takes ports of outgoing connections (32768 and up), so that a
/// client of another test cannot take the port between the probe and the broker's bind.
const FIRST: u32 = 10_240;
const COUNT: u32 = 22_000;

/// A loopback port that nobody listened on a moment ago; never the same twice in one process
/// until the range is used up.
///
/// # Panics
/// When every port of the range is taken.
pub fn free_port() -> u16 {
    let seed = std::process::id().wrapping_mul(101);
    for _ in 0..COUNT {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        let port = FIRST + (seed.wrapping_add(step)) % COUNT;
        let port = u16::try_from(port).expect("the range ends below 65536");
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
    panic!("no free port between {FIRST} and {}", FIRST + COUNT);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_not_handed_out_twice() {
        let first: Vec<u16> = (0..50).map(|_| free_port()).collect();
        let mut distinct = first.clone();
        distinct.sort_unstable();
        distinct.dedup();
        assert_eq!(first.len(), distinct.len());
    }
}
