//! Whether index entries lead where lookups expect. Pure: fed with the batches of a segment in order.

use index::{AbortedIndex, OffsetEntry, OffsetIndex, TimeEntry, TimeIndex};
use record::{Header, Offset};

/// Entries of an offset index against the batches of its segment.
#[derive(Debug)]
pub(super) struct OffsetCheck {
    entries: Vec<OffsetEntry>,
    at: usize,
    before: Option<Offset>,
    flaw: Option<String>,
}

impl OffsetCheck {
    /// Reads the file of the segment that begins at `base`.
    pub(super) fn new(base: Offset, bytes: &[u8]) -> Result<OffsetCheck, String> {
        let index = OffsetIndex::decode(base, bytes).map_err(|error| error.to_string())?;
        let entries = index.entries().collect();
        Ok(OffsetCheck { entries, at: 0, before: None, flaw: None })
    }

    /// The next batch lies at `position`.
    ///
    /// A lookup reads from an entry's position on, so what it wants may not lie before it.
    pub(super) fn batch(&mut self, position: u64, header: &Header) {
        let end = position + header.len as u64;
        while let Some(entry) = self.entries.get(self.at) {
            let at = u64::from(entry.position);
            if end <= at {
                break;
            }
            let offset = entry.offset.raw();
            if at != position {
                self.say(format!("entry {} points into a batch, to byte {at}", self.at));
            } else if self.before.is_some_and(|before| entry.offset <= before) {
                self.say(format!("entry {} for offset {offset} points behind it", self.at));
            } else if entry.offset < header.base_offset {
                self.say(format!("entry {} for offset {offset} points beyond it", self.at));
            }
            self.at += 1;
        }
        self.before = Some(header.last_offset());
    }

    fn say(&mut self, what: String) {
        self.flaw.get_or_insert(what);
    }

    /// The segment is over; the first thing that was wrong.
    pub(super) fn end(mut self) -> Option<String> {
        if let Some(entry) = self.entries.get(self.at) {
            let (number, position) = (self.at, entry.position);
            self.say(format!("entry {number} points beyond the segment, to byte {position}"));
        } else if let (Some(last), Some(end)) = (self.entries.last(), self.before)
            && end < last.offset
        {
            self.say(format!("the last entry is for offset {}", last.offset.raw()));
        }
        self.flaw
    }
}

/// Entries of a time index against the batches of its segment.
#[derive(Debug)]
pub(super) struct TimeCheck {
    entries: Vec<TimeEntry>,
    at: usize,
    largest_ms: i64,
    end: Option<Offset>,
    flaw: Option<String>,
}

impl TimeCheck {
    /// Reads the file of the segment that begins at `base`.
    pub(super) fn new(base: Offset, bytes: &[u8]) -> Result<TimeCheck, String> {
        let index = TimeIndex::decode(base, bytes).map_err(|error| error.to_string())?;
        let entries = index.entries().to_vec();
        Ok(TimeCheck { entries, at: 0, largest_ms: -1, end: None, flaw: None })
    }

    /// The next batch. No batch up to an entry's offset may have a larger timestamp.
    pub(super) fn batch(&mut self, header: &Header) {
        while let Some(entry) = self.entries.get(self.at)
            && entry.offset < header.last_offset()
        {
            self.judge(*entry);
            self.at += 1;
        }
        self.largest_ms = self.largest_ms.max(header.max_timestamp_ms);
        self.end = Some(header.next_offset());
    }

    fn judge(&mut self, entry: TimeEntry) {
        if entry.timestamp_ms < self.largest_ms {
            let (at, offset) = (self.at, entry.offset.raw());
            self.flaw
                .get_or_insert(format!("entry {at} is below a timestamp before offset {offset}"));
        }
    }

    /// The segment is over; the first thing that was wrong. `finished`: its index must end with the largest
    /// timestamp.
    pub(super) fn end(mut self, finished: bool) -> Option<String> {
        while let Some(entry) = self.entries.get(self.at).copied() {
            self.judge(entry);
            if self.end.is_some_and(|end| end <= entry.offset) {
                let (at, offset) = (self.at, entry.offset.raw());
                self.flaw.get_or_insert(format!(
                    "entry {at} is for offset {offset}, beyond the segment"
                ));
            }
            self.at += 1;
        }
        let last_ms = self.entries.last().map_or(-1, |entry| entry.timestamp_ms);
        if self.flaw.is_none() && finished && last_ms < self.largest_ms {
            return Some(format!(
                "it ends with {last_ms}, not with the largest timestamp {}",
                self.largest_ms
            ));
        }
        self.flaw
    }
}

/// Checks the file of aborted transactions of the segment `[base, end)`.
pub(super) fn check_aborted(base: Offset, end: Offset, bytes: &[u8]) -> Option<String> {
    match AbortedIndex::decode(bytes) {
        Err(error) => Some(error.to_string()),
        Ok(index) => index
            .entries()
            .iter()
            .position(|entry| entry.last_offset < base || end <= entry.last_offset)
            .map(|number| format!("entry {number} is of another segment")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use index::Building;
    use record::{Builder, Codec};

    fn at(raw: i64) -> Offset {
        Offset::new(raw).unwrap()
    }

    /// Batches of two records at 0, 2, 4, ... with these largest timestamps, and their positions.
    fn batches(timestamps: &[i64]) -> Vec<(u64, Header)> {
        let mut position = 0;
        let mut all = Vec::new();
        for (n, timestamp) in (0..).zip(timestamps) {
            let mut builder = Builder::new(Codec::None);
            builder.base_offset(at(n * 2));
            builder.record(*timestamp, None, Some(&[1; 50]), &[]);
            builder.record(*timestamp, None, None, &[]);
            let header = Header::read(&builder.build()).unwrap();
            all.push((position, header));
            position += header.len as u64;
        }
        all
    }

    fn built(batches: &[(u64, Header)]) -> (Vec<u8>, Vec<u8>) {
        let mut building = Building::new(at(0));
        for (position, header) in batches {
            building.add(header, u32::try_from(*position).unwrap(), 0);
        }
        building.finish();
        let offsets = building.offsets.encode(0, building.offsets.len());
        (offsets, building.times.encode(0, building.times.len()))
    }

    fn offset_flaw(bytes: &[u8], batches: &[(u64, Header)]) -> Option<String> {
        let mut check = OffsetCheck::new(at(0), bytes).unwrap();
        batches.iter().for_each(|(position, header)| check.batch(*position, header));
        check.end()
    }

    fn time_flaw(bytes: &[u8], batches: &[(u64, Header)], finished: bool) -> Option<String> {
        let mut check = TimeCheck::new(at(0), bytes).unwrap();
        batches.iter().for_each(|(_, header)| check.batch(header));
        check.end(finished)
    }

    #[test]
    fn what_the_log_builds_is_right() {
        let batches = batches(&[10, 30, 20, 40, 40, 5]);
        let (offsets, times) = built(&batches);
        assert_eq!(offset_flaw(&offsets, &batches), None);
        assert_eq!(time_flaw(&times, &batches, true), None);
    }

    #[test]
    fn every_offset_entry_that_leads_astray_is_seen() {
        let batches = batches(&[10, 30, 20, 40]);
        let (offsets, _) = built(&batches);
        let changed = |change: &[(usize, u8)]| {
            let mut offsets = offsets.clone();
            change
                .iter()
                .for_each(|(place, by)| offsets[*place] = offsets[*place].wrapping_add(*by));
            offset_flaw(&offsets, &batches)
        };
        assert!(changed(&[(7, 1)]).unwrap().contains("into a batch"));
        assert!(changed(&[(3, 254)]).unwrap().contains("points behind it"));
        assert!(changed(&[(22, 9)]).unwrap().contains("beyond the segment"));
        assert!(changed(&[(19, 90)]).unwrap().contains("last entry"));
        let first = offsets[..8].to_vec();
        assert!(offset_flaw(&first, &batches[..1]).unwrap().contains("beyond the segment"));
    }

    #[test]
    fn every_time_entry_that_leads_astray_is_seen() {
        let batches = batches(&[10, 30, 20, 40]);
        let (_, times) = built(&batches);
        assert_eq!(times.len(), 2 * TimeEntry::LEN);
        let mut low = times.clone();
        low[7] = 29;
        assert!(time_flaw(&low, &batches, true).unwrap().contains("below a timestamp"));
        let mut far = times.clone();
        far[23] = 99;
        assert!(time_flaw(&far, &batches, true).unwrap().contains("beyond the segment"));
        assert!(time_flaw(&times[..12], &batches, true).unwrap().contains("largest"));
        assert_eq!(time_flaw(&times[..12], &batches, false), None);
    }

    #[test]
    fn a_transaction_of_another_segment_is_seen() {
        let entry = index::AbortedTransaction {
            producer_id: 1,
            first_offset: at(3),
            last_offset: at(9),
            last_stable: at(3),
        };
        let mut index = AbortedIndex::new();
        index.push(entry);
        let bytes = index.encode();
        assert_eq!(check_aborted(at(4), at(10), &bytes), None);
        assert!(check_aborted(at(0), at(9), &bytes).is_some());
        assert!(check_aborted(at(10), at(20), &bytes).is_some());
        assert!(check_aborted(at(4), at(10), &bytes[1..]).is_some());
    }
}
