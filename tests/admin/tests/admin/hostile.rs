//! What nobody should send to the admin port: Kafka's clients must not notice.

use std::io::Write;
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use admin::CONNECTIONS_MAX;
use evenkeel_admin_tests::{broker, page};
use kit::{Broker, answers_api_versions};

/// Runs `attack` while Kafka must answer; then memory must not have grown by much and the admin port
/// must serve.
fn besiege(attack: impl FnOnce(&Broker)) {
    let mut broker = broker().expect("the broker starts");
    assert!(page(&broker, "/metrics").expect("a page").starts_with("HTTP/1.1 200 "));
    let before = broker.resident_bytes().expect("it is done");
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let (over, address) = (&over, broker.address());
        let witness = scope.spawn(move || {
            let mut served = 0;
            loop {
                assert!(answers_api_versions(address, Duration::from_secs(5)), "after {served}");
                served += 1;
                // An attack may be over before Kafka was asked for the first time.
                if over.load(Ordering::Acquire) {
                    return served;
                }
                thread::sleep(Duration::from_millis(5));
            }
        });
        attack(&broker);
        over.store(true, Ordering::Release);
        assert!(0 < witness.join().expect("it does not panic"));
    });
    let grown = broker.resident_bytes().expect("it is done").saturating_sub(before);
    assert!(grown < 24 << 20, "grown by {grown} bytes");
    let since = Instant::now();
    // The plane learns of the end of connections a moment later.
    while !page(&broker, "/live").is_ok_and(|page| page.starts_with("HTTP/1.1 200 ")) {
        assert!(since.elapsed() < Duration::from_secs(20), "the admin port does not recover");
        thread::sleep(Duration::from_millis(20));
    }
    assert!(!broker.errors().contains("panicked"), "{}", broker.last_words());
    broker.stop().expect("it is done");
}

#[test]
fn more_connections_than_there_are_places() {
    besiege(|broker| {
        let held: Vec<TcpStream> = (0..4 * CONNECTIONS_MAX)
            .map(|_| TcpStream::connect(broker.admin_address()).expect("it accepts"))
            .collect();
        thread::sleep(Duration::from_millis(200));
        drop(held);
    });
}

#[test]
fn headers_and_bodies_without_end() {
    besiege(|broker| {
        thread::scope(|scope| {
            for number in 0..32 {
                scope.spawn(move || {
                    let mut stream = TcpStream::connect(broker.admin_address()).expect("it accepts");
                    let begin: &[u8] = match number % 3 {
                        0 => b"GET /metrics HTTP/1.1\r\nX: ",
                        1 => b"POST /metrics HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000000\r\n\r\n",
                        _ => b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00\xff\xff\xff\x00\x00\x00\x00\x00\x01",
                    };
                    stream.set_write_timeout(Some(Duration::from_millis(500))).expect("it is done");
                    // It may be closed, or not read, at any moment.
                    let _ = stream.write_all(begin);
                    let _ = stream.write_all(&vec![b'a'; 8 << 20]);
                });
            }
        });
    });
}

#[test]
fn streams_that_are_opened_and_reset_again_and_again() {
    besiege(|broker| {
        let mut stream = TcpStream::connect(broker.admin_address()).expect("it accepts");
        stream.set_write_timeout(Some(Duration::from_secs(2))).expect("it is done");
        let _ = stream
            .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00");
        for number in 0..20_000_u32 {
            let id = (2 * number + 1).to_be_bytes();
            // HEADERS of GET /metrics (indexed :method and :scheme, literal :path), then RST_STREAM.
            let block = b"\x82\x86\x04\x08/metrics\x41\x01a";
            let mut frames = vec![0, 0, u8::try_from(block.len()).expect("it is done"), 1, 5];
            frames.extend(id);
            frames.extend(block);
            frames.extend([0, 0, 4, 3, 0]);
            frames.extend(id);
            frames.extend(8_u32.to_be_bytes());
            if stream.write_all(&frames).is_err() {
                break;
            }
        }
    });
}
