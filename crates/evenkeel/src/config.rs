//! Broker settings from `--config` and `--set`, checked against the table of known ones.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

/// The configuration file. Unknown tables and keys are errors: a typo must not pass as a default.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    /// Kafka's broker settings by name.
    #[serde(default)]
    broker: BTreeMap<String, toml::Value>,
}

/// The settings of `file`, then those of `sets`, later ones winning.
pub(crate) fn settings(
    file: Option<&Path>,
    sets: &[String],
) -> Result<BTreeMap<String, String>, String> {
    let mut settings = BTreeMap::new();
    if let Some(path) = file {
        let text = std::fs::read_to_string(path)
            .map_err(|error| format!("cannot read {}: {error}", path.display()))?;
        let file: File =
            toml::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))?;
        for (name, value) in file.broker {
            settings.insert(name, plain(&value)?);
        }
    }
    for set in sets {
        let (name, value) =
            set.split_once('=').ok_or_else(|| format!("--set {set}: NAME=VALUE expected"))?;
        settings.insert(name.trim().to_owned(), value.trim().to_owned());
    }
    for (name, value) in &settings {
        let known = metadata::configs::broker_config(name)
            .ok_or_else(|| format!("setting {name}: there is no such broker setting"))?;
        known.config.check(value).map_err(|why| format!("setting {name}={value}: {why}"))?;
    }
    Ok(settings)
}

fn plain(value: &toml::Value) -> Result<String, String> {
    match value {
        toml::Value::String(text) => Ok(text.clone()),
        toml::Value::Integer(number) => Ok(number.to_string()),
        toml::Value::Float(number) => Ok(number.to_string()),
        toml::Value::Boolean(flag) => Ok(flag.to_string()),
        other => Err(format!("a text, number or true/false expected, not {other}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_wins_over_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("evenkeel.toml");
        std::fs::write(&path, "[broker]\n\"num.partitions\" = 3\n\"log.retention.hours\" = 2\n")
            .unwrap();
        let found = settings(Some(&path), &["num.partitions=5".to_owned()]).unwrap();
        assert_eq!(found["num.partitions"], "5");
        assert_eq!(found["log.retention.hours"], "2");
    }

    #[test]
    fn what_is_unknown_or_nonsense_is_refused() {
        for bad in ["no.such.setting=1", "num.partitions=many", "num.partitions"] {
            assert!(settings(None, &[bad.to_owned()]).is_err(), "{bad}");
        }
    }
}
