//! What the scenarios share: a broker, producing and fetching as plain calls.

use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

pub(crate) use kit::wait;
use kit::{Broker, BrokerOptions, Kind};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, DeliveryResult, Header, Headers, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ProducerContext};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rdkafka::{ClientContext, Message};

/// More than there are shards, so that both cases of ownership occur with every connection.
pub(crate) const PARTITIONS: i32 = 8;

/// Long enough for a loaded machine, short enough for a person who waits for the failure.
pub(crate) const LIMIT: Duration = Duration::from_secs(30);

/// Makes each scenario a test with one and a test with two shards.
macro_rules! scenarios {
    ($($name:ident),* $(,)?) => {
        mod one_shard { $( #[test] fn $name() { crate::support::run(1, super::$name); } )* }
        mod two_shards { $( #[test] fn $name() { crate::support::run(2, super::$name); } )* }
    };
}
pub(crate) use scenarios;

/// Runs a scenario on a broker of its own.
pub(crate) fn run(shards: u32, scenario: fn(&mut Broker)) {
    let kind = if std::env::var("EVENKEEL_TARGET").is_ok_and(|target| target == "kafka") {
        Kind::Kafka
    } else {
        Kind::Evenkeel { shards }
    };
    let mut broker = Broker::start(BrokerOptions::new(kind)).expect("the broker starts");
    scenario(&mut broker);
    broker.stop().expect("the broker stops cleanly");
}

/// A client's configuration for this broker.
pub(crate) fn config(broker: &Broker, settings: &[(&str, &str)]) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", broker.bootstrap());
    for (name, value) in settings {
        config.set(*name, *value);
    }
    config
}

/// An admin client with a connection of its own.
pub(crate) fn admin(broker: &Broker) -> AdminClient<DefaultClientContext> {
    config(broker, &[]).create().expect("an admin client")
}

/// Options that wait for the controller.
pub(crate) fn patient() -> AdminOptions {
    AdminOptions::new().operation_timeout(Some(LIMIT)).request_timeout(Some(LIMIT))
}

/// What a topic-level admin call answered for one topic.
pub(crate) type TopicAnswer = Result<String, (String, RDKafkaErrorCode)>;

/// Creates a topic with these configs; the answer of the broker.
pub(crate) fn try_create(
    broker: &Broker,
    topic: &str,
    partitions: i32,
    configs: &[(&str, &str)],
) -> TopicAnswer {
    let mut new = NewTopic::new(topic, partitions, TopicReplication::Fixed(1));
    for (name, value) in configs {
        new = new.set(name, value);
    }
    let mut answers = wait(admin(broker).create_topics([&new], &patient())).expect("an answer");
    answers.pop().expect("one answer for one topic")
}

/// Creates a topic, which must succeed.
pub(crate) fn create(broker: &Broker, topic: &str, partitions: i32, configs: &[(&str, &str)]) {
    assert_eq!(try_create(broker, topic, partitions, configs), Ok(topic.to_owned()));
    // Kafka answers before the logs exist: a produce in between is retried, and may be reordered.
    until(|| partition_count(broker, topic) == Some(partitions));
    for partition in 0..partitions {
        assert_eq!(ends(broker, topic, partition), (0, 0));
    }
}

/// Names of the topics that metadata shows, without Kafka's own.
pub(crate) fn topic_names(broker: &Broker) -> Vec<String> {
    let consumer: BaseConsumer = config(broker, &[]).create().expect("a consumer");
    let metadata = consumer.fetch_metadata(None, LIMIT).expect("metadata");
    let mut names: Vec<String> =
        metadata.topics().iter().map(|topic| topic.name().to_owned()).collect();
    names.retain(|name| !name.starts_with("__"));
    names.sort();
    names
}

/// How many partitions of the topic have a leader; `None` when it does not exist. Does not
/// create it.
pub(crate) fn partition_count(broker: &Broker, topic: &str) -> Option<i32> {
    let settings = [("allow.auto.create.topics", "false")];
    let consumer: BaseConsumer = config(broker, &settings).create().expect("a consumer");
    let metadata = consumer.fetch_metadata(Some(topic), LIMIT).expect("metadata");
    let topic = metadata.topics().iter().find(|found| found.name() == topic)?;
    if topic.error().is_some() {
        return None;
    }
    let led = topic.partitions().iter().filter(|partition| partition.leader() >= 0).count();
    Some(i32::try_from(led).expect("a small number"))
}

/// Waits until `condition` holds.
pub(crate) fn until(mut condition: impl FnMut() -> bool) {
    let started = Instant::now();
    while !condition() {
        assert!(started.elapsed() < LIMIT, "it did not come true in {LIMIT:?}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// A record, before and after.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Record {
    pub(crate) partition: i32,
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) value: Option<Vec<u8>>,
    pub(crate) timestamp_ms: Option<i64>,
    pub(crate) headers: Vec<(String, Option<Vec<u8>>)>,
}

impl Record {
    /// A record without key, timestamp and headers.
    pub(crate) fn new(partition: i32, value: impl Into<Vec<u8>>) -> Record {
        Record { partition, value: Some(value.into()), ..Record::default() }
    }
}

/// Where a record went, or why not.
pub(crate) type Delivery = Result<(i32, i64), RDKafkaErrorCode>;

/// Collects delivery reports by the number that each record carries.
#[derive(Default)]
pub(crate) struct Reports(Mutex<Vec<Option<Delivery>>>);

impl Reports {
    fn note(&self, place: usize, delivery: Delivery) {
        let mut all = self.0.lock().expect("no holder panics");
        if all.len() <= place {
            all.resize(place + 1, None);
        }
        all[place] = Some(delivery);
    }

    /// The reports so far, in the order of the numbers.
    pub(crate) fn so_far(&self) -> Vec<Option<Delivery>> {
        self.0.lock().expect("no holder panics").clone()
    }
}

impl ClientContext for Reports {}

impl ProducerContext for Reports {
    type DeliveryOpaque = Box<usize>;

    fn delivery(&self, result: &DeliveryResult<'_>, place: Box<usize>) {
        let delivery = match result {
            Ok(message) => Ok((message.partition(), message.offset())),
            Err((error, _)) => Err(error.rdkafka_error_code().expect("a delivery has a code")),
        };
        self.note(*place, delivery);
    }
}

/// A producer that collects its reports.
pub(crate) fn producer(broker: &Broker, settings: &[(&str, &str)]) -> BaseProducer<Reports> {
    let mut all = vec![("message.timeout.ms", "30000"), ("linger.ms", "5")];
    all.extend_from_slice(settings);
    config(broker, &all).create_with_context(Reports::default()).expect("a producer")
}

/// Hands one record to the producer under this number; waits while its queue is full.
pub(crate) fn send(producer: &BaseProducer<Reports>, topic: &str, record: &Record, place: usize) {
    let mut headers = OwnedHeaders::new_with_capacity(record.headers.len());
    for (key, value) in &record.headers {
        headers = headers.insert(Header { key, value: value.as_ref() });
    }
    let mut new = BaseRecord::<Vec<u8>, Vec<u8>, _>::with_opaque_to(topic, Box::new(place));
    new = new.partition(record.partition).headers(headers);
    if let Some(key) = &record.key {
        new = new.key(key);
    }
    if let Some(value) = &record.value {
        new = new.payload(value);
    }
    if let Some(timestamp_ms) = record.timestamp_ms {
        new = new.timestamp(timestamp_ms);
    }
    loop {
        match producer.send(new) {
            Ok(()) => return,
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                new = back;
                producer.poll(Duration::from_millis(10));
            }
            Err((error, _)) => panic!("the producer refused a record: {error}"),
        }
    }
}

/// Produces the records over one new connection; the delivery of each.
pub(crate) fn produce(
    broker: &Broker,
    topic: &str,
    settings: &[(&str, &str)],
    records: &[Record],
) -> Vec<Delivery> {
    let producer = producer(broker, settings);
    for (place, record) in records.iter().enumerate() {
        send(&producer, topic, record, place);
    }
    producer.flush(LIMIT).expect("every record is reported");
    let reports = producer.context().so_far();
    assert_eq!(reports.len(), records.len());
    reports.into_iter().map(|report| report.expect("every record is reported")).collect()
}

/// Produces the records; every one must be acknowledged.
pub(crate) fn produce_all(
    broker: &Broker,
    topic: &str,
    settings: &[(&str, &str)],
    records: &[Record],
) -> Vec<(i32, i64)> {
    let deliveries = produce(broker, topic, settings, records);
    deliveries.into_iter().map(|delivery| delivery.expect("it is acknowledged")).collect()
}

/// A consumer without a group's life: it is assigned, commits nothing and stores nothing.
pub(crate) fn consumer(broker: &Broker, settings: &[(&str, &str)]) -> BaseConsumer {
    let mut all = vec![
        ("group.id", "none"),
        ("enable.auto.commit", "false"),
        ("enable.partition.eof", "false"),
        ("auto.offset.reset", "error"),
        ("check.crcs", "true"),
    ];
    all.extend_from_slice(settings);
    config(broker, &all).create().expect("a consumer")
}

/// Assigns these partitions from these offsets.
pub(crate) fn assign(consumer: &BaseConsumer, topic: &str, starts: &[(i32, Offset)]) {
    let mut list = TopicPartitionList::new();
    for &(partition, offset) in starts {
        list.add_partition_offset(topic, partition, offset).expect("a legal offset");
    }
    consumer.assign(&list).expect("assigned");
}

/// A record that was read, with its offset.
pub(crate) type Read = (i64, Record);

/// The next record, waiting up to `limit`.
pub(crate) fn poll(consumer: &BaseConsumer, limit: Duration) -> Option<Read> {
    consumer.poll(limit).map(|message| owned(&message.expect("a record, not an error")))
}

fn owned(message: &BorrowedMessage<'_>) -> Read {
    let headers = message.headers().map_or_else(Vec::new, |headers| {
        let own =
            |header: Header<'_, &[u8]>| (header.key.to_owned(), header.value.map(<[u8]>::to_vec));
        headers.iter().map(own).collect()
    });
    let record = Record {
        partition: message.partition(),
        key: message.key().map(<[u8]>::to_vec),
        value: message.payload().map(<[u8]>::to_vec),
        timestamp_ms: message.timestamp().to_millis(),
        headers,
    };
    (message.offset(), record)
}

/// Waits until the consumer has reached the end of this partition; it must have nothing to read.
pub(crate) fn reach_end(consumer: &BaseConsumer, partition: i32) {
    match consumer.poll(LIMIT).expect("an event") {
        Err(KafkaError::PartitionEOF(at)) if at == partition => (),
        Err(error) => panic!("not the end: {error}"),
        Ok(message) => panic!("offset {} where there is nothing", message.offset()),
    }
}

/// Reads `count` records from these offsets over one new connection.
pub(crate) fn fetch(
    broker: &Broker,
    topic: &str,
    starts: &[(i32, Offset)],
    count: usize,
    settings: &[(&str, &str)],
) -> Vec<Read> {
    let consumer = consumer(broker, settings);
    assign(&consumer, topic, starts);
    let started = Instant::now();
    let mut all = Vec::with_capacity(count);
    while all.len() < count {
        assert!(started.elapsed() < LIMIT, "{} of {count} records came in {LIMIT:?}", all.len());
        all.extend(poll(&consumer, Duration::from_millis(200)));
    }
    all
}

/// First and next offset of a partition. A broker that has just started may answer that it is not
/// the leader yet, as every client must expect.
pub(crate) fn ends(broker: &Broker, topic: &str, partition: i32) -> (i64, i64) {
    let asking = consumer(broker, &[]);
    let started = Instant::now();
    loop {
        match asking.fetch_watermarks(topic, partition, LIMIT) {
            Ok(ends) => return ends,
            Err(error) => assert!(started.elapsed() < LIMIT, "no watermarks: {error}"),
        }
        thread::sleep(Duration::from_millis(50));
    }
}

/// Everything in the partitions `0..partitions` of a topic.
pub(crate) fn read_all(broker: &Broker, topic: &str, partitions: i32) -> Vec<Read> {
    let mut starts = Vec::new();
    let mut count = 0;
    for partition in 0..partitions {
        let (start, end) = ends(broker, topic, partition);
        count += usize::try_from(end - start).expect("a count");
        starts.push((partition, Offset::Beginning));
    }
    fetch(broker, topic, &starts, count, &[])
}

/// Asserts that what was read holds, partition by partition, exactly the values that were sent, in
/// order, at the offsets 0, 1, 2, ...
pub(crate) fn assert_same(sent: &[Record], read: &[Read], partitions: i32) {
    assert_eq!(sent.len(), read.len());
    for partition in 0..partitions {
        let sent: Vec<_> = sent.iter().filter(|record| record.partition == partition).collect();
        let read: Vec<_> =
            read.iter().filter(|(_, record)| record.partition == partition).collect();
        assert_eq!(sent.len(), read.len(), "partition {partition}");
        for (place, (sent, (offset, read))) in sent.iter().zip(&read).enumerate() {
            assert_eq!(i64::try_from(place).expect("small"), *offset, "partition {partition}");
            assert_eq!(sent.value, read.value, "partition {partition} offset {offset}");
            assert_eq!(sent.key, read.key, "partition {partition} offset {offset}");
            assert_eq!(sent.headers, read.headers, "partition {partition} offset {offset}");
            if sent.timestamp_ms.is_some() {
                assert_eq!(sent.timestamp_ms, read.timestamp_ms, "partition {partition}");
            }
        }
    }
}
