//! Produce: codecs, acknowledgements, idempotence, records of every shape, refusals.

use kit::{Broker, Flavour, Workload};
use rdkafka::error::RDKafkaErrorCode;

use crate::support::{
    PARTITIONS, Record, assert_same, create, ends, produce, produce_all, read_all, scenarios, until,
};

scenarios!(
    uncompressed_records_come_back,
    gzip_records_come_back,
    snappy_records_come_back,
    lz4_records_come_back,
    zstd_records_come_back,
    records_without_an_acknowledgement_arrive,
    records_acknowledged_by_the_leader_come_back,
    idempotent_records_come_once_and_in_order,
    keys_headers_nulls_and_timestamps_come_back,
    several_connections_to_every_partition,
    a_record_that_is_too_large_is_refused,
    a_timestamp_out_of_bounds_is_refused,
    the_broker_sets_the_time_of_a_log_append_time_topic,
    large_batches_come_back,
);

/// Text records of different lengths, spread over all partitions.
fn records(count: usize, seed: u64) -> Vec<Record> {
    let mut load = Workload::new(seed, Flavour::Text, 900, 0);
    (0..count)
        .map(|_| {
            let mut value = load.value();
            value.truncate(usize::try_from(load.below(900)).expect("small"));
            let partitions = u64::from(PARTITIONS.unsigned_abs());
            Record::new(i32::try_from(load.below(partitions)).expect("small"), value)
        })
        .collect()
}

fn come_back(broker: &Broker, topic: &str, settings: &[(&str, &str)]) {
    create(broker, topic, PARTITIONS, &[]);
    let sent = records(1_000, 11);
    produce_all(broker, topic, settings, &sent);
    assert_same(&sent, &read_all(broker, topic, PARTITIONS), PARTITIONS);
}

fn uncompressed_records_come_back(broker: &mut Broker) {
    come_back(broker, "plain", &[("compression.type", "none")]);
}

fn gzip_records_come_back(broker: &mut Broker) {
    come_back(broker, "gzip", &[("compression.type", "gzip")]);
}

fn snappy_records_come_back(broker: &mut Broker) {
    come_back(broker, "snappy", &[("compression.type", "snappy")]);
}

fn lz4_records_come_back(broker: &mut Broker) {
    come_back(broker, "lz4", &[("compression.type", "lz4")]);
}

fn zstd_records_come_back(broker: &mut Broker) {
    come_back(broker, "zstd", &[("compression.type", "zstd")]);
}

fn records_without_an_acknowledgement_arrive(broker: &mut Broker) {
    create(broker, "acks-0", PARTITIONS, &[]);
    let sent = records(500, 12);
    produce_all(broker, "acks-0", &[("acks", "0")], &sent);
    let wanted = i64::try_from(sent.len()).expect("a count");
    let arrived = || (0..PARTITIONS).map(|at| ends(broker, "acks-0", at).1).sum::<i64>();
    until(|| arrived() == wanted);
    assert_same(&sent, &read_all(broker, "acks-0", PARTITIONS), PARTITIONS);
}

fn records_acknowledged_by_the_leader_come_back(broker: &mut Broker) {
    come_back(broker, "acks-1", &[("acks", "1")]);
}

fn idempotent_records_come_once_and_in_order(broker: &mut Broker) {
    let settings = [("enable.idempotence", "true"), ("batch.num.messages", "7")];
    come_back(broker, "idempotent", &settings);
}

fn keys_headers_nulls_and_timestamps_come_back(broker: &mut Broker) {
    create(broker, "shapes", PARTITIONS, &[]);
    let header = |name: &str, value: Option<&[u8]>| (name.to_owned(), value.map(<[u8]>::to_vec));
    let now_ms = 1_700_000_000_000;
    let mut sent = Vec::new();
    for partition in 0..PARTITIONS {
        sent.push(Record { key: Some(b"k".to_vec()), ..Record::new(partition, "keyed") });
        sent.push(Record { value: None, key: Some(b"k".to_vec()), ..Record::new(partition, "") });
        sent.push(Record { value: None, ..Record::new(partition, "") });
        sent.push(Record::new(partition, ""));
        sent.push(Record { timestamp_ms: Some(now_ms), ..Record::new(partition, "timed") });
        let doubled = vec![
            header("trace", Some(b"1")),
            header("trace", Some(b"2")),
            header("empty", Some(b"")),
            header("null", None),
        ];
        sent.push(Record { headers: doubled, ..Record::new(partition, "with headers") });
    }
    produce_all(broker, "shapes", &[], &sent);
    assert_same(&sent, &read_all(broker, "shapes", PARTITIONS), PARTITIONS);
}

fn several_connections_to_every_partition(broker: &mut Broker) {
    create(broker, "crowd", PARTITIONS, &[]);
    let shared = &*broker;
    let sent = records(300, 13);
    std::thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| produce_all(shared, "crowd", &[("linger.ms", "1")], &sent));
        }
    });
    let read = read_all(broker, "crowd", PARTITIONS);
    assert_eq!(read.len(), 6 * sent.len());
    let mut sent: Vec<_> = sent.iter().flat_map(|one| vec![one.value.clone(); 6]).collect();
    let mut read: Vec<_> = read.into_iter().map(|(_, record)| record.value).collect();
    sent.sort();
    read.sort();
    assert_eq!(sent, read);
}

fn a_record_that_is_too_large_is_refused(broker: &mut Broker) {
    create(broker, "small", PARTITIONS, &[("max.message.bytes", "1000")]);
    for partition in 0..PARTITIONS {
        let large = [Record::new(partition, vec![b'x'; 2_000])];
        let refused = produce(broker, "small", &[("compression.type", "none")], &large);
        assert_eq!(refused, [Err(RDKafkaErrorCode::MessageSizeTooLarge)]);
        let fitting = [Record::new(partition, vec![b'x'; 500])];
        assert_eq!(produce(broker, "small", &[], &fitting), [Ok((partition, 0))]);
    }
}

fn a_timestamp_out_of_bounds_is_refused(broker: &mut Broker) {
    let configs = [("message.timestamp.before.max.ms", "1000")];
    create(broker, "timely", PARTITIONS, &configs);
    for partition in [0, 1, 2] {
        let old = Record { timestamp_ms: Some(1_000), ..Record::new(partition, "old") };
        let refused = produce(broker, "timely", &[], &[old]);
        assert_eq!(refused, [Err(RDKafkaErrorCode::InvalidTimestamp)]);
        assert_eq!(ends(broker, "timely", partition), (0, 0));
    }
}

fn the_broker_sets_the_time_of_a_log_append_time_topic(broker: &mut Broker) {
    create(broker, "appended", PARTITIONS, &[("message.timestamp.type", "LogAppendTime")]);
    let long_ago = 1_000_000_000_000;
    for codec in ["none", "lz4", "zstd"] {
        let sent: Vec<Record> = (0..PARTITIONS)
            .map(|at| Record { timestamp_ms: Some(long_ago), ..Record::new(at, "late") })
            .collect();
        produce_all(broker, "appended", &[("compression.type", codec)], &sent);
    }
    for (_, record) in read_all(broker, "appended", PARTITIONS) {
        let timestamp_ms = record.timestamp_ms.expect("it has a time");
        assert!(timestamp_ms > long_ago + 1_000_000_000, "the client's time stayed");
    }
}

fn large_batches_come_back(broker: &mut Broker) {
    create(broker, "large", PARTITIONS, &[]);
    let mut load = Workload::new(14, Flavour::Noise, 4_000, 0);
    let sent: Vec<Record> =
        (0..2_000).map(|number| Record::new(number % PARTITIONS, load.value())).collect();
    let settings = [("batch.size", "1000000"), ("linger.ms", "50")];
    produce_all(broker, "large", &settings, &sent);
    assert_same(&sent, &read_all(broker, "large", PARTITIONS), PARTITIONS);
}
