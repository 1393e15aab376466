//! Many connections, and clients that do not listen.

use std::time::Duration;

use evenkeel_hostile::{Batch, Heard, Line, api_versions, fetch, produce_error};

use crate::{MIB, besieged};

/// Connections that send nothing: `HOSTILE_CONNECTIONS`, 1,000 if it is not set.
fn connections() -> usize {
    let wanted = std::env::var("HOSTILE_CONNECTIONS").ok().and_then(|text| text.parse().ok());
    wanted.unwrap_or(1_000)
}

#[test]
fn connections_that_send_nothing_cost_little() {
    let besieged = besieged();
    let before = besieged.memory().expect("it runs");
    let count = connections();
    let mut idle: Vec<Line> = (0..count)
        .map(|n| besieged.line().unwrap_or_else(|why| panic!("line {n}: {why}")))
        .collect();
    // Every one of them was accepted: the first and the last are served.
    for place in [0, count / 2, count - 1] {
        assert!(matches!(idle[place].ask(&api_versions(1)), Ok(Heard::Answer(1, _))));
    }
    let grown = besieged.memory().expect("it runs").saturating_sub(before);
    let each = grown / u64::try_from(count).expect("a count");
    assert!(each < 16 << 10, "{each} bytes for each of {count} connections");
    drop(idle);
    besieged.relieve().expect("nobody else noticed");
}

/// Asks for much more than sockets hold, and reads nothing.
fn ask_and_never_read(line: &mut Line, request: &[u8], limit: Duration) -> bool {
    let all = request.repeat((32 << 20) / request.len());
    line.push(&all, limit).expect("the socket can be set up")
}

#[test]
fn clients_that_never_read_are_held_back() {
    let besieged = besieged();
    besieged.topic("target").expect("it is created");
    let mut producer = besieged.line().expect("accepted");
    for _ in 0..16 {
        let bytes = Batch::of(&[&vec![7; 900 << 10]]).bytes();
        assert_eq!(produce_error(&mut producer, "target", &bytes), Ok(0));
    }
    let before = besieged.memory().expect("it runs");
    let mut deaf = Vec::new();
    for _ in 0..8 {
        let mut line = besieged.line().expect("accepted");
        let all =
            ask_and_never_read(&mut line, &fetch(1, "target", 1 << 20), Duration::from_millis(400));
        assert!(!all, "it goes on reading from a client that does not");
        deaf.push(line);
    }
    let mut line = besieged.line().expect("accepted");
    let all = ask_and_never_read(&mut line, &api_versions(1), Duration::from_millis(400));
    assert!(!all, "it goes on reading from a client that does not");
    deaf.push(line);
    let grown = besieged.memory().expect("it runs").saturating_sub(before);
    assert!(grown < 96 * MIB, "grown by {grown} bytes");
    besieged.relieve().expect("nobody else noticed");
    drop(deaf);
}
