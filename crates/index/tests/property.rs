//! The indexes against a plain list, and against hostile bytes.

use evenkeel_index::{AbortedIndex, Building, OffsetEntry, OffsetIndex, TimeEntry, TimeIndex};
use proptest::prelude::*;
use record::{Attributes, Header, Offset};

fn at(raw: i64) -> Offset {
    Offset::new(raw).expect("not negative")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn hostile_bytes_are_refused_or_read_back_as_they_are(bytes in prop::collection::vec(0_u8..4, 0..120)) {
        if let Ok(index) = OffsetIndex::decode(at(5), &bytes) {
            let encoded = index.encode(0, index.len());
            prop_assert_eq!(&bytes[..encoded.len()], &encoded[..]);
            prop_assert!(bytes[encoded.len()..].iter().all(|byte| *byte == 0));
        }
        if let Ok(index) = TimeIndex::decode(at(5), &bytes) {
            let encoded = index.encode(0, index.len());
            prop_assert_eq!(&bytes[..encoded.len()], &encoded[..]);
            prop_assert!(bytes[encoded.len()..].iter().all(|byte| *byte == 0));
        }
        if let Ok(index) = AbortedIndex::decode(&bytes) {
            prop_assert_eq!(index.encode(), bytes);
        }
    }

    #[test]
    fn lookups_never_miss(
        batches in prop::collection::vec((0_i32..5, 61_usize..400, -1_i64..50), 1..60),
        interval in 0_u32..1000,
        truncate in 0_i64..150,
    ) {
        let mut building = Building::new(at(100));
        let mut all: Vec<(Header, u32)> = Vec::new();
        let (mut next, mut position) = (at(100), 0_u32);
        for (last_offset_delta, len, max_timestamp_ms) in batches {
            let header = Header {
                base_offset: next,
                len,
                leader_epoch: 0,
                crc: 0,
                attributes: Attributes::new(0),
                last_offset_delta,
                base_timestamp_ms: 0,
                max_timestamp_ms,
                producer_id: -1,
                producer_epoch: -1,
                base_sequence: -1,
                records: 1,
            };
            building.add(&header, position, interval);
            all.push((header, position));
            next = header.next_offset();
            position += u32::try_from(len).expect("small");
        }
        building.finish();
        let check = |building: &Building, all: &[(Header, u32)]| -> Result<(), TestCaseError> {
            for (header, begins) in all {
                if let Some(OffsetEntry { position, .. }) = building.offsets.lookup(header.base_offset) {
                    prop_assert!(position <= *begins, "a lookup went past its batch");
                }
                // Nothing before the entry's batch may have so large a timestamp.
                if let Some(TimeEntry { offset, .. }) = building.times.lookup(header.max_timestamp_ms) {
                    let first = all.iter().find(|(h, _)| header.max_timestamp_ms <= h.max_timestamp_ms);
                    let first = first.expect("the batch itself").0;
                    prop_assert!(offset <= first.last_offset(), "{offset} is behind {first:?}");
                }
            }
            Ok(())
        };
        check(&building, &all)?;
        let to = at(100 + truncate);
        all.retain(|(header, _)| header.last_offset() < to);
        let largest = all.iter().fold(None, |largest: Option<TimeEntry>, (header, _)| {
            let timestamp_ms = header.max_timestamp_ms;
            let larger = largest.map_or(-1, |largest| largest.timestamp_ms) < timestamp_ms;
            if larger { Some(TimeEntry { timestamp_ms, offset: header.last_offset() }) } else { largest }
        });
        building.truncate(to, largest);
        check(&building, &all)?;
    }
}
