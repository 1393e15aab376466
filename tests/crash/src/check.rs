//! Reading everything back, and comparing it with what was acknowledged.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use kit::{Broker, Failure, History, Outcome};
use rdkafka::Message;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use crate::writer::Writer;
use crate::{Place, TOPICS, places};

/// Long enough for a loaded machine.
const LIMIT: Duration = Duration::from_secs(60);
/// Where records are missing on purpose, a client asks for them until it is stopped.
const LIMIT_OF_A_LOSS: Duration = Duration::from_secs(10);

/// What was read so far of every partition.
pub(crate) struct Check {
    histories: BTreeMap<Place, History>,
    /// The next offset to read.
    positions: BTreeMap<Place, i64>,
    records: u64,
    /// How long reading on may take.
    limit: Duration,
}

impl Check {
    /// Nothing read.
    pub(crate) fn new() -> Check {
        Check {
            limit: LIMIT,
            histories: places().map(|place| (place, History::new())).collect(),
            positions: places().map(|place| (place, 0)).collect(),
            records: 0,
        }
    }

    /// Nothing read, and it is not to be waited for what is lost.
    pub(crate) fn of_a_loss() -> Check {
        Check { limit: LIMIT_OF_A_LOSS, ..Check::new() }
    }

    /// How many records were read.
    pub(crate) fn records(&self) -> u64 {
        self.records
    }

    /// Reads on to the end of every partition; then all that the writers were told must be there,
    /// and nothing else. They must have settled.
    pub(crate) fn catch_up(&mut self, broker: &Broker, writers: &[Writer]) -> Outcome<()> {
        let consumer = consumer(broker)?;
        let mut left = BTreeMap::new();
        let mut from = TopicPartitionList::new();
        for place in places() {
            let end = end(&consumer, place)?;
            let position = self.positions[&place];
            if end < position {
                let what = format!("{} ends at {end}, {position} was read", named(place));
                return Err(Failure::new(what));
            }
            if position < end {
                left.insert(place, end);
                from.add_partition_offset(TOPICS[place.0].name, place.1, Offset::Offset(position))
                    .map_err(|error| Failure::new(error.to_string()))?;
            }
        }
        consumer.assign(&from).map_err(|error| Failure::new(error.to_string()))?;
        let started = Instant::now();
        while !left.is_empty() {
            if self.limit < started.elapsed() {
                let missing: Vec<String> = left
                    .iter()
                    .map(|(place, end)| {
                        format!("{} from {} to {end}", named(*place), self.positions[place])
                    })
                    .collect();
                let what = missing.join(", ");
                return Err(Failure::new(format!("not read within {:?}: {what}", self.limit)));
            }
            let Some(message) = consumer.poll(Duration::from_millis(100)) else { continue };
            let message = message.map_err(|error| Failure::new(format!("fetch: {error}")))?;
            let place = place_of(message.topic(), message.partition());
            self.read(place, message.offset(), message.payload().unwrap_or_default())?;
            if left.get(&place) == Some(&self.positions[&place]) {
                left.remove(&place);
            }
        }
        self.finish(writers)
    }

    fn read(&mut self, place: Place, offset: i64, value: &[u8]) -> Outcome<()> {
        let position = self.positions.get_mut(&place).expect("a position for each place");
        if offset != *position {
            let what = format!("{} offset {offset} came where {position} was due", named(place));
            return Err(Failure::new(what));
        }
        *position += 1;
        self.records += 1;
        let history = self.histories.get_mut(&place).expect("a history for each place");
        history.read(value).map_err(|violation| {
            Failure::new(format!("{} offset {offset}: {violation}", named(place)))
        })
    }

    fn finish(&mut self, writers: &[Writer]) -> Outcome<()> {
        writers.iter().for_each(|writer| writer.tell(&mut self.histories));
        for (place, history) in &self.histories {
            history
                .finish()
                .map_err(|violation| Failure::new(format!("{}: {violation}", named(*place))))?;
            let there = u64::try_from(self.positions[place]).unwrap_or(0);
            let acknowledged = history.acknowledged_records();
            if there != acknowledged {
                return Err(Failure::new(format!(
                    "{} holds {there} records, {acknowledged} were acknowledged",
                    named(*place)
                )));
            }
        }
        Ok(())
    }
}

fn named(place: Place) -> String {
    format!("{}-{}", TOPICS[place.0].name, place.1)
}

fn place_of(topic: &str, partition: i32) -> Place {
    let found = TOPICS.iter().position(|known| known.name == topic);
    (found.expect("only these topics are read"), partition)
}

fn consumer(broker: &Broker) -> Outcome<BaseConsumer> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", broker.bootstrap());
    config.set("group.id", "none").set("enable.auto.commit", "false");
    config.set("auto.offset.reset", "error").set("check.crcs", "true");
    config.set_log_level(rdkafka::config::RDKafkaLogLevel::Emerg);
    config.create().map_err(|error| Failure::new(format!("a consumer: {error}")))
}

/// Where a partition ends. A broker that has just started may not be its leader yet.
fn end(consumer: &BaseConsumer, place: Place) -> Outcome<i64> {
    let started = Instant::now();
    loop {
        match consumer.fetch_watermarks(TOPICS[place.0].name, place.1, LIMIT) {
            Ok((0, end)) => return Ok(end),
            Ok((start, _)) => {
                return Err(Failure::new(format!("{} starts at {start}", named(place))));
            }
            Err(error) if LIMIT < started.elapsed() => {
                return Err(Failure::new(format!("{}: no end: {error}", named(place))));
            }
            Err(_) => std::thread::sleep(Duration::from_millis(20)),
        }
    }
}
