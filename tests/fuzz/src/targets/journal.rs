//! Journal and checkpoint files. Input: a byte of choices, then the pages of one file, each as a 16-bit length
//! (little-endian) and that many bytes, the rest of the page being zero.

use std::path::PathBuf;

use env::sim::{Contents, Image, Sim, SimOptions};
use env::{Group, ShardId};
use journal::checkpoint::{self, Checkpoint};
use record::Batches;

use super::take;

const PAGE: usize = 4096;
/// The file is a checkpoint instead of a journal.
const CHECKPOINT: u8 = 1;
/// Checksums are made right, and frames are made to belong to their file.
const REPAIR: u8 = 2;
/// Pages of a file at most, so that a run stays short.
const PAGES_MAX: usize = 64;

/// Starts on a disk with the file that `data` describes.
///
/// # Panics
/// If the replay of one partition goes back or overlaps, or gives something else than it names.
pub fn journal(data: &[u8]) {
    let mut data = data;
    let choices = take(&mut data);
    let mut file = expand(data);
    let name =
        if choices & CHECKPOINT != 0 { "evenkeel-checkpoint-0" } else { "evenkeel-journal-0-0" };
    if choices & REPAIR != 0 && choices & CHECKPOINT == 0 {
        repair(&mut file);
    }
    if choices & CHECKPOINT != 0 {
        // A checkpoint's length is not padded to pages.
        file.truncate(data.len().saturating_sub(2));
        if choices & REPAIR != 0 {
            repair_checkpoint(&mut file);
        }
    }
    let mut contents = Contents::default();
    contents.files.insert(PathBuf::from(name), file);
    let sim: Sim<()> = Sim::restart(1, SimOptions::default(), Image::of(&contents));
    let env = sim.env(ShardId(0));
    sim.run(async {
        let points = checkpoint::load(&env, Group::Recovery).await;
        let points = points.ok().flatten().unwrap_or_default();
        check(&env, &points).await;
    })
    .done();
}

async fn check(env: &env::sim::SimEnv<()>, points: &Checkpoint) {
    let Ok(replay) = journal::replay(env, points, Group::Recovery).await else { return };
    for said in replay.partitions().values() {
        let mut end = None;
        for piece in &said.pieces {
            assert!(piece.base < piece.until && piece.until <= piece.next, "{piece:?}");
            assert!(end <= Some(piece.base), "{piece:?} overlaps {end:?}");
            end = Some(piece.until);
            let bytes = replay.read(piece, Group::Recovery).await.expect("it was intact");
            assert!(bytes.len() as u64 <= piece.len_bytes());
            for batch in Batches::new(&bytes) {
                let Ok((header, _)) = batch else { break };
                if piece.until < piece.next {
                    assert!(header.next_offset() <= piece.until, "void batches are left out");
                }
            }
        }
    }
}

/// The file whose pages `data` lists.
fn expand(mut data: &[u8]) -> Vec<u8> {
    let mut file = Vec::new();
    while 2 <= data.len() && file.len() < PAGES_MAX * PAGE {
        let len = usize::from(u16::from_le_bytes([data[0], data[1]]));
        let (page, rest) = data[2..].split_at(len.min(data.len() - 2).min(PAGE));
        file.extend_from_slice(page);
        file.resize(file.len().next_multiple_of(PAGE), 0);
        data = rest;
    }
    file
}

/// The description of a file, as [`journal()`] reads it.
#[must_use]
pub fn compact(choices: u8, file: &[u8]) -> Vec<u8> {
    let mut data = vec![choices];
    for page in file.chunks(PAGE) {
        let len = page.iter().rposition(|byte| *byte != 0).map_or(0, |at| at + 1);
        data.extend(u16::try_from(len).expect("a page is short").to_le_bytes());
        data.extend_from_slice(&page[..len]);
    }
    while data.ends_with(&[0, 0]) {
        data.truncate(data.len() - 2);
    }
    data
}

fn put_crc(bytes: &mut [u8], at: usize, from: usize, to: usize) {
    let crc = crc32c::crc32c(&bytes[from..to]);
    bytes[at..at + 4].copy_from_slice(&crc.to_be_bytes());
}

/// The header page and every frame, by the places that docs/design/format.md gives.
fn repair(file: &mut [u8]) {
    if file.len() < PAGE {
        return;
    }
    put_crc(file, 60, 0, 60);
    let id: [u8; 32] = file[8..40].try_into().expect("32 bytes");
    for at in (PAGE..file.len()).step_by(PAGE) {
        let frame = &mut file[at..];
        if frame[..4] != *b"EKJF" {
            continue;
        }
        frame[8..40].copy_from_slice(&id);
        let len = u32::from_be_bytes(frame[60..64].try_into().expect("four bytes"));
        let end = usize::try_from(len).unwrap_or(usize::MAX).saturating_add(72);
        if end <= frame.len() {
            put_crc(frame, 4, 8, end);
        }
    }
}

fn repair_checkpoint(file: &mut [u8]) {
    if file.len() < 36 {
        return;
    }
    put_crc(file, 28, 0, 28);
    let end = file.len() - 4;
    put_crc(file, end, 32, end);
}
