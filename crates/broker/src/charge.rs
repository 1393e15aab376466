//! Memory that is not the pool's and still counts in it: decoded requests, decompressed records.
//!
//! It is charged before it is taken. Who finds no room waits in line for a while, then is refused.

use std::time::Duration;

use buf::Charge;
use env::sync::race;
use record::{Checked, Codec, DecompressError, Header, Refusal, Rules, validate};
use wire::messages::Bytes;

use crate::append::{has_headroom, most_used};
use crate::shard::{Shard, World};

/// How long somebody waits for a charge before he is refused.
const WAIT_MAX: Duration = Duration::from_secs(10);
/// Between two looks for room.
const PAUSE: Duration = Duration::from_millis(2);
/// What records become when they are decompressed is guessed at so many times their length; seldom
/// is it more, and then all that is allowed is charged.
const RATIO_GUESS: usize = 64;

/// There was no room within the time: try again later.
#[derive(Debug)]
pub(crate) struct NoRoom;

impl<E: World> Shard<E> {
    /// Charges `bytes`, before they are taken. What is cached makes room.
    pub(crate) async fn charge(&self, bytes: usize) -> Result<Charge, NoRoom> {
        let pool = self.env().pool();
        // Those that wait are overtaken by whoever fits: a small one is gone soon.
        if has_headroom(pool, bytes)
            && let Ok(charge) = pool.charge(bytes)
        {
            return Ok(charge);
        }
        let deadline = self.env().now().plus(WAIT_MAX);
        let enter = async { Some(self.inner.charging.enter().await) };
        let limit = async {
            self.env().sleep(WAIT_MAX).await;
            None
        };
        let _turn = race(enter, limit).await.ok_or(NoRoom)?;
        loop {
            let most = most_used(pool);
            self.evict((pool.used() + bytes).saturating_sub(most));
            if has_headroom(pool, bytes)
                && let Ok(charge) = pool.charge(bytes)
            {
                return Ok(charge);
            }
            let now = self.env().now();
            if most < bytes || deadline <= now {
                return Err(NoRoom);
            }
            self.inner.admission.make_way(bytes, now);
            self.committer().memory_wanted();
            self.env().sleep(PAUSE).await;
        }
    }

    /// [`validate`], with room for what the records become when they are decompressed: a quarter of
    /// the shard's memory at most, whatever `rules` allow.
    pub(crate) async fn validate_in_budget(
        &self,
        batch: &Bytes,
        rules: &Rules,
    ) -> Result<Result<Checked, Refusal>, NoRoom> {
        let codec = Header::read(batch).map(|header| header.codec());
        if !matches!(codec, Ok(Ok(Codec::Gzip | Codec::Snappy | Codec::Lz4 | Codec::Zstd))) {
            return Ok(validate(batch, rules, self.env().wall_ms()));
        }
        let most = rules.decompressed_bytes_max.min(self.env().pool().limit() / 4);
        let mut room = batch.len().saturating_mul(RATIO_GUESS).min(most);
        loop {
            let charge = self.charge(room).await?;
            let rules = Rules { decompressed_bytes_max: room, ..*rules };
            let checked = validate(batch, &rules, self.env().wall_ms());
            drop(charge);
            match checked {
                Err(Refusal::Decompress(DecompressError::TooLarge { .. })) if room < most => {
                    room = most;
                }
                checked => return Ok(checked),
            }
        }
    }
}
