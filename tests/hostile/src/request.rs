//! Requests by hand, in versions without tagged fields: Produce 7, Fetch 4, Metadata 4, ApiVersions 0.

use crate::{Heard, Line};
use kit::{Failure, Outcome};

/// A frame: length, header of version 1 with the client id "h", body.
#[must_use]
pub fn framed(key: i16, version: i16, id: i32, body: &[u8]) -> Vec<u8> {
    let mut frame = vec![0; 4];
    frame.extend(key.to_be_bytes());
    frame.extend(version.to_be_bytes());
    frame.extend(id.to_be_bytes());
    frame.extend([0, 1, b'h']);
    frame.extend(body);
    let length = i32::try_from(frame.len() - 4).expect("a frame of a test is small");
    frame[..4].copy_from_slice(&length.to_be_bytes());
    frame
}

fn text(into: &mut Vec<u8>, text: &str) {
    into.extend(i16::try_from(text.len()).expect("a short name").to_be_bytes());
    into.extend(text.as_bytes());
}

/// ApiVersions, version 0.
#[must_use]
pub fn api_versions(id: i32) -> Vec<u8> {
    framed(18, 0, id, &[])
}

/// Metadata of one topic, version 4; creates it if the broker does that.
#[must_use]
pub fn metadata(id: i32, topic: &str) -> Vec<u8> {
    let mut body = 1_i32.to_be_bytes().to_vec();
    text(&mut body, topic);
    body.push(1);
    framed(3, 4, id, &body)
}

/// Metadata of one topic, version 4, whose name is any bytes; creates nothing.
///
/// # Panics
/// With a name longer than a name can be.
#[must_use]
pub fn metadata_of_bytes(id: i32, name: &[u8]) -> Vec<u8> {
    let mut body = 1_i32.to_be_bytes().to_vec();
    body.extend(i16::try_from(name.len()).expect("a short name").to_be_bytes());
    body.extend(name);
    body.push(0);
    framed(3, 4, id, &body)
}

/// Produce of `records` to partition 0 of `topic`, version 7, acks all.
#[must_use]
pub fn produce(id: i32, topic: &str, records: &[u8]) -> Vec<u8> {
    let mut body = (-1_i16).to_be_bytes().to_vec();
    body.extend((-1_i16).to_be_bytes());
    body.extend(30_000_i32.to_be_bytes());
    body.extend(1_i32.to_be_bytes());
    text(&mut body, topic);
    body.extend(1_i32.to_be_bytes());
    body.extend(0_i32.to_be_bytes());
    body.extend(i32::try_from(records.len()).expect("small").to_be_bytes());
    body.extend(records);
    framed(0, 7, id, &body)
}

/// Fetch of partition 0 of `topic` from its beginning, version 4, at most `max_bytes`.
#[must_use]
pub fn fetch(id: i32, topic: &str, max_bytes: i32) -> Vec<u8> {
    let mut body = (-1_i32).to_be_bytes().to_vec();
    body.extend(100_i32.to_be_bytes());
    body.extend(1_i32.to_be_bytes());
    body.extend(max_bytes.to_be_bytes());
    body.push(0);
    body.extend(1_i32.to_be_bytes());
    text(&mut body, topic);
    body.extend(1_i32.to_be_bytes());
    body.extend(0_i32.to_be_bytes());
    body.extend(0_i64.to_be_bytes());
    body.extend(max_bytes.to_be_bytes());
    framed(1, 4, id, &body)
}

/// Produces `records` and gives the error code that Kafka's protocol answers with.
///
/// # Errors
/// When no answer of the right form comes.
pub fn produce_error(line: &mut Line, topic: &str, records: &[u8]) -> Outcome<i16> {
    let Heard::Answer(id, body) = line.ask(&produce(77, topic, records))? else {
        return Err(Failure::new("the connection was closed"));
    };
    // One topic: its name, one partition: its index, then the error.
    let at = 4 + 2 + topic.len() + 4 + 4;
    let code = body.get(at..at + 2).and_then(|code| code.try_into().ok());
    match code {
        Some(code) if id == 77 => Ok(i16::from_be_bytes(code)),
        _ => Err(Failure::new(format!("an answer to {id} with {body:?}"))),
    }
}
