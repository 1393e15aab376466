//! Fetch: from an offset, a time, the ends; long poll; several partitions; byte budgets.

use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use kit::Broker;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rdkafka::{ClientContext, Statistics};

use crate::support::{
    LIMIT, PARTITIONS, Record, assert_same, assign, config, consumer, create, fetch, poll,
    produce_all, reach_end, read_all, scenarios,
};

scenarios!(
    a_fetch_begins_at_the_offset_asked_for,
    a_fetch_from_inside_a_batch_begins_there,
    a_fetch_begins_at_either_end_or_before_it,
    an_offset_out_of_range_is_an_error_or_reset,
    a_time_finds_the_first_record_at_or_after_it,
    a_record_reaches_a_waiting_consumer,
    a_waiting_consumer_does_not_ask_again_and_again,
    several_partitions_come_interleaved_and_whole,
    a_budget_smaller_than_a_batch_still_gets_it,
    many_consumers_read_the_same,
);

/// `count` numbered records in each partition, in batches of at most `batch`.
fn fill(broker: &Broker, topic: &str, count: i32, batch: &str) -> Vec<Record> {
    create(broker, topic, PARTITIONS, &[]);
    let sent: Vec<Record> = (0..count)
        .flat_map(|number| (0..PARTITIONS).map(move |at| Record::new(at, format!("{at}:{number}"))))
        .collect();
    let settings = [("batch.num.messages", batch), ("linger.ms", "20")];
    produce_all(broker, topic, &settings, &sent);
    sent
}

fn a_fetch_begins_at_the_offset_asked_for(broker: &mut Broker) {
    fill(broker, "offsets", 200, "10");
    for partition in 0..PARTITIONS {
        for start in [0, 1, 99, 199] {
            let starts = [(partition, Offset::Offset(start))];
            let read = fetch(broker, "offsets", &starts, usize::from(start < 199) + 1, &[]);
            assert_eq!(read[0].0, start);
            assert_eq!(read[0].1.value, Some(format!("{partition}:{start}").into_bytes()));
        }
    }
}

fn a_fetch_from_inside_a_batch_begins_there(broker: &mut Broker) {
    fill(broker, "inside", 100, "1000");
    for partition in 0..PARTITIONS {
        let starts = [(partition, Offset::Offset(37))];
        let read = fetch(broker, "inside", &starts, 63, &[]);
        assert_eq!((read[0].0, read[62].0), (37, 99));
    }
}

fn a_fetch_begins_at_either_end_or_before_it(broker: &mut Broker) {
    fill(broker, "ends", 20, "5");
    for partition in 0..PARTITIONS {
        let first = fetch(broker, "ends", &[(partition, Offset::Beginning)], 1, &[]);
        assert_eq!(first[0].0, 0);
        let last = fetch(broker, "ends", &[(partition, Offset::OffsetTail(5))], 5, &[]);
        assert_eq!((last[0].0, last[4].0), (15, 19));
        let waiting = consumer(broker, &[("enable.partition.eof", "true")]);
        assign(&waiting, "ends", &[(partition, Offset::End)]);
        reach_end(&waiting, partition);
        produce_all(broker, "ends", &[], &[Record::new(partition, "new")]);
        let (offset, _) = poll(&waiting, LIMIT).expect("the new record");
        assert_eq!(offset, 20);
    }
}

fn an_offset_out_of_range_is_an_error_or_reset(broker: &mut Broker) {
    fill(broker, "range", 10, "5");
    for partition in 0..PARTITIONS {
        let beyond = [(partition, Offset::Offset(1_000))];
        let strict = consumer(broker, &[("auto.offset.reset", "error")]);
        assign(&strict, "range", &beyond);
        let answer = strict.poll(LIMIT).expect("an event");
        let error = answer.expect_err("out of range").rdkafka_error_code();
        assert_eq!(error, Some(RDKafkaErrorCode::AutoOffsetReset));
        let reset = fetch(broker, "range", &beyond, 10, &[("auto.offset.reset", "earliest")]);
        assert_eq!(reset[0].0, 0);
    }
}

fn a_time_finds_the_first_record_at_or_after_it(broker: &mut Broker) {
    create(broker, "times", PARTITIONS, &[]);
    let base_ms = 1_700_000_000_000;
    let sent: Vec<Record> = (0..100)
        .flat_map(|number| (0..PARTITIONS).map(move |at| (number, at)))
        .map(|(number, at)| {
            let timestamp_ms = Some(base_ms + i64::from(number) * 1_000);
            Record { timestamp_ms, ..Record::new(at, format!("{number}")) }
        })
        .collect();
    produce_all(broker, "times", &[("batch.num.messages", "10")], &sent);
    let asking = consumer(broker, &[]);
    let find = |partition: i32, time_ms: i64| {
        let mut list = TopicPartitionList::new();
        let at = Offset::Offset(time_ms);
        list.add_partition_offset("times", partition, at).expect("legal");
        let answer = asking.offsets_for_times(list, LIMIT).expect("an answer");
        answer.elements()[0].offset()
    };
    for partition in 0..PARTITIONS {
        assert_eq!(find(partition, 0), Offset::Offset(0));
        assert_eq!(find(partition, base_ms + 41_000), Offset::Offset(41));
        assert_eq!(find(partition, base_ms + 41_001), Offset::Offset(42));
        assert_eq!(find(partition, base_ms + 99_000), Offset::Offset(99));
        assert_eq!(find(partition, base_ms + 99_001), Offset::End);
    }
    assert_same(&sent, &read_all(broker, "times", PARTITIONS), PARTITIONS);
}

fn a_record_reaches_a_waiting_consumer(broker: &mut Broker) {
    create(broker, "awaited", PARTITIONS, &[]);
    let settings = [("fetch.wait.max.ms", "20000"), ("socket.timeout.ms", "60000")];
    for partition in 0..PARTITIONS {
        let waiting = consumer(broker, &settings);
        assign(&waiting, "awaited", &[(partition, Offset::Beginning)]);
        assert_eq!(poll(&waiting, Duration::from_millis(300)), None);
        let produced = Instant::now();
        produce_all(broker, "awaited", &[("linger.ms", "0")], &[Record::new(partition, "now")]);
        poll(&waiting, LIMIT).expect("the record");
        // Far below the wait that the fetch asked for: the record itself has woken it.
        assert!(produced.elapsed() < Duration::from_secs(10), "{:?}", produced.elapsed());
    }
}

/// Remembers how many fetch requests a consumer has sent.
#[derive(Default)]
struct FetchCount(Mutex<i64>);

impl ClientContext for FetchCount {
    fn stats(&self, statistics: Statistics) {
        let sent = statistics.brokers.values().filter_map(|broker| broker.req.get("Fetch")).sum();
        *self.0.lock().expect("no holder panics") = sent;
    }
}

impl ConsumerContext for FetchCount {}

fn a_waiting_consumer_does_not_ask_again_and_again(broker: &mut Broker) {
    create(broker, "quiet", PARTITIONS, &[]);
    let settings = [
        ("group.id", "none"),
        ("enable.auto.commit", "false"),
        ("fetch.wait.max.ms", "1000"),
        ("statistics.interval.ms", "100"),
    ];
    let config = config(broker, &settings);
    let waiting: BaseConsumer<FetchCount> =
        config.create_with_context(FetchCount::default()).expect("a consumer");
    let mut list = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        list.add_partition_offset("quiet", partition, Offset::Beginning).expect("legal");
    }
    waiting.assign(&list).expect("assigned");
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(4) {
        assert!(waiting.poll(Duration::from_millis(100)).is_none());
    }
    let sent = *waiting.context().0.lock().expect("no holder panics");
    assert!((2..=12).contains(&sent), "{sent} fetches in 4 s with a wait of 1 s");
}

fn several_partitions_come_interleaved_and_whole(broker: &mut Broker) {
    let sent = fill(broker, "several", 500, "50");
    let starts: Vec<_> = (0..PARTITIONS).map(|partition| (partition, Offset::Beginning)).collect();
    let budgets = [
        ("fetch.max.bytes", "4000"),
        ("message.max.bytes", "4000"),
        ("fetch.message.max.bytes", "1000"),
        ("queued.max.messages.kbytes", "1000"),
    ];
    let read = fetch(broker, "several", &starts, sent.len(), &budgets);
    assert_same(&sent, &read, PARTITIONS);
}

fn a_budget_smaller_than_a_batch_still_gets_it(broker: &mut Broker) {
    create(broker, "whole", PARTITIONS, &[]);
    let sent: Vec<Record> = (0..PARTITIONS)
        .flat_map(|at| (0..3).map(move |_| Record::new(at, vec![b'z'; 60_000])))
        .collect();
    produce_all(broker, "whole", &[("compression.type", "none")], &sent);
    let starts: Vec<_> = (0..PARTITIONS).map(|partition| (partition, Offset::Beginning)).collect();
    let budgets = [
        ("fetch.max.bytes", "2000"),
        ("message.max.bytes", "2000"),
        ("fetch.message.max.bytes", "1500"),
    ];
    let read = fetch(broker, "whole", &starts, sent.len(), &budgets);
    assert_same(&sent, &read, PARTITIONS);
}

fn many_consumers_read_the_same(broker: &mut Broker) {
    let sent = fill(broker, "popular", 100, "10");
    let shared = &*broker;
    thread::scope(|scope| {
        for _ in 0..6 {
            let sent = &sent;
            scope.spawn(move || {
                assert_same(sent, &read_all(shared, "popular", PARTITIONS), PARTITIONS);
            });
        }
    });
}
