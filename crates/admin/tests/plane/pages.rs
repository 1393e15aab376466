//! The pages for plain HTTP clients.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Instant;

use evenkeel_admin::Readiness;

use crate::shards::World;

fn page(world: &World, path: &str) -> String {
    let mut stream = TcpStream::connect(world.address).expect("it accepts");
    write!(stream, "GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        .expect("it is done");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it is done");
    answer
}

#[test]
fn it_is_live_at_once_and_ready_when_it_is_said() {
    let world = World::new(1, 0);
    let plane = world.plane.as_ref().expect("it is done");
    assert!(page(&world, "/live").starts_with("HTTP/1.1 200 "));
    assert!(page(&world, "/ready").starts_with("HTTP/1.1 503 "));
    plane.set_readiness(Readiness::Ready);
    assert!(page(&world, "/ready").starts_with("HTTP/1.1 200 "));
    plane.set_readiness(Readiness::Stopping);
    let stopping = page(&world, "/ready");
    assert!(stopping.starts_with("HTTP/1.1 503 ") && stopping.ends_with("stopping\n"));
}

#[test]
fn metrics_are_told_of_every_shard() {
    let world = World::new(2, 0);
    let text = page(&world, "/metrics");
    assert!(text.starts_with("HTTP/1.1 200 "), "{text}");
    assert!(text.contains("application/openmetrics-text"));
    for line in [
        "evenkeel_requests_total{key=\"Produce\"} 6",
        "evenkeel_request_errors_total{key=\"Produce\"} 2",
        "evenkeel_produced_bytes_total{shard=\"1\"} 4096",
        "evenkeel_group_cpu_seconds_total{group=\"compaction\",shard=\"0\"} 7.0",
        "evenkeel_group_io_shares{group=\"compaction\",shard=\"1\"} 60",
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
}

#[test]
fn many_who_ask_cost_the_shards_what_one_does() {
    let world = World::new(1, 0);
    let since = Instant::now();
    for _ in 0..100 {
        page(&world, "/metrics");
    }
    let most = 1 + since.elapsed().as_millis() / 50;
    let readings = world.shards[0].lock().expect("nobody panicked").readings;
    assert!(u128::from(readings) <= most, "{readings} readings in {:?}", since.elapsed());
}

#[test]
fn metrics_say_so_when_a_shard_does_not_answer() {
    let world = World::new(1, 1);
    let text = page(&world, "/metrics");
    assert!(text.starts_with("HTTP/1.1 503 ") && text.contains("shard 1"), "{text}");
}

#[test]
fn an_unknown_page_is_not_found() {
    let world = World::new(1, 0);
    assert!(page(&world, "/secrets").starts_with("HTTP/1.1 404 "));
}
