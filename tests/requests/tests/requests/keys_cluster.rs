//! ApiVersions (18), DescribeLogDirs (35), ListPartitionReassignments (46), DescribeCluster (60),
//! DescribeTopicPartitions (75), in every version.

use evenkeel_requests::{Batch, Client, Site, Topic, error, everywhere, holds, m, same, text};
use kit::Outcome;
use m::api_versions_request::ApiVersionsRequestData;
use m::describe_cluster_request::DescribeClusterRequestData;
use m::describe_log_dirs_request::{DescribableLogDirTopic, DescribeLogDirsRequestData};
use m::describe_topic_partitions_request::{DescribeTopicPartitionsRequestData, TopicRequest};
use m::list_partition_reassignments_request::{
    ListPartitionReassignmentsRequestData, ListPartitionReassignmentsTopics,
};
use m::metadata_request::MetadataRequestData;

/// What Kafka 4.3 advertises of the keys that are served: key, lowest and highest version.
const ADVERTISED: [(i16, i16, i16); 18] = [
    (0, 0, 13),
    (1, 4, 18),
    (2, 1, 11),
    (3, 0, 13),
    (18, 0, 4),
    (19, 2, 7),
    (20, 1, 6),
    (21, 0, 2),
    (22, 0, 5),
    (23, 2, 4),
    (32, 1, 4),
    (35, 1, 5),
    (37, 0, 3),
    (44, 0, 1),
    (46, 0, 0),
    (60, 0, 2),
    (74, 0, 1),
    (75, 0, 0),
];

#[test]
fn api_versions_advertises_the_table_in_every_version() {
    everywhere(|site| {
        let mut client = site.client()?;
        for version in 0..=4 {
            let mut request = ApiVersionsRequestData::default();
            if 3 <= version {
                request.client_software_name = text("requests");
                request.client_software_version = text("1.0");
            }
            let answer = client.ask(version, &request)?;
            let keys: Vec<_> = answer
                .api_keys
                .iter()
                .map(|key| (key.api_key, key.min_version, key.max_version))
                .collect();
            same(answer.error_code, error::NONE, &format!("version {version}"))?;
            same(keys, ADVERTISED, &format!("version {version}"))?;
        }
        Ok(())
    });
}

/// Partition sizes of each topic as DescribeLogDirs tells them.
fn sizes(
    client: &mut Client,
    version: i16,
    topics: Option<Vec<DescribableLogDirTopic>>,
) -> Outcome<Vec<(String, i32, i64)>> {
    let request = DescribeLogDirsRequestData { topics, ..Default::default() };
    let answer = client.ask(version, &request)?;
    let [dir] = &answer.results[..] else { return Err("not one directory".into()) };
    same((answer.error_code, dir.error_code), (error::NONE, error::NONE), "errors")?;
    holds(!dir.log_dir.as_str().is_empty(), &dir.log_dir, "a directory has a name")?;
    if 4 <= version {
        let space = (dir.total_bytes, dir.usable_bytes);
        holds(0 < space.1 && space.1 <= space.0, space, "a directory has space")?;
    }
    let mut told = Vec::new();
    for topic in &dir.topics {
        for part in &topic.partitions {
            same((part.offset_lag, part.is_future_key), (0, false), "a leader's own log")?;
            told.push((topic.name.as_str().to_owned(), part.partition_index, part.partition_size));
        }
    }
    told.sort();
    Ok(told)
}

#[test]
fn describe_log_dirs_tells_the_size_of_each_partition() {
    everywhere(|site| {
        let full = site.topic("full", &[])?;
        site.topic("idle", &[])?;
        let mut client = site.client()?;
        let batch = Batch::sized(10_000);
        let bytes = i64::try_from(batch.bytes().len()).expect("small");
        client.append(&full, 1, &batch)?;
        let idle = |index| ("idle".to_owned(), index, 0);
        for version in 1..=5 {
            let what = format!("version {version}");
            let all = sizes(&mut client, version, None)?;
            let of_full = [("full".to_owned(), 0, 0), ("full".to_owned(), 1, bytes)];
            same(&all[..2], &of_full, &what)?;
            same(&all[2..], &[idle(0), idle(1)], &what)?;
            let some = DescribableLogDirTopic {
                topic: text("full"),
                partitions: vec![1, 7],
                ..DescribableLogDirTopic::default()
            };
            same(sizes(&mut client, version, Some(vec![some]))?, &of_full[1..], &what)?;
            same(sizes(&mut client, version, Some(Vec::new()))?, [], &what)?;
        }
        Ok(())
    });
}

#[test]
fn no_partition_is_ever_being_reassigned() {
    everywhere(|site| {
        site.topic("t", &[])?;
        let one = ListPartitionReassignmentsTopics {
            name: text("t"),
            partition_indexes: vec![0, 1],
            ..ListPartitionReassignmentsTopics::default()
        };
        for topics in [None, Some(vec![one])] {
            let request = ListPartitionReassignmentsRequestData {
                timeout_ms: 1_000,
                topics,
                ..ListPartitionReassignmentsRequestData::default()
            };
            let answer = site.client()?.ask(0, &request)?;
            same((answer.error_code, answer.topics.len()), (error::NONE, 0), "reassignments")?;
        }
        Ok(())
    });
}

#[test]
fn describe_cluster_agrees_with_metadata() {
    everywhere(|site| {
        let mut client = site.client()?;
        let metadata = client.ask(12, &MetadataRequestData::default())?;
        let id = metadata.cluster_id.ok_or("no cluster id")?;
        for version in 0..=2 {
            let what = format!("version {version}");
            let mut request = DescribeClusterRequestData::default();
            let answer = client.ask(version, &request)?;
            same((answer.error_code, answer.endpoint_type), (error::NONE, 1), &what)?;
            same(answer.cluster_id.as_str(), id.as_str(), &what)?;
            same(answer.controller_id, metadata.controller_id, &what)?;
            let [broker] = &answer.brokers[..] else { return Err("not one broker".into()) };
            let address = format!("{}:{}", broker.host, broker.port);
            same(address, site.broker.address().to_string(), &what)?;
            same((broker.broker_id, broker.is_fenced), (metadata.controller_id, false), &what)?;
            if 1 <= version {
                request.endpoint_type = 2;
                let code = client.ask(version, &request)?.error_code;
                same(code, error::MISMATCHED_ENDPOINT_TYPE, "controllers")?;
                request.endpoint_type = 3;
                let code = client.ask(version, &request)?.error_code;
                same(code, error::UNSUPPORTED_ENDPOINT_TYPE, "nobody")?;
            }
        }
        Ok(())
    });
}

/// One page: topic, error and partitions of each, and where the next one begins.
type Page = (Vec<(String, i16, Vec<i32>)>, Option<(String, i32)>);

fn page(site: &Site, names: &[&str], limit: i32, from: Option<(String, i32)>) -> Outcome<Page> {
    let cursor = from.map(|(name, partition_index)| {
        Box::new(m::describe_topic_partitions_request::Cursor {
            topic_name: text(&name),
            partition_index,
            ..Default::default()
        })
    });
    let topic = |name: &&str| TopicRequest { name: text(name), ..TopicRequest::default() };
    let request = DescribeTopicPartitionsRequestData {
        topics: names.iter().map(topic).collect(),
        response_partition_limit: limit,
        cursor,
        ..DescribeTopicPartitionsRequestData::default()
    };
    let answer = site.client()?.ask(0, &request)?;
    let topics = answer.topics.iter().map(|topic| {
        let name = topic.name.as_ref().map_or("", |name| name.as_str()).to_owned();
        let indexes = topic.partitions.iter().map(|part| part.partition_index);
        (name, topic.error_code, indexes.collect())
    });
    let next = answer.next_cursor.as_ref();
    let next = next.map(|next| (next.topic_name.as_str().to_owned(), next.partition_index));
    Ok((topics.collect(), next))
}

#[test]
fn describe_topic_partitions_pages_through_all_of_them() {
    everywhere(|site| {
        let made: Vec<Topic> = ["c", "a", "b"]
            .iter()
            .map(|name| site.topic_of(name, 3, &[]))
            .collect::<Outcome<_>>()?;
        let all: Vec<(String, i32)> = ["a", "b", "c"]
            .iter()
            .flat_map(|name| (0..3).map(|index| ((*name).to_owned(), index)))
            .collect();
        for (limit, names) in [(1, vec![]), (2, vec![]), (4, vec!["c", "b", "a"]), (2_000, vec![])]
        {
            let (mut seen, mut from, mut pages) = (Vec::new(), None, 0);
            loop {
                let (topics, next) = page(site, &names, limit, from)?;
                let before = seen.len();
                for (name, code, indexes) in topics {
                    same(code, error::NONE, &name)?;
                    seen.extend(indexes.into_iter().map(|index| (name.clone(), index)));
                }
                let brought = i32::try_from(seen.len() - before).expect("few");
                holds(0 < brought && brought <= limit, brought, "a page within its limit")?;
                pages += 1;
                from = next;
                if from.is_none() {
                    break;
                }
            }
            same(&seen, &all, &format!("pages of {limit}"))?;
            same(pages, all.len().div_ceil(usize::try_from(limit).expect("small")), "pages")?;
        }
        let (topics, _) = page(site, &["a", "gone"], 10, None)?;
        let wanted = [
            ("a".to_owned(), error::NONE, vec![0, 1, 2]),
            ("gone".to_owned(), error::UNKNOWN_TOPIC_OR_PARTITION, vec![]),
        ];
        same(topics, wanted, "a topic that is not there")?;
        same(made.len(), 3, "topics")
    });
}
