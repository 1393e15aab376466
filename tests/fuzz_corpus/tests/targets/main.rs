//! Every target over its corpus and over mutations of it. `FUZZ_MUTATIONS` says how many, `FUZZ_SEED` where they
//! begin; with `FUZZ_WRITE_CORPUS` the corpus is written anew.

mod seeds;

use evenkeel_fuzz_corpus::{Target, corpus, run_mutations, targets};

/// A number of the environment.
fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

fn hold(name: &str, target: Target, mutations: u64) {
    let inputs = corpus(name).expect("the corpus is there");
    assert!(5 <= inputs.len(), "{} inputs of {name}", inputs.len());
    for (_, input) in &inputs {
        target(input);
    }
    let first = number("FUZZ_SEED", 0);
    let count = number("FUZZ_MUTATIONS", mutations);
    if let Err(what) = run_mutations(target, &inputs, first..first + count) {
        panic!("{name}: {what}");
    }
}

#[test]
fn wire_holds() {
    hold("wire", targets::wire, 100_000);
}

#[test]
fn record_holds() {
    hold("record", targets::record, 10_000);
}

#[test]
fn index_holds() {
    hold("index", targets::index, 100_000);
}

#[test]
fn journal_holds() {
    hold("journal", targets::journal, 2_000);
}

/// A target with a fault that only a changed input reaches.
fn canary(data: &[u8]) {
    assert!(data.len() < 4 || data[3] != 0x80, "the canary died");
}

#[test]
fn a_target_with_a_fault_is_caught() {
    let inputs = corpus("index").expect("the corpus is there");
    assert!(inputs.iter().all(|(_, input)| input.len() < 4 || input[3] != 0x80));
    let found = run_mutations(canary, &inputs, 0..100_000);
    assert!(found.is_err_and(|what| what.contains("makes it panic")));
}
