//! A file that will replace segments, while it is written.

use std::path::{Path, PathBuf};

use buf::{Buffer, PAGE};
use env::{Disk, Env, File, Group, OpenMode};
use index::{AbortedIndex, AbortedTransaction, Building};
use record::{Header, Offset};
use segment::{Replacement, SegmentFile, part_path};

use crate::PassError;

/// Bytes of one write.
const WRITE_BYTES: usize = 256 << 10;

/// Index entries of aborted transactions that are held until the file is finished.
pub(crate) const ABORTED_MAX: usize = 1 << 16;

/// A part that batches are appended to.
pub(crate) struct Output<E: Env> {
    env: E,
    dir: PathBuf,
    file: <E::Disk as Disk>::File,
    pub(crate) base: Offset,
    interval_bytes: u32,
    building: Building,
    /// Aborted transactions whose markers are in it.
    pub(crate) aborted: AbortedIndex,
    /// It has a transactional batch: then there is such an index even if nothing was aborted, so
    /// that none is told from one that was lost.
    transactional: bool,
    /// What is not written yet, and where it begins: at a page.
    buffer: Option<Buffer>,
    start: u64,
    used: usize,
}

impl<E: Env> Output<E> {
    /// Begins an empty one.
    pub(crate) async fn create(
        env: &E,
        dir: &Path,
        base: Offset,
        interval_bytes: u32,
    ) -> Result<Output<E>, PassError> {
        let path = part_path(dir, base, SegmentFile::Log);
        let file = env.disk().open(&path, OpenMode::create().direct()).await?;
        file.set_len(0).await?;
        Ok(Output::around(env, dir, file, base, interval_bytes))
    }

    fn around(
        env: &E,
        dir: &Path,
        file: <E::Disk as Disk>::File,
        base: Offset,
        interval_bytes: u32,
    ) -> Output<E> {
        Output {
            env: env.clone(),
            dir: dir.to_path_buf(),
            file,
            base,
            interval_bytes,
            building: Building::new(base),
            aborted: AbortedIndex::new(),
            transactional: false,
            buffer: None,
            start: 0,
            used: 0,
        }
    }

    /// Goes on with one that has `len` bytes on disk, flushed. `headers` are those of its batches.
    pub(crate) async fn resume(
        env: &E,
        dir: &Path,
        base: Offset,
        interval_bytes: u32,
        len: u64,
    ) -> Result<Output<E>, PassError> {
        let path = part_path(dir, base, SegmentFile::Log);
        let file = env.disk().open(&path, OpenMode::existing().direct()).await?;
        let page = len / PAGE as u64 * PAGE as u64;
        let used = usize::try_from(len - page).expect("less than a page");
        let mut output = Output::around(env, dir, file, base, interval_bytes);
        (output.start, output.used) = (page, used);
        if 0 < used {
            let buffer = env.pool().buffer(WRITE_BYTES)?;
            let (read, buffer) = output.file.read_at(buffer, PAGE, page, Group::Compaction).await;
            if read? < used {
                return Err(PassError::OwnFile);
            }
            output.buffer = Some(buffer);
        }
        Ok(output)
    }

    /// Counts a batch that is in the file already, at `position`.
    pub(crate) fn recount(&mut self, header: &Header, position: u64) {
        let position = u32::try_from(position).expect("a segment is below 2 GiB");
        self.building.add(header, position, self.interval_bytes);
        self.transactional |= header.is_transactional();
    }

    /// Bytes of batches so far.
    pub(crate) fn len(&self) -> u64 {
        self.start + self.used as u64
    }

    /// Whether a batch of `len` bytes may be appended.
    pub(crate) fn takes(&self, header: &Header, len: usize, segment_bytes: u64) -> bool {
        let most = segment_bytes.min(u64::from(i32::MAX.unsigned_abs()));
        let fits = self.len() == 0 || self.len() + len as u64 <= most;
        let room = self.aborted.entries().len() < ABORTED_MAX;
        fits && room && header.last_offset().since(self.base) <= i64::from(i32::MAX)
    }

    /// Appends a batch.
    pub(crate) async fn append(&mut self, header: &Header, batch: &[u8]) -> Result<(), PassError> {
        let header = Header { len: batch.len(), ..*header };
        self.recount(&header, self.len());
        let mut rest = batch;
        while !rest.is_empty() {
            let buffer = match &mut self.buffer {
                Some(buffer) => buffer,
                none => none.insert(self.env.pool().buffer(WRITE_BYTES)?),
            };
            let (now, later) = rest.split_at(rest.len().min(WRITE_BYTES - self.used));
            buffer.as_mut_slice()[self.used..self.used + now.len()].copy_from_slice(now);
            self.used += now.len();
            rest = later;
            if self.used == WRITE_BYTES {
                self.write().await?;
            }
        }
        Ok(())
    }

    /// Notes the aborted transaction of a marker that was appended.
    pub(crate) fn aborted(&mut self, entry: AbortedTransaction) {
        self.aborted.push(entry);
    }

    /// Writes what is in memory. The beginning of a page stays, to be written again with more.
    async fn write(&mut self) -> Result<(), PassError> {
        let Some(mut buffer) = self.buffer.take() else { return Ok(()) };
        let (whole, tail) = (self.used / PAGE * PAGE, self.used % PAGE);
        let len = self.used.div_ceil(PAGE) * PAGE;
        buffer.as_mut_slice()[self.used..len].fill(0);
        let mut next = None;
        if 0 < tail {
            let mut copy = self.env.pool().buffer(WRITE_BYTES)?;
            copy.as_mut_slice()[..tail].copy_from_slice(&buffer.as_slice()[whole..whole + tail]);
            next = Some(copy);
        }
        self.file.write_at(buffer.seal(len), self.start, Group::Compaction).await?;
        self.start += whole as u64;
        self.used = tail;
        self.buffer = next;
        self.env.yield_if_needed().await;
        Ok(())
    }

    /// Makes everything so far durable.
    pub(crate) async fn flush(&mut self) -> Result<(), PassError> {
        self.write().await?;
        self.file.sync(Group::Compaction).await?;
        self.env.disk().sync_dir(&self.dir).await?;
        Ok(())
    }

    /// Writes, cuts and flushes it, with its index of aborted transactions.
    pub(crate) async fn finish(mut self) -> Result<Replacement, PassError> {
        self.write().await?;
        let len_bytes = self.len();
        self.file.set_len(len_bytes).await?;
        self.file.sync(Group::Compaction).await?;
        let has_transactions = self.transactional;
        if has_transactions {
            let path = part_path(&self.dir, self.base, SegmentFile::TxnIndex);
            let bytes = self.aborted.encode();
            env::replace_file(&self.env, &path, &bytes, Group::Compaction).await?;
        }
        self.building.finish();
        let (base, building) = (self.base, self.building);
        Ok(Replacement { base, len_bytes, building, has_transactions, has_keys: false })
    }
}
