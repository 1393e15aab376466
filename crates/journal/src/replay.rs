//! After a start: what the journals of earlier runs hold, of all shards that there were.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use buf::{PAGE, Sealed, page_down, page_up};
use env::{Disk, Env, File, Group, OpenMode};
use record::{Batches, Offset, TopicId, TopicPartition};

use crate::checkpoint::Checkpoint;
use crate::error::{ReleaseError, ReplayError};
use crate::history::{History, PartitionReplay, Piece, PiecePlace};
use crate::item::Items;
use crate::journal::FileOf;
use crate::layout::{FileId, FilePage, Mark, VERSION, file_name, parse_name};
use crate::release::remove;
use crate::scan::{FoundFrame, Window};

/// What distinguishes this start of the broker from every earlier one. The same on all shards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunStart {
    /// Above the run of every journal file and checkpoint that was found.
    pub run: u64,
    /// Above the number of every journal file that was found.
    pub first_number: u32,
}

impl RunStart {
    /// The first start on an empty directory.
    pub const FIRST: RunStart = RunStart { run: 1, first_number: 0 };
}

/// Something that is not as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Damage {
    /// Frames that had been flushed are not intact. What they held is missing from the replay.
    Frames {
        /// The file in which, or before which, they are missing.
        path: PathBuf,
        /// The run of the broker that wrote them.
        run: u64,
        /// Their sequences, half-open.
        sequences: Range<u64>,
    },
    /// The header page is unreadable and there is something behind it. A loss of power while
    /// a settled file is recycled may leave that, if the device tears sectors; or it is damage,
    /// and whatever the file held is missing.
    Header {
        /// The file.
        path: PathBuf,
    },
}

/// A journal file of an earlier run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OldFile {
    /// Its path in the data directory.
    pub path: PathBuf,
    /// Frames that were replayed from it.
    pub frames: u64,
    /// Length of the file in bytes.
    pub len_bytes: u64,
}

/// The journal files of earlier runs, oldest content first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OldFiles {
    files: Vec<OldFile>,
}

impl OldFiles {
    /// The files.
    #[must_use]
    pub fn files(&self) -> &[OldFile] {
        &self.files
    }

    /// Makes them void, oldest first, each durably before the next, and removes them. Call it when
    /// everything that was replayed is durable elsewhere and a checkpoint of this run says so;
    /// until then no journal recycles a file. After an error or a drop, call it again.
    pub async fn retire<E: Env>(&self, env: &E) -> Result<(), ReleaseError> {
        let mut opened = Vec::new();
        for old in &self.files {
            let name = old.path.to_str().and_then(parse_name);
            let (shard, number) = name.expect("replay read files with such names only");
            match env.disk().open(&old.path, OpenMode::existing().direct()).await {
                Ok(file) => {
                    opened.push((file, FileId { shard, number, run: 0, generation: 0, salt: 0 }));
                }
                Err(failure) if failure.kind == std::io::ErrorKind::NotFound => {}
                Err(failure) => return Err(failure.into()),
            }
        }
        remove(env, env.pool(), opened).await?;
        Ok(())
    }
}

/// What the journals hold beyond the checkpoint. Payloads stay on the disk until they are read.
pub struct Replay<E: Env> {
    env: E,
    handles: Vec<FileOf<E>>,
    files: OldFiles,
    history: History,
    damage: Vec<Damage>,
    start: RunStart,
}

struct Candidate<F> {
    file: F,
    path: PathBuf,
    len_bytes: u64,
    /// Its identity and the sequence of its first frame, if it holds any frame.
    content: Option<(FileId, u64)>,
}

/// Reads every journal file in the data directory, of all shards and runs, whatever the number
/// of shards is now, in [`Group::Recovery`] unless somebody waits: `group`. Changes nothing, but
/// flushes every file of which it replays a frame: a process that died may have written frames
/// that it never flushed, and what is shown or acknowledged from now on must outlive the power.
/// `checkpoint` is what [`checkpoint::load`](crate::checkpoint::load) gave; an empty one if
/// there is none.
///
/// Memory: one frame, and about 60 bytes for each item of the journals that the checkpoint does
/// not cover.
pub async fn replay<E: Env>(
    env: &E,
    checkpoint: &Checkpoint,
    group: Group,
) -> Result<Replay<E>, ReplayError> {
    let mut found = Vec::new();
    let mut start = RunStart { run: checkpoint.run_max().saturating_add(1), ..RunStart::FIRST };
    for entry in env.disk().list(Path::new("")).await? {
        let Some((shard, number)) = parse_name(&entry.name) else { continue };
        if !entry.is_dir {
            start.first_number = start.first_number.max(number.saturating_add(1));
            found.push(file_name(shard, number));
        }
    }
    let mut scan = Scan::new(checkpoint);
    let mut candidates = Vec::new();
    let mut window = None;
    for path in found {
        let file = env.disk().open(&path, OpenMode::existing().direct()).await?;
        let window = match &mut window {
            Some(window) => {
                Window::turn_to(window, file.clone());
                window
            }
            none => none.insert(Window::new(env, file.clone(), group)?),
        };
        candidates.push(scan.look_at(window, file, path).await?);
        start.run = start.run.max(scan.run_max.saturating_add(1));
        env.yield_if_needed().await;
    }
    candidates.sort_by_key(|file| {
        file.content.map(|(id, sequence)| (id.run, id.shard, sequence, id.generation))
    });
    let mut files = Vec::new();
    let mut handles = Vec::new();
    for (n, candidate) in (0..).zip(candidates) {
        let mut frames = 0;
        if let (Some((id, sequence)), Some(window)) = (candidate.content, &mut window) {
            window.turn_to(candidate.file.clone());
            scan.begin_file(id, sequence);
            frames = scan.read(env, window, id, &candidate.path, n).await?;
        }
        if 0 < frames {
            candidate.file.sync(group).await?;
        }
        let Candidate { path, len_bytes, .. } = candidate;
        files.push(OldFile { path, frames, len_bytes });
        handles.push(candidate.file);
    }
    scan.history.finish();
    let (history, damage) = (scan.history, scan.damage);
    Ok(Replay { env: env.clone(), handles, files: OldFiles { files }, history, damage, start })
}

/// The scan of all files, in order.
struct Scan<'a> {
    checkpoint: &'a Checkpoint,
    history: History,
    damage: Vec<Damage>,
    /// The journal that is being read, by run and shard, and its next frame.
    journal: Option<(u64, u16)>,
    expected: u64,
    run_max: u64,
}

impl<'a> Scan<'a> {
    fn new(checkpoint: &'a Checkpoint) -> Scan<'a> {
        let history = History::default();
        Scan { checkpoint, history, damage: Vec::new(), journal: None, expected: 0, run_max: 0 }
    }

    async fn look_at<F: File>(
        &mut self,
        window: &mut Window<F>,
        file: F,
        path: PathBuf,
    ) -> Result<Candidate<F>, ReplayError> {
        let len_bytes = file.len().await?;
        let name = path.to_str().and_then(parse_name);
        let id = match window.file_page().await? {
            FilePage::Version(version) => return Err(ReplayError::Version { path, version }),
            FilePage::Header(id) if name == Some((id.shard, id.number)) => Some(id),
            // A file under another file's name was copied there by hand.
            FilePage::Header(_) | FilePage::Unreadable => None,
        };
        let mut content = None;
        if let Some(id) = id {
            self.run_max = self.run_max.max(id.run);
            // If the first frame is damaged, the next one says what it was.
            let frame = match window.frame(id, PAGE as u64).await? {
                None => window.next_frame(id, PAGE as u64, 0).await?,
                first => first,
            };
            content = frame.map(|frame| {
                let before = u64::from(frame.header.ordinal);
                (id, frame.header.sequence.saturating_sub(before))
            });
        } else if window.has_frame_magic().await? {
            self.damage.push(Damage::Header { path: path.clone() });
        }
        Ok(Candidate { file, path, len_bytes, content })
    }

    /// The next file is that of `id`, whose first frame has, or had, `sequence`.
    fn begin_file(&mut self, id: FileId, sequence: u64) {
        if self.journal != Some((id.run, id.shard)) {
            self.journal = Some((id.run, id.shard));
            self.expected = sequence;
        }
    }

    /// Reads the frames of one file; says how many.
    async fn read<E: Env>(
        &mut self,
        env: &E,
        window: &mut Window<FileOf<E>>,
        id: FileId,
        path: &Path,
        file: u32,
    ) -> Result<u64, ReplayError> {
        let mut frames = 0;
        let mut position = PAGE as u64;
        let mut ordinal = 0;
        loop {
            let frame = match window.frame(id, position).await? {
                Some(frame) if frame.header.ordinal == ordinal => frame,
                _ => match window.next_frame(id, position, ordinal).await? {
                    // Frames behind a gap count only if the gap had been flushed: otherwise
                    // the power went while they were on their way, in any order.
                    Some(frame) if self.flushed_gap(&frame, ordinal) => frame,
                    _ => return Ok(frames),
                },
            };
            frames += u64::from(self.take(window, &frame, path, file)?);
            position = frame.end();
            ordinal = frame.header.ordinal.saturating_add(1);
            env.yield_if_needed().await;
        }
    }

    /// Whether a frame before `frame`, in a file of which `ordinal` frames are intact, had been
    /// flushed when `frame` was written.
    fn flushed_gap(&self, frame: &FoundFrame, ordinal: u32) -> bool {
        let header = &frame.header;
        let missing = u64::from(header.ordinal - ordinal);
        header.sequence.saturating_sub(missing) < header.flushed_below
    }

    /// Folds one frame, unless it is a copy of one that was folded. Says whether it did.
    fn take<F: File>(
        &mut self,
        window: &Window<F>,
        frame: &FoundFrame,
        path: &Path,
        file: u32,
    ) -> Result<bool, ReplayError> {
        let header = &frame.header;
        if header.version != VERSION {
            return Err(ReplayError::Version { path: path.into(), version: header.version });
        }
        if header.sequence < self.expected {
            return Ok(false);
        }
        let flushed = self.expected..header.sequence.min(header.flushed_below);
        if !flushed.is_empty() {
            let (path, run) = (path.to_path_buf(), header.id.run);
            self.damage.push(Damage::Frames { path, run, sequences: flushed });
        }
        self.expected = header.sequence.saturating_add(1);
        let mark = Mark { run: header.id.run, sequence: header.sequence };
        for item in Items::new(window.payload(frame), header.items) {
            let malformed =
                |_| ReplayError::Malformed { path: path.to_path_buf(), position: frame.position };
            let item = item.map_err(malformed)?;
            self.history.take(&item, mark, self.checkpoint, |at, bytes| PiecePlace {
                file,
                position: frame.payload_position() + at as u64,
                len: u32::try_from(bytes.len()).expect("a frame is below 4 GiB"),
                crc: crc32c::crc32c(bytes),
            });
        }
        Ok(true)
    }
}

impl<E: Env> Replay<E> {
    /// What this start is to be called, for every journal that it opens.
    #[must_use]
    pub fn start(&self) -> RunStart {
        self.start
    }

    /// What the journals say about `partition`; `None` if nothing beyond its checkpoint.
    #[must_use]
    pub fn partition(&self, partition: TopicPartition) -> Option<&PartitionReplay> {
        self.history.partitions.get(&partition)
    }

    /// Every partition of which they say something.
    #[must_use]
    pub fn partitions(&self) -> &BTreeMap<TopicPartition, PartitionReplay> {
        &self.history.partitions
    }

    /// Topics that were deleted. Their directories may still be there.
    #[must_use]
    pub fn deleted(&self) -> &BTreeSet<TopicId> {
        &self.history.deleted
    }

    /// What was found damaged. To be told to the operator.
    #[must_use]
    pub fn damage(&self) -> &[Damage] {
        &self.damage
    }

    /// The files that were read, to retire them later without keeping the replay.
    #[must_use]
    pub fn old_files(&self) -> &OldFiles {
        &self.files
    }

    /// The batches of `piece`, of this replay, that end at or below its `until`. Their checksum is
    /// checked once more.
    pub async fn read(&self, piece: &Piece, group: Group) -> Result<Sealed, ReplayError> {
        let PiecePlace { file, position, len, crc } = piece.place;
        let file = usize::try_from(file).expect("an index");
        let len = usize::try_from(len).expect("a frame is below 4 GiB");
        let from = page_down(position);
        let skip = usize::try_from(position - from).expect("less than a page");
        let want = page_up(skip + len);
        let buffer = self.env.pool().buffer(want)?;
        let (read, buffer) = self.handles[file].read_at(buffer, want, from, group).await;
        let end = read?;
        let changed =
            || ReplayError::Changed { path: self.files.files[file].path.clone(), position };
        if end < skip + len {
            return Err(changed());
        }
        let bytes = buffer.seal(skip + len).slice(skip..skip + len);
        if crc32c::crc32c(&bytes) != crc {
            return Err(changed());
        }
        if piece.until == piece.next {
            return Ok(bytes);
        }
        let valid = valid_len(&bytes, piece.until);
        Ok(bytes.slice(0..valid))
    }
}

/// How many bytes at the front of `batches` are whole batches that end at or below `until`.
fn valid_len(batches: &[u8], until: Offset) -> usize {
    Batches::new(batches)
        .map_while(Result::ok)
        .take_while(|(header, _)| header.next_offset() <= until)
        .map(|(_, batch)| batch.len())
        .sum()
}

impl<E: Env> fmt::Debug for Replay<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Replay")
            .field("start", &self.start)
            .field("partitions", &self.history.partitions.len())
            .field("damage", &self.damage)
            .finish_non_exhaustive()
    }
}
