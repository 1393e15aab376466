//! Record batches that are none.

use evenkeel_hostile::{Batch, Codec, Line, produce_error, varint};
use kit::{Flavour, Workload};

use crate::besieged;

const CORRUPT_MESSAGE: i16 = 2;
const MESSAGE_TOO_LARGE: i16 = 10;
const INVALID_RECORD: i16 = 87;
const UNKNOWN_SERVER_ERROR: i16 = -1;

fn right() -> Batch {
    Batch::of(&[b"one", b"two", b"three"])
}

/// A change of the right batch, and the error that it must be answered with.
type Case = (&'static str, fn() -> Vec<u8>, i16);

const CASES: [Case; 18] = [
    ("nothing wrong", || right().bytes(), 0),
    ("no records", Vec::new, INVALID_RECORD),
    ("a wrong checksum", || Batch { crc_off_by: 1, ..right() }.bytes(), CORRUPT_MESSAGE),
    ("magic 0", || Batch { magic: 0, ..right() }.bytes(), INVALID_RECORD),
    ("magic 1", || Batch { magic: 1, ..right() }.bytes(), INVALID_RECORD),
    ("magic 3", || Batch { magic: 3, ..right() }.bytes(), CORRUPT_MESSAGE),
    ("a batch that is cut off", || cut(right().bytes(), 1), INVALID_RECORD),
    ("a header that is cut off", || right().bytes()[..40].to_vec(), INVALID_RECORD),
    ("a length of nothing", || Batch { length_off_by: -60, ..right() }.bytes(), CORRUPT_MESSAGE),
    (
        "a hostile length",
        || Batch { length_off_by: i32::MAX - 200, ..right() }.bytes(),
        INVALID_RECORD,
    ),
    ("two batches", || [right().bytes(), right().bytes()].concat(), INVALID_RECORD),
    ("another base offset", || Batch { base_offset: 7, ..right() }.bytes(), INVALID_RECORD),
    (
        "a record too few",
        || Batch { count: 4, last_offset_delta: 3, ..right() }.bytes(),
        INVALID_RECORD,
    ),
    (
        "a record too many",
        || Batch { count: 2, last_offset_delta: 1, ..right() }.bytes(),
        INVALID_RECORD,
    ),
    ("a negative count", || Batch { count: -1, ..right() }.bytes(), INVALID_RECORD),
    ("a control batch", || Batch { attributes: 0x20, ..right() }.bytes(), INVALID_RECORD),
    ("an unknown codec", || Batch { attributes: 7, ..right() }.bytes(), UNKNOWN_SERVER_ERROR),
    ("a producer without sequence", || Batch { producer_id: 5, ..right() }.bytes(), INVALID_RECORD),
];

fn cut(mut bytes: Vec<u8>, by: usize) -> Vec<u8> {
    bytes.truncate(bytes.len() - by);
    bytes
}

#[test]
fn each_wrong_batch_is_answered_with_kafkas_error() {
    let besieged = besieged();
    besieged.topic("target").expect("it is created");
    let mut line = besieged.line().expect("accepted");
    for (what, bytes, code) in CASES {
        assert_eq!(produce_error(&mut line, "target", &bytes()), Ok(code), "{what}");
    }
    besieged.relieve().expect("nobody else noticed");
}

#[test]
fn records_that_lie_about_their_lengths_are_refused() {
    let besieged = besieged();
    besieged.topic("target").expect("it is created");
    let mut line = besieged.line().expect("accepted");
    let mut refuse = |what: &str, records: Vec<u8>| {
        let bytes = Batch { records, ..Batch::of(&[b""]) }.bytes();
        assert_eq!(produce_error(&mut line, "target", &bytes), Ok(INVALID_RECORD), "{what}");
    };
    for length in [0, -1, 6, i64::from(i32::MAX), i64::MAX, i64::MIN] {
        let mut record = varint(length);
        record.extend([0, 0, 0, 1, 0, 0]);
        if length != 6 {
            refuse(&format!("a record of {length} bytes"), record);
        }
    }
    for length in [-2, 100, i64::from(i32::MAX), i64::MAX] {
        let mut body = vec![0, 0, 0];
        body.extend(varint(length));
        body.extend(varint(-1));
        body.extend(varint(0));
        let len = i64::try_from(body.len()).expect("small");
        refuse(&format!("a key of {length} bytes"), [varint(len), body].concat());
    }
    let mut body = vec![0, 0, 0, 1, 1];
    body.extend(varint(i64::from(i32::MAX)));
    let len = i64::try_from(body.len()).expect("small");
    refuse("two thousand million headers", [varint(len), body].concat());
    refuse("a number without end", vec![0xff; 40]);
    besieged.relieve().expect("nobody else noticed");
}

#[test]
fn a_batch_larger_than_the_topic_takes_is_refused() {
    let besieged = besieged();
    besieged.topic("target").expect("it is created");
    let mut line = besieged.line().expect("accepted");
    let bytes = Batch::of(&[&vec![1; 2 << 20]]).bytes();
    assert_eq!(produce_error(&mut line, "target", &bytes), Ok(MESSAGE_TOO_LARGE));
    besieged.relieve().expect("nobody else noticed");
}

#[test]
fn no_flipped_bit_of_a_batch_is_taken() {
    let besieged = besieged();
    besieged.topic("target").expect("it is created");
    let mut line = besieged.line().expect("accepted");
    let bytes = right().bytes();
    for bit in 0..bytes.len() * 8 {
        // The leader epoch is the broker's, and outside the checksum.
        if (12 * 8..16 * 8).contains(&bit) {
            continue;
        }
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let code = produce_error(&mut line, "target", &flipped).expect("an answer");
        assert_ne!(code, 0, "bit {bit}");
    }
    besieged.relieve().expect("nobody else noticed");
}

#[test]
fn damaged_compressed_records_are_refused_or_whole() {
    let besieged = besieged();
    besieged.topic("target").expect("it is created");
    let mut random = Workload::new(5, Flavour::Text, 2_000, 0);
    let mut line: Line = besieged.line().expect("accepted");
    for codec in Codec::ALL {
        let plain = Batch::of(&[&random.value(), &random.value()]);
        let records = codec.compress(&plain.records, 0);
        let whole = Batch { attributes: codec.number(), records, ..plain };
        let code = produce_error(&mut line, "target", &whole.bytes()).expect("an answer");
        assert_eq!(code, 0, "{codec:?}");
        for n in 0..150 {
            // The checksum is right: only the decompressor can see it.
            let mut records = whole.records.clone();
            let at = random.below(u64::try_from(records.len()).expect("small"));
            let at = usize::try_from(at).expect("small");
            records[at] ^= 1 << random.below(8);
            if n % 10 == 0 {
                records.truncate(at);
            }
            let damaged = Batch { records, ..whole.clone() };
            let code = produce_error(&mut line, "target", &damaged.bytes()).expect("an answer");
            let expected = [0, INVALID_RECORD, CORRUPT_MESSAGE, UNKNOWN_SERVER_ERROR];
            assert!(expected.contains(&code), "{codec:?} byte {at}: {code}");
        }
    }
    besieged.relieve().expect("nobody else noticed");
}
