//! Which frame may have memory next: counts, tickets and times, no memory and no clock.
//!
//! A frame whose length is known reserves all of it, in the lane of its size, in the order of
//! arrival; so who has its turn waits for nobody but its own sender, and a large frame keeps no small
//! one waiting. While others wait, a frame that holds a reservation must get on.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use env::Nanos;

/// Frames up to this length have a lane of their own, in bytes.
const TINY_BYTES_MAX: usize = 16 << 10;
/// While others wait, so many bytes of a frame, or its end, must come within [`PATIENCE`].
pub(super) const STEP_BYTES: usize = 32 << 10;
/// See [`STEP_BYTES`].
pub(super) const PATIENCE: Duration = Duration::from_secs(1);
/// A frame of which no byte came for so long is ended, however much memory there is. Kafka's limit
/// for idle connections (`connections.max.idle.ms`, ten minutes) is for those between frames.
pub(super) const SILENCE_MAX: Duration = Duration::from_secs(60);
/// The lanes.
const LANES: usize = 3;

/// A frame that has begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct FrameId(u64);

/// Those of one range of sizes.
#[derive(Debug)]
struct Lane {
    /// The longest frame in it, in bytes.
    frame_bytes_max: usize,
    share_bytes: usize,
    held_bytes: usize,
    /// In the order in which they asked.
    waiting: VecDeque<FrameId>,
}

/// What is known of a frame.
#[derive(Debug)]
struct Frame {
    /// Held before its length was known.
    head_bytes: usize,
    body: Option<Body>,
    /// Memory that it really has.
    taken_bytes: usize,
    /// Bytes that had come when it last made a step, and when that was.
    step: (usize, Nanos),
    heard_at: Nanos,
    /// That nothing comes is not its sender's fault: it waits for memory, or for its turn.
    is_excused: bool,
    is_ending: bool,
}

/// A reservation, or the wish for one.
#[derive(Clone, Copy, Debug)]
struct Body {
    lane: usize,
    bytes: usize,
    is_granted: bool,
}

/// The frames of one shard that have begun and are not whole.
#[derive(Debug)]
pub(super) struct Policy {
    heads_share_bytes: usize,
    heads_bytes: usize,
    lanes: [Lane; LANES],
    frames: BTreeMap<FrameId, Frame>,
    next: u64,
    /// Those that wait for memory of the pool, whoever they are.
    memory_waiters: usize,
    /// Since when somebody waits.
    short_since: Option<Nanos>,
}

impl Policy {
    /// For a pool of `memory_bytes`, of which the largest frame is a quarter. All frames together
    /// get ten sixteenths at most.
    pub(super) fn new(memory_bytes: usize) -> Policy {
        let sixteenths = |n: usize| memory_bytes / 16 * n;
        let lane = |frame_bytes_max, share_bytes| Lane {
            frame_bytes_max,
            share_bytes,
            held_bytes: 0,
            waiting: VecDeque::new(),
        };
        Policy {
            heads_share_bytes: sixteenths(2),
            heads_bytes: 0,
            lanes: [
                lane(TINY_BYTES_MAX.min(sixteenths(1)), sixteenths(1)),
                lane(memory_bytes / 64, sixteenths(2)),
                lane(usize::MAX, sixteenths(5)),
            ],
            frames: BTreeMap::new(),
            next: 0,
            memory_waiters: 0,
            short_since: None,
        }
    }

    /// A frame of which the first byte came, or is about to.
    pub(super) fn begin(&mut self, now: Nanos) -> FrameId {
        let id = FrameId(self.next);
        self.next += 1;
        let frame = Frame {
            head_bytes: 0,
            body: None,
            taken_bytes: 0,
            step: (0, now),
            heard_at: now,
            is_excused: false,
            is_ending: false,
        };
        self.frames.insert(id, frame);
        id
    }

    /// Whether somebody waits for memory, or for a reservation.
    pub(super) fn is_short(&self) -> bool {
        self.short_since.is_some()
    }

    /// Whether nobody waits and there is much room.
    pub(super) fn is_calm(&self) -> bool {
        let held: usize = self.lanes.iter().map(|lane| lane.held_bytes).sum();
        let share: usize = self.lanes.iter().map(|lane| lane.share_bytes).sum();
        !self.is_short() && held <= share / 2
    }

    /// Reserves `bytes` for a frame whose length is not known yet; what it needs in all it must
    /// [`ask`](Policy::ask) for then. Half of the heads' share is left to `first_bytes`, the least.
    pub(super) fn take_head(&mut self, id: FrameId, bytes: usize, first_bytes: usize) -> bool {
        let share = self.heads_share_bytes;
        let most = if bytes <= first_bytes { share } else { share / 2 };
        let is_free = bytes <= first_bytes || !self.is_short();
        if !is_free || most < self.heads_bytes + bytes {
            return false;
        }
        self.heads_bytes += bytes;
        self.frame(id).head_bytes += bytes;
        true
    }

    /// Gives back what was taken before the length was known.
    pub(super) fn release_head(&mut self, id: FrameId) {
        let bytes = std::mem::take(&mut self.frame(id).head_bytes);
        self.heads_bytes -= bytes;
    }

    /// Reserves all `bytes` of a frame, at most a quarter of the memory; `false` if it has to wait
    /// until it is granted.
    pub(super) fn ask(&mut self, id: FrameId, bytes: usize, now: Nanos) -> bool {
        let fits = |lane: &Lane| bytes <= lane.frame_bytes_max;
        let lane = self.lanes.iter().position(fits).expect("the last lane takes any");
        let frame = self.frame(id);
        assert!(frame.body.is_none(), "one reservation for a frame");
        frame.body = Some(Body { lane, bytes, is_granted: false });
        frame.is_excused = true;
        self.lanes[lane].waiting.push_back(id);
        let granted = !self.grant(lane, now).is_empty();
        self.note_shortage(now);
        granted
    }

    /// Grants what fits, in order.
    fn grant(&mut self, lane: usize, now: Nanos) -> Vec<FrameId> {
        let mut granted = Vec::new();
        while let Some(id) = self.lanes[lane].waiting.front().copied() {
            let frame = self.frames.get_mut(&id).expect("who left is not in line");
            let body = frame.body.as_mut().expect("who is in line has asked");
            let Lane { share_bytes, held_bytes, waiting, .. } = &mut self.lanes[lane];
            // A frame alone may always pass: then the share is smaller than the largest frame.
            if *share_bytes < *held_bytes + body.bytes && 0 < *held_bytes {
                break;
            }
            waiting.pop_front();
            *held_bytes += body.bytes;
            body.is_granted = true;
            frame.is_excused = false;
            (frame.step.1, frame.heard_at) = (now, now);
            granted.push(id);
        }
        granted
    }

    /// The frame is whole, or its connection ended. Gives those whose turn that makes it.
    pub(super) fn leave(&mut self, id: FrameId, now: Nanos) -> Vec<FrameId> {
        self.release_head(id);
        let body = self.frames.remove(&id).and_then(|frame| frame.body);
        let granted = match body {
            None => Vec::new(),
            Some(Body { lane, bytes, is_granted }) => {
                if is_granted {
                    self.lanes[lane].held_bytes -= bytes;
                } else {
                    self.lanes[lane].waiting.retain(|waiting| *waiting != id);
                }
                self.grant(lane, now)
            }
        };
        self.note_shortage(now);
        granted
    }

    /// `have` bytes of it have come.
    pub(super) fn heard(&mut self, id: FrameId, have: usize, now: Nanos) {
        let frame = self.frame(id);
        frame.heard_at = now;
        if frame.step.0 + STEP_BYTES <= have {
            frame.step = (have, now);
        }
    }

    /// It has `bytes` of memory in all.
    pub(super) fn took(&mut self, id: FrameId, bytes: usize) {
        self.frame(id).taken_bytes = bytes;
    }

    /// Whether it is its sender that has to get on.
    pub(super) fn excuse(&mut self, id: FrameId, is_excused: bool, now: Nanos) {
        let frame = self.frame(id);
        frame.is_excused = is_excused;
        (frame.step.1, frame.heard_at) = (now, now);
    }

    /// Somebody waits for memory of the pool from here on.
    pub(super) fn memory_wait_began(&mut self, now: Nanos) {
        self.memory_waiters += 1;
        self.note_shortage(now);
    }

    /// Somebody does not any more.
    pub(super) fn memory_wait_ended(&mut self, now: Nanos) {
        self.memory_waiters -= 1;
        self.note_shortage(now);
    }

    fn note_shortage(&mut self, now: Nanos) {
        let waits = 0 < self.memory_waiters || self.lanes.iter().any(|l| !l.waiting.is_empty());
        self.short_since = if waits { self.short_since.or(Some(now)) } else { None };
    }

    /// Frames whose connections are to be ended now: silent ones, and in a lane in which somebody
    /// waits those that do not get on, the slowest first, until the first in line fits.
    pub(super) fn overdue(&mut self, now: Nanos) -> Vec<FrameId> {
        let mut ended = Vec::new();
        for (id, frame) in &mut self.frames {
            let is_judged = !frame.is_ending && !frame.is_excused;
            if is_judged && SILENCE_MAX <= now.since(frame.heard_at) {
                frame.is_ending = true;
                ended.push(*id);
            }
        }
        for lane in 0..LANES {
            let Some(first) = self.lanes[lane].waiting.front() else { continue };
            let wanted = self.frames[first].body.map_or(0, |body| body.bytes);
            let Lane { held_bytes, share_bytes, .. } = self.lanes[lane];
            let lacks = (held_bytes + wanted).saturating_sub(share_bytes);
            let holds = |frame: &Frame| match frame.body {
                Some(body) if body.lane == lane && body.is_granted => body.bytes,
                _ => 0,
            };
            self.end_slow(lacks, holds, now, &mut ended);
        }
        ended
    }

    /// Frames whose connections are to be ended so that the pool gets `bytes` back, as far as there
    /// are some that do not get on.
    pub(super) fn make_way(&mut self, bytes: usize, now: Nanos) -> Vec<FrameId> {
        let mut ended = Vec::new();
        self.end_slow(bytes, |frame| frame.taken_bytes, now, &mut ended);
        ended
    }

    fn end_slow(
        &mut self,
        lacks: usize,
        holds: impl Fn(&Frame) -> usize,
        now: Nanos,
        ended: &mut Vec<FrameId>,
    ) {
        let Some(short_since) = self.short_since else { return };
        let ending = self.frames.values().filter(|frame| frame.is_ending);
        let mut coming: usize = ending.map(&holds).sum();
        while coming < lacks {
            let slow = self.frames.iter_mut().filter(|(_, frame)| {
                let since = frame.step.1.max(short_since);
                !frame.is_ending
                    && !frame.is_excused
                    && 0 < holds(frame)
                    && PATIENCE <= now.since(since)
            });
            let Some((id, slowest)) = slow.min_by_key(|(_, frame)| frame.step.1) else { break };
            slowest.is_ending = true;
            coming += holds(slowest);
            ended.push(*id);
        }
    }

    /// Whether there is any frame.
    pub(super) fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    fn frame(&mut self, id: FrameId) -> &mut Frame {
        self.frames.get_mut(&id).expect("a frame is known until it leaves")
    }
}

#[cfg(test)]
mod tests;
