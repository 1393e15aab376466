//! Where the corpus comes from: right inputs of every kind, made by the crates themselves.

use std::fs;

use buf::{Pool, Sealed};
use env::sim::{Sim, SimOptions};
use env::{Group, ShardId};
use evenkeel_fuzz_corpus::{corpus_directory, targets};
use index::{AbortedIndex, AbortedTransaction, OffsetEntry, OffsetIndex, TimeEntry, TimeIndex};
use journal::checkpoint::{Checkpoint, PartitionPoint};
use journal::{Item, Journal, JournalOptions, Mark, RunStart};
use record::{
    Builder, Codec, EndTransaction, LeaderEpoch, Offset, Producer, ProducerEpoch, ProducerId,
    RecordHeader, TopicId, TopicPartition,
};

fn at(raw: i64) -> Offset {
    Offset::new(raw).expect("not negative")
}

/// Inputs with the names of their target and their own.
#[derive(Default)]
struct Inputs(Vec<(&'static str, String, Vec<u8>)>);

impl Inputs {
    fn add(&mut self, target: &'static str, name: &str, input: &[u8]) {
        self.0.push((target, name.to_owned(), input.to_vec()));
    }
}

/// With `FUZZ_WRITE_CORPUS` set it also writes them into the source tree: for when a format changes.
#[test]
fn what_the_crates_write_today_holds() {
    let mut inputs = Inputs::default();
    wire(&mut inputs);
    record(&mut inputs);
    index(&mut inputs);
    journal(&mut inputs);
    let writes = std::env::var_os("FUZZ_WRITE_CORPUS").is_some();
    for (target, name, input) in &inputs.0 {
        match *target {
            "wire" => targets::wire(input),
            "record" => targets::record(input),
            "index" => targets::index(input),
            _ => targets::journal(input),
        }
        if writes {
            let dir = corpus_directory(target);
            fs::create_dir_all(&dir).expect("it can be created");
            fs::write(dir.join(name), input).expect("it can be written");
        }
    }
}

/// A request of each key in its lowest and highest version: the empty body of the schema's defaults.
fn wire(inputs: &mut Inputs) {
    for range in wire::ADVERTISED {
        for version in [range.min, range.max] {
            let mut frame = vec![0; 4];
            frame.extend(range.key.code().to_be_bytes());
            frame.extend(version.to_be_bytes());
            frame.extend([0, 0, 0, 7, 0, 1, b'c']);
            frame.extend([0; 48]);
            let length = i32::try_from(frame.len() - 4).expect("small");
            frame[..4].copy_from_slice(&length.to_be_bytes());
            inputs.add("wire", &format!("{}-{version}", range.key.name()), &frame);
        }
    }
    inputs.add("wire", "produce-7-of-a-batch", &produce(&batch(Codec::None)));
    inputs.add("wire", "two-frames", &[produce(&batch(Codec::Lz4)), produce(&[])].concat());
    inputs.add("wire", "half-a-frame", &produce(&batch(Codec::None))[..30]);
    inputs.add("wire", "http", b"GET / HTTP/1.1\r\n\r\n");
}

fn produce(records: &[u8]) -> Vec<u8> {
    let mut frame = vec![0; 4];
    frame.extend([0, 0, 0, 7, 0, 0, 0, 9, 0, 1, b'c', 255, 255, 255, 255, 0, 0, 117, 48]);
    frame.extend([0, 0, 0, 1, 0, 1, b't', 0, 0, 0, 1, 0, 0, 0, 0]);
    frame.extend(i32::try_from(records.len()).expect("small").to_be_bytes());
    frame.extend_from_slice(records);
    let length = i32::try_from(frame.len() - 4).expect("small");
    frame[..4].copy_from_slice(&length.to_be_bytes());
    frame
}

fn batch(codec: Codec) -> Vec<u8> {
    let mut builder = Builder::new(codec);
    let headers =
        [RecordHeader { key: b"h", value: Some(b"v") }, RecordHeader { key: b"", value: None }];
    builder.record(1_000, Some(b"key"), Some(&[7; 40]), &headers);
    builder.record(1_005, None, Some(b"value"), &[]);
    builder.record(999, Some(b"gone"), None, &[]);
    builder.build()
}

fn record(inputs: &mut Inputs) {
    let codecs = [Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd];
    for codec in codecs {
        // Each as it is, and with a checksum that is repaired after a mutation.
        for choices in [0_u8, 1, 1 | 4 << 1, 1 | 0x10] {
            let input = [&[choices][..], &batch(codec)].concat();
            inputs.add("record", &format!("{codec:?}-{choices:02x}"), &input);
        }
    }
    let mut idempotent = Builder::new(Codec::None);
    idempotent.producer(7, 1, 5).record(5, None, Some(b"v"), &[]);
    inputs.add("record", "idempotent", &[&[1][..], &idempotent.build()].concat());
    let producer =
        Producer { id: ProducerId::new(7), epoch: ProducerEpoch::new(1), base_sequence: -1 };
    let marker = EndTransaction { commit: true, coordinator_epoch: 3 }.build(producer, 9);
    inputs.add("record", "marker", &[&[0x81][..], &marker].concat());
    inputs.add("record", "two", &[&[0][..], &batch(Codec::None), &batch(Codec::Zstd)].concat());
    // The choices alone lead to the decompressors, too.
    for codec in [Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd] {
        let plain: Vec<u8> = (0..400_u32).map(|n| n.to_le_bytes()[0] / 7).collect();
        let bytes = record::codec::compress(codec, None, &plain);
        inputs.add("record", &format!("{codec:?}-bare"), &[&[0][..], &bytes].concat());
    }
}

fn index(inputs: &mut Inputs) {
    let mut offsets = OffsetIndex::new(at(3));
    let mut times = TimeIndex::new(at(3));
    let mut aborted = AbortedIndex::new();
    for n in 1..12 {
        let position = u32::try_from(n * 4_500).expect("small");
        offsets.push(OffsetEntry { offset: at(3 + n * 40), position });
        times.push_if_larger(TimeEntry { timestamp_ms: 1_000 * n, offset: at(3 + n * 40) });
        aborted.push(AbortedTransaction {
            producer_id: n,
            first_offset: at(n * 10),
            last_offset: at(n * 10 + 5),
            last_stable: at(n * 10 - 1),
        });
    }
    let files = [
        ("offsets", offsets.encode(0, offsets.len())),
        ("offsets-one", offsets.encode(0, 1)),
        ("times", times.encode(0, times.len())),
        ("times-one", times.encode(0, 1)),
        ("aborted", aborted.encode()),
        ("empty", Vec::new()),
        ("zeros", vec![0; 96]),
    ];
    for (name, file) in files {
        inputs.add("index", name, &[&[3, 70][..], &file].concat());
    }
    let padded = [offsets.encode(0, offsets.len()), vec![0; 80]].concat();
    inputs.add("index", "offsets-padded", &[&[3, 70][..], &padded].concat());
}

fn journal(inputs: &mut Inputs) {
    let items = |pool: &Pool| {
        let of = |partition| TopicPartition { topic: TopicId::from_bytes([5; 16]), partition };
        let batches = |partition, base: i64, count: i64| {
            let mut bytes = Vec::new();
            for n in 0..count {
                let mut builder = Builder::new(Codec::None);
                builder.base_offset(at(base + n)).record(1, None, Some(b"abc"), &[]);
                bytes.extend(builder.build());
            }
            let mut buffer = pool.buffer(bytes.len()).expect("small");
            buffer.as_mut_slice()[..bytes.len()].copy_from_slice(&bytes);
            let parts: Vec<Sealed> = vec![buffer.seal(bytes.len())];
            let (base, next) = (at(base), at(base + count));
            Item::Batches { partition: of(partition), base, next, epoch: LeaderEpoch::ZERO, parts }
        };
        vec![
            vec![batches(0, 10, 3), batches(1, 0, 1)],
            vec![Item::Dirty { partition: of(2), from: at(7) }, batches(0, 13, 2)],
            vec![Item::Truncated { partition: of(0), to: at(12) }, batches(0, 12, 1)],
            vec![Item::StartAdvanced { partition: of(1), to: at(1) }],
            vec![Item::Deleted { topic: TopicId::from_bytes([6; 16]) }, batches(0, 11, 4)],
        ]
    };
    for count in 0..=5 {
        let sim: Sim<()> = Sim::new(3, SimOptions::default());
        let env = sim.env(ShardId(0));
        sim.run(async {
            let options =
                JournalOptions { file_bytes: 1 << 18, ..JournalOptions::new(RunStart::FIRST) };
            let journal = Journal::open(env.clone(), options).await.expect("a new disk");
            for (n, items) in items(env::Env::pool(&env)).into_iter().take(count).enumerate() {
                journal.commit(items, n % 2 == 0, Group::Produce).await.expect("a healthy disk");
            }
        })
        .done();
        let contents = sim.disk().contents();
        let file =
            contents.files.iter().find(|(path, _)| path.to_string_lossy().contains("journal"));
        let (_, file) = file.expect("it was opened");
        inputs.add("journal", &format!("frames-{count}"), &targets::compact(0, file));
        inputs.add("journal", &format!("frames-{count}-repaired"), &targets::compact(2, file));
    }
    checkpoints(inputs);
}

fn checkpoints(inputs: &mut Inputs) {
    for partitions in [0, 1, 3] {
        let sim: Sim<()> = Sim::new(4, SimOptions::default());
        let env = sim.env(ShardId(0));
        let mut checkpoint = Checkpoint::default();
        for partition in 0..partitions {
            checkpoint.insert(PartitionPoint {
                partition: TopicPartition { topic: TopicId::from_bytes([5; 16]), partition },
                mark: Mark { run: 2, sequence: 9 },
                log_start: at(1),
                recovery_point: at(20),
                end: at(25),
                segment_base: at(15),
                segment_len_bytes: 4_567,
                largest_timestamp_ms: -1,
                leader_epoch: LeaderEpoch::ZERO,
                high_watermark: at(19),
            });
        }
        sim.run(async {
            journal::checkpoint::save(&env, &checkpoint, Group::Recovery).await.expect("healthy");
        })
        .done();
        let contents = sim.disk().contents();
        let file = contents.files.values().next().expect("it was saved");
        for (choices, name) in [(1_u8, "checkpoint"), (3, "checkpoint-repaired")] {
            let mut input = vec![choices];
            input.extend(u16::try_from(file.len()).expect("small").to_le_bytes());
            input.extend_from_slice(file);
            inputs.add("journal", &format!("{name}-{partitions}"), &input);
        }
    }
}
