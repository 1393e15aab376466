//! The service `evenkeel.admin.v1.Broker`.

use std::sync::Arc;

use tonic::{Request, Response, Status};

use crate::plane::{Plane, Readiness};
use crate::proto::v1;

pub(crate) struct BrokerService {
    plane: Arc<Plane>,
}

impl BrokerService {
    pub(crate) fn new(plane: Arc<Plane>) -> BrokerService {
        BrokerService { plane }
    }
}

#[tonic::async_trait]
impl v1::broker_server::Broker for BrokerService {
    async fn get_version(
        &self,
        _request: Request<v1::GetVersionRequest>,
    ) -> Result<Response<v1::GetVersionResponse>, Status> {
        let plane = &self.plane;
        Ok(Response::new(v1::GetVersionResponse {
            version: plane.about.version.to_owned(),
            kafka_address: plane.about.kafka_address.clone(),
            shards: u32::try_from(plane.shards()).unwrap_or(u32::MAX),
            up_ms: u64::try_from(plane.started.elapsed().as_millis()).unwrap_or(u64::MAX),
        }))
    }

    async fn get_readiness(
        &self,
        _request: Request<v1::GetReadinessRequest>,
    ) -> Result<Response<v1::GetReadinessResponse>, Status> {
        let readiness = match self.plane.is_ready() {
            Readiness::Starting => v1::Readiness::Starting,
            Readiness::Ready => v1::Readiness::Ready,
            Readiness::Stopping => v1::Readiness::Stopping,
        };
        Ok(Response::new(v1::GetReadinessResponse { readiness: readiness.into() }))
    }
}
