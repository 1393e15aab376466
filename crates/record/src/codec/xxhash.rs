//! XXH32, the checksum inside LZ4 frames (xxHash specification 0.1.1).

const PRIMES: [u32; 5] = [0x9e37_79b1, 0x85eb_ca77, 0xc2b2_ae3d, 0x27d4_eb2f, 0x1656_67b1];

/// XXH32 of `bytes` with seed 0.
pub(super) fn xxh32(bytes: &[u8]) -> u32 {
    let [p1, p2, p3, p4, p5] = PRIMES;
    let (stripes, rest) = bytes.as_chunks::<16>();
    let mut hash = if stripes.is_empty() {
        p5
    } else {
        let mut lanes = [p1.wrapping_add(p2), p2, 0, 0_u32.wrapping_sub(p1)];
        for stripe in stripes {
            for (lane, word) in lanes.iter_mut().zip(stripe.as_chunks::<4>().0) {
                let sum = lane.wrapping_add(u32::from_le_bytes(*word).wrapping_mul(p2));
                *lane = sum.rotate_left(13).wrapping_mul(p1);
            }
        }
        let turns = [1, 7, 12, 18];
        lanes.iter().zip(turns).fold(0_u32, |sum, (lane, n)| sum.wrapping_add(lane.rotate_left(n)))
    };
    // The specification adds the length modulo 2^32.
    let [a, b, c, d, ..] = bytes.len().to_le_bytes();
    hash = hash.wrapping_add(u32::from_le_bytes([a, b, c, d]));
    let (words, bytes) = rest.as_chunks::<4>();
    for word in words {
        let sum = hash.wrapping_add(u32::from_le_bytes(*word).wrapping_mul(p3));
        hash = sum.rotate_left(17).wrapping_mul(p4);
    }
    for byte in bytes {
        let sum = hash.wrapping_add(u32::from(*byte).wrapping_mul(p5));
        hash = sum.rotate_left(11).wrapping_mul(p1);
    }
    hash = (hash ^ hash >> 15).wrapping_mul(p2);
    hash = (hash ^ hash >> 13).wrapping_mul(p3);
    hash ^ hash >> 16
}

#[cfg(test)]
mod tests {
    use super::xxh32;

    #[test]
    fn known_inputs_have_known_hashes() {
        assert_eq!(xxh32(b""), 0x02cc_5d05);
        assert_eq!(xxh32(b"a"), 0x550d_7456);
        assert_eq!(xxh32(b"abc"), 0x32d1_53ff);
        assert_eq!(xxh32(b"Nobody inspects the spammish repetition"), 0xe229_3b2f);
    }
}
