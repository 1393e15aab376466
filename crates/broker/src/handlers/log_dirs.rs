//! DescribeLogDirs (35): how much of the disk each partition takes.

use std::collections::BTreeMap;

use env::sync::all;
use env::{Disk, Group, ShardId};
use record::TopicPartition;
use wire::ErrorCode;
use wire::messages::describe_log_dirs_response::{
    DescribeLogDirsPartition, DescribeLogDirsResult, DescribeLogDirsTopic,
};
use wire::messages::{DescribeLogDirsRequestData, DescribeLogDirsResponseData, string};

use crate::message::{Call, Reply};
use crate::shard::{Shard, World};

impl<E: World> Shard<E> {
    pub(crate) async fn describe_log_dirs(
        &self,
        request: DescribeLogDirsRequestData,
    ) -> DescribeLogDirsResponseData {
        let image = self.image();
        let mut by_owner: BTreeMap<ShardId, Vec<TopicPartition>> = BTreeMap::new();
        for topic in image.topics() {
            for partition in topic.partitions.keys().copied() {
                let wanted = request.topics.as_ref().is_none_or(|topics| {
                    topics.iter().any(|asked| {
                        asked.topic.as_str() == &*topic.name
                            && asked.partitions.contains(&partition)
                    })
                });
                if wanted {
                    let id = TopicPartition { topic: topic.id, partition };
                    by_owner.entry(self.owner(id)).or_default().push(id);
                }
            }
        }
        let asks = by_owner
            .into_iter()
            .map(|(owner, ids)| self.ask(owner, Group::Admin, Call::LogSizes(ids)))
            .collect();
        let mut topics: BTreeMap<String, Vec<DescribeLogDirsPartition>> = BTreeMap::new();
        for reply in all(asks).await {
            let Some(Reply::Sizes(sizes)) = reply else { continue };
            for (id, bytes) in sizes {
                let Some(topic) = image.topic(id.topic) else { continue };
                topics.entry(topic.name.to_string()).or_default().push(DescribeLogDirsPartition {
                    partition_index: id.partition,
                    partition_size: i64::try_from(bytes).unwrap_or(i64::MAX),
                    ..DescribeLogDirsPartition::default()
                });
            }
        }
        let space = self.env().disk().space().await.ok().flatten();
        let bytes = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        let result = DescribeLogDirsResult {
            error_code: ErrorCode::None.code(),
            log_dir: string(&self.options().log_dir),
            topics: topics
                .into_iter()
                .map(|(name, partitions)| DescribeLogDirsTopic {
                    name: string(&name),
                    partitions,
                    ..DescribeLogDirsTopic::default()
                })
                .collect(),
            total_bytes: space.map_or(-1, |space| bytes(space.total_bytes)),
            usable_bytes: space.map_or(-1, |space| bytes(space.usable_bytes)),
            ..DescribeLogDirsResult::default()
        };
        DescribeLogDirsResponseData { results: vec![result], ..Default::default() }
    }

    /// Sizes of those of `ids` that exist on this shard.
    pub(crate) async fn log_sizes(&self, ids: &[TopicPartition]) -> Vec<(TopicPartition, u64)> {
        let mut sizes = Vec::with_capacity(ids.len());
        for id in ids {
            if let Ok(partition) = self.open_partition(*id, Group::Admin).await {
                let segments = partition.log().segments();
                sizes.push((*id, segments.iter().map(|segment| segment.len_bytes).sum()));
            }
            self.env().yield_if_needed().await;
        }
        sizes
    }
}
