//! A tiny write-ahead log on the seam, right and deliberately wrong, to show that the simulated
//! and the recording disk tell one from the other.
//!
//! Values are appended and acknowledged one at a time; the newest can be taken back. Each is a
//! frame of 700 bytes (so that it spans sectors) in files of four frames.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use evenkeel_env::{Disk, Env, File, Group, IoFailure, OpenMode};

const GROUP: Group = Group::Produce;
const FRAME: usize = 700;
const FRAME_BYTES: u64 = FRAME as u64;
const FRAMES_PER_FILE: u64 = 4;

/// A rule that the log keeps or breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Breaks {
    Nothing,
    /// Acknowledges an append and flushes it a little later.
    AckBeforeFlush,
    /// Does not flush the directory after it made a file.
    NoSyncDir,
    /// Acknowledges that values are taken back before their removal is durable.
    NoSyncOfLength,
}

/// One thing done to the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Append(u64),
    /// Takes back the newest value, if it is in the newest file.
    TakeBack,
}

pub(crate) struct Toy<E: Env> {
    env: E,
    breaks: Breaks,
    file: <E::Disk as Disk>::File,
    file_number: u64,
    /// Values in the newest file.
    in_file: u64,
    values: Vec<u64>,
}

fn path(number: u64) -> PathBuf {
    PathBuf::from(format!("toy/log-{number:04}"))
}

/// Value, place in the log, and a sum over both that no other frame and no zeros have.
fn frame(value: u64, place: u64) -> [u8; FRAME] {
    let mut frame = [0x5A; FRAME];
    let sum = (value ^ 0x70_79).wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ place.rotate_left(40);
    for at in [0, frame.len() - 24] {
        frame[at..at + 8].copy_from_slice(&value.to_le_bytes());
        frame[at + 8..at + 16].copy_from_slice(&place.to_le_bytes());
        frame[at + 16..at + 24].copy_from_slice(&sum.to_le_bytes());
    }
    frame
}

impl<E: Env> Toy<E> {
    /// Recovers what is there: the longest run of whole frames. Everything behind it is removed
    /// and the removal made durable.
    pub(crate) async fn open(env: &E, breaks: Breaks) -> Result<Toy<E>, IoFailure> {
        let disk = env.disk();
        disk.create_dir(Path::new("toy")).await?;
        disk.sync_dir(Path::new("")).await?;
        let mut values = Vec::new();
        let mut newest = None;
        let mut whole = true;
        for (number, entry) in disk.list(Path::new("toy")).await?.into_iter().enumerate() {
            let here = path(number as u64);
            if !whole || here.file_name().is_none_or(|name| name != entry.name.as_str()) {
                disk.remove_file(&Path::new("toy").join(entry.name)).await?;
                whole = false;
                continue;
            }
            let file = disk.open(&here, OpenMode::existing()).await?;
            let found = replay(env, &file, values.len() as u64).await?;
            whole = found.len() as u64 == FRAMES_PER_FILE;
            newest = Some((file, number as u64, found.len() as u64));
            values.extend(found);
        }
        disk.sync_dir(Path::new("toy")).await?;
        let (file, file_number, in_file) = match newest {
            Some((file, number, in_file)) => {
                file.set_len(in_file * FRAME_BYTES).await?;
                file.sync(GROUP).await?;
                (file, number, in_file)
            }
            None => (new_file(env, 0, breaks).await?, 0, 0),
        };
        Ok(Toy { env: env.clone(), breaks, file, file_number, in_file, values })
    }

    pub(crate) fn values(&self) -> &[u64] {
        &self.values
    }

    /// Whether the newest value can be taken back.
    pub(crate) fn can_take_back(&self) -> bool {
        self.in_file > 0
    }

    /// When this returns, the step is acknowledged.
    pub(crate) async fn apply(&mut self, step: Step) -> Result<(), IoFailure> {
        match step {
            Step::Append(value) => self.append(value).await,
            Step::TakeBack => self.take_back().await,
        }
    }

    async fn append(&mut self, value: u64) -> Result<(), IoFailure> {
        if self.in_file == FRAMES_PER_FILE {
            self.file_number += 1;
            self.in_file = 0;
            self.file = new_file(&self.env, self.file_number, self.breaks).await?;
        }
        let frame = frame(value, self.values.len() as u64);
        let mut buffer = self.env.pool().buffer(frame.len()).expect("the toy needs one");
        buffer.as_mut_slice()[..frame.len()].copy_from_slice(&frame);
        self.file.write_at(buffer.seal(frame.len()), self.in_file * FRAME_BYTES, GROUP).await?;
        if self.breaks == Breaks::AckBeforeFlush {
            let file = self.file.clone();
            self.env.spawn(GROUP, async move {
                let _ = file.sync(GROUP).await;
            });
        } else {
            self.file.sync(GROUP).await?;
        }
        self.in_file += 1;
        self.values.push(value);
        Ok(())
    }

    async fn take_back(&mut self) -> Result<(), IoFailure> {
        self.file.set_len((self.in_file - 1) * FRAME_BYTES).await?;
        if self.breaks != Breaks::NoSyncOfLength {
            self.file.sync(GROUP).await?;
        }
        self.in_file -= 1;
        self.values.pop();
        Ok(())
    }
}

async fn new_file<E: Env>(
    env: &E,
    number: u64,
    breaks: Breaks,
) -> Result<<E::Disk as Disk>::File, IoFailure> {
    let file = env.disk().open(&path(number), OpenMode::new_file()).await?;
    if breaks != Breaks::NoSyncDir {
        env.disk().sync_dir(Path::new("toy")).await?;
    }
    Ok(file)
}

async fn replay<E: Env>(
    env: &E,
    file: &<E::Disk as Disk>::File,
    first: u64,
) -> Result<Vec<u64>, IoFailure> {
    let mut values = Vec::new();
    while (values.len() as u64) < FRAMES_PER_FILE {
        let buffer = env.pool().buffer(FRAME).expect("the toy needs one");
        let position = values.len() as u64 * FRAME_BYTES;
        let (read, buffer) = file.read_at(buffer, FRAME, position, GROUP).await;
        let bytes = &buffer.as_slice()[..read?];
        if bytes.len() < FRAME {
            break;
        }
        let value = u64::from_le_bytes(bytes[..8].try_into().expect("eight bytes"));
        if bytes != frame(value, first + values.len() as u64) {
            break;
        }
        values.push(value);
    }
    Ok(values)
}

/// What the user of a log knows: what was acknowledged, and what is still under way.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Known {
    pub(crate) acknowledged: Vec<u64>,
    pub(crate) under_way: Option<Step>,
}

impl Known {
    /// Whether a log that recovered `values` kept its word.
    pub(crate) fn allows(&self, values: &[u64]) -> bool {
        let mut done = self.acknowledged.clone();
        match self.under_way {
            Some(Step::Append(value)) => done.push(value),
            Some(Step::TakeBack) => {
                done.pop();
            }
            None => {}
        }
        values == self.acknowledged || values == done
    }
}

/// The steps number `from` to `to` of a seed.
pub(crate) async fn work<E: Env>(
    toy: &mut Toy<E>,
    seed: u64,
    steps: std::ops::Range<u64>,
    known: &Rc<RefCell<Known>>,
    mut told: impl FnMut(&Known),
) -> Result<(), IoFailure> {
    for n in steps {
        let random = (seed + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> (n % 60);
        let step = match random % 4 {
            0 if toy.can_take_back() => Step::TakeBack,
            _ => Step::Append(n),
        };
        known.borrow_mut().under_way = Some(step);
        told(&known.borrow());
        toy.apply(step).await?;
        *known.borrow_mut() = Known { acknowledged: toy.values().to_vec(), under_way: None };
        told(&known.borrow());
    }
    Ok(())
}
