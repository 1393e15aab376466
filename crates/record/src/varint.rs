//! Kafka's variable-length integers: zig-zag, then groups of seven bits, lowest first.
//!
//! A number may have more groups than it needs (Kafka's readers accept that), but neither more than
//! its type can have nor bits that its type cannot hold.

/// Appends `value`.
pub(crate) fn put_i64(out: &mut Vec<u8>, value: i64) {
    let mut rest = zigzag(value);
    while rest >= 0x80 {
        let [low, ..] = rest.to_le_bytes();
        out.push(low | 0x80);
        rest >>= 7;
    }
    let [low, ..] = rest.to_le_bytes();
    out.push(low);
}

/// Appends `value`.
pub(crate) fn put_i32(out: &mut Vec<u8>, value: i32) {
    // Zig-zag of a widened number is the widened zig-zag, so both widths have one encoding.
    put_i64(out, i64::from(value));
}

/// How many bytes [`put_i64`] appends.
pub(crate) fn len_i64(value: i64) -> usize {
    match zigzag(value) {
        0 => 1,
        bits => bits.ilog2() as usize / 7 + 1,
    }
}

/// How many bytes [`put_i32`] appends.
pub(crate) fn len_i32(value: i32) -> usize {
    len_i64(i64::from(value))
}

/// Takes a number off the front of `bytes`. `None` if they end before it, or if it is no i32.
#[inline]
pub(crate) fn take_i32(bytes: &mut &[u8]) -> Option<i32> {
    if let Some((&first, rest)) = bytes.split_first()
        && first < 0x80
    {
        *bytes = rest;
        return Some(i32::from(first >> 1) ^ -i32::from(first & 1));
    }
    i32::try_from(take_many(bytes, 5)?).ok()
}

/// Takes a number off the front of `bytes`. `None` if they end before it, or if it is no i64.
#[inline]
pub(crate) fn take_i64(bytes: &mut &[u8]) -> Option<i64> {
    take_many(bytes, 10)
}

fn take_many(bytes: &mut &[u8], len_max: u32) -> Option<i64> {
    let mut bits = 0_u64;
    for n in 0..len_max {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        let group = u64::from(byte & 0x7f);
        if n == 9 && group > 1 {
            return None;
        }
        bits |= group << (7 * n);
        if byte < 0x80 {
            return Some((bits >> 1).cast_signed() ^ -(bits & 1).cast_signed());
        }
    }
    None
}

fn zigzag(value: i64) -> u64 {
    (value << 1 ^ value >> 63).cast_unsigned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes_of(value: i64) -> Vec<u8> {
        let mut out = Vec::new();
        put_i64(&mut out, value);
        out
    }

    #[test]
    fn known_numbers_have_known_bytes() {
        assert_eq!(bytes_of(0), [0]);
        assert_eq!(bytes_of(-1), [1]);
        assert_eq!(bytes_of(63), [0x7e]);
        assert_eq!(bytes_of(64), [0x80, 0x01]);
        assert_eq!(bytes_of(i64::from(i32::MAX)), [0xfe, 0xff, 0xff, 0xff, 0x0f]);
        assert_eq!(bytes_of(i64::MIN), [255, 255, 255, 255, 255, 255, 255, 255, 255, 1]);
    }

    #[test]
    fn every_width_is_read_back() {
        for shift in 0..64 {
            for value in [1_i64 << shift, !(1_i64 << shift), (1_i64 << shift).wrapping_sub(1)] {
                let bytes = bytes_of(value);
                assert_eq!(len_i64(value), bytes.len(), "{value}");
                let mut rest = &bytes[..];
                assert_eq!(take_i64(&mut rest), Some(value));
                assert!(rest.is_empty());
                assert_eq!(take_i32(&mut &bytes[..]), i32::try_from(value).ok(), "{value}");
                assert_eq!(take_i64(&mut &bytes[..bytes.len() - 1]), None);
            }
        }
    }

    #[test]
    fn what_is_too_long_or_too_large_is_refused() {
        assert_eq!(take_i32(&mut &[0x80, 0x80, 0x80, 0x80, 0x80, 0][..]), None);
        assert_eq!(take_i32(&mut &[0xff, 0xff, 0xff, 0xff, 0x1f][..]), None);
        assert_eq!(take_i64(&mut &[255, 255, 255, 255, 255, 255, 255, 255, 255, 3][..]), None);
        assert_eq!(take_i32(&mut &[0x82, 0][..]), Some(1), "a longer form than needed is read");
    }
}
