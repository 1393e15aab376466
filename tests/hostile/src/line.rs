//! One connection, byte by byte.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use kit::{Failure, Outcome};

/// How long a broker may take to answer or to close.
const LIMIT: Duration = Duration::from_secs(10);
/// What a failure says when nothing came.
const SILENCE: &str = "neither an answer nor an end in time";
/// The longest answer that is believed, in bytes.
const ANSWER_BYTES_MAX: usize = 64 << 20;

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// An answer: correlation id and what follows it.
    Answer(i32, Vec<u8>),
    /// The broker closed the connection.
    Closed,
}

/// A connection to the broker.
#[derive(Debug)]
pub struct Line {
    stream: TcpStream,
}

impl Line {
    /// Connects.
    ///
    /// # Errors
    /// When nobody accepts.
    pub fn open(address: SocketAddr) -> Outcome<Line> {
        let stream = TcpStream::connect_timeout(&address, LIMIT)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(LIMIT))?;
        stream.set_write_timeout(Some(LIMIT))?;
        Ok(Line { stream })
    }

    /// Waits for each answer at most so long.
    ///
    /// # Errors
    /// When the socket cannot be set up.
    pub fn wait_at_most(&self, limit: Duration) -> Outcome<()> {
        Ok(self.stream.set_read_timeout(Some(limit))?)
    }

    /// Sends bytes as they are. A connection that the broker closed meanwhile is no error: the next
    /// [`hear`](Line::hear) says so.
    pub fn say(&mut self, bytes: &[u8]) {
        drop(self.stream.write_all(bytes));
    }

    /// Sends as much of `bytes` as the broker takes within `limit`; says whether that was all.
    ///
    /// # Errors
    /// When the socket cannot be set up.
    pub fn push(&mut self, bytes: &[u8], limit: Duration) -> Outcome<bool> {
        self.stream.set_write_timeout(Some(limit))?;
        Ok(self.stream.write_all(bytes).is_ok())
    }

    /// The next answer, or the end of the connection.
    ///
    /// # Errors
    /// When neither comes within 10 s, or what was set, or an answer is no frame.
    pub fn hear(&mut self) -> Outcome<Heard> {
        let mut length = [0; 4];
        if !self.fill(&mut length)? {
            return Ok(Heard::Closed);
        }
        let length = usize::try_from(i32::from_be_bytes(length)).unwrap_or(0);
        if !(4..=ANSWER_BYTES_MAX).contains(&length) {
            return Err(Failure::new(format!("an answer of {length} bytes")));
        }
        let mut body = vec![0; length];
        if !self.fill(&mut body)? {
            return Err(Failure::new("an answer that is cut off"));
        }
        let (id, body) = body.split_first_chunk().expect("four bytes at least");
        Ok(Heard::Answer(i32::from_be_bytes(*id), body.to_vec()))
    }

    /// Whether the broker has closed the connection; what it answered meanwhile is lost.
    pub fn is_closed(&mut self) -> bool {
        if self.stream.set_nonblocking(true).is_err() {
            return true;
        }
        let read = self.stream.read(&mut [0; 1024]);
        let open = match read {
            Ok(bytes) => 0 < bytes,
            Err(error) => error.kind() == ErrorKind::WouldBlock,
        };
        !open || self.stream.set_nonblocking(false).is_err()
    }

    /// Fills `bytes`; `false` at the end of the connection.
    fn fill(&mut self, bytes: &mut [u8]) -> Outcome<bool> {
        match self.stream.read_exact(bytes) {
            Ok(()) => Ok(true),
            Err(error) => match error.kind() {
                ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => {
                    Ok(false)
                }
                ErrorKind::WouldBlock | ErrorKind::TimedOut => Err(Failure::new(SILENCE)),
                _ => Err(error.into()),
            },
        }
    }

    /// Sends `frame` and hears what comes.
    ///
    /// # Errors
    /// As [`Line::hear`].
    pub fn ask(&mut self, frame: &[u8]) -> Outcome<Heard> {
        self.say(frame);
        self.hear()
    }
}
