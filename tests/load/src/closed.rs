//! Producers that keep their queues full.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use kit::Outcome;
use rdkafka::producer::BaseProducer;

use crate::figures::{Figures, Window};
use crate::producing::{Acks, Source, drain, producer};
use crate::{Broker, Plan};

/// Throughput over the counted window.
pub(crate) fn run(broker: &Broker, plan: &Plan) -> Outcome<Figures> {
    let began = Instant::now();
    let producers = (0..plan.producers)
        .map(|_| producer(broker, plan, Acks::new(began, None), &[]))
        .collect::<Outcome<Vec<_>>>()?;
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let workers: Vec<_> = (1..)
            .zip(&producers)
            .map(|(seed, producer)| {
                let over = &over;
                scope.spawn(move || pump(producer, plan, seed, &|| over.load(Ordering::Relaxed)))
            })
            .collect();
        thread::sleep(plan.warm());
        let (records, bytes) = acknowledged(&producers);
        let window = Window::open(broker)?;
        thread::sleep(plan.run());
        let (records_after, bytes_after) = acknowledged(&producers);
        let figures = window.close(records_after - records, bytes_after - bytes);
        over.store(true, Ordering::Relaxed);
        for worker in workers {
            worker.join().expect("a producer thread does not panic")?;
        }
        figures
    })
}

fn acknowledged(producers: &[BaseProducer<Acks>]) -> (u64, u64) {
    use rdkafka::producer::Producer;
    let sum = |of: fn(&Acks) -> &AtomicU64| {
        producers.iter().map(|one| of(one.context()).load(Ordering::Relaxed)).sum::<u64>()
    };
    (sum(|acks| &acks.records), sum(|acks| &acks.bytes))
}

/// Sends until `over`, then waits for what is in flight.
fn pump(
    producer: &BaseProducer<Acks>,
    plan: &Plan,
    seed: u64,
    over: &dyn Fn() -> bool,
) -> Outcome<()> {
    let mut source = Source::new(plan, seed);
    while !over() {
        for _ in 0..64 {
            if !source.send(producer, &plan.topic, 0, false)? {
                producer.poll(Duration::from_millis(5));
                break;
            }
        }
        producer.poll(Duration::ZERO);
    }
    drain(producer)
}

/// Writes `fill_mb` and ends; its throughput counts from the first record to the last
/// acknowledgement.
pub(crate) fn fill(broker: &Broker, plan: &Plan) -> Outcome<Figures> {
    let began = Instant::now();
    let window = Window::open(broker)?;
    let records_wanted =
        plan.fill_mb * 1_000_000 / u64::try_from(plan.record_bytes).expect("small");
    let share = records_wanted.div_ceil(u64::from(plan.producers));
    let producers = (0..plan.producers)
        .map(|_| producer(broker, plan, Acks::new(began, None), &[]))
        .collect::<Outcome<Vec<_>>>()?;
    thread::scope(|scope| {
        let workers: Vec<_> = (1..)
            .zip(&producers)
            .map(|(seed, producer)| scope.spawn(move || send_share(producer, plan, seed, share)))
            .collect();
        workers
            .into_iter()
            .try_for_each(|worker| worker.join().expect("a producer thread does not panic"))
    })?;
    let (records, bytes) = acknowledged(&producers);
    window.close(records, bytes)
}

fn send_share(producer: &BaseProducer<Acks>, plan: &Plan, seed: u64, share: u64) -> Outcome<()> {
    let mut source = Source::new(plan, seed);
    let mut sent = 0;
    while sent < share {
        if source.send(producer, &plan.topic, 0, false)? {
            sent += 1;
        } else {
            producer.poll(Duration::from_millis(5));
        }
        if sent % 64 == 0 {
            producer.poll(Duration::ZERO);
        }
    }
    drain(producer)
}
