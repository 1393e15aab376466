//! Whether an answer tells its client of an error, for the counts.

use wire::ResponseBody;
use wire::fetch_rope::FetchAnswer;

/// Whether any part of `body` holds an error code.
pub(crate) fn holds_error(body: &ResponseBody) -> bool {
    match body {
        ResponseBody::Produce(body) => {
            let mut partitions = body.responses.iter().flat_map(|topic| &topic.partition_responses);
            partitions.any(|it| it.error_code != 0)
        }
        ResponseBody::Fetch(answer) => fetch(answer),
        ResponseBody::ListOffsets(body) => {
            let mut partitions = body.topics.iter().flat_map(|topic| &topic.partitions);
            partitions.any(|it| it.error_code != 0)
        }
        ResponseBody::Metadata(body) => {
            body.error_code != 0
                || body.topics.iter().any(|topic| {
                    topic.error_code != 0 || topic.partitions.iter().any(|it| it.error_code != 0)
                })
        }
        ResponseBody::ApiVersions(body) => body.error_code != 0,
        ResponseBody::CreateTopics(body) => body.topics.iter().any(|it| it.error_code != 0),
        ResponseBody::DeleteTopics(body) => body.responses.iter().any(|it| it.error_code != 0),
        ResponseBody::DeleteRecords(body) => {
            let mut partitions = body.topics.iter().flat_map(|topic| &topic.partitions);
            partitions.any(|it| it.error_code != 0)
        }
        ResponseBody::InitProducerId(body) => body.error_code != 0,
        ResponseBody::OffsetForLeaderEpoch(body) => {
            let mut partitions = body.topics.iter().flat_map(|topic| &topic.partitions);
            partitions.any(|it| it.error_code != 0)
        }
        ResponseBody::DescribeConfigs(body) => body.results.iter().any(|it| it.error_code != 0),
        ResponseBody::DescribeLogDirs(body) => {
            body.error_code != 0 || body.results.iter().any(|it| it.error_code != 0)
        }
        ResponseBody::CreatePartitions(body) => body.results.iter().any(|it| it.error_code != 0),
        ResponseBody::IncrementalAlterConfigs(body) => {
            body.responses.iter().any(|it| it.error_code != 0)
        }
        ResponseBody::ListPartitionReassignments(body) => body.error_code != 0,
        ResponseBody::DescribeCluster(body) => body.error_code != 0,
        ResponseBody::ListConfigResources(body) => body.error_code != 0,
        ResponseBody::DescribeTopicPartitions(body) => body.topics.iter().any(|topic| {
            topic.error_code != 0 || topic.partitions.iter().any(|it| it.error_code != 0)
        }),
    }
}

fn fetch(answer: &FetchAnswer) -> bool {
    let mut partitions = answer.topics.iter().flat_map(|topic| &topic.partitions);
    answer.error_code != 0 || partitions.any(|it| it.error_code != 0)
}

#[cfg(test)]
mod tests {
    use wire::fetch_rope::{FetchedPartition, FetchedTopic};
    use wire::messages::produce_response::{PartitionProduceResponse, TopicProduceResponse};
    use wire::messages::{InitProducerIdResponseData, ProduceResponseData};

    use super::*;

    #[test]
    fn an_error_of_one_partition_is_an_error_of_the_answer() {
        let topic = |codes: &[i16]| TopicProduceResponse {
            partition_responses: codes
                .iter()
                .map(|code| PartitionProduceResponse { error_code: *code, ..Default::default() })
                .collect(),
            ..Default::default()
        };
        let answer = |topics| ProduceResponseData { responses: topics, ..Default::default() };
        assert!(!holds_error(&answer(vec![topic(&[0, 0]), topic(&[0])]).into()));
        assert!(holds_error(&answer(vec![topic(&[0, 0]), topic(&[0, 3])]).into()));
        let failed = FetchedPartition::failed(0, 1);
        let topic = FetchedTopic { partitions: vec![failed], ..FetchedTopic::default() };
        assert!(holds_error(&FetchAnswer { topics: vec![topic], ..Default::default() }.into()));
    }

    #[test]
    fn an_error_of_the_whole_is_one() {
        let answer = |error_code| InitProducerIdResponseData { error_code, ..Default::default() };
        assert!(holds_error(&answer(15).into()));
        assert!(!holds_error(&answer(0).into()));
        assert!(holds_error(&FetchAnswer { error_code: 70, ..Default::default() }.into()));
    }
}
