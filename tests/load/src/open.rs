//! Records at a fixed rate. Latency counts from the instant a record was due, so that the
//! generator's own lateness is inside and a stall is not forgiven.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use kit::{Failure, Outcome};
use rdkafka::Message;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::{BaseProducer, Producer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use crate::figures::{Figures, Window, count};
use crate::producing::{Acks, Source, config, describe, drain, producer};
use crate::{Broker, Plan};

/// Acknowledgement and end-to-end latency at the rate of the plan.
pub(crate) fn run(broker: &Broker, plan: &Plan) -> Outcome<Figures> {
    let tail = if plan.tail { Some(tail_consumer(broker, plan)?) } else { None };
    let began = Instant::now();
    let (from, to) = (plan.warm(), plan.warm() + plan.run());
    let producers = (0..plan.producers)
        .map(|_| producer(broker, plan, Acks::new(began, Some((from, to))), &[]))
        .collect::<Outcome<Vec<_>>>()?;
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let workers: Vec<_> = (0..)
            .zip(&producers)
            .map(|(seed, producer)| scope.spawn(move || at_rate(producer, plan, seed, to)))
            .collect();
        let over = &over;
        let reader = tail
            .as_ref()
            .map(|consumer| scope.spawn(move || read_tail(consumer, began, (from, to), over)));
        thread::sleep(from.saturating_sub(began.elapsed()));
        let sent = || {
            let bytes = |one: &BaseProducer<Acks>| one.context().bytes.load(Ordering::Relaxed);
            let records = |one: &BaseProducer<Acks>| one.context().records.load(Ordering::Relaxed);
            let all = producers.iter();
            (all.clone().map(records).sum::<u64>(), all.map(bytes).sum::<u64>())
        };
        let window = Window::open(broker)?;
        let before = sent();
        thread::sleep(to.saturating_sub(began.elapsed()));
        let after = sent();
        let mut figures = window.close(after.0 - before.0, after.1 - before.1)?;
        let mut late = 0;
        for worker in workers {
            late = late.max(worker.join().expect("a producer thread does not panic")?);
        }
        over.store(true, Ordering::Relaxed);
        let all = producers.iter().flat_map(|one| one.context().take_latencies()).collect();
        figures.set_latencies("ack", all);
        figures.set("generator_late_max_ms", count(late) / 1_000.0);
        if let Some(reader) = reader {
            let latencies = reader.join().expect("the consumer thread does not panic")?;
            figures.set_latencies("end_to_end", latencies);
        }
        Ok(figures)
    })
}

/// Sends each record when it is due until `until`; the worst lateness in microseconds.
fn at_rate(producer: &BaseProducer<Acks>, plan: &Plan, seed: u64, until: Duration) -> Outcome<u64> {
    let mut source = Source::new(plan, seed);
    let acks = producer.context();
    let bytes = u32::try_from(plan.record_bytes).expect("a record is small");
    let interval = f64::from(bytes) * f64::from(plan.producers) / plan.rate_mb_per_s;
    let until = until.as_secs_f64() * 1e6;
    let (mut due, mut late) = (0.0, 0);
    while due < until {
        let now = acks.now();
        while due <= count(now) && due < until {
            if !source.send(producer, &plan.topic, whole(due), plan.tail)? {
                // The queue is full: the record stays due, and its wait counts.
                producer.poll(Duration::from_millis(1));
                break;
            }
            if due >= plan.warm_s * 1e6 {
                late = late.max(acks.now().saturating_sub(whole(due)));
            }
            due += interval;
        }
        producer.poll(Duration::ZERO);
        thread::sleep(Duration::from_micros(200));
    }
    drain(producer)?;
    Ok(late)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "microseconds of a run: positive and far below 2^53"
)]
fn whole(micros: f64) -> u64 {
    micros as u64
}

fn tail_consumer(broker: &Broker, plan: &Plan) -> Outcome<BaseConsumer> {
    let mut config = config(broker);
    config.set("group.id", "none").set("enable.auto.commit", "false");
    config.set("fetch.wait.max.ms", "500").set("enable.partition.eof", "true");
    let consumer: BaseConsumer = config.create().map_err(describe)?;
    let mut list = TopicPartitionList::new();
    for partition in 0..plan.partition_count() {
        list.add_partition_offset(&plan.topic, partition, Offset::Beginning).map_err(describe)?;
    }
    consumer.assign(&list).map_err(describe)?;
    // It is at the tail of every partition before the first record is due.
    for _ in 0..plan.partitions {
        if consumer.poll(Duration::from_secs(20)).is_none() {
            return Err(Failure::new("the consumer does not reach the tail"));
        }
    }
    Ok(consumer)
}

fn read_tail(
    consumer: &BaseConsumer,
    began: Instant,
    window: (Duration, Duration),
    over: &AtomicBool,
) -> Outcome<Vec<u32>> {
    let mut latencies = Vec::new();
    let mut quiet = 0;
    // After the last record was acknowledged the tail is empty within two polls.
    while quiet < 2 {
        match consumer.poll(Duration::from_millis(200)) {
            None => quiet += usize::from(over.load(Ordering::Relaxed)),
            Some(Err(rdkafka::error::KafkaError::PartitionEOF(_))) => (),
            Some(Err(error)) => return Err(describe(error)),
            Some(Ok(message)) => {
                let now = began.elapsed();
                let stamp = message.payload().and_then(|value| value.first_chunk());
                let due = Duration::from_micros(u64::from_be_bytes(*stamp.ok_or("no stamp")?));
                if due >= window.0 && due < window.1 {
                    let micros = now.saturating_sub(due).as_micros();
                    latencies.push(u32::try_from(micros).unwrap_or(u32::MAX));
                }
            }
        }
    }
    Ok(latencies)
}
