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

fn transactional(id: i64, epoch: i16, first: i32) -> Header {
    let mut builder = record::Builder::new(record::Codec::None);
    builder.producer(id, epoch, first).transactional();
    builder.record(1_000, None, Some(b"v"), &[]);
    Header::read(&builder.build()).unwrap()
}

/// The marker of producer 1.
fn marker(epoch: i16, commit: bool, coordinator_epoch: i32) -> (Header, EndTransaction) {
    let marker = EndTransaction { commit, coordinator_epoch };
    let producer = record::Producer {
        id: record::ProducerId::new(1),
        epoch: record::ProducerEpoch::new(epoch),
        base_sequence: -1,
    };
    (Header::read(&marker.build(producer, 2_000)).unwrap(), marker)
}

#[test]
fn a_marker_ends_the_transaction_and_one_more_changes_nothing() {
    let mut producers = Producers::default();
    append(&mut producers, &transactional(1, 0, 0), 5);
    append(&mut producers, &transactional(1, 0, 1), 6);
    append(&mut producers, &transactional(2, 0, 0), 7);
    assert_eq!(producers.transactions().first_open(), Some((at(5), 1)));
    let (header, abort) = marker(0, false, 3);
    let aborted = producers.ended(&header, at(8), abort).unwrap().aborted.unwrap();
    let want = AbortedTransaction {
        producer_id: 1,
        first_offset: at(5),
        last_offset: at(8),
        last_stable: at(7),
    };
    assert_eq!(aborted, want);
    assert_eq!(producers.ended(&header, at(9), abort), None);
    append(&mut producers, &transactional(1, 0, 2), 10);
    let (header, commit) = marker(0, true, 3);
    assert_eq!(producers.ended(&header, at(11), commit), Some(Ended { aborted: None }));
    assert_eq!(producers.transactions().open(), 1, "that of the other producer");
}

#[test]
fn markers_are_fenced_by_producer_and_coordinator() {
    let mut producers = Producers::default();
    append(&mut producers, &transactional(1, 4, 0), 0);
    let (_, commit) = marker(4, true, 7);
    let check = |producers: &Producers, epoch, marker, epochs| {
        producers.check_marker((1, epoch), marker, epochs)
    };
    let old = MarkerRefusal::OldEpoch { sent: 3, known: 4 };
    assert_eq!(check(&producers, 3, commit, MarkerEpochs::Same), Err(old));
    assert_eq!(check(&producers, 4, commit, MarkerEpochs::Same), Ok(()));
    let late = MarkerRefusal::OldEpoch { sent: 4, known: 4 };
    assert_eq!(check(&producers, 4, commit, MarkerEpochs::Bumped), Err(late));
    assert_eq!(check(&producers, 5, commit, MarkerEpochs::Bumped), Ok(()));
    let (header, commit) = marker(5, true, 7);
    producers.ended(&header, at(1), commit);
    let fenced = MarkerRefusal::OldCoordinator { sent: 6, known: 7 };
    let (_, older) = marker(5, true, 6);
    assert_eq!(check(&producers, 5, older, MarkerEpochs::Same), Err(fenced));
    let refused = producers.check(&transactional(1, 4, 1));
    assert_eq!(
        refused,
        Err(SequenceRefusal::OldEpoch { sent: 4, known: 5 }),
        "fenced by the marker"
    );
    let refused = producers.check(&transactional(1, 5, 1));
    assert_eq!(refused, Err(SequenceRefusal::OutOfOrder { sent: 1, last: -1 }), "begins anew");
    append(&mut producers, &transactional(1, 5, 0), 2);
}

#[test]
fn a_plain_batch_inside_a_transaction_is_refused() {
    let mut producers = Producers::default();
    append(&mut producers, &transactional(1, 0, 0), 5);
    let refused = producers.check(&batch(1, 0, 1, 1));
    assert_eq!(refused, Err(SequenceRefusal::TransactionOpen { since: at(5) }));
    assert!(matches!(producers.check(&transactional(1, 0, 0)), Ok(Sequencing::Duplicate(_))));
}

#[test]
fn the_number_of_open_transactions_is_bounded() {
    let mut producers = Producers::default();
    let mut header = transactional(0, 0, 0);
    for id in 0..i64::try_from(OPEN_MAX).unwrap() {
        header.producer_id = id;
        append(&mut producers, &header, id);
    }
    header.producer_id = -7;
    let full = SequenceRefusal::TooManyTransactions { open: OPEN_MAX };
    assert_eq!(producers.check(&header), Err(full));
    let (ends, commit) = marker(0, true, 0);
    producers.ended(&ends, at(i64::MAX - 1), commit);
    assert_eq!(producers.check(&header), Ok(Sequencing::Append));
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
