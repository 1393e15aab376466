//! What a client may make the plane hold.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use evenkeel_admin::{CONNECTIONS_MAX, Client, SharesChange};

use crate::shards::World;

const PATIENCE: Duration = Duration::from_secs(20);

fn connect(world: &World) -> TcpStream {
    let stream = TcpStream::connect(world.address).expect("it accepts");
    stream.set_read_timeout(Some(PATIENCE)).expect("it is done");
    stream
}

fn is_live(stream: &mut TcpStream) -> bool {
    let asked = write!(stream, "GET /live HTTP/1.1\r\nHost: a\r\n\r\n");
    let mut answer = [0; 15];
    asked.is_ok() && stream.read_exact(&mut answer).is_ok() && answer == *b"HTTP/1.1 200 OK"
}

#[test]
fn beyond_so_many_connections_the_next_is_closed() {
    let world = World::new(1, 0);
    let mut held: Vec<TcpStream> = (0..CONNECTIONS_MAX).map(|_| connect(&world)).collect();
    assert!(held.iter_mut().all(is_live));
    let mut beyond = connect(&world);
    assert!(!is_live(&mut beyond));
    drop(held.split_off(CONNECTIONS_MAX / 2));
    // The plane learns of an end a moment later.
    let mut tries = (0..200).map(|_| {
        std::thread::sleep(Duration::from_millis(10));
        is_live(&mut connect(&world))
    });
    assert!(tries.any(|live| live), "there is room again");
}

#[test]
fn a_header_without_end_ends_its_connection() {
    let world = World::new(1, 0);
    let mut stream = connect(&world);
    let line = format!("GET /live HTTP/1.1\r\nX: {}", "a".repeat(1 << 20));
    // The server may close before it has all.
    let _ = stream.write_all(line.as_bytes());
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest);
    assert!(!rest.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&rest));
    assert!(is_live(&mut connect(&world)));
}

#[test]
fn a_frame_that_announces_too_much_ends_its_connection() {
    let world = World::new(1, 0);
    let mut stream = connect(&world);
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").expect("it is done");
    // An empty SETTINGS, then DATA of 16 MiB - 1 on stream 1.
    stream.write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0]).expect("it is done");
    stream.write_all(&[0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 1]).expect("it is done");
    let mut heard = Vec::new();
    let _ = stream.read_to_end(&mut heard);
    // GOAWAY is type 7; FRAME_SIZE_ERROR is 6.
    let goaway = heard.windows(6).any(|frame| frame[3] == 7) && heard.contains(&6);
    assert!(goaway, "{heard:?}");
    assert!(is_live(&mut connect(&world)));
}

#[test]
fn a_message_that_is_too_long_is_refused() {
    let world = World::new(1, 0);
    let client = Client::connect(&world.address.to_string()).expect("it accepts");
    let change = SharesChange { cpu: Some(20), io: None };
    let error = client.set_shares(&"x".repeat(20 << 10), change).unwrap_err().to_string();
    assert!(error.contains("too large"), "{error}");
    client.set_shares("compaction", change).expect("the connection goes on");
}
