//! One connection: a question, its answer, and nothing left over.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use kit::{Failure, Outcome};

use crate::message::{Answer, Ask};

/// How long a broker may take to answer or to close.
const LIMIT: Duration = Duration::from_secs(10);
/// The longest answer that is believed, in bytes.
const ANSWER_BYTES_MAX: usize = 64 << 20;
/// Answers of this key never have tagged fields in their header (KIP-511).
const API_VERSIONS: i16 = 18;

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// An answer: what follows its correlation id.
    Answer(Bytes),
    /// The broker closed the connection.
    Closed,
}

/// A connection to the broker.
#[derive(Debug)]
pub struct Client {
    stream: TcpStream,
    last: i32,
}

impl Client {
    /// Connects.
    ///
    /// # Errors
    /// When nobody accepts.
    pub fn connect(address: SocketAddr) -> Outcome<Client> {
        let stream = TcpStream::connect_timeout(&address, LIMIT)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(LIMIT))?;
        stream.set_write_timeout(Some(LIMIT))?;
        Ok(Client { stream, last: 0 })
    }

    /// Asks and hears the answer, which must decode whole: no bytes may be left over, and encoded again
    /// it must give the same bytes, so that no tagged field was sent at its default.
    ///
    /// # Errors
    /// When the answer is not so, or the connection ends.
    pub fn ask<R: Ask>(&mut self, version: i16, request: &R) -> Outcome<R::Answer> {
        self.say(version, request)?;
        self.answer::<R>(version)
    }

    /// Sends without hearing.
    ///
    /// # Errors
    /// When this version cannot say it.
    pub fn say<R: Ask>(&mut self, version: i16, request: &R) -> Outcome<()> {
        let mut body = BytesMut::new();
        request.put(&mut body, version)?;
        self.say_bytes((R::KEY, version, R::FLEXIBLE <= version), &body);
        Ok(())
    }

    /// Sends a body as it is, with the header that key, version and flexibility want. A connection
    /// that the broker closed is no error: the next [`hear`](Client::hear) says so.
    pub fn say_bytes(&mut self, (key, version, flexible): (i16, i16, bool), body: &[u8]) {
        self.last += 1;
        let mut frame = vec![0; 4];
        frame.extend(key.to_be_bytes());
        frame.extend(version.to_be_bytes());
        frame.extend(self.last.to_be_bytes());
        frame.extend([0, 1, b'r']);
        frame.extend(flexible.then_some(0));
        frame.extend(body);
        let length = i32::try_from(frame.len() - 4).expect("a frame of a test is small");
        frame[..4].copy_from_slice(&length.to_be_bytes());
        drop(self.stream.write_all(&frame));
    }

    /// The answer to the last request, decoded whole.
    ///
    /// # Errors
    /// As [`Client::ask`].
    pub fn answer<R: Ask>(&mut self, version: i16) -> Outcome<R::Answer> {
        let during = format!("key {} version {version}", R::KEY);
        let Heard::Answer(mut bytes) = self.hear().map_err(|failure| failure.during(&during))?
        else {
            return Err(Failure::new(format!("{during}: the connection was closed")));
        };
        if R::FLEXIBLE <= version && R::KEY != API_VERSIONS {
            match bytes.first() {
                Some(0) => drop(bytes.split_to(1)),
                tags => return Err(Failure::new(format!("{during}: header tags {tags:?}"))),
            }
        }
        let whole = bytes.clone();
        let answer = R::Answer::take(&mut bytes, version)?;
        if !bytes.is_empty() {
            return Err(Failure::new(format!("{during}: {} bytes are left over", bytes.len())));
        }
        let mut again = BytesMut::new();
        answer.put(&mut again, version)?;
        if again != whole {
            return Err(Failure::new(format!("{during}: {whole:?} would be {again:?}")));
        }
        Ok(answer)
    }

    /// The next answer, or the end of the connection.
    ///
    /// # Errors
    /// When neither comes within 10 s, or the answer is to another request.
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
        let mut body = Bytes::from(body);
        let id = body.split_to(4);
        if *id == self.last.to_be_bytes() {
            Ok(Heard::Answer(body))
        } else {
            Err(Failure::new(format!("an answer to {id:?}, not to {}", self.last)))
        }
    }

    /// Fills `bytes`; `false` at the end of the connection.
    fn fill(&mut self, bytes: &mut [u8]) -> Outcome<bool> {
        match self.stream.read_exact(bytes) {
            Ok(()) => Ok(true),
            Err(error) => match error.kind() {
                ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => {
                    Ok(false)
                }
                ErrorKind::WouldBlock | ErrorKind::TimedOut => {
                    Err(Failure::new("neither an answer nor an end in time"))
                }
                _ => Err(error.into()),
            },
        }
    }
}
