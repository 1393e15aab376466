//! Reads a corpus and makes new inputs of it, from a seed.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;

/// A target: arbitrary bytes in, a panic if a promise is broken.
pub type Target = fn(&[u8]);

/// Longest input that is made, in bytes.
const INPUT_BYTES_MAX: usize = 64 << 10;
/// Numbers at which arithmetic tends to break.
const INTERESTING: [i64; 12] =
    [0, 1, -1, 2, 127, 128, 255, 256, i32::MAX as i64, i32::MIN as i64, i64::MAX, i64::MIN];

/// Where the corpus of a target lies.
#[must_use]
pub fn corpus_directory(target: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(target)
}

/// The inputs of a target's corpus with their names, by name.
///
/// # Errors
/// When the directory cannot be read.
pub fn corpus(target: &str) -> io::Result<Vec<(String, Vec<u8>)>> {
    let mut inputs = Vec::new();
    for entry in fs::read_dir(corpus_directory(target))? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        inputs.push((name, fs::read(path)?));
    }
    inputs.sort();
    Ok(inputs)
}

/// SplitMix64.
#[derive(Debug)]
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Below `bound`, which is above 0.
    fn below(&mut self, bound: usize) -> usize {
        let bound = u64::try_from(bound).unwrap_or(u64::MAX).max(1);
        usize::try_from(self.next() % bound).unwrap_or(0)
    }
}

/// An input that is like one of `corpus`, which is not empty; the same for the same seed.
#[must_use]
pub fn mutate(corpus: &[(String, Vec<u8>)], seed: u64) -> Vec<u8> {
    let mut random = Random(seed);
    let mut input = corpus[random.below(corpus.len())].1.clone();
    for _ in 0..=random.below(4) {
        change(&mut input, corpus, &mut random);
    }
    input.truncate(INPUT_BYTES_MAX);
    input
}

fn change(input: &mut Vec<u8>, corpus: &[(String, Vec<u8>)], random: &mut Random) {
    let at = random.below(input.len() + 1);
    match random.below(8) {
        0 | 1 if at < input.len() => input[at] ^= 1 << random.below(8),
        2 if at < input.len() => input[at] = u8::try_from(random.next() & 0xff).unwrap_or(0),
        3 => input.truncate(at),
        4 => {
            let count = random.below(16) + 1;
            let byte = u8::try_from(random.next() & 0xff).unwrap_or(0);
            input.splice(at..at, std::iter::repeat_n(byte, count));
        }
        5 => {
            let end = (at + random.below(16) + 1).min(input.len());
            input.drain(at..end);
        }
        6 => {
            let other = &corpus[random.below(corpus.len())].1;
            let from = random.below(other.len() + 1);
            input.truncate(at);
            input.extend_from_slice(&other[from..]);
        }
        _ => number(input, at, random),
    }
}

/// Writes an interesting number of 1, 2, 4 or 8 bytes over what is at `at`.
fn number(input: &mut [u8], at: usize, random: &mut Random) {
    let value = INTERESTING[random.below(INTERESTING.len())];
    let width = 1 << random.below(4);
    let bytes = value.to_be_bytes();
    let bytes = &bytes[8 - width..];
    let room = input.len().saturating_sub(at).min(width);
    if 0 < room {
        input[at..at + room].copy_from_slice(&bytes[..room]);
    }
}

/// Runs `target` over `count` mutations of `corpus`; the first that panics, as a sentence with its bytes.
///
/// # Errors
/// The seed and the input that made it panic.
pub fn run_mutations(
    target: Target,
    corpus: &[(String, Vec<u8>)],
    seeds: std::ops::Range<u64>,
) -> Result<(), String> {
    for seed in seeds {
        let input = mutate(corpus, seed);
        if catch_unwind(AssertUnwindSafe(|| target(&input))).is_err() {
            let mut hex = String::new();
            for byte in &input {
                write!(hex, "{byte:02x}").expect("a String takes everything");
            }
            return Err(format!("seed {seed} makes it panic: {hex}"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_makes_the_same_input_and_others_differ() {
        let corpus = [("a".to_owned(), vec![7; 100]), ("b".to_owned(), vec![9; 5])];
        let made: Vec<Vec<u8>> = (0..200).map(|seed| mutate(&corpus, seed)).collect();
        assert!((0..200).all(|seed| mutate(&corpus, seed) == made[usize::try_from(seed).unwrap()]));
        let distinct: std::collections::BTreeSet<_> = made.iter().collect();
        assert!(150 < distinct.len(), "{}", distinct.len());
        assert!(mutate(&[("empty".to_owned(), Vec::new())], 3).len() < 100);
    }
}
