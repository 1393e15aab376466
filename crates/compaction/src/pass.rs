//! A pass over one log: indexes what has no key index, merges, and writes again what changes.
//!
//! A [`Pass::step`] is the key index of one segment, the merge, some batches, or a swap; inside it
//! yields every few tens of microseconds, but for the codec work of one batch. A pass may be dropped
//! at any moment: what it replaced is replaced, and the next one goes on from the last checkpoint.

use std::ops::Range;

use env::{Disk, Env, Group};
use index::keys::{KeyIndex, TransactionEvent, TransactionStep};
use record::Offset;
use segment::{Log, SegmentFile, SegmentView, Structure, is_part, part_path, segment_path};

use crate::PassError;
use crate::build::{self, Payload};
use crate::group::Rewriting;
use crate::merge::{Losers, merge};
use crate::plan::{FileLimits, SegmentFacts, groups};
use crate::report::{Inputs, Report, Settings, Stage, Step};
use crate::rules::{self, Extent, PassTime};
use crate::spill::{FAN_IN, Spills, is_spill};
use crate::state::{Progress, State};
use crate::transactions::{AbortedHere, Open};

/// A pass over one log.
pub struct Pass<E: Env> {
    pub(crate) env: E,
    pub(crate) log: Log<E>,
    pub(crate) settings: Settings,
    pub(crate) inputs: Inputs,
    pub(crate) time: PassTime,
    pub(crate) structure: Structure,
    /// The segments of the pass.
    pub(crate) views: Vec<SegmentView>,
    pub(crate) state: State,
    pub(crate) report: Report,
    pub(crate) payload: Payload,
    pub(crate) open: Open,
    pub(crate) losers: Option<Losers<E>>,
    pub(crate) spills: Spills<E>,
    resume: Option<Progress>,
    /// Bytes of the segments that are written again.
    rewrite_bytes: u64,
    at: At<E>,
}

enum At<E: Env> {
    Index(usize),
    Merge,
    /// The groups that are left, the segment that comes next, the group that is worked on.
    Groups {
        left: std::vec::IntoIter<Range<usize>>,
        next: usize,
        now: Option<Box<Rewriting<E>>>,
    },
    Over,
}

impl<E: Env> Pass<E> {
    /// Begins a pass, or goes on with one that was left. `None` if no segment may be touched.
    /// Nothing else may compact the log meanwhile.
    pub async fn begin(
        log: &Log<E>,
        env: &E,
        settings: Settings,
        inputs: Inputs,
    ) -> Result<Option<Pass<E>>, PassError> {
        let dir = log.dir().to_path_buf();
        let mut state = match State::read(env, &dir).await? {
            Some(state) => state,
            None => {
                let state = State::new(env);
                state.write(env, &dir).await?;
                state
            }
        };
        log.load_timestamps(Group::Compaction).await.map_err(PassError::of_read)?;
        let structure = log.structure();
        let extents = extents(&structure);
        let count = rules::cleanable(
            &extents,
            inputs.stable,
            state.cleaned_to,
            settings.min_compaction_lag_ms,
            inputs.now_ms,
        );
        let mut views = structure.segments[..count].to_vec();
        let resume = resumable(env, &dir, &mut state, &inputs, &views).await?;
        if let Some(progress) = &resume {
            views.retain(|view| view.next <= progress.until);
        }
        remove_leftovers(env, &dir, resume.is_some()).await?;
        let Some(last) = views.last() else { return Ok(None) };
        let now_ms = resume.as_ref().map_or(inputs.now_ms, |progress| progress.now_ms);
        let delete_retention_ms = settings.delete_retention_ms;
        let report = Report {
            cleaned_to: last.next,
            segments: views.len() as u64,
            resumed: resume.is_some(),
            ..Report::default()
        };
        Ok(Some(Pass {
            env: env.clone(),
            log: log.clone(),
            settings,
            inputs,
            time: PassTime { now_ms, delete_retention_ms, from_start: true },
            structure,
            views,
            state,
            report,
            payload: Payload::default(),
            open: Open::default(),
            losers: None,
            resume,
            spills: Spills::new(env, &dir, settings.sort_bytes),
            rewrite_bytes: 0,
            at: At::Index(0),
        }))
    }

    /// Does the next piece. After an error the pass is over; the log is as it was, or a part of it
    /// is compacted.
    pub async fn step(&mut self) -> Result<Step, PassError> {
        let done = self.one_step().await;
        if done == Err(PassError::OwnFile) {
            // Which one it was is not known everywhere; all are built anew.
            for view in &self.views {
                let path = segment_path(self.log.dir(), view.base, SegmentFile::Keys);
                // One that stays is found again.
                let _ = self.env.disk().remove_file(&path).await;
            }
        }
        done
    }

    async fn one_step(&mut self) -> Result<Step, PassError> {
        match &mut self.at {
            At::Index(number) if *number < self.views.len() => {
                let number = *number;
                self.index(number).await?;
                self.at = At::Index(number + 1);
                Ok(Step::Working(Stage::Index { done: number + 1, of: self.views.len() }))
            }
            At::Index(_) => {
                self.at = At::Merge;
                Ok(Step::Working(Stage::Merge))
            }
            At::Merge => {
                let groups = self.merge().await?;
                self.at = At::Groups { left: groups.into_iter(), next: 0, now: None };
                Ok(Step::Working(self.rewriting()))
            }
            At::Groups { .. } => self.group_step().await,
            At::Over => Ok(Step::Done(self.report)),
        }
    }

    /// Does all that is left.
    pub async fn run(&mut self) -> Result<Report, PassError> {
        loop {
            if let Step::Done(report) = self.step().await? {
                return Ok(report);
            }
        }
    }

    /// What was done so far.
    #[must_use]
    pub fn report(&self) -> Report {
        self.report
    }

    pub(crate) async fn key_index(&self, number: usize) -> Result<KeyIndex<E>, PassError> {
        let path = segment_path(self.log.dir(), self.views[number].base, SegmentFile::Keys);
        let index = KeyIndex::open(&self.env, &path, Group::Compaction).await?;
        index.ok_or(PassError::Changed)
    }

    /// Base offsets of the log's segments from this one of the pass on.
    fn bases_from(&self, number: usize) -> Vec<Offset> {
        let later = self.structure.segments.iter().map(|view| view.base);
        let later = later.filter(|base| self.views[number].base <= *base);
        later.chain([self.structure.active]).collect()
    }

    pub(crate) async fn aborted_in(&self, number: usize) -> Result<AbortedHere, PassError> {
        let view = self.views[number];
        let (aborted, bases) = (&self.inputs.aborted, self.bases_from(number));
        let range = (view.base, view.next);
        AbortedHere::find(&self.env, self.log.dir(), aborted, range, &bases).await
    }

    async fn index(&mut self, number: usize) -> Result<(), PassError> {
        let (view, dir) = (self.views[number], self.log.dir().to_path_buf());
        let key = self.state.hash_key;
        if build::existing(&self.env, &dir, view, &key).await?.is_some() {
            return Ok(());
        }
        let aborted = self.aborted_in(number).await?;
        self.report.read_bytes += build::build(&self.spills, &dir, view, &key, &aborted).await?;
        self.report.indexed += 1;
        Ok(())
    }

    /// Finds what is superseded, and plans.
    async fn merge(&mut self) -> Result<Vec<Range<usize>>, PassError> {
        let this = &*self;
        let losers = merge(&self.spills, self.views.len(), async |n| this.key_index(n).await);
        let losers = losers.await?;
        let mut open = Open::default();
        let mut facts = Vec::with_capacity(self.views.len());
        for (number, view) in self.views.iter().enumerate() {
            let index = self.key_index(number).await?;
            let (marker_is_due, horizon_ms) = self.markers(&index, &mut open).await?;
            let header = index.header();
            let horizons = [header.facts.earliest_horizon_ms, horizon_ms];
            facts.push(SegmentFacts {
                view: *view,
                records: header.facts.records,
                latest: header.entries.entries,
                superseded: losers.counts[number],
                undated_batches: header.facts.undated_batches,
                earliest_horizon_ms: horizons.into_iter().flatten().min(),
                marker_is_due,
            });
        }
        let limits =
            FileLimits { segment_bytes: self.log.options().segment_bytes, sources: FAN_IN };
        let mut groups = groups(&facts, limits, self.time);
        if let Some(progress) = &self.resume {
            groups = resumed(groups, progress, &self.views);
        }
        let rewritten = |number: &usize| groups.iter().any(|group| group.contains(number));
        let untouched = (0..facts.len()).filter(|number| !rewritten(number));
        // Of what is written again the horizons are seen then.
        for number in untouched {
            self.report.horizon(facts[number].earliest_horizon_ms);
        }
        let of = groups.iter().flat_map(|group| &facts[group.clone()]);
        self.rewrite_bytes = of.map(|facts| facts.view.len_bytes).sum();
        self.losers = Some(losers);
        Ok(groups)
    }

    /// Walks the transactions of a segment: whether a marker without data is due, and the earliest
    /// horizon of such a marker that is not.
    async fn markers(
        &self,
        index: &KeyIndex<E>,
        open: &mut Open,
    ) -> Result<(bool, Option<i64>), PassError> {
        let mut events = index.events();
        let (mut due, mut earliest_ms) = (false, None::<i64>);
        while let Some(event) = events.next().await?.map(TransactionEvent::decode) {
            match event.step {
                TransactionStep::Data => {
                    open.data(event.producer_id);
                }
                TransactionStep::Marker => {
                    let empty = open.marker(event.producer_id);
                    let passed = self.time.has_passed(event.horizon_ms);
                    due |= empty && (event.horizon_ms.is_none() || passed);
                    if let Some(horizon_ms) = event.horizon_ms.filter(|_| empty && !passed) {
                        let at = earliest_ms.map_or(horizon_ms, |at| at.min(horizon_ms));
                        earliest_ms = Some(at);
                    }
                }
            }
        }
        Ok((due, earliest_ms))
    }

    /// Replays the transactions of a segment up to an offset.
    pub(crate) async fn replay(&mut self, number: usize, until: Offset) -> Result<(), PassError> {
        let index = self.key_index(number).await?;
        let mut events = index.events();
        let base = self.views[number].base;
        while let Some(event) = events.next().await?.map(TransactionEvent::decode) {
            if until <= base.plus(i64::from(event.delta)) {
                break;
            }
            match event.step {
                TransactionStep::Data => drop(self.open.data(event.producer_id)),
                TransactionStep::Marker => drop(self.open.marker(event.producer_id)),
            }
        }
        Ok(())
    }

    fn rewriting(&self) -> Stage {
        Stage::Rewrite { done: self.report.before_bytes, of: self.rewrite_bytes }
    }

    async fn group_step(&mut self) -> Result<Step, PassError> {
        let At::Groups { left, next, now } = &mut self.at else {
            unreachable!("the caller saw it")
        };
        let (from, current) = (*next, now.take());
        let mut current = match current {
            Some(current) => current,
            None => {
                let Some(group) = left.next() else { return self.finish().await };
                *next = group.end;
                for number in from..group.start {
                    self.replay(number, Offset::MAX).await?;
                }
                let progress = self.resume.take();
                Box::new(Rewriting::begin(self, group, progress).await?)
            }
        };
        if !current.piece(self).await? {
            if let At::Groups { now, .. } = &mut self.at {
                *now = Some(current);
            }
        } else {
            current.swap(self).await?;
        }
        Ok(Step::Working(self.rewriting()))
    }

    async fn finish(&mut self) -> Result<Step, PassError> {
        self.state.cleaned_to = self.report.cleaned_to;
        self.state.earliest_horizon_ms = self.report.earliest_horizon_ms;
        self.state.progress = None;
        self.state.write(&self.env, self.log.dir()).await?;
        self.losers = None;
        remove_leftovers(&self.env, self.log.dir(), false).await?;
        self.at = At::Over;
        Ok(Step::Done(self.report))
    }
}

/// The sealed segments for the rules.
pub(crate) fn extents(structure: &Structure) -> Vec<Extent> {
    let extent = |view: &SegmentView| Extent {
        base: view.base,
        next: view.next,
        len_bytes: view.len_bytes,
        largest_timestamp_ms: view.largest_timestamp_ms.unwrap_or(i64::MAX),
    };
    structure.segments.iter().take_while(|view| view.durable).map(extent).collect()
}

/// The checkpoint of an earlier pass, if this one can go on from it. It counts once: if the pass fails
/// again before its next one, everything is done anew.
async fn resumable<E: Env>(
    env: &E,
    dir: &std::path::Path,
    state: &mut State,
    inputs: &Inputs,
    views: &[SegmentView],
) -> Result<Option<Progress>, PassError> {
    let Some(progress) = state.progress.take() else { return Ok(None) };
    state.write(env, dir).await?;
    if inputs.stable < progress.until || !fits(&progress, views) {
        return Ok(None);
    }
    let part = part_path(dir, progress.sources[0].0, SegmentFile::Log);
    let part = env.disk().stat(&part).await?;
    Ok(part.is_some_and(|part| progress.len <= part.len).then_some(progress))
}

/// Whether the group of `progress` is still there.
fn fits(progress: &Progress, views: &[SegmentView]) -> bool {
    let first = progress.sources.first().map(|source| source.0);
    let from = views.iter().position(|view| Some(view.base) == first);
    from.is_some_and(|from| {
        let here = views[from..].iter().map(|view| (view.base, view.len_bytes));
        here.take(progress.sources.len()).eq(progress.sources.iter().copied())
            && views.iter().any(|view| view.next == progress.until)
    })
}

/// The groups of a pass that goes on: what lies before the group of the checkpoint is done, and that
/// group is as it was.
fn resumed(
    groups: Vec<Range<usize>>,
    progress: &Progress,
    views: &[SegmentView],
) -> Vec<Range<usize>> {
    let first = progress.sources[0].0;
    let from = views.iter().position(|view| view.base == first).expect("it fits");
    let to = from + progress.sources.len();
    let later = groups.into_iter().filter(|group| to <= group.start);
    std::iter::once(from..to).chain(later).collect()
}

/// Removes what passes left behind: spilled runs, and parts unless one is still wanted.
async fn remove_leftovers<E: Env>(
    env: &E,
    dir: &std::path::Path,
    keep_parts: bool,
) -> Result<(), PassError> {
    for entry in env.disk().list(dir).await? {
        if is_spill(&entry.name) || (is_part(&entry.name) && !keep_parts) {
            env.disk().remove_file(&dir.join(&entry.name)).await?;
        }
    }
    Ok(())
}

impl<E: Env> std::fmt::Debug for Pass<E> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pass").field("report", &self.report).finish_non_exhaustive()
    }
}
