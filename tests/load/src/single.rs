//! Producers that send one record and wait for its acknowledgement.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use kit::{Failure, Outcome};
use rdkafka::producer::{BaseProducer, Producer};

use crate::figures::{Figures, Window};
use crate::producing::{Acks, Source, producer};
use crate::{Broker, Plan};

/// A record that is not acknowledged by then ends the run.
const LIMIT: Duration = Duration::from_secs(30);

/// Latency of each acknowledgement and their rate over the counted window.
pub(crate) fn run(broker: &Broker, plan: &Plan) -> Outcome<Figures> {
    let began = Instant::now();
    let (from, to) = (plan.warm(), plan.warm() + plan.run());
    let settings = [("max.in.flight.requests.per.connection", "1"), ("linger.ms", "0")];
    let producers = (0..plan.producers)
        .map(|_| producer(broker, plan, Acks::new(began, Some((from, to))), &settings))
        .collect::<Outcome<Vec<_>>>()?;
    thread::scope(|scope| {
        let workers: Vec<_> = (0..)
            .zip(&producers)
            .map(|(seed, producer)| scope.spawn(move || one_by_one(producer, plan, seed, to)))
            .collect();
        thread::sleep(from.saturating_sub(began.elapsed()));
        let window = Window::open(broker)?;
        let count = || {
            let records = |one: &BaseProducer<Acks>| one.context().records.load(Ordering::Relaxed);
            producers.iter().map(records).sum::<u64>()
        };
        let before = count();
        thread::sleep(to.saturating_sub(began.elapsed()));
        let records = count() - before;
        let bytes = records * u64::try_from(plan.record_bytes).expect("small");
        let mut figures = window.close(records, bytes)?;
        for worker in workers {
            worker.join().expect("a producer thread does not panic")?;
        }
        let all = producers.iter().flat_map(|one| one.context().take_latencies()).collect();
        figures.set_latencies("ack", all);
        Ok(figures)
    })
}

/// Sends and waits, while a second thread serves the client's events: a poll of the client
/// returns only when its time is over, whatever happened meanwhile.
fn one_by_one(
    producer: &BaseProducer<Acks>,
    plan: &Plan,
    seed: u64,
    until: Duration,
) -> Outcome<()> {
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                producer.poll(Duration::from_millis(100));
            }
        });
        let outcome = send_and_wait(producer, plan, seed, until);
        done.store(true, Ordering::Relaxed);
        outcome
    })
}

fn send_and_wait(
    producer: &BaseProducer<Acks>,
    plan: &Plan,
    seed: u64,
    until: Duration,
) -> Outcome<()> {
    producer.context().wake_me();
    let mut source = Source::new(plan, seed);
    let acks = producer.context();
    let until = u64::try_from(until.as_micros()).expect("a run is short");
    let mut sent = 0;
    while acks.now() < until {
        let since = acks.now();
        source.send(producer, &plan.topic, since, false)?;
        sent += 1;
        let asked = Instant::now();
        while acks.records.load(Ordering::Relaxed) < sent {
            thread::park_timeout(Duration::from_millis(100));
            acks.check()?;
            if asked.elapsed() > LIMIT {
                return Err(Failure::new(format!("no acknowledgement within {LIMIT:?}")));
            }
        }
    }
    Ok(())
}
