//! `/live`, `/ready` and `/metrics`.

use std::thread;
use std::time::Duration;

use evenkeel_admin_tests::{broker, metric, page};
use kit::RawClient;

#[test]
fn a_broker_that_serves_is_live_and_ready() {
    let broker = broker().expect("the broker starts");
    assert!(page(&broker, "/live").expect("a page").starts_with("HTTP/1.1 200 "));
    assert!(page(&broker, "/ready").expect("a page").starts_with("HTTP/1.1 200 "));
}

#[test]
fn metrics_follow_what_clients_do() {
    let broker = broker().expect("the broker starts");
    let mut producer = RawClient::connect(broker.address()).expect("it accepts");
    producer.create_topic("t", 2).expect("it is created");
    producer.produce_until_acknowledged("t", 0).expect("it is acknowledged");
    producer.produce_until_acknowledged("t", 1).expect("it is acknowledged");
    let both = |name: &str| {
        let of = |shard: u8| {
            metric(&broker, &format!("{name}{{shard=\"{shard}\"}}")).expect("it is told")
        };
        (of(0), of(1))
    };
    let key = |name: &str, key: &str| {
        metric(&broker, &format!("{name}{{key=\"{key}\"}}")).expect("it is told")
    };

    // The tries of a topic that is still coming count, too.
    let tries = key("evenkeel_requests_total", "Produce");
    let errors = key("evenkeel_request_errors_total", "Produce");
    let (here, there) = both("evenkeel_produced_bytes_total");
    assert!(0.0 < here && 0.0 < there, "each shard owns a partition: {here} {there}");
    for _ in 0..10 {
        assert_eq!(producer.produce("t", 0, b"value").expect("it is acknowledged"), 0);
    }
    assert_ne!(producer.produce("unknown-topic", 7, b"value").expect("it is acknowledged"), 0);
    // A page may be as old as a reading is shared.
    thread::sleep(Duration::from_millis(100));
    assert_eq!(key("evenkeel_requests_total", "Produce") - tries, 11.0);
    assert_eq!(key("evenkeel_request_errors_total", "Produce") - errors, 1.0);

    let count = "evenkeel_request_latency_seconds_count{group=\"produce\"}";
    assert!(tries + 11.0 <= metric(&broker, count).expect("it is told"));
    let (flushes, more) = both("evenkeel_journal_flushes_total");
    assert!(10.0 <= flushes + more);
    let (open, more) = both("evenkeel_connections");
    assert!(1.0 <= open + more);
    let written = |shard: u8| {
        let labels = format!("{{group=\"produce\",shard=\"{shard}\"}}");
        metric(&broker, &format!("evenkeel_group_io_written_bytes_total{labels}"))
    };
    assert!(0.0 < written(0).expect("it is told") + written(1).expect("it is told"));
    let used = "evenkeel_group_cpu_seconds_total{group=\"produce\",shard=\"0\"}";
    assert!(0.0 < metric(&broker, used).expect("it is told"));
    assert_eq!(metric(&broker, "evenkeel_ready").expect("it is told"), 1.0);
    assert!(1e6 < metric(&broker, "process_resident_memory_bytes").expect("it is told"));
}

#[test]
fn what_clients_send_makes_no_series() {
    let broker = broker().expect("the broker starts");
    let series = || {
        let text = page(&broker, "/metrics").expect("a page");
        text.lines().filter(|line| line.starts_with("evenkeel_")).count()
    };
    let mut producer = RawClient::connect(broker.address()).expect("it accepts");
    producer.create_topic("t0", 1).expect("it is created");
    producer.produce_until_acknowledged("t0", 0).expect("it is acknowledged");
    let before = series();
    for number in 1..50 {
        producer.create_topic(&format!("t{number}"), 3).expect("it is created");
        producer.produce_until_acknowledged(&format!("t{number}"), 2).expect("it is acknowledged");
    }
    assert_eq!(series(), before);
    assert!(before < 700, "{before} series of two shards");
}
