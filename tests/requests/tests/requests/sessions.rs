//! Fetch sessions (KIP-227): create, incremental, forget, close, wrong epochs, and a full cache.

use std::thread::sleep;
use std::time::{Duration, Instant};

use evenkeel_requests::{
    Batch, Client, KafkaUuid, Site, Topic, error, everywhere, holds, m, read_back, same, text,
};
use kit::Outcome;
use m::create_partitions_request::{CreatePartitionsRequestData, CreatePartitionsTopic};
use m::delete_topics_request::{DeleteTopicState, DeleteTopicsRequestData};
use m::fetch_request::ForgottenTopic;

/// Names before 13, ids from then on; tagged fields from 12; the first and the last with sessions.
const VERSIONS: [i16; 5] = [7, 11, 12, 13, 18];
/// Sessions that a shard keeps.
const SESSIONS_MAX: usize = 1_000;

/// What a fetch told: session id and each partition with its error and number of records.
#[derive(Debug, PartialEq)]
struct Told {
    error: i16,
    session: i32,
    partitions: Vec<(i32, i16, usize)>,
}

/// A consumer that fetches one topic in a session.
struct Consumer {
    client: Client,
    topic: Topic,
    version: i16,
    session: i32,
    epoch: i32,
}

impl Consumer {
    /// Begins a session over these partitions from their beginning.
    fn begin(site: &Site, topic: &Topic, version: i16, over: &[i32]) -> Outcome<Consumer> {
        let (client, topic) = (site.client()?, topic.clone());
        let mut consumer = Consumer { client, topic, version, session: 0, epoch: 0 };
        let from: Vec<_> = over.iter().map(|partition| (*partition, 0)).collect();
        let told = consumer.fetch(&from, &[])?;
        same(told.error, error::NONE, "a new session")?;
        let partitions: Vec<i32> = told.partitions.iter().map(|(index, ..)| *index).collect();
        same(partitions, over, "the first answer of a session")?;
        same(0 < told.session, true, "a session id")?;
        (consumer.session, consumer.epoch) = (told.session, 1);
        Ok(consumer)
    }

    fn fetch(&mut self, added: &[(i32, i64)], forgotten: &[i32]) -> Outcome<Told> {
        let mut request = self.topic.fetch(self.version, added);
        request.topics.retain(|topic| !topic.partitions.is_empty());
        (request.session_id, request.session_epoch) = (self.session, self.epoch);
        if !forgotten.is_empty() {
            let named = self.version < 13;
            request.forgotten_topics_data = vec![ForgottenTopic {
                topic: if named { text(&self.topic.name) } else { text("") },
                topic_id: if named { KafkaUuid::ZERO } else { self.topic.id },
                partitions: forgotten.to_vec(),
                ..ForgottenTopic::default()
            }];
        }
        let answer = self.client.ask(self.version, &request)?;
        let mut partitions = Vec::new();
        for topic in answer.responses {
            if self.version < 13 {
                same(topic.topic.as_str(), self.topic.name.as_str(), "the topic's name")?;
            } else {
                same(topic.topic_id, self.topic.id, "the topic's id")?;
            }
            for part in topic.partitions {
                let batches = read_back(&part.records.ok_or("null records")?)?;
                let records = batches.iter().map(|batch| batch.records.len()).sum();
                partitions.push((part.partition_index, part.error_code, records));
            }
        }
        Ok(Told { error: answer.error_code, session: answer.session_id, partitions })
    }

    /// The next request of the session; what it must tell.
    fn expect(
        &mut self,
        (added, forgotten): (&[(i32, i64)], &[i32]),
        wanted: &[(i32, i16, usize)],
        what: &str,
    ) -> Outcome<()> {
        let what = format!("{what}, version {}", self.version);
        let told = self.fetch(added, forgotten)?;
        let session = self.session;
        same(told, Told { error: error::NONE, session, partitions: wanted.to_vec() }, &what)?;
        self.epoch += 1;
        Ok(())
    }

    fn append(&mut self, partition: i32) -> Outcome<()> {
        let topic = self.topic.clone();
        self.client.append(&topic, partition, &Batch::of(&["one", "two"])).map(drop)
    }
}

const NOTHING: (&[(i32, i64)], &[i32]) = (&[], &[]);

#[test]
fn a_session_tells_only_what_changed() {
    everywhere(|site| {
        for version in VERSIONS {
            let topic = site.topic_of(&format!("t{version}"), 4, &[])?;
            let mut consumer = Consumer::begin(site, &topic, version, &[0, 1, 2])?;
            consumer.expect(NOTHING, &[], "nothing new")?;
            consumer.append(2)?;
            consumer.expect(NOTHING, &[(2, 0, 2)], "records")?;
            consumer.expect(NOTHING, &[(2, 0, 2)], "records again, from the same offset")?;
            consumer.expect((&[(2, 2)], &[]), &[], "a new offset and nothing there")?;
            consumer.append(3)?;
            consumer.expect((&[(3, 0)], &[]), &[(3, 0, 2)], "an added partition")?;
            consumer.append(1)?;
            consumer.expect((&[(3, 2)], &[1]), &[], "a forgotten partition")?;
            consumer.append(0)?;
            consumer.expect(NOTHING, &[(0, 0, 2)], "a partition of the first request")?;
        }
        Ok(())
    });
}

#[test]
fn a_partition_that_brought_records_is_served_after_the_others() {
    everywhere(|site| {
        let topic = site.topic_of("t", 4, &[])?;
        let mut consumer = Consumer::begin(site, &topic, 12, &[0, 1, 2, 3])?;
        for partition in 0..4 {
            consumer.append(partition)?;
            consumer.append(partition)?;
        }
        let mut order = Vec::new();
        for _ in 0..8 {
            let mut request = consumer.topic.fetch(12, &[]);
            request.topics.clear();
            request.max_bytes = 1;
            (request.session_id, request.session_epoch) = (consumer.session, consumer.epoch);
            let answer = consumer.client.ask(12, &request)?;
            consumer.epoch += 1;
            for part in answer.responses.iter().flat_map(|topic| &topic.partitions) {
                if part.records.as_ref().is_some_and(|records| !records.is_empty()) {
                    order.push(part.partition_index);
                }
            }
        }
        same(order, [0, 1, 2, 3, 0, 1, 2, 3], "who was served")
    });
}

#[test]
fn a_wrong_epoch_is_an_error_and_the_session_goes_on() {
    everywhere(|site| {
        let topic = site.topic("t", &[])?;
        for version in VERSIONS {
            let mut consumer = Consumer::begin(site, &topic, version, &[0, 1])?;
            for wrong in [2, 5, i32::MAX] {
                consumer.epoch = wrong;
                let told = consumer.fetch(&[], &[])?;
                same(told.error, error::INVALID_FETCH_SESSION_EPOCH, "a wrong epoch")?;
                same(told.partitions, [], "what a wrong epoch tells")?;
            }
            consumer.epoch = 1;
            consumer.expect(NOTHING, &[], "the right epoch after wrong ones")?;
            consumer.session ^= 1 << 20;
            let told = consumer.fetch(&[], &[])?;
            same(told.error, error::FETCH_SESSION_ID_NOT_FOUND, "an unknown id")?;
        }
        Ok(())
    });
}

#[test]
fn a_closed_session_is_gone() {
    everywhere(|site| {
        let topic = site.topic("t", &[])?;
        for version in VERSIONS {
            let mut consumer = Consumer::begin(site, &topic, version, &[0, 1])?;
            consumer.epoch = -1;
            let told = consumer.fetch(&[(1, 0)], &[])?;
            let wanted = Told { error: 0, session: 0, partitions: vec![(1, 0, 0)] };
            same(told, wanted, "the last request of a session")?;
            consumer.epoch = 1;
            let told = consumer.fetch(&[], &[])?;
            same(told.error, error::FETCH_SESSION_ID_NOT_FOUND, "a closed session")?;
        }
        Ok(())
    });
}

#[test]
fn a_session_begun_anew_replaces_the_old_one() {
    everywhere(|site| {
        let topic = site.topic("t", &[])?;
        let mut consumer = Consumer::begin(site, &topic, 12, &[0, 1])?;
        let old = consumer.session;
        consumer.epoch = 0;
        let told = consumer.fetch(&[(0, 0)], &[])?;
        same((told.error, told.session == old), (error::NONE, false), "a new session")?;
        consumer.epoch = 1;
        let gone = consumer.fetch(&[], &[])?;
        same(gone.error, error::FETCH_SESSION_ID_NOT_FOUND, "the old session")?;
        consumer.session = told.session;
        consumer.expect(NOTHING, &[], "the new session")
    });
}

#[test]
fn a_partition_that_comes_later_is_told_when_it_is_there() {
    everywhere(|site| {
        for version in [12, 13] {
            let topic = site.topic(&format!("t{version}"), &[])?;
            let mut consumer = Consumer::begin(site, &topic, version, &[0, 1, 2])?;
            let unknown = [(2, error::UNKNOWN_TOPIC_OR_PARTITION, 0)];
            consumer.expect(NOTHING, &unknown, "a partition that is not there")?;
            let more = CreatePartitionsTopic {
                name: text(&topic.name),
                count: 3,
                ..CreatePartitionsTopic::default()
            };
            let request = CreatePartitionsRequestData {
                topics: vec![more],
                timeout_ms: 10_000,
                ..CreatePartitionsRequestData::default()
            };
            consumer.client.ask(3, &request)?;
            consumer.append(2)?;
            consumer.expect(NOTHING, &[(2, 0, 2)], "a partition that came later")?;
        }
        Ok(())
    });
}

#[test]
fn an_unknown_partition_is_told_at_once_and_then_does_not_keep_the_others_from_waiting() {
    everywhere(|site| {
        let topic = site.topic("t", &[])?;
        let mut client = site.client()?;
        let mut request = topic.fetch(12, &[(0, 0), (1, 0), (7, 0)]);
        (request.session_epoch, request.max_wait_ms) = (0, 5_000);
        let asked = Instant::now();
        let first = client.ask(12, &request)?;
        let waited = asked.elapsed();
        holds(waited < Duration::from_secs(4), waited, "the first answer comes at once")?;
        request.topics.clear();
        (request.session_id, request.session_epoch) = (first.session_id, 1);
        request.max_wait_ms = 300;
        let asked = Instant::now();
        let second = client.ask(12, &request)?;
        let waited = asked.elapsed();
        holds(Duration::from_millis(290) <= waited, waited, "the second answer waits")?;
        let parts = &second.responses[0].partitions;
        let told: Vec<_> =
            parts.iter().map(|part| (part.partition_index, part.error_code)).collect();
        same(told, [(7, error::UNKNOWN_TOPIC_OR_PARTITION)], "what it tells")
    });
}

#[test]
fn a_topic_that_is_deleted_and_made_again_is_fetched_by_its_name() {
    everywhere(|site| {
        let topic = site.topic("t", &[])?;
        let mut named = Consumer::begin(site, &topic, 12, &[0])?;
        let mut by_id = Consumer::begin(site, &topic, 13, &[0])?;
        let state = DeleteTopicState { name: Some(text("t")), ..DeleteTopicState::default() };
        let request = DeleteTopicsRequestData {
            topics: vec![state],
            timeout_ms: 10_000,
            ..DeleteTopicsRequestData::default()
        };
        site.client()?.ask(6, &request)?;
        named.expect(NOTHING, &[(0, error::UNKNOWN_TOPIC_OR_PARTITION, 0)], "a deleted topic")?;
        by_id.expect(NOTHING, &[(0, error::UNKNOWN_TOPIC_ID, 0)], "a deleted topic's id")?;
        site.topic("t", &[])?;
        named.append(0)?;
        named.expect(NOTHING, &[(0, 0, 2)], "a topic made again")?;
        by_id.expect(NOTHING, &[(0, error::UNKNOWN_TOPIC_ID, 0)], "the old id")
    });
}

#[test]
fn a_full_cache_answers_without_a_session_until_one_is_closed() {
    everywhere(|site| {
        let topic = site.topic("t", &[])?;
        let mut client = site.client()?;
        let mut request = topic.fetch(12, &[(0, 0), (1, 0)]);
        (request.session_id, request.session_epoch) = (0, 0);
        let mut last = 0;
        for place in 0..SESSIONS_MAX {
            last = client.ask(12, &request)?.session_id;
            same(0 < last, true, &format!("session {place}"))?;
        }
        let told = client.ask(12, &request)?;
        same((told.error_code, told.session_id), (error::NONE, 0), "one session too many")?;
        same(told.responses[0].partitions.len(), 2, "its partitions")?;
        let mut close = topic.fetch(12, &[(0, 0)]);
        (close.session_id, close.session_epoch) = (last, -1);
        client.ask(12, &close)?;
        sleep(Duration::from_millis(1));
        same(0 < client.ask(12, &request)?.session_id, true, "a session after one was closed")
    });
}
