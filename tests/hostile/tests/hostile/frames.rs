//! Frames and requests that are none.

use std::time::{Duration, Instant};

use evenkeel_hostile::{
    Batch, Besieged, Heard, Line, api_versions, fetch, framed, metadata, metadata_of_bytes, produce,
};
use kit::{Flavour, Workload};

use crate::{MIB, besieged};

#[test]
fn hostile_lengths_close_the_connection() {
    let besieged = besieged();
    let before = besieged.memory().expect("it runs");
    for length in [-1, i32::MIN, 0, 1, 9, i32::MAX, 0x4745_5420, 100 << 20, (64 << 20) + 1] {
        let mut line = besieged.line().expect("accepted");
        line.say(&length.to_be_bytes());
        line.say(&[0; 64]);
        assert_eq!(line.hear(), Ok(Heard::Closed), "length {length}");
    }
    let grown = besieged.memory().expect("it runs").saturating_sub(before);
    assert!(grown < 16 * MIB, "grown by {grown} bytes");
    besieged.relieve().expect("nobody else noticed");
}

/// Frames of every size, the large ones first, then what fits into the room that is left: together
/// much more than the broker's memory.
const SIZES: [i32; 5] = [6 << 20, 1 << 20, 256 << 10, 64 << 10, 8 << 10];

/// Opens connections that each say that a produce of so many bytes follows, and stop after its
/// first `sent` bytes.
fn announce(besieged: &Besieged, sizes: &[i32], sent: usize) -> Vec<Line> {
    let mut waiting: Vec<Line> = Vec::new();
    for bytes in sizes {
        for _ in 0..64 {
            let mut line = besieged.line().expect("accepted");
            let sent = sent.min(usize::try_from(*bytes).expect("positive") / 2);
            line.say(&bytes.to_be_bytes());
            line.say(&framed(0, 7, 1, &vec![0; sent])[4..]);
            waiting.push(line);
        }
    }
    waiting
}

fn memory_stays_bounded(besieged: &Besieged) {
    let memory = besieged.memory_peak().expect("it runs");
    assert!(memory < 160 * MIB, "{memory} bytes");
}

#[test]
fn who_announces_and_never_sends_keeps_nobody_out() {
    let besieged = besieged();
    let waiting = announce(&besieged, &SIZES, 100);
    std::thread::sleep(Duration::from_secs(3));
    memory_stays_bounded(&besieged);
    besieged.relieve().expect("nobody else noticed");
    drop(waiting);
}

#[test]
fn who_sends_half_of_every_frame_keeps_nobody_out() {
    let besieged = besieged();
    // 64 times three MiB and more really come, and stay: far more than there is memory.
    let waiting = announce(&besieged, &SIZES, 3 << 20);
    std::thread::sleep(Duration::from_secs(3));
    memory_stays_bounded(&besieged);
    besieged.relieve().expect("nobody else noticed");
    drop(waiting);
}

#[test]
fn who_sends_a_byte_now_and_then_keeps_nobody_out() {
    let besieged = besieged();
    let started = Instant::now();
    let mut waiting = announce(&besieged, &SIZES, 40 << 10);
    while started.elapsed() < Duration::from_secs(6) {
        for (line, size) in waiting.iter_mut().zip(SIZES.iter().flat_map(|size| [*size; 64])) {
            line.say(&[0]);
            // Those that were ended come again.
            if line.is_closed() {
                *line = besieged.line().expect("accepted");
                line.say(&size.to_be_bytes());
                line.say(&framed(0, 7, 1, &[0; 100])[4..]);
            }
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    memory_stays_bounded(&besieged);
    besieged.relieve().expect("nobody else noticed");
    drop(waiting);
}

#[test]
fn a_slow_frame_is_served_when_there_is_memory() {
    let besieged = besieged();
    besieged.topic("target").expect("it is created");
    let frame = produce(1, "target", &Batch::of(&[&[5; 40_000]]).bytes());
    let mut line = besieged.line().expect("accepted");
    for piece in frame.chunks(2_000) {
        line.say(piece);
        std::thread::sleep(Duration::from_millis(150));
    }
    assert!(matches!(line.hear(), Ok(Heard::Answer(1, _))), "three seconds are not too long");
    besieged.relieve().expect("nobody else noticed");
}

#[test]
fn unknown_keys_and_versions_end_as_with_kafka() {
    let besieged = besieged();
    for key in [-1, 4, 5, 6, 7, 59, 999, i16::MAX] {
        let mut line = besieged.line().expect("accepted");
        assert_eq!(line.ask(&framed(key, 0, 3, &[])), Ok(Heard::Closed), "key {key}");
    }
    for version in [-1, 0, 99, i16::MAX] {
        let mut line = besieged.line().expect("accepted");
        let heard = line.ask(&framed(0, version, 3, &[0; 30]));
        assert_eq!(heard, Ok(Heard::Closed), "produce {version}");
    }
    for version in [-1, 9, i16::MAX] {
        let mut line = besieged.line().expect("accepted");
        let Ok(Heard::Answer(3, body)) = line.ask(&framed(18, version, 3, &[])) else {
            panic!("versions {version} were not answered");
        };
        assert_eq!(body[..2], 35_i16.to_be_bytes(), "unsupported version");
        assert!(matches!(line.ask(&api_versions(4)), Ok(Heard::Answer(4, _))), "and goes on");
    }
    besieged.relieve().expect("nobody else noticed");
}

// Kafka reads U+FFFD where a string is not UTF-8 and finds the name invalid: no connection ends.
#[test]
fn a_topic_name_that_is_not_utf8_is_an_invalid_name() {
    let besieged = besieged();
    let mut line = besieged.line().expect("accepted");
    for name in [&b"\xff"[..], b"a\xc3b", b"\xed\xa0\x80"] {
        let Ok(Heard::Answer(6, body)) = line.ask(&metadata_of_bytes(6, name)) else {
            panic!("{name:?} was not answered");
        };
        // INVALID_TOPIC_EXCEPTION in front of the name, which is as long as it was.
        let mut topic = 17_i16.to_be_bytes().to_vec();
        topic.extend(i16::try_from(name.len()).expect("short").to_be_bytes());
        assert!(body.windows(4).any(|bytes| bytes == topic), "{name:?}: {body:?}");
    }
    besieged.relieve().expect("nobody else noticed");
}

/// Requests that are right, one of each kind that has a body.
fn right_requests() -> Vec<Vec<u8>> {
    let batch = Batch::of(&[b"one", b"two"]).bytes();
    vec![produce(1, "target", &batch), fetch(1, "target", 1 << 20), metadata(1, "target")]
}

/// The place of the fetch in [`right_requests`]: made longer, its wait is legal.
const FETCH: usize = 1;

/// Whatever was made of `frame`, the broker answers or closes, and does not wait for more.
fn survives(line: &mut Line, kind: usize, frame: &[u8], what: &str) {
    if kind == FETCH {
        line.wait_at_most(Duration::from_millis(500)).expect("the socket can be set up");
    }
    line.say(frame);
    // What asks for no answer is followed by something that does.
    line.say(&api_versions(9));
    loop {
        match line.hear() {
            Ok(Heard::Closed | Heard::Answer(9, _)) => return,
            Ok(Heard::Answer(..)) => {}
            Err(_) if kind == FETCH => return,
            Err(failure) => panic!("{what}: {failure}"),
        }
    }
}

#[test]
fn truncated_requests_are_answered_or_closed() {
    let besieged = besieged();
    besieged.topic("target").expect("it is created");
    for (kind, frame) in right_requests().into_iter().enumerate() {
        for len in 8..frame.len() - 4 {
            let mut cut = frame[..len + 4].to_vec();
            let length = i32::try_from(len).expect("small");
            cut[..4].copy_from_slice(&length.to_be_bytes());
            let mut line = besieged.line().expect("accepted");
            survives(&mut line, kind, &cut, &format!("kind {kind} cut to {len}"));
        }
    }
    besieged.relieve().expect("nobody else noticed");
}

#[test]
fn flipped_bits_are_answered_or_closed() {
    let besieged = besieged();
    besieged.topic("target").expect("it is created");
    let before = besieged.memory().expect("it runs");
    let mut random = Workload::new(11, Flavour::Noise, 0, 0);
    let requests = right_requests();
    for n in 0..1_500_usize {
        let mut frame = requests[n % requests.len()].clone();
        for _ in 0..=random.below(3) {
            let bits = u64::try_from((frame.len() - 4) * 8).expect("small");
            let bit = usize::try_from(random.below(bits)).expect("small") + 4 * 8;
            frame[bit / 8] ^= 1 << (bit % 8);
        }
        let mut line = besieged.line().expect("accepted");
        survives(&mut line, n % requests.len(), &frame, &format!("mutation {n}: {frame:?}"));
    }
    let grown = besieged.memory().expect("it runs").saturating_sub(before);
    assert!(grown < 64 * MIB, "grown by {grown} bytes");
    besieged.relieve().expect("nobody else noticed");
}
