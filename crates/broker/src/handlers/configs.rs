//! DescribeConfigs (32) and ListConfigResources (74): what is set, where it comes from, what could be set.

use metadata::Image;
use metadata::configs::{Described, describe_all_brokers, describe_broker, describe_topic};
use metadata::image::ResourceKind;
use wire::ErrorCode;
use wire::messages::describe_configs_request::DescribeConfigsResource;
use wire::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResult, DescribeConfigsSynonym,
};
use wire::messages::list_config_resources_response::ConfigResource;
use wire::messages::{
    DescribeConfigsRequestData, DescribeConfigsResponseData, ListConfigResourcesRequestData,
    ListConfigResourcesResponseData, string,
};

use crate::shard::{Shard, World};

/// Resource types of the protocol (Kafka: `ConfigResource.Type`).
const TOPIC: i8 = 2;
const BROKER: i8 = 4;
const BROKER_LOGGER: i8 = 8;
const CLIENT_METRICS: i8 = 16;
const GROUP: i8 = 32;

/// What was asked of each resource beyond the values.
#[derive(Clone, Copy)]
struct Detail {
    synonyms: bool,
    documentation: bool,
}

impl<E: World> Shard<E> {
    pub(crate) fn describe_configs(
        &self,
        request: DescribeConfigsRequestData,
    ) -> DescribeConfigsResponseData {
        let image = self.image();
        let detail = Detail {
            synonyms: request.include_synonyms,
            documentation: request.include_documentation,
        };
        let results = request
            .resources
            .into_iter()
            .map(|resource| self.describe_resource(&image, resource, detail))
            .collect();
        DescribeConfigsResponseData { results, ..DescribeConfigsResponseData::default() }
    }

    fn describe_resource(
        &self,
        image: &Image,
        resource: DescribeConfigsResource,
        detail: Detail,
    ) -> DescribeConfigsResult {
        let keys: Option<Vec<String>> = resource
            .configuration_keys
            .as_ref()
            .map(|keys| keys.iter().map(|key| key.as_str().to_owned()).collect());
        let name = resource.resource_name.as_str();
        let described = self.described(image, resource.resource_type, name, keys.as_deref());
        let (code, message, configs) = match described {
            Ok(described) => (ErrorCode::None, None, described),
            Err((code, message)) => (code, Some(string(&message)), Vec::new()),
        };
        DescribeConfigsResult {
            error_code: code.code(),
            error_message: message,
            resource_type: resource.resource_type,
            resource_name: resource.resource_name,
            configs: configs.into_iter().map(|config| row(config, detail)).collect(),
            ..DescribeConfigsResult::default()
        }
    }

    fn described(
        &self,
        image: &Image,
        kind: i8,
        name: &str,
        only: Option<&[String]>,
    ) -> Result<Vec<Described>, (ErrorCode, String)> {
        let node = self.inner.node.borrow();
        match kind {
            TOPIC if metadata::controller::check_topic_name(name).is_err() => {
                Err((ErrorCode::InvalidTopicException, format!("'{name}' is no topic name")))
            }
            TOPIC if image.topic_named(name).is_none() => {
                Err((ErrorCode::UnknownTopicOrPartition, format!("there is no topic '{name}'")))
            }
            TOPIC => Ok(describe_topic(image, &node, name, only)),
            BROKER if name.is_empty() => Ok(describe_all_brokers(image, only)),
            BROKER if name.parse() == Ok(node.id) => Ok(describe_broker(image, &node, only)),
            BROKER => Err((
                ErrorCode::InvalidRequest,
                format!("this is broker {}, not '{name}'", node.id),
            )),
            // Nothing of these can be set here, so there is nothing to describe.
            BROKER_LOGGER | CLIENT_METRICS | GROUP => Ok(Vec::new()),
            other => {
                Err((ErrorCode::InvalidRequest, format!("resource type {other} does not exist")))
            }
        }
    }

    pub(crate) fn list_config_resources(
        &self,
        version: i16,
        request: &ListConfigResourcesRequestData,
    ) -> ListConfigResourcesResponseData {
        let image = self.image();
        // Version 0 knows client metrics only (KIP-1142); an empty list means every type.
        let all = [TOPIC, BROKER, BROKER_LOGGER, CLIENT_METRICS, GROUP];
        let kinds: Vec<i8> = match version {
            0 => vec![CLIENT_METRICS],
            _ if request.resource_types.is_empty() => all.to_vec(),
            _ => request.resource_types.clone(),
        };
        if let Some(unknown) = kinds.iter().find(|kind| !all.contains(kind)) {
            tracing::debug!(unknown, "resource type does not exist");
            return ListConfigResourcesResponseData {
                error_code: ErrorCode::UnsupportedVersion.code(),
                ..ListConfigResourcesResponseData::default()
            };
        }
        let mut found: Vec<(i8, String)> = Vec::new();
        for kind in kinds {
            match kind {
                TOPIC => {
                    found.extend(
                        image.topics_by_name().map(|topic| (TOPIC, topic.name.to_string())),
                    );
                }
                BROKER | BROKER_LOGGER => {
                    found.extend(image.brokers().keys().map(|id| (kind, id.to_string())));
                }
                kind => found.extend(
                    image
                        .resources()
                        .filter(|(resource, _)| resource.kind == ResourceKind(kind))
                        .map(|(resource, _)| (kind, resource.name.clone())),
                ),
            }
        }
        ListConfigResourcesResponseData {
            config_resources: found
                .into_iter()
                .map(|(resource_type, name)| ConfigResource {
                    resource_name: string(&name),
                    resource_type,
                    ..ConfigResource::default()
                })
                .collect(),
            ..ListConfigResourcesResponseData::default()
        }
    }
}

fn row(config: Described, detail: Detail) -> DescribeConfigsResourceResult {
    let synonyms = if detail.synonyms { config.synonyms } else { Vec::new() };
    DescribeConfigsResourceResult {
        name: string(config.name),
        value: config.value.filter(|_| !config.sensitive).map(|value| string(&value)),
        read_only: config.read_only,
        config_source: config.source.code(),
        is_sensitive: config.sensitive,
        synonyms: synonyms
            .into_iter()
            .map(|synonym| DescribeConfigsSynonym {
                name: string(synonym.name),
                value: synonym.value.map(|value| string(&value)),
                source: synonym.source.code(),
                ..DescribeConfigsSynonym::default()
            })
            .collect(),
        config_type: config.kind.code(),
        documentation: detail.documentation.then(|| string(config.doc)),
        ..DescribeConfigsResourceResult::default()
    }
}
