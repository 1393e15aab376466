//! Opening a log: trust what is known of it, or find out what is left.

mod decide;
mod leftovers;
mod scan_file;
mod trusted;

use std::collections::BTreeSet;
use std::path::Path;

use env::{Disk, Env, File, Group, OpenMode};
use record::Offset;

use crate::aborted::Aborted;
use crate::layout::{self, Kind};
use crate::log::{FileOf, Log, State, jitter};
use crate::reader::FileReader;
use crate::segment::{Files, Segment};
use crate::truncate::remove_if_there;
use crate::{Corrupt, Cut, Damage, Flaw, Known, LogOptions, OpenError, Opened};
use decide::{Action, Place, Scanned, decide};
use leftovers::open_error;
use scan_file::{Scan, scan_file};

impl<E: Env> Log<E> {
    /// Creates the directory `dir` and in it an empty log whose first offset will be `start`. It
    /// is durable when this returns. Fails if there is such a segment already.
    pub async fn create(
        env: &E,
        dir: &Path,
        options: LogOptions,
        start: Offset,
    ) -> Result<Log<E>, OpenError> {
        env.disk().create_dir(dir).await?;
        let mut opening = Opening::new(env, dir, options, Group::System);
        opening.state.start = start;
        opening.create_segment(start, OpenMode::new_file()).await?;
        env.disk().sync_dir(dir.parent().unwrap_or(Path::new(""))).await?;
        opening.state.durable = start;
        Ok(Log::of(env, dir, opening.state))
    }

    /// Opens the log in the directory `dir`, which exists. If it was closed, or ends where `known`
    /// says, nothing is scanned. Otherwise every batch from the segment that holds the recovery
    /// point on is checked: behind the last good one the log is cut and later segments are removed,
    /// as none of that was ever flushed. What is damaged below the recovery point was: it is left
    /// in its file and named, and everything else is served. Opening again gives the same.
    pub async fn open(
        env: &E,
        dir: &Path,
        options: LogOptions,
        known: Known,
        group: Group,
    ) -> Result<(Log<E>, Opened), OpenError> {
        let leftovers::Tidied { segments: mut bases, aborted } =
            leftovers::tidy(env, dir, group).await?;
        let mut opening = Opening::new(env, dir, options, group);
        opening.drop_below_start(&mut bases, known.start).await?;
        opening.load(&bases, known).await?;
        if opening.state.segments.is_empty() || opening.state.end() < known.start {
            opening.restart_at(known.start).await?;
        }
        opening.finish(known, &aborted);
        let log = Log::of(env, dir, opening.state);
        let active = log.inner.state.borrow().active_base();
        log.load_aborted(active, group).await.map_err(open_error)?;
        Ok((log, opening.opened))
    }
}

/// A log that is being opened.
struct Opening<'a, E: Env> {
    env: &'a E,
    dir: &'a Path,
    options: LogOptions,
    group: Group,
    state: State<FileOf<E>>,
    opened: Opened,
    /// Segments from here on were not known to be flushed.
    unflushed_from: Option<Offset>,
    /// The segment that an earlier recovery began behind damage, still empty.
    restarted: Option<Offset>,
}

impl<'a, E: Env> Opening<'a, E> {
    fn new(env: &'a E, dir: &'a Path, options: LogOptions, group: Group) -> Opening<'a, E> {
        let state = State::new(options, Offset::ZERO, Offset::ZERO);
        let opened = Opened::default();
        Opening { env, dir, options, group, state, opened, unflushed_from: None, restarted: None }
    }

    /// Removes segments that lie below the log start: a removal that was interrupted.
    async fn drop_below_start(
        &self,
        bases: &mut BTreeSet<Offset>,
        start: Offset,
    ) -> Result<(), OpenError> {
        let below = bases.iter().skip(1).take_while(|next| **next <= start).count();
        let gone: Vec<Offset> = bases.iter().take(below).copied().collect();
        for base in &gone {
            self.remove_files(*base).await?;
            bases.remove(base);
        }
        if !gone.is_empty() {
            self.env.disk().sync_dir(self.dir).await?;
        }
        Ok(())
    }

    /// Loads every segment, trusted or scanned.
    async fn load(&mut self, bases: &BTreeSet<Offset>, known: Known) -> Result<(), OpenError> {
        let Some(&last) = bases.last() else { return Ok(()) };
        // A tail that does not fit tells nothing.
        let known = Known { tail: self.fitting_tail(last, known.tail).await?, ..known };
        let first_scanned = if known.clean || known.tail.is_some() {
            None
        } else {
            Some(self.first_to_scan(bases, known.recovery_point).await?)
        };
        let mut rest = bases.iter().copied().peekable();
        while let Some(base) = rest.next() {
            let successor = rest.peek().copied();
            if first_scanned.is_none_or(|first| base < first) {
                match successor {
                    Some(next) => self.trust_sealed(base, next).await?,
                    None => self.trust_active(base, known).await?,
                }
            } else {
                self.unflushed_from.get_or_insert(base);
                let later: Vec<Offset> = bases.range(base..).skip(1).copied().collect();
                if !self.recover_segment(base, known.recovery_point, &later).await? {
                    break;
                }
            }
            self.env.yield_if_needed().await;
        }
        Ok(())
    }

    /// The segment that holds the recovery point. An empty one there was begun by a recovery that
    /// found damage before it, which must be found again.
    async fn first_to_scan(
        &mut self,
        bases: &BTreeSet<Offset>,
        recovery_point: Offset,
    ) -> Result<Offset, OpenError> {
        let mut before = bases.range(..=recovery_point).rev();
        let Some(&holder) = before.next() else {
            return Ok(*bases.first().expect("there is a segment"));
        };
        if holder == recovery_point && self.file_len(holder).await? == 0 {
            self.restarted = Some(holder);
            return Ok(before.next().copied().unwrap_or(holder));
        }
        Ok(holder)
    }

    /// Scans one segment and does what is decided. `false` if nothing comes after it.
    async fn recover_segment(
        &mut self,
        base: Offset,
        recovery_point: Offset,
        later: &[Offset],
    ) -> Result<bool, OpenError> {
        let path = layout::path(self.dir, base, Kind::Log);
        let file = self.env.disk().open(&path, OpenMode::existing().direct()).await?;
        let file_len = file.len().await?;
        let mut reader = FileReader::new(self.env, file.clone(), file_len, self.group);
        let mut scan = Scan::new(base);
        let mut bad = Vec::new();
        let successor = later.first().copied();
        let restarted = successor.is_some() && successor == self.restarted;
        let place = Place { recovery_point, successor, restarted };
        let action = loop {
            let interval_bytes = self.options.index_interval_bytes;
            scan_file(&mut reader, &mut scan, interval_bytes).await.map_err(open_error)?;
            let step_over = scan.damaged.map(|header| header.next_offset());
            let scanned = Scanned { reached: scan.next, flaw: scan.flaw, step_over };
            match (decide(scanned, place), scan.damaged) {
                (Action::StepOver, Some(header)) => {
                    bad.push(scan.position);
                    self.name_damage(corrupt(&path, &scan), header.next_offset());
                    scan.take(&header, interval_bytes);
                }
                (action, _) => break action,
            }
        };
        self.opened.scanned_bytes += scan.position;
        let found = corrupt(&path, &scan);
        let segment = self.scanned_segment(scan, bad, file_len);
        let position = segment.len;
        self.state.segments.insert(base, segment);
        match action {
            Action::Keep | Action::StepOver => Ok(true),
            Action::Trim => {
                file.set_len(position).await?;
                file.sync(self.group).await?;
                let log_file = &mut self.state.segment(base).log_file;
                log_file.len = position;
                log_file.stale = false;
                Ok(true)
            }
            Action::Cut => {
                if found.what != Flaw::Zeros || !later.is_empty() {
                    let lost_bytes = file_len - position;
                    self.opened.cut = Some(Cut { at: found, lost_bytes });
                }
                // Later segments go first: a crash in between leaves the flaw to be found again.
                self.remove_later(later).await?;
                file.set_len(position).await?;
                file.sync(self.group).await?;
                let log_file = &mut self.state.segment(base).log_file;
                log_file.len = position;
                log_file.stale = false;
                Ok(false)
            }
            Action::Quarantine => {
                let until = *later.first().expect("a quarantine has a successor");
                self.state.segment(base).broken = Some(found.clone());
                self.name_damage(found, until);
                Ok(true)
            }
            Action::QuarantineAndRestart => {
                self.state.segment(base).broken = Some(found.clone());
                self.name_damage(found, recovery_point);
                self.remove_later(later).await?;
                self.create_segment(recovery_point, OpenMode::create()).await?;
                Ok(false)
            }
        }
    }

    fn scanned_segment(&self, scan: Scan, bad: Vec<u64>, file_len: u64) -> Segment<FileOf<E>> {
        let base = scan.building.base();
        let mut segment = Segment::existing(base, scan.next, scan.position, file_len);
        let largest = scan.building.largest();
        segment.largest_ms = Some(largest.map_or(-1, |largest| largest.timestamp_ms));
        segment.first_timestamp_ms = scan.first_timestamp_ms;
        segment.indexes.building = Some(scan.building);
        segment.bad = bad;
        segment
    }

    fn name_damage(&mut self, at: Corrupt, until: Offset) {
        self.opened.damage.push(Damage { path: at.path.clone(), at, until });
    }

    /// Removes segments, the last first, so that what is left after a crash has no hole.
    async fn remove_later(&mut self, later: &[Offset]) -> Result<(), OpenError> {
        for base in later.iter().rev() {
            self.remove_files(*base).await?;
        }
        if !later.is_empty() {
            self.env.disk().sync_dir(self.dir).await?;
            self.opened.removed.extend_from_slice(later);
        }
        Ok(())
    }

    async fn remove_files(&self, base: Offset) -> Result<(), OpenError> {
        for kind in Kind::ALL {
            remove_if_there(self.env, &layout::path(self.dir, base, kind)).await?;
        }
        Ok(())
    }

    /// Drops everything and begins an empty log at `start`.
    async fn restart_at(&mut self, start: Offset) -> Result<(), OpenError> {
        let all: Vec<Offset> = self.state.segments.keys().copied().collect();
        self.state.segments.clear();
        self.remove_later(&all).await?;
        self.opened.created = true;
        self.create_segment(start, OpenMode::create()).await
    }

    /// Creates an empty segment, durably.
    async fn create_segment(&mut self, base: Offset, mode: OpenMode) -> Result<(), OpenError> {
        let path = layout::path(self.dir, base, Kind::Log);
        let file = self.env.disk().open(&path, mode.direct()).await?;
        self.env.disk().sync_dir(self.dir).await?;
        let mut segment = Segment::new(base, self.env.wall_ms(), 0);
        segment.log_file.handle = Some(file);
        segment.log_file.exists = true;
        self.state.segments.insert(base, segment);
        Ok(())
    }

    async fn file_len(&self, base: Offset) -> Result<u64, OpenError> {
        let path = layout::path(self.dir, base, Kind::Log);
        Ok(self.env.disk().stat(&path).await?.map_or(0, |stat| stat.len))
    }

    /// Sets what follows from all segments.
    fn finish(&mut self, known: Known, aborted: &BTreeSet<Offset>) {
        let state = &mut self.state;
        let jitter_ms = self.options.segment_jitter_ms.min(self.options.segment_ms);
        let now_ms = self.env.wall_ms();
        for segment in state.segments.range_mut(..).map(|(_, segment)| segment) {
            segment.created_ms = now_ms;
            let exists = aborted.contains(&segment.base);
            segment.aborted = Aborted::found(segment.len, segment.next, exists);
        }
        let active = state.active_mut();
        active.jitter_ms = jitter(self.env, jitter_ms);
        let end = state.end();
        state.start = known.start.max(state.first_base());
        state.durable = if known.clean { end } else { known.recovery_point.min(end) };
        state.damage.clone_from(&self.opened.damage);
        let unsettled = self.unflushed_from.unwrap_or_else(|| state.active_base());
        state.settled_below = unsettled;
        state.flushed_below = unsettled;
        if state.durable < end {
            let from = state.floor(state.durable).unwrap_or(unsettled).min(unsettled);
            state.flushed_below = from;
            // Whatever is there may still be in a cache of the system.
            for segment in state.segments.range_mut(from..).map(|(_, segment)| segment) {
                segment.log_file.changes += 1;
            }
        }
    }
}

/// What a scan found behind the last good batch.
fn corrupt(path: &Path, scan: &Scan) -> Corrupt {
    let what = scan.flaw.unwrap_or(Flaw::Short);
    Corrupt { path: path.to_path_buf(), position: scan.position, offset: scan.next, what }
}

impl Files {
    /// What a file of `index_len` and one of `times_len` bytes hold.
    fn of_lengths(index_len: Option<u64>, times_len: Option<u64>) -> Files {
        match (index_len, times_len) {
            (Some(index_len), Some(times_len)) if index_len % 8 == 0 && times_len % 12 == 0 => {
                let (offsets, times) = (index_len / 8, times_len / 12);
                Files::Hold(crate::segment::Filed { offsets, times })
            }
            _ => Files::Useless,
        }
    }
}
