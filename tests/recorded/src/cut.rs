//! Moments of a recorded run, its clean stop included, at which it might have ended, and what recovers
//! from them.

use std::panic::{AssertUnwindSafe, catch_unwind};

use broker::ShardMessage;
use env::sim::{Image, Losses, Outcome, Sim, SimOptions};
use sim::broken::{Rule, stale};
use sim::history::BROKEN;
use sim::random::Random;
use sim::recovered::{Recovered, read_everything};

use crate::facts::{End, Facts};
use crate::live::{Live, SHARDS};
use crate::load::topics;

/// What the remains of all moments were like.
#[derive(Clone, Debug, Default)]
pub struct Tried {
    /// Moments.
    pub prefixes: usize,
    /// Recoveries.
    pub recoveries: usize,
    /// Records that they had together.
    pub records: usize,
    /// What was missing from them.
    pub losses: Losses,
    /// Frames of earlier uses in journal files.
    pub stale_frames: usize,
    /// Recoveries with more than one segment of some log.
    pub rolled: usize,
    /// What was wrong with those that did not recover to what was known.
    pub complaints: Vec<String>,
}

/// Lets `live` end at `prefixes` moments, in several ways each, and
/// recovers, until a history is found broken by a loss of power. Half of the moments are those at
/// which an answer was given. `rule` is broken in the recovering broker.
#[must_use]
pub fn try_all(live: &Live, prefixes: usize, seed: u64, rule: Rule) -> Tried {
    let mut random = Random(seed);
    let mut replay = live.recording.replay();
    let mut tried = Tried::default();
    for prefix in choose(&live.facts, live.recording.len(), prefixes, &mut random) {
        replay.advance_to(prefix);
        tried.prefixes += 1;
        for _ in 0..2 {
            let image = replay.survivor_image(random.draw());
            tried.look_at(&image);
            tried.recover(live, image, (prefix, End::Power), rule, random.draw());
        }
        if random.below(4) == 0 {
            let image = Image::of(&replay.written());
            tried.recover(live, image, (prefix, End::Process), rule, random.draw());
        }
        if tried.history_is_broken() {
            break;
        }
    }
    tried
}

/// Where to cut, in order.
fn choose(facts: &Facts, events: usize, count: usize, random: &mut Random) -> Vec<usize> {
    let mut told = facts.places();
    told.retain(|place| *place <= events);
    let mut below =
        |bound: usize| usize::try_from(random.below(bound as u64)).expect("below a usize");
    let mut chosen: Vec<usize> = (0..count)
        .map(|n| if n % 2 == 0 { told[below(told.len())] } else { below(events + 1) })
        .collect();
    chosen.sort_unstable();
    chosen.dedup();
    chosen
}

impl Tried {
    /// Whether after a loss of power something known was not there, or something there not known.
    #[must_use]
    pub fn history_is_broken(&self) -> bool {
        let power = format!("{:?}", End::Power);
        self.complaints.iter().any(|what| what.starts_with(&power) && what.contains(BROKEN))
    }

    fn look_at(&mut self, image: &Image) {
        self.losses = self.losses.and(image.losses());
        let contents = image.contents();
        self.stale_frames += stale::count(&contents);
        let segments = |path: &&std::path::PathBuf| {
            path.starts_with("rolling-0") && path.extension().is_some_and(|e| e == "log")
        };
        self.rolled += usize::from(1 < contents.files.keys().filter(segments).count());
    }

    fn recover(
        &mut self,
        live: &Live,
        image: Image,
        (prefix, end): (usize, End),
        rule: Rule,
        seed: u64,
    ) {
        self.recoveries += 1;
        let recovered = catch_unwind(AssertUnwindSafe(|| recover(image, rule, seed)))
            .map_err(|panic| text(&*panic).to_owned());
        let checked = recovered.and_then(|recovered| {
            self.records += recovered.values().map(Vec::len).sum::<usize>();
            check(&live.facts, prefix, end, &recovered)
        });
        let complaint = |what| format!("{end:?} after {prefix} events: {what}");
        self.complaints.extend(checked.err().map(complaint));
    }
}

fn recover(image: Image, rule: Rule, seed: u64) -> Recovered {
    let options = SimOptions { shards: SHARDS, ..SimOptions::default() };
    let sim: Sim<ShardMessage> = Sim::restart(seed, options, image);
    match sim.run(read_everything(&sim, rule, &topics())) {
        Outcome::Done(recovered) => recovered,
        Outcome::Cut => unreachable!("no cut was asked for"),
    }
}

/// Holds what recovered against what was known.
fn check(facts: &Facts, prefix: usize, end: End, recovered: &Recovered) -> Result<(), String> {
    let known = facts.until(prefix, end);
    let nothing = Vec::new();
    for (topic, partitions) in topics() {
        for partition in 0..partitions {
            let place = (topic.to_owned(), partition);
            let found = recovered.get(&place);
            if found.is_some() && known.gone.contains(topic) {
                return Err(format!("{BROKEN}: {topic} was deleted and is there"));
            }
            known.history.check(&place, found.unwrap_or(&nothing))?;
        }
    }
    Ok(())
}

fn text(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no text")
}
