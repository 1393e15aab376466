//! Whatever becomes of the bytes of a journal: what is replayed is what was committed.

#![expect(clippy::unwrap_used, reason = "a test that fails may panic")]

use std::path::PathBuf;

use buf::Sealed;
use env::sim::{Contents, Image, Sim, SimEnv, SimOptions};
use env::{Env, Group, ShardId};
use evenkeel_journal::checkpoint::Checkpoint;
use evenkeel_journal::{Item, Journal, JournalOptions, RunStart, Settled, replay};
use proptest::prelude::*;
use record::{LeaderEpoch, Offset, TopicId, TopicPartition};

type World = SimEnv<()>;

fn at(raw: i64) -> Offset {
    Offset::new(raw).unwrap()
}

const PARTITION: TopicPartition = TopicPartition { topic: TopicId::CLUSTER_METADATA, partition: 0 };

/// The bytes at offset `n`: the journal does not look into them.
fn content(n: i64, len: usize) -> Vec<u8> {
    let seed = n.to_le_bytes()[0].wrapping_mul(31).wrapping_add(1);
    (0..len).map(|i| seed.wrapping_add(i.to_le_bytes()[0])).collect()
}

fn item(env: &World, n: i64, len: usize) -> Item {
    let mut buffer = env.pool().buffer(len).unwrap();
    buffer.as_mut_slice()[..len].copy_from_slice(&content(n, len));
    let bytes: Sealed = buffer.seal(len);
    // In two parts, so that gathering is tested.
    let parts = vec![bytes.slice(0..len / 3), bytes.slice(len / 3..len)];
    let (base, next, epoch) = (at(n), at(n + 1), LeaderEpoch::ZERO);
    Item::Batches { partition: PARTITION, base, next, epoch, parts }
}

/// Commits of one item each, with the lengths `lens`, flushed; the journal wraps round its files.
/// What was settled is below the first number, the number of items is the second.
fn journal(lens: &[usize]) -> (Contents, i64, i64) {
    let sim: Sim<()> = Sim::new(3, SimOptions::default());
    let env = sim.env(ShardId(0));
    let options = JournalOptions {
        file_bytes: 64 << 10,
        files_max: 3,
        ..JournalOptions::new(RunStart::FIRST)
    };
    let (settled, end) = sim
        .run(async {
            let journal = Journal::open(env.clone(), options).await.unwrap();
            let (mut settled, mut end) = (0, 0);
            for len in lens {
                if journal.pressure().checkpoint_is_due() {
                    settled = end - 2;
                    let below = |_| Settled::Durable(at(settled));
                    journal.release(journal.mark(), below).await.unwrap();
                }
                let item = item(&env, end, *len);
                journal.commit(vec![item], true, Group::Produce).await.unwrap();
                end += 1;
            }
            (settled, end)
        })
        .done();
    (sim.disk().contents(), settled, end)
}

/// The offsets that are replayed from `contents`; their bytes are checked.
fn replayed(contents: &Contents, lens: &[usize]) -> (Vec<i64>, usize) {
    let sim: Sim<()> = Sim::restart(4, SimOptions::default(), Image::of(contents));
    let env = sim.env(ShardId(0));
    sim.run(async {
        let found = replay(&env, &Checkpoint::default(), Group::Recovery).await.unwrap();
        let mut offsets = Vec::new();
        for piece in found.partition(PARTITION).map_or(&[][..], |said| &said.pieces) {
            let n = piece.base.raw();
            let bytes = found.read(piece, Group::Recovery).await.unwrap();
            let len = lens[usize::try_from(n).unwrap()];
            assert_eq!(&bytes[..], content(n, len), "other bytes at {n}");
            offsets.push(n);
        }
        (offsets, found.damage().len())
    })
    .done()
}

/// Offsets in order, each once, and of those that are not settled all but `lost`.
fn check(found: &[i64], settled: i64, end: i64, may_be_lost: impl Fn(i64) -> bool) {
    assert!(found.windows(2).all(|pair| pair[0] < pair[1]), "order: {found:?}");
    assert!(found.iter().all(|n| *n < end));
    for n in settled..end {
        assert!(found.contains(&n) || may_be_lost(n), "{n} is missing from {found:?}");
    }
}

fn lens() -> impl Strategy<Value = Vec<usize>> {
    proptest::collection::vec(prop_oneof![8..200_usize, 3000..9000_usize], 1..60)
}

fn files(contents: &Contents) -> Vec<PathBuf> {
    contents.files.keys().cloned().collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    #[test]
    fn what_is_committed_is_replayed_as_it_was(lens in lens()) {
        let (contents, settled, end) = journal(&lens);
        let (found, damage) = replayed(&contents, &lens);
        check(&found, settled, end, |_| false);
        prop_assert_eq!(damage, 0);
    }

    #[test]
    fn a_cut_file_gives_what_lies_before_the_cut(
        lens in lens(),
        file: prop::sample::Index,
        cut: prop::sample::Index,
    ) {
        let (mut contents, _, end) = journal(&lens);
        let files = files(&contents);
        let bytes = contents.files.get_mut(file.get(&files)).unwrap();
        bytes.truncate(cut.index(bytes.len()));
        let (found, _) = replayed(&contents, &lens);
        check(&found, end, end, |_| true);
    }

    #[test]
    fn a_flipped_bit_costs_one_frame_at_most_or_the_header_of_a_file(
        lens in lens(),
        file: prop::sample::Index,
        byte: prop::sample::Index,
        bit in 0..8,
    ) {
        let (mut contents, settled, end) = journal(&lens);
        let files = files(&contents);
        let bytes = contents.files.get_mut(file.get(&files)).unwrap();
        let at = byte.index(bytes.len());
        bytes[at] ^= 1_u8 << bit;
        let (found, damage) = replayed(&contents, &lens);
        if at < 4096 {
            check(&found, end, end, |_| true);
        } else {
            let missing = (settled..end).filter(|n| !found.contains(n)).count();
            check(&found, settled, end, |_| true);
            prop_assert!(missing <= 1, "{missing} are missing");
            // The very last frame cannot be told from one that was torn.
            prop_assert!(missing == 0 || 0 < damage || !found.contains(&(end - 1)));
        }
    }

    #[test]
    fn pages_of_other_files_and_times_are_never_taken(
        lens in lens(),
        moves in proptest::collection::vec(any::<[prop::sample::Index; 4]>(), 1..6),
    ) {
        let earlier = journal(&lens[..lens.len() / 2]).0;
        let (mut contents, _, end) = journal(&lens);
        let files = files(&contents);
        for [from, to, page, onto] in moves {
            let source = if from.index(2) == 0 { &contents } else { &earlier };
            let Some(source) = source.files.get(from.get(&files)).cloned() else { continue };
            let pages = source.len() / 4096;
            // Frames only: a header page that is copied whole is a copy of its file's name, too.
            let from = (1 + page.index(pages - 1)) * 4096;
            let target = contents.files.get_mut(to.get(&files)).unwrap();
            let onto = (1 + onto.index(pages - 1)) * 4096;
            let len = (source.len() - from).min(target.len() - onto);
            target[onto..onto + len].copy_from_slice(&source[from..from + len]);
        }
        let (found, _) = replayed(&contents, &lens);
        check(&found, end, end, |_| true);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn no_file_is_too_wild_to_be_read(
        bytes in proptest::collection::vec(any::<u8>(), 0..20_000),
        changes in proptest::collection::vec(any::<(prop::sample::Index, u8)>(), 0..30),
    ) {
        let (mut contents, _, _) = journal(&[100, 5000, 200]);
        let wild = contents.files.values_mut().next().unwrap();
        for (at, byte) in changes {
            let at = at.index(20_000);
            wild[at] = byte;
        }
        contents.files.insert("evenkeel-journal-9-9".into(), bytes);
        let (found, _) = replayed(&contents, &[100, 5000, 200]);
        check(&found, 3, 3, |_| true);
    }
}
