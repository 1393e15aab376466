//! What all loads share: the topic, the producers, and what is counted of each acknowledgement.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock};
use std::thread::Thread;
use std::time::{Duration, Instant};

use kit::{Failure, Flavour, Outcome, Workload};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ProducerContext};
use rdkafka::{ClientContext, Message};

use crate::{Broker, Plan};

const LIMIT: Duration = Duration::from_secs(60);

pub(crate) fn config(broker: &Broker) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", &broker.bootstrap).set("log.connection.close", "false");
    config
}

/// Creates the plan's topic and waits until every partition has a log that answers.
pub(crate) fn create_topic(broker: &Broker, plan: &Plan) -> Outcome<()> {
    let admin: AdminClient<DefaultClientContext> = config(broker).create().map_err(describe)?;
    let mut topic = NewTopic::new(&plan.topic, plan.partition_count(), TopicReplication::Fixed(1));
    for setting in &plan.configs {
        let (name, value) = setting.split_once('=').ok_or("a config is name=value")?;
        topic = topic.set(name, value);
    }
    let options = AdminOptions::new().operation_timeout(Some(LIMIT)).request_timeout(Some(LIMIT));
    let answers = kit::wait(admin.create_topics([&topic], &options)).map_err(describe)?;
    for answer in answers {
        answer.map_err(|(topic, code)| Failure::new(format!("creating {topic}: {code}")))?;
    }
    // Metadata may show leaders before the logs exist.
    let mut settings = config(broker);
    let asking: BaseConsumer = settings.set("group.id", "none").create().map_err(describe)?;
    let started = Instant::now();
    for partition in 0..plan.partition_count() {
        while asking.fetch_watermarks(&plan.topic, partition, LIMIT).is_err() {
            if started.elapsed() > LIMIT {
                return Err(Failure::new(format!("partition {partition} does not answer")));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    Ok(())
}

pub(crate) fn describe(error: KafkaError) -> Failure {
    Failure::new(error.to_string())
}

/// What happens to acknowledgements of one producer. The number that each record carries is an
/// instant in microseconds since `began`: when it was sent or due.
#[derive(Debug)]
pub(crate) struct Acks {
    began: Instant,
    /// Records and bytes that are acknowledged so far, in the window or not.
    pub(crate) records: AtomicU64,
    pub(crate) bytes: AtomicU64,
    failed: AtomicU64,
    /// The counted part, in microseconds since `began`; latencies outside are not kept.
    window: (u64, u64),
    /// Latency of each acknowledgement of a record from inside the window.
    latencies: Option<Mutex<Vec<u32>>>,
    /// Who waits for each acknowledgement.
    waiter: OnceLock<Thread>,
}

impl Acks {
    /// Counts; keeps latencies of records from inside `window` when there is one.
    pub(crate) fn new(began: Instant, window: Option<(Duration, Duration)>) -> Acks {
        let micros = |at: Duration| u64::try_from(at.as_micros()).expect("a run is short");
        Acks {
            began,
            records: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            window: window.map_or((0, 0), |(from, to)| (micros(from), micros(to))),
            latencies: window.map(|_| Mutex::new(Vec::new())),
            waiter: OnceLock::new(),
        }
    }

    /// Wakes the calling thread at each acknowledgement from here on.
    pub(crate) fn wake_me(&self) {
        self.waiter.get_or_init(std::thread::current);
    }

    fn wake(&self) {
        if let Some(waiter) = self.waiter.get() {
            waiter.unpark();
        }
    }

    /// Takes the latencies, in microseconds.
    pub(crate) fn take_latencies(&self) -> Vec<u32> {
        let kept = self.latencies.as_ref();
        kept.map(|kept| std::mem::take(&mut *kept.lock().expect("no holder panics")))
            .unwrap_or_default()
    }

    pub(crate) fn check(&self) -> Outcome<()> {
        match self.failed.load(Ordering::Relaxed) {
            0 => Ok(()),
            failed => Err(Failure::new(format!("{failed} records were not acknowledged"))),
        }
    }

    pub(crate) fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_micros()).expect("a run is short")
    }
}

impl ClientContext for Acks {}

impl ProducerContext for Acks {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, since: usize) {
        let Ok(message) = result else {
            self.failed.fetch_add(1, Ordering::Relaxed);
            self.wake();
            return;
        };
        let length = |part: Option<&[u8]>| part.map_or(0, <[u8]>::len);
        let bytes = length(message.payload()) + length(message.key());
        self.bytes.fetch_add(u64::try_from(bytes).expect("small"), Ordering::Relaxed);
        self.records.fetch_add(1, Ordering::Relaxed);
        if let Some(latencies) = &self.latencies {
            let since = u64::try_from(since).expect("64-bit");
            if (self.window.0..self.window.1).contains(&since) {
                let micros = self.now().saturating_sub(since);
                let micros = u32::try_from(micros).unwrap_or(u32::MAX);
                latencies.lock().expect("no holder panics").push(micros);
            }
        }
        self.wake();
    }
}

/// One producer with the plan's settings and further ones.
pub(crate) fn producer(
    broker: &Broker,
    plan: &Plan,
    acks: Acks,
    settings: &[(&str, &str)],
) -> Outcome<BaseProducer<Acks>> {
    let mut config = config(broker);
    config
        .set("acks", &plan.acks)
        .set("compression.type", &plan.codec)
        .set("linger.ms", plan.linger_ms.to_string())
        .set("batch.size", plan.batch_bytes.to_string())
        .set("batch.num.messages", "1000000")
        .set("message.max.bytes", "1000000")
        .set("queue.buffering.max.messages", "1000000")
        .set("queue.buffering.max.kbytes", "65536");
    for (name, value) in settings {
        config.set(*name, *value);
    }
    config.create_with_context(acks).map_err(describe)
}

/// Values made before the run and keys and partitions made in it: the generator shares the CPUs
/// with the broker.
#[derive(Debug)]
pub(crate) struct Source {
    values: Vec<Vec<u8>>,
    load: Workload,
    place: usize,
    partitions: i32,
    keyed: bool,
}

impl Source {
    pub(crate) fn new(plan: &Plan, seed: u64) -> Source {
        let mut load = Workload::new(seed, Flavour::Text, plan.record_bytes, plan.keys);
        let values = (0..512).map(|_| load.value()).collect();
        let place = usize::try_from(seed).expect("a small seed");
        Source { values, load, place, partitions: plan.partition_count(), keyed: plan.keys > 0 }
    }

    /// Hands the next record to the producer with this instant; `false` when its queue is full.
    /// With `stamp` the instant also stands in the first eight bytes of the value.
    pub(crate) fn send(
        &mut self,
        producer: &BaseProducer<Acks>,
        topic: &str,
        since: u64,
        stamp: bool,
    ) -> Outcome<bool> {
        let slot = self.place % self.values.len();
        if stamp {
            self.values[slot][..8].copy_from_slice(&since.to_be_bytes());
        }
        let since = usize::try_from(since).expect("64-bit");
        let mut record = BaseRecord::<[u8], [u8], usize>::with_opaque_to(topic, since)
            .payload(&self.values[slot]);
        let key = if self.keyed { self.load.key() } else { None };
        match &key {
            Some(key) => record = record.key(key),
            None => {
                let at = self.place % usize::try_from(self.partitions).expect("positive");
                record = record.partition(i32::try_from(at).expect("small"));
            }
        }
        match producer.send(record) {
            Ok(()) => {
                self.place += 1;
                Ok(true)
            }
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => Ok(false),
            Err((error, _)) => Err(describe(error)),
        }
    }
}

/// Waits until everything sent is acknowledged.
pub(crate) fn drain(producer: &BaseProducer<Acks>) -> Outcome<()> {
    producer.flush(Duration::from_secs(120)).map_err(describe)?;
    producer.context().check()
}
