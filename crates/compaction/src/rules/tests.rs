//! A row and a test for each rule.

use super::*;

const TIME: PassTime = PassTime { now_ms: 1_000, delete_retention_ms: 100, from_start: true };

fn at(raw: i64) -> Offset {
    Offset::new(raw).unwrap()
}

#[test]
fn the_latest_of_a_key_stays_and_an_older_one_goes() {
    for horizon_ms in [None, Some(0), Some(5_000)] {
        assert!(keeps(RecordKind::Value, horizon_ms, TIME));
        assert!(!keeps(RecordKind::Superseded, horizon_ms, TIME));
    }
}

#[test]
fn a_record_without_a_key_goes() {
    assert!(!keeps(RecordKind::Unkeyed, None, TIME));
}

#[test]
fn aborted_data_goes() {
    assert!(!keeps(RecordKind::Aborted, None, TIME));
}

#[test]
fn a_tombstone_stays_until_its_horizon() {
    assert!(keeps(RecordKind::Tombstone, None, TIME), "its first pass sets the horizon");
    assert!(wants_horizon(RecordKind::Tombstone) && !wants_horizon(RecordKind::Value));
    assert_eq!(TIME.new_horizon_ms(), 1_100);
    assert!(keeps(RecordKind::Tombstone, Some(1_001), TIME));
    assert!(!keeps(RecordKind::Tombstone, Some(1_000), TIME));
    let forever = PassTime { delete_retention_ms: i64::MAX, ..TIME };
    assert_eq!(forever.new_horizon_ms(), i64::MAX);
}

#[test]
fn a_marker_stays_while_its_transaction_has_data_and_then_until_its_horizon() {
    assert!(keeps(RecordKind::Marker, Some(0), TIME));
    assert!(keeps(RecordKind::EmptyMarker, None, TIME));
    assert!(wants_horizon(RecordKind::EmptyMarker) && !wants_horizon(RecordKind::Marker));
    assert!(keeps(RecordKind::EmptyMarker, Some(1_001), TIME));
    assert!(!keeps(RecordKind::EmptyMarker, Some(1_000), TIME));
}

#[test]
fn other_control_records_stay() {
    assert!(keeps(RecordKind::Control, Some(0), TIME));
}

#[test]
fn tombstones_and_markers_go_only_in_a_pass_from_the_start() {
    let later = PassTime { from_start: false, ..TIME };
    assert!(keeps(RecordKind::Tombstone, Some(0), later));
    assert!(keeps(RecordKind::EmptyMarker, Some(0), later));
}

const WHOLE: BatchFacts = BatchFacts {
    records: 3,
    kept: 3,
    needs_horizon: false,
    last_of_producer: false,
    last_of_file: false,
};

#[test]
fn a_batch_is_copied_written_again_emptied_or_dropped() {
    assert_eq!(batch(WHOLE), BatchFate::Copy);
    assert_eq!(batch(BatchFacts { needs_horizon: true, ..WHOLE }), BatchFate::Rewrite);
    assert_eq!(batch(BatchFacts { kept: 2, ..WHOLE }), BatchFate::Rewrite);
    assert_eq!(batch(BatchFacts { kept: 0, ..WHOLE }), BatchFate::Drop);
}

#[test]
fn the_last_batch_of_a_producer_stays_empty() {
    let last = BatchFacts { kept: 0, last_of_producer: true, ..WHOLE };
    assert_eq!(batch(last), BatchFate::Header);
    assert_eq!(batch(BatchFacts { records: 0, ..last }), BatchFate::Copy, "it is empty already");
    assert_eq!(batch(BatchFacts { records: 0, kept: 0, ..WHOLE }), BatchFate::Drop);
    let producer = LastOfProducer { last_data_offset: Some(at(7)), epoch: 2 };
    assert!(producer.is(at(7), 2, false) && !producer.is(at(6), 2, false));
    let silent = LastOfProducer { last_data_offset: None, epoch: 2 };
    assert!(silent.is(at(3), 2, true), "only a marker has its epoch");
    assert!(!silent.is(at(3), 1, true) && !silent.is(at(3), 2, false));
}

#[test]
fn the_last_batch_of_a_file_stays_even_empty() {
    let last = BatchFacts { kept: 0, last_of_file: true, ..WHOLE };
    assert_eq!(batch(last), BatchFate::Header);
}

/// Three sealed segments of ten offsets with largest timestamps 100, 200, 300.
fn cleanable_of(stable: i64, first_dirty: i64, min_lag_ms: i64, now_ms: i64) -> usize {
    let sealed: Vec<Extent> = (0..3)
        .map(|n| Extent {
            base: at(n * 10),
            next: at(n * 10 + 10),
            len_bytes: 50,
            largest_timestamp_ms: (n + 1) * 100,
        })
        .collect();
    cleanable(&sealed, at(stable), at(first_dirty), min_lag_ms, now_ms)
}

#[test]
fn nothing_at_or_above_the_stable_offset_is_touched() {
    assert_eq!(cleanable_of(30, 0, 0, 1_000), 3);
    assert_eq!(cleanable_of(29, 0, 0, 1_000), 2);
    assert_eq!(cleanable_of(0, 0, 0, 1_000), 0);
}

#[test]
fn what_is_younger_than_the_lag_is_not_touched() {
    assert_eq!(cleanable_of(30, 0, 50, 250), 2, "exactly the lag is old enough");
    assert_eq!(cleanable_of(30, 0, 51, 250), 1);
    assert_eq!(cleanable_of(30, 20, 51, 250), 2, "what was clean before stays so");
    assert_eq!(cleanable_of(30, 0, 0, 0), 3, "without a lag the future is no matter");
}

const DIRT: Dirt = Dirt {
    clean_bytes: 50,
    cleanable_bytes: 50,
    first_dirty_ms: Some(100),
    earliest_horizon_ms: None,
};

#[test]
fn a_log_is_due_above_the_ratio() {
    assert_eq!(DIRT.due(0.5, i64::MAX, 1_000), Due::No, "exactly the ratio is not above it");
    assert_eq!(DIRT.due(0.49, i64::MAX, 1_000), Due::Ratio);
    let clean = Dirt { cleanable_bytes: 0, first_dirty_ms: None, ..DIRT };
    assert_eq!(clean.due(0.0, 0, 1_000), Due::No);
}

#[test]
fn a_log_is_due_after_the_greatest_lag_whatever_the_ratio() {
    assert_eq!(DIRT.due(1.0, 899, 1_000), Due::Lag(999));
    assert_eq!(DIRT.due(1.0, 900, 1_000), Due::No);
}

#[test]
fn a_deadline_is_kept_though_nothing_new_was_written() {
    let clean = Dirt { cleanable_bytes: 0, first_dirty_ms: None, ..DIRT };
    let waits = Dirt { earliest_horizon_ms: Some(1_000), ..clean };
    assert_eq!(waits.due(0.5, i64::MAX, 999), Due::No);
    assert_eq!(waits.due(0.5, i64::MAX, 1_000), Due::Horizon(1_000));
    let both = Dirt { earliest_horizon_ms: Some(500), ..DIRT };
    assert_eq!(both.due(0.5, 600, 1_000), Due::Horizon(500), "the earlier one");
    assert_eq!(both.due(0.5, 300, 1_000), Due::Lag(400));
}
