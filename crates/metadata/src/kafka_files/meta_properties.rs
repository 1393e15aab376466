//! `meta.properties`, version 1: whose directory this is.

use crate::records::Uuid;

use super::FileError;
use super::properties::{decode, escape};

/// The identity of a log directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetaProperties {
    /// The cluster's id. Kafka makes 22 characters, but takes any text.
    pub cluster_id: String,
    /// The node's id.
    pub node_id: i32,
    /// The directory's own id; `None` in a directory of a Kafka that had none.
    pub directory_id: Option<Uuid>,
}

/// The bytes of the file.
pub fn encode_meta_properties(properties: &MetaProperties) -> Vec<u8> {
    let mut out = String::from("#\nversion=1\n");
    out.push_str(&format!("cluster.id={}\n", escape(&properties.cluster_id)));
    out.push_str(&format!("node.id={}\n", properties.node_id));
    if let Some(directory_id) = properties.directory_id {
        out.push_str(&format!("directory.id={directory_id}\n"));
    }
    out.into_bytes()
}

/// Reads the file. Keys that it does not know are skipped.
///
/// # Errors
///
/// See [`FileError`]; version 0, which only ZooKeeper clusters have, is refused.
pub fn decode_meta_properties(bytes: &[u8]) -> Result<MetaProperties, FileError> {
    let properties = decode(bytes)?;
    let value = |key: &'static str| {
        properties.get(key).map(|value| value.trim()).ok_or(FileError::Missing { key })
    };
    let version = value("version")?;
    if version != "1" {
        let found = version.chars().take(20).collect();
        return Err(FileError::Version { line: line_of(bytes, "version"), found });
    }
    let bad = |key, what| FileError::Line { line: line_of(bytes, key), what };
    let node_id = value("node.id")?.parse().ok().filter(|id| *id >= 0);
    let directory_id = match properties.get("directory.id") {
        None => None,
        Some(text) => {
            let what = "the directory id is none";
            let id: Uuid = text.trim().parse().map_err(|_| bad("directory.id", what))?;
            Some(id).filter(|id| !id.is_reserved()).ok_or_else(|| bad("directory.id", what))?.into()
        }
    };
    Ok(MetaProperties {
        cluster_id: value("cluster.id")?.to_owned(),
        node_id: node_id.ok_or_else(|| bad("node.id", "the node id is no number"))?,
        directory_id,
    })
}

/// The line on which a key stands, for an error's text.
fn line_of(bytes: &[u8], key: &str) -> usize {
    let text = String::from_utf8_lossy(bytes);
    let place = text.lines().position(|line| line.trim_start().starts_with(key));
    place.map_or(1, |place| place + 1)
}
