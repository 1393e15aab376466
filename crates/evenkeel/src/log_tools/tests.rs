//! The tools on small directories.

mod fixture;

use std::fs;

use self::fixture::Fixture;
use super::progress::Progress;
use super::{close, compact, inspect, verify};

const FIRST: &str = "t-0/00000000000000000000";
/// Bytes of a batch of the fixture.
const BATCH: usize = 110;
const LAST: &str = "t-0/00000000000000000020";

fn verified(fixture: &Fixture) -> String {
    let env = fixture.env();
    let before = fixture.contents();
    let (text, damaged) = verify::verified(&env, |_| Progress::silent()).unwrap();
    assert_eq!(damaged, !text.ends_with("no damage\n"));
    assert!(before == fixture.contents(), "nothing is changed");
    text
}

#[test]
fn a_clean_directory_is_shown() {
    let fixture = Fixture::new();
    let text = inspect::inspected(fixture.dir()).unwrap();
    for line in [
        "cluster      cluster, node 1",
        "state        stopped cleanly in broker epoch",
        "TOPIC  ID                      PARTITIONS  HERE",
        "t      BwcHBwcHBwcHBwcHBwcHBw           1     1",
        "t-0                       4   40              40         2",
        "t-0                        20   1100       10      3          3",
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
    assert!(!text.contains("JOURNAL") && !text.contains("not in the metadata"), "{text}");
}

#[test]
fn a_killed_directory_is_shown_with_its_journal_and_its_tail() {
    let fixture = Fixture::new();
    fixture.kill();
    fixture.journal(40, 3);
    fixture.change(&format!("{LAST}.log"), |log| log.extend_from_slice(&[0; 4096]));
    fs::create_dir(fixture.path("stranger-3")).unwrap();
    fs::create_dir(fixture.path("gone-0.00-delete")).unwrap();
    let text = inspect::inspected(fixture.dir()).unwrap();
    for line in [
        "state        not stopped cleanly",
        "journal holds 3 pieces",
        "to 46; dirty from 40; 4.0 KiB behind the last batch",
        "set aside    gone-0.00-delete",
        "not in the metadata",
        "JOURNAL                  SIZE  FRAMES",
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
}

#[test]
fn an_intact_directory_has_no_damage() {
    let text = verified(&Fixture::new());
    assert!(text.ends_with("no damage\n"), "{text}");
    assert!(text.contains("2 logs, 3 segments") && !text.contains("note"), "{text}");
}

/// A change to a clean directory, and the finding that must name it.
type Damage = (&'static str, fn(&mut Vec<u8>), &'static str);

#[test]
fn every_damage_is_found_and_named() {
    let log = |name: &str| format!("t-0/{name}");
    let damages: [(String, Damage); 13] = [
        (
            format!("{FIRST}.log"),
            ("a bit of a record", |b| b[100] ^= 1, "offset 0: the checksum is wrong"),
        ),
        (format!("{FIRST}.log"), ("a length", |b| b[8] = 0x40, "at byte 0, offset 0: a batch of")),
        (
            format!("{FIRST}.log"),
            (
                "a torn end",
                |b| b.truncate(b.len() - 9),
                "offset 18: a batch of 110 bytes is cut off",
            ),
        ),
        (
            format!("{LAST}.log"),
            (
                "zeros behind",
                |b| b.resize(b.len() + 100, 0),
                "offset 40: zeros where a batch should begin",
            ),
        ),
        (
            format!("{LAST}.log"),
            (
                "a repetition",
                |b| b.extend_from_within(..BATCH),
                "offset 40: offset 20 where 40 is next",
            ),
        ),
        (
            format!("{LAST}.log"),
            ("the magic", |b| b[BATCH + 16] = 1, "offset 22: unsupported batch version 1"),
        ),
        (format!("{FIRST}.index"), ("an entry", |b| b[7] ^= 1, "points into a batch")),
        (format!("{FIRST}.timeindex"), ("an entry", |b| b[7] ^= 0x10, "timeindex: ")),
        (
            log("00000000000000000040.snapshot"),
            ("a bit", |b| b[3] ^= 1, "offset 40: checksum mismatch"),
        ),
        (
            log("leader-epoch-checkpoint"),
            ("its text", |b| b[0] = b'x', "leader-epoch-checkpoint: line 1"),
        ),
        (log("partition.metadata"), ("its text", |b| b[0] = b'x', "partition.metadata: ")),
        (
            "recovery-point-offset-checkpoint".to_owned(),
            (
                "an offset",
                |b| {
                    b.pop();
                    b.push(b'9');
                },
                "t-0, which ends at 40",
            ),
        ),
        (
            "__cluster_metadata-0/00000000000000000000.log".to_owned(),
            ("a bit", |b| b[90] ^= 1, "the metadata cannot be read further"),
        ),
    ];
    for (name, (what, change, finding)) in damages {
        let fixture = Fixture::new();
        fixture.change(&name, change);
        let text = verified(&fixture);
        assert!(text.contains(finding), "{what} of {name}:\n{text}");
        assert!(!text.contains("no damage"), "{what} of {name}:\n{text}");
    }
}

#[test]
fn what_is_intact_behind_damage_is_still_checked() {
    let fixture = Fixture::new();
    fixture.change(&format!("{FIRST}.log"), |log| log[BATCH..2 * BATCH].fill(0xee));
    fixture.change(&format!("{FIRST}.log"), |log| log[5 * BATCH + 70] ^= 1);
    let text = verified(&fixture);
    let first = "damage  t-0/00000000000000000000.log at byte 110, offset 2: ";
    let second =
        "damage  t-0/00000000000000000000.log at byte 550, offset 10: the checksum is wrong";
    assert!(text.contains(first) && text.contains(second), "{text}");
    assert!(text.contains("no intact batch in 110 bytes"), "{text}");
    assert!(text.ends_with("2 damages\n"), "{text}");
}

#[test]
fn after_a_kill_only_what_was_flushed_can_be_damaged() {
    let fixture = Fixture::new();
    fixture.kill();
    fixture.change("recovery-point-offset-checkpoint", |text| {
        let len = text.len();
        text.splice(len - 3.., *b"30\n");
    });
    fixture.change(&format!("{LAST}.log"), |log| log[6 * BATCH + 70] ^= 1);
    let text = verified(&fixture);
    assert!(
        text.contains("note    t-0/00000000000000000020.log at byte 660, offset 32: "),
        "{text}"
    );
    assert!(text.ends_with("no damage\n"), "{text}");
    fixture.change(&format!("{LAST}.log"), |log| log[4 * BATCH + 70] ^= 1);
    let text = verified(&fixture);
    assert!(
        text.contains("damage  t-0/00000000000000000020.log at byte 440, offset 28: "),
        "{text}"
    );
}

#[test]
fn a_damaged_journal_frame_is_found() {
    let fixture = Fixture::new();
    fixture.kill();
    fixture.journal(40, 3);
    assert!(verified(&fixture).contains("3 more in the journal\nno damage"));
    // The second page holds the first frame, which was flushed before the second.
    fixture.change("evenkeel-journal-0-0", |file| file[4096 + 200] ^= 1);
    let text = verified(&fixture);
    assert!(text.contains("damage  evenkeel-journal-0-0: 1 flushed frames of run 1"), "{text}");
}

#[test]
fn closing_brings_the_journal_into_the_log_and_leaves_a_clean_directory() {
    let fixture = Fixture::new();
    fixture.kill();
    fixture.journal(40, 3);
    fixture.change(&format!("{LAST}.log"), |log| log.extend_from_slice(&[0; 4096]));
    let said = close::close(fixture.dir()).unwrap();
    assert!(said.contains("is closed"), "{said}");
    let text = verified(&fixture);
    assert!(text.ends_with("no damage\n") && !text.contains("note"), "{text}");
    let text = inspect::inspected(fixture.dir()).unwrap();
    assert!(text.contains("stopped cleanly") && !text.contains("JOURNAL"), "{text}");
    let wanted: Vec<u8> = (20..46).step_by(2).flat_map(fixture::batch_at).collect();
    assert!(fs::read(fixture.path(&format!("{LAST}.log"))).unwrap() == wanted);
    let recovery = fs::read_to_string(fixture.path("recovery-point-offset-checkpoint")).unwrap();
    assert!(recovery.contains("t 0 46"), "{recovery}");
}

#[test]
fn closing_twice_changes_nothing() {
    let fixture = Fixture::new();
    let before = fixture.contents();
    let said = close::close(fixture.dir()).unwrap();
    assert!(said.contains("nothing changed"), "{said}");
    assert!(before == fixture.contents());
}

#[test]
fn what_is_no_data_directory_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let why = super::world(dir.path()).unwrap_err();
    assert!(why.contains("no meta.properties"), "{why}");
    let why = super::world(&dir.path().join("missing")).unwrap_err();
    assert!(why.contains("is not a directory"), "{why}");
}

#[test]
fn a_directory_in_use_is_not_verified() {
    let fixture = Fixture::new();
    let lock = crate::directory_lock::lock(fixture.dir()).unwrap();
    let why = verify::run(fixture.dir()).unwrap_err();
    assert!(why.contains("in use"), "{why}");
    assert!(inspect::inspected(fixture.dir()).unwrap().contains("a broker runs on it"));
    drop(lock);
    assert!(verify::run(fixture.dir()).is_ok());
}

#[test]
fn a_directory_is_compacted_and_stays_whole() {
    let fixture = Fixture::new();
    let env = fixture.env();
    let compacted = |topic: Option<&str>| {
        compact::compacted(&env, fixture.dir(), topic, |_| Progress::silent())
    };
    assert!(compacted(None).unwrap().contains("no log is compacted"), "the policy is delete");
    let text = compacted(Some("t")).unwrap();
    // Of the first segment, closed, the latest of the one key stays.
    assert!(text.starts_with("t-0: 1 of 1 segments written again"), "{text}");
    assert!(text.ends_with("19 records went"), "{text}");
    assert!(verified(&fixture).ends_with("no damage\n"));
    let cleaned = fs::read_to_string(fixture.path("cleaner-offset-checkpoint")).unwrap();
    assert_eq!(cleaned, "0\n1\nt 0 20\n");
    let text = inspect::inspected(fixture.dir()).unwrap();
    assert!(text.contains("t-0                       4   40              40         2"), "{text}");
    let again = compacted(Some("t")).unwrap();
    assert!(again.contains("0 of 1 segments written again"), "{again}");
    fixture.kill();
    assert!(compacted(Some("t")).unwrap_err().contains("log close"));
}
