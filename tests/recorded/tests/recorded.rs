//! Whatever a power cut may leave of any moment of a live run recovers to what was acknowledged; and
//! three rules broken on purpose are caught by that.
//!
//! `RECORDED_PREFIXES=5000` tries more moments. What the machine does decides about a run, so a seed
//! does not replay it; what a complaint names is the end, the event and the record.

use evenkeel_recorded_tests::cut::{Tried, try_all};
use evenkeel_recorded_tests::live::{Live, live};
use sim::broken::Rule;

const SEED: u64 = 2_026;

fn prefixes() -> usize {
    let number = |text: String| text.parse().expect("RECORDED_PREFIXES is a number");
    std::env::var("RECORDED_PREFIXES").map_or(150, number)
}

#[test]
fn every_legal_remains_of_every_prefix_recover_to_what_was_acknowledged() {
    let run = live(SEED, Rule::None);
    let (events, acknowledged) = (run.recording.len(), run.facts.acknowledged());
    let tried = try_all(&run, prefixes(), SEED, Rule::None);
    println!("{events} events, {acknowledged} records acknowledged, {tried:?}");
    assert!(500 < acknowledged && 1_000 < events);
    assert_eq!(tried.complaints, [""; 0]);
    it_met_what_it_should(&tried);
}

/// That everything recovers says nothing if nothing was ever lost.
fn it_met_what_it_should(tried: &Tried) {
    assert!(0 < tried.losses.torn_writes, "no torn sector: {tried:?}");
    assert!(0 < tried.losses.overtaken_writes, "no write overtook another: {tried:?}");
    assert!(0 < tried.losses.lengths, "no lost length: {tried:?}");
    assert!(0 < tried.losses.names, "no lost update of a directory: {tried:?}");
    assert!(0 < tried.stale_frames, "no stale content in a recycled file: {tried:?}");
    assert!(0 < tried.rolled, "no second segment: {tried:?}");
}

/// Moments enough to meet what is broken.
const ENOUGH: usize = 150;

fn is_caught(run: &Live, rule: Rule) -> String {
    let tried = try_all(run, ENOUGH, SEED, rule);
    assert!(tried.history_is_broken(), "it was not caught: {tried:?}");
    tried.complaints.last().expect("one says what is broken").clone()
}

#[test]
fn an_acknowledgement_before_the_flush_is_caught() {
    println!("{}", is_caught(&live(SEED, Rule::AcknowledgedBeforeFlush), Rule::None));
}

#[test]
fn a_missing_directory_sync_is_caught() {
    println!("{}", is_caught(&live(SEED, Rule::NoDirectorySync), Rule::None));
}

#[test]
fn a_replayed_stale_frame_is_caught() {
    println!("{}", is_caught(&live(SEED, Rule::None), Rule::StaleFrames));
}
