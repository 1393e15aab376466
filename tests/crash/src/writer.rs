//! One idempotent producer and its chains, one for each partition.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use kit::{Broker, Chain, Failure, Flavour, History, Outcome, Workload};
use rdkafka::config::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ProducerContext};
use rdkafka::{ClientContext, Message};

use crate::{Place, TOPICS, places};

/// Records that one writer has under way at most: what it may have to send again after a kill.
const UNDER_WAY_MAX: i32 = 2_000;
/// How long a record may take, kills included.
const DELIVERY_LIMIT: &str = "120000";

/// What the delivery reports say.
#[derive(Default)]
struct Reports {
    /// The highest record of each partition that was acknowledged.
    acknowledged: Mutex<BTreeMap<Place, u64>>,
    /// Why a record was given up, the first time.
    failure: Mutex<Option<String>>,
}

impl ClientContext for Reports {}

impl ProducerContext for Reports {
    type DeliveryOpaque = Box<(Place, u64)>;

    fn delivery(&self, result: &DeliveryResult<'_>, of: Box<(Place, u64)>) {
        let (place, number) = *of;
        match result {
            Ok(_) => {
                let mut all = self.acknowledged.lock().expect("no holder panics");
                let highest = all.entry(place).or_insert(number);
                *highest = (*highest).max(number);
            }
            Err((error, message)) => {
                let partition = message.partition();
                let text = format!("record {number} to {partition} of {place:?}: {error}");
                self.failure.lock().expect("no holder panics").get_or_insert(text);
            }
        }
    }
}

/// How a writer writes: small records one by one, or large batches.
struct Manner {
    settings: &'static [(&'static str, &'static str)],
    /// Longest value, in bytes.
    value_bytes_max: u64,
    /// Most records in a row to one partition.
    burst_max: u64,
    pause: Duration,
}

/// Each writer takes the next one.
const MANNERS: [Manner; 4] = [
    Manner {
        settings: &[("linger.ms", "0"), ("batch.num.messages", "3")],
        value_bytes_max: 200,
        burst_max: 4,
        pause: Duration::from_millis(1),
    },
    Manner {
        settings: &[("linger.ms", "10"), ("compression.type", "lz4")],
        value_bytes_max: 1_000,
        burst_max: 60,
        pause: Duration::from_millis(3),
    },
    // Batches that go past the journal, straight to the segment.
    Manner {
        settings: &[("linger.ms", "20"), ("batch.size", "400000"), ("compression.type", "none")],
        value_bytes_max: 20_000,
        burst_max: 40,
        pause: Duration::from_millis(25),
    },
    Manner {
        settings: &[("linger.ms", "2"), ("batch.num.messages", "7"), ("compression.type", "zstd")],
        value_bytes_max: 3_000,
        burst_max: 10,
        pause: Duration::from_millis(2),
    },
];

/// A producer that outlives its broker.
pub(crate) struct Writer {
    number: u32,
    manner: &'static Manner,
    producer: BaseProducer<Reports>,
    chains: BTreeMap<Place, Chain>,
    load: Workload,
}

impl Writer {
    /// A new writer; `number` is unique in a run.
    pub(crate) fn new(broker: &Broker, number: u32, seed: u64) -> Outcome<Writer> {
        let manner = &MANNERS[usize::try_from(number).expect("small") % MANNERS.len()];
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", broker.bootstrap());
        config.set("enable.idempotence", "true");
        config.set("message.timeout.ms", DELIVERY_LIMIT);
        config.set("reconnect.backoff.ms", "10").set("reconnect.backoff.max.ms", "100");
        config.set("retry.backoff.ms", "20").set("retry.backoff.max.ms", "100");
        // A kill is no news to a test that kills.
        config.set_log_level(rdkafka::config::RDKafkaLogLevel::Emerg);
        for (name, value) in manner.settings {
            config.set(*name, *value);
        }
        let producer = config
            .create_with_context(Reports::default())
            .map_err(|error| Failure::new(format!("writer {number}: {error}")))?;
        let bytes = usize::try_from(manner.value_bytes_max).expect("small");
        let load = Workload::new(seed ^ u64::from(number), Flavour::Text, bytes, 0);
        let chains = places().map(|place| (place, Chain::new(number))).collect();
        Ok(Writer { number, manner, producer, chains, load })
    }

    /// Writes until it shall stop.
    pub(crate) fn write(&mut self, stop: &AtomicBool) -> Outcome<()> {
        let places: Vec<Place> = places().collect();
        let count = u64::try_from(places.len()).expect("small");
        while !stop.load(Ordering::Acquire) {
            let place = places[usize::try_from(self.load.below(count)).expect("small")];
            for _ in 0..=self.load.below(self.manner.burst_max) {
                self.send(place)?;
            }
            self.producer.poll(Duration::ZERO);
            while self.producer.in_flight_count() > UNDER_WAY_MAX && !stop.load(Ordering::Acquire) {
                self.producer.poll(Duration::from_millis(5));
            }
            thread::sleep(self.manner.pause);
        }
        Ok(())
    }

    fn send(&mut self, place: Place) -> Outcome<()> {
        let mut value = self.load.value();
        let bytes = self.load.below(self.manner.value_bytes_max);
        value.truncate(usize::try_from(bytes).expect("small"));
        let chain = self.chains.get_mut(&place).expect("a chain for each place");
        let (number, record) = chain.next_record(&value);
        let topic = TOPICS[place.0].name;
        let mut new: BaseRecord<'_, [u8], Vec<u8>, _> =
            BaseRecord::with_opaque_to(topic, Box::new((place, number)));
        new = new.partition(place.1).payload(&record);
        loop {
            match self.producer.send(new) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                    new = back;
                    self.producer.poll(Duration::from_millis(5));
                }
                Err((error, _)) => return Err(self.failure(&error.to_string())),
            }
        }
    }

    /// What went wrong, with what the client says of itself.
    fn failure(&self, what: &str) -> Failure {
        let given_up = self.producer.context().failure.lock().expect("no holder panics").clone();
        let fatal = self.producer.client().fatal_error();
        let fatal = fatal.map(|(code, text)| format!("fatal {code}: {text}"));
        let all = [Some(what.to_owned()), fatal, given_up];
        let all: Vec<String> = all.into_iter().flatten().collect();
        Failure::new(format!("writer {}: {}", self.number, all.join("; ")))
    }

    /// Waits until every record is acknowledged; none may fail.
    pub(crate) fn settle(&self) -> Outcome<()> {
        let flushed = self.producer.flush(Duration::from_secs(120));
        let given_up = self.producer.context().failure.lock().expect("no panic").is_some();
        if given_up || self.producer.client().fatal_error().is_some() {
            return Err(self.failure("records were given up"));
        }
        flushed.map_err(|error| self.failure(&format!("not acknowledged: {error}")))
    }

    /// Tells the history of each partition what was acknowledged.
    pub(crate) fn tell(&self, histories: &mut BTreeMap<Place, History>) {
        let acknowledged = self.producer.context().acknowledged.lock().expect("no holder panics");
        for (place, highest) in acknowledged.iter() {
            let history = histories.get_mut(place).expect("a history for each place");
            history.acknowledge(self.number, *highest);
        }
    }
}
