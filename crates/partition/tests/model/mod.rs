//! What a partition with transactions must say: a list of batches, and everything recomputed from it.

use record::{Builder, Codec, EndTransaction, Header, Offset, Records, payload};
use segment::AbortedTransaction;

/// A record that a reader sees: its offset and its producer.
pub(crate) type Visible = (Offset, i64);

/// An aborted transaction: its producer and its marker.
type Named = (i64, Offset);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Data { transactional: bool },
    End { commit: bool },
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    base: Offset,
    next: Offset,
    producer: usize,
    epoch: i16,
    kind: Kind,
}

/// A transaction as the model's batches show it.
#[derive(Clone, Copy, Debug)]
struct Transaction {
    producer: usize,
    first: Offset,
    /// The marker, and whether it commits.
    end: Option<(Offset, bool)>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Model {
    entries: Vec<Entry>,
    pub(crate) start: Offset,
    /// Below it everything was acknowledged.
    pub(crate) committed: Offset,
    /// Derived files were removed or spoiled.
    pub(crate) damaged: bool,
}

impl Model {
    pub(crate) fn end(&self) -> Offset {
        self.entries.last().map_or(self.start, |entry| entry.next)
    }

    fn of(&self, producer: usize) -> impl DoubleEndedIterator<Item = &Entry> {
        self.entries.iter().filter(move |entry| entry.producer == producer)
    }

    pub(crate) fn is_known(&self, producer: usize) -> bool {
        self.of(producer).next().is_some()
    }

    pub(crate) fn had_marker(&self, producer: usize) -> bool {
        self.of(producer).any(|entry| matches!(entry.kind, Kind::End { .. }))
    }

    pub(crate) fn epoch(&self, producer: usize) -> i16 {
        self.of(producer).next_back().map_or(1, |entry| entry.epoch)
    }

    /// The sequence that comes next: offsets of data are counted since the epoch began.
    fn sequence(&self, producer: usize) -> i32 {
        let epoch = self.epoch(producer);
        let data = self
            .of(producer)
            .filter(|entry| entry.epoch == epoch && matches!(entry.kind, Kind::Data { .. }));
        data.map(|entry| i32::try_from(entry.next.raw() - entry.base.raw()).unwrap()).sum()
    }

    pub(crate) fn is_open(&self, producer: usize) -> bool {
        self.transactions().iter().any(|one| one.producer == producer && one.end.is_none())
    }

    pub(crate) fn batch(
        &self,
        producer: usize,
        transactional: bool,
        records: usize,
        len: usize,
    ) -> Vec<u8> {
        let mut builder = Builder::new(Codec::None);
        let id = i64::try_from(producer).unwrap();
        builder.producer(id, self.epoch(producer), self.sequence(producer));
        if transactional {
            builder.transactional();
        }
        for _ in 0..records {
            builder.record(1, None, Some(&vec![7; len]), &[]);
        }
        builder.build()
    }

    fn push(&mut self, producer: usize, epoch: i16, offsets: usize, kind: Kind) {
        let base = self.end();
        let next = base.plus(i64::try_from(offsets).unwrap());
        self.entries.push(Entry { base, next, producer, epoch, kind });
    }

    pub(crate) fn appended(
        &mut self,
        producer: usize,
        transactional: bool,
        records: usize,
        _: usize,
    ) {
        self.push(producer, self.epoch(producer), records, Kind::Data { transactional });
    }

    pub(crate) fn ended(&mut self, producer: usize, epoch: i16, commit: bool) {
        self.push(producer, epoch, 1, Kind::End { commit });
    }

    /// Whether a transaction that is undecided at `offset` began below the log start.
    pub(crate) fn is_undecided_from_below(&self, offset: Offset) -> bool {
        let undecided = |one: &Transaction| one.end.is_none_or(|(marker, _)| offset <= marker);
        self.transactions().iter().any(|one| one.first < self.start && undecided(one))
    }

    /// Where the batch that holds `offset` begins.
    pub(crate) fn batch_of(&self, offset: Offset) -> Offset {
        let holds = |entry: &&Entry| entry.base <= offset && offset < entry.next;
        self.entries.iter().find(holds).map_or(offset, |entry| entry.base)
    }

    pub(crate) fn cut(&mut self, end: Offset) {
        self.entries.retain(|entry| entry.next <= end);
        assert_eq!(self.end(), end, "a log is cut between batches");
    }

    /// All transactions, by their first offset.
    fn transactions(&self) -> Vec<Transaction> {
        let mut all: Vec<Transaction> = Vec::new();
        for entry in &self.entries {
            let mine = |one: &&mut Transaction| one.producer == entry.producer && one.end.is_none();
            let open = all.iter_mut().find(mine);
            match (entry.kind, open) {
                (Kind::Data { transactional: true }, None) => {
                    all.push(Transaction { producer: entry.producer, first: entry.base, end: None })
                }
                (Kind::End { commit }, Some(open)) => open.end = Some((entry.base, commit)),
                _ => {}
            }
        }
        all
    }

    /// The last stable offset; the second one is that which may be told if only records at or above
    /// the log start are known.
    pub(crate) fn last_stable(&self, high_watermark: Offset) -> (Offset, Offset) {
        let undecided =
            |one: &&Transaction| one.end.is_none_or(|(marker, _)| high_watermark <= marker);
        let transactions = self.transactions();
        let bound = |first: Offset| first.min(high_watermark).max(self.start);
        let least = transactions.iter().find(undecided).map_or(high_watermark, |one| one.first);
        let left = |one: &Transaction| {
            let of = |entry: &&Entry| {
                entry.producer == one.producer
                    && matches!(entry.kind, Kind::Data { .. })
                    && one.first <= entry.base
                    && one.end.is_none_or(|(marker, _)| entry.base < marker)
                    && self.start < entry.next
            };
            self.entries.iter().find(of).map(|entry| entry.base)
        };
        let most = transactions.iter().filter(undecided).filter_map(left).min();
        (bound(least), bound(most.unwrap_or(high_watermark)))
    }

    fn aborted_ones(&self) -> Vec<(i64, Offset, Offset)> {
        let aborted = |one: &Transaction| match one.end {
            Some((marker, false)) => Some((i64::try_from(one.producer).ok()?, one.first, marker)),
            _ => None,
        };
        let mut all: Vec<_> = self.transactions().iter().filter_map(aborted).collect();
        all.sort_by_key(|(_, _, marker)| *marker);
        all
    }

    /// Producer and marker of the aborted transactions that overlap a range, and of those that have
    /// records in it: of the others nothing may be left.
    pub(crate) fn aborted(&self, from: Offset, until: Offset) -> (Vec<Named>, Vec<Named>) {
        let overlaps = |one: &&(i64, Offset, Offset)| one.1 < until && from <= one.2;
        let has_records = |one: &&(i64, Offset, Offset)| {
            let first = one.1.max(from);
            self.entries.iter().any(|entry| {
                i64::try_from(entry.producer) == Ok(one.0)
                    && matches!(entry.kind, Kind::Data { .. })
                    && first < entry.next
                    && entry.base < until.min(one.2)
            })
        };
        let all = self.aborted_ones();
        let overlapping: Vec<_> = all.iter().filter(overlaps).collect();
        let needed = overlapping.iter().copied().filter(|one| has_records(one));
        let needed = needed.map(|one| (one.0, one.2)).collect();
        (overlapping.into_iter().map(|one| (one.0, one.2)).collect(), needed)
    }

    /// Producer, marker and last stable offset of the entries of a segment's index.
    pub(crate) fn index_of(&self, base: Offset, next: Offset) -> Vec<(i64, Offset, Offset)> {
        let transactions = self.transactions();
        let stable = |marker: Offset| {
            let open = |one: &&Transaction| {
                one.first < marker && one.end.is_none_or(|(end, _)| marker < end)
            };
            transactions.iter().find(open).map_or(marker.plus(1), |one| one.first)
        };
        let all = self.aborted_ones().into_iter();
        all.filter(|(_, _, marker)| base <= *marker && *marker < next)
            .map(|(producer, _, marker)| (producer, marker, stable(marker)))
            .collect()
    }

    /// What a reader sees below `until`.
    pub(crate) fn visible(&self, until: Offset, committed: bool) -> Vec<Visible> {
        let aborted = self.aborted_ones();
        let gone = |entry: &Entry| {
            let id = i64::try_from(entry.producer).unwrap();
            let of = |one: &&(i64, Offset, Offset)| {
                one.0 == id && one.1 <= entry.base && entry.base < one.2
            };
            committed && aborted.iter().any(|one| of(&one))
        };
        let mut seen = Vec::new();
        for entry in self.entries.iter().filter(|entry| entry.next <= until) {
            if matches!(entry.kind, Kind::Data { .. }) && !gone(entry) {
                let offsets = entry.base.raw()..entry.next.raw();
                let offsets = offsets.filter_map(Offset::new).filter(|at| self.start <= *at);
                seen.extend(offsets.map(|at| (at, i64::try_from(entry.producer).unwrap())));
            }
        }
        seen
    }
}

/// Reads a fetch as a consumer does: passes over markers and, with a list of aborted transactions, over
/// the batches of a producer from the first offset of an aborted one to its marker.
pub(crate) fn read_committed(
    bytes: &[u8],
    from: Offset,
    aborted: Option<&[AbortedTransaction]>,
    seen: &mut Vec<Visible>,
) {
    let mut begins: Vec<_> = aborted.unwrap_or_default().to_vec();
    begins.sort_by_key(|one| one.first_offset);
    let mut begins = begins.into_iter().peekable();
    let mut aborting = std::collections::BTreeSet::new();
    for batch in record::Batches::new(bytes) {
        let (header, batch): (Header, &[u8]) = batch.expect("whole batches");
        while let Some(one) = begins.next_if(|one| one.first_offset <= header.last_offset()) {
            aborting.insert(one.producer_id);
        }
        if header.is_control() {
            if let Ok(Some(EndTransaction { commit: false, .. })) = EndTransaction::read(batch) {
                aborting.remove(&header.producer_id);
            }
            continue;
        }
        if header.is_transactional() && aborting.contains(&header.producer_id) {
            continue;
        }
        let records = payload(batch, 1 << 20).expect("not compressed");
        for record in Records::new(&header, &records) {
            let offset = record.expect("a record").offset;
            if from <= offset {
                seen.push((offset, header.producer_id));
            }
        }
    }
}
