//! Examples, and random histories against a naive model.

use proptest::prelude::*;

use super::*;

const MIB: usize = 1 << 20;
const MEMORY: usize = 16 * MIB;
/// Small here: more than 16 KiB, a 64th of the memory at most.
const SMALL: usize = 256 << 10;

fn at_ms(ms: u64) -> Nanos {
    Nanos(ms * 1_000_000)
}

/// A frame that asked for `bytes`, and whether it was its turn.
fn ask(policy: &mut Policy, bytes: usize, ms: u64) -> (FrameId, bool) {
    let id = policy.begin(at_ms(ms));
    let granted = policy.ask(id, bytes, at_ms(ms));
    (id, granted)
}

#[test]
fn large_frames_wait_for_each_other_and_keep_no_small_one_waiting() {
    let mut policy = Policy::new(MEMORY);
    let large: Vec<_> = (0..200).map(|ms| ask(&mut policy, 4 * MIB, ms)).collect();
    assert!(large[0].1 && large[1..].iter().all(|(_, granted)| !granted));
    for bytes in [1, 16 << 10, 100 << 10, SMALL] {
        let (id, granted) = ask(&mut policy, bytes, 300);
        assert!(granted, "{bytes}");
        policy.leave(id, at_ms(300));
    }
    assert_eq!(policy.leave(large[0].0, at_ms(400)), [large[1].0]);
    assert_eq!(policy.leave(large[2].0, at_ms(400)), [], "it had not its turn");
    assert_eq!(policy.leave(large[1].0, at_ms(400)), [large[3].0]);
}

#[test]
fn the_largest_frame_has_its_turn_however_small_the_memory() {
    for memory in [4096, 64 << 10, MIB, 100 * MIB] {
        let mut policy = Policy::new(memory);
        let (first, granted) = ask(&mut policy, memory / 4, 0);
        assert!(granted, "{memory}");
        let (next, granted) = ask(&mut policy, memory / 4, 0);
        assert!(granted || policy.leave(first, at_ms(1)) == [next], "{memory}");
    }
}

#[test]
fn who_does_not_get_on_is_ended_when_others_wait_and_no_more_than_needed() {
    let mut policy = Policy::new(MEMORY);
    let slow: Vec<_> = (0..5).map(|ms| ask(&mut policy, MIB, ms).0).collect();
    assert_eq!(policy.overdue(at_ms(50_000)), [], "nobody waits");
    policy.heard(slow[0], STEP_BYTES, at_ms(50_000));
    let (first, _) = ask(&mut policy, 2 * MIB, 50_000);
    let (second, _) = ask(&mut policy, 4 * MIB, 50_000);
    assert_eq!(policy.overdue(at_ms(50_999)), [], "they have their time from now on");
    policy.heard(slow[1], STEP_BYTES - 1, at_ms(50_999));
    policy.excuse(slow[2], true, at_ms(50_999));
    policy.heard(slow[4], STEP_BYTES, at_ms(50_999));
    let ended = policy.overdue(at_ms(51_000));
    assert_eq!(ended, [slow[1], slow[3]], "a byte is no step; two MiB are enough");
    assert_eq!(policy.overdue(at_ms(51_000)), []);
    policy.leave(slow[1], at_ms(51_000));
    assert_eq!(policy.leave(slow[3], at_ms(51_000)), [first]);
    assert_eq!(policy.overdue(at_ms(51_000)), [slow[0]], "for the next in line");
    assert_eq!(policy.overdue(at_ms(51_999)), [slow[4]]);
    assert_eq!(policy.overdue(at_ms(52_000)), [first], "its turn does not last for ever");
    assert!(!policy.frames[&second].is_ending, "who waits is not ended");
}

#[test]
fn a_silent_frame_ends_even_when_there_is_room() {
    let mut policy = Policy::new(MEMORY);
    let silent = policy.begin(at_ms(0));
    let excused = policy.begin(at_ms(0));
    policy.excuse(excused, true, at_ms(0));
    let (heard, _) = ask(&mut policy, MIB, 0);
    policy.heard(heard, 1, at_ms(10_000));
    assert_eq!(policy.overdue(at_ms(59_999)), []);
    assert_eq!(policy.overdue(at_ms(60_000)), [silent]);
    assert_eq!(policy.overdue(at_ms(70_000)), [heard]);
    assert_eq!(policy.overdue(at_ms(700_000)), []);
}

#[test]
fn memory_that_is_wanted_comes_back_from_those_that_have_some() {
    let mut policy = Policy::new(MEMORY);
    let (has, _) = ask(&mut policy, MIB, 0);
    policy.took(has, 4096);
    let (has_more, _) = ask(&mut policy, MIB, 1);
    policy.took(has_more, 8192);
    let (has_none, _) = ask(&mut policy, MIB, 0);
    assert_eq!(policy.make_way(1, at_ms(9_000)), [], "nobody said that he waits");
    policy.memory_wait_began(at_ms(9_000));
    assert_eq!(policy.make_way(1, at_ms(9_999)), []);
    assert_eq!(policy.make_way(4096, at_ms(10_000)), [has]);
    assert_eq!(policy.make_way(4097, at_ms(10_000)), [has_more]);
    assert_eq!(policy.make_way(MIB, at_ms(10_000)), [], "{has_none:?} has none");
    policy.memory_wait_ended(at_ms(10_000));
    assert!(!policy.is_short());
}

#[test]
fn heads_have_a_share_of_which_half_is_for_the_least() {
    let mut policy = Policy::new(MEMORY);
    let page = 4096;
    let large = policy.begin(at_ms(0));
    assert!(policy.take_head(large, MIB, page));
    let more = policy.begin(at_ms(0));
    assert!(!policy.take_head(more, page + 1, page), "one MiB is half");
    let pages = (0..300).filter(|_| {
        let id = policy.begin(at_ms(0));
        policy.take_head(id, page, page)
    });
    assert_eq!(pages.count(), 256);
    policy.release_head(large);
    assert!(!policy.take_head(large, page + 1, page), "the pages are half");
    policy.memory_wait_began(at_ms(0));
    assert!(!policy.take_head(large, page + 1, page), "memory is short");
    assert!(policy.take_head(large, page, page));
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Ask(usize),
    Leave(usize),
    Hear(usize, usize),
    Excuse(usize, bool),
    Wait(u64),
    Look,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let bytes = prop_oneof![1..16_usize << 10, (16 << 10)..SMALL, SMALL..4 * MIB];
    let step = prop_oneof![
        6 => bytes.prop_map(Step::Ask),
        5 => any::<usize>().prop_map(Step::Leave),
        4 => (any::<usize>(), 0..STEP_BYTES * 3).prop_map(|(n, more)| Step::Hear(n, more)),
        1 => (any::<usize>(), any::<bool>()).prop_map(|(n, yes)| Step::Excuse(n, yes)),
        3 => (1..700_u64).prop_map(Step::Wait),
        3 => Just(Step::Look),
    ];
    prop::collection::vec(step, 1..300)
}

/// The same by lists: what each frame holds or wants, in order of arrival.
#[derive(Default)]
struct Model {
    frames: Vec<Modelled>,
}

#[derive(Clone, Debug)]
struct Modelled {
    id: FrameId,
    bytes: usize,
    lane: usize,
    granted: bool,
    have: usize,
    stepped: (usize, u64),
    heard_ms: u64,
    excused: bool,
    ended: bool,
}

impl Model {
    fn lane(bytes: usize) -> usize {
        usize::from(16 << 10 < bytes) + usize::from(SMALL < bytes)
    }

    fn held(&self, lane: usize) -> usize {
        let held = self.frames.iter().filter(|frame| frame.lane == lane && frame.granted);
        held.map(|frame| frame.bytes).sum()
    }

    /// Whose turn it is, first come first served in each lane.
    fn grant(&mut self, ms: u64) -> Vec<FrameId> {
        let mut granted = Vec::new();
        for lane in 0..LANES {
            let share = MEMORY / 16 * [1, 2, 5][lane];
            for n in 0..self.frames.len() {
                if self.frames[n].lane != lane || self.frames[n].granted {
                    continue;
                }
                if share < self.held(lane) + self.frames[n].bytes {
                    break;
                }
                let frame = &mut self.frames[n];
                (frame.granted, frame.excused) = (true, false);
                (frame.stepped.1, frame.heard_ms) = (ms, ms);
                granted.push(frame.id);
            }
        }
        granted
    }

    fn waits(&self) -> bool {
        self.frames.iter().any(|frame| !frame.granted)
    }
}

proptest! {
    #[test]
    fn frames_have_their_turns_in_order_and_nobody_is_ended_who_gets_on(steps in steps()) {
        let mut policy = Policy::new(MEMORY);
        let mut model = Model::default();
        let (mut ms, mut short_since) = (0, None);
        for step in steps {
            let count = model.frames.len();
            match step {
                Step::Ask(bytes) => {
                    let (id, granted) = ask(&mut policy, bytes, ms);
                    model.frames.push(Modelled {
                        id, bytes, lane: Model::lane(bytes), granted: false, have: 0,
                        stepped: (0, ms), heard_ms: ms, excused: true, ended: false,
                    });
                    prop_assert_eq!(granted, model.grant(ms) == [id]);
                }
                Step::Leave(n) if 0 < count => {
                    let gone = model.frames.remove(n % count);
                    prop_assert_eq!(policy.leave(gone.id, at_ms(ms)), model.grant(ms));
                }
                Step::Hear(n, more) if 0 < count => {
                    let frame = &mut model.frames[n % count];
                    if frame.granted {
                        frame.have += more;
                        frame.heard_ms = ms;
                        if frame.stepped.0 + STEP_BYTES <= frame.have {
                            frame.stepped = (frame.have, ms);
                        }
                        policy.heard(frame.id, frame.have, at_ms(ms));
                    }
                }
                Step::Excuse(n, excused) if 0 < count => {
                    let frame = &mut model.frames[n % count];
                    if frame.granted {
                        frame.excused = excused;
                        (frame.stepped.1, frame.heard_ms) = (ms, ms);
                        policy.excuse(frame.id, excused, at_ms(ms));
                    }
                }
                Step::Wait(more) => ms += more,
                Step::Look => {
                    for id in policy.overdue(at_ms(ms)) {
                        let frame = model.frames.iter_mut().find(|frame| frame.id == id);
                        let frame = frame.expect("it is there");
                        prop_assert!(frame.granted && !frame.excused && !frame.ended);
                        let silent = 60_000 <= ms - frame.heard_ms;
                        let since = short_since.map(|short: u64| short.max(frame.stepped.1));
                        let slow = since.is_some_and(|since| 1_000 <= ms - since);
                        prop_assert!(silent || slow, "{:?} at {}", frame, ms);
                        frame.ended = true;
                    }
                    // Whoever is first in line has his room as soon as those that do not get on
                    // are gone: unless all others in his lane do, or are on their way out.
                    for lane in 0..LANES {
                        let mut line = model.frames.iter().filter(|f| f.lane == lane);
                        let Some(first) = line.clone().find(|frame| !frame.granted) else { continue };
                        let stays = |frame: &&Modelled| {
                            let since = short_since.map_or(ms, |short| short.max(frame.stepped.1));
                            frame.granted && !frame.ended && !frame.excused && 1_000 <= ms - since
                        };
                        let going: usize = model.frames.iter()
                            .filter(|f| f.lane == lane && f.ended).map(|f| f.bytes).sum();
                        let room = MEMORY / 16 * [1, 2, 5][lane] - (model.held(lane) - going);
                        prop_assert!(first.bytes <= room || !line.any(|f| stays(&f)));
                    }
                }
                _ => {}
            }
            short_since = if model.waits() { short_since.or(Some(ms)) } else { None };
            prop_assert_eq!(policy.is_short(), short_since.is_some());
            let held: usize = (0..LANES).map(|lane| model.held(lane)).sum();
            prop_assert!(held <= MEMORY / 16 * 8);
            prop_assert_eq!(policy.lanes.iter().map(|lane| lane.held_bytes).sum::<usize>(), held);
        }
        while let Some(frame) = model.frames.first().cloned() {
            model.frames.remove(0);
            prop_assert_eq!(policy.leave(frame.id, at_ms(ms)), model.grant(ms));
        }
        prop_assert!(policy.is_empty() && !policy.is_short());
    }
}
