//! The controller of a single node, on shard 0: the one writer of metadata.
//!
//! A change is decided (pure, `metadata::controller`), appended and flushed, folded, and taken in by every
//! shard; only then is it answered. Changes are made one after the other.

mod alter;
mod create;
mod delete;

use std::cell::{Cell, RefCell};

use env::sync::all;
use env::{Env, Gate, Group, ShardId};
use metadata::configs::Node;
use metadata::controller::{
    BrokerWhy, Decision, Registration, Start, allocate_producer_ids, bootstrap, elect_at_start,
    fence_broker, register_broker, supported_features, unfence_broker,
};
use metadata::records::Endpoint;
use metadata::{Image, Record, Uuid};
use wire::{ApiKey, ErrorCode, RequestBody, ResponseBody};

use crate::message::Call;
use crate::metadata_log::{MetadataLog, MetadataLogError};
use crate::options::Options;
use crate::shard::{Identity, Shard, World};

/// The shard that leads.
pub(crate) const SHARD: ShardId = ShardId(0);

/// The metadata log behind a gate: one change at a time.
pub(crate) struct Controller<E: Env> {
    log: RefCell<Option<MetadataLog<E>>>,
    image: RefCell<Image>,
    gate: Gate,
    broker_epoch: Cell<i64>,
    node_id: i32,
}

/// The metadata cannot be led.
#[derive(Debug, thiserror::Error)]
pub enum ControllerError {
    /// The metadata log.
    #[error(transparent)]
    Log(#[from] MetadataLogError),
    /// This broker cannot register.
    #[error(transparent)]
    Broker(#[from] BrokerWhy),
    /// An earlier append failed; the log takes nothing until the broker restarts.
    #[error("the metadata log failed before; restart the broker")]
    Failed,
}

impl<E: Env> Controller<E> {
    /// Opens the metadata log, registers this start, and raises every leader epoch if the last
    /// stop was not clean.
    pub(crate) async fn open(
        env: &E,
        options: &Options,
        identity: &Identity,
        clean: bool,
    ) -> Result<Controller<E>, ControllerError> {
        let mut log = MetadataLog::open(env).await?;
        log.begin_epoch(identity.node_id, identity.directory_id).await?;
        let new_cluster = bootstrap(log.image());
        log.append(&new_cluster).await?;
        let registration = registration(env, options, identity);
        let decision = register_broker(log.image(), &registration, log.next());
        let epoch = sole(&decision)?;
        log.append(&decision.records).await?;
        let start = if clean { Start::Clean } else { Start::Unclean };
        let elected = elect_at_start(log.image(), identity.node_id, identity.directory_id, start);
        log.append(&elected).await?;
        let unfenced = unfence_broker(log.image(), identity.node_id, epoch);
        sole(&unfenced)?;
        log.append(&unfenced.records).await?;
        let image = log.image().clone();
        Ok(Controller {
            log: RefCell::new(Some(log)),
            image: RefCell::new(image),
            gate: Gate::default(),
            broker_epoch: Cell::new(epoch),
            node_id: identity.node_id,
        })
    }

    /// The image of everything that is durable.
    pub(crate) fn image(&self) -> Image {
        self.image.borrow().clone()
    }

    /// The epoch of this start's registration.
    pub(crate) fn broker_epoch(&self) -> i64 {
        self.broker_epoch.get()
    }

    /// A clean stop of the metadata log.
    pub(crate) async fn close(&self) -> Result<(), MetadataLogError> {
        let _turn = self.gate.enter().await;
        let log = self.log.borrow_mut().take();
        let Some(mut log) = log else { return Ok(()) };
        // A controller that goes on from here must not wait for this broker's session to end.
        let fenced = fence_broker(log.image(), self.node_id, self.broker_epoch());
        log.append(&fenced.records).await?;
        log.close().await
    }

    /// Appends what was decided. The log is taken out meanwhile; after a failure it stays out.
    async fn append(&self, records: &[Record]) -> Result<(), ControllerError> {
        if records.is_empty() {
            return Ok(());
        }
        let log = self.log.borrow_mut().take();
        let mut log = log.ok_or(ControllerError::Failed)?;
        log.append(records).await?;
        *self.image.borrow_mut() = log.image().clone();
        *self.log.borrow_mut() = Some(log);
        Ok(())
    }
}

impl<E: World> Shard<E> {
    /// Decides, makes it so, and has every shard take it in. One change at a time.
    pub(crate) async fn change<T>(
        &self,
        decide: impl FnOnce(&Image, &Node) -> Decision<T>,
    ) -> Result<Vec<T>, ControllerError> {
        let controller = self.inner.controller.borrow().clone();
        let controller = controller.ok_or(ControllerError::Failed)?;
        let _turn = controller.gate.enter().await;
        let decision = {
            let node = self.inner.node.borrow();
            decide(&controller.image.borrow(), &node)
        };
        if !decision.records.is_empty() {
            if let Err(error) = controller.append(&decision.records).await {
                tracing::error!(%error, "metadata was not changed");
                return Err(error);
            }
            self.publish_everywhere(controller.image()).await;
        }
        Ok(decision.outcomes)
    }

    async fn publish_everywhere(&self, image: Image) {
        let asks = (0..self.env().shards())
            .map(|shard| self.ask(ShardId(shard), Group::System, Call::Publish(image.clone())))
            .collect();
        all(asks).await;
    }

    /// Answers a request that changes metadata. On shard 0 only.
    pub(crate) async fn control_here(&self, body: RequestBody, version: i16) -> ResponseBody {
        match body {
            RequestBody::CreateTopics(body) => self.create_topics(body, version).await.into(),
            RequestBody::CreatePartitions(body) => self.create_partitions(body).await.into(),
            RequestBody::DeleteTopics(body) => self.delete_topics(body, version).await.into(),
            RequestBody::IncrementalAlterConfigs(body) => self.alter_configs(body).await.into(),
            other => unanswered(other.key()),
        }
    }

    /// A block of producer ids for a shard.
    pub(crate) async fn allocate_producer_ids(&self) -> Result<(i64, i64), ErrorCode> {
        let (node, epoch) = {
            let controller = self.inner.controller.borrow();
            let controller = controller.as_ref().ok_or(ErrorCode::CoordinatorNotAvailable)?;
            (controller.node_id, controller.broker_epoch())
        };
        let outcomes = self
            .change(|image, _| allocate_producer_ids(image, node, epoch))
            .await
            .map_err(|_| ErrorCode::KafkaStorageError)?;
        match outcomes.into_iter().next() {
            Some(Ok(block)) => Ok((block.first, block.first + block.count)),
            Some(Err(why)) => {
                tracing::error!(%why, "no producer ids");
                Err(ErrorCode::UnknownServerError)
            }
            None => Err(ErrorCode::UnknownServerError),
        }
    }
}

/// The answer to a change that no controller decided on: the connection's shard could not reach
/// it. The bodies carry no error of their own, so it is an empty one.
pub(crate) fn unanswered(key: ApiKey) -> ResponseBody {
    match key {
        ApiKey::CreateTopics => ResponseBody::CreateTopics(Default::default()),
        ApiKey::CreatePartitions => ResponseBody::CreatePartitions(Default::default()),
        ApiKey::DeleteTopics => ResponseBody::DeleteTopics(Default::default()),
        _ => ResponseBody::IncrementalAlterConfigs(Default::default()),
    }
}

fn registration<E: Env>(env: &E, options: &Options, identity: &Identity) -> Registration {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&env.random().to_be_bytes());
    bytes[8..].copy_from_slice(&env.random().to_be_bytes());
    Registration {
        node_id: identity.node_id,
        incarnation_id: Uuid::from_random(bytes),
        endpoints: vec![Endpoint {
            name: "PLAINTEXT".to_owned(),
            host: options.advertised_host.clone(),
            port: options.advertised_port,
            security_protocol: 0,
        }],
        features: supported_features(),
        rack: None,
        directories: vec![identity.directory_id],
    }
}

fn sole<T: Copy>(decision: &Decision<Result<T, BrokerWhy>>) -> Result<T, BrokerWhy> {
    decision.outcomes.first().expect("one outcome for one broker").clone()
}
