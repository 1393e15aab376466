//! Reads: budgets, damage, indexes that are missing or wrong.

#![expect(clippy::unwrap_used, reason = "a test that fails may panic")]

mod kit;

use std::io::{Seek, SeekFrom, Write};
use std::path::PathBuf;

use env::std_world::StdEnv;
use env::{Env, Group};
use evenkeel_segment::{Flaw, Log, LogOptions, ReadError};
use kit::{Model, append, at, batch, bytes_of, check, closed, dir};
use record::Offset;
use tempfile::TempDir;

struct Bench {
    root: TempDir,
    env: StdEnv,
    model: Model,
}

impl Bench {
    fn new(memory_bytes: usize) -> Bench {
        let root = tempfile::tempdir().unwrap();
        let env = StdEnv::new(root.path(), memory_bytes);
        Bench { root, env, model: Model::default() }
    }

    /// A closed log of `n` batches of two records and 979 bytes, opened anew: all of it is cold.
    async fn cold(&mut self, n: usize, options: LogOptions) -> Log<StdEnv> {
        let log = Log::create(&self.env, dir(), options, Offset::ZERO).await.unwrap();
        for number in 0..n {
            let timestamp_ms = i64::try_from(number).unwrap();
            let bytes = batch(2, 450, timestamp_ms, number as u64);
            append(&log, &mut self.model, &bytes, 0);
        }
        log.close(Group::System).await.unwrap();
        self.open(options).await
    }

    async fn open(&self, options: LogOptions) -> Log<StdEnv> {
        let known = closed(self.model.end);
        Log::open(&self.env, dir(), options, known, Group::Recovery).await.unwrap().0
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(kit::DIR).join(name)
    }

    fn overwrite(&self, name: &str, at: u64, bytes: &[u8]) {
        let mut file = std::fs::OpenOptions::new().write(true).open(self.path(name)).unwrap();
        file.seek(SeekFrom::Start(at)).unwrap();
        file.write_all(bytes).unwrap();
    }
}

const LARGE: LogOptions = LogOptions {
    segment_bytes: 100 << 20,
    segment_ms: i64::MAX,
    segment_jitter_ms: 0,
    index_interval_bytes: 4096,
    index_bytes_max: 10 << 20,
    file_delete_delay_ms: 0,
};

#[test]
fn a_batch_over_the_budget_comes_only_if_one_must() {
    for hot in [true, false] {
        let mut bench = Bench::new(16 << 20);
        bench.env.clone().block_on(async {
            let log = bench.cold(3, LARGE).await;
            if hot {
                append(&log, &mut bench.model, &batch(2, 450, 0, 9), 0);
            }
            let from = if hot { at(6) } else { at(0) };
            let read = |max, forced| log.read(from, Offset::MAX, max, forced, Group::Fetch);
            assert_eq!(read(978, false).await.unwrap().next, None);
            assert_eq!(read(0, false).await.unwrap().next, None);
            assert_eq!(read(0, true).await.unwrap().next, Some(from.plus(2)));
            assert_eq!(read(979, false).await.unwrap().next, Some(from.plus(2)));
        });
    }
}

#[test]
fn an_offset_inside_a_batch_gives_all_of_it_and_a_bound_inside_none() {
    let mut bench = Bench::new(16 << 20);
    bench.env.clone().block_on(async {
        let log = bench.cold(3, LARGE).await;
        let read = log.read(at(3), at(5), 5000, true, Group::Fetch).await.unwrap();
        assert_eq!(bytes_of(&read), bench.model.batches[1].bytes);
        assert_eq!(read.next, Some(at(4)));
        let read = log.read(at(3), at(3), 5000, true, Group::Fetch).await.unwrap();
        assert_eq!(read.bytes, 0);
        let read = log.read(at(6), Offset::MAX, 5000, true, Group::Fetch).await.unwrap();
        assert_eq!((read.bytes, read.next), (0, None), "at the end");
    });
}

#[test]
fn what_is_hot_is_lent_and_not_copied() {
    let mut bench = Bench::new(16 << 20);
    bench.env.clone().block_on(async {
        let log = bench.cold(1, LARGE).await;
        for _ in 0..100 {
            append(&log, &mut bench.model, &batch(2, 450, 0, 9), 0);
        }
        let used = bench.env.pool().used();
        let read = log.read_hot(at(2), Offset::MAX, 1 << 20, false).unwrap();
        assert_eq!((read.bytes, bench.env.pool().used()), (97_900, used));
        assert!(log.read_hot(at(0), Offset::MAX, 1 << 20, false).is_none(), "not in memory");
        log.write(Group::Produce).await.unwrap();
        assert!(0 < log.evict(usize::MAX));
        assert_eq!(bytes_of(&read), bench.model.read(at(2), Offset::MAX, 1 << 20, false).0);
        drop(read);
        bench.env.pool().collect();
        assert_eq!(bench.env.pool().used(), 0);
    });
}

#[test]
fn without_memory_a_cold_read_is_refused_and_a_smaller_one_served() {
    let mut bench = Bench::new(256 << 10);
    bench.env.clone().block_on(async {
        let log = bench.cold(200, LARGE).await;
        log.evict(usize::MAX);
        // All but one page, in sizes that the pool does not round up.
        let held = [240 << 10, 12 << 10].map(|bytes| bench.env.pool().buffer(bytes).unwrap());
        let read = log.read(at(0), Offset::MAX, 100_000, true, Group::Fetch).await.unwrap();
        assert!(0 < read.bytes && read.bytes <= 4096, "one page was free: {}", read.bytes);
        let more = bench.env.pool().buffer(4096);
        assert!(more.is_err(), "the read holds it");
        let refused = log.read(at(100), Offset::MAX, 100_000, true, Group::Fetch).await;
        assert!(matches!(refused, Err(ReadError::OverBudget(_))), "{refused:?}");
        drop((held, read));
        check(&log, &bench.model).await;
    });
}

#[test]
fn damage_is_told_with_its_place_and_what_lies_before_is_read() {
    let mut bench = Bench::new(16 << 20);
    bench.env.clone().block_on(async {
        let log = bench.cold(20, LARGE).await;
        let position = 979 * 12;
        bench.overwrite("00000000000000000000.log", position + 8, &[0xff; 4]);
        let read = log.read(at(16), Offset::MAX, 1 << 20, true, Group::Fetch).await.unwrap();
        assert_eq!(read.next, Some(at(24)), "up to the damage");
        let Err(ReadError::Corrupt(corrupt)) =
            log.read(at(24), Offset::MAX, 1 << 20, true, Group::Fetch).await
        else {
            panic!("the length is negative");
        };
        assert_eq!((corrupt.position, corrupt.offset), (position, at(24)));
        assert_eq!(corrupt.what, Flaw::Header);
        bench.overwrite("00000000000000000000.log", position, &[0; 979]);
        let zeros = log.read(at(24), Offset::MAX, 1 << 20, true, Group::Fetch).await;
        let Err(ReadError::Corrupt(corrupt)) = zeros else { panic!("zeros") };
        assert_eq!(corrupt.what, Flaw::Zeros);
    });
}

#[test]
fn a_wrong_index_is_found_out_and_made_anew() {
    let index = "00000000000000000000.index";
    let mut bench = Bench::new(64 << 20);
    bench.env.clone().block_on(async {
        let options = LogOptions { index_interval_bytes: 4096, ..LARGE };
        drop(bench.cold(2500, options).await);
        let right = std::fs::read(bench.path(index)).unwrap();
        let mut moved = right.clone();
        for entry in moved.chunks_mut(8) {
            entry[7] ^= 1;
        }
        let mut late = right.clone();
        for (number, entry) in (0_i32..).zip(late.chunks_mut(8)) {
            entry[..4].copy_from_slice(&(number + 1).to_be_bytes());
        }
        let wrong = [Some(moved), Some(late), Some(right[..right.len() - 3].to_vec()), None];
        for bytes in wrong {
            match bytes {
                Some(bytes) => std::fs::write(bench.path(index), bytes).unwrap(),
                None => std::fs::remove_file(bench.path(index)).unwrap(),
            }
            let log = bench.open(options).await;
            for from in [4000, 4001, 2, 3333] {
                let read = log.read(at(from), Offset::MAX, 3000, true, Group::Fetch).await.unwrap();
                let (want, next) = bench.model.read(at(from), Offset::MAX, 3000, true);
                assert!(bytes_of(&read) == want && read.next == next, "from {from}");
            }
            log.close(Group::System).await.unwrap();
            assert!(std::fs::read(bench.path(index)).unwrap() == right, "as it was");
        }
    });
}

#[test]
fn below_the_first_segment_there_is_nothing() {
    let mut bench = Bench::new(16 << 20);
    bench.env.clone().block_on(async {
        let options = LogOptions { segment_bytes: 3000, ..LARGE };
        let log = bench.cold(20, options).await;
        log.advance_start(at(19), Group::Retention).await.unwrap();
        assert_eq!(log.ends().start, at(19));
        let below = log.read(at(3), Offset::MAX, 1 << 20, true, Group::Fetch).await;
        assert_eq!(below.unwrap_err(), ReadError::OutOfRange { from: at(3), first: at(18) });
        let read = log.read(at(19), at(20), 1 << 20, true, Group::Fetch).await.unwrap();
        assert_eq!(bytes_of(&read), bench.model.batches[9].bytes);
    });
}

#[test]
fn hundreds_of_idle_logs_hold_no_memory_and_no_files() {
    let root = tempfile::tempdir().unwrap();
    let env = StdEnv::new(root.path(), 1 << 20);
    env.block_on(async {
        for number in 0..300 {
            let dir = PathBuf::from(format!("t-{number}"));
            let log = Log::create(&env, &dir, LARGE, Offset::ZERO).await.unwrap();
            assert_eq!(log.cached_bytes(), 0);
            log.close(Group::System).await.unwrap();
            assert_eq!(log.release_files(), 0);
        }
        env.pool().collect();
        assert_eq!(env.pool().used(), 0);
    });
}

/// Reads all of `log` in steps of `max_bytes` as a consumer does, and compares it with the model.
async fn consume(log: &Log<StdEnv>, model: &Model, max_bytes: usize) -> Vec<Offset> {
    let (mut from, mut bytes, mut stops) = (at(0), Vec::new(), Vec::new());
    while from < model.end {
        let read = log.read(from, Offset::MAX, max_bytes, true, Group::ColdRead).await.unwrap();
        bytes.extend(bytes_of(&read));
        from = read.next.unwrap();
        stops.push(from);
    }
    let all: Vec<u8> = model.batches.iter().flat_map(|kept| kept.bytes.clone()).collect();
    assert!(bytes == all, "{} bytes instead of {}", bytes.len(), all.len());
    stops
}

#[test]
fn a_consumer_that_goes_on_finds_the_next_bytes_in_memory() {
    let mut bench = Bench::new(16 << 20);
    bench.env.clone().block_on(async {
        let log = bench.cold(300, LARGE).await;
        for max_bytes in [1, 979, 20_000, 1 << 20] {
            consume(&log, &bench.model, max_bytes).await;
        }
        let next = |from, group| log.read(from, Offset::MAX, 20_000, true, group);
        let first = next(at(0), Group::ColdRead).await.unwrap().next.unwrap();
        let second = next(first, Group::ColdRead).await.unwrap().next.unwrap();
        bench.env.sleep(std::time::Duration::from_millis(20)).await;
        // The file is gone, so what is read now was read before.
        bench.overwrite("00000000000000000000.log", 0, &[0xff; 120_000]);
        let third = next(second, Group::ColdRead).await.unwrap();
        let behind = bench.model.batches.iter().filter(|kept| second <= kept.base);
        let expected: Vec<u8> = behind.flat_map(|kept| kept.bytes.clone()).collect();
        assert!(expected.starts_with(&bytes_of(&third)), "not what was appended");
        assert!(third.next > Some(second));
        // Who scans gets no read-ahead: it meets the damage.
        let broken = next(third.next.unwrap(), Group::Retention).await;
        assert!(matches!(broken, Err(ReadError::Corrupt(_))), "{broken:?}");
    });
}

#[test]
fn what_is_read_ahead_goes_with_a_truncation_and_with_its_reader() {
    let mut bench = Bench::new(16 << 20);
    bench.env.clone().block_on(async {
        let log = bench.cold(300, LARGE).await;
        let next = |from| log.read(from, Offset::MAX, 20_000, true, Group::ColdRead);
        let first = next(at(0)).await.unwrap().next.unwrap();
        bench.env.pool().collect();
        let before = bench.env.pool().used();
        let second = next(first).await.unwrap().next.unwrap();
        bench.env.sleep(std::time::Duration::from_millis(20)).await;
        bench.env.pool().collect();
        assert!(before < bench.env.pool().used(), "nothing was read ahead");
        log.truncate(second, Group::System).await.unwrap();
        assert_eq!(next(second).await.unwrap().next, None);
        bench.model.cut(second);
        append(&log, &mut bench.model, &batch(2, 450, 0, 77), 0);
        log.write(Group::Produce).await.unwrap();
        log.evict(usize::MAX);
        let read = next(second).await.unwrap();
        assert_eq!(bytes_of(&read), bench.model.batches.last().unwrap().bytes);
        drop(read);
        let read = next(at(0)).await.unwrap().next.unwrap();
        next(read).await.unwrap();
        bench.env.sleep(std::time::Duration::from_millis(700)).await;
        bench.env.pool().collect();
        let open = bench.env.pool().used();
        assert!(open <= before, "{open} bytes are held for a reader that went away");
    });
}
