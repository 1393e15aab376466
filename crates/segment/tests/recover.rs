//! Opening after an unclean stop: what is cut, what is kept, what is named.

#![expect(clippy::unwrap_used, reason = "a test that fails may panic")]

mod kit;

use std::fs;
use std::path::PathBuf;

use env::Group;
use env::std_world::StdEnv;
use evenkeel_segment::{Flaw, Known, KnownTail, Log, LogOptions, Opened, ReadError};
use kit::{Model, append, at, batch, bytes_of, check, dir, unclean};
use record::Offset;
use tempfile::TempDir;

const LEN: u64 = 979;

/// Four batches of two records a segment: they begin at 0, 8, 16, 24 and 32.
const OPTIONS: LogOptions = LogOptions {
    segment_bytes: 4 * LEN,
    segment_ms: i64::MAX,
    segment_jitter_ms: 0,
    index_interval_bytes: 1000,
    index_bytes_max: 10 << 20,
    file_delete_delay_ms: 0,
};

struct Bench {
    root: TempDir,
    env: StdEnv,
    model: Model,
}

impl Bench {
    /// A log of 18 batches, written and not closed.
    fn new() -> Bench {
        let root = tempfile::tempdir().unwrap();
        let env = StdEnv::new(root.path(), 16 << 20);
        let mut bench = Bench { root, env, model: Model::default() };
        bench.env.clone().block_on(async {
            let log = Log::create(&bench.env, dir(), OPTIONS, Offset::ZERO).await.unwrap();
            for number in 0..18 {
                let bytes = batch(2, 450, 10 * i64::try_from(number).unwrap(), number);
                append(&log, &mut bench.model, &bytes, 0);
            }
            log.write(Group::Produce).await.unwrap();
        });
        bench
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(kit::DIR).join(name)
    }

    fn names(&self) -> Vec<String> {
        let read = fs::read_dir(self.root.path().join(kit::DIR)).unwrap();
        let mut names: Vec<String> =
            read.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// Changes the bytes of a segment.
    fn change(&self, base: i64, change: impl FnOnce(&mut Vec<u8>)) {
        let path = self.path(&format!("{base:020}.log"));
        let mut bytes = fs::read(&path).unwrap();
        change(&mut bytes);
        fs::write(&path, bytes).unwrap();
    }

    fn flip(&self, base: i64, position: u64) {
        self.change(base, |bytes| bytes[usize::try_from(position).unwrap()] ^= 1);
    }

    async fn open(&self, known: Known) -> (Log<StdEnv>, Opened) {
        Log::open(&self.env, dir(), OPTIONS, known, Group::Recovery).await.unwrap()
    }

    /// Opens twice; both find the same.
    async fn open_twice(&self, known: Known) -> (Log<StdEnv>, Opened) {
        let (log, first) = self.open(known).await;
        let ends = log.ends();
        let (log, second) = self.open(known).await;
        assert_eq!((log.ends(), &second.damage), (ends, &first.damage), "again");
        (log, first)
    }
}

async fn read(log: &Log<StdEnv>, from: i64) -> Result<(Vec<u8>, Option<Offset>), ReadError> {
    let read = log.read(at(from), Offset::MAX, 1 << 20, true, Group::Fetch).await?;
    Ok((bytes_of(&read), read.next))
}

#[test]
fn what_is_whole_is_kept_and_indexed_anew() {
    let bench = Bench::new();
    bench.env.clone().block_on(async {
        fs::write(bench.path("00000000000000000008.index"), [7; 80]).unwrap();
        fs::remove_file(bench.path("00000000000000000016.timeindex")).unwrap();
        let (log, opened) = bench.open_twice(unclean(Offset::ZERO)).await;
        assert_eq!(opened.scanned_bytes, 18 * LEN);
        assert_eq!((opened.cut, opened.damage.len()), (None, 0));
        check(&log, &bench.model).await;
        assert_eq!(log.ends().durable, Offset::ZERO, "nobody flushed it");
        log.close(Group::System).await.unwrap();
        assert_eq!(log.ends().durable, bench.model.end);
        let entries = |name: &str| fs::read(bench.path(name)).unwrap().len() / 8;
        // Of four batches of 979 bytes the third has more than 1000 before it.
        assert_eq!(entries("00000000000000000008.index"), 1);
        assert_eq!(fs::read(bench.path("00000000000000000016.timeindex")).unwrap().len(), 24);
        check(&log, &bench.model).await;
    });
}

#[test]
fn only_segments_from_the_recovery_point_on_are_scanned() {
    let bench = Bench::new();
    bench.env.clone().block_on(async {
        let (log, opened) = bench.open(unclean(at(25))).await;
        assert_eq!(opened.scanned_bytes, 6 * LEN, "24 and 32");
        check(&log, &bench.model).await;
        let (_, opened) = bench.open(unclean(at(32))).await;
        assert_eq!(opened.scanned_bytes, 2 * LEN);
    });
}

#[test]
fn behind_the_recovery_point_a_bad_batch_ends_the_log() {
    let flip_at = |position| move |bench: &Bench| bench.flip(16, LEN + position);
    type Damages<'a> = &'a dyn Fn(&Bench);
    let cases: [(Damages<'_>, Flaw); 5] = [
        (&flip_at(500), Flaw::Checksum),
        (&flip_at(16), Flaw::Header),
        (&|bench| bench.change(16, |bytes| bytes[979 + 7] ^= 2), Flaw::Order),
        (&|bench| bench.change(16, |bytes| bytes.truncate(1500)), Flaw::Short),
        (&|bench| bench.change(16, |bytes| bytes[979..].fill(0)), Flaw::Zeros),
    ];
    for (damage, what) in cases {
        let mut bench = Bench::new();
        damage(&bench);
        bench.env.clone().block_on(async {
            let (log, opened) = bench.open_twice(unclean(at(3))).await;
            let cut = opened.cut.expect("it was cut");
            assert_eq!((cut.at.what, cut.at.position, cut.at.offset), (what, LEN, at(18)));
            assert_eq!(opened.removed, [at(24), at(32)]);
            assert_eq!(opened.damage, []);
            bench.model.cut(at(18));
            append(&log, &mut bench.model, &batch(1, 10, 0, 0), 0);
            check(&log, &bench.model).await;
            log.close(Group::System).await.unwrap();
            assert_eq!(bench.names().len(), 3 * 3, "{:?}", bench.names());
        });
    }
}

#[test]
fn a_segment_that_is_missing_behind_the_recovery_point_ends_the_log() {
    let mut bench = Bench::new();
    fs::remove_file(bench.path("00000000000000000016.log")).unwrap();
    bench.env.clone().block_on(async {
        let (log, opened) = bench.open_twice(unclean(at(9))).await;
        assert_eq!(opened.removed, [at(24), at(32)]);
        bench.model.cut(at(16));
        check(&log, &bench.model).await;
    });
}

#[test]
fn damage_below_the_recovery_point_is_named_and_the_rest_served() {
    let bench = Bench::new();
    // The content of one batch; a whole rest of a segment is in the next test.
    bench.flip(8, LEN + 500);
    bench.env.clone().block_on(async {
        let (log, opened) = bench.open_twice(unclean(at(36))).await;
        assert_eq!(opened.damage, [], "segments before it are not looked at");
        drop(log);
        let (log, opened) = bench.open_twice(unclean(at(15))).await;
        let [damage] = &opened.damage[..] else { panic!("{:?}", opened.damage) };
        assert_eq!((damage.at.what, damage.at.position), (Flaw::Checksum, LEN));
        assert_eq!((damage.at.offset, damage.until), (at(10), at(12)));
        assert_eq!(read(&log, 0).await.unwrap().1, Some(at(10)), "up to it");
        let Err(ReadError::Corrupt(corrupt)) = read(&log, 11).await else { panic!("damaged") };
        assert_eq!(corrupt.offset, at(10));
        let want = bench.model.read(at(12), Offset::MAX, 1 << 20, true);
        assert!(read(&log, 12).await.unwrap() == want, "behind it");
        assert_eq!(log.ends().end, bench.model.end);
    });
}

#[test]
fn a_segment_damaged_below_the_recovery_point_stays_as_it_is() {
    let bench = Bench::new();
    bench.flip(16, LEN + 16);
    let before = fs::read(bench.path("00000000000000000016.log")).unwrap();
    bench.env.clone().block_on(async {
        let (log, opened) = bench.open_twice(unclean(at(24))).await;
        assert_eq!(opened.damage, [], "the holder of the recovery point is the next one");
        drop(log);
        let (log, opened) = bench.open_twice(unclean(at(23))).await;
        let [damage] = &opened.damage[..] else { panic!("{:?}", opened.damage) };
        assert_eq!((damage.at.what, damage.at.offset), (Flaw::Header, at(18)));
        // Batches behind the recovery point follow a hole: they are not kept.
        assert_eq!((damage.until, log.ends().end), (at(23), at(23)));
        assert_eq!(opened.removed, [at(24), at(32)]);
        assert!(matches!(read(&log, 19).await, Err(ReadError::Corrupt(_))));
        assert_eq!(read(&log, 17).await.unwrap().1, Some(at(18)));
        let mut model = Model { start: at(23), end: at(23), ..Model::default() };
        append(&log, &mut model, &batch(1, 10, 0, 0), 0);
        log.close(Group::System).await.unwrap();
        check(&log, &model).await;
        assert!(fs::read(bench.path("00000000000000000016.log")).unwrap() == before);
    });
}

#[test]
fn damage_before_a_flushed_segment_costs_only_the_rest_of_its_own() {
    let bench = Bench::new();
    bench.env.clone().block_on(async {
        // A recovery that begins earlier than it must: the recovery point of an old checkpoint
        // lies in a segment whose end was flushed since, with a later one that begins there.
        bench.change(16, |bytes| bytes.truncate(1000));
        let known = Known { recovery_point: at(24), ..unclean(Offset::ZERO) };
        let (log, opened) = bench.open_twice(known).await;
        assert_eq!(opened.damage, []);
        assert!(matches!(read(&log, 19).await, Err(ReadError::Corrupt(_))));
        let want = bench.model.read(at(24), Offset::MAX, 1 << 20, true);
        assert!(read(&log, 24).await.unwrap() == want);
    });
}

#[test]
fn a_log_shorter_than_its_recovery_point_goes_on_there() {
    let bench = Bench::new();
    bench.change(32, |bytes| bytes.truncate(979));
    bench.env.clone().block_on(async {
        let (log, opened) = bench.open_twice(unclean(at(36))).await;
        let [damage] = &opened.damage[..] else { panic!("{:?}", opened.damage) };
        assert_eq!((damage.at.what, damage.at.offset, damage.until), (Flaw::Short, at(34), at(36)));
        assert_eq!(log.ends().end, at(36), "no offset is assigned twice");
        assert!(matches!(read(&log, 34).await, Err(ReadError::Corrupt(_))));
        assert_eq!(read(&log, 36).await, Ok((vec![], None)));
    });
}

#[test]
fn a_known_end_is_trusted_if_it_fits() {
    let bench = Bench::new();
    bench.env.clone().block_on(async {
        let tail = KnownTail {
            segment_base: at(32),
            len_bytes: 2 * LEN,
            end: at(36),
            largest_timestamp_ms: 171,
        };
        let known = |tail| Known { tail: Some(tail), ..unclean(at(36)) };
        // Preallocated space follows the end.
        bench.change(32, |bytes| bytes.resize(100_000, 0));
        let (log, opened) = bench.open(known(tail)).await;
        assert_eq!((opened, log.ends().durable), (Opened::default(), at(36)));
        check(&log, &bench.model).await;
        for wrong in
            [KnownTail { segment_base: at(24), ..tail }, KnownTail { len_bytes: 200_000, ..tail }]
        {
            let (log, opened) = bench.open(known(wrong)).await;
            assert_eq!(opened.scanned_bytes, 2 * LEN);
            check(&log, &bench.model).await;
        }
        let wrong = KnownTail { len_bytes: u64::MAX, ..tail };
        bench.open(known(wrong)).await.0.close(Group::System).await.unwrap();
        let (log, opened) = bench.open(Known { clean: true, ..known(wrong) }).await;
        assert_eq!(opened.scanned_bytes, 0, "it was closed");
        check(&log, &bench.model).await;
    });
}

#[test]
fn a_log_that_ends_below_its_start_begins_there() {
    let bench = Bench::new();
    bench.env.clone().block_on(async {
        let known = Known { start: at(100), ..unclean(Offset::ZERO) };
        let (log, opened) = bench.open(known).await;
        assert!(opened.created);
        let ends = log.ends();
        assert_eq!((ends.start, ends.end), (at(100), at(100)));
        assert_eq!(bench.names(), ["00000000000000000100.log"]);
    });
}

#[test]
fn segments_below_the_start_are_gone_after_an_interrupted_removal() {
    let bench = Bench::new();
    // A crash took the middle of three segments that were to be removed.
    fs::remove_file(bench.path("00000000000000000008.log")).unwrap();
    bench.env.clone().block_on(async {
        let known = Known { start: at(25), ..unclean(at(25)) };
        let (log, _) = bench.open(known).await;
        assert_eq!(log.segments()[0].base, at(24));
        assert!(bench.names().iter().all(|name| **name >= *"00000000000000000024"));
    });
}

#[test]
fn a_complete_swap_is_finished_and_an_incomplete_one_undone() {
    for complete in [true, false] {
        let bench = Bench::new();
        // Segments 8 and 16 are to be replaced by one that lacks two batches.
        let log_of = |base: i64| fs::read(bench.path(&format!("{base:020}.log"))).unwrap();
        let len = usize::try_from(LEN).unwrap();
        let cleaned = [&log_of(8)[..2 * len], &log_of(16)[2 * len..]].concat();
        let suffix = if complete { "swap" } else { "cleaned" };
        fs::write(bench.path(&format!("00000000000000000008.log.{suffix}")), cleaned).unwrap();
        fs::write(bench.path(&format!("00000000000000000008.index.{suffix}")), []).unwrap();
        fs::write(bench.path("00000000000000000000.log.deleted"), [1, 2, 3]).unwrap();
        bench.env.clone().block_on(async {
            let (log, opened) = bench.open_twice(unclean(at(36))).await;
            assert_eq!(opened.damage, []);
            let mut model = bench.model.clone();
            if complete {
                model.batches.retain(|batch| batch.base < at(12) || at(20) <= batch.base);
            }
            check(&log, &model).await;
            let bases: Vec<i64> = log.segments().iter().map(|s| s.base.raw()).collect();
            assert_eq!(bases, if complete { vec![0, 8, 24, 32] } else { vec![0, 8, 16, 24, 32] });
            let left: Vec<String> = bench.names();
            assert!(left.iter().all(|n| n.ends_with(".log") || n.ends_with("index")), "{left:?}");
        });
    }
}

#[test]
fn indexes_that_kafka_preallocated_and_never_trimmed_are_rebuilt() {
    let bench = Bench::new();
    for kind in ["index", "timeindex"] {
        fs::write(bench.path(&format!("00000000000000000032.{kind}")), vec![0; 120_000]).unwrap();
    }
    bench.env.clone().block_on(async {
        let (log, _) = bench.open(unclean(at(32))).await;
        check(&log, &bench.model).await;
        log.close(Group::System).await.unwrap();
        assert_eq!(fs::read(bench.path("00000000000000000032.index")).unwrap(), []);
        assert_eq!(fs::read(bench.path("00000000000000000032.timeindex")).unwrap().len(), 12);
    });
}
