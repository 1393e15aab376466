//! The files of a closed log, byte by byte as Kafka leaves them.

#![expect(clippy::unwrap_used, reason = "a test that fails may panic")]

mod kit;

use std::collections::BTreeMap;
use std::path::Path;

use env::Group;
use env::std_world::StdEnv;
use evenkeel_segment::{Log, LogOptions};
use kit::{Model, append, at, batch, check, dir};
use record::Offset;

fn files(root: &Path) -> BTreeMap<String, Vec<u8>> {
    let read = std::fs::read_dir(root.join(kit::DIR)).unwrap();
    let read = read.map(|entry| entry.unwrap().path());
    read.map(|path| {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        (name, std::fs::read(path).unwrap())
    })
    .collect()
}

fn index(entries: &[(u32, u32)]) -> Vec<u8> {
    entries
        .iter()
        .flat_map(|(offset, at)| [offset.to_be_bytes(), at.to_be_bytes()].concat())
        .collect()
}

fn times(entries: &[(u64, u32)]) -> Vec<u8> {
    entries
        .iter()
        .flat_map(|(ms, at)| [&ms.to_be_bytes()[..], &at.to_be_bytes()].concat())
        .collect()
}

#[test]
fn a_closed_log_has_kafkas_files() {
    let root = tempfile::tempdir().unwrap();
    let env = StdEnv::new(root.path(), 16 << 20);
    let options = LogOptions { segment_bytes: 5000, index_interval_bytes: 1500, ..kit::small() };
    let mut model = Model::default();
    env.block_on(async {
        let log = Log::create(&env, dir(), options, Offset::ZERO).await.unwrap();
        for timestamp_ms in [10, 40, 20, 30, 35, 50, 60] {
            let bytes = batch(2, 450, timestamp_ms, 0);
            assert_eq!(bytes.len(), 61 + 2 * 459, "the numbers below depend on it");
            append(&log, &mut model, &bytes, 0);
        }
        log.close(Group::System).await.unwrap();
        check(&log, &model).await;
    });
    let files = files(root.path());
    let bytes = |name: &str| files.get(name).unwrap_or_else(|| panic!("no {name}")).clone();
    assert_eq!(files.len(), 6);
    let all: Vec<u8> = model.batches.iter().flat_map(|batch| batch.bytes.clone()).collect();
    assert!(bytes("00000000000000000000.log") == all[..5 * 979]);
    assert!(bytes("00000000000000000010.log") == all[5 * 979..]);
    // More than 1500 bytes come before the third and, since then, before the fifth batch. The
    // entry holds the batch's last offset; the largest timestamp so far is that of the second.
    assert_eq!(bytes("00000000000000000000.index"), index(&[(5, 2 * 979), (9, 4 * 979)]));
    assert_eq!(bytes("00000000000000000000.timeindex"), times(&[(41, 3)]));
    // A closed segment ends with its largest timestamp, though it has no other entry.
    assert_eq!(bytes("00000000000000000010.index"), index(&[]));
    assert_eq!(bytes("00000000000000000010.timeindex"), times(&[(61, 3)]));
}

#[test]
fn an_empty_log_has_empty_files() {
    let root = tempfile::tempdir().unwrap();
    let env = StdEnv::new(root.path(), 16 << 20);
    env.block_on(async {
        let log = Log::create(&env, dir(), kit::small(), at(77)).await.unwrap();
        log.close(Group::System).await.unwrap();
    });
    let files = files(root.path());
    let names: Vec<&str> = files.keys().map(String::as_str).collect();
    let base = "00000000000000000077";
    let want = [format!("{base}.index"), format!("{base}.log"), format!("{base}.timeindex")];
    assert_eq!(names, want);
    assert!(files.values().all(Vec::is_empty));
}
