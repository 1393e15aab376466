//! IncrementalAlterConfigs (44).

use metadata::controller::{AlterOp, AlterRequest, AlterWhy, incremental_alter_configs};
use metadata::image::{Resource, ResourceKind};
use wire::ErrorCode;
use wire::messages::incremental_alter_configs_request::AlterConfigsResource;
use wire::messages::incremental_alter_configs_response::AlterConfigsResourceResponse;
use wire::messages::{
    IncrementalAlterConfigsRequestData, IncrementalAlterConfigsResponseData, string,
};

use crate::error_code;
use crate::shard::{Shard, World};

/// What is to be done to one resource.
type Alteration = AlterRequest<(AlterOp, Option<String>)>;

impl<E: World> Shard<E> {
    pub(crate) async fn alter_configs(
        &self,
        request: IncrementalAlterConfigsRequestData,
    ) -> IncrementalAlterConfigsResponseData {
        let parsed: Vec<Option<Alteration>> = request.resources.iter().map(alter_request).collect();
        let good: Vec<_> = parsed.iter().flatten().cloned().collect();
        let outcomes = self
            .change(|image, _| incremental_alter_configs(image, &good, request.validate_only))
            .await
            .ok();
        let mut outcomes = outcomes.map(Vec::into_iter);
        let responses = request
            .resources
            .into_iter()
            .zip(parsed)
            .map(|(resource, parsed)| {
                let (code, message) = match parsed {
                    None => {
                        let text = "an operation of the request does not exist";
                        (ErrorCode::InvalidRequest, Some(text.to_owned()))
                    }
                    Some(_) => told(outcomes.as_mut().and_then(Iterator::next)),
                };
                AlterConfigsResourceResponse {
                    error_code: code.code(),
                    error_message: message.map(|text| string(&text)),
                    resource_type: resource.resource_type,
                    resource_name: resource.resource_name,
                    ..AlterConfigsResourceResponse::default()
                }
            })
            .collect();
        IncrementalAlterConfigsResponseData {
            responses,
            ..IncrementalAlterConfigsResponseData::default()
        }
    }
}

fn told(outcome: Option<Result<(), AlterWhy>>) -> (ErrorCode, Option<String>) {
    match outcome {
        Some(Ok(())) => (ErrorCode::None, None),
        Some(Err(why)) => (error_code::of_alter(&why), Some(why.to_string())),
        None => (ErrorCode::KafkaStorageError, Some("the metadata log takes nothing".to_owned())),
    }
}

/// `None` if an operation has a number that does not exist.
fn alter_request(resource: &AlterConfigsResource) -> Option<Alteration> {
    let changes = resource
        .configs
        .iter()
        .map(|config| {
            let op = match config.config_operation {
                0 => AlterOp::Set,
                1 => AlterOp::Delete,
                2 => AlterOp::Append,
                3 => AlterOp::Subtract,
                _ => return None,
            };
            let value = config.value.as_ref().map(|value| value.as_str().to_owned());
            Some((config.name.as_str().to_owned(), (op, value)))
        })
        .collect::<Option<Vec<_>>>()?;
    let resource = Resource {
        kind: ResourceKind(resource.resource_type),
        name: resource.resource_name.as_str().to_owned(),
    };
    Some(AlterRequest { resource, changes })
}
