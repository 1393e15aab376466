//! The answer to `DescribeConfigs`: every configuration with its value and where it comes from.

use crate::image::{Image, Resource};

use super::layers::{Found, Layers};
use super::{
    BROKER_CONFIGS, BrokerConfigDef, ConfigDef, ConfigKind, Node, Source, TOPIC_CONFIGS,
    TopicConfigDef, Update, broker_config,
};

/// One configuration as it is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Described {
    /// Its name.
    pub name: &'static str,
    /// What holds; `None` when nothing does, or when it is secret.
    pub value: Option<String>,
    /// Where that comes from.
    pub source: Source,
    /// Whether nobody set it.
    pub is_default: bool,
    /// Whether it can only be set at the start.
    pub read_only: bool,
    /// Whether its value is secret.
    pub sensitive: bool,
    /// Its type.
    pub kind: ConfigKind,
    /// Every value that could hold, the strongest first: the first one holds.
    pub synonyms: Vec<DescribedSynonym>,
    /// What it does.
    pub doc: &'static str,
}

/// A value that could hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribedSynonym {
    /// The name under which it is set.
    pub name: &'static str,
    /// The value as it is set; `None` when it is secret.
    pub value: Option<String>,
    /// The layer that it is set in.
    pub source: Source,
}

/// The configurations of a topic; `only` these names when given.
pub fn describe_topic(
    image: &Image,
    node: &Node,
    topic: &str,
    only: Option<&[String]>,
) -> Vec<Described> {
    let layers = Layers::new(image, node, Some(topic));
    let wanted = TOPIC_CONFIGS.iter().filter(|def| is_wanted(def.config.name, only));
    wanted.map(|def| topic_entry(layers, def)).collect()
}

/// The configurations of this broker; `only` these names when given.
pub fn describe_broker(image: &Image, node: &Node, only: Option<&[String]>) -> Vec<Described> {
    let layers = Layers::new(image, node, None);
    let wanted = BROKER_CONFIGS.iter().filter(|def| is_wanted(def.config.name, only));
    wanted.map(|def| broker_entry(layers, def)).collect()
}

/// What is set for all brokers, as Kafka tells it: only what is set, nothing else.
pub fn describe_all_brokers(image: &Image, only: Option<&[String]>) -> Vec<Described> {
    let Some(configs) = image.configs(&Resource::all_brokers()) else { return Vec::new() };
    let known = configs.iter().filter_map(|(name, value)| Some((broker_config(name)?, value)));
    known
        .filter(|(def, _)| is_wanted(def.config.name, only))
        .map(|(def, value)| {
            let found = Found {
                name: def.config.name,
                value: value.clone(),
                source: Source::DynamicDefaultBroker,
            };
            entry(&def.config, def.update == Update::ReadOnly, vec![found])
        })
        .collect()
}

fn is_wanted(name: &str, only: Option<&[String]>) -> bool {
    only.is_none_or(|only| only.iter().any(|wanted| wanted == name))
}

fn topic_entry(layers: Layers<'_>, def: &'static TopicConfigDef) -> Described {
    let mut synonyms: Vec<Found> = layers.of_topic(def).into_iter().collect();
    for synonym in def.synonyms {
        synonyms.extend(layers.of_broker(synonym.name));
        synonyms.extend(broker_default(synonym.name));
    }
    let mut described = entry(&def.config, false, synonyms);
    // What holds is told in the topic's unit, the synonyms in theirs.
    let strongest = layers.candidates(def).next().map(|found| found.value);
    described.value = strongest.or_else(|| def.config.default.map(str::to_owned));
    described
}

fn broker_entry(layers: Layers<'_>, def: &'static BrokerConfigDef) -> Described {
    let name = def.config.name;
    let synonyms = layers.of_broker(name).chain(broker_default(name)).collect();
    entry(&def.config, def.update == Update::ReadOnly, synonyms)
}

fn broker_default(name: &str) -> Option<Found> {
    let def = broker_config(name)?;
    let value = def.config.default?.to_owned();
    Some(Found { name: def.config.name, value, source: Source::Default })
}

fn entry(config: &ConfigDef, read_only: bool, synonyms: Vec<Found>) -> Described {
    let sensitive = config.kind == ConfigKind::Password;
    let source = synonyms.first().map_or(Source::Default, |found| found.source);
    let value = synonyms.first().map(|found| found.value.clone());
    let visible = |value: String| (!sensitive).then_some(value);
    Described {
        name: config.name,
        value: value.or_else(|| config.default.map(str::to_owned)).and_then(visible),
        source,
        is_default: source == Source::Default,
        read_only,
        sensitive,
        kind: config.kind,
        synonyms: synonyms
            .into_iter()
            .map(|found| DescribedSynonym {
                name: found.name,
                value: visible(found.value),
                source: found.source,
            })
            .collect(),
        doc: config.doc,
    }
}
