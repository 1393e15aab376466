//! Interop traps: what has broken clients of other brokers.

use std::net::TcpStream;

use evenkeel_requests::{
    Answer, Ask, Batch, Codec, Heard, Topic, error, everywhere, holds, m, now_ms, read_back, same,
    text,
};
use kit::Failure;
use m::api_versions_request::ApiVersionsRequestData;
use m::api_versions_response::ApiVersionsResponseData;
use m::fetch_request::FetchRequestData;
use m::metadata_request::{MetadataRequestData, MetadataRequestTopic};

fn called(name: &str, version: &str) -> ApiVersionsRequestData {
    ApiVersionsRequestData {
        client_software_name: text(name),
        client_software_version: text(version),
        ..ApiVersionsRequestData::default()
    }
}

#[test]
fn an_unknown_version_of_api_versions_is_answered_in_the_oldest_shape() {
    everywhere(|site| {
        for version in [5, 6, 99, i16::MAX, -1] {
            let mut client = site.client()?;
            for round in 0..2 {
                client.say_bytes(
                    (ApiVersionsRequestData::KEY, version, true),
                    &[2, b'x', 2, b'1', 0],
                );
                let Heard::Answer(mut body) = client.hear()? else {
                    return Err(Failure::new(format!("version {version} closed the connection")));
                };
                let answer = ApiVersionsResponseData::take(&mut body, 0)?;
                let what = format!("version {version}, round {round}");
                same((answer.error_code, body.len()), (error::UNSUPPORTED_VERSION, 0), &what)?;
                let keys: Vec<_> = answer
                    .api_keys
                    .iter()
                    .map(|key| (key.api_key, key.min_version, key.max_version))
                    .collect();
                same(keys, [(18, 0, 4)], &what)?;
            }
            // The connection goes on.
            same(client.ask(4, &called("kcat", "1.7.1"))?.error_code, error::NONE, "afterwards")?;
        }
        Ok(())
    });
}

#[test]
fn a_client_software_name_that_is_none_is_an_invalid_request() {
    everywhere(|site| {
        let mut client = site.client()?;
        for version in 3..=4 {
            for good in ["a", "librdkafka", "apache-kafka-java", "2.15.0", "a--b..c"] {
                for request in [called(good, "1"), called("x", good)] {
                    let answer = client.ask(version, &request)?;
                    same((answer.error_code, answer.api_keys.len()), (error::NONE, 18), good)?;
                }
            }
            for bad in ["", "-", "a-", ".a", "a b", "a_b", "ä", "a/b", "a\n"] {
                for request in [called(bad, "1"), called("x", bad)] {
                    let answer = client.ask(version, &request)?;
                    let told = (answer.error_code, answer.api_keys.len());
                    same(told, (error::INVALID_REQUEST, 0), &format!("{bad:?}"))?;
                }
            }
        }
        Ok(())
    });
}

#[test]
fn features_are_told_only_where_they_are_served_and_understood() {
    everywhere(|site| {
        let mut client = site.client()?;
        let third = client.ask(3, &called("x", "1"))?;
        let fourth = client.ask(4, &called("x", "1"))?;
        let names = |answer: &ApiVersionsResponseData| -> Vec<String> {
            let all = answer.supported_features.iter();
            all.map(|feature| feature.name.as_str().to_owned()).collect()
        };
        let zero = |answer: &ApiVersionsResponseData| {
            answer.supported_features.iter().filter(|feature| feature.min_version == 0).count()
        };
        same(zero(&third), 0, "features of level 0 before version 4")?;
        holds(0 < zero(&fourth), names(&fourth), "features of level 0 from version 4")?;
        holds(names(&third).contains(&"metadata.version".to_owned()), names(&third), "metadata")?;
        // Nothing of KIP-890, KIP-848, KIP-932 and KIP-1071 is served.
        for absent in ["transaction.version", "group.version", "share.version", "streams.version"] {
            let level = |answer: &ApiVersionsResponseData| {
                let finalized = answer.finalized_features.iter();
                let found = finalized.filter(|feature| feature.name.as_str() == absent);
                found.map(|feature| feature.max_version_level).max().unwrap_or(0)
            };
            same((level(&third), level(&fourth)), (0, 0), &format!("the level of {absent}"))?;
            let supported = fourth.supported_features.iter();
            let supported = supported.filter(|feature| feature.name.as_str() == absent);
            let most = supported.map(|feature| feature.max_version).max().unwrap_or(0);
            same(most, 0, &format!("the highest supported level of {absent}"))?;
        }
        Ok(())
    });
}

#[test]
fn ids_on_the_data_path_are_those_of_metadata() {
    everywhere(|site| {
        let created = site.topic("t", &[])?;
        let mut client = site.client()?;
        let asked = MetadataRequestTopic { name: Some(text("t")), ..Default::default() };
        let request = MetadataRequestData { topics: Some(vec![asked]), ..Default::default() };
        for version in 10..=13 {
            let told = client.ask(version, &request)?.topics[0].topic_id;
            let topic = Topic { name: String::new(), id: told };
            same(told, created.id, &format!("the id in Metadata {version}"))?;
            let part = client.produce_in(13, &topic, 0, &Batch::of(&["a"]).bytes())?;
            same(part.error_code, error::NONE, "Produce 13")?;
            for fetch in 13..=18 {
                let answer = client.ask(fetch, &topic.fetch(fetch, &[(0, 0)]))?;
                let part = &answer.responses[0].partitions[0];
                let read = read_back(&part.records.clone().ok_or("null records")?)?;
                same((part.error_code, read.is_empty()), (error::NONE, false), "Fetch by id")?;
            }
        }
        Ok(())
    });
}

#[test]
fn any_other_unknown_key_or_version_closes_the_connection() {
    everywhere(|site| {
        let unknown = [(-1, 0), (4, 0), (10, 0), (68, 1), (999, 0), (i16::MAX, 0)];
        let versions =
            [(0, 14), (0, 2), (1, 3), (1, 19), (2, 0), (3, 14), (19, 1), (60, 3), (75, 1), (3, -1)];
        for (key, version) in unknown.into_iter().chain(versions) {
            let mut client = site.client()?;
            client.say_bytes((key, version, false), &[0; 64]);
            same(client.hear()?, Heard::Closed, &format!("key {key} version {version}"))?;
        }
        Ok(())
    });
}

#[test]
fn without_acks_there_is_no_answer_and_an_error_closes_the_connection() {
    everywhere(|site| {
        let topic = site.topic("t", &[])?;
        for version in 3..=13 {
            let mut client = site.client()?;
            for partition in [0, 1] {
                let batch = Batch::of(&["a"]).bytes();
                let mut request = topic.produce(partition, version, &batch);
                request.acks = 0;
                client.say(version, &request)?;
                // The next answer is to the next request, and the record is there.
                let part = client.produce_in(version, &topic, partition, &batch)?;
                let base = i64::from(version - 3) * 2 + 1;
                same((part.error_code, part.base_offset), (error::NONE, base), "the second")?;
            }
            let mut request = topic.produce(5, version, &Batch::of(&["a"]).bytes());
            request.acks = 0;
            client.say(version, &request)?;
            same(client.hear()?, Heard::Closed, &format!("an error in version {version}"))?;
        }
        Ok(())
    });
}

#[test]
fn a_fetch_from_the_middle_of_a_batch_brings_the_whole_batch() {
    everywhere(|site| {
        let topic = site.topic("t", &[])?;
        let mut client = site.client()?;
        for partition in [0, 1] {
            client.append(&topic, partition, &Batch::of(&["a", "b", "c"]))?;
            client.append(&topic, partition, &Batch::of(&["d", "e", "f"]))?;
            for (from, values) in [(1, "abcdef"), (2, "abcdef"), (3, "def"), (5, "def")] {
                let read = client.stored(&topic, partition, from)?;
                let found: String = read.iter().flat_map(|batch| batch.values()).collect();
                same(found.as_str(), values, &format!("from {from}"))?;
                same(read[0].base_offset, from / 3 * 3, &format!("from {from}"))?;
            }
        }
        // From the disk as well, not only from memory.
        site.broker.stop()?;
        site.broker.restart()?;
        let read = site.client()?.stored(&topic, 1, 4)?;
        same(read[0].values().concat(), "def", "from 4 after a restart")
    });
}

#[test]
fn the_leader_epoch_never_goes_back() {
    everywhere(|site| {
        let topic = site.topic("t", &[])?;
        let mut last = [-1, -1];
        for round in 0..6 {
            let mut client = site.client()?;
            for partition in [0, 1] {
                client.append(&topic, partition, &Batch::of(&["a"]))?;
                let now = client.offset(&topic, partition, -1)?.leader_epoch;
                let read = client.stored(&topic, partition, round)?;
                same(read[0].leader_epoch, now, "the epoch of the batch")?;
                let before = &mut last[usize::from(partition == 1)];
                holds(*before <= now, (*before, now), "not below the epoch before")?;
                *before = now;
            }
            if round % 2 == 0 {
                site.broker.kill()?
            } else {
                site.broker.stop()?
            }
            site.broker.restart()?;
        }
        // Three kills: whoever wrote before each must be told apart from whoever wrote after it.
        same(last.map(|epoch| 2 <= epoch), [true, true], "an epoch for each kill")
    });
}

#[test]
fn the_advertised_address_is_one_that_answers() {
    everywhere(|site| {
        let answer = site.client()?.ask(12, &MetadataRequestData::default())?;
        let broker = &answer.brokers[0];
        let port = u16::try_from(broker.port).map_err(|_| "no port")?;
        let stream = TcpStream::connect((broker.host.as_str(), port))?;
        same(stream.peer_addr()?, site.broker.address(), "the address")
    });
}

#[test]
fn a_time_after_the_last_record_is_answered_with_nothing() {
    everywhere(|site| {
        let topic = site.topic("t", &[])?;
        let mut client = site.client()?;
        let then = now_ms() - 50_000;
        client.append(&topic, 1, &Batch::of(&["a"]).at(then))?;
        for (partition, time, wanted) in [
            (1, then, (0, then)),
            (1, then + 1, (-1, -1)),
            (0, 0, (-1, -1)),
            (1, i64::MAX, (-1, -1)),
        ] {
            let found = client.offset(&topic, partition, time)?;
            let told = (found.error_code, found.offset, found.timestamp);
            same(told, (error::NONE, wanted.0, wanted.1), &format!("{partition} at {time}"))?;
        }
        Ok(())
    });
}

#[test]
fn zstd_is_kept_from_clients_that_cannot_read_it() {
    everywhere(|site| {
        let topic = site.topic("t", &[])?;
        let mut client = site.client()?;
        let batch = Batch::of(&["a"]).squeezed(Codec::Zstd).bytes();
        for partition in [0, 1] {
            for version in 3..=13 {
                let part = client.produce_in(version, &topic, partition, &batch)?;
                let wanted = if version < 7 { error::UNSUPPORTED_COMPRESSION_TYPE } else { 0 };
                same(part.error_code, wanted, &format!("Produce {version}"))?;
            }
            for version in 4..=18 {
                let request: FetchRequestData = topic.fetch(version, &[(partition, 0)]);
                let answer = client.ask(version, &request)?;
                let part = &answer.responses[0].partitions[0];
                let wanted = if version < 10 { error::UNSUPPORTED_COMPRESSION_TYPE } else { 0 };
                let brought = part.records.as_ref().is_some_and(|records| !records.is_empty());
                let told = (part.error_code, brought);
                same(told, (wanted, 10 <= version), &format!("Fetch {version}"))?;
            }
        }
        Ok(())
    });
}

#[test]
fn every_codec_is_taken_and_given_back_as_it_came() {
    everywhere(|site| {
        let topic = site.topic("t", &[])?;
        let mut client = site.client()?;
        for partition in [0, 1] {
            for codec in Codec::ALL {
                let batch = Batch::of(&["a", "b"]).squeezed(codec);
                let base = client.append(&topic, partition, &batch)?;
                let read = client.stored(&topic, partition, base)?;
                same((read[0].codec, read[0].values().concat()), (codec, "ab".into()), "a batch")?;
                // Only offset and epoch may differ: everything from the checksum on is the client's.
                let part = client.fetch(&topic, partition, base)?;
                let stored = part.records.ok_or("null records")?;
                same(&stored[16..], &batch.bytes()[16..], &format!("{codec:?}"))?;
            }
        }
        Ok(())
    });
}

#[test]
fn snappy_is_read_raw_and_in_javas_framing() {
    everywhere(|site| {
        let plain = site.topic("plain", &[])?;
        let gzip = site.topic("gzip", &[("compression.type", "gzip")])?;
        let mut client = site.client()?;
        let values = ["x".repeat(5_000), "y".repeat(700)];
        for partition in [0, 1] {
            for xerial in [false, true] {
                let batch = Batch::of(&values).squeezed(Codec::Snappy);
                let batch = Batch { xerial, ..batch };
                for (topic, codec) in [(&plain, Codec::Snappy), (&gzip, Codec::Gzip)] {
                    let base = client.append(topic, partition, &batch)?;
                    let read = client.stored(topic, partition, base)?;
                    let framed = xerial && codec == Codec::Snappy;
                    let what = format!("{}, in Java's framing: {xerial}", topic.name);
                    same((read[0].codec, read[0].xerial), (codec, framed), &what)?;
                    same(read[0].values(), &values[..], &what)?;
                }
            }
        }
        Ok(())
    });
}
