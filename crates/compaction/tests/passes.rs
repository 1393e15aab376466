//! What a pass does to one log, case by case.

#![expect(clippy::unwrap_used, reason = "a test that fails may panic")]

mod kit;

use std::path::Path;

use env::std_world::StdEnv;
use env::{Disk, Env, Group};
use evenkeel_compaction::rules::Due;
use evenkeel_compaction::{
    Aborted, Compression, Inputs, Pass, PassError, Report, Settings, survey,
};
use index::{AbortedIndex, AbortedTransaction};
use kit::{DIR, History, at, check, check_clean, fill};
use record::{Codec, Header, Offset};
use segment::{Log, SegmentFile, segment_path};

/// A world on a directory of its own with so much memory.
fn world(memory_bytes: usize) -> (tempfile::TempDir, StdEnv) {
    let dir = tempfile::tempdir().unwrap();
    let env = StdEnv::new(dir.path(), memory_bytes);
    (dir, env)
}

async fn run(
    env: &StdEnv,
    log: &Log<StdEnv>,
    settings: Settings,
    inputs: Inputs,
) -> Result<Report, PassError> {
    Pass::begin(log, env, settings, inputs).await?.expect("there is something").run().await
}

fn keyed(key: u32) -> Vec<u8> {
    format!("key-{key:08}").into_bytes()
}

/// Eight keys with committed values, then the same keys in a transaction that is aborted three
/// segments later, with other records between.
fn hidden_by_an_aborted_transaction() -> History {
    let mut history = History::default();
    let value = [7; 300];
    for key in 0..8 {
        history.data(Codec::None, None, &[(Some(&keyed(key)), Some(b"committed"))]);
    }
    for round in 0..3 {
        for key in 0..8 {
            let records = [(Some(&keyed(key)[..]), Some(&b"never"[..]))];
            history.data(Codec::Zstd, Some((9, true)), &records);
            history.data(Codec::None, None, &[(Some(&keyed(100 + round * 8 + key)), Some(&value))]);
        }
    }
    history.marker(9, false);
    for key in 200..210 {
        history.data(Codec::None, None, &[(Some(&keyed(key)), Some(&value))]);
    }
    history
}

#[test]
fn an_aborted_transaction_over_three_segments_hides_no_older_value() {
    let (_dir, env) = world(8 << 20);
    let history = hidden_by_an_aborted_transaction();
    env.block_on(async {
        let log = fill(&env, &history, 3_000).await;
        let [aborted] = history.aborted[..] else { panic!("one was aborted") };
        let bases: Vec<Offset> = log.segments().iter().map(|view| view.base).collect();
        let inside = bases
            .iter()
            .filter(|base| aborted.first_offset < **base && **base < aborted.last_offset);
        assert!(2 <= inside.count(), "it spans three segments: {bases:?}");
        // The index of the segment that holds the marker says it.
        let holder = *bases.iter().rfind(|base| **base <= aborted.last_offset).unwrap();
        let mut index = AbortedIndex::new();
        index.push(aborted);
        let path = segment_path(Path::new(DIR), holder, SegmentFile::TxnIndex);
        env::replace_file(&env, &path, &index.encode(), Group::System).await.unwrap();
        let inputs = Inputs { aborted: Aborted::Files, ..history.inputs(5_000) };
        let report = run(&env, &log, kit::settings(), inputs.clone()).await.unwrap();
        let seen = check(&log, &history).await;
        check_clean(&history, &seen, report.cleaned_to);
        for key in 0..8 {
            assert_eq!(seen.map[&keyed(key)], b"committed", "{key}");
        }
        assert_eq!(report.dropped_records, 24, "the aborted records go: {report:?}");
        // The marker stays, and so does its entry until a pass saw nothing of the transaction.
        let found = kit::batches(&log, Offset::ZERO).await;
        let markers = |found: &[Vec<u8>]| {
            let control = |batch: &&Vec<u8>| {
                let header = Header::read(batch).unwrap();
                header.is_control() && 0 < header.records
            };
            found.iter().filter(control).count()
        };
        assert_eq!(markers(&found), 1);
        let entries = || async {
            let mut all = Vec::<AbortedTransaction>::new();
            for view in log.segments() {
                let path = segment_path(Path::new(DIR), view.base, SegmentFile::TxnIndex);
                if let Some(bytes) =
                    env::read_all(&env, &path, 1 << 20, Group::System).await.unwrap()
                {
                    all.extend(AbortedIndex::decode(&bytes).unwrap().entries());
                }
            }
            all
        };
        assert_eq!(entries().await, [aborted]);
        // A file with transactional batches has the index even if nothing in it was aborted.
        let first = segment_path(Path::new(DIR), Offset::ZERO, SegmentFile::TxnIndex);
        let len = async || env.disk().stat(&first).await.unwrap().map(|stat| stat.len);
        let has = kit::batches(&log, Offset::ZERO).await.iter().any(|batch| {
            let header = Header::read(batch).unwrap();
            header.is_transactional() && header.base_offset < log.segments()[0].next
        });
        assert_eq!(len().await.is_some(), has);
        // The last data batch of the producer is kept empty, so the transaction is not empty; once
        // the producer is forgotten it goes, then the marker gets its horizon, then it goes.
        let forgotten = Inputs { producers: [].into(), ..inputs };
        let mut left = Vec::new();
        for now_ms in [6_000, 7_000, 8_500, 9_500, 10_500] {
            let inputs = Inputs { now_ms, ..forgotten.clone() };
            run(&env, &log, kit::settings(), inputs).await.unwrap();
            let found = kit::batches(&log, Offset::ZERO).await;
            left.push((markers(&found), entries().await.len()));
        }
        assert!(left.is_sorted_by(|a, b| b <= a), "{left:?}");
        let found = kit::consume(&history, &kit::batches(&log, Offset::ZERO).await);
        assert_eq!(found.map, history.map());
    });
}

/// `segments` closed segments, each with `keys` of its own in batches of ten.
fn disjoint(segments: u32, keys: u32) -> History {
    let mut history = History::default();
    for first in (0..segments * keys).step_by(10) {
        let texts: Vec<Vec<u8>> = (first..first + 10).map(keyed).collect();
        let records: Vec<_> =
            texts.iter().map(|key| (Some(&key[..]), Some(&b"value"[..]))).collect();
        history.data(Codec::Lz4, None, &records);
    }
    history
}

#[test]
fn a_segment_in_which_nothing_is_superseded_is_not_written_again() {
    let (_dir, env) = world(8 << 20);
    let mut history = disjoint(8, 500);
    // One key of the second segment is written again at the end.
    history.data(Codec::None, None, &[(Some(&keyed(600)), Some(b"newer"))]);
    history.data(Codec::None, None, &[(Some(&keyed(99_999)), Some(&[1; 9_000]))]);
    history.data(Codec::None, None, &[(Some(&keyed(99_998)), Some(&[1; 9_000]))]);
    env.block_on(async {
        let log = fill(&env, &history, 12_000).await;
        let before = log.segments();
        let settings = Settings { sort_bytes: 1 << 20, ..kit::settings() };
        let report = run(&env, &log, settings, history.inputs(9_000)).await.unwrap();
        check(&log, &history).await;
        assert_eq!((report.rewritten, report.written), (1, 1), "{report:?} {before:?}");
        assert_eq!((report.rewritten_batches, report.dropped_records), (1, 1), "{report:?}");
        assert!(10 < report.copied_batches);
        let after = log.segments();
        let changed = before.iter().zip(&after).filter(|(b, a)| b.len_bytes != a.len_bytes);
        assert_eq!(changed.count(), 1);
    });
}

#[test]
fn small_neighbours_become_one_across_leader_epochs() {
    let (_dir, env) = world(8 << 20);
    let history = disjoint(6, 100);
    env.block_on(async {
        let log = fill(&env, &history, 1_000).await;
        assert!(10 < log.segments().len());
        log.set_options(kit::options(50_000));
        let report = run(&env, &log, kit::settings(), history.inputs(9_000)).await.unwrap();
        check(&log, &history).await;
        assert_eq!(report.written, 1, "{report:?}");
        assert_eq!(report.dropped_records, 0);
        assert_eq!(log.segments().len(), 2);
        let epochs = kit::batches(&log, Offset::ZERO).await;
        let epochs = epochs.iter().map(|batch| Header::read(batch).unwrap().leader_epoch);
        assert!(1 < epochs.collect::<std::collections::BTreeSet<_>>().len());
    });
}

#[test]
fn what_changes_gets_the_codec_of_the_topic_and_the_rest_stays_as_it_is() {
    for codec in Codec::ALL {
        let (_dir, env) = world(8 << 20);
        let history = History::random(u64::from(codec.id()), 150, 20);
        env.block_on(async {
            let log = fill(&env, &history, 1_500).await;
            let compression = Compression { codec: Some(codec), level: Some(4) };
            let settings = Settings { compression, ..kit::settings() };
            let report = run(&env, &log, settings, history.inputs(9_000)).await.unwrap();
            let seen = check(&log, &history).await;
            check_clean(&history, &seen, report.cleaned_to);
            for batch in kit::batches(&log, Offset::ZERO).await {
                let header = Header::read(&batch).unwrap();
                let data = !header.is_control() && 0 < header.records;
                let copied = history.batches.contains(&batch);
                let right = header.codec() == Ok(codec);
                assert!(copied || right || !data, "{codec:?} {header:?}");
            }
        });
    }
}

#[test]
fn a_key_index_that_is_missing_or_wrong_is_built_anew() {
    let history = History::random(3, 150, 20);
    for harm in 0..6_usize {
        let (dir, env) = world(8 << 20);
        env.block_on(async {
            let log = fill(&env, &history, 1_500).await;
            let inputs = history.inputs(9_000);
            let mut pass =
                Pass::begin(&log, &env, kit::settings(), inputs.clone()).await.unwrap().unwrap();
            let segments = pass.report().segments;
            for _ in 0..segments {
                pass.step().await.unwrap();
            }
            assert_eq!(pass.report().indexed, segments);
            drop(pass);
            let base = log.segments()[1].base;
            let path = segment_path(&dir.path().join(DIR), base, SegmentFile::Keys);
            let mut bytes = std::fs::read(&path).unwrap();
            match harm {
                0 => std::fs::remove_file(&path).unwrap(),
                1 => bytes[100] ^= 1,
                // That of another segment.
                2 => {
                    let other = log.segments()[2].base;
                    let other = segment_path(&dir.path().join(DIR), other, SegmentFile::Keys);
                    bytes = std::fs::read(other).unwrap();
                }
                3 => bytes.truncate(50),
                // Of other content of the same length: the checksum of its first or last batch.
                _ => {
                    bytes[64 + (harm - 4) * 4] ^= 1;
                    let crc = crc32c::crc32c(&bytes[..508]);
                    bytes[508..512].copy_from_slice(&crc.to_be_bytes());
                }
            }
            if harm != 0 {
                std::fs::write(&path, bytes).unwrap();
            }
            let report = run(&env, &log, kit::settings(), inputs).await.unwrap();
            assert_eq!(report.indexed, 1, "{harm}");
            let seen = check(&log, &history).await;
            check_clean(&history, &seen, report.cleaned_to);
        });
    }
}

#[test]
fn damage_inside_a_key_index_ends_the_pass_and_the_next_one_has_it_right() {
    let history = History::random(3, 150, 20);
    let (dir, env) = world(8 << 20);
    env.block_on(async {
        let log = fill(&env, &history, 1_500).await;
        let inputs = history.inputs(9_000);
        let mut pass =
            Pass::begin(&log, &env, kit::settings(), inputs.clone()).await.unwrap().unwrap();
        for _ in 0..pass.report().segments {
            pass.step().await.unwrap();
        }
        drop(pass);
        let base = log.segments()[0].base;
        let path = segment_path(&dir.path().join(DIR), base, SegmentFile::Keys);
        let mut bytes = std::fs::read(&path).unwrap();
        // The first note.
        let end = bytes.len() - 4_096 + 8;
        bytes[end] ^= 1;
        std::fs::write(&path, bytes).unwrap();
        let failed = run(&env, &log, kit::settings(), inputs.clone()).await;
        assert_eq!(failed, Err(PassError::OwnFile));
        check(&log, &history).await;
        let report = run(&env, &log, kit::settings(), inputs).await.unwrap();
        let seen = check(&log, &history).await;
        check_clean(&history, &seen, report.cleaned_to);
    });
}

#[test]
fn a_damaged_batch_ends_the_pass_and_is_named() {
    let history = History::random(3, 150, 20);
    let (dir, env) = world(8 << 20);
    env.block_on(async {
        let log = fill(&env, &history, 1_500).await;
        let base = log.segments()[1].base;
        let path = segment_path(&dir.path().join(DIR), base, SegmentFile::Log);
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[70] ^= 1;
        std::fs::write(&path, bytes).unwrap();
        let failed = run(&env, &log, kit::settings(), history.inputs(9_000)).await;
        let Err(PassError::Corrupt(corrupt)) = failed else { panic!("{failed:?}") };
        assert_eq!((corrupt.position, corrupt.offset), (0, base));
    });
}

#[test]
fn a_pass_over_a_log_that_was_cut_or_dropped_meanwhile_ends() {
    for dropped in [false, true] {
        let history = History::random(8, 150, 10);
        let (_dir, env) = world(8 << 20);
        env.block_on(async {
            let log = fill(&env, &history, 1_500).await;
            let inputs = history.inputs(9_000);
            let mut pass = Pass::begin(&log, &env, kit::settings(), inputs).await.unwrap().unwrap();
            for _ in 0..pass.report().segments + 2 {
                pass.step().await.unwrap();
            }
            if dropped {
                log.clone().remove(Group::System).await.unwrap();
            } else {
                log.truncate(at(history.end.raw() - 1), Group::System).await.unwrap();
            }
            let failed = pass.run().await.unwrap_err();
            let gone = matches!(&failed, PassError::Io(failure) if failure.kind == std::io::ErrorKind::NotFound);
            assert!(gone || failed == PassError::Changed, "{failed:?}");
        });
    }
}

#[test]
fn retention_may_drop_segments_between_two_passes() {
    // `compact,delete`: what is dropped is the oldest, whatever is latest of its key there.
    let history = History::random(8, 150, 10);
    let (_dir, env) = world(8 << 20);
    env.block_on(async {
        let log = fill(&env, &history, 1_500).await;
        run(&env, &log, kit::settings(), history.inputs(9_000)).await.unwrap();
        let start = log.segments()[1].base;
        log.advance_start(start, Group::Retention).await.unwrap();
        run(&env, &log, kit::settings(), history.inputs(10_500)).await.unwrap();
        let found = kit::batches(&log, start).await;
        let seen = kit::consume(&history, &found);
        for (key, offset) in history.latest(history.stable()) {
            let value = history.records[&offset].value.clone();
            if start <= offset {
                assert_eq!(seen.map.get(&key), value.as_ref(), "{offset}");
            }
        }
    });
}

/// Most bytes in use at any step of a pass.
async fn peak(
    env: &StdEnv,
    log: &Log<StdEnv>,
    settings: Settings,
    inputs: Inputs,
) -> (usize, Report) {
    log.evict(usize::MAX);
    let mut pass = Pass::begin(log, env, settings, inputs).await.unwrap().unwrap();
    let report = pass.run().await.unwrap();
    env.pool().collect();
    (env.pool().used(), report)
}

#[test]
fn memory_is_bounded_whatever_the_number_of_keys_and_segments() {
    // 300 segments, so the merge has a second level; sorts of 16 KiB spill hundreds of runs. The
    // pool refuses what would pass its limit, so to be done is the proof.
    let (_dir, env) = world(8 << 20);
    let mut history = disjoint(300, 200);
    for first in (0..60_000).step_by(70) {
        let texts: Vec<Vec<u8>> = (first..first + 10).map(keyed).collect();
        let records: Vec<_> =
            texts.iter().map(|key| (Some(&key[..]), Some(&b"newer"[..]))).collect();
        history.data(Codec::Snappy, None, &records);
    }
    env.block_on(async {
        let log = fill(&env, &history, 3_000).await;
        assert!(300 < log.segments().len(), "{}", log.segments().len());
        let settings = Settings { sort_bytes: 16 << 10, ..Settings::default() };
        let (used, report) = peak(&env, &log, settings, history.inputs(9_000)).await;
        assert!(used < 1 << 20, "{used} are still in use");
        let seen = check(&log, &history).await;
        check_clean(&history, &seen, report.cleaned_to);
        assert!(8_000 < report.dropped_records, "{report:?}");
    });
}

#[test]
fn one_segment_may_span_31_bits_of_offsets() {
    let (_dir, env) = world(4 << 20);
    let mut history = History::default();
    let far = i64::from(i32::MAX);
    for offset in [0, 5, far / 2, far - 2] {
        history.end = at(offset);
        let key = keyed(u32::try_from(offset % 3).unwrap());
        history.data(Codec::None, None, &[(Some(&key), Some(b"v"))]);
    }
    history.end = at(far + 10);
    history.data(Codec::None, None, &[(Some(&keyed(7)), Some(b"v"))]);
    env.block_on(async {
        let log = fill(&env, &history, 1 << 20).await;
        assert_eq!(log.segments().len(), 2);
        let report = run(&env, &log, kit::settings(), history.inputs(9_000)).await.unwrap();
        let seen = check(&log, &history).await;
        check_clean(&history, &seen, report.cleaned_to);
        assert!(0 < report.dropped_records);
    });
}

#[test]
fn what_grows_when_it_is_compressed_anew_fills_more_than_one_file() {
    let (_dir, env) = world(8 << 20);
    let mut history = History::default();
    for round in 0..60_u32 {
        let texts: Vec<Vec<u8>> = (0..5).map(|n| keyed(round * 4 + n)).collect();
        let value = [3; 500];
        let records: Vec<_> = texts.iter().map(|key| (Some(&key[..]), Some(&value[..]))).collect();
        history.data(Codec::Zstd, None, &records);
    }
    env.block_on(async {
        let log = fill(&env, &history, 5_000).await;
        let compression = Compression { codec: Some(Codec::None), level: None };
        let settings = Settings { compression, ..kit::settings() };
        let report = run(&env, &log, settings, history.inputs(9_000)).await.unwrap();
        assert!(report.rewritten < report.written, "{report:?}");
        let seen = check(&log, &history).await;
        check_clean(&history, &seen, report.cleaned_to);
        assert!(log.segments().iter().all(|view| view.len_bytes <= 5_000));
    });
}

#[test]
fn a_survey_says_how_dirty_a_log_is_and_when_it_is_due() {
    let (_dir, env) = world(8 << 20);
    let history = History::random(21, 150, 20);
    env.block_on(async {
        let log = fill(&env, &history, 1_500).await;
        let stable = history.stable();
        let look = async |now_ms| survey(&log, &env, stable, 0, now_ms).await.unwrap();
        let before = look(9_000).await;
        assert_eq!((before.cleaned_to, before.dirt.clean_bytes), (Offset::ZERO, 0));
        assert_eq!(before.dirt.due(0.5, i64::MAX, 9_000), Due::Ratio);
        let first_ms = before.dirt.first_dirty_ms.unwrap();
        assert_eq!(before.dirt.due(1.0, 10, first_ms + 11), Due::Lag(first_ms + 10));
        let report = run(&env, &log, kit::settings(), history.inputs(9_000)).await.unwrap();
        let after = look(9_001).await;
        assert_eq!((after.cleaned_to, after.dirt.cleanable_bytes), (report.cleaned_to, 0));
        assert_eq!(after.dirt.due(0.0, 0, 9_001), Due::No);
        // Though nothing new is written, the tombstones are due at their horizon, and then gone.
        let horizon_ms = report.earliest_horizon_ms.expect("there are tombstones");
        assert_eq!(after.dirt.due(0.5, i64::MAX, horizon_ms), Due::Horizon(horizon_ms));
        run(&env, &log, kit::settings(), history.inputs(horizon_ms)).await.unwrap();
        let seen = check(&log, &history).await;
        let left = seen.records.range(..report.cleaned_to).filter(|(_, told)| told.value.is_none());
        assert_eq!(left.count(), 0);
    });
}
