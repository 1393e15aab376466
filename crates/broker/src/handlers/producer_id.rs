//! InitProducerId (22) for idempotent producers: ids from blocks of the controller.

use env::Group;
use wire::ErrorCode;
use wire::messages::{InitProducerIdRequestData, InitProducerIdResponseData};

use crate::message::{Call, Reply};
use crate::shard::{Shard, World};

impl<E: World> Shard<E> {
    pub(crate) async fn init_producer_id(
        &self,
        request: InitProducerIdRequestData,
    ) -> InitProducerIdResponseData {
        let failed = |code: ErrorCode| InitProducerIdResponseData {
            error_code: code.code(),
            producer_id: -1,
            producer_epoch: -1,
            ..InitProducerIdResponseData::default()
        };
        match &request.transactional_id {
            Some(id) if id.as_str().is_empty() => return failed(ErrorCode::InvalidRequest),
            // Transactions need a coordinator, and there is none yet.
            Some(_) => return failed(ErrorCode::CoordinatorNotAvailable),
            None => {}
        }
        match self.next_producer_id().await {
            Ok(producer_id) => InitProducerIdResponseData {
                producer_id,
                producer_epoch: 0,
                ..InitProducerIdResponseData::default()
            },
            Err(code) => failed(code),
        }
    }

    /// A producer id that was never given before, also not before a crash: a block is durable
    /// before its first id is used.
    async fn next_producer_id(&self) -> Result<i64, ErrorCode> {
        loop {
            let (next, end) = self.inner.producer_ids.get();
            if next < end {
                self.inner.producer_ids.set((next + 1, end));
                return Ok(next);
            }
            let reply = self.ask(crate::controller::SHARD, Group::Produce, Call::ProducerIds).await;
            let Some(Reply::ProducerIds(block)) = reply else {
                return Err(ErrorCode::CoordinatorNotAvailable);
            };
            let block = block?;
            let (now, now_end) = self.inner.producer_ids.get();
            // Another request may have fetched a block meanwhile; its rest is then not used.
            if now_end <= now {
                self.inner.producer_ids.set(block);
            }
        }
    }
}
