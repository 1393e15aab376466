//! The smallest Kafka client: one ApiVersions request over a plain socket.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::{Failure, Outcome};

/// A frame with ApiVersions version 0, correlation id 7, no client id.
const REQUEST: [u8; 14] = [0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 7, 0xff, 0xff];

/// An answer larger than this is not an answer to ApiVersions.
const ANSWER_BYTES_MAX: usize = 1 << 16;

/// Whether the broker at `address` answers ApiVersions without an error, within `limit`.
pub fn answers_api_versions(address: SocketAddr, limit: Duration) -> bool {
    api_versions(address, limit).is_ok()
}

/// The advertised table, (key, lowest, highest), as version 0 of ApiVersions gives it.
///
/// # Errors
/// When nobody answers within `limit`, or the answer is an error or malformed.
pub fn api_versions(address: SocketAddr, limit: Duration) -> Outcome<Vec<(i16, i16, i16)>> {
    let mut stream = TcpStream::connect_timeout(&address, limit)?;
    stream.set_read_timeout(Some(limit))?;
    stream.set_nodelay(true)?;
    stream.write_all(&REQUEST)?;
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let length = usize::try_from(i32::from_be_bytes(length)).unwrap_or(0);
    if !(10..=ANSWER_BYTES_MAX).contains(&length) {
        return Err(Failure::new(format!("an ApiVersions answer of {length} bytes")));
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    parse(&body)
}

fn parse(body: &[u8]) -> Outcome<Vec<(i16, i16, i16)>> {
    let short = |at: usize| i16::from_be_bytes([body[at], body[at + 1]]);
    if body[..4] != [0, 0, 0, 7] {
        return Err(Failure::new("the answer has another correlation id"));
    }
    if short(4) != 0 {
        return Err(Failure::new(format!("ApiVersions answered error {}", short(4))));
    }
    let rows = &body[10..];
    if !rows.len().is_multiple_of(6) {
        return Err(Failure::new(format!("{} bytes are no rows of 6", rows.len())));
    }
    Ok((0..rows.len() / 6)
        .map(|row| 10 + row * 6)
        .map(|at| (short(at), short(at + 2), short(at + 4)))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_read_after_the_header() {
        let body = [0, 0, 0, 7, 0, 0, 0, 0, 0, 1, 0, 18, 0, 0, 0, 4];
        assert_eq!(parse(&body), Ok(vec![(18, 0, 4)]));
    }

    #[test]
    fn an_error_code_is_a_failure() {
        let body = [0, 0, 0, 7, 0, 35, 0, 0, 0, 0];
        assert!(parse(&body).expect_err("35").to_string().contains("35"));
    }
}
