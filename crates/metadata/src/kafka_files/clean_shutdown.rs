//! `.kafka_cleanshutdown`: `{"version":0,"brokerEpoch":N}`.

use super::{FileError, text};

/// What the marker of a clean stop says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CleanShutdown {
    /// Epoch of the broker that stopped; `None` in a marker of an old Kafka, which is empty.
    pub broker_epoch: Option<i64>,
}

/// The bytes of the marker.
pub fn encode_clean_shutdown(marker: CleanShutdown) -> Vec<u8> {
    let epoch = marker.broker_epoch.unwrap_or(-1);
    format!("{{\"version\":0,\"brokerEpoch\":{epoch}}}").into_bytes()
}

/// Reads the marker. It is there, so the stop was clean, whatever it holds; an epoch is told only
/// when it is one.
///
/// # Errors
///
/// `TooLarge` and `NotText`.
pub fn decode_clean_shutdown(bytes: &[u8]) -> Result<CleanShutdown, FileError> {
    let text: String = text(bytes)?.chars().filter(|c| !c.is_whitespace()).collect();
    let number = |key: &str| {
        let (_, rest) = text.split_once(key)?;
        let end = rest.find([',', '}'])?;
        rest[..end].parse::<i64>().ok()
    };
    let broker_epoch = match number("\"version\":") {
        Some(0) => number("\"brokerEpoch\":").filter(|epoch| *epoch >= 0),
        _ => None,
    };
    Ok(CleanShutdown { broker_epoch })
}
