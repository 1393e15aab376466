//! `partition.metadata`: which topic a log belongs to.
//!
//! ```text
//! version: 0
//! topic_id: 22 characters
//! ```

use record::TopicId;

use super::{FileError, text};

/// The bytes of the file. Kafka ends it without a newline.
pub fn encode_partition_metadata(topic: TopicId) -> Vec<u8> {
    format!("version: 0\ntopic_id: {topic}").into_bytes()
}

/// Reads the file.
///
/// # Errors
///
/// See [`FileError`]; the zero id is no topic.
pub fn decode_partition_metadata(bytes: &[u8]) -> Result<TopicId, FileError> {
    let mut lines = (1..).zip(text(bytes)?.lines());
    let mut value = |line: usize, key: &'static str| {
        let (line, text) = lines.next().ok_or(FileError::Ends { line })?;
        let (found, value) =
            text.split_once(':').ok_or(FileError::Line { line, what: "not a name and a value" })?;
        if found.trim() != key {
            return Err(FileError::Missing { key });
        }
        Ok((line, value.trim()))
    };
    let (line, version) = value(1, "version")?;
    if version != "0" {
        return Err(FileError::Version { line, found: version.chars().take(20).collect() });
    }
    let (line, id) = value(2, "topic_id")?;
    let what = "the topic id is none";
    let id: TopicId = id.parse().map_err(|_| FileError::Line { line, what })?;
    if id == TopicId::ZERO { Err(FileError::Line { line, what }) } else { Ok(id) }
}
