//! Batches that are none: the right error, and nothing of them appended.

use evenkeel_requests::{Batch, Client, Codec, Topic, error, everywhere, holds, same};
use kit::Outcome;

const PARTITIONS: [i32; 2] = [0, 1];
/// Where a batch's parts begin; the checksum covers everything from the attributes on.
const LENGTH: usize = 8;
const LEADER_EPOCH: usize = 12;
const MAGIC: usize = 16;
const CHECKSUM: usize = 17;

fn right() -> Vec<u8> {
    Batch::of(&["one", "two", "three"]).bytes()
}

/// The same with its checksum made right again.
fn signed(mut bytes: Vec<u8>) -> Vec<u8> {
    let crc = crc32c::crc32c(&bytes[21..]);
    bytes[CHECKSUM..21].copy_from_slice(&crc.to_be_bytes());
    bytes
}

fn with(at: usize, field: &[u8]) -> Vec<u8> {
    let mut bytes = right();
    bytes[at..at + field.len()].copy_from_slice(field);
    bytes
}

/// Each must be refused with its error, in old and new versions, on both partitions.
fn refused(client: &mut Client, topic: &Topic, cases: &[(String, Vec<u8>, i16)]) -> Outcome<()> {
    for partition in PARTITIONS {
        for (what, bytes, code) in cases {
            for version in [3, 7, 9, 13] {
                let part = client.produce_in(version, topic, partition, bytes)?;
                let told = (part.error_code, part.base_offset);
                same(told, (*code, -1), &format!("{what}, version {version}"))?;
            }
        }
    }
    Ok(())
}

/// Nothing is in the topic, and it takes what is right.
fn untouched(client: &mut Client, topic: &Topic) -> Outcome<()> {
    for partition in PARTITIONS {
        same(client.offset(topic, partition, -1)?.offset, 0, "the end")?;
        same(client.produce(topic, partition, &right())?.error_code, error::NONE, "a right one")?;
        same(client.stored(topic, partition, 0)?.len(), 1, "batches")?;
    }
    Ok(())
}

#[test]
fn a_batch_that_is_cut_off_anywhere_is_an_invalid_record() {
    everywhere(|site| {
        let topic = site.topic("t", &[])?;
        let mut client = site.client()?;
        let bytes = right();
        for length in 0..bytes.len() {
            let part = client.produce(&topic, 0, &bytes[..length])?;
            same(part.error_code, error::INVALID_RECORD, &format!("{length} bytes"))?;
        }
        untouched(&mut client, &topic)
    });
}

#[test]
fn a_flipped_bit_is_never_taken() {
    everywhere(|site| {
        let topic = site.topic("t", &[])?;
        let mut client = site.client()?;
        for codec in [Codec::None, Codec::Lz4] {
            let whole = Batch::of(&["one", "two", "three"]).squeezed(codec).bytes();
            for bit in 0..whole.len() * 8 {
                let at = bit / 8;
                // The leader epoch is the broker's, and outside the checksum.
                if (LEADER_EPOCH..MAGIC).contains(&at) {
                    continue;
                }
                let mut bytes = whole.clone();
                bytes[at] ^= 1 << (bit % 8);
                let code = client.produce(&topic, 1, &bytes)?.error_code;
                let wanted: &[i16] = match at {
                    CHECKSUM.. => &[error::CORRUPT_MESSAGE],
                    0..LENGTH => &[error::INVALID_RECORD],
                    _ => &[error::CORRUPT_MESSAGE, error::INVALID_RECORD],
                };
                holds(wanted.contains(&code), code, &format!("bit {bit}, one of {wanted:?}"))?;
            }
        }
        untouched(&mut client, &topic)
    });
}

#[test]
fn a_wrong_checksum_magic_or_length_has_its_error() {
    everywhere(|site| {
        let topic = site.topic("t", &[])?;
        let mut client = site.client()?;
        let case = |what: &str, bytes, code| (what.to_owned(), bytes, code);
        let mut cases = vec![
            case("a wrong checksum", with(CHECKSUM, &[0; 4]), error::CORRUPT_MESSAGE),
            case("magic 0", with(MAGIC, &[0]), error::INVALID_RECORD),
            case("magic 1", with(MAGIC, &[1]), error::INVALID_RECORD),
            case("magic 3", with(MAGIC, &[3]), error::CORRUPT_MESSAGE),
            case("magic -1", with(MAGIC, &[255]), error::CORRUPT_MESSAGE),
            case("a length of 13", with(LENGTH, &[0, 0, 0, 13]), error::CORRUPT_MESSAGE),
            case("a length below zero", with(LENGTH, &[255; 4]), error::CORRUPT_MESSAGE),
            case("a length beyond the end", with(LENGTH, &[0, 1, 0, 0]), error::INVALID_RECORD),
            case("two batches", [right(), right()].concat(), error::INVALID_RECORD),
            case("another base offset", with(0, &[0, 0, 0, 0, 0, 0, 0, 7]), error::INVALID_RECORD),
        ];
        let lies = [
            ("an unknown codec", 21, &[0, 7][..], error::UNKNOWN_SERVER_ERROR),
            ("a control batch", 21, &[0, 0x20], error::INVALID_RECORD),
            ("a codec that it has not", 21, &[0, 1], error::UNKNOWN_SERVER_ERROR),
            ("a last offset too high", 23, &[0, 0, 0, 3], error::INVALID_RECORD),
            ("a record too few", 57, &[0, 0, 0, 4], error::INVALID_RECORD),
            ("no records", 57, &[0, 0, 0, 0], error::INVALID_RECORD),
            ("a producer without sequence", 43, &[0; 10], error::INVALID_RECORD),
            ("a record longer than the batch", 61, &[0x7e], error::INVALID_RECORD),
        ];
        for (what, at, field, code) in lies {
            cases.push(case(what, signed(with(at, field)), code));
        }
        refused(&mut client, &topic, &cases)?;
        untouched(&mut client, &topic)?;
        // Nor is anything of them there after a kill.
        site.broker.kill()?;
        site.broker.restart()?;
        same(site.client()?.stored(&topic, 1, 0)?.len(), 1, "batches after a kill")
    });
}
