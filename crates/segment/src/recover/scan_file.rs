//! The scan of one segment file after an unclean stop: every batch, checksum included.

use env::{Env, File, Group};
use index::Building;
use record::{Header, Offset};

use crate::headers::{Headers, Next};
use crate::limits::{CHECKSUM_BYTES_PER_TURN, SCAN_BYTES};
use crate::log::FileOf;
use crate::reader::FileReader;
use crate::walk::Bounds;
use crate::{Flaw, ReadError};

/// How far a segment file is good.
#[derive(Debug)]
pub(super) struct Scan {
    /// Bytes of good batches.
    pub(super) position: u64,
    /// Offset after them.
    pub(super) next: Offset,
    /// Their index.
    pub(super) building: Building,
    /// Largest timestamp of the first batch.
    pub(super) first_timestamp_ms: Option<i64>,
    /// What is wrong behind them; `None` if the file ends there.
    pub(super) flaw: Option<Flaw>,
    /// If only the content of the next batch is wrong: its header.
    pub(super) damaged: Option<Header>,
}

impl Scan {
    pub(super) fn new(base: Offset) -> Scan {
        Scan {
            position: 0,
            next: base,
            building: Building::new(base),
            first_timestamp_ms: None,
            flaw: None,
            damaged: None,
        }
    }

    /// Counts a batch that begins where the good ones end, good or stepped over.
    pub(super) fn take(&mut self, header: &Header, interval_bytes: u32) {
        let position = u32::try_from(self.position).expect("checked by the walk");
        self.building.add(header, position, interval_bytes);
        self.first_timestamp_ms.get_or_insert(header.max_timestamp_ms);
        self.position += header.len as u64;
        self.next = header.next_offset();
        (self.flaw, self.damaged) = (None, None);
    }
}

/// Goes on with a scan until something is wrong or the file ends.
pub(super) async fn scan_file<E: Env>(
    reader: &mut FileReader<E>,
    scan: &mut Scan,
    interval_bytes: u32,
) -> Result<(), ReadError> {
    // A position has 31 bits in the index, an offset 31 bits above the base.
    let limit = reader.limit.min(u64::from(i32::MAX.unsigned_abs()));
    let next = scan.building.base().plus(i64::from(i32::MAX)).plus(1);
    let bounds = Bounds { limit, next, bad: &[] };
    let mut headers = Headers::new(scan.position, scan.next);
    loop {
        match headers.next(reader, bounds).await? {
            Next::Batch(position, header) => {
                if checksum(reader, position, &header).await? != header.crc {
                    (scan.flaw, scan.damaged) = (Some(Flaw::Checksum), Some(header));
                    return Ok(());
                }
                scan.take(&header, interval_bytes);
            }
            Next::Bad(flaw) => {
                scan.flaw = Some(flaw);
                return Ok(());
            }
            Next::End => return Ok(()),
        }
    }
}

/// The checksum of the batch at `position`, read piece by piece.
async fn checksum<E: Env>(
    reader: &mut FileReader<E>,
    position: u64,
    header: &Header,
) -> Result<u32, ReadError> {
    let end = position + header.len as u64;
    let mut from = position;
    let mut crc = 0;
    while from < end {
        let to = end.min(from + CHECKSUM_BYTES_PER_TURN as u64);
        if !reader.need(from, to).await? {
            // Not the checksum of anything that could be in the header.
            return Ok(!header.crc);
        }
        crc = reader.image.checksum(position, from..to, crc);
        from = to;
        if from < end {
            reader.env.yield_if_needed().await;
        }
    }
    Ok(crc)
}

/// Offset after the last batch of a file whose batches are trusted.
pub(super) async fn end_of_batches<E: Env>(
    env: &E,
    file: FileOf<E>,
    base: Offset,
    group: Group,
) -> Result<Offset, ReadError> {
    let limit = file.len().await?;
    let mut reader = FileReader::new(env, file, limit, group);
    reader.piece_bytes = SCAN_BYTES;
    let mut headers = Headers::new(0, base);
    let bounds = Bounds { limit, next: Offset::MAX, bad: &[] };
    while let Next::Batch(..) = headers.next(&mut reader, bounds).await? {}
    Ok(headers.next)
}
