//! From a decoded request to its answer: which handler, in which group.

use std::future::Future;
use std::pin::Pin;

use env::Group;
use wire::api_versions::Features;
use wire::messages::api_versions_response::{FinalizedFeatureKey, SupportedFeatureKey};
use wire::messages::string;
use wire::{ApiKey, Request, RequestBody, ResponseBody};

use crate::connection::Answer;
use crate::failed::holds_error;
use crate::message::{Call, Reply};
use crate::shard::{Shard, World};

/// The group in which a request of `key` is served.
pub(crate) const fn group_of(key: ApiKey) -> Group {
    match key {
        ApiKey::Produce | ApiKey::InitProducerId => Group::Produce,
        ApiKey::Fetch
        | ApiKey::ListOffsets
        | ApiKey::Metadata
        | ApiKey::ApiVersions
        | ApiKey::OffsetForLeaderEpoch => Group::Fetch,
        _ => Group::Admin,
    }
}

type StageTwo = Pin<Box<dyn Future<Output = Answer>>>;

impl<E: World> Shard<E> {
    /// Stage 1 of `request`: what must happen in the order of arrival. Only produces have one;
    /// the future that it gives answers.
    pub(crate) async fn take_in(&self, request: Request) -> StageTwo {
        let Request { header, body, .. } = request;
        let shard = self.clone();
        match body {
            RequestBody::Produce(body) => {
                let stage_two = self.begin_produce(header.version, body).await;
                Box::pin(async move {
                    match stage_two.await.into_body() {
                        Err(answer) => answer,
                        Ok(body) => {
                            shard.encode(header.version, header.correlation_id, body.into())
                        }
                    }
                })
            }
            body => Box::pin(async move {
                let body = shard.respond(header.version, body).await;
                shard.encode(header.version, header.correlation_id, body)
            }),
        }
    }

    fn encode(&self, version: i16, correlation_id: i32, body: ResponseBody) -> Answer {
        let key = body.key();
        let failed = holds_error(&body);
        match wire::encode(version, correlation_id, body, self.env().pool()) {
            Ok(parts) => {
                if failed {
                    self.inner.tally.failed(key);
                }
                Answer::Send(parts)
            }
            Err(error) => {
                tracing::warn!(%error, version, "an answer could not be encoded");
                Answer::Close
            }
        }
    }

    async fn respond(&self, version: i16, body: RequestBody) -> ResponseBody {
        match body {
            RequestBody::Fetch(body) => self.fetch(version, body).await.into(),
            RequestBody::ListOffsets(body) => self.list_offsets(version, body).await.into(),
            RequestBody::OffsetForLeaderEpoch(body) => {
                self.offset_for_leader_epoch(body).await.into()
            }
            RequestBody::DeleteRecords(body) => self.delete_records(body).await.into(),
            RequestBody::Metadata(body) => self.metadata(version, body).await.into(),
            RequestBody::ApiVersions(body) => {
                wire::api_versions::answer(version, &body, self.features()).into()
            }
            RequestBody::InitProducerId(body) => self.init_producer_id(body).await.into(),
            RequestBody::DescribeCluster(body) => self.describe_cluster(&body).into(),
            RequestBody::DescribeTopicPartitions(body) => {
                self.describe_topic_partitions(body).into()
            }
            RequestBody::DescribeConfigs(body) => self.describe_configs(body).into(),
            RequestBody::DescribeLogDirs(body) => self.describe_log_dirs(body).await.into(),
            RequestBody::ListPartitionReassignments(body) => {
                self.list_partition_reassignments(body).into()
            }
            RequestBody::ListConfigResources(body) => {
                self.list_config_resources(version, &body).into()
            }
            body @ (RequestBody::CreateTopics(_)
            | RequestBody::DeleteTopics(_)
            | RequestBody::CreatePartitions(_)
            | RequestBody::IncrementalAlterConfigs(_)) => self.control(version, body).await,
            // Taken in `begin`.
            RequestBody::Produce(_) => ResponseBody::Produce(Default::default()),
        }
    }

    /// Has the controller's shard decide.
    async fn control(&self, version: i16, body: RequestBody) -> ResponseBody {
        let key = body.key();
        let call = Call::Control { body: Box::new(body), version };
        match self.ask(crate::controller::SHARD, Group::Admin, call).await {
            Some(Reply::Control(body)) => *body,
            _ => crate::controller::unanswered(key),
        }
    }

    fn features(&self) -> Features {
        let image = self.image();
        let finalized = image.features();
        Features {
            supported: metadata::controller::supported_features()
                .into_iter()
                .map(|feature| SupportedFeatureKey {
                    name: string(&feature.name),
                    min_version: feature.min,
                    max_version: feature.max,
                    ..SupportedFeatureKey::default()
                })
                .collect(),
            finalized: finalized
                .iter()
                .map(|(name, level)| FinalizedFeatureKey {
                    name: string(name.as_str()),
                    max_version_level: *level,
                    min_version_level: *level,
                    ..FinalizedFeatureKey::default()
                })
                .collect(),
            finalized_epoch: image.applied().map_or(-1, |offset| offset.raw()),
        }
    }
}
