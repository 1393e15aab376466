//! Tests of `pool`.

use super::*;

#[test]
fn the_limit_holds_until_memory_is_returned() {
    let pool = Pool::new(3, 3 * 4096);
    let first = pool.buffer(5000).unwrap();
    assert_eq!(first.capacity(), 8192);
    assert!(pool.buffer(4097).is_err());
    drop(first);
    let second = pool.buffer(3 * 4096).expect("an allocation collects what came back");
    assert_eq!(pool.used(), 3 * 4096);
    drop(second);
}

#[test]
fn a_view_dropped_on_another_thread_comes_home() {
    let pool = Pool::new(0, 1 << 20);
    let mut buffer = pool.buffer(4096).unwrap();
    buffer.as_mut_slice()[..3].copy_from_slice(b"abc");
    let view = buffer.seal(3);
    assert_eq!(view.origin(), 0);
    std::thread::spawn(move || assert_eq!(&view[..], b"abc")).join().unwrap();
    assert_eq!(pool.used(), 4096, "counted until collected");
    pool.collect();
    assert_eq!(pool.used(), 0);
}

#[test]
fn what_a_request_gave_back_serves_one_of_nearly_that_size() {
    let pool = Pool::new(0, 8 << 20);
    let first = pool.buffer(1_000_000).unwrap();
    let start = first.as_slice().as_ptr();
    drop(first);
    let second = pool.buffer(1_010_000).unwrap();
    assert_eq!(second.as_slice().as_ptr(), start);
    assert!(second.capacity() <= 1_010_000 * 9 / 8);
}

#[test]
fn free_and_used_blocks_stay_within_the_limit_together() {
    let pool = Pool::new(0, 1 << 20);
    let small: Vec<Buffer> = (0..64).map(|_| pool.buffer(4096).unwrap()).collect();
    drop(small);
    pool.collect();
    assert_eq!(pool.inner.free.borrow().bytes(), 256 << 10);
    let large = pool.buffer(900 << 10).unwrap();
    assert!(pool.used() + pool.inner.free.borrow().bytes() <= pool.limit());
    drop(large);
    pool.collect();
    assert!(pool.inner.free.borrow().bytes() <= pool.limit() / KEEP_FREE_PART);
}

#[test]
fn all_of_the_limit_can_be_had_in_one_piece() {
    let limit = (1 << 20) + 4096;
    assert!(size_class(limit) > limit);
    let pool = Pool::new(0, limit);
    assert_eq!(pool.buffer(limit).unwrap().capacity(), limit);
}

#[test]
fn a_growing_buffer_counts_what_it_has() {
    let pool = Pool::new(0, 4 * 4096);
    let mut buffer = pool.growing(100, 1 << 20).unwrap();
    assert_eq!((buffer.capacity(), buffer.most(), pool.used()), (4096, 1 << 20, 4096));
    buffer.as_mut_slice().fill(7);
    let start = buffer.as_slice().as_ptr();
    pool.grow(&mut buffer, 3 * 4096).unwrap();
    assert_eq!((buffer.capacity(), pool.used()), (3 * 4096, 3 * 4096));
    assert_eq!(buffer.as_slice().as_ptr(), start, "it stays where it is");
    assert_eq!(buffer.as_slice()[..4096], [7; 4096]);
    assert_eq!(buffer.as_slice()[4096..], [0; 2 * 4096], "new bytes are initialised");
    let over = pool.grow(&mut buffer, 5 * 4096).unwrap_err();
    assert_eq!((over.wanted_bytes, over.free_bytes), (2 * 4096, 4096));
    assert_eq!((buffer.capacity(), pool.used()), (3 * 4096, 3 * 4096), "nothing changed");
    pool.grow(&mut buffer, 10).expect("it is as long already");
    drop(buffer.seal(10));
    pool.collect();
    assert_eq!(pool.used(), 0);
}

#[test]
fn a_block_that_grew_is_used_again_from_its_beginning() {
    let pool = Pool::new(0, 16 * 4096);
    let mut buffer = pool.growing(1, 2 * 4096).unwrap();
    pool.grow(&mut buffer, 2 * 4096).unwrap();
    let start = buffer.as_slice().as_ptr();
    drop(buffer);
    let again = pool.growing(1, 2 * 4096).unwrap();
    assert_eq!(again.as_slice().as_ptr(), start);
    assert_eq!((again.capacity(), pool.used()), (4096, 4096), "charged as it grows");
    drop(again);
    let plain = pool.buffer(2 * 4096).unwrap();
    assert_eq!((plain.as_slice().as_ptr(), plain.capacity()), (start, 2 * 4096));
}

#[test]
fn a_charge_takes_part_in_the_limit() {
    let pool = Pool::new(0, 4 * 4096);
    let charge = pool.charge(10_000).unwrap();
    assert_eq!((charge.bytes(), pool.used()), (10_000, 10_000));
    assert!(pool.buffer(2 * 4096).is_err());
    assert!(pool.charge(6_385).is_err());
    drop(charge);
    assert_eq!(pool.used(), 0);
    let buffer = pool.buffer(4 * 4096).unwrap();
    drop(buffer);
    assert!(pool.charge(4 * 4096).is_ok(), "what came back is collected for it");
}

#[test]
fn copies_are_counted_whatever_they_go_into() {
    let pool = Pool::new(0, 1 << 20);
    pool.chunk(4096).unwrap().append(&[1; 100]).unwrap();
    let mut buffer = pool.buffer(4096).unwrap();
    buffer.copy_in(10, &[2; 30]);
    assert_eq!(buffer.as_slice()[10..40], [2; 30]);
    assert_eq!(pool.copied(), 130);
}

#[test]
fn views_may_outlive_the_pool() {
    let pool = Pool::new(0, 1 << 20);
    let view = pool.buffer(10).unwrap().seal(10);
    drop(pool);
    assert_eq!(view.len(), 10);
}

#[test]
fn one_collect_takes_back_a_bounded_number_of_blocks() {
    let pool = Pool::new(0, 64 << 20);
    let blocks: Vec<Buffer> = (0..1000).map(|_| pool.buffer(4096).unwrap()).collect();
    drop(blocks);
    let mut calls = 0;
    while 0 < pool.used() {
        let before = pool.used();
        let is_more = pool.collect();
        let taken = (before - pool.used()) / 4096;
        assert!(0 < taken && taken <= COLLECT_BLOCKS_MAX, "{taken} blocks in one call");
        assert_eq!(is_more, 0 < pool.used());
        calls += 1;
    }
    assert_eq!(calls, 1000usize.div_ceil(COLLECT_BLOCKS_MAX));
    assert!(!pool.collect());
}

#[test]
fn one_collect_gives_a_bounded_number_of_bytes_back_to_the_system() {
    let pool = Pool::new(0, 32 << 20);
    let large = 1 << 20;
    let blocks: Vec<Buffer> = (0..32).map(|_| pool.buffer(large).unwrap()).collect();
    drop(blocks);
    // A quarter of the limit is kept; the rest goes back to the system, which takes time.
    let mut calls = 0;
    while 0 < pool.used() {
        let (used, kept) = (pool.used(), pool.inner.free.borrow().bytes());
        pool.collect();
        let freed = used - pool.used() - (pool.inner.free.borrow().bytes() - kept);
        assert!(freed <= COLLECT_FREED_MAX_BYTES, "{freed} bytes in one call");
        calls += 1;
    }
    assert!((24..=32).contains(&calls), "{calls} calls");
}

#[test]
fn an_allocation_takes_back_as_much_as_it_needs() {
    let pool = Pool::new(0, 64 << 20);
    let blocks: Vec<Buffer> = (0..16384).map(|_| pool.buffer(4096).unwrap()).collect();
    drop(blocks);
    let whole = pool.buffer(64 << 20).expect("everything came home");
    drop(whole);
    assert!(pool.charge(64 << 20).is_ok());
}
