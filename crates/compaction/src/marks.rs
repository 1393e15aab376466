//! Which records of a batch are dead and which are tombstones: two sorted streams, read along with
//! the batches.

use buf::Charge;
use env::Env;
use index::keys::{BlockReader, KeyIndex, Note};
use record::{Header, Offset};

use crate::PassError;
use crate::merge::LOSER_LEN;
use crate::spill::Sorted;

/// Deltas of records, ascending. Memory beyond a few is counted.
#[derive(Debug, Default)]
pub(crate) struct Deltas {
    deltas: Vec<u32>,
    charge: Option<Charge>,
}

impl Deltas {
    /// Entries that are held without being counted.
    const FREE: usize = 1 << 12;

    fn push<E: Env>(&mut self, env: &E, delta: u32) -> Result<(), PassError> {
        if self.deltas.len() == self.deltas.capacity() {
            let wanted = (self.deltas.capacity() * 2).max(64);
            if Deltas::FREE < wanted {
                let charge = env.pool().charge(wanted * size_of::<u32>())?;
                self.deltas.reserve_exact(wanted - self.deltas.len());
                self.charge = Some(charge);
            }
        }
        self.deltas.push(delta);
        Ok(())
    }

    fn clear(&mut self) {
        if Deltas::FREE < self.deltas.capacity() {
            *self = Deltas::default();
        }
        self.deltas.clear();
    }

    pub(crate) fn len(&self) -> usize {
        self.deltas.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.deltas.is_empty()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = u32> {
        self.deltas.iter().copied()
    }

    pub(crate) fn holds(&self, delta: u32) -> bool {
        self.deltas.binary_search(&delta).is_ok()
    }
}

/// The marks of one segment, and those of the batch that is looked at.
pub(crate) struct Marks<E: Env> {
    env: E,
    base: Offset,
    number: u32,
    notes: BlockReader<E>,
    note: Option<Note>,
    /// Records that go whatever their batch: superseded, without a key.
    pub(crate) dead: Deltas,
    /// Those of the rest that have no value.
    pub(crate) tombstones: Deltas,
}

impl<E: Env> Marks<E> {
    /// Of the segment with this number in the pass.
    pub(crate) fn new(env: &E, number: usize, index: &KeyIndex<E>) -> Marks<E> {
        Marks {
            env: env.clone(),
            base: index.header().base,
            number: u32::try_from(number).expect("a pass has fewer segments"),
            notes: index.notes(),
            note: None,
            dead: Deltas::default(),
            tombstones: Deltas::default(),
        }
    }

    /// Base offset of the segment, which deltas are relative to.
    pub(crate) fn base(&self) -> Offset {
        self.base
    }

    /// Goes on to the batch of `header`.
    pub(crate) async fn advance(
        &mut self,
        header: &Header,
        losers: &mut Sorted<E, LOSER_LEN>,
    ) -> Result<(), PassError> {
        self.dead.clear();
        self.tombstones.clear();
        let delta = |offset: Offset| u32::try_from(offset.since(self.base)).unwrap_or(u32::MAX);
        let (first, last) = (delta(header.base_offset), delta(header.last_offset()));
        // Both streams ascend; a tombstone that is superseded is in both.
        loop {
            let loser = losers.peek().await?.map(|bytes| {
                let (number, rest) = bytes.split_first_chunk::<4>().expect("four of eight");
                let delta = u32::from_be_bytes(rest.try_into().expect("four are left"));
                (u32::from_be_bytes(*number), delta)
            });
            let loser = match loser {
                Some(loser) if loser < (self.number, first) => {
                    losers.next().await?;
                    continue;
                }
                loser => loser.filter(|loser| *loser <= (self.number, last)),
            };
            if self.note.is_none() {
                self.note = self.notes.next().await?.map(Note::decode);
            }
            if self.note.is_some_and(|note| note.delta < first) {
                self.note = None;
                continue;
            }
            let note = self.note.filter(|note| note.delta <= last);
            match (loser, note) {
                (None, None) => return Ok(()),
                (Some((_, at)), note) if note.is_none_or(|note| at <= note.delta) => {
                    self.dead.push(&self.env, at)?;
                    losers.next().await?;
                    if note.is_some_and(|note| note.delta == at) {
                        self.note = None;
                    }
                }
                (_, Some(note)) => {
                    let kind = if note.tombstone { &mut self.tombstones } else { &mut self.dead };
                    kind.push(&self.env, note.delta)?;
                    self.note = None;
                }
                (Some(_), None) => unreachable!("the case before has it"),
            }
        }
    }
}
