//! What a topic's configs do to the batches that are produced: size, timestamps, compression, replicas.

use evenkeel_requests::{Batch, Client, Codec, Topic, error, everywhere, holds, m, now_ms, same};
use kit::Outcome;
use m::produce_response::PartitionProduceResponse;

const MINUTE_MS: i64 = 60_000;
const PARTITIONS: [i32; 2] = [0, 1];

fn send(
    client: &mut Client,
    topic: &Topic,
    partition: i32,
    batch: &Batch,
) -> Outcome<PartitionProduceResponse> {
    client.produce(topic, partition, &batch.bytes())
}

/// A batch of one record that takes exactly so many bytes.
fn exactly(bytes: usize) -> Batch {
    // The lengths inside take fewer bytes when they are smaller: near the end, try.
    let over = Batch::sized(bytes).bytes().len() - bytes;
    let sizes = (bytes - over)..bytes;
    let fits = sizes.map(Batch::sized).find(|batch| batch.bytes().len() == bytes);
    fits.expect("some record makes the batch so large")
}

#[test]
fn a_batch_above_max_message_bytes_is_too_large() {
    everywhere(|site| {
        let topic = site.topic("t", &[("max.message.bytes", "2000")])?;
        let plain = site.topic("plain", &[])?;
        let mut client = site.client()?;
        for partition in PARTITIONS {
            let mut error_of = |topic, batch: &Batch| {
                send(&mut client, topic, partition, batch).map(|part| part.error_code)
            };
            same(error_of(&topic, &exactly(2_000))?, error::NONE, "as large as allowed")?;
            same(error_of(&topic, &exactly(2_001))?, error::MESSAGE_TOO_LARGE, "a byte more")?;
            let squeezed = Batch::sized(50_000).squeezed(Codec::Zstd);
            same(error_of(&topic, &squeezed)?, error::NONE, "large only when decompressed")?;
            same(error_of(&plain, &exactly(1_048_588))?, error::NONE, "the default")?;
            let larger = error_of(&plain, &exactly(1_048_589))?;
            same(larger, error::MESSAGE_TOO_LARGE, "a byte more than the default")?;
        }
        site.set(&topic, &[("max.message.bytes", "2001")])?;
        for partition in PARTITIONS {
            let part = send(&mut client, &topic, partition, &exactly(2_001))?;
            same(part.error_code, error::NONE, "after the limit was raised")?;
        }
        Ok(())
    });
}

#[test]
fn timestamps_outside_the_limits_are_refused_record_by_record() {
    everywhere(|site| {
        let limits = [
            ("message.timestamp.before.max.ms", "600000"),
            ("message.timestamp.after.max.ms", "300000"),
        ];
        let limited = site.topic("limited", &limits)?;
        let plain = site.topic("plain", &[])?;
        let mut client = site.client()?;
        let cases = [
            (&limited, -11, error::INVALID_TIMESTAMP),
            (&limited, -9, error::NONE),
            (&limited, 4, error::NONE),
            (&limited, 6, error::INVALID_TIMESTAMP),
            (&plain, -1_000_000, error::NONE),
            (&plain, 59, error::NONE),
            (&plain, 61, error::INVALID_TIMESTAMP),
        ];
        for partition in PARTITIONS {
            for (topic, minutes, wanted) in cases {
                for codec in [Codec::None, Codec::Gzip] {
                    let batch = Batch::of(&["a", "b"]).at(now_ms() + minutes * MINUTE_MS);
                    let part = send(&mut client, topic, partition, &batch.squeezed(codec))?;
                    let what = format!("{} at {minutes} min, {codec:?}", topic.name);
                    same(part.error_code, wanted, &what)?;
                    let blamed: Vec<i32> =
                        part.record_errors.iter().map(|one| one.batch_index).collect();
                    let all: &[i32] = if wanted == error::NONE { &[] } else { &[0, 1] };
                    same(blamed, all, &format!("records to blame, {what}"))?;
                }
            }
            let end = client.offset(&limited, partition, -1)?.offset;
            same(end, 8, "what was refused was not appended")?;
            // The bit that says that the broker stamped it is not a client's to set.
            let stamped = Batch { flags: 8, ..Batch::of(&["a"]) };
            let part = send(&mut client, &plain, partition, &stamped)?;
            same(part.error_code, error::INVALID_TIMESTAMP, "a stamp by a client")?;
        }
        Ok(())
    });
}

#[test]
fn log_append_time_stamps_every_batch() {
    everywhere(|site| {
        let topic = site.topic("t", &[("message.timestamp.type", "LogAppendTime")])?;
        let mut client = site.client()?;
        for partition in PARTITIONS {
            for (codec, at) in [(Codec::None, 5), (Codec::Gzip, 5), (Codec::Zstd, i64::MAX / 2)] {
                let before = now_ms();
                let batch = Batch::of(&["a", "b"]).at(at).squeezed(codec);
                let part = send(&mut client, &topic, partition, &batch)?;
                same(part.error_code, error::NONE, "no limits hold")?;
                let stamp = part.log_append_time_ms;
                holds(before <= stamp && stamp <= now_ms(), stamp, "the time of the append")?;
                let read = client.stored(&topic, partition, part.base_offset)?;
                same((read[0].stamped, read[0].max_timestamp_ms), (true, stamp), "the batch")?;
                let times: Vec<i64> = read[0].records.iter().map(|one| one.timestamp_ms).collect();
                same(times, [stamp, stamp], "the records")?;
                let found = client.offset(&topic, partition, stamp)?;
                holds(found.offset <= part.base_offset, found, "found by its time")?;
            }
        }
        site.set(&topic, &[("message.timestamp.type", "CreateTime")])?;
        let part = send(&mut client, &topic, 1, &Batch::of(&["a"]).at(5))?;
        same(part.log_append_time_ms, -1, "no stamp after the change")?;
        same(client.stored(&topic, 1, part.base_offset)?[0].stamped, false, "the last batch")
    });
}

const CODECS: [Codec; 5] = [Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd];

#[test]
fn the_broker_compresses_as_the_topic_says() {
    everywhere(|site| {
        let mut client = site.client()?;
        for stored in CODECS {
            let name = stored.name();
            let topic = site.topic(name, &[("compression.type", name)])?;
            for partition in PARTITIONS {
                for sent in CODECS {
                    let what = format!("{sent:?} sent to a topic of {name}");
                    let batch = Batch::of(&["one", "two", "three"]).squeezed(sent);
                    let base = client.append(&topic, partition, &batch)?;
                    let read = client.stored(&topic, partition, base)?;
                    same(read.len(), 1, &what)?;
                    same(read[0].codec, stored, &what)?;
                    same(read[0].values(), ["one", "two", "three"], &what)?;
                    let offsets: Vec<i64> = read[0].records.iter().map(|one| one.offset).collect();
                    same(offsets, [base, base + 1, base + 2], &what)?;
                    let mut times = read[0].records.iter().map(|one| one.timestamp_ms);
                    holds(times.all(|ms| ms == batch.timestamp_ms), &read, &what)?;
                    // Java reads snappy in its own framing only when that is there: what the broker
                    // makes itself has it, what librdkafka made stays raw.
                    let framed = stored == Codec::Snappy && sent != Codec::Snappy;
                    same(read[0].xerial, framed, &what)?;
                }
            }
        }
        Ok(())
    });
}

/// Text that compresses better the harder one tries.
fn prose() -> Vec<u8> {
    let mut seed = 7_u32;
    let mut words = Vec::new();
    for _ in 0..30_000 {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        words.extend(format!("{:x} ", (seed >> 16) % 3_000 * 7_919).into_bytes());
    }
    words
}

#[test]
fn the_level_configs_decide_how_hard_the_broker_compresses() {
    everywhere(|site| {
        let mut client = site.client()?;
        for (codec, low, high) in [("gzip", "1", "9"), ("zstd", "1", "19")] {
            let level = format!("compression.{codec}.level");
            let mut size_at = |place: &str| -> Outcome<usize> {
                let configs = [("compression.type", codec), (level.as_str(), place)];
                let topic = site.topic(&format!("{codec}{place}"), &configs)?;
                client.append(&topic, 1, &Batch::of(&[prose()]))?;
                Ok(client.stored(&topic, 1, 0)?[0].len_bytes)
            };
            let sizes = (size_at(low)?, size_at(high)?);
            holds(sizes.1 < sizes.0, sizes, &format!("{codec} {high} is smaller than {low}"))?;
        }
        Ok(())
    });
}

#[test]
fn more_in_sync_replicas_than_a_topic_has_are_not_waited_for() {
    everywhere(|site| {
        // Kafka caps min.insync.replicas at the replicas that the partition has.
        let topic = site.topic("t", &[("min.insync.replicas", "3")])?;
        let mut client = site.client()?;
        for partition in PARTITIONS {
            for (acks, base) in [(-1, 0), (1, 1)] {
                let mut request = topic.produce(partition, 12, &Batch::of(&["a"]).bytes());
                request.acks = acks;
                let answer = client.ask(12, &request)?;
                let part = &answer.responses[0].partition_responses[0];
                same((part.error_code, part.base_offset), (error::NONE, base), "an append")?;
            }
        }
        Ok(())
    });
}

#[test]
fn what_was_acknowledged_survives_a_kill_with_and_without_write_caching() {
    everywhere(|site| {
        let topics = [
            site.topic("durable", &[])?,
            site.topic("cached", &[("write.caching", "true")])?,
            site.topic("flushed", &[("write.caching", "true"), ("flush.messages", "3")])?,
            site.topic("timed", &[("write.caching", "true"), ("flush.ms", "20")])?,
        ];
        let mut client = site.client()?;
        for place in 0..40 {
            for topic in &topics {
                for partition in PARTITIONS {
                    let mut request =
                        topic.produce(partition, 12, &Batch::of(&[format!("{place}")]).bytes());
                    request.acks = if place % 2 == 0 { -1 } else { 1 };
                    let answer = client.ask(12, &request)?;
                    let part = &answer.responses[0].partition_responses[0];
                    same((part.error_code, part.base_offset), (0, place), &topic.name)?;
                }
            }
        }
        site.broker.kill()?;
        site.broker.restart()?;
        let wanted: Vec<String> = (0..40).map(|place| place.to_string()).collect();
        for topic in &topics {
            for partition in PARTITIONS {
                let read = site.client()?.stored(topic, partition, 0)?;
                let values: Vec<String> = read.iter().flat_map(|batch| batch.values()).collect();
                same(&values, &wanted, &topic.name)?;
            }
        }
        Ok(())
    });
}
