//! One group of segments: read batch by batch, written into one file or more, put into place.

use std::ops::Range;

use env::Env;
use index::AbortedIndex;
use record::Offset;
use segment::{Replacement, SegmentFile, part_path};

use crate::PassError;
use crate::keys_out::KeysOut;
use crate::marks::Marks;
use crate::output::Output;
use crate::pass::Pass;
use crate::rewrite::{Candidate, Refused, apply};
use crate::rules::BatchFate;
use crate::source::Source;
use crate::state::Progress;
use crate::transactions::AbortedHere;

/// Most bytes of the index of aborted transactions that a checkpoint holds.
const CHECKPOINT_ABORTED_MAX: usize = 1 << 20;

/// A group that is being written again.
pub(crate) struct Rewriting<E: Env> {
    group: Range<usize>,
    at: usize,
    source: Source<E>,
    marks: Marks<E>,
    aborted: AbortedHere,
    output: Output<E>,
    /// Its key index, while that can be made of those of the sources.
    keys: Option<KeysOut<E>>,
    finished: Vec<Replacement>,
    checkpoint_len: u64,
}

impl<E: Env> Rewriting<E> {
    /// Begins with the first batch of the group, or where `progress` says.
    pub(crate) async fn begin(
        pass: &mut Pass<E>,
        group: Range<usize>,
        progress: Option<Progress>,
    ) -> Result<Rewriting<E>, PassError> {
        let base = pass.views[group.start].base;
        let interval_bytes = pass.log.options().index_interval_bytes;
        let (at, position) = progress.as_ref().map_or((group.start, 0), |progress| {
            (group.start + progress.source, progress.position)
        });
        let mut source = Source::open(&pass.env, pass.log.dir(), pass.views[at], position).await?;
        let output = match &progress {
            None => Output::create(&pass.env, pass.log.dir(), base, interval_bytes).await?,
            Some(progress) => {
                for number in group.start..at {
                    pass.replay(number, Offset::MAX).await?;
                }
                // The next batch says how far the segment was read.
                let reached = source.next().await?.map_or(Offset::MAX, |(_, h)| h.base_offset);
                pass.replay(at, reached).await?;
                source = Source::open(&pass.env, pass.log.dir(), pass.views[at], position).await?;
                resume_output(pass, base, progress).await?
            }
        };
        let marks = Marks::new(&pass.env, at, &pass.key_index(at).await?);
        let aborted = pass.aborted_in(at).await?;
        let checkpoint_len = output.len();
        let (finished, resumed) = (Vec::new(), progress.is_some());
        let keys = if resumed {
            None
        } else {
            Some(KeysOut::create(&pass.spills, pass.log.dir(), base).await?)
        };
        Ok(Rewriting { group, at, source, marks, aborted, output, keys, finished, checkpoint_len })
    }

    /// Handles some batches; says whether the group is over.
    pub(crate) async fn piece(&mut self, pass: &mut Pass<E>) -> Result<bool, PassError> {
        let begin = self.source.position();
        loop {
            let Some((position, header)) = self.source.next().await? else {
                pass.report.read_bytes += self.source.read_bytes;
                if self.at + 1 == self.group.end {
                    return Ok(true);
                }
                self.at += 1;
                let view = pass.views[self.at];
                self.source = Source::open(&pass.env, pass.log.dir(), view, 0).await?;
                self.marks = Marks::new(&pass.env, self.at, &pass.key_index(self.at).await?);
                self.aborted = pass.aborted_in(self.at).await?;
                return Ok(false);
            };
            let losers = pass.losers.as_mut().expect("the merge is done");
            self.marks.advance(&header, &mut losers.sorted).await?;
            self.batch(pass, position, &header).await?;
            pass.env.yield_if_needed().await;
            if pass.settings.piece_bytes <= self.source.position() - begin {
                self.checkpoint(pass).await?;
                return Ok(false);
            }
        }
    }

    async fn batch(
        &mut self,
        pass: &mut Pass<E>,
        position: u64,
        header: &record::Header,
    ) -> Result<(), PassError> {
        let (view, control) = (pass.views[self.at], header.is_control());
        let transactional = header.is_transactional();
        let empty_transaction = transactional && control && pass.open.marker(header.producer_id);
        if transactional && !control {
            pass.open.data(header.producer_id);
        }
        let last = pass.inputs.producers.get(&header.producer_id).filter(|_| header.has_producer());
        let last =
            last.is_some_and(|last| last.is(header.last_offset(), header.producer_epoch, control));
        let ends_file = self.at + 1 == self.group.end && self.source.position() == view.len_bytes;
        let candidate = Candidate {
            header: *header,
            bytes: self.source.batch(),
            aborted: self.aborted.of(header).is_some(),
            empty_transaction,
            last_of_producer: last,
            last_of_file: ends_file,
        };
        let (time, compression) = (pass.time, pass.settings.compression);
        let env = pass.env.clone();
        let outcome = apply(&env, &candidate, &self.marks, &mut pass.payload, time, compression);
        let outcome = match outcome {
            Ok(outcome) => outcome,
            Err(Refused::Damaged(what)) => {
                return Err(self.source.corrupt(position, header.base_offset, what));
            }
            Err(Refused::Pass(error)) => return Err(error),
        };
        let report = &mut pass.report;
        report.before_bytes += header.len as u64;
        report.dropped_records += outcome.dropped;
        report.horizon(outcome.horizon_ms);
        match outcome.fate {
            BatchFate::Copy => report.copied_batches += 1,
            BatchFate::Rewrite => report.rewritten_batches += 1,
            BatchFate::Header | BatchFate::Drop => report.dropped_batches += 1,
        }
        if outcome.expired {
            self.keys = None;
        }
        let Some(bytes) = outcome.bytes else { return Ok(()) };
        report.after_bytes += bytes.len() as u64;
        let written = record::Header::read(&bytes).expect("it is a batch");
        let segment_bytes = pass.log.options().segment_bytes;
        if !self.output.takes(&written, bytes.len(), segment_bytes) {
            let interval_bytes = pass.log.options().index_interval_bytes;
            let base = header.base_offset;
            let next = Output::create(&env, pass.log.dir(), base, interval_bytes).await?;
            let full = std::mem::replace(&mut self.output, next);
            self.finished.push(full.finish().await?);
            self.keys = None;
        }
        let position = self.output.len();
        self.output.append(&written, &bytes).await?;
        if let Some(keys) = &mut self.keys {
            // A batch that is emptied keeps none of them.
            let tombstones = self.marks.tombstones.iter().filter(|_| 0 < written.records);
            let tombstones = tombstones.map(|delta| view.base.plus(i64::from(delta)));
            keys.batch(&written, position, tombstones).await?;
        }
        if control
            && !empty_transaction
            && let Some(entry) = self.aborted.ended_by(header)
        {
            self.output.aborted(entry);
        }
        Ok(())
    }

    /// Makes what was written durable, with where it came from, now and then. A group that fills
    /// more than one file has no checkpoint behind the first.
    async fn checkpoint(&mut self, pass: &mut Pass<E>) -> Result<(), PassError> {
        let due = self.checkpoint_len + pass.settings.checkpoint_bytes <= self.output.len();
        let aborted = self.output.aborted.encode();
        if !due || !self.finished.is_empty() || CHECKPOINT_ABORTED_MAX < aborted.len() {
            return Ok(());
        }
        self.output.flush().await?;
        self.checkpoint_len = self.output.len();
        let sources = pass.views[self.group.clone()].iter();
        let progress = Progress {
            now_ms: pass.time.now_ms,
            until: pass.report.cleaned_to,
            sources: sources.map(|view| (view.base, view.len_bytes)).collect(),
            source: self.at - self.group.start,
            position: self.source.position(),
            len: self.checkpoint_len,
            aborted,
        };
        pass.state.progress = Some(progress);
        pass.state.write(&pass.env, pass.log.dir()).await
    }

    /// Puts what was written into the place of the group.
    pub(crate) async fn swap(self, pass: &mut Pass<E>) -> Result<(), PassError> {
        let Rewriting { group, output, mut finished, source, keys, .. } = self;
        drop(source);
        let mut last = output.finish().await?;
        if let Some(keys) = keys {
            let mut sources = Vec::new();
            for number in group.clone() {
                sources.push((number, pass.key_index(number).await?));
            }
            let losers = pass.losers.as_mut().expect("the merge is done");
            keys.finish(sources, &mut losers.numbers).await?;
            last.has_keys = true;
        }
        finished.push(last);
        pass.state.progress = None;
        let sources: Vec<Offset> = pass.views[group.clone()].iter().map(|view| view.base).collect();
        pass.report.rewritten += sources.len() as u64;
        pass.report.written += finished.len() as u64;
        let replaced = pass.log.replace(&pass.structure, sources, finished, env::Group::Compaction);
        replaced.await?;
        Ok(())
    }
}

/// The part that a checkpoint speaks of, its index entries built from its batches.
async fn resume_output<E: Env>(
    pass: &Pass<E>,
    base: Offset,
    progress: &Progress,
) -> Result<Output<E>, PassError> {
    let interval_bytes = pass.log.options().index_interval_bytes;
    let (env, dir) = (&pass.env, pass.log.dir());
    let mut output = Output::resume(env, dir, base, interval_bytes, progress.len).await?;
    let path = part_path(dir, base, SegmentFile::Log);
    let mut part = Source::open_part(env, path, base, progress.len).await?;
    while let Some((position, header)) = part.next().await? {
        output.recount(&header, position);
    }
    output.aborted = AbortedIndex::decode(&progress.aborted).map_err(|_| PassError::OwnFile)?;
    Ok(output)
}
