//! Where a value comes from: the layers of configuration and their order.

use std::collections::BTreeMap;

use crate::image::{Configs, Image, Resource};

use super::{Synonym, TopicConfigDef, Unit};

/// The layer that a value comes from, the strongest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// Set for the topic.
    DynamicTopic,
    /// Set for this broker, in the metadata log.
    DynamicBroker,
    /// Set for all brokers, in the metadata log.
    DynamicDefaultBroker,
    /// The broker was started with it.
    StaticBroker,
    /// Nobody set it.
    Default,
}

impl Source {
    /// The number of the source in the protocol.
    pub const fn code(self) -> i8 {
        match self {
            Source::DynamicTopic => 1,
            Source::DynamicBroker => 2,
            Source::DynamicDefaultBroker => 3,
            Source::StaticBroker => 4,
            Source::Default => 5,
        }
    }
}

/// The broker whose configurations are asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Node {
    /// Its node id.
    pub id: i32,
    /// What it was started with, under the names of [`super::BROKER_CONFIGS`].
    pub configs: BTreeMap<String, String>,
}

/// A value found in a layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) name: &'static str,
    pub(super) value: String,
    pub(super) source: Source,
}

/// The layers as they are for one topic and one broker. Looked up once, used for every name.
#[derive(Clone, Copy, Debug)]
pub(super) struct Layers<'a> {
    topic: Option<&'a Configs>,
    broker: Option<&'a Configs>,
    all_brokers: Option<&'a Configs>,
    started_with: &'a BTreeMap<String, String>,
}

impl<'a> Layers<'a> {
    pub(super) fn new(image: &'a Image, node: &'a Node, topic: Option<&str>) -> Layers<'a> {
        Layers {
            topic: topic.and_then(|name| image.configs(&Resource::topic(name))),
            broker: image.configs(&Resource::broker(node.id)),
            all_brokers: image.configs(&Resource::all_brokers()),
            started_with: &node.configs,
        }
    }

    /// What the broker layers say of a broker configuration, the strongest first.
    pub(super) fn of_broker(&self, name: &'static str) -> impl Iterator<Item = Found> {
        let layers = [
            (self.broker, Source::DynamicBroker),
            (self.all_brokers, Source::DynamicDefaultBroker),
            (Some(self.started_with), Source::StaticBroker),
        ];
        layers.into_iter().filter_map(move |(configs, source)| {
            let value = configs?.get(name)?.clone();
            Some(Found { name, value, source })
        })
    }

    /// What the topic's own layer says.
    pub(super) fn of_topic(&self, def: &TopicConfigDef) -> Option<Found> {
        let name = def.config.name;
        let value = self.topic?.get(name)?.clone();
        Some(Found { name, value, source: Source::DynamicTopic })
    }

    /// Every value that could hold for a topic configuration, in its unit, the strongest first;
    /// the default is not among them.
    pub(super) fn candidates(&self, def: &'static TopicConfigDef) -> impl Iterator<Item = Found> {
        let synonyms = def.synonyms.iter();
        self.of_topic(def).into_iter().chain(synonyms.flat_map(|synonym| {
            self.of_broker(synonym.name)
                .filter_map(|found| Some(Found { value: synonym.convert(&found.value)?, ..found }))
        }))
    }
}

impl Synonym {
    /// The value in the topic configuration's unit; `None` if it is no number. An age so large that
    /// it overflows counts as the largest, a negative one as no limit.
    pub(super) fn convert(&self, value: &str) -> Option<String> {
        let factor: i64 = match self.unit {
            Unit::Same => return Some(value.to_owned()),
            Unit::Minutes => 60_000,
            Unit::Hours => 3_600_000,
        };
        let number: i64 = value.trim().parse().ok()?;
        Some(if number < 0 { -1 } else { number.saturating_mul(factor) }.to_string())
    }
}
