//! The key index that a pass makes of those of its sources is the one that a walk over the file gives.

#![expect(clippy::unwrap_used, reason = "a test that fails may panic")]

mod kit;

use std::path::Path;

use env::Group;
use env::std_world::StdEnv;
use evenkeel_compaction::{Pass, Settings};
use index::keys::{KeyFacts, KeyIndex};
use kit::{DIR, History, check, fill};
use record::Offset;
use segment::{Log, SegmentFile, segment_path};

/// Base offset, facts, entries, notes and events of one key index.
type Content = (Offset, KeyFacts, Vec<[u8; 20]>, Vec<[u8; 4]>, Vec<[u8; 24]>);

async fn read(env: &StdEnv, base: Offset) -> Option<Content> {
    let path = segment_path(Path::new(DIR), base, SegmentFile::Keys);
    let index = KeyIndex::open(env, &path, Group::System).await.unwrap()?;
    let (mut entries, mut notes, mut events) = (Vec::new(), Vec::new(), Vec::new());
    let mut reader = index.entries();
    while let Some(entry) = reader.next().await.unwrap() {
        entries.push(entry);
    }
    let mut reader = index.notes();
    while let Some(note) = reader.next().await.unwrap() {
        notes.push(note);
    }
    let mut reader = index.events();
    while let Some(event) = reader.next().await.unwrap() {
        events.push(event);
    }
    Some((index.header().base, index.header().facts, entries, notes, events))
}

async fn all(env: &StdEnv, log: &Log<StdEnv>) -> Vec<Option<Content>> {
    let mut found = Vec::new();
    for view in log.structure().segments {
        found.push(read(env, view.base).await);
    }
    found
}

#[test]
fn a_derived_key_index_is_the_one_that_a_walk_gives() {
    let mut derived = 0;
    for seed in 0..30 {
        let history = History::random(seed, 200, 20 + seed * 5);
        let dir = tempfile::tempdir().unwrap();
        let env = StdEnv::new(dir.path(), 16 << 20);
        env.block_on(async {
            let log = fill(&env, &history, 1_000 + seed * 300).await;
            // Without a checkpoint, after which a file has no derived index.
            let settings = Settings { checkpoint_bytes: 1 << 30, ..kit::settings() };
            let inputs = history.inputs(9_000);
            let begun = Pass::begin(&log, &env, settings, inputs.clone()).await.unwrap();
            let Some(mut pass) = begun else { return };
            pass.run().await.unwrap();
            let made = all(&env, &log).await;
            for view in log.structure().segments {
                let path = segment_path(&dir.path().join(DIR), view.base, SegmentFile::Keys);
                let _ = std::fs::remove_file(path);
            }
            let mut pass = Pass::begin(&log, &env, settings, inputs).await.unwrap().unwrap();
            for _ in 0..pass.report().segments {
                pass.step().await.unwrap();
            }
            let walked = all(&env, &log).await;
            for (made, walked) in made.iter().zip(&walked) {
                if let (Some(made), Some(walked)) = (made, walked) {
                    assert_eq!(made, walked, "seed {seed}");
                    derived += 1;
                }
            }
            check(&log, &history).await;
        });
    }
    assert!(60 < derived, "{derived}");
}

#[test]
fn what_was_written_again_is_not_walked_again() {
    let history = History::random(4, 300, 60);
    let dir = tempfile::tempdir().unwrap();
    let env = StdEnv::new(dir.path(), 16 << 20);
    env.block_on(async {
        let log = fill(&env, &history, 2_000).await;
        let settings = Settings { checkpoint_bytes: 1 << 30, ..kit::settings() };
        for (round, indexed) in [(0, None), (1, Some(0)), (2, Some(0))] {
            let inputs = history.inputs(9_000 + round);
            let pass = Pass::begin(&log, &env, settings, inputs).await.unwrap();
            let report = pass.unwrap().run().await.unwrap();
            assert_eq!(report.indexed, indexed.unwrap_or(report.segments), "{report:?}");
        }
        check(&log, &history).await;
    });
}
