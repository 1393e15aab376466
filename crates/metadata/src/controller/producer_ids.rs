//! Handing out producer ids.

use crate::image::Image;
use crate::records::ProducerIdsRecord;

use super::Decision;

/// How many ids one block holds.
pub const PRODUCER_IDS_PER_BLOCK: i64 = 1000;

/// A block of producer ids for one broker. Ids that it does not use are lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProducerIdBlock {
    /// The first id.
    pub first: i64,
    /// How many follow each other from there.
    pub count: i64,
}

/// Why there is no block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProducerIdsWhy {
    /// The broker is not registered at this epoch.
    #[error("broker {broker} is not registered at epoch {epoch}")]
    StaleBroker {
        /// Node id.
        broker: i32,
        /// Its epoch.
        epoch: i64,
    },
    /// All ids were handed out.
    #[error("no producer id is left")]
    Exhausted,
}

/// Decides on a block for a broker. The one outcome is the block, which may be used once the
/// record is durable.
pub fn allocate_producer_ids(
    image: &Image,
    broker: i32,
    epoch: i64,
) -> Decision<Result<ProducerIdBlock, ProducerIdsWhy>> {
    let mut decision = Decision::new();
    let outcome = block(image, broker, epoch);
    if let Ok(block) = outcome {
        let record = ProducerIdsRecord {
            broker_id: broker,
            broker_epoch: epoch,
            next_producer_id: block.first + block.count,
        };
        decision.records.push(record.into());
    }
    decision.outcomes.push(outcome);
    decision
}

fn block(image: &Image, broker: i32, epoch: i64) -> Result<ProducerIdBlock, ProducerIdsWhy> {
    if image.broker(broker).is_none_or(|known| known.epoch != epoch) {
        return Err(ProducerIdsWhy::StaleBroker { broker, epoch });
    }
    let first = image.next_producer_id().unwrap_or(0);
    let count = PRODUCER_IDS_PER_BLOCK;
    first.checked_add(count).ok_or(ProducerIdsWhy::Exhausted)?;
    Ok(ProducerIdBlock { first, count })
}
