//! `docs/design/format.md`, written a second time: the bytes must be the same.

#![expect(clippy::unwrap_used, reason = "a test that fails may panic")]

use std::path::Path;

use buf::Sealed;
use env::sim::{Contents, Image, Sim, SimOptions};
use env::{Group, ShardId};
use evenkeel_journal::checkpoint::Checkpoint;
use evenkeel_journal::{Item, Journal, JournalOptions, RunStart, replay};
use record::{LeaderEpoch, Offset, TopicId, TopicPartition};

const PARTITION: TopicPartition =
    TopicPartition { topic: TopicId::from_bytes([0xA5; 16]), partition: 0x0102_0304 };
const START: RunStart = RunStart { run: 0x0B, first_number: 0x0C };
const NAME: &str = "evenkeel-journal-0-12";
const CONTENT: &[u8] = b"as they are in the segment";

fn at(raw: i64) -> Offset {
    Offset::new(raw).unwrap()
}

fn items() -> Vec<Item> {
    vec![
        Item::Batches {
            partition: PARTITION,
            base: at(0x11),
            next: at(0x13),
            epoch: LeaderEpoch::new(7).unwrap(),
            parts: vec![Sealed::of_static(CONTENT)],
        },
        Item::Dirty { partition: PARTITION, from: at(0x13) },
        Item::Truncated { partition: PARTITION, to: at(0x13) },
        Item::StartAdvanced { partition: PARTITION, to: at(0x12) },
        Item::Deleted { topic: TopicId::from_bytes([0x5A; 16]) },
    ]
}

fn be<const N: usize>(parts: &[[u8; N]]) -> Vec<u8> {
    parts.concat()
}

/// Shard, number, run, generation, salt.
fn identity(salt: [u8; 8]) -> Vec<u8> {
    let numbers = be(&[START.run.to_be_bytes(), 1_u64.to_be_bytes(), salt]);
    [&[0, 0][..], &START.first_number.to_be_bytes(), &numbers].concat()
}

fn file_header(salt: [u8; 8]) -> Vec<u8> {
    let mut page = [b"EKJOURNL", &[0, 1][..], &identity(salt)].concat();
    page.resize(60, 0);
    page.extend(crc32c::crc32c(&page).to_be_bytes());
    page.resize(4096, 0);
    page
}

fn item(kind: u8, body: &[u8]) -> Vec<u8> {
    [&[kind, 0, 0, 0][..], &u32::try_from(body.len()).unwrap().to_be_bytes(), body].concat()
}

fn payload() -> Vec<u8> {
    let id = [&[0xA5; 16][..], &[1, 2, 3, 4]].concat();
    let with = |offset: i64| [&id[..], &offset.to_be_bytes()].concat();
    let offsets = be(&[0x11_i64.to_be_bytes(), 0x13_i64.to_be_bytes()]);
    let batches = [&id[..], &7_i32.to_be_bytes(), &offsets, CONTENT].concat();
    [
        item(1, &batches),
        item(2, &with(0x13)),
        item(3, &with(0x13)),
        item(4, &with(0x12)),
        item(5, &[0x5A; 16]),
    ]
    .concat()
}

/// The frame with `sequence`, which is its ordinal too, while the frames below were flushed.
fn frame(salt: [u8; 8], sequence: u32) -> Vec<u8> {
    let payload = payload();
    let wide = u64::from(sequence).to_be_bytes();
    let payload_len = u32::try_from(payload.len()).unwrap();
    let narrow = be(&[sequence, payload_len, 5, 0].map(u32::to_be_bytes));
    let tail = [&[0, 1][..], &identity(salt), &wide, &wide, &narrow, &payload].concat();
    let crc = crc32c::crc32c(&tail).to_be_bytes();
    let mut page = [&b"EKJF"[..], &crc, &tail].concat();
    page.resize(4096, 0);
    page
}

#[test]
fn what_is_written_is_what_the_specification_says() {
    let sim: Sim<()> = Sim::new(1, SimOptions::default());
    let env = sim.env(ShardId(0));
    sim.run(async {
        let options = JournalOptions { file_bytes: 64 << 10, ..JournalOptions::new(START) };
        let journal = Journal::open(env.clone(), options).await.unwrap();
        journal.commit(items(), true, Group::Produce).await.unwrap();
        // What a longer frame leaves in memory must not reach the padding of the next.
        let parts = vec![Sealed::of_static(&[0xFF; 3500])];
        let (base, next, epoch) = (at(0), at(1), LeaderEpoch::ZERO);
        let long = Item::Batches { partition: PARTITION, base, next, epoch, parts };
        journal.commit(vec![long], true, Group::Produce).await.unwrap();
        journal.commit(items(), true, Group::Produce).await.unwrap();
    })
    .done();
    let contents = sim.disk().contents();
    let bytes = &contents.files[Path::new(NAME)];
    let salt: [u8; 8] = bytes[32..40].try_into().unwrap();
    assert_eq!(bytes[..4096], file_header(salt));
    assert_eq!(bytes[4096..8192], frame(salt, 0));
    assert_eq!(bytes[12288..16384], frame(salt, 2));
    assert!(bytes[16384..].iter().all(|byte| *byte == 0));
}

#[test]
fn what_the_specification_says_is_read() {
    let salt = *b"any salt";
    let mut contents = Contents::default();
    contents.files.insert(NAME.into(), [file_header(salt), frame(salt, 0)].concat());
    let sim: Sim<()> = Sim::restart(1, SimOptions::default(), Image::of(&contents));
    let env = sim.env(ShardId(0));
    sim.run(async {
        let found = replay(&env, &Checkpoint::default(), Group::Recovery).await.unwrap();
        assert_eq!(found.start(), RunStart { run: 0x0C, first_number: 0x0D });
        let said = found.partition(PARTITION).unwrap();
        let piece = &said.pieces[0];
        assert_eq!((piece.base, piece.until, piece.epoch.raw()), (at(0x11), at(0x13), 7));
        assert_eq!(&found.read(piece, Group::Recovery).await.unwrap()[..], CONTENT);
        assert_eq!(said.dirty_from, Some(at(0x11)));
        assert_eq!(said.truncated_to, Some(at(0x13)));
        assert_eq!(said.log_start, Some(at(0x12)));
        assert_eq!(found.deleted().len(), 1);
    })
    .done();
}
