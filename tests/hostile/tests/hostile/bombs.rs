//! Batches that are small and decompress to very much.

use evenkeel_hostile::{Batch, Codec, produce_error};

use crate::{MIB, besieged};

/// What one bomb may take for the moment that it is looked at: the most that a batch may become, twice
/// while it grows, and some.
const ROOM: u64 = 300 * MIB;

#[test]
fn a_bomb_of_each_codec_is_refused_within_bounded_memory() {
    let besieged = besieged();
    besieged.topic("target").expect("it is created");
    let before = besieged.memory_peak().expect("it runs");
    for (codec, zeros) in
        [(Codec::Gzip, 900 << 20), (Codec::Lz4, 230 << 20), (Codec::Zstd, 1900 << 20)]
    {
        let bytes = Batch::bomb(codec, zeros).bytes();
        assert!(bytes.len() < 1 << 20, "{codec:?}: it fits into the topic's limit");
        for _ in 0..3 {
            let mut line = besieged.line().expect("accepted");
            let code = produce_error(&mut line, "target", &bytes).expect("an answer");
            assert_ne!(code, 0, "{codec:?}");
        }
        let peak = besieged.memory_peak().expect("it runs");
        assert!(peak < before + ROOM, "{codec:?}: {peak} bytes after {before}");
    }
    besieged.relieve().expect("nobody else noticed");
}

#[test]
fn a_claimed_length_is_not_believed() {
    let besieged = besieged();
    besieged.topic("target").expect("it is created");
    let before = besieged.memory_peak().expect("it runs");
    let mut line = besieged.line().expect("accepted");
    // Raw snappy begins with the length that it will have: 4 GiB - 1 here.
    let snappy = vec![0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0];
    // The header of a zstd frame with a content size of 2^40 bytes and a window as large.
    let mut zstd = vec![0x28, 0xb5, 0x2f, 0xfd, 0xe0];
    zstd.extend((1_u64 << 40).to_le_bytes());
    zstd.extend([0, 0, 0]);
    for (codec, records) in [(Codec::Snappy, snappy), (Codec::Zstd, zstd)] {
        let batch = Batch { attributes: codec.number(), records, ..Batch::of(&[b""]) };
        let code = produce_error(&mut line, "target", &batch.bytes()).expect("an answer");
        assert_ne!(code, 0, "{codec:?}");
    }
    let peak = besieged.memory_peak().expect("it runs");
    assert!(peak < before + 32 * MIB, "{peak} bytes after {before}");
    besieged.relieve().expect("nobody else noticed");
}
