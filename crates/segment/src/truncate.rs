//! Taking away: the end of a log, its beginning, all of it.

use std::path::Path;
use std::time::Duration;

use env::{Disk, Env, File, Group, IoFailure};
use index::TimeEntry;
use record::Offset;

use crate::headers::{Headers, Next};
use crate::layout::{self, Kind};
use crate::limits::SCAN_BYTES;
use crate::log::{FileOf, Log, State, jitter};
use crate::reader::{FileReader, is_missing};
use crate::segment::{Filed, Files, Segment};
use crate::walk::Bounds;
use crate::{ReadError, WriteError};

/// Where the log will end.
struct CutPoint {
    base: Offset,
    position: u64,
    end: Offset,
    largest: Option<TimeEntry>,
}

impl<E: Env> Log<E> {
    /// Drops the batch that holds `to` and everything behind it, durably, and gives the new end:
    /// `to`, or the base offset of the batch that held it. At or below the first offset nothing is
    /// left and the log goes on at `to`. Nothing is appended meanwhile. A failure fences the log:
    /// how much is left is decided when it is opened again, at least everything below `to`. If the
    /// future is dropped the work goes on.
    pub async fn truncate(&self, to: Offset, group: Group) -> Result<Offset, WriteError> {
        let log = self.clone();
        self.to_its_end(group, async move {
            let _structure_turn = log.inner.structure_gate.enter().await;
            let _turn = log.inner.gate.enter().await;
            let _flush_turn = log.inner.flush_gate.enter().await;
            log.truncate_held(to, group).await
        })
        .await
    }

    async fn truncate_held(&self, to: Offset, group: Group) -> Result<Offset, WriteError> {
        {
            let state = self.inner.state.borrow();
            state.check_fence()?;
            if state.end() <= to {
                return Ok(state.end());
            }
        }
        let first = self.inner.state.borrow().first_base();
        let cut = if to <= first { None } else { Some(self.cut_point(to, group).await?) };
        let gone = self.forget_from(to, cut.as_ref());
        // From the last to the first: whatever is left after a crash has no hole.
        for base in gone.into_iter().rev() {
            self.remove_segment(base).await.map_err(|failure| self.fence(failure))?;
        }
        if let Some(cut) = &cut {
            // It speaks of batches that go.
            let keys = layout::path(&self.inner.dir, cut.base, Kind::Keys);
            let removed = remove_if_there(&self.inner.env, &keys).await;
            removed.map_err(|failure| self.fence(failure))?;
        }
        self.inner.state.borrow_mut().dir_changes += 1;
        self.sync_dir_held().await?;
        match cut {
            Some(cut) => self.cut_files(&cut, group).await?,
            None => {
                let base = self.inner.state.borrow().active_base();
                self.create_file(base).await?;
            }
        }
        Ok(self.inner.state.borrow().end())
    }

    /// Finds where the batch of `to` begins, and the largest timestamp before it.
    async fn cut_point(&self, to: Offset, group: Group) -> Result<CutPoint, WriteError> {
        // What lies before must be in the file: it may be looked at there, and it stays.
        self.write_held(group).await?;
        let found = self.find_cut(to, group).await;
        found.map_err(|error| match error {
            ReadError::Io(failure) => self.failed(failure),
            ReadError::OverBudget(over) => self.no_memory(over),
            ReadError::Corrupt(corrupt) => {
                let kind = std::io::ErrorKind::InvalidData;
                self.fence(IoFailure::of_kind("truncate", &corrupt.path, kind))
            }
            ReadError::OutOfRange { .. } => unreachable!("it lies behind the first segment"),
        })
    }

    async fn find_cut(&self, to: Offset, group: Group) -> Result<CutPoint, ReadError> {
        let (base, limit, next) = {
            let state = self.inner.state.borrow();
            let base = state.floor(to).expect("it lies behind the first segment");
            let segment = &state.segments[&base];
            (base, segment.written, segment.written_next)
        };
        let mut cut = CutPoint { base, position: 0, end: base, largest: None };
        if limit == 0 {
            return Ok(cut);
        }
        let file = self.log_file(base).await?;
        let mut reader = FileReader::new(&self.inner.env, file, limit, group);
        reader.piece_bytes = SCAN_BYTES;
        let mut headers = Headers::new(0, base);
        let bounds = Bounds { limit, next, bad: &[] };
        // From the beginning of the segment: the largest timestamp may be anywhere before.
        while let Next::Batch(_, header) = headers.next(&mut reader, bounds).await? {
            if to <= header.last_offset() {
                break;
            }
            let largest_ms = cut.largest.map_or(-1, |largest| largest.timestamp_ms);
            if largest_ms < header.max_timestamp_ms {
                let (timestamp_ms, offset) = (header.max_timestamp_ms, header.last_offset());
                cut.largest = Some(TimeEntry { timestamp_ms, offset });
            }
            (cut.position, cut.end) = (headers.position, header.next_offset());
        }
        Ok(cut)
    }

    /// Changes what is in memory; says which segments must go from the disk, oldest first.
    fn forget_from(&self, to: Offset, cut: Option<&CutPoint>) -> Vec<Offset> {
        let mut state = self.inner.state.borrow_mut();
        state.note_removal();
        state.truncations += 1;
        let kept = cut.map(|cut| cut.base);
        let gone =
            state.segments.keys().copied().filter(|base| kept.is_none_or(|kept| kept < *base));
        let gone: Vec<Offset> = gone.collect();
        for base in &gone {
            state.segments.remove(base);
        }
        if let Some(CutPoint { base, position, end, largest }) = cut {
            let segment = state.segment(*base);
            segment.len = *position;
            segment.next = *end;
            segment.written = segment.written.min(*position);
            segment.written_next = segment.written_next.min(*end);
            segment.tail.truncate(*position);
            segment.lead = None;
            segment.largest_ms = Some(largest.map_or(-1, |largest| largest.timestamp_ms));
            segment.bad.retain(|bad| bad < position);
            segment.broken = None;
            segment.truncate_indexes(*end, *largest);
            segment.aborted.truncate(*end);
        } else {
            let fresh = self.empty_segment(&state, to);
            state.segments.insert(to, fresh);
            state.start = to;
        }
        let end = state.end();
        state.durable = state.durable.min(end);
        state.start = state.start.min(end);
        let last = state.active_base();
        state.settled_below = state.settled_below.min(last);
        state.flushed_below = state.flushed_below.min(last);
        gone
    }

    /// Cuts the files of the last segment, durably.
    async fn cut_files(&self, cut: &CutPoint, group: Group) -> Result<(), WriteError> {
        let file = self.log_file(cut.base).await.map_err(|failure| self.fence(failure))?;
        file.set_len(cut.position).await.map_err(|failure| self.fence(failure))?;
        file.sync(group).await.map_err(|failure| self.fence(failure))?;
        {
            let mut state = self.inner.state.borrow_mut();
            let segment = state.segment(cut.base);
            segment.log_file.len = cut.position;
            segment.log_file.stale = false;
        }
        // Before anything is appended: what is cut off must not be said of other batches.
        self.trim_aborted(cut.base, group).await
    }

    /// Creates the file of an empty segment, durably.
    async fn create_file(&self, base: Offset) -> Result<(), WriteError> {
        let path = layout::path(&self.inner.dir, base, Kind::Log);
        let mode = env::OpenMode::create().direct();
        let file = self.inner.env.disk().open(&path, mode).await;
        let file = file.map_err(|failure| self.failed(failure))?;
        file.set_len(0).await.map_err(|failure| self.failed(failure))?;
        {
            let mut state = self.inner.state.borrow_mut();
            let log_file = &mut state.segment(base).log_file;
            log_file.handle = Some(file);
            log_file.exists = true;
            log_file.changes += 1;
            state.dir_changes += 1;
        }
        self.sync_dir_held().await
    }

    /// Removes the files of a segment, that of its batches last.
    async fn remove_segment(&self, base: Offset) -> Result<(), IoFailure> {
        for kind in Kind::ALL {
            let path = layout::path(&self.inner.dir, base, kind);
            remove_if_there(&self.inner.env, &path).await?;
        }
        Ok(())
    }

    /// Moves the log start to `to`, at most the end of the log, and drops every segment all of
    /// whose records lie below it. The caller has made the new start durable: after a crash some
    /// of the files may be there again. A log that loses all records goes on with an empty segment
    /// at its end. If the future is dropped the work goes on.
    pub async fn advance_start(&self, to: Offset, group: Group) -> Result<(), WriteError> {
        let log = self.clone();
        self.to_its_end(group, async move {
            let _structure_turn = log.inner.structure_gate.enter().await;
            let _turn = log.inner.gate.enter().await;
            let _flush_turn = log.inner.flush_gate.enter().await;
            log.advance_start_held(to).await
        })
        .await
    }

    async fn advance_start_held(&self, to: Offset) -> Result<(), WriteError> {
        let rolled = {
            let mut state = self.inner.state.borrow_mut();
            state.check_fence()?;
            let to = to.min(state.end());
            state.start = state.start.max(to);
            let rolls = to == state.end() && 0 < state.active().len;
            if rolls {
                let fresh = self.empty_segment(&state, to);
                state.segments.insert(to, fresh);
            }
            rolls.then_some(to)
        };
        // Nothing is written before space is freed, but for the name of the new segment.
        if let Some(base) = rolled {
            self.create_file(base).await?;
        }
        let gone = self.forget_before_start();
        if gone.is_empty() {
            return Ok(());
        }
        self.remove_renamed(&gone).await.map_err(|failure| self.fence(failure))?;
        self.sync_dir_held().await
    }

    /// Changes what is in memory; says which segments must go from the disk, oldest first.
    fn forget_before_start(&self) -> Vec<Offset> {
        let mut state = self.inner.state.borrow_mut();
        let start = state.start;
        let nexts = state.segments.keys().skip(1).take_while(|next| **next <= start);
        let below = nexts.count();
        let gone: Vec<Offset> = state.segments.keys().take(below).copied().collect();
        for base in &gone {
            state.segments.remove(base);
        }
        if !gone.is_empty() {
            state.note_removal();
            state.dir_changes += 1;
            state.durable = state.durable.max(state.first_base());
        }
        gone
    }

    /// A segment that begins at `base`.
    fn empty_segment(&self, state: &State<FileOf<E>>, base: Offset) -> Segment<FileOf<E>> {
        let jitter_ms = state.options.segment_jitter_ms.min(state.options.segment_ms);
        let jitter_ms = jitter(&self.inner.env, jitter_ms);
        Segment::new(base, self.inner.env.wall_ms(), jitter_ms)
    }

    /// Renames the files of segments, so that a crash cannot bring back some of them without the
    /// others, and removes them when the delay of the options has passed.
    pub(crate) async fn remove_renamed(&self, gone: &[Offset]) -> Result<(), IoFailure> {
        let disk = self.inner.env.disk();
        let dir = &self.inner.dir;
        for base in gone {
            for kind in Kind::ALL {
                let (from, to) =
                    (layout::path(dir, *base, kind), layout::deleted_path(dir, *base, kind));
                match disk.rename(&from, &to).await {
                    Err(failure) if !is_missing(&failure) => return Err(failure),
                    _ => {}
                }
            }
            self.inner.env.yield_if_needed().await;
        }
        disk.sync_dir(dir).await?;
        let delay_ms = self.inner.state.borrow().options.file_delete_delay_ms;
        if delay_ms == 0 {
            return remove_deleted(&self.inner.env, dir, gone).await;
        }
        let (env, dir, gone) = (self.inner.env.clone(), dir.clone(), gone.to_vec());
        self.inner.env.spawn(Group::Retention, async move {
            env.sleep(Duration::from_millis(delay_ms)).await;
            // What cannot be removed now goes when the log is opened again.
            let _ = remove_deleted(&env, &dir, &gone).await;
        });
        Ok(())
    }

    /// Removes the log with its directory and whatever is in it. The directory gets another name
    /// first, one that Kafka knows as about to be removed, so that a log of the same name can be
    /// created at once. Every other handle is of no use from now on: its log is fenced.
    pub async fn remove(self, group: Group) -> Result<(), WriteError> {
        let log = self.clone();
        self.to_its_end(group, async move {
            let _structure_turn = log.inner.structure_gate.enter().await;
            let _turn = log.inner.gate.enter().await;
            let _flush_turn = log.inner.flush_gate.enter().await;
            let dir = log.inner.dir.clone();
            log.fence(IoFailure::of_kind("use", &dir, std::io::ErrorKind::NotFound));
            let env = &log.inner.env;
            let deleted = layout::set_aside_dir(&dir, [env.random(), env.random()], layout::DELETE);
            let removed = async {
                env.disk().rename(&dir, &deleted).await?;
                env.disk().sync_dir(dir.parent().unwrap_or(Path::new(""))).await?;
                remove_dir(env, &deleted).await
            };
            removed.await.map_err(WriteError::Fenced)
        })
        .await
    }
}

/// Removes the renamed files of the segments at `gone`, as far as they are there.
async fn remove_deleted<E: Env>(env: &E, dir: &Path, gone: &[Offset]) -> Result<(), IoFailure> {
    for base in gone {
        for kind in Kind::ALL {
            remove_if_there(env, &layout::deleted_path(dir, *base, kind)).await?;
        }
        env.yield_if_needed().await;
    }
    Ok(())
}

/// Removes a directory of a log, also one that was about to be removed when the process ended
/// (its name ends with `-delete`), with everything in it.
pub async fn remove_dir<E: Env>(env: &E, dir: &Path) -> Result<(), IoFailure> {
    let disk = env.disk();
    for entry in disk.list(dir).await? {
        if !entry.is_dir {
            remove_if_there(env, &dir.join(&entry.name)).await?;
        }
        env.yield_if_needed().await;
    }
    disk.remove_dir(dir).await?;
    disk.sync_dir(dir.parent().unwrap_or(Path::new(""))).await
}

pub(crate) async fn remove_if_there<E: Env>(env: &E, path: &Path) -> Result<(), IoFailure> {
    match env.disk().remove_file(path).await {
        Err(failure) if !is_missing(&failure) => Err(failure),
        _ => Ok(()),
    }
}

impl<F> Segment<F> {
    /// Forgets index entries at or above `end`. Those in the files are told apart by rebuilding.
    fn truncate_indexes(&mut self, end: Offset, largest: Option<TimeEntry>) {
        let indexes = &mut self.indexes;
        indexes.unflushed.clear();
        match &mut indexes.building {
            Some(building) if indexes.files == Files::Hold(Filed::default()) => {
                building.truncate(end, largest);
            }
            _ => {
                indexes.building = Some(index::Building::resume(self.base, largest));
                indexes.files = Files::Useless;
                indexes.filed_to = self.len;
                indexes.exist = false;
            }
        }
    }
}
