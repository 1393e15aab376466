//! Tests of `producers`.

use super::*;

fn batch(id: i64, epoch: i16, first: i32, count: i32) -> Header {
    let mut builder = record::Builder::new(record::Codec::None);
    builder.producer(id, epoch, first);
    for n in 0..count {
        builder.record(1_000 + i64::from(n), None, Some(b"v"), &[]);
    }
    Header::read(&builder.build()).unwrap()
}

fn at(raw: i64) -> Offset {
    Offset::new(raw).unwrap()
}

fn append(producers: &mut Producers, header: &Header, offset: i64) {
    assert_eq!(producers.check(header), Ok(Sequencing::Append));
    producers.appended(header, at(offset));
}

#[test]
fn each_of_the_last_five_batches_is_a_duplicate_and_the_sixth_is_out_of_order() {
    let mut producers = Producers::default();
    for n in 0..6 {
        append(&mut producers, &batch(1, 0, n * 2, 2), i64::from(n) * 2);
    }
    for n in 1..6 {
        let Ok(Sequencing::Duplicate(found)) = producers.check(&batch(1, 0, n * 2, 2)) else {
            panic!("batch {n} is remembered");
        };
        assert_eq!(found.first_offset, at(i64::from(n) * 2));
    }
    let oldest = producers.check(&batch(1, 0, 0, 2));
    assert_eq!(oldest, Err(SequenceRefusal::OutOfOrder { sent: 0, last: 11 }));
}

#[test]
fn a_gap_is_refused_and_changes_nothing() {
    let mut producers = Producers::default();
    append(&mut producers, &batch(1, 0, 0, 3), 0);
    let gap = producers.check(&batch(1, 0, 4, 1));
    assert_eq!(gap, Err(SequenceRefusal::OutOfOrder { sent: 4, last: 2 }));
    append(&mut producers, &batch(1, 0, 3, 1), 3);
}

#[test]
fn a_part_of_an_appended_batch_is_not_a_duplicate() {
    let mut producers = Producers::default();
    append(&mut producers, &batch(1, 0, 0, 3), 0);
    assert!(producers.check(&batch(1, 0, 0, 2)).is_err());
}

#[test]
fn a_new_epoch_begins_at_zero_and_the_old_one_is_fenced() {
    let mut producers = Producers::default();
    append(&mut producers, &batch(1, 3, 0, 3), 0);
    let middle = producers.check(&batch(1, 4, 3, 1));
    assert_eq!(middle, Err(SequenceRefusal::OutOfOrder { sent: 3, last: -1 }));
    append(&mut producers, &batch(1, 4, 0, 1), 3);
    let old = producers.check(&batch(1, 3, 3, 1));
    assert_eq!(old, Err(SequenceRefusal::OldEpoch { sent: 3, known: 4 }));
}

#[test]
fn an_unknown_producer_may_begin_anywhere() {
    append(&mut Producers::default(), &batch(9, 2, 77, 1), 0);
}

#[test]
fn sequences_wrap_to_zero() {
    assert_eq!(sequence_after(i32::MAX, 1), 0);
    assert_eq!(sequence_after(i32::MAX - 1, 3), 1);
    assert_eq!(sequence_after(1, -3), i32::MAX - 1);
    let mut producers = Producers::default();
    append(&mut producers, &batch(1, 0, i32::MAX - 1, 3), 0);
    append(&mut producers, &batch(1, 0, 1, 1), 3);
}

#[test]
fn the_silent_expire_but_not_with_an_open_transaction() {
    let mut producers = Producers::default();
    append(&mut producers, &batch(1, 0, 0, 1), 0);
    let mut open = producers.iter().next().unwrap().1.clone();
    open.transaction_start = Some(at(0));
    producers.insert(2, open);
    producers.expire(1_000 + 99, 100);
    assert_eq!(producers.len(), 2);
    producers.expire(1_000 + 100, 100);
    assert_eq!(producers.iter().map(|(id, _)| id).collect::<Vec<_>>(), [2]);
}

#[test]
fn the_number_of_producers_is_bounded() {
    let mut producers = Producers::default();
    for id in 0..=i64::try_from(PRODUCERS_MAX).unwrap() {
        let mut header = batch(0, 0, 0, 1);
        header.producer_id = id;
        header.max_timestamp_ms = id;
        producers.appended(&header, at(id));
    }
    assert_eq!(producers.len(), PRODUCERS_MAX);
    assert_eq!(producers.iter().next().unwrap().0, 1, "the most silent one went");
}

#[test]
fn truncation_forgets_the_cut_batches() {
    let mut producers = Producers::default();
    append(&mut producers, &batch(1, 0, 0, 2), 0);
    append(&mut producers, &batch(1, 0, 2, 2), 2);
    producers.truncate_end(at(3));
    append(&mut producers, &batch(1, 0, 2, 2), 2);
    producers.truncate_end(at(0));
    assert!(producers.is_empty());
}

#[test]
fn what_a_snapshot_left_out_is_recalled_if_the_end_of_the_log_fits() {
    let mut all = Producers::default();
    for n in 0..4 {
        append(&mut all, &batch(1, 0, n * 2, 2), i64::from(n) * 2);
        append(&mut all, &batch(2, 0, n, 1), 100 + i64::from(n));
    }
    let last_only = |producers: &Producers| {
        let mut kept = producers.clone();
        kept.by_id.values_mut().for_each(|one| drop(one.batches.drain(..one.batches.len() - 1)));
        kept
    };
    let mut snapshot = last_only(&all);
    // The second one went on behind what was seen, and the third is new to the snapshot.
    append(&mut snapshot, &batch(2, 0, 4, 1), 104);
    let mut seen = all.clone();
    append(&mut seen, &batch(3, 0, 0, 1), 200);
    let before = snapshot.clone();
    snapshot.recall(seen);
    assert_eq!(snapshot.by_id[&1], all.by_id[&1]);
    assert_eq!(snapshot.by_id[&2], before.by_id[&2]);
    assert_eq!(snapshot.len(), 2);
}
