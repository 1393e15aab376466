//! Directories that nobody wrote: opening, reading and going on never panics, and what is read is
//! made of whole headers.

mod kit;

use std::fs;

use env::Group;
use env::std_world::StdEnv;
use evenkeel_segment::{Known, KnownTail, Log, LogOptions, Stamp};
use kit::{Model, append, at, batch, dir};
use proptest::prelude::*;
use record::{Batches, LeaderEpoch, Offset};

#[derive(Clone, Debug)]
enum Harm {
    Set { at: usize, byte: u8 },
    Fill { at: usize, len: usize, byte: u8 },
    Cut { at: usize },
    Grow { len: usize, byte: u8 },
    Copy { from: usize, to: usize, len: usize },
    Remove,
}

fn harm() -> impl Strategy<Value = Harm> {
    let place = 0_usize..6000;
    prop_oneof![
        6 => (place.clone(), any::<u8>()).prop_map(|(at, byte)| Harm::Set { at, byte }),
        2 => (place.clone(), 1_usize..3000, prop_oneof![Just(0), Just(0xff), any::<u8>()])
            .prop_map(|(at, len, byte)| Harm::Fill { at, len, byte }),
        1 => place.clone().prop_map(|at| Harm::Cut { at }),
        1 => (1_usize..9000, prop_oneof![Just(0), any::<u8>()]).prop_map(|(len, byte)| Harm::Grow { len, byte }),
        2 => (place.clone(), place, 1_usize..3000).prop_map(|(from, to, len)| Harm::Copy { from, to, len }),
        1 => Just(Harm::Remove),
    ]
}

fn apply(bytes: &mut Vec<u8>, harm: &Harm) {
    let len = bytes.len();
    let until = |at: usize, n: usize| (at.min(len), (at + n).min(len));
    match *harm {
        Harm::Set { at, byte } if at < len => bytes[at] = byte,
        Harm::Fill { at, len, byte } => {
            let (from, to) = until(at, len);
            bytes[from..to].fill(byte);
        }
        Harm::Cut { at } => bytes.truncate(at),
        Harm::Grow { len: more, byte } => bytes.resize(len + more, byte),
        Harm::Copy { from, to, len } => {
            let (from, end) = until(from, len);
            let part = bytes[from..end].to_vec();
            let to = to.min(bytes.len());
            let n = part.len().min(bytes.len() - to);
            bytes[to..to + n].copy_from_slice(&part[..n]);
        }
        Harm::Set { .. } | Harm::Remove => {}
    }
}

const OPTIONS: LogOptions = LogOptions {
    segment_bytes: 5000,
    segment_ms: i64::MAX,
    segment_jitter_ms: 0,
    index_interval_bytes: 300,
    index_bytes_max: 10 << 20,
    file_delete_delay_ms: 0,
};

async fn use_it(env: &StdEnv, known: Known) {
    let opened = Log::open(env, dir(), OPTIONS, known, Group::Recovery).await;
    let Ok((log, _)) = opened else { return };
    let ends = log.ends();
    assert!(ends.durable <= ends.written && ends.written == ends.end && known.start <= ends.end);
    let mut from = log.segments()[0].base;
    // Every read goes on or is over; offsets behind damage are tried one by one.
    for _ in 0..200 {
        match log.read(from, ends.end, 1500, true, Group::Fetch).await {
            Ok(read) => {
                let bytes = kit::bytes_of(&read);
                assert!(Batches::new(&bytes).all(|batch| batch.is_ok()), "whole batches");
                let Some(next) = read.next else { break };
                assert!(from < next);
                from = next;
            }
            Err(_) => from = from.plus(1),
        }
    }
    let _ = log.scan(known.start, Group::Fetch, |_| {}).await;
    let _ = log.find_time(30, Group::Fetch).await;
    let _ = log.max_timestamp(Group::Fetch).await;
    let stamp = Stamp { base: ends.end, epoch: LeaderEpoch::ZERO };
    if ends.end.raw() < i64::MAX - 10 && log.append(&batch(2, 100, 99, 9), stamp, 0).is_ok() {
        let _ = log.write(Group::Produce).await;
        let _ = log.truncate(ends.end, Group::System).await;
    }
    let _ = log.close(Group::System).await;
    let _ = log.advance_start(ends.end, Group::Retention).await;
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 80, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn damaged_directories_never_panic(
        harms in prop::collection::vec((0_usize..30, harm()), 1..6),
        recovery_point in 0_i64..45,
        start in 0_i64..45,
        clean in any::<bool>(),
        tail in prop::option::of((0_i64..45, 0_u64..6000, 0_i64..60, -1_i64..200)),
    ) {
        let root = tempfile::tempdir().unwrap();
        let env = StdEnv::new(root.path(), 8 << 20);
        env.block_on(async {
            let log = Log::create(&env, dir(), OPTIONS, Offset::ZERO).await.unwrap();
            let mut model = Model::default();
            for number in 0..20 {
                let bytes = batch(2, 300, 5 * i64::try_from(number).unwrap(), number);
                append(&log, &mut model, &bytes, 0);
            }
            log.close(Group::System).await.unwrap();
        });
        let read = fs::read_dir(root.path().join(kit::DIR)).unwrap();
        let mut paths: Vec<_> = read.map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        for (file, harm) in &harms {
            let path = &paths[file % paths.len()];
            match harm {
                Harm::Remove => drop(fs::remove_file(path)),
                harm => if let Ok(mut bytes) = fs::read(path) {
                    apply(&mut bytes, harm);
                    fs::write(path, bytes).unwrap();
                }
            }
        }
        let tail = tail.map(|(segment_base, len_bytes, end, largest_timestamp_ms)| KnownTail {
            segment_base: at(segment_base / 10 * 10),
            len_bytes,
            end: at(end),
            largest_timestamp_ms,
        });
        let known = Known { start: at(start), recovery_point: at(recovery_point), clean, tail };
        env.block_on(use_it(&env, known));
        // Whatever became of it, it opens again.
        env.block_on(use_it(&env, known));
    }
}
