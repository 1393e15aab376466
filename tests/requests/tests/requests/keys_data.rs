//! Produce (0), Fetch (1), ListOffsets (2), DeleteRecords (21), InitProducerId (22),
//! OffsetForLeaderEpoch (23), in every version.

use evenkeel_requests::{
    Batch, Client, Heard, KafkaUuid, Topic, error, everywhere, holds, m, now_ms, read_back, same,
    text,
};
use kit::Outcome;
use m::delete_records_request::{
    DeleteRecordsPartition, DeleteRecordsRequestData, DeleteRecordsTopic,
};
use m::init_producer_id_request::InitProducerIdRequestData;
use m::list_offsets_request::{ListOffsetsPartition, ListOffsetsRequestData, ListOffsetsTopic};
use m::offset_for_leader_epoch_request::{
    OffsetForLeaderEpochRequestData, OffsetForLeaderPartition, OffsetForLeaderTopic,
};

#[test]
fn produce_is_answered_from_version_3_and_refused_below() {
    everywhere(|site| {
        let topic = site.topic("t", &[])?;
        let mut client = site.client()?;
        for version in 3..=13 {
            for partition in [0, 1] {
                let batch = Batch::of(&["a", "b"]).bytes();
                let part = client.produce_in(version, &topic, partition, &batch)?;
                let base = i64::from(version - 3) * 2;
                let told = (part.index, part.error_code, part.base_offset, part.log_append_time_ms);
                same(told, (partition, error::NONE, base, -1), &format!("version {version}"))?;
                let start = if version < 5 { -1 } else { 0 };
                same(part.log_start_offset, start, &format!("log start in version {version}"))?;
            }
        }
        for version in 0..=2 {
            let mut client = site.client()?;
            client.say_bytes((0, version, false), &[0; 40]);
            same(client.hear()?, Heard::Closed, &format!("version {version}"))?;
        }
        Ok(())
    });
}

#[test]
fn produce_says_for_each_partition_what_is_wrong() {
    everywhere(|site| {
        let topic = site.topic("t", &[])?;
        let gone = Topic { name: "gone".to_owned(), id: KafkaUuid::from_parts(7, 7) };
        let mut client = site.client()?;
        let batch = Batch::of(&["a"]).bytes();
        for version in 3..=13 {
            let of = |version: i16| format!("version {version}");
            let part = client.produce_in(version, &topic, 5, &batch)?;
            same(part.error_code, error::UNKNOWN_TOPIC_OR_PARTITION, &of(version))?;
            let part = client.produce_in(version, &gone, 0, &batch)?;
            let unknown = if version < 13 {
                error::UNKNOWN_TOPIC_OR_PARTITION
            } else {
                error::UNKNOWN_TOPIC_ID
            };
            same((part.error_code, part.base_offset), (unknown, -1), &of(version))?;
            let mut request = topic.produce(0, version, &batch);
            request.acks = 2;
            let answer = client.ask(version, &request)?;
            let part = &answer.responses[0].partition_responses[0];
            same(part.error_code, error::INVALID_REQUIRED_ACKS, &of(version))?;
            let mut request = topic.produce(0, version, &batch);
            request.topic_data[0]
                .partition_data
                .push(topic.produce(9, version, &batch).topic_data[0].partition_data[0].clone());
            request.acks = 1;
            let answer = client.ask(version, &request)?;
            let parts = &answer.responses[0].partition_responses;
            let told: Vec<_> = parts.iter().map(|part| (part.index, part.error_code)).collect();
            same(told, [(0, 0), (9, error::UNKNOWN_TOPIC_OR_PARTITION)], &of(version))?;
        }
        Ok(())
    });
}

#[test]
fn fetch_answers_the_records_in_every_version() {
    everywhere(|site| {
        let topic = site.topic("t", &[])?;
        let mut client = site.client()?;
        for partition in [0, 1] {
            client.append(&topic, partition, &Batch::of(&["a", "b"]))?;
        }
        for version in 4..=18 {
            let what = format!("version {version}");
            let mut request = topic.fetch(version, &[(0, 0), (1, 1)]);
            request.isolation_level = i8::from(version % 2 == 0);
            let answer = client.ask(version, &request)?;
            same((answer.error_code, answer.session_id), (0, 0), &what)?;
            same(answer.responses.len(), 1, &what)?;
            let told = &answer.responses[0];
            if version < 13 {
                same(told.topic.as_str(), "t", &what)?;
            } else {
                same(told.topic_id, topic.id, &what)?;
            }
            for part in &told.partitions {
                let ends = (part.error_code, part.high_watermark, part.last_stable_offset);
                same(ends, (error::NONE, 2, 2), &what)?;
                same(part.log_start_offset, if version < 5 { -1 } else { 0 }, &what)?;
                same(part.preferred_read_replica, -1, &what)?;
                // From the middle of a batch the whole batch comes.
                let batches = read_back(&part.records.clone().ok_or("null records")?)?;
                same(batches[0].values(), ["a", "b"], &what)?;
            }
            same(told.partitions.len(), 2, &what)?;
        }
        Ok(())
    });
}

#[test]
fn fetch_checks_offsets_epochs_and_ids() {
    everywhere(|site| {
        let topic = site.topic("t", &[])?;
        let gone = Topic { name: "gone".to_owned(), id: KafkaUuid::from_parts(7, 7) };
        let mut client = site.client()?;
        client.append(&topic, 1, &Batch::of(&["a"]))?;
        for version in 4..=18 {
            let mut error_of = |topic: &Topic, offset, epoch: i32| -> Outcome<i16> {
                let mut request = topic.fetch(version, &[(1, offset)]);
                request.topics[0].partitions[0].current_leader_epoch = epoch;
                let answer = client.ask(version, &request)?;
                Ok(answer.responses[0].partitions[0].error_code)
            };
            let what = format!("version {version}");
            for (offset, wanted) in [(0, 0), (1, 0), (2, 1), (-1, 1), (i64::MAX, 1)] {
                same(error_of(&topic, offset, -1)?, wanted, &format!("{what} from {offset}"))?;
            }
            let unknown = if version < 13 {
                error::UNKNOWN_TOPIC_OR_PARTITION
            } else {
                error::UNKNOWN_TOPIC_ID
            };
            same(error_of(&gone, 0, -1)?, unknown, &what)?;
            if 9 <= version {
                same(error_of(&topic, 0, 0)?, error::NONE, &what)?;
                same(error_of(&topic, 0, 1)?, error::UNKNOWN_LEADER_EPOCH, &what)?;
            }
        }
        Ok(())
    });
}

/// ListOffsets of partition 1 in this version: error, offset, timestamp.
fn looked_up(client: &mut Client, version: i16, timestamp: i64) -> Outcome<(i16, i64, i64)> {
    let partition = ListOffsetsPartition {
        partition_index: 1,
        current_leader_epoch: -1,
        timestamp,
        ..ListOffsetsPartition::default()
    };
    let topic = ListOffsetsTopic {
        name: text("t"),
        partitions: vec![partition],
        ..ListOffsetsTopic::default()
    };
    let request = ListOffsetsRequestData {
        replica_id: -1,
        topics: vec![topic],
        ..ListOffsetsRequestData::default()
    };
    let answer = client.ask(version, &request)?;
    let part = &answer.topics[0].partitions[0];
    Ok((part.error_code, part.offset, part.timestamp))
}

#[test]
fn list_offsets_finds_ends_and_times() {
    everywhere(|site| {
        let topic = site.topic("t", &[])?;
        let mut client = site.client()?;
        let base = now_ms() - 100_000;
        for after_ms in [0, 3_000, 1_000] {
            client.append(&topic, 1, &Batch::of(&["a", "b"]).at(base + after_ms))?;
        }
        let cases = [
            (1, -1, (0, 6, -1)),
            (1, -2, (0, 0, -1)),
            (7, -3, (0, 2, base + 3_000)),
            (8, -4, (0, 0, -1)),
            (9, -5, (0, -1, -1)),
            (11, -6, (0, -1, -1)),
            (1, base, (0, 0, base)),
            (1, base + 1, (0, 2, base + 3_000)),
            (1, base + 3_000, (0, 2, base + 3_000)),
            (1, base + 3_001, (0, -1, -1)),
            (1, 0, (0, 0, base)),
            (1, -9, (error::UNSUPPORTED_VERSION, -1, -1)),
        ];
        for version in 1..=11 {
            for (from, timestamp, wanted) in cases {
                if from <= version {
                    let found = looked_up(&mut client, version, timestamp)?;
                    same(found, wanted, &format!("version {version}, {timestamp}"))?;
                }
            }
        }
        Ok(())
    });
}

/// DeleteRecords of one partition: error and low watermark.
fn delete(
    client: &mut Client,
    (version, topic): (i16, &Topic),
    (partition_index, offset): (i32, i64),
) -> Outcome<(i16, i64)> {
    let one =
        DeleteRecordsPartition { partition_index, offset, ..DeleteRecordsPartition::default() };
    let one = DeleteRecordsTopic {
        name: text(&topic.name),
        partitions: vec![one],
        ..DeleteRecordsTopic::default()
    };
    let request = DeleteRecordsRequestData {
        topics: vec![one],
        timeout_ms: 10_000,
        ..DeleteRecordsRequestData::default()
    };
    let answer = client.ask(version, &request)?;
    let part = &answer.topics[0].partitions[0];
    Ok((part.error_code, part.low_watermark))
}

#[test]
fn delete_records_moves_the_start() {
    let outside = (error::OFFSET_OUT_OF_RANGE, -1);
    everywhere(|site| {
        let mut client = site.client()?;
        for version in 0..=2 {
            let topic = site.topic(&format!("t{version}"), &[])?;
            for partition in [0, 1] {
                client.append(&topic, partition, &Batch::of(&["a", "b", "c", "d", "e"]))?;
                let steps = [
                    ("to an offset", (partition, 2), (error::NONE, 2)),
                    ("to one below the start", (partition, 1), (error::NONE, 2)),
                    ("beyond the end", (partition, 6), outside),
                    ("to nonsense", (partition, -2), outside),
                    ("of no partition", (7, 1), (error::UNKNOWN_TOPIC_OR_PARTITION, -1)),
                ];
                for (what, place, wanted) in steps {
                    same(delete(&mut client, (version, &topic), place)?, wanted, what)?;
                }
                let below = client.fetch(&topic, partition, 1)?.error_code;
                same(below, error::OFFSET_OUT_OF_RANGE, "a fetch below the start")?;
                same(client.fetch(&topic, partition, 2)?.error_code, error::NONE, "at the start")?;
                same(client.offset(&topic, partition, -2)?.offset, 2, "the start")?;
                let all = delete(&mut client, (version, &topic), (partition, -1))?;
                same(all, (error::NONE, 5), "to the end")?;
            }
        }
        Ok(())
    });
}

#[test]
fn init_producer_id_gives_a_new_id_in_every_version() {
    everywhere(|site| {
        let mut ids = Vec::new();
        for version in 0..=5 {
            // Two connections, so that with two shards both may be asked.
            for _ in 0..4 {
                let request = InitProducerIdRequestData {
                    transaction_timeout_ms: 60_000,
                    producer_id: -1,
                    producer_epoch: -1,
                    ..InitProducerIdRequestData::default()
                };
                let given = site.client()?.ask(version, &request)?;
                let told = (given.error_code, given.producer_epoch);
                same(told, (error::NONE, 0), &format!("version {version}"))?;
                ids.push(given.producer_id);
            }
        }
        holds(ids.iter().all(|id| 0 <= *id), &ids, "ids are not negative")?;
        let many = ids.len();
        ids.sort_unstable();
        ids.dedup();
        same(ids.len(), many, "different ids")
    });
}

/// OffsetForLeaderEpoch of partition 1: error, epoch, end.
fn epoch_end(
    client: &mut Client,
    version: i16,
    (current, epoch): (i32, i32),
) -> Outcome<(i16, i32, i64)> {
    let partition = OffsetForLeaderPartition {
        partition: 1,
        current_leader_epoch: current,
        leader_epoch: epoch,
        ..OffsetForLeaderPartition::default()
    };
    let topic = OffsetForLeaderTopic {
        topic: text("t"),
        partitions: vec![partition],
        ..OffsetForLeaderTopic::default()
    };
    let mut request = OffsetForLeaderEpochRequestData { topics: vec![topic], ..Default::default() };
    if 3 <= version {
        request.replica_id = -1;
    }
    let answer = client.ask(version, &request)?;
    let part = &answer.topics[0].partitions[0];
    Ok((part.error_code, part.leader_epoch, part.end_offset))
}

#[test]
fn offset_for_leader_epoch_knows_where_each_epoch_ended() {
    everywhere(|site| {
        let topic = site.topic("t", &[])?;
        site.client()?.append(&topic, 1, &Batch::of(&["a", "b", "c"]))?;
        // A start after a kill raises every leader epoch.
        site.broker.kill()?;
        site.broker.restart()?;
        let mut client = site.client()?;
        client.append(&topic, 1, &Batch::of(&["d", "e"]))?;
        let now = client.offset(&topic, 1, -1)?.leader_epoch;
        holds(0 < now, now, "the epoch rose")?;
        let cases = [
            ((-1, 0), (error::NONE, 0, 3)),
            ((-1, now), (error::NONE, now, 5)),
            ((now, now), (error::NONE, now, 5)),
            ((-1, now + 5), (error::NONE, -1, -1)),
            ((now - 1, 0), (error::FENCED_LEADER_EPOCH, -1, -1)),
            ((now + 1, 0), (error::UNKNOWN_LEADER_EPOCH, -1, -1)),
        ];
        for version in 2..=4 {
            for (asked, wanted) in cases {
                let found = epoch_end(&mut client, version, asked)?;
                same(found, wanted, &format!("version {version}, {asked:?}"))?;
            }
        }
        Ok(())
    });
}
