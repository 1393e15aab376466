//! The journal of one shard: a handle, and the way of a commit to the disk.
//!
//! One commit at a time, in the order of arrival. What a failed write does is in `rescue`, what
//! gives files back in `release`, what goes on ahead of the commits in `prepare`.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fmt;
use std::rc::Rc;

use buf::{PAGE, Pool, Sealed};
use env::sync::Signal;
use env::{Disk, Env, File, Gate, Group, IoFailure};

use crate::error::{JournalError, OpenError};
use crate::file::JournalFile;
use crate::frame::{self, Address, FrameLimits};
use crate::holdings;
use crate::item::{Item, Items};
use crate::layout::{BATCHES_HEAD_LEN, FRAME_HEADER_LEN, FileId, FrameHeader, ITEM_HEAD_LEN, Mark};
use crate::options::{JournalOptions, Metrics, Place, Pressure};

/// The journal of one shard. Cloning gives another handle to the same journal.
pub struct Journal<E: Env> {
    pub(crate) inner: Rc<Inner<E>>,
}

pub(crate) type FileOf<E> = <<E as Env>::Disk as Disk>::File;

pub(crate) struct Inner<E: Env> {
    pub(crate) env: E,
    pub(crate) options: JournalOptions,
    limits: FrameLimits,
    /// Memory of the journal's own: a commit must go on when the shard's memory is full, since
    /// only that frees some of it.
    pub(crate) pool: Pool,
    pub(crate) gate: Gate,
    pub(crate) releasing: Gate,
    pub(crate) state: RefCell<State<FileOf<E>>>,
    /// Notified when upkeep got further.
    pub(crate) prepared: Signal,
    pub(crate) tending: Cell<bool>,
}

/// Borrowed for moments, never across a wait.
pub(crate) struct State<F> {
    /// Takes the frames. `None` until one could be created.
    pub(crate) current: Option<JournalFile<F>>,
    /// Take no more frames and are not settled: oldest first.
    pub(crate) full: VecDeque<JournalFile<F>>,
    /// Empty, ready.
    pub(crate) spare: VecDeque<JournalFile<F>>,
    /// Frames that no flush covers yet, oldest first, and their bytes.
    pub(crate) held: VecDeque<Held>,
    pub(crate) held_bytes: usize,
    pub(crate) next_sequence: u64,
    /// Below it lie the frames of commits that returned.
    committed_below: u64,
    pub(crate) flushed_below: u64,
    pub(crate) next_number: u32,
    pub(crate) next_generation: u64,
    pub(crate) health: Health,
    /// A write or flush was begun. Still set at the next commit if it failed or was given up.
    pub(crate) in_doubt: bool,
    /// What upkeep is doing to the current file, or to one to be.
    pub(crate) upkeep: Upkeep,
    /// The files of earlier runs were seen to be gone.
    pub(crate) old_files_gone: bool,
    pub(crate) metrics: Metrics,
}

/// A frame as it was written.
pub(crate) struct Held {
    pub(crate) sequence: u64,
    pub(crate) frame: Sealed,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Health {
    Sound,
    Failed(IoFailure),
    Closed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Upkeep {
    Idle,
    /// Zeros are on their way to the current file.
    Zeros,
    /// A file is being created.
    Create,
    /// It failed; commits find out why. Nothing is prepared until the next file.
    Stopped,
}

impl<F: File> State<F> {
    /// The identity of a file that is taken into use now.
    pub(crate) fn identify(
        &mut self,
        number: u32,
        options: &JournalOptions,
        env: &impl Env,
    ) -> FileId {
        self.next_generation += 1;
        FileId {
            shard: env.shard().0,
            number,
            run: options.start.run,
            generation: self.next_generation,
            salt: env.random(),
        }
    }

    pub(crate) fn new_number(&mut self) -> u32 {
        let number = self.next_number;
        self.next_number += 1;
        number
    }

    /// Files that count against the limit.
    pub(crate) fn files(&self) -> usize {
        self.full.iter().filter(|file| !file.abandoned).count()
            + self.spare.len()
            + usize::from(self.current.is_some())
    }
}

impl<E: Env> Journal<E> {
    /// Opens the journal of this shard for a new run, and creates its first file. The files of
    /// earlier runs stay as they are. A full device is no error: the first commit tries again.
    pub async fn open(env: E, options: JournalOptions) -> Result<Journal<E>, OpenError> {
        let options = options.within_limits();
        let state = State {
            current: None,
            full: VecDeque::new(),
            spare: VecDeque::new(),
            held: VecDeque::new(),
            held_bytes: 0,
            next_sequence: 0,
            committed_below: 0,
            flushed_below: 0,
            next_number: options.start.first_number,
            next_generation: 0,
            health: Health::Sound,
            in_doubt: false,
            upkeep: Upkeep::Idle,
            old_files_gone: false,
            metrics: Metrics::default(),
        };
        let pool = Pool::new(env.shard().0, options.memory_bytes());
        let inner = Inner {
            env,
            options,
            limits: options.frame_limits(),
            pool,
            gate: Gate::default(),
            releasing: Gate::default(),
            state: RefCell::new(state),
            prepared: Signal::new(),
            tending: Cell::new(false),
        };
        let journal = Journal { inner: Rc::new(inner) };
        match journal.create_file().await {
            Ok(file) => journal.inner.state.borrow_mut().current = Some(file),
            Err(failure) if passes(&failure) => {}
            Err(failure) => return Err(OpenError::Io(failure)),
        }
        Ok(journal)
    }

    /// Writes `items`, in order, and, if `flush`, makes them and everything committed before
    /// durable; otherwise they survive the death of the process only. One write and at most
    /// one flush, unless the items need several frames or a new file. Without items it only
    /// flushes, if there is anything to. Returns where the last frame went.
    ///
    /// Commits are made one at a time, in the order of the calls. Dropping the future leaves
    /// open whether the items will be replayed; later commits are not affected.
    pub async fn commit(
        &self,
        items: Vec<Item>,
        flush: bool,
        group: Group,
    ) -> Result<Place, JournalError> {
        let _turn = self.inner.gate.enter().await;
        let frames = frame::split(items, self.inner.limits)?;
        let done = self.write_all(&frames, flush, group).await;
        let state = &mut *self.inner.state.borrow_mut();
        state.committed_below = state.next_sequence;
        done.map(|()| Place {
            file: state.current.as_ref().map_or(0, |file| file.id.number),
            sequence: state.next_sequence.saturating_sub(1),
        })
    }

    async fn write_all(
        &self,
        frames: &[Vec<Item>],
        flush: bool,
        group: Group,
    ) -> Result<(), JournalError> {
        self.ensure_sound(group).await?;
        for items in frames {
            self.write(items, group).await?;
            let held_bytes = self.inner.state.borrow().held_bytes;
            if self.inner.options.held_bytes_max < held_bytes {
                self.flush(group).await?;
            }
            self.inner.env.yield_if_needed().await;
        }
        if flush {
            self.flush(group).await?;
        }
        self.tend();
        Ok(())
    }

    /// Where the history stands: every commit that returned lies below it, every other one at it
    /// or above. (A commit that was dropped while it was pending may lie on either side.)
    #[must_use]
    pub fn mark(&self) -> Mark {
        let sequence = self.inner.state.borrow().committed_below;
        Mark { run: self.inner.options.start.run, sequence }
    }

    /// The longest item of batches that fits in one frame of its files, in bytes.
    #[must_use]
    pub fn batches_bytes_max(&self) -> usize {
        self.inner.limits.payload_max - ITEM_HEAD_LEN - BATCHES_HEAD_LEN
    }

    /// How full it is.
    #[must_use]
    pub fn pressure(&self) -> Pressure {
        let state = self.inner.state.borrow();
        let options = &self.inner.options;
        let full = state.full.len() as u64 * options.file_bytes;
        let current = state.current.as_ref().map_or(0, |file| file.position - PAGE as u64);
        Pressure {
            used_bytes: full + current,
            limit_bytes: options.files_max as u64 * options.file_bytes,
        }
    }

    /// What it did so far.
    #[must_use]
    pub fn metrics(&self) -> Metrics {
        self.inner.state.borrow().metrics
    }

    /// Memory of the journal's own that is in use, in bytes, for the shard's accounts.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.inner.pool.collect();
        self.inner.pool.used()
    }

    /// Takes nothing any more, because of `failure`: its files can never be released again, so that
    /// it would only fill up.
    pub fn fail(&self, failure: IoFailure) {
        let state = &mut *self.inner.state.borrow_mut();
        if state.health == Health::Sound {
            state.health = Health::Failed(failure);
        }
    }

    /// Why it takes nothing any more, if so.
    #[must_use]
    pub fn failure(&self) -> Option<IoFailure> {
        match &self.inner.state.borrow().health {
            Health::Failed(failure) => Some(failure.clone()),
            Health::Sound | Health::Closed => None,
        }
    }

    /// Writes one frame behind the others.
    async fn write(&self, items: &[Item], group: Group) -> Result<(), JournalError> {
        let padded = frame::padded_len(items);
        self.make_room(padded, group).await?;
        let (file, frame, position) = self.place_frame(items, padded)?;
        match file.write_at(frame, position, group).await {
            Ok(()) => {
                self.inner.state.borrow_mut().in_doubt = false;
                Ok(())
            }
            Err(failure) => self.rescue(failure, group).await,
        }
    }

    /// Encodes the frame of `items` for the place behind the others, and holds it.
    fn place_frame(
        &self,
        items: &[Item],
        padded: usize,
    ) -> Result<(FileOf<E>, Sealed, u64), JournalError> {
        // Powers of two, so that blocks are used again.
        let mut buffer = self.inner.pool.buffer(padded.next_power_of_two())?;
        let state = &mut *self.inner.state.borrow_mut();
        let current = state.current.as_mut().expect("make_room gave a file");
        let sequence = state.next_sequence;
        let address = Address {
            id: current.id,
            sequence,
            flushed_below: state.flushed_below,
            ordinal: current.ordinal,
        };
        frame::encode(items, address, padded, buffer.as_mut_slice());
        self.inner.env.pool().note_copy(padded);
        let frame = buffer.seal(padded);
        let before = state.full.iter_mut().map(|file| &mut file.holdings);
        let payload_bytes = note_frame(&frame, sequence, &mut current.holdings, before);
        let position = current.position;
        current.position += padded as u64;
        current.ordinal += 1;
        state.next_sequence += 1;
        state.held_bytes += padded;
        state.held.push_back(Held { sequence, frame: frame.clone() });
        state.in_doubt = true;
        state.metrics.frames += 1;
        state.metrics.payload_bytes += payload_bytes;
        state.metrics.written_bytes += padded as u64;
        Ok((current.file.clone(), frame, position))
    }

    /// Makes every frame written so far durable.
    pub(crate) async fn flush(&self, group: Group) -> Result<(), JournalError> {
        let file = {
            let state = &mut *self.inner.state.borrow_mut();
            let Some(current) = state.current.as_ref().filter(|_| !state.held.is_empty()) else {
                return Ok(());
            };
            state.in_doubt = true;
            state.metrics.flushes += 1;
            current.file.clone()
        };
        match file.sync(group).await {
            Ok(()) => {
                self.flushed();
                Ok(())
            }
            Err(failure) => self.rescue(failure, group).await,
        }
    }

    /// Every frame that is held was flushed.
    pub(crate) fn flushed(&self) {
        let mut state = self.inner.state.borrow_mut();
        state.held.clear();
        state.held_bytes = 0;
        state.flushed_below = state.next_sequence;
        state.in_doubt = false;
    }

    /// Makes the current file one in which a frame of `len` bytes fits, in space that upkeep is
    /// not writing to.
    async fn make_room(&self, len: usize, group: Group) -> Result<(), JournalError> {
        let mut waited = false;
        loop {
            let seen = self.inner.prepared.seen();
            let fits = {
                let state = &mut *self.inner.state.borrow_mut();
                let zeros_under_way = state.upkeep == Upkeep::Zeros;
                match &mut state.current {
                    Some(current) if current.fits(len, self.inner.options.file_bytes) => {
                        let end = current.position + len as u64;
                        let clear = end <= current.prepared || !zeros_under_way;
                        if clear {
                            current.prepared = current.prepared.max(end);
                        }
                        Some(clear)
                    }
                    _ => None,
                }
            };
            match fits {
                Some(true) => break,
                Some(false) => {
                    waited = true;
                    self.inner.prepared.after(seen).await;
                }
                None => {
                    self.flush(group).await?;
                    waited |= self.next_file().await?;
                }
            }
        }
        self.inner.state.borrow_mut().metrics.waits_for_space += u64::from(waited);
        Ok(())
    }
}

/// Notes the items of `frame`; says how many bytes they are.
pub(crate) fn note_frame<'a>(
    frame: &[u8],
    sequence: u64,
    newest: &mut holdings::Holdings,
    before: impl Iterator<Item = &'a mut holdings::Holdings>,
) -> u64 {
    let header = FrameHeader::read(frame).expect("a frame that was encoded here");
    let payload = &frame[FRAME_HEADER_LEN..header.frame_len()];
    let mut before: Vec<_> = before.collect();
    for item in Items::new(payload, header.items) {
        let item = item.expect("a frame that was encoded here");
        holdings::note(&item, sequence, newest, before.iter_mut().map(|older| &mut **older));
    }
    payload.len() as u64
}

/// Whether a failure to make a file says nothing about the device's health.
pub(crate) fn passes(failure: &IoFailure) -> bool {
    failure.is_full() || failure.kind == std::io::ErrorKind::OutOfMemory
}

impl<E: Env> Clone for Journal<E> {
    fn clone(&self) -> Journal<E> {
        Journal { inner: Rc::clone(&self.inner) }
    }
}

impl<E: Env> fmt::Debug for Journal<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Journal")
            .field("mark", &self.mark())
            .field("pressure", &self.pressure())
            .finish_non_exhaustive()
    }
}
