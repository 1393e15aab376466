//! Altering configurations of topics and brokers.

use std::collections::BTreeMap;

use crate::configs::{
    ConfigKind, ConfigWhy, broker_config, check_broker_value, check_topic_set, check_topic_value,
    list_items, topic_config,
};
use crate::image::{Configs, Image, Resource, ResourceKind, Topic};
use crate::records::{ClearElrRecord, ConfigRecord, Record};

use super::{Decision, repeated};

/// What to do with one configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AlterOp {
    /// Give it this value.
    Set,
    /// Take it away.
    Delete,
    /// Add these items to the list.
    Append,
    /// Take these items out of the list.
    Subtract,
}

/// What to alter of one resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlterRequest<T> {
    /// The resource.
    pub resource: Resource,
    /// For each configuration by name, what to do.
    pub changes: Vec<(String, T)>,
}

/// Why a resource's configurations are not altered. Nothing of that resource is; others are.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AlterWhy {
    /// The request names the resource more than once.
    #[error("the request names the resource more than once")]
    Repeated,
    /// The request names the configuration more than once.
    #[error("the request names configuration {name} more than once")]
    RepeatedConfig {
        /// The configuration.
        name: String,
    },
    /// Configurations of this kind of resource cannot be altered here.
    #[error("configurations of resource type {} cannot be altered", kind.0)]
    Kind {
        /// The kind.
        kind: ResourceKind,
    },
    /// There is no such topic.
    #[error("topic {name} does not exist")]
    UnknownTopic {
        /// The name.
        name: String,
    },
    /// The name of a broker is no node id.
    #[error("{name} is no node id")]
    NotANode {
        /// The name.
        name: String,
    },
    /// No such broker is registered.
    #[error("broker {node_id} is not registered")]
    UnknownBroker {
        /// The node id.
        node_id: i32,
    },
    /// A configuration shall be set, but no value is given.
    #[error("configuration {name} has no value")]
    NoValue {
        /// The configuration.
        name: String,
    },
    /// Items can be added to and taken from lists only.
    #[error("configuration {name} is not a list")]
    NotAList {
        /// The configuration.
        name: String,
    },
    /// A configuration is refused.
    #[error(transparent)]
    Config(#[from] ConfigWhy),
}

/// Decides on an `IncrementalAlterConfigs` request: what is not named stays as it is. With
/// `validate_only` there are no records.
pub fn incremental_alter_configs(
    image: &Image,
    requests: &[AlterRequest<(AlterOp, Option<String>)>],
    validate_only: bool,
) -> Decision<Result<(), AlterWhy>> {
    decide(image, requests, validate_only, |current, resource, changes| {
        let mut after = current.clone();
        for (name, (op, value)) in changes {
            match new_value(current, resource, name, *op, value.as_deref())? {
                Some(value) => after.insert(name.clone(), value),
                None => after.remove(name),
            };
        }
        Ok(after)
    })
}

/// Decides on an `AlterConfigs` request: what is not named is taken away. With `validate_only`
/// there are no records.
pub fn alter_configs(
    image: &Image,
    requests: &[AlterRequest<Option<String>>],
    validate_only: bool,
) -> Decision<Result<(), AlterWhy>> {
    decide(image, requests, validate_only, |_, _, changes| {
        let with_value = |(name, value): &(String, Option<String>)| {
            let no_value = || AlterWhy::NoValue { name: name.clone() };
            Ok((name.clone(), value.clone().ok_or_else(no_value)?))
        };
        changes.iter().map(with_value).collect()
    })
}

fn decide<T>(
    image: &Image,
    requests: &[AlterRequest<T>],
    validate_only: bool,
    after: impl Fn(&Configs, &Resource, &[(String, T)]) -> Result<Configs, AlterWhy>,
) -> Decision<Result<(), AlterWhy>> {
    let twice = repeated(requests.iter().map(|request| &request.resource));
    let none = Configs::new();
    let mut decision = Decision::new();
    for request in requests {
        let resource = &request.resource;
        let outcome = (|| {
            if twice.contains(resource) {
                return Err(AlterWhy::Repeated);
            }
            check_resource(image, resource)?;
            let names = request.changes.iter().map(|(name, _)| name);
            if let Some(name) = repeated(names).first() {
                return Err(AlterWhy::RepeatedConfig { name: (*name).clone() });
            }
            let current = image.configs(resource).unwrap_or(&none);
            let after = after(current, resource, &request.changes)?;
            let changes = changes(current, &after);
            check_changes(image, resource, &changes, &after)?;
            decision.records.extend(records(image, resource, changes));
            Ok(())
        })();
        decision.outcomes.push(outcome);
    }
    if validate_only {
        decision.records.clear();
    }
    decision
}

fn check_resource(image: &Image, resource: &Resource) -> Result<(), AlterWhy> {
    let name = || resource.name.clone();
    match resource.kind {
        ResourceKind::TOPIC if image.topic_named(&resource.name).is_none() => {
            Err(AlterWhy::UnknownTopic { name: name() })
        }
        ResourceKind::TOPIC => Ok(()),
        ResourceKind::BROKER if resource.name.is_empty() => Ok(()),
        ResourceKind::BROKER => {
            let node_id: i32 =
                resource.name.parse().map_err(|_| AlterWhy::NotANode { name: name() })?;
            let known = image.broker(node_id).is_some() && node_id.to_string() == resource.name;
            if known { Ok(()) } else { Err(AlterWhy::UnknownBroker { node_id }) }
        }
        kind => Err(AlterWhy::Kind { kind }),
    }
}

/// The value after one operation.
fn new_value(
    current: &Configs,
    resource: &Resource,
    name: &str,
    op: AlterOp,
    value: Option<&str>,
) -> Result<Option<String>, AlterWhy> {
    if op == AlterOp::Delete {
        return Ok(None);
    }
    let value = value.ok_or_else(|| AlterWhy::NoValue { name: name.to_owned() })?;
    if op == AlterOp::Set {
        return Ok(Some(value.to_owned()));
    }
    let def = if resource.kind == ResourceKind::TOPIC {
        topic_config(name).map(|def| def.config)
    } else {
        broker_config(name).map(|def| def.config)
    };
    let def = def.ok_or_else(|| ConfigWhy::Unknown { name: name.to_owned() })?;
    if def.kind != ConfigKind::List {
        return Err(AlterWhy::NotAList { name: name.to_owned() });
    }
    let current = current.get(name).map_or(def.default.unwrap_or_default(), String::as_str);
    let mut items: Vec<&str> = list_items(current).collect();
    for item in list_items(value) {
        if op == AlterOp::Subtract {
            items.retain(|known| *known != item);
        } else if !items.contains(&item) {
            items.push(item);
        }
    }
    Ok(Some(items.join(",")))
}

/// What differs: the new value by name, `None` for one that goes.
fn changes(current: &Configs, after: &Configs) -> BTreeMap<String, Option<String>> {
    let gone = current.keys().filter(|name| !after.contains_key(*name));
    let gone = gone.map(|name| (name.clone(), None));
    let set = after.iter().filter(|(name, value)| current.get(*name) != Some(*value));
    gone.chain(set.map(|(name, value)| (name.clone(), Some(value.clone())))).collect()
}

fn check_changes(
    image: &Image,
    resource: &Resource,
    changes: &BTreeMap<String, Option<String>>,
    after: &Configs,
) -> Result<(), AlterWhy> {
    let is_topic = resource.kind == ResourceKind::TOPIC;
    for (name, value) in changes {
        match value {
            Some(value) if is_topic => check_topic_value(name, value)?,
            Some(value) => check_broker_value(name, value)?,
            None => {}
        }
    }
    if is_topic {
        check_topic_set(after)?;
    } else if keeps_eligible_leaders(image) {
        match changes.get(MIN_INSYNC_REPLICAS) {
            Some(Some(_)) if !resource.name.is_empty() => {
                return Err(ConfigWhy::MinInsyncOfOneBroker.into());
            }
            Some(None) if resource.name.is_empty() => {
                return Err(ConfigWhy::MinInsyncRemoved.into());
            }
            _ => {}
        }
    }
    Ok(())
}

const MIN_INSYNC_REPLICAS: &str = "min.insync.replicas";

fn keeps_eligible_leaders(image: &Image) -> bool {
    image.feature("eligible.leader.replicas.version") > 0
}

fn records(
    image: &Image,
    resource: &Resource,
    changes: BTreeMap<String, Option<String>>,
) -> Vec<Record> {
    let changes_min_insync = changes.contains_key(MIN_INSYNC_REPLICAS);
    let mut records: Vec<Record> = changes
        .into_iter()
        .map(|(name, value)| {
            Record::from(ConfigRecord {
                resource_type: resource.kind.0,
                resource_name: resource.name.clone(),
                name,
                value,
            })
        })
        .collect();
    // Who may lead though not in sync depends on the least number in sync: with another number
    // the sets that were kept mean nothing any more (KIP-966).
    let is_topic = resource.kind == ResourceKind::TOPIC;
    let topic_name = if is_topic { resource.name.clone() } else { String::new() };
    let concerned = |topic: &&Topic| topic_name.is_empty() || *topic.name == *topic_name;
    let any = || {
        image.topics().filter(concerned).flat_map(|topic| topic.partitions.values()).any(
            |partition| {
                let sets = [&partition.eligible_leaders, &partition.last_known_eligible];
                sets.iter().any(|set| !set.is_empty())
            },
        )
    };
    if changes_min_insync && keeps_eligible_leaders(image) && any() {
        records.push(ClearElrRecord { topic_name }.into());
    }
    records
}
