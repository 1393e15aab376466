//! A client of two requests over a plain socket: create a topic, produce one record.
//!
//! It exists to time a first acknowledgement: a full client spends more than a fast broker on its
//! own threads, metadata and pauses between tries. Non-flexible versions only: CreateTopics 2 and
//! Produce 3, record batch version 2.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::{Broker, Failure, Outcome};

const LIMIT: Duration = Duration::from_secs(60);
/// An answer larger than this is not one to these requests.
const ANSWER_BYTES_MAX: usize = 1 << 24;

const NONE: i16 = 0;
const TOPIC_ALREADY_EXISTS: i16 = 36;
/// A broker that has just started, or a topic just made: unknown topic, no leader yet, not leader.
const NOT_YET: [i16; 3] = [3, 5, 6];

/// One connection.
#[derive(Debug)]
pub struct RawClient {
    stream: TcpStream,
}

impl RawClient {
    /// Connects.
    ///
    /// # Errors
    /// When nobody listens.
    pub fn connect(address: SocketAddr) -> Outcome<RawClient> {
        let stream = TcpStream::connect_timeout(&address, LIMIT)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(LIMIT))?;
        Ok(RawClient { stream })
    }

    /// Creates a topic without configs; one that exists already is fine.
    ///
    /// # Errors
    /// When the broker refuses or does not answer.
    pub fn create_topic(&mut self, topic: &str, partitions: i32) -> Outcome<()> {
        let mut body = Vec::new();
        body.extend(1_i32.to_be_bytes());
        put_string(&mut body, topic);
        body.extend(partitions.to_be_bytes());
        body.extend(1_i16.to_be_bytes());
        body.extend(0_i32.to_be_bytes());
        body.extend(0_i32.to_be_bytes());
        body.extend(30_000_i32.to_be_bytes());
        body.push(0);
        let answer = self.call(19, 2, &body)?;
        // Throttle time, one topic, its name, the error.
        match short_at(&answer, 4 + 4 + 2 + topic.len())? {
            NONE | TOPIC_ALREADY_EXISTS => Ok(()),
            error => Err(Failure::new(format!("CreateTopics answered error {error}"))),
        }
    }

    /// Produces one record with acks=all; the error code of the answer, 0 for none.
    ///
    /// # Errors
    /// When the broker does not answer.
    pub fn produce(&mut self, topic: &str, partition: i32, value: &[u8]) -> Outcome<i16> {
        let batch = batch(value);
        let mut body = Vec::new();
        body.extend((-1_i16).to_be_bytes());
        body.extend((-1_i16).to_be_bytes());
        body.extend(30_000_i32.to_be_bytes());
        body.extend(1_i32.to_be_bytes());
        put_string(&mut body, topic);
        body.extend(1_i32.to_be_bytes());
        body.extend(partition.to_be_bytes());
        body.extend(length(&batch).to_be_bytes());
        body.extend(batch);
        let answer = self.call(0, 3, &body)?;
        // One topic, its name, one partition, its number, the error.
        short_at(&answer, 4 + 2 + topic.len() + 4 + 4)
    }

    /// Produces until it is acknowledged, through the answers of a broker that is still starting.
    ///
    /// # Errors
    /// When another error comes, or none is acknowledged within a minute.
    pub fn produce_until_acknowledged(&mut self, topic: &str, partition: i32) -> Outcome<()> {
        let started = Instant::now();
        loop {
            match self.produce(topic, partition, b"first")? {
                NONE => return Ok(()),
                error if NOT_YET.contains(&error) && started.elapsed() < LIMIT => {
                    thread::sleep(Duration::from_millis(1));
                }
                error => return Err(Failure::new(format!("Produce answered error {error}"))),
            }
        }
    }

    /// Sends a request with header version 1 and returns the answer's body.
    fn call(&mut self, key: i16, version: i16, body: &[u8]) -> Outcome<Vec<u8>> {
        let mut frame = Vec::with_capacity(body.len() + 20);
        frame.extend(0_i32.to_be_bytes());
        frame.extend(key.to_be_bytes());
        frame.extend(version.to_be_bytes());
        frame.extend(1_i32.to_be_bytes());
        put_string(&mut frame, "kit");
        frame.extend(body);
        let bytes = length(&frame[4..]).to_be_bytes();
        frame[..4].copy_from_slice(&bytes);
        self.stream.write_all(&frame)?;
        let mut head = [0; 8];
        self.stream.read_exact(&mut head)?;
        let [a, b, c, d, ..] = head;
        let bytes = usize::try_from(i32::from_be_bytes([a, b, c, d])).unwrap_or(0);
        if !(4..=ANSWER_BYTES_MAX).contains(&bytes) {
            return Err(Failure::new(format!("an answer of {bytes} bytes")));
        }
        let mut answer = vec![0; bytes - 4];
        self.stream.read_exact(&mut answer)?;
        Ok(answer)
    }
}

/// From the start of the process to the first acknowledged record of topic `first`, which is
/// created when it is not there.
///
/// # Errors
/// As [`RawClient`]'s.
pub fn first_acknowledgement(broker: &Broker) -> Outcome<Duration> {
    let mut client = RawClient::connect(broker.address())?;
    client.create_topic("first", 1)?;
    client.produce_until_acknowledged("first", 0)?;
    Ok(broker.started().elapsed())
}

fn length(bytes: &[u8]) -> i32 {
    i32::try_from(bytes.len()).expect("a request of the kit is small")
}

fn put_string(into: &mut Vec<u8>, text: &str) {
    let bytes = i16::try_from(text.len()).expect("names are short");
    into.extend(bytes.to_be_bytes());
    into.extend(text.as_bytes());
}

fn short_at(answer: &[u8], at: usize) -> Outcome<i16> {
    match answer.get(at..at + 2) {
        Some(&[high, low]) => Ok(i16::from_be_bytes([high, low])),
        _ => Err(Failure::new(format!("an answer of {} bytes is too short", answer.len()))),
    }
}

/// A batch of one record without key and headers.
fn batch(value: &[u8]) -> Vec<u8> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    let now_ms = i64::try_from(now.as_millis()).expect("before the year 292 million");
    let mut record = vec![0, 0, 0, 1];
    put_varint(&mut record, length(value));
    record.extend(value);
    record.push(0);
    let mut covered = Vec::new();
    covered.extend(0_i16.to_be_bytes());
    covered.extend(0_i32.to_be_bytes());
    covered.extend(now_ms.to_be_bytes());
    covered.extend(now_ms.to_be_bytes());
    covered.extend((-1_i64).to_be_bytes());
    covered.extend((-1_i16).to_be_bytes());
    covered.extend((-1_i32).to_be_bytes());
    covered.extend(1_i32.to_be_bytes());
    put_varint(&mut covered, length(&record));
    covered.extend(record);
    let mut batch = Vec::new();
    batch.extend(0_i64.to_be_bytes());
    batch.extend((length(&covered) + 9).to_be_bytes());
    batch.extend((-1_i32).to_be_bytes());
    batch.push(2);
    batch.extend(crc32c(&covered).to_be_bytes());
    batch.extend(covered);
    batch
}

/// A zigzag varint of a number that is not negative.
fn put_varint(into: &mut Vec<u8>, value: i32) {
    let mut rest = value.unsigned_abs() << 1;
    while rest >= 0x80 {
        into.push(u8::try_from(rest & 0x7f).expect("seven bits") | 0x80);
        rest >>= 7;
    }
    into.push(u8::try_from(rest).expect("seven bits"));
}

fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0_u32, |before, byte| {
        (0..8).fold(before ^ u32::from(*byte), |crc, _| {
            if crc & 1 == 1 { (crc >> 1) ^ 0x82f6_3b78 } else { crc >> 1 }
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_castagnolis() {
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
    }

    #[test]
    fn a_varint_is_zigzag_in_groups_of_seven() {
        let bytes = |value| {
            let mut into = Vec::new();
            put_varint(&mut into, value);
            into
        };
        assert_eq!(bytes(0), [0]);
        assert_eq!(bytes(63), [126]);
        assert_eq!(bytes(64), [0x80, 1]);
        assert_eq!(bytes(300), [0xd8, 4]);
    }

    #[test]
    fn a_batch_says_its_own_length() {
        let batch = batch(b"value");
        let length = i32::from_be_bytes(batch[8..12].try_into().expect("four bytes"));
        assert_eq!(usize::try_from(length).expect("positive") + 12, batch.len());
        assert_eq!(batch[16], 2);
    }
}
