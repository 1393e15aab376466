//! The admin port at the start and at the stop.

use std::net::TcpListener;
use std::ops::ControlFlow;
use std::thread;
use std::time::{Duration, Instant};

use evenkeel_admin_tests::{broker, client, evenkeel};

#[test]
fn a_port_that_is_taken_is_said_at_the_start() {
    let held = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = held.local_addr().expect("it is bound").to_string();
    let data = broker().expect("the broker starts");
    let directory = data.data().with_extension("other");
    let directory = directory.to_str().expect("UTF-8");
    let arguments =
        ["start", "--data", directory, "--listen", "127.0.0.1:0", "--admin", address.as_str()];
    let said = evenkeel(&arguments).expect("it is done");
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.err.contains(&address) && said.err.contains("--admin"), "{}", said.err);
    assert!(!said.out.contains("ready"), "{}", said.out);
}

#[test]
fn a_client_that_watches_does_not_hold_up_a_clean_stop() {
    let mut broker = broker().expect("the broker starts");
    let client = client(&broker).expect("the plane answers");
    let watcher = thread::spawn(move || {
        client.watch(Duration::from_millis(100), |_| ControlFlow::Continue(()))
    });
    thread::sleep(Duration::from_millis(300));
    let since = Instant::now();
    broker.stop().expect("a clean stop");
    println!("stopped after {:?}", since.elapsed());
    assert!(watcher.join().expect("it does not panic").is_err());
    // The port is free again, and so is the directory.
    broker.restart().expect("it starts again");
}
