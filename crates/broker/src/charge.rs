//! Memory that is not the pool's and still counts in it: decoded requests, decompressed records.
//!
//! It is charged before it is taken. Who finds no room waits in line for a while, then is refused.

use std::cell::Cell;
use std::time::Duration;

use buf::Charge;
use env::sync::race;
use env::{Env, Gate};
use record::{
    Checked, Codec, Compression, DecompressError, Header, Payload, Refusal, Rules, Timestamps,
    validate,
};
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

/// What a charge is for. Who decodes a request holds nothing yet; what a request that was decoded
/// needs beside that comes first, so that it ends and gives back both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    /// The decoded form of a request.
    Decode,
    /// Records that are decompressed or built again.
    Records,
}

/// Those that wait for a charge, in the order in which they came, a line for each [`Need`].
#[derive(Debug, Default)]
pub(crate) struct ChargeLines {
    decode: Line,
    records: Line,
}

#[derive(Debug, Default)]
struct Line {
    gate: Gate,
    waiting: Cell<usize>,
}

/// A place in a line; given up when dropped.
struct Place<'a>(&'a Line);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.waiting.set(self.0.waiting.get() - 1);
    }
}

impl ChargeLines {
    fn line(&self, need: Need) -> &Line {
        match need {
            Need::Decode => &self.decode,
            Need::Records => &self.records,
        }
    }

    /// Whether somebody waits whom a newcomer would overtake.
    fn has_others(&self, need: Need) -> bool {
        let before = self.records.waiting.get();
        0 < before + if need == Need::Decode { self.decode.waiting.get() } else { 0 }
    }

    /// Waits until `try_now` gives something, first for those that came first; `None` after
    /// [`WAIT_MAX`]. `make_room` is called before each further try.
    async fn get<E: Env, T>(
        &self,
        env: &E,
        need: Need,
        mut try_now: impl FnMut() -> Option<T>,
        mut make_room: impl FnMut(),
    ) -> Option<T> {
        if !self.has_others(need)
            && let Some(got) = try_now()
        {
            return Some(got);
        }
        let line = self.line(need);
        line.waiting.set(line.waiting.get() + 1);
        let _place = Place(line);
        let served = async {
            let _turn = line.gate.enter().await;
            loop {
                for _ in 0..2 {
                    let is_first = need == Need::Records || self.records.waiting.get() == 0;
                    if is_first && let Some(got) = try_now() {
                        return Some(got);
                    }
                    make_room();
                }
                env.sleep(PAUSE).await;
            }
        };
        let limit = async {
            env.sleep(WAIT_MAX).await;
            None
        };
        race(served, limit).await
    }
}

impl<E: World> Shard<E> {
    /// Charges `bytes`, before they are taken. What is cached makes room. Nobody is overtaken.
    pub(crate) async fn charge(&self, bytes: usize, need: Need) -> Result<Charge, NoRoom> {
        let pool = self.env().pool();
        let most = most_used(pool);
        if most < bytes {
            return Err(NoRoom);
        }
        let mut waits = None;
        let try_now = || {
            if has_headroom(pool, bytes) { pool.charge(bytes).ok() } else { None }
        };
        let make_room = || {
            waits.get_or_insert_with(|| self.inner.admission.wait_for_memory());
            self.inner.was_short.set(true);
            self.evict((pool.used() + bytes).saturating_sub(most));
            self.inner.admission.make_way(bytes);
            self.committer().memory_wanted();
        };
        let charged = self.inner.charging.get(self.env(), need, try_now, make_room).await;
        charged.ok_or(NoRoom)
    }

    /// [`validate`], with room for what the records become when they are decompressed, a quarter of
    /// the shard's memory at most whatever `rules` allow, and for the batch that is built in place of
    /// the one that was sent. The charge that comes back is for the latter.
    pub(crate) async fn validate_in_budget(
        &self,
        batch: &Bytes,
        rules: &Rules,
    ) -> Result<Result<(Checked, Option<Charge>), Refusal>, NoRoom> {
        let Ok(Ok(codec)) = Header::read(batch).map(|header| header.codec()) else {
            let checked = validate(batch, rules, self.env().wall_ms());
            return Ok(checked.map(|checked| (checked, None)));
        };
        let is_compressed = codec != Codec::None;
        let most = rules.decompressed_bytes_max.min(self.env().pool().limit() / 4);
        let mut room =
            if is_compressed { batch.len().saturating_mul(RATIO_GUESS).min(most) } else { 0 };
        loop {
            let bytes = room + built_bytes(codec, batch.len(), room, rules);
            let charge = match bytes {
                0 => None,
                bytes => Some(self.charge(bytes, Need::Records).await?),
            };
            let decompressed_bytes_max = if is_compressed { room } else { most };
            let checked =
                validate(batch, &Rules { decompressed_bytes_max, ..*rules }, self.env().wall_ms());
            drop(charge);
            match checked {
                Err(Refusal::Decompress(DecompressError::TooLarge { .. })) if room < most => {
                    room = most;
                }
                Err(refusal) => return Ok(Err(refusal)),
                Ok(checked) => {
                    let charge = self.charge_built(&checked).await?;
                    return Ok(Ok((checked, charge)));
                }
            }
        }
    }

    /// Charges the batch that was built, if one was. What was charged for it before has just been
    /// given back, so it waits only for one that nobody expected.
    async fn charge_built(&self, checked: &Checked) -> Result<Option<Charge>, NoRoom> {
        let Payload::Rebuilt(bytes) = &checked.payload else { return Ok(None) };
        match self.env().pool().charge(bytes.capacity()) {
            Ok(charge) => Ok(Some(charge)),
            Err(_) => self.charge(bytes.capacity(), Need::Records).await.map(Some),
        }
    }
}

/// The most that a batch of `len` bytes takes that the topic has built anew, if its records are
/// `decompressed` bytes long; 0 if it is to be kept as it was sent.
fn built_bytes(codec: Codec, len: usize, decompressed: usize, rules: &Rules) -> usize {
    match (rules.compression, rules.timestamps) {
        (Compression::To { codec: target, .. }, _) if target != codec => len.max(decompressed),
        (_, Timestamps::LogAppendTime) => len,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::rc::Rc;

    use env::Group;
    use env::sim::{Sim, SimOptions};

    use super::*;

    /// What each of `wanted` got when, of ten: `(place, need, amount)` ask one after the other, a
    /// millisecond apart, keep it for twenty and ask again, until the first of them has all ten.
    fn served(wanted: Vec<(Need, usize)>) -> Vec<usize> {
        let sim: Sim<()> = Sim::new(1, SimOptions::default());
        let env = sim.env(env::ShardId(0));
        let order = Rc::new(RefCell::new(Vec::new()));
        let told = Rc::clone(&order);
        let run = async move {
            let lines = Rc::new(ChargeLines::default());
            let free = Rc::new(Cell::new(10));
            for (place, (need, amount)) in wanted.into_iter().enumerate() {
                let (lines, free, env, order) =
                    (Rc::clone(&lines), Rc::clone(&free), env.clone(), Rc::clone(&told));
                let timer = env.clone();
                env.clone().spawn(Group::Produce, async move {
                    for _ in 0..20 {
                        let take = || (amount <= free.get()).then(|| free.set(free.get() - amount));
                        if lines.get(&env, need, take, || ()).await.is_none() {
                            return;
                        }
                        order.borrow_mut().push(place);
                        env.sleep(Duration::from_millis(20)).await;
                        free.set(free.get() + amount);
                    }
                });
                timer.sleep(Duration::from_millis(1)).await;
            }
            env.sleep(Duration::from_secs(20)).await;
        };
        sim.run(run).done();
        Rc::try_unwrap(order).expect("all are done").into_inner()
    }

    #[test]
    fn who_needs_much_is_not_overtaken_by_those_who_need_little() {
        let few = |need| vec![(need, 4), (need, 4), (need, 10), (need, 4), (need, 4)];
        for need in [Need::Decode, Need::Records] {
            let order = served(few(need));
            assert_eq!(order[..3], [0, 1, 2], "{order:?}");
            let most = order.split(|place| *place == 2).map(<[usize]>::len).take(20).max();
            assert!(most <= Some(4), "each of the four once between two turns: {order:?}");
        }
    }

    #[test]
    fn who_can_end_and_give_back_comes_before_who_would_begin() {
        let wanted = vec![(Need::Decode, 10), (Need::Decode, 2), (Need::Records, 10)];
        assert_eq!(served(wanted)[..2], [0, 2]);
    }
}
