//! What a reader of committed records sees: everything below the last stable offset, and which of it
//! was aborted.

use std::cell::RefCell;

use buf::Sealed;
use env::{Env, Group, IoFailure};
use record::layout::HEADER_LEN;
use record::{Header, Offset};
use segment::{AbortedError, AbortedIndex, AbortedTransaction, Read, ReadError};

use crate::Partition;
use crate::beside;
use crate::partition::{FetchError, Isolation, ReadBudget, Trouble};
use crate::producers::Producers;

/// Whole batches below the last stable offset.
#[derive(Clone, Debug, Default)]
pub struct CommittedRead {
    /// The batches, aborted ones and markers among them.
    pub read: Read,
    /// The aborted transactions that have records among them, in the order of their markers.
    pub aborted: Vec<AbortedTransaction>,
}

impl<E: Env> Partition<E> {
    /// [`fetch`](Partition::fetch) with [`Isolation::Committed`], and what of the batches was
    /// aborted.
    pub async fn fetch_committed(
        &self,
        from: Offset,
        budget: ReadBudget,
        group: Group,
    ) -> Result<CommittedRead, FetchError> {
        let read = self.fetch(from, Isolation::Committed, budget, group).await?;
        let Some(until) = read.next.filter(|_| has_transactional(&read.parts)) else {
            return Ok(CommittedRead { read, aborted: Vec::new() });
        };
        let aborted = self.aborted(from, until, group).await?;
        // The segment of a marker may have been dropped meanwhile: then its records were, too.
        if from < self.bounds().log_start {
            return Err(FetchError::OutOfRange);
        }
        Ok(CommittedRead { read, aborted })
    }

    /// The aborted transactions that have records in `[from, until)`, in the order of their markers.
    /// `until` is at most the last stable offset: above it nothing is decided. They are as many as
    /// batches in the range and transactions that were open where it begins.
    pub async fn aborted(
        &self,
        from: Offset,
        until: Offset,
        group: Group,
    ) -> Result<Vec<AbortedTransaction>, ReadError> {
        let mut found = Vec::new();
        self.each_aborted(from, until, group, |entry| match entry {
            Some(entry) => found.push(*entry),
            None => found.clear(),
        })
        .await?;
        Ok(found)
    }

    /// Makes sure that the indexes of aborted transactions of `[from, until)` are there: those that
    /// are missing or wrong are found out anew from the batches. Then
    /// [`Log::each_aborted`](segment::Log::each_aborted) of the range finds them.
    pub async fn restore_aborted(
        &self,
        from: Offset,
        until: Offset,
        group: Group,
    ) -> Result<(), ReadError> {
        self.each_aborted(from, until, group, |_| {}).await
    }

    /// Shows `each` the aborted transactions of a range; `None` when it begins again.
    async fn each_aborted(
        &self,
        from: Offset,
        until: Offset,
        group: Group,
        mut each: impl FnMut(Option<&AbortedTransaction>),
    ) -> Result<(), ReadError> {
        loop {
            let log = &self.inner.log;
            let shown = log.each_aborted(from, until, group, |entry| each(Some(entry))).await;
            match shown {
                Ok(()) => return Ok(()),
                Err(AbortedError::Read(error)) => return Err(error),
                Err(AbortedError::Lost { segment, below }) => {
                    if until <= segment && self.none_open_below(segment, until).await? {
                        return Ok(());
                    }
                    self.find_out_aborted(segment, below, group).await?;
                    each(None);
                }
            }
        }
    }

    /// Whether the snapshot where `segment` begins says that no transaction is open there that has
    /// records below `until`: then neither that segment nor a later one has their markers.
    async fn none_open_below(&self, segment: Offset, until: Offset) -> Result<bool, ReadError> {
        let at = beside::read_snapshot(&self.inner.env, &self.inner.dir, segment).await?;
        Ok(at.is_some_and(|(at, producers)| {
            let first = producers.transactions().first_open();
            at == segment && first.is_none_or(|(first, _)| until <= first)
        }))
    }

    /// Finds out what keeps entries of aborted transactions from their files: Kafka takes a missing
    /// index for an empty one.
    pub(crate) async fn complete_aborted(&self, group: Group) -> Result<(), Trouble> {
        for (segment, below) in self.inner.log.unfiled_aborted() {
            match self.find_out_aborted(segment, below, group).await {
                Ok(()) => {}
                Err(ReadError::Io(failure)) => return Err(Trouble::Full(failure)),
                Err(ReadError::OverBudget(_)) => {
                    let kind = std::io::ErrorKind::OutOfMemory;
                    return Err(Trouble::Full(IoFailure::of_kind("read", &self.inner.dir, kind)));
                }
                // What is damaged says nothing, now or later.
                Err(ReadError::Corrupt(_) | ReadError::OutOfRange { .. }) => {}
            }
        }
        Ok(())
    }

    /// Finds out from the batches which aborted transactions have markers in `segment` below `below`.
    async fn find_out_aborted(
        &self,
        segment: Offset,
        below: Offset,
        group: Group,
    ) -> Result<(), ReadError> {
        let log = &self.inner.log;
        let snapshot = beside::read_snapshot(&self.inner.env, &self.inner.dir, segment).await?;
        let first = log.segments().first().map_or(segment, |first| first.base);
        let (from, producers) = match snapshot {
            Some((at, producers)) => (at.max(first), producers),
            None => (first, Producers::default()),
        };
        let told = RefCell::new((producers, AbortedIndex::new()));
        let mut from = from;
        loop {
            let scanned = log.scan_below(from, below, group, |seen| {
                let (producers, entries) = &mut *told.borrow_mut();
                let aborted = producers.saw(&seen.header, seen.header.base_offset, seen.ends);
                if let Some(entry) = aborted.filter(|entry| segment <= entry.last_offset) {
                    entries.push(entry);
                }
            });
            match scanned.await {
                Ok(()) => break,
                // What damaged batches would have said stays unknown.
                Err(ReadError::Corrupt(corrupt)) => {
                    let behind = self.behind(&corrupt).filter(|behind| from < *behind);
                    from = behind.ok_or(ReadError::Corrupt(corrupt))?;
                    if below <= from {
                        break;
                    }
                }
                Err(error) => return Err(error),
            }
        }
        log.restore_aborted(segment, below, &told.borrow().1);
        Ok(())
    }
}

/// Whether one of the batches in `parts` is part of a transaction.
fn has_transactional(parts: &[Sealed]) -> bool {
    let total: usize = parts.iter().map(|part| part.len()).sum();
    let mut at = 0;
    while at + HEADER_LEN <= total {
        let mut head = [0; HEADER_LEN];
        copy(parts, at, &mut head);
        let Ok(header) = Header::read(&head) else { return true };
        if header.is_transactional() {
            return true;
        }
        at += header.len;
    }
    false
}

/// Fills `into` with the bytes from `at` on of `parts`, one behind the other.
fn copy(parts: &[Sealed], mut at: usize, into: &mut [u8]) {
    let mut filled = 0;
    for part in parts {
        if part.len() <= at {
            at -= part.len();
            continue;
        }
        let here = (part.len() - at).min(into.len() - filled);
        into[filled..filled + here].copy_from_slice(&part[at..at + here]);
        (filled, at) = (filled + here, 0);
        if filled == into.len() {
            return;
        }
    }
}
