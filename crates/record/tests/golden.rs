//! A batch written out by hand from the description of the format, so that a mistake which the
//! builder and the reader share is seen.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use evenkeel_record::{
    Builder, Codec, Header, Offset, RecordHeader, Records, crc_is_right, payload,
};

const GOLDEN: &str = "
    0000000000000007            base offset 7
    00000045                    length: 49 of the header, 20 of the records
    00000003                    leader epoch 3
    02                          magic
    CRC
    0010                        attributes: transactional
    00000001                    last offset delta 1
    0000018bcfe56800            base timestamp 1700000000000
    0000018bcfe56801            max timestamp
    00000000000003e8            producer id 1000
    0005                        producer epoch 5
    0000000a                    base sequence 10
    00000002                    two records

    18 00 00 00                 12 bytes, attributes, timestamp + 0, offset + 0
    02 6b                       key k
    04 7631                     value v1
    02 02 68 01                 one header: h, null

    0c 00 02 02 01 01 00        6 bytes, timestamp + 1, offset + 1, no key, no value, no header
";

fn golden(crc: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    for line in GOLDEN.replace("CRC", &format!("{crc:08x}")).lines() {
        let column = line.get(4..32.min(line.len())).unwrap_or("");
        let digits: Vec<char> = column.chars().filter(|c| !c.is_whitespace()).collect();
        for pair in digits.chunks(2) {
            bytes.push(u8::from_str_radix(&String::from_iter(pair), 16).unwrap());
        }
    }
    bytes
}

/// CRC-32C bit by bit, from the polynomial.
fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0_u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ ((crc & 1) * 0x82f6_3b78))
    })
}

#[test]
fn a_batch_written_by_hand_is_the_one_that_is_built() {
    let bytes = golden(0);
    let bytes = golden(crc32c(&bytes[21..]));
    assert!(crc_is_right(&bytes));
    let mut builder = Builder::new(Codec::None);
    builder.base_offset(Offset::ZERO.plus(7)).leader_epoch(3).producer(1000, 5, 10).transactional();
    let header = RecordHeader { key: b"h", value: None };
    builder.record(1_700_000_000_000, Some(b"k"), Some(b"v1"), &[header]);
    builder.record(1_700_000_000_001, None, None, &[]);
    assert_eq!(builder.build(), bytes);
}

#[test]
fn a_batch_written_by_hand_is_read() {
    let bytes = golden(0x0102_0304);
    let header = Header::read(&bytes).unwrap();
    assert_eq!((header.base_offset.raw(), header.len, header.leader_epoch), (7, bytes.len(), 3));
    assert_eq!((header.crc, header.records), (0x0102_0304, 2));
    assert!(header.is_transactional() && !header.is_control());
    assert_eq!((header.next_offset().raw(), header.last_sequence()), (9, Some(11)));
    let payload = payload(&bytes, 0).unwrap();
    let records: Vec<_> = Records::new(&header, &payload).map(Result::unwrap).collect();
    assert_eq!(records[0].key, Some(&b"k"[..]));
    assert_eq!(records[0].value, Some(&b"v1"[..]));
    let headers: Vec<_> = records[0].headers.collect();
    assert_eq!(headers, [RecordHeader { key: b"h", value: None }]);
    assert_eq!((records[1].offset.raw(), records[1].timestamp_ms), (8, 1_700_000_000_001));
    assert_eq!((records[1].key, records[1].value), (None, None));
}
