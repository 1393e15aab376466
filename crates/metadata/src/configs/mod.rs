//! Configurations of topics and brokers: which exist, what they may be, and what holds.
//!
//! The tables are Kafka 4.3's, with its names, types, defaults and rules, and one of our own:
//! `write.caching`. A value comes from the first of these layers that has one: the topic, this
//! broker, all brokers (all three in the metadata log), what the broker was started with, the
//! default. Not here: acting on a value.

mod brokers;
mod describe;
mod effective;
mod layers;
mod topics;
mod validate;
mod value;

pub use brokers::{BROKER_CONFIGS, BrokerConfigDef, Update, broker_config};
pub use describe::{
    Described, DescribedSynonym, describe_all_brokers, describe_broker, describe_topic,
};
pub use effective::{Cleanup, CompressionType, TopicConfig, effective_topic_config};
pub use layers::{Node, Source};
pub use topics::{Synonym, TOPIC_CONFIGS, TopicConfigDef, Unit, topic_config};
pub use validate::ConfigWhy;
pub(crate) use validate::{check_broker_value, check_topic_set, check_topic_value};
pub use value::{BadValue, Check, ConfigDef, ConfigKind, list_items};

#[cfg(test)]
mod tests;
