//! gRPC as any tool finds it: health, reflection, version.

use std::time::Duration;

use admin::Readiness;
use evenkeel_admin_tests::{broker, client, evenkeel};
use kit::Broker;
use tokio::runtime::Runtime;
use tokio_stream::StreamExt;
use tonic::transport::{Channel, Endpoint};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
use tonic_reflection::pb::v1::{ServerReflectionRequest, ServerReflectionResponse};

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

async fn channel(broker: &Broker) -> Channel {
    let address = format!("http://{}", broker.admin_address());
    Endpoint::from_shared(address).expect("it is done").connect().await.expect("it accepts")
}

#[test]
fn the_standard_health_service_says_that_it_serves() {
    let broker = broker().expect("the broker starts");
    runtime().block_on(async {
        let mut health = HealthClient::new(channel(&broker).await);
        for service in ["", "evenkeel.admin.v1.Broker", "evenkeel.admin.v1.Scheduler"] {
            let request = HealthCheckRequest { service: service.to_owned() };
            let mut told = health.watch(request).await.expect("it is done").into_inner();
            // Kafka may have answered a moment before the last shard said that it listens.
            let serving = async {
                while let Some(told) = told.next().await {
                    if told.expect("it is done").status() == ServingStatus::Serving {
                        return true;
                    }
                }
                false
            };
            let serving = tokio::time::timeout(Duration::from_secs(10), serving).await;
            assert_eq!(serving, Ok(true), "{service:?}");
        }
    });
}

#[test]
fn tools_find_the_services_by_reflection() {
    let broker = broker().expect("the broker starts");
    let ask = |request| {
        let broker = &broker;
        runtime().block_on(async move {
            let mut reflection = ServerReflectionClient::new(channel(broker).await);
            let request =
                ServerReflectionRequest { host: String::new(), message_request: Some(request) };
            let asked = tokio_stream::iter([request]);
            let mut told =
                reflection.server_reflection_info(asked).await.expect("it is done").into_inner();
            let told: ServerReflectionResponse =
                told.next().await.expect("it is done").expect("it is done");
            told.message_response.expect("it is done")
        })
    };
    let MessageResponse::ListServicesResponse(list) =
        ask(MessageRequest::ListServices(String::new()))
    else {
        panic!("another answer")
    };
    let names: Vec<&str> = list.service.iter().map(|it| it.name.as_str()).collect();
    for name in ["evenkeel.admin.v1.Broker", "evenkeel.admin.v1.Scheduler", "grpc.health.v1.Health"]
    {
        assert!(names.contains(&name), "{name} is not in {names:?}");
    }
    let symbol = "evenkeel.admin.v1.Scheduler.SetShares".to_owned();
    let answer = ask(MessageRequest::FileContainingSymbol(symbol));
    assert!(matches!(answer, MessageResponse::FileDescriptorResponse(_)), "{answer:?}");
}

#[test]
fn the_version_is_that_of_the_binary() {
    let broker = broker().expect("the broker starts");
    let told = client(&broker).expect("the plane answers").version().expect("it is done");
    let said = evenkeel(&["--version"]).expect("it is done").out;
    assert_eq!(said.trim(), format!("evenkeel {}", told.version));
    assert_eq!(told.kafka_address, broker.bootstrap());
    assert_eq!(told.shards, 2);
    assert_eq!(
        client(&broker).expect("the plane answers").readiness().expect("it is done"),
        Readiness::Ready
    );
}
