//! Every batch of every segment of a log, and the indexes beside them.

use env::{Group, IoFailure, read_all};
use record::layout::HEADER_LEN;
use record::{Header, Offset, crc_is_right};

use super::Verifier;
use super::batch;
use super::findings::Place;
use super::indexes::{OffsetCheck, TimeCheck, check_aborted};
use crate::log_tools::directory::{Kind, LogFiles, SegmentFiles};
use crate::log_tools::reader::Reader;

/// Largest index file that is read, in bytes: an entry for each batch of the largest segment.
const INDEX_BYTES_MAX: usize = 256 << 20;
/// Longest batch that is read, in bytes: no broker takes a longer one.
const BATCH_BYTES_MAX: usize = 1 << 30;
/// Where a search for the next batch looks at a time, in bytes.
const SEARCH_BYTES: usize = 64 << 10;

/// What holds for one log.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scope {
    /// Below it everything was flushed; above it recovery may still cut. After a clean stop it does not matter.
    pub(super) recovery_point: Offset,
}

/// Where the walk over a log stands.
struct Walk {
    /// The next batch begins at or above this offset.
    next: Offset,
    /// Epoch of the last batch.
    epoch: i32,
    /// Recovery will cut here: what follows is not judged.
    over: bool,
}

/// What a walk over one segment leaves for its indexes.
struct Seen {
    offsets: Option<OffsetCheck>,
    times: Option<TimeCheck>,
    damaged: bool,
}

impl Verifier {
    /// Checks the segments of a log; gives the offset after its last batch.
    pub(super) async fn log(
        &mut self,
        files: &LogFiles,
        scope: Scope,
    ) -> Result<Offset, IoFailure> {
        self.findings.logs += 1;
        let first = files.segments.keys().next().copied().unwrap_or(Offset::ZERO);
        let mut walk = Walk { next: first, epoch: -1, over: false };
        for (base, lengths) in &files.segments {
            let place = Place::file(&files.path(*base, Kind::Log));
            if lengths.log.is_none() {
                self.judge(false, place, "it is missing, but files of its segment are there");
                continue;
            }
            if walk.over {
                self.findings.note(place, "it lies behind the end of the log and will be removed");
                continue;
            }
            if *base < walk.next {
                let next = walk.next.raw();
                let what = format!("the segment before it goes on to offset {next}");
                self.findings.damage(place, what);
            }
            walk.next = walk.next.max(*base);
            self.segment(files, *base, *lengths, &mut walk, scope).await?;
        }
        Ok(walk.next)
    }

    /// Damage, or a note where recovery settles it.
    fn judge(&mut self, settled: bool, place: Place, what: impl Into<String>) {
        if settled && !self.clean {
            self.findings.note(place, what);
        } else {
            self.findings.damage(place, what);
        }
    }

    async fn segment(
        &mut self,
        files: &LogFiles,
        base: Offset,
        lengths: SegmentFiles,
        walk: &mut Walk,
        scope: Scope,
    ) -> Result<(), IoFailure> {
        self.findings.segments += 1;
        let offsets = self.index(files, base, Kind::Index).await?;
        let times = self.index(files, base, Kind::TimeIndex).await?;
        let mut seen = Seen { offsets: None, times: None, damaged: false };
        let mut flaws = Vec::new();
        match offsets.map(|bytes| OffsetCheck::new(base, &bytes)) {
            Some(Ok(check)) => seen.offsets = Some(check),
            Some(Err(what)) => flaws.push((Kind::Index, what)),
            None if 0 < lengths.log.unwrap_or(0) => {
                flaws.push((Kind::Index, "it is missing".to_owned()));
            }
            None => {}
        }
        match times.map(|bytes| TimeCheck::new(base, &bytes)) {
            Some(Ok(check)) => seen.times = Some(check),
            Some(Err(what)) => flaws.push((Kind::TimeIndex, what)),
            None if 0 < lengths.log.unwrap_or(0) => {
                flaws.push((Kind::TimeIndex, "it is missing".to_owned()));
            }
            None => {}
        }
        self.walk(files, base, walk, scope, &mut seen).await?;
        if !seen.damaged {
            let clean = self.clean;
            flaws.extend(seen.offsets.and_then(OffsetCheck::end).map(|what| (Kind::Index, what)));
            let times = seen.times.and_then(|check| check.end(clean));
            flaws.extend(times.map(|what| (Kind::TimeIndex, what)));
            if let Some(bytes) = self.index(files, base, Kind::TxnIndex).await? {
                let flaw = check_aborted(base, walk.next, &bytes);
                flaws.extend(flaw.map(|what| (Kind::TxnIndex, what)));
            }
        }
        // An index is derived: recovery builds those anew that reach beyond the recovery point.
        let settled = scope.recovery_point < walk.next || walk.over;
        for (kind, what) in flaws {
            self.judge(settled, Place::file(&files.path(base, kind)), what);
        }
        Ok(())
    }

    /// The bytes of an index file; `None` if it does not exist.
    async fn index(
        &self,
        files: &LogFiles,
        base: Offset,
        kind: Kind,
    ) -> Result<Option<Vec<u8>>, IoFailure> {
        read_all(&self.env, &files.path(base, kind), INDEX_BYTES_MAX, Group::System).await
    }

    /// Checks every batch of one segment.
    async fn walk(
        &mut self,
        files: &LogFiles,
        base: Offset,
        walk: &mut Walk,
        scope: Scope,
        seen: &mut Seen,
    ) -> Result<(), IoFailure> {
        let path = files.path(base, Kind::Log);
        let mut reader = Reader::open(&self.env, &path).await?;
        self.findings.bytes += reader.len();
        let mut position = 0;
        while position < reader.len() {
            let what = match next_batch(&mut reader, position, walk).await? {
                Ok(header) => {
                    let place = Place::file(&path).at(position);
                    let batch = reader.at(position, header.len).await?;
                    self.take(place, batch, (position, header), walk, seen);
                    position += header.len as u64;
                    self.progress.add(header.len as u64);
                    continue;
                }
                Err(what) => what,
            };
            if !self.clean && scope.recovery_point <= walk.next {
                let left = reader.len() - position;
                let what = format!("{what}; recovery cuts {left} bytes here");
                let place = Place::file(&path).at(position).offset(walk.next);
                self.findings.note(place, what);
                walk.over = true;
                return Ok(());
            }
            seen.damaged = true;
            let found = search(&mut reader, position + 1, walk.next).await?;
            let end = found.unwrap_or(reader.len());
            let place = Place::file(&path).at(position).offset(walk.next);
            let what = format!("{what}; no intact batch in {} bytes", end - position);
            self.findings.damage(place, what);
            self.progress.add(end - position);
            position = end;
        }
        Ok(())
    }

    /// Takes the batch at `position`, which belongs there and whose checksum is right.
    fn take(
        &mut self,
        place: Place,
        batch: &[u8],
        (position, header): (u64, Header),
        walk: &mut Walk,
        seen: &mut Seen,
    ) {
        let place = place.offset(header.base_offset);
        match batch::check(&header, batch) {
            Ok(records) => self.findings.records += records,
            Err(what) => self.findings.damage(place.clone(), what),
        }
        if header.leader_epoch < walk.epoch {
            let (epoch, before) = (header.leader_epoch, walk.epoch);
            self.findings.damage(place, format!("its leader epoch {epoch} is below {before}"));
        }
        self.findings.batches += 1;
        walk.epoch = walk.epoch.max(header.leader_epoch);
        walk.next = header.next_offset();
        if let Some(offsets) = &mut seen.offsets {
            offsets.batch(position, &header);
        }
        if let Some(times) = &mut seen.times {
            times.batch(&header);
        }
    }
}

/// The header of the batch at `position`, if one lies there that follows what was before and is intact;
/// else what is wrong with it.
async fn next_batch(
    reader: &mut Reader,
    position: u64,
    walk: &Walk,
) -> Result<Result<Header, String>, IoFailure> {
    let bytes = reader.at(position, HEADER_LEN).await?;
    let header = match Header::read(bytes) {
        Ok(header) => header,
        Err(_) if bytes.iter().all(|byte| *byte == 0) => {
            return Ok(Err("zeros where a batch should begin".to_owned()));
        }
        Err(error) => return Ok(Err(error.to_string())),
    };
    if let Some(what) = misplaced(&header, reader.len() - position, walk.next) {
        return Ok(Err(what));
    }
    if !crc_is_right(reader.at(position, header.len).await?) {
        return Ok(Err("the checksum is wrong".to_owned()));
    }
    Ok(Ok(header))
}

/// Why a batch with this header cannot lie where `left` bytes are left and `next` is the next offset.
fn misplaced(header: &Header, left: u64, next: Offset) -> Option<String> {
    let len = header.len as u64;
    if left < len {
        return Some(format!("a batch of {len} bytes is cut off after {left}"));
    }
    if BATCH_BYTES_MAX < header.len {
        return Some(format!("a batch of {len} bytes is longer than any broker takes"));
    }
    let base = header.base_offset;
    (base < next).then(|| format!("offset {} where {} is next", base.raw(), next.raw()))
}

/// Where the first intact batch begins at or behind `from`, with offsets from `next` on.
async fn search(reader: &mut Reader, from: u64, next: Offset) -> Result<Option<u64>, IoFailure> {
    let mut start = from;
    while start + HEADER_LEN as u64 <= reader.len() {
        let piece = reader.at(start, SEARCH_BYTES).await?;
        let likely = |at: &usize| Header::read(&piece[*at..]).is_ok();
        let places: Vec<usize> =
            (0..=piece.len().saturating_sub(HEADER_LEN)).filter(likely).collect();
        let looked_at = piece.len().saturating_sub(HEADER_LEN - 1).max(1) as u64;
        for at in places {
            let position = start + at as u64;
            let walk = Walk { next, epoch: -1, over: false };
            if next_batch(reader, position, &walk).await?.is_ok() {
                return Ok(Some(position));
            }
        }
        start += looked_at;
    }
    Ok(None)
}
