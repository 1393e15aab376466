//! Tests of `codec`.

use super::*;

/// Text that compresses, then bytes that do not.
fn sample(len: usize) -> Vec<u8> {
    let mut state = 1_u64;
    let noise = std::iter::repeat_with(|| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state.to_be_bytes()[0]
    });
    b"{\"tail\":\"N14228\",\"origin\":\"EWR\"}"
        .iter()
        .copied()
        .cycle()
        .take(len / 2)
        .chain(noise.take(len - len / 2))
        .collect()
}

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<char> = text.chars().filter(|c| !c.is_whitespace()).collect();
    digits.chunks(2).map(|d| u8::from_str_radix(&String::from_iter(d), 16).unwrap()).collect()
}

fn is_malformed(result: &Result<Vec<u8>, DecompressError>) -> bool {
    matches!(result, Err(DecompressError::Malformed { .. }))
}

#[test]
fn every_codec_gives_back_what_it_took() {
    for codec in Codec::ALL {
        for len in [0, 1, 12, 1000, 32_768, 65_535, 65_536, 65_537, 300_000] {
            let bytes = sample(len);
            let packed = compress(codec, None, &bytes);
            assert_eq!(decompress(codec, &packed, len), Ok(bytes), "{codec:?} {len}");
        }
    }
}

#[test]
fn every_level_is_taken_and_held_to_the_codecs_range() {
    let bytes = sample(5000);
    for codec in Codec::ALL {
        let ends = codec.levels().map_or((0, 0), RangeInclusive::into_inner);
        for level in [i32::MIN, ends.0, -1, 0, 1, ends.1, i32::MAX] {
            let packed = compress(codec, Some(level), &bytes);
            assert_eq!(decompress(codec, &packed, 5000).as_ref(), Ok(&bytes), "{codec:?} {level}");
        }
    }
    let strong = compress(Codec::Gzip, Some(9), &bytes).len();
    assert!(strong < compress(Codec::Gzip, Some(1), &bytes).len());
}

#[test]
fn one_byte_more_than_allowed_is_too_large_at_every_limit() {
    for codec in Codec::ALL {
        let bytes = sample(200_000);
        let packed = compress(codec, None, &bytes);
        for max_bytes in [0, 1, 4096, 65_536, 131_072, 199_999] {
            let got = decompress(codec, &packed, max_bytes);
            assert_eq!(got, Err(DecompressError::TooLarge { max_bytes }), "{codec:?}");
        }
    }
}

#[test]
fn a_bomb_costs_no_more_than_allowed() {
    const MAX_BYTES: usize = 1 << 20;
    let zeros = vec![0; 16 << 20];
    for codec in Codec::ALL {
        let bomb = compress(codec, None, &zeros);
        let mut out = Vec::new();
        let got = decompress_into(codec, &bomb, MAX_BYTES, &mut out);
        assert_eq!(got, Err(DecompressError::TooLarge { max_bytes: MAX_BYTES }), "{codec:?}");
        assert!(out.capacity() <= 2 * MAX_BYTES, "{codec:?} took {} bytes", out.capacity());
    }
}

#[test]
fn a_claim_is_not_believed() {
    // A raw snappy block that says that it holds 4 GiB less one, and one of 16 MiB.
    for claim in ["ffffffff0f 00", "80808008 00"] {
        let mut out = Vec::new();
        assert!(decompress_into(Codec::Snappy, &hex(claim), 1 << 30, &mut out).is_err());
        assert!(out.capacity() < 1024);
    }
    // A zstd frame that claims 2^62 bytes and has one byte; a window of 1 TiB with one byte.
    let zstd = ["28b52ffd e0 0000000000000040 090000 61", "28b52ffd 00 f0 090000 61"];
    for claim in zstd {
        let mut out = Vec::new();
        let _ = decompress_into(Codec::Zstd, &hex(claim), 1 << 30, &mut out);
        assert!(out.capacity() < 1024);
    }
    // A gzip stream whose trailer claims 4 GiB less one.
    let mut gzip = compress(Codec::Gzip, None, b"abc");
    let len = gzip.len();
    gzip[len - 4..].fill(0xff);
    let mut out = Vec::new();
    assert!(decompress_into(Codec::Gzip, &gzip, 1 << 30, &mut out).is_err());
    assert!(out.capacity() < 64 << 10);
    // An lz4 frame whose content size is a lie.
    let lz4 = lz4_frame(0x68, 0x40, &[&[0xff; 8]], &[&hex("01000080 61"), &[0; 4]]);
    let mut out = Vec::new();
    assert!(decompress_into(Codec::Lz4, &lz4, 1 << 30, &mut out).is_err());
    assert!(out.capacity() < 1024);
}

#[test]
fn cut_off_data_are_malformed() {
    for codec in [Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd] {
        let packed = compress(codec, None, &sample(70_000));
        for len in (1..packed.len()).step_by(97).chain([packed.len() - 1]) {
            // Xerial's framing has no end: a cut between two blocks is for the record walk to see.
            let got = decompress(codec, &packed[..len], 70_000);
            let boundary =
                codec == Codec::Snappy && got.as_ref().is_ok_and(|out| out.len() < 70_000);
            assert!(is_malformed(&got) || boundary, "{codec:?} {len}");
        }
        assert!(is_malformed(&decompress(codec, b"not at all what it should be", 70_000)));
    }
}

#[test]
fn snappy_is_read_raw_and_framed_and_written_framed() {
    let bytes = sample(70_000);
    let raw = snap::raw::Encoder::new().compress_vec(&bytes).unwrap();
    assert_eq!(decompress(Codec::Snappy, &raw, 70_000).as_ref(), Ok(&bytes));
    let framed = compress(Codec::Snappy, None, b"abc");
    assert_eq!(framed, hex("82534e41505059 00 00000001 00000001 00000005 03 08 616263"));
}

#[test]
fn gzip_members_behind_one_another_are_one_stream() {
    let two = [compress(Codec::Gzip, None, b"ab"), compress(Codec::Gzip, None, b"cd")].concat();
    assert_eq!(decompress(Codec::Gzip, &two, 4).unwrap(), b"abcd");
    assert!(is_malformed(&decompress(Codec::Gzip, &[&two[..], b"x"].concat(), 9)));
}

#[test]
fn zstd_is_read_without_content_size_and_in_several_frames() {
    let bytes = sample(300_000);
    let streamed = zstd_stream(&bytes);
    assert_eq!(decompress(Codec::Zstd, &streamed, 300_000).as_ref(), Ok(&bytes));
    let two = [&streamed[..], &hex("502a4d18 03000000 010203"), &streamed].concat();
    assert_eq!(decompress(Codec::Zstd, &two, 600_000).unwrap(), [&bytes[..], &bytes].concat());
    let got = decompress(Codec::Zstd, &two, 599_999);
    assert_eq!(got, Err(DecompressError::TooLarge { max_bytes: 599_999 }));
}

fn zstd_stream(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut encoder = ::zstd::Encoder::new(Vec::new(), 3).unwrap();
    encoder.include_checksum(true).unwrap();
    for piece in bytes.chunks(1000) {
        encoder.write_all(piece).unwrap();
    }
    encoder.finish().unwrap()
}

/// An LZ4 frame with the right header checksum.
fn lz4_frame(flg: u8, bd: u8, fields: &[&[u8]], rest: &[&[u8]]) -> Vec<u8> {
    let descriptor = [&[flg, bd][..], &fields.concat()].concat();
    let checksum = xxhash::xxh32(&descriptor).to_le_bytes()[1];
    [&hex("04224d18")[..], &descriptor, &[checksum], &rest.concat()].concat()
}

#[test]
fn lz4_is_written_as_kafkas_java_client_writes_it() {
    let packed = compress(Codec::Lz4, None, b"abc");
    assert_eq!(packed, hex("04224d18 60 40 82 03000080 616263 00000000"));
}

#[test]
fn lz4_checksums_and_sizes_are_read_and_checked() {
    let block = &hex("03000080 616263")[..];
    let sum = &xxhash::xxh32(b"abc").to_le_bytes()[..];
    let (size, end) = (&3_u64.to_le_bytes()[..], &[0; 4][..]);
    let good = lz4_frame(0x7c, 0x70, &[size], &[block, sum, end, sum]);
    assert_eq!(decompress(Codec::Lz4, &good, 3).unwrap(), b"abc");
    for at in 4..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 1;
        assert!(decompress(Codec::Lz4, &bad, 100).is_err(), "byte {at}");
    }
    let behind = [&good[..], b"x"].concat();
    assert!(is_malformed(&decompress(Codec::Lz4, &behind, 3)));
}

#[test]
fn lz4_frames_that_javas_client_cannot_read_are_refused() {
    let rest = &hex("03000080 616263 00000000")[..];
    for (flg, bd) in [(0x40, 0x40), (0x61, 0x40), (0x62, 0x40), (0x20, 0x40), (0xe0, 0x40)] {
        assert!(is_malformed(&decompress(Codec::Lz4, &lz4_frame(flg, bd, &[], &[rest]), 3)));
    }
    for bd in [0x30, 0xc0, 0x41] {
        assert!(is_malformed(&decompress(Codec::Lz4, &lz4_frame(0x60, bd, &[], &[rest]), 3)));
    }
    let large = [&hex("01000180")[..], &[7; 65_537], &[0; 4]].concat();
    assert!(is_malformed(&decompress(Codec::Lz4, &lz4_frame(0x60, 0x40, &[], &[&large]), 1 << 20)));
    assert!(decompress(Codec::Lz4, &lz4_frame(0x60, 0x50, &[], &[&large]), 1 << 20).is_ok());
}

#[test]
fn lz4_frames_of_another_writer_are_read() {
    use lz4_flex::frame::{BlockMode, BlockSize, FrameEncoder, FrameInfo};
    use std::io::Write;
    let bytes = sample(700_000);
    for size in [BlockSize::Max64KB, BlockSize::Max256KB, BlockSize::Max1MB, BlockSize::Max4MB] {
        let info = FrameInfo::new().block_mode(BlockMode::Independent).block_size(size);
        let info = info.block_checksums(true).content_checksum(true);
        let mut encoder = FrameEncoder::with_frame_info(info, Vec::new());
        encoder.write_all(&bytes).unwrap();
        let packed = encoder.finish().unwrap();
        assert_eq!(decompress(Codec::Lz4, &packed, 700_000).as_ref(), Ok(&bytes));
    }
}

#[test]
fn what_is_written_is_read_by_another_reader() {
    use std::io::Read;
    let bytes = sample(200_000);
    let mut out = Vec::new();
    let packed = compress(Codec::Lz4, None, &bytes);
    lz4_flex::frame::FrameDecoder::new(&packed[..]).read_to_end(&mut out).unwrap();
    assert_eq!(out, bytes);
    let packed = compress(Codec::Zstd, None, &bytes);
    assert_eq!(::zstd::decode_all(&packed[..]).unwrap(), bytes);
    let packed = compress(Codec::Gzip, None, &bytes);
    out.clear();
    flate2::read::GzDecoder::new(&packed[..]).read_to_end(&mut out).unwrap();
    assert_eq!(out, bytes);
}

#[test]
fn a_buffer_is_used_again_and_its_room_is_no_permission() {
    for codec in Codec::ALL {
        let mut out = vec![9; 10_000];
        let packed = compress(codec, None, b"abc");
        assert_eq!(decompress_into(codec, &packed, 3, &mut out), Ok(()));
        assert_eq!(out, b"abc");
        let got = decompress_into(codec, &packed, 2, &mut out);
        assert_eq!(got, Err(DecompressError::TooLarge { max_bytes: 2 }), "{codec:?}");
    }
}
