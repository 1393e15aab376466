//! Consumers of what was just written.

use std::thread;
use std::time::{Duration, Instant};

use kit::{Failure, Outcome};
use rdkafka::Message;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use crate::closed;
use crate::figures::{Figures, Window};
use crate::producing::{config, describe};
use crate::{Broker, Plan};

const LIMIT: Duration = Duration::from_secs(120);

/// Fills, then reads everything; the partitions are shared among the consumers.
pub(crate) fn run(broker: &Broker, plan: &Plan) -> Outcome<Figures> {
    closed::fill(broker, plan)?;
    let consumers = (0..plan.consumers)
        .map(|number| consumer(broker, plan, number))
        .collect::<Outcome<Vec<_>>>()?;
    let window = Window::open(broker)?;
    let totals = thread::scope(|scope| {
        let workers: Vec<_> = consumers
            .iter()
            .map(|(consumer, list, wanted)| {
                // The assignment starts the fetching, so it belongs to the window.
                scope.spawn(move || {
                    consumer.assign(list).map_err(describe)?;
                    read(consumer, *wanted)
                })
            })
            .collect();
        workers
            .into_iter()
            .map(|worker| worker.join().expect("a consumer thread does not panic"))
            .collect::<Outcome<Vec<_>>>()
    })?;
    let records = totals.iter().map(|(records, _)| records).sum();
    let bytes = totals.iter().map(|(_, bytes)| bytes).sum();
    window.close(records, bytes)
}

/// A consumer, the partitions that fall to it, and how many records it has to read.
fn consumer(
    broker: &Broker,
    plan: &Plan,
    number: u32,
) -> Outcome<(BaseConsumer, TopicPartitionList, u64)> {
    let mut config = config(broker);
    config.set("group.id", "none").set("enable.auto.commit", "false").set("check.crcs", "false");
    config.set("queued.max.messages.kbytes", "65536");
    let consumer: BaseConsumer = config.create().map_err(describe)?;
    let mut list = TopicPartitionList::new();
    let mut wanted = 0;
    for partition in 0..plan.partition_count() {
        if partition.unsigned_abs() % plan.consumers == number {
            let ends =
                consumer.fetch_watermarks(&plan.topic, partition, LIMIT).map_err(describe)?;
            wanted += u64::try_from(ends.1 - ends.0).expect("a count");
            list.add_partition_offset(&plan.topic, partition, Offset::Beginning)
                .map_err(describe)?;
        }
    }
    Ok((consumer, list, wanted))
}

fn read(consumer: &BaseConsumer, wanted: u64) -> Outcome<(u64, u64)> {
    let started = Instant::now();
    let (mut records, mut bytes) = (0, 0);
    while records < wanted {
        match consumer.poll(Duration::from_millis(200)) {
            None => (),
            Some(message) => {
                let message = message.map_err(describe)?;
                records += 1;
                bytes += u64::try_from(message.payload().map_or(0, <[u8]>::len)).expect("small");
            }
        }
        if started.elapsed() > LIMIT {
            return Err(Failure::new(format!("{records} of {wanted} records in {LIMIT:?}")));
        }
    }
    Ok((records, bytes))
}
