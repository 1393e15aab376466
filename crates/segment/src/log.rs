//! The handle of a log and its state.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use env::sync::{Signal, oneshot};
use env::{Disk, Env, Gate, Group, IoFailure};
use record::{Header, Offset, layout::HEADER_LEN};

use crate::ahead::Aheads;
use crate::cursors::Cursors;
use crate::roll::{self, RollView};
use crate::segment::Segment;
use crate::tail::{Growth, Mark, Source};
use crate::{
    AppendError, Appended, Damage, Ends, KnownTail, LogOptions, SegmentView, Stamp, WriteError,
};

/// The file type of a world.
pub(crate) type FileOf<E> = <<E as Env>::Disk as Disk>::File;

/// The segments of one log, on one shard. A cheap handle; clones are the same log.
///
/// Appending never waits; everything that touches the disk does. One task writes, and one
/// flushes, at a time; the others wait for it. Operations that change files run to their end
/// even if their future is dropped: they are tasks of their own.
pub struct Log<E: Env> {
    pub(crate) inner: Rc<Inner<E>>,
}

pub(crate) struct Inner<E: Env> {
    pub(crate) env: E,
    pub(crate) dir: PathBuf,
    /// Held by whatever replaces or removes segments. Taken before `gate`, which a replacement does
    /// not need: writes go on during it.
    pub(crate) structure_gate: Gate,
    /// Held by whatever changes files, but for flushes and replacements.
    pub(crate) gate: Gate,
    /// Held by flushes, and by what must not happen during one. Taken after `gate`.
    pub(crate) flush_gate: Gate,
    /// Notified when something read ahead came, was taken or went.
    pub(crate) ahead_moved: Signal,
    pub(crate) state: RefCell<State<FileOf<E>>>,
}

/// What changes. Borrowed for moments only, never across a wait.
pub(crate) struct State<F> {
    pub(crate) options: LogOptions,
    /// By base offset; never empty. The last one is active.
    pub(crate) segments: BTreeMap<Offset, Segment<F>>,
    pub(crate) start: Offset,
    pub(crate) durable: Offset,
    pub(crate) growth: Growth,
    pub(crate) fence: Option<IoFailure>,
    /// Every segment with a lower base is written, cut and indexed.
    pub(crate) settled_below: Offset,
    /// Every segment with a lower base is flushed.
    pub(crate) flushed_below: Offset,
    /// Changes of the directory, and how many of them are flushed.
    pub(crate) dir_changes: u64,
    pub(crate) dir_flushed: u64,
    /// How often records or segments went away: what a read found meanwhile proves nothing.
    pub(crate) removals: u64,
    /// How often the end was cut: segments of the same names may hold something else.
    pub(crate) truncations: u64,
    pub(crate) cursors: Cursors,
    pub(crate) aheads: Aheads,
    pub(crate) damage: Vec<Damage>,
}

impl<F> State<F> {
    pub(crate) fn new(options: LogOptions, start: Offset, durable: Offset) -> State<F> {
        State {
            options,
            segments: BTreeMap::new(),
            start,
            durable,
            growth: Growth::default(),
            fence: None,
            settled_below: Offset::ZERO,
            flushed_below: Offset::ZERO,
            dir_changes: 0,
            dir_flushed: 0,
            removals: 0,
            truncations: 0,
            cursors: Cursors::default(),
            aheads: Aheads::default(),
            damage: Vec::new(),
        }
    }

    pub(crate) fn first_base(&self) -> Offset {
        *self.segments.keys().next().expect("a log has a segment")
    }

    pub(crate) fn active_base(&self) -> Offset {
        *self.segments.keys().next_back().expect("a log has a segment")
    }

    pub(crate) fn active(&self) -> &Segment<F> {
        self.segments.values().next_back().expect("a log has a segment")
    }

    pub(crate) fn active_mut(&mut self) -> &mut Segment<F> {
        self.segments.values_mut().next_back().expect("a log has a segment")
    }

    pub(crate) fn end(&self) -> Offset {
        self.active().next
    }

    /// The segment that holds `offset` or would: the last one that begins at or below it.
    pub(crate) fn floor(&self, offset: Offset) -> Option<Offset> {
        self.segments.range(..=offset).next_back().map(|(base, _)| *base)
    }

    /// Below it everything is in the files.
    pub(crate) fn written(&self) -> Offset {
        let unwritten = self.segments.range(self.settled_below..).map(|(_, segment)| segment);
        let mut unwritten = unwritten.filter(|segment| segment.written < segment.len);
        unwritten.next().map_or_else(|| self.end(), |segment| segment.written_next)
    }

    /// Records or segments go away: what readers remember of places is void.
    pub(crate) fn note_removal(&mut self) {
        self.removals += 1;
        self.cursors.clear();
        self.aheads.clear();
    }

    /// Fails if the log is fenced.
    pub(crate) fn check_fence(&self) -> Result<(), WriteError> {
        match &self.fence {
            Some(failure) => Err(WriteError::Fenced(failure.clone())),
            None => Ok(()),
        }
    }

    /// Fences the log for good. The first failure is the one that is told.
    pub(crate) fn fence(&mut self, failure: IoFailure) -> WriteError {
        WriteError::Fenced(self.fence.get_or_insert(failure).clone())
    }

    /// Releases what was read ahead, then clean chunks, those of old segments first.
    pub(crate) fn evict(&mut self, want_bytes: usize) -> usize {
        let released = self.aheads.evict();
        released + self.evict_chunks(want_bytes.saturating_sub(released))
    }

    /// Releases clean chunks, those of old segments first.
    pub(crate) fn evict_chunks(&mut self, want_bytes: usize) -> usize {
        let mut released = 0;
        for segment in self.segments.values_mut() {
            if want_bytes <= released {
                break;
            }
            released += segment.tail.evict(segment.written, want_bytes - released);
        }
        released
    }

    /// Most bytes of a segment: what is set, and what an index entry can hold.
    fn segment_bytes_max(&self) -> u64 {
        self.options.segment_bytes.min(u64::from(i32::MAX.unsigned_abs()))
    }

    fn should_roll(&self, header: &Header, base: Offset, now_ms: i64) -> bool {
        let active = self.active();
        let (offset_entries, time_entries) = active.index_entries();
        let last_offset = base.plus(i64::from(header.last_offset_delta));
        let view = RollView {
            len_bytes: active.len,
            incoming_bytes: header.len as u64,
            last_offset_delta: last_offset.since(active.base),
            age_ms: active.age_ms(header.max_timestamp_ms, now_ms),
            jitter_ms: active.jitter_ms,
            offset_entries,
            time_entries,
        };
        let options = LogOptions { segment_bytes: self.segment_bytes_max(), ..self.options };
        active.broken.is_some() || roll::decide(&view, &options).is_some()
    }
}

/// A batch to be appended, in two parts so that the header may be a stamped copy.
struct Incoming<'a> {
    header: &'a Header,
    base: Offset,
    head: &'a [u8],
    rest: &'a [u8],
    now_ms: i64,
}

impl<E: Env> Log<E> {
    pub(crate) fn of(env: &E, dir: &Path, state: State<FileOf<E>>) -> Log<E> {
        Log {
            inner: Rc::new(Inner {
                env: env.clone(),
                dir: dir.to_path_buf(),
                structure_gate: Gate::default(),
                gate: Gate::default(),
                flush_gate: Gate::default(),
                ahead_moved: Signal::new(),
                state: RefCell::new(state),
            }),
        }
    }

    /// Runs `work` as a task of its own, so that it ends even if nobody waits for it.
    pub(crate) async fn to_its_end<T: 'static>(
        &self,
        group: Group,
        work: impl Future<Output = T> + 'static,
    ) -> T {
        let (sender, receiver) = oneshot();
        self.inner.env.spawn(group, async move { sender.send(work.await) });
        receiver.await.expect("a task runs to its end")
    }

    /// The directory of the log, relative to the data directory.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.inner.dir
    }

    /// Changes the settings, from the next append on.
    pub fn set_options(&self, options: LogOptions) {
        self.inner.state.borrow_mut().options = options;
    }

    /// Appends one whole batch at `stamp.base`, with the leader's epoch: copies it once into
    /// memory and stamps it there. `now_ms` is the wall clock. Does not wait; batches are in the
    /// log in the order of the calls. On an error the log is unchanged.
    ///
    /// # Panics
    /// If `batch` is not exactly one whole batch, or `stamp.base` is below the end of the log:
    /// the caller has checked both.
    pub fn append(&self, batch: &[u8], stamp: Stamp, now_ms: i64) -> Result<Appended, AppendError> {
        let header = whole(batch);
        let mut head = [0; HEADER_LEN];
        head.copy_from_slice(&batch[..HEADER_LEN]);
        record::stamp(&mut head, stamp.base, stamp.epoch);
        let rest = &batch[HEADER_LEN..];
        self.append_or_evict(&Incoming {
            header: &header,
            base: stamp.base,
            head: &head,
            rest,
            now_ms,
        })
    }

    /// Appends one whole batch as it is, offsets and epoch included: from a leader, or from the
    /// journal. There may be a gap before it. Otherwise like [`append`](Log::append).
    ///
    /// # Panics
    /// If `batch` is not exactly one whole batch, or begins below the end of the log.
    pub fn append_verbatim(&self, batch: &[u8], now_ms: i64) -> Result<Appended, AppendError> {
        let header = whole(batch);
        let (head, rest) = batch.split_at(HEADER_LEN);
        let base = header.base_offset;
        self.append_or_evict(&Incoming { header: &header, base, head, rest, now_ms })
    }

    /// Gives up this log's own clean chunks before it refuses for want of memory.
    fn append_or_evict(&self, batch: &Incoming<'_>) -> Result<Appended, AppendError> {
        match self.put(batch) {
            Err(AppendError::OverBudget(_)) if 0 < self.evict(usize::MAX) => self.put(batch),
            done => done,
        }
    }

    fn put(&self, batch: &Incoming<'_>) -> Result<Appended, AppendError> {
        let Incoming { header, base, now_ms, .. } = *batch;
        let mut state = self.inner.state.borrow_mut();
        if let Some(failure) = &state.fence {
            return Err(AppendError::Fenced(failure.clone()));
        }
        let end = state.end();
        assert!(end <= base, "a batch at {base} in a log that ends at {end}");
        if state.segment_bytes_max() < header.len as u64 {
            return Err(AppendError::LargerThanSegment { len_bytes: header.len });
        }
        let rolled = state.should_roll(header, base, now_ms);
        let mut fresh = rolled.then(|| self.next_segment(&state, batch));
        let State { segments, growth, options, .. } = &mut *state;
        let active = segments.values_mut().next_back().expect("a log has a segment");
        let segment = fresh.as_mut().unwrap_or(active);
        let at = Mark { base, position: segment.len };
        let mut source = Source { pool: self.inner.env.pool(), growth, now_ms };
        segment.tail.append(at, batch.head, batch.rest, &mut source)?;
        segment.add(header, base, options.index_interval_bytes);
        let appended = Appended {
            base,
            next: segment.next,
            rolled,
            segment_base: segment.base,
            position: at.position,
        };
        if let Some(segment) = fresh {
            state.segments.insert(segment.base, segment);
        }
        Ok(appended)
    }

    /// The segment that begins with `batch`. It begins at the end of the log, as in Kafka, unless
    /// its entries could not hold the offsets of the batch then.
    fn next_segment(&self, state: &State<FileOf<E>>, batch: &Incoming<'_>) -> Segment<FileOf<E>> {
        let last_offset = batch.base.plus(i64::from(batch.header.last_offset_delta));
        let base = state.end().max(last_offset.plus(-i64::from(i32::MAX)));
        let LogOptions { segment_ms, segment_jitter_ms, .. } = state.options;
        let jitter_ms = jitter(&self.inner.env, segment_jitter_ms.min(segment_ms));
        Segment::new(base, batch.now_ms, jitter_ms)
    }

    /// Where the log begins and ends.
    #[must_use]
    pub fn ends(&self) -> Ends {
        let state = self.inner.state.borrow();
        Ends {
            start: state.start,
            durable: state.durable,
            written: state.written(),
            end: state.end(),
        }
    }

    /// Where the log ends, for a checkpoint to note; `None` unless all of it is flushed.
    #[must_use]
    pub fn tail(&self) -> Option<KnownTail> {
        let state = self.inner.state.borrow();
        let active = state.active();
        if state.durable < active.next {
            return None;
        }
        Some(KnownTail {
            segment_base: active.base,
            len_bytes: active.len,
            end: active.next,
            largest_timestamp_ms: active.largest_ms?,
        })
    }

    /// Bytes that are in no segment file yet.
    #[must_use]
    pub fn unwritten_bytes(&self) -> u64 {
        let state = self.inner.state.borrow();
        let unsettled = state.segments.range(state.settled_below..);
        unsettled.map(|(_, segment)| segment.len - segment.written).sum()
    }

    /// The segments, oldest first.
    #[must_use]
    pub fn segments(&self) -> Vec<SegmentView> {
        let state = self.inner.state.borrow();
        let active_base = state.active_base();
        let nexts = state.segments.keys().skip(1).copied().chain([state.end()]);
        let views = state.segments.values().zip(nexts).map(|(segment, next)| SegmentView {
            base: segment.base,
            next,
            len_bytes: segment.len,
            largest_timestamp_ms: segment.largest_ms,
            since_ms: segment.created_ms,
            active: segment.base == active_base,
            durable: segment.next <= state.durable,
        });
        views.collect()
    }

    /// What opening found damaged below the recovery point, as in
    /// [`Opened`](crate::Opened::damage).
    #[must_use]
    pub fn damage(&self) -> Vec<Damage> {
        self.inner.state.borrow().damage.clone()
    }

    /// Bytes of the chunks that this log holds.
    #[must_use]
    pub fn cached_bytes(&self) -> usize {
        let state = self.inner.state.borrow();
        state.segments.values().map(|segment| segment.tail.memory_bytes()).sum()
    }

    /// Releases chunks whose batches are in the files, oldest first, until `bytes` are released
    /// or none is left; says how many were. Views that were lent keep their memory alive.
    pub fn evict(&self, bytes: usize) -> usize {
        self.inner.state.borrow_mut().evict(bytes)
    }
}

/// The header of `batch`.
fn whole(batch: &[u8]) -> Header {
    let header = Header::read(batch).expect("a batch that is appended was checked");
    assert!(header.len == batch.len(), "a batch of {} in {} bytes", header.len, batch.len());
    assert!(0 <= header.last_offset_delta, "a batch that ends before it begins");
    header
}

/// A share of `jitter_ms`, drawn anew for each segment.
pub(crate) fn jitter<E: Env>(env: &E, jitter_ms: i64) -> i64 {
    match u64::try_from(jitter_ms) {
        Ok(bound @ 1..) => i64::try_from(env.random() % bound).expect("below the bound"),
        _ => 0,
    }
}

impl<E: Env> Clone for Log<E> {
    fn clone(&self) -> Log<E> {
        Log { inner: Rc::clone(&self.inner) }
    }
}

impl<E: Env> fmt::Debug for Log<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Log").field("dir", &self.inner.dir).field("ends", &self.ends()).finish()
    }
}
