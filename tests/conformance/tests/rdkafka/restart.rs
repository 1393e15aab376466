//! The broker stops, or is killed, and comes back in the middle.

use std::time::Duration;

use kit::{Broker, Chain, Flavour, History, Workload};
use rdkafka::producer::{BaseProducer, Producer};

use crate::support::{
    PARTITIONS, Record, Reports, assert_same, create, ends, partition_count, produce_all, producer,
    read_all, scenarios, send, topic_names,
};

scenarios!(
    everything_is_there_after_a_clean_restart,
    everything_acknowledged_is_there_after_a_kill,
    an_idempotent_producer_lives_through_a_clean_restart,
    an_idempotent_producer_lives_through_a_kill,
    a_deleted_topic_stays_deleted,
);

fn numbered(count: i32) -> Vec<Record> {
    (0..count).map(|number| Record::new(number % PARTITIONS, format!("record {number}"))).collect()
}

fn everything_is_there_after_a_clean_restart(broker: &mut Broker) {
    create(broker, "kept", PARTITIONS, &[("retention.ms", "-1")]);
    create(broker, "empty", 3, &[]);
    let mut sent = numbered(400);
    produce_all(broker, "kept", &[("compression.type", "lz4")], &sent);
    for round in 0..3 {
        broker.stop().expect("a clean stop");
        broker.restart().expect("it starts on its own directory");
        assert_eq!(topic_names(broker), ["empty", "kept"], "round {round}");
        assert_eq!(partition_count(broker, "empty"), Some(3));
        assert_same(&sent, &read_all(broker, "kept", PARTITIONS), PARTITIONS);
        let more = numbered(80);
        produce_all(broker, "kept", &[], &more);
        sent.extend(more);
    }
    assert_same(&sent, &read_all(broker, "kept", PARTITIONS), PARTITIONS);
}

fn everything_acknowledged_is_there_after_a_kill(broker: &mut Broker) {
    create(broker, "survivor", PARTITIONS, &[]);
    let mut sent = Vec::new();
    for round in 0..3 {
        let more = numbered(200);
        produce_all(broker, "survivor", &[("acks", "all"), ("batch.num.messages", "9")], &more);
        sent.extend(more);
        broker.kill().expect("it runs");
        broker.restart().expect("it recovers");
        let read = read_all(broker, "survivor", PARTITIONS);
        assert_eq!(read.len(), sent.len(), "round {round}");
        assert_same(&sent, &read, PARTITIONS);
    }
}

fn an_idempotent_producer_lives_through_a_clean_restart(broker: &mut Broker) {
    once_and_in_order(broker, "calm", |broker| broker.stop().expect("a clean stop"));
}

fn an_idempotent_producer_lives_through_a_kill(broker: &mut Broker) {
    once_and_in_order(broker, "rough", |broker| broker.kill().expect("it runs"));
}

/// Three producers write chains to every partition while the broker goes down and comes back twice;
/// every record must be there once and in order.
fn once_and_in_order(broker: &mut Broker, topic: &str, down: fn(&mut Broker)) {
    const WRITERS: u32 = 3;
    const ROUNDS: usize = 2;
    create(broker, topic, PARTITIONS, &[]);
    let settings = [
        ("enable.idempotence", "true"),
        ("message.timeout.ms", "120000"),
        ("batch.num.messages", "20"),
        ("reconnect.backoff.max.ms", "200"),
    ];
    let producers: Vec<_> = (0..WRITERS).map(|_| producer(broker, &settings)).collect();
    let mut chains: Vec<Vec<Chain>> =
        (0..WRITERS).map(|writer| (0..PARTITIONS).map(|_| Chain::new(writer)).collect()).collect();
    let mut load = Workload::new(5, Flavour::Text, 200, 0);
    let mut places = [0_usize; WRITERS as usize];
    for _ in 0..ROUNDS {
        write_some(topic, &producers, &mut chains, &mut load, &mut places);
        down(broker);
        write_some(topic, &producers, &mut chains, &mut load, &mut places);
        broker.restart().expect("it comes back");
        write_some(topic, &producers, &mut chains, &mut load, &mut places);
    }
    for producer in &producers {
        producer.flush(Duration::from_secs(120)).expect("everything is reported");
    }
    for (writer, producer) in producers.iter().enumerate() {
        let reports = producer.context().so_far();
        assert_eq!(reports.len(), places[writer]);
        assert!(reports.iter().all(|report| matches!(report, Some(Ok(_)))), "writer {writer}");
    }
    check_chains(broker, topic, places);
}

fn write_some(
    topic: &str,
    producers: &[BaseProducer<Reports>],
    chains: &mut [Vec<Chain>],
    load: &mut Workload,
    places: &mut [usize],
) {
    for _ in 0..25 {
        for (writer, producer) in producers.iter().enumerate() {
            for partition in 0..PARTITIONS {
                let chain = &mut chains[writer][usize::try_from(partition).expect("small")];
                let (_, value) = chain.next_record(&load.value());
                send(producer, topic, &Record::new(partition, value), places[writer]);
                places[writer] += 1;
                producer.poll(Duration::ZERO);
            }
        }
    }
}

fn check_chains(broker: &Broker, topic: &str, places: [usize; 3]) {
    let partitions = usize::try_from(PARTITIONS).expect("small");
    let mut histories: Vec<History> = (0..partitions).map(|_| History::new()).collect();
    for history in &mut histories {
        for (writer, place) in places.iter().enumerate() {
            let last = u64::try_from(place / partitions - 1).expect("small");
            history.acknowledge(u32::try_from(writer).expect("small"), last);
        }
    }
    for (offset, record) in read_all(broker, topic, PARTITIONS) {
        let partition = usize::try_from(record.partition).expect("small");
        let value = record.value.expect("it has a value");
        if let Err(violation) = histories[partition].read(&value) {
            panic!("partition {partition} offset {offset}: {violation}");
        }
    }
    for (partition, history) in histories.iter().enumerate() {
        if let Err(violation) = history.finish() {
            panic!("partition {partition}: {violation}");
        }
        let (start, end) = ends(broker, topic, i32::try_from(partition).expect("small"));
        assert_eq!(u64::try_from(end - start).expect("a count"), history.acknowledged_records());
    }
}

fn a_deleted_topic_stays_deleted(broker: &mut Broker) {
    use crate::support::{admin, patient, until, wait};
    create(broker, "gone", PARTITIONS, &[]);
    create(broker, "stays", PARTITIONS, &[]);
    produce_all(broker, "gone", &[], &numbered(40));
    produce_all(broker, "stays", &[], &numbered(40));
    let answers = wait(admin(broker).delete_topics(&["gone"], &patient())).expect("an answer");
    assert_eq!(answers, [Ok("gone".to_owned())]);
    until(|| topic_names(broker) == ["stays"]);
    broker.kill().expect("it runs");
    broker.restart().expect("it recovers");
    assert_eq!(topic_names(broker), ["stays"]);
    assert_eq!(read_all(broker, "stays", PARTITIONS).len(), 40);
}
