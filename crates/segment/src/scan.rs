//! Headers in order, and what can be told from them: records by timestamp.

use std::ops::ControlFlow;

use env::{Disk, Env, File, Group, OpenMode};
use index::{Run, SearchError, TimeEntry, last_before};
use record::{EndTransaction, Header, LeaderEpoch, Offset, Records, payload};

use crate::headers::{Headers, Next};
use crate::image::Image;
use crate::layout::{self, Kind};
use crate::limits::{CONTROL_BYTES_MAX, DECOMPRESSED_BYTES_MAX, HEADERS_PER_TURN, SCAN_BYTES};
use crate::log::Log;
use crate::reader::{FileReader, is_missing};
use crate::segment::{Files, Segment};
use crate::tail::Mark;
use crate::walk::{Bounds, header_at};
use crate::{Corrupt, Flaw, Found, ReadError, Seen};

impl<E: Env> Log<E> {
    /// Shows `each` every batch, in order, from the one that holds `from`, or the next one behind
    /// it, to the end of the log: its header and, if it ends a transaction, the marker. What is in
    /// memory is read there. A control batch whose record cannot be read shows no marker.
    pub async fn scan(
        &self,
        from: Offset,
        group: Group,
        mut each: impl FnMut(&Seen),
    ) -> Result<(), ReadError> {
        self.each_batch(from, group, |seen| {
            each(seen);
            ControlFlow::Continue(())
        })
        .await
    }

    /// [`scan`](Log::scan) of the batches that begin below `until`.
    pub async fn scan_below(
        &self,
        from: Offset,
        until: Offset,
        group: Group,
        mut each: impl FnMut(&Seen),
    ) -> Result<(), ReadError> {
        self.each_batch(from, group, |seen| {
            if until <= seen.header.base_offset {
                return ControlFlow::Break(());
            }
            each(seen);
            if until <= seen.header.next_offset() {
                return ControlFlow::Break(());
            }
            ControlFlow::Continue(())
        })
        .await
    }

    /// An offset from which on about `bytes` of the active segment are left, its base if that is all of
    /// it: what a [`scan`](Log::scan) from there costs. The end of the log if there is no such
    /// offset that an index would find.
    pub async fn offset_near_end(&self, bytes: u64, group: Group) -> Result<Offset, ReadError> {
        let (base, len, end) = {
            let state = self.inner.state.borrow();
            let active = state.active();
            (active.base, active.len, active.next)
        };
        if len <= bytes {
            return Ok(base);
        }
        // Batches are alike, mostly.
        let all = i128::from(end.raw() - base.raw());
        let behind = i64::try_from(all * i128::from(bytes) / i128::from(len)).unwrap_or(0);
        let Some(guess) = Offset::new(end.raw() - behind) else { return Ok(end) };
        let position = self.position_before(base, guess, group).await?;
        Ok(if len - position.min(len) <= 4 * bytes { guess } else { end })
    }

    /// [`scan`](Log::scan) that may be stopped.
    async fn each_batch(
        &self,
        mut from: Offset,
        group: Group,
        mut each: impl FnMut(&Seen) -> ControlFlow<()>,
    ) -> Result<(), ReadError> {
        loop {
            let removals = self.inner.state.borrow().removals;
            let hot = self.hot_batches(from);
            if let Some(batches) = hot {
                if batches.is_empty() {
                    return Ok(());
                }
                for seen in batches {
                    if each(&seen).is_break() {
                        return Ok(());
                    }
                    from = seen.header.next_offset();
                }
            } else {
                match self.file_batches(from, group, &mut each).await {
                    Ok(ControlFlow::Continue(next)) => from = next,
                    Ok(ControlFlow::Break(())) => return Ok(()),
                    Err(_) if removals != self.inner.state.borrow().removals => {}
                    Err(error) => return Err(error),
                }
            }
            self.inner.env.yield_if_needed().await;
        }
    }

    /// Some batches from memory; none at the end of the log. `None` if they are not there.
    fn hot_batches(&self, from: Offset) -> Option<Vec<Seen>> {
        let state = self.inner.state.borrow();
        if state.end() <= from {
            return Some(Vec::new());
        }
        let segment = &state.segments[&state.holder(from)?];
        let Segment { len, next, ref tail, .. } = *segment;
        let Mark { mut base, mut position } = segment.start_in_memory(from)?;
        let image = tail.image(position..len);
        let bounds = Bounds { limit: len, next, bad: &[] };
        let mut batches = Vec::new();
        while position < len && batches.len() < HEADERS_PER_TURN {
            let header = header_at(&image, position, base, bounds).ok()?;
            base = header.next_offset();
            if from < base {
                batches.push(Seen { header, ends: marker(&image, position, &header) });
            }
            position += header.len as u64;
        }
        (!batches.is_empty()).then_some(batches)
    }

    /// Batches from the file of one segment, to its end or until `each` stops: then where to go on.
    async fn file_batches(
        &self,
        from: Offset,
        group: Group,
        each: &mut impl FnMut(&Seen) -> ControlFlow<()>,
    ) -> Result<ControlFlow<(), Offset>, ReadError> {
        let (base, limit, next, broken, position, file) = loop {
            let (base, limit, next, broken, removals) = {
                let state = self.inner.state.borrow();
                let first = state.first_base();
                let base = state.holder(from).ok_or(ReadError::OutOfRange { from, first })?;
                let segment = &state.segments[&base];
                let (limit, next) = (segment.written, segment.written_next);
                (base, limit, next, segment.broken.clone(), state.removals)
            };
            let position = self.position_before(base, from, group).await?;
            let file = self.log_file(base).await?;
            // Otherwise position and file may be those of two versions of the segment.
            if removals == self.inner.state.borrow().removals {
                break (base, limit, next, broken, position, file);
            }
        };
        let mut reader = FileReader::new(&self.inner.env, file, limit, group);
        reader.piece_bytes = SCAN_BYTES;
        let mut headers = Headers::new(position, base);
        let bounds = Bounds { limit, next, bad: &[] };
        loop {
            match headers.next(&mut reader, bounds).await? {
                Next::Batch(position, header) if from < header.next_offset() => {
                    let short = header.is_control() && header.len <= CONTROL_BYTES_MAX;
                    let here = short && reader.need(position, headers.position).await?;
                    let marker = || marker(&reader.image, position, &header);
                    let ends = here.then(marker).flatten();
                    if each(&Seen { header, ends }).is_break() {
                        return Ok(ControlFlow::Break(()));
                    }
                }
                Next::Batch(..) => {}
                Next::Bad(what) => {
                    let path = layout::path(&self.inner.dir, base, Kind::Log);
                    let (position, offset) = (headers.position, headers.next);
                    return Err(Corrupt { path, position, offset, what }.into());
                }
                Next::End => {
                    return match broken {
                        Some(broken) => Err(broken.into()),
                        None => Ok(ControlFlow::Continue(next.max(headers.next))),
                    };
                }
            }
        }
    }

    /// The first record at or behind the log start whose timestamp is `timestamp_ms` or later.
    /// `None` if there is none. Records of a compressed batch are decompressed, up to a bound.
    pub async fn find_time(
        &self,
        timestamp_ms: i64,
        group: Group,
    ) -> Result<Option<Found>, ReadError> {
        self.load_timestamps(group).await?;
        let (holder, start) = {
            let state = self.inner.state.borrow();
            let mut segments = state.segments.values();
            let holds = |s: &&Segment<_>| s.largest_ms.is_some_and(|most| timestamp_ms <= most);
            (segments.find(holds).map(|segment| segment.base), state.start)
        };
        let Some(base) = holder else { return Ok(None) };
        let mut from = self.time_floor(base, timestamp_ms, group).await?.max(start);
        // The batch may hold nothing at or behind the start: then the next one is the answer.
        loop {
            let mut batch = None;
            self.each_batch(from, group, |Seen { header, .. }| {
                if header.max_timestamp_ms < timestamp_ms {
                    return ControlFlow::Continue(());
                }
                batch = Some(*header);
                ControlFlow::Break(())
            })
            .await?;
            let Some(header) = batch else { return Ok(None) };
            let wanted = |offset: Offset, at_ms: i64| start <= offset && timestamp_ms <= at_ms;
            if let Some(found) = self.record_of(&header, group, wanted).await? {
                return Ok(Some(found));
            }
            from = header.next_offset();
        }
    }

    /// The first record that has the largest timestamp in the log; `None` if no record has one.
    pub async fn max_timestamp(&self, group: Group) -> Result<Option<Found>, ReadError> {
        self.load_timestamps(group).await?;
        let largest_ms = {
            let state = self.inner.state.borrow();
            state.segments.values().filter_map(|segment| segment.largest_ms).max()
        };
        match largest_ms {
            Some(largest_ms) if 0 <= largest_ms => self.find_time(largest_ms, group).await,
            _ => Ok(None),
        }
    }

    /// The first record of a batch that `wanted` accepts by offset and timestamp.
    async fn record_of(
        &self,
        header: &Header,
        group: Group,
        wanted: impl Fn(Offset, i64) -> bool,
    ) -> Result<Option<Found>, ReadError> {
        let (base, next) = (header.base_offset, header.next_offset());
        let read = self.read(base, next, header.len, true, group).await?;
        let mut batch = Vec::with_capacity(read.bytes);
        read.parts.iter().for_each(|part| batch.extend_from_slice(part));
        let corrupt = || {
            let holder = self.inner.state.borrow().holder(base).unwrap_or(base);
            let path = layout::path(&self.inner.dir, holder, Kind::Log);
            Corrupt { path, position: 0, offset: base, what: Flaw::Records }
        };
        let records = payload(&batch, DECOMPRESSED_BYTES_MAX).map_err(|_| corrupt())?;
        for (number, record) in Records::new(header, &records).enumerate() {
            let record = record.map_err(|_| corrupt())?;
            if wanted(record.offset, record.timestamp_ms) {
                return Ok(Some(Found {
                    offset: record.offset,
                    timestamp_ms: record.timestamp_ms,
                    leader_epoch: LeaderEpoch::new(header.leader_epoch),
                }));
            }
            if number % HEADERS_PER_TURN == 0 {
                self.inner.env.yield_if_needed().await;
            }
        }
        Ok(None)
    }

    /// Learns the largest timestamp of every segment of which it is not known, from the last entry
    /// of its time index or, without one, from its headers. Then [`segments`](Log::segments) says
    /// it of all.
    pub async fn load_timestamps(&self, group: Group) -> Result<(), ReadError> {
        loop {
            let unknown = {
                let state = self.inner.state.borrow();
                let mut segments = state.segments.values();
                segments.find(|s| s.largest_ms.is_none()).map(|s| (s.base, s.len))
            };
            let Some((base, len)) = unknown else { return Ok(()) };
            let largest_ms = match self.last_time_entry(base, group).await? {
                Some(entry) => entry.timestamp_ms,
                None if len == 0 => -1,
                None => self.largest_by_headers(base, group).await?,
            };
            if let Some(segment) = self.inner.state.borrow_mut().segments.get_mut(&base) {
                segment.largest_ms = Some(segment.largest_ms.unwrap_or(-1).max(largest_ms));
            }
            self.inner.env.yield_if_needed().await;
        }
    }

    async fn largest_by_headers(&self, base: Offset, group: Group) -> Result<i64, ReadError> {
        let next = self.inner.state.borrow().segments.get(&base).map(|segment| segment.next);
        let Some(next) = next else { return Ok(-1) };
        let mut largest_ms = -1;
        let all = self.each_batch(base, group, |Seen { header, .. }| {
            if next <= header.base_offset {
                return ControlFlow::Break(());
            }
            largest_ms = header.max_timestamp_ms.max(largest_ms);
            ControlFlow::Continue(())
        });
        match all.await {
            // What is readable counts.
            Ok(()) | Err(ReadError::Corrupt(_)) => Ok(largest_ms),
            Err(error) => Err(error),
        }
    }

    /// The last entry of the time index file of a sealed segment, if it has a usable one.
    async fn last_time_entry(
        &self,
        base: Offset,
        group: Group,
    ) -> Result<Option<TimeEntry>, ReadError> {
        self.time_entry(base, i64::MAX, group).await
    }

    /// The greatest entry at or below a timestamp in the time index file of a segment.
    async fn time_entry(
        &self,
        base: Offset,
        timestamp_ms: i64,
        group: Group,
    ) -> Result<Option<TimeEntry>, ReadError> {
        let files = {
            let state = self.inner.state.borrow();
            state.segments.get(&base).map_or(Files::Useless, |segment| segment.indexes.files)
        };
        let path = layout::path(&self.inner.dir, base, Kind::TimeIndex);
        let file = match self.inner.env.disk().open(&path, OpenMode::existing()).await {
            Ok(file) => file,
            Err(failure) if is_missing(&failure) => return Ok(None),
            Err(failure) => return Err(failure.into()),
        };
        let entries = match files {
            Files::Useless => return Ok(None),
            Files::Hold(filed) => filed.times,
            Files::Unread => file.len().await? / TimeEntry::LEN as u64,
        };
        let run = Run { entry_len: TimeEntry::LEN, entries };
        let decode =
            |bytes: &[u8]| bytes.first_chunk().and_then(|bytes| TimeEntry::decode(base, bytes));
        let before =
            |bytes: &[u8]| decode(bytes).is_some_and(|entry| entry.timestamp_ms <= timestamp_ms);
        match last_before(&self.inner.env, &file, run, before, group).await {
            Ok(hit) => Ok(hit.and_then(|hit| decode(&hit.bytes))),
            Err(SearchError::Short) => Ok(None),
            Err(SearchError::Io(failure)) => Err(failure.into()),
            Err(SearchError::OverBudget(over)) => Err(over.into()),
        }
    }

    /// An offset of the segment before which no record has so large a timestamp.
    async fn time_floor(
        &self,
        base: Offset,
        timestamp_ms: i64,
        group: Group,
    ) -> Result<Offset, ReadError> {
        let in_memory = {
            let state = self.inner.state.borrow();
            let building = state.segments.get(&base).and_then(|s| s.indexes.building.as_ref());
            building.and_then(|building| building.times.lookup(timestamp_ms))
        };
        let entry = match in_memory {
            Some(entry) => Some(entry),
            None => self.time_entry(base, timestamp_ms, group).await?,
        };
        Ok(entry.map_or(base, |entry| entry.offset.max(base)))
    }
}

/// The marker in the control batch at `position`, if all of it is in `image`.
fn marker(image: &Image, position: u64, header: &Header) -> Option<EndTransaction> {
    if !header.is_control() || CONTROL_BYTES_MAX < header.len {
        return None;
    }
    let mut batch = [0; CONTROL_BYTES_MAX];
    let batch = &mut batch[..header.len];
    if image.copy(position, batch) < header.len {
        return None;
    }
    EndTransaction::read(batch).ok().flatten()
}
