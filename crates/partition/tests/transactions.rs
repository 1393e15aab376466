//! Transactions of one partition against a simple model, through truncations, rolls, checkpoints,
//! stops and crashes, in a simulated world: last stable offset, aborted transactions, and what a
//! reader of committed records sees.

#![expect(clippy::unwrap_used, reason = "a test that fails may panic")]

mod model;

use std::cell::RefCell;
use std::path::Path;
use std::rc::Rc;

use env::sim::{Contents, Image, Sim, SimEnv, SimOptions};
use env::{Env, Group, ShardId};
use evenkeel_partition::producers::MarkerEpochs;
use evenkeel_partition::retention::Retention;
use evenkeel_partition::{
    AckRule, AckWait, Committer, Isolation, Level, OpenOptions, Partition, ReadBudget,
};
use journal::{Journal, JournalOptions, checkpoint};
use model::{Model, Visible, read_committed};
use proptest::prelude::*;
use record::{
    Compression, EndTransaction, LeaderEpoch, Offset, Producer, ProducerEpoch, ProducerId, Rules,
    Timestamps, TopicId, TopicPartition, validate,
};
use segment::{Known, KnownTail, LogOptions};

type World = SimEnv<()>;

const DIR: &str = "t-0";

#[derive(Clone, Debug)]
enum Step {
    /// A batch of a producer, in a transaction or not.
    Batch {
        producer: usize,
        transactional: bool,
        records: usize,
        len: usize,
    },
    /// The end of a producer's transaction.
    End {
        producer: usize,
        commit: bool,
        bumps: bool,
    },
    /// A marker of an older epoch, or of an older coordinator.
    Stale {
        producer: usize,
        coordinator: bool,
    },
    /// Waits until everything is committed.
    Commit,
    Checkpoint,
    Check,
    Truncate {
        to: u32,
    },
    DeleteRecords {
        to: u32,
    },
    /// The same, with what comes after in the journal only.
    DropSegments {
        to: u32,
    },
    Stop(Stop),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stop {
    Clean,
    /// Clean, and index files or snapshots are gone or wrong afterwards.
    CleanAndDamage(u8),
    Kill,
    PowerCut,
}

fn step() -> impl Strategy<Value = Step> {
    let producer = 0_usize..4;
    prop_oneof![
        30 => (producer.clone(), prop::bool::weighted(0.8), 1_usize..4, 0_usize..1_200).prop_map(
            |(producer, transactional, records, len)| Step::Batch {
                producer, transactional, records, len
            }
        ),
        14 => (producer.clone(), any::<bool>(), any::<bool>())
            .prop_map(|(producer, commit, bumps)| Step::End { producer, commit, bumps }),
        2 => (producer, any::<bool>())
            .prop_map(|(producer, coordinator)| Step::Stale { producer, coordinator }),
        8 => Just(Step::Commit),
        3 => Just(Step::Checkpoint),
        5 => Just(Step::Check),
        1 => (0_u32..1_100).prop_map(|to| Step::Truncate { to }),
        1 => (0_u32..1_100).prop_map(|to| Step::DeleteRecords { to }),
        3 => prop_oneof![
            Just(Stop::Clean),
            any::<u8>().prop_map(Stop::CleanAndDamage),
            Just(Stop::Kill),
            Just(Stop::PowerCut),
        ].prop_map(Step::Stop),
    ]
}

fn at(raw: i64) -> Offset {
    Offset::new(raw).unwrap()
}

fn id() -> TopicPartition {
    TopicPartition { topic: TopicId::from_bytes([7; 16]), partition: 0 }
}

/// The partition with its committer, and the model of it.
struct Run {
    env: World,
    partition: Partition<World>,
    committer: Committer<World>,
    model: Rc<RefCell<Model>>,
}

impl Run {
    /// Opens what is on the disk, as the broker does, and takes what of the model is still there.
    async fn open(env: World, model: Rc<RefCell<Model>>, clean: bool, epoch: i32) -> Run {
        let points = checkpoint::load(&env, Group::System).await.unwrap().unwrap_or_default();
        let replay = journal::replay(&env, &points, Group::System).await.unwrap();
        let journal =
            Journal::open(env.clone(), JournalOptions::new(replay.start())).await.unwrap();
        let held = replay.partition(id());
        // After a clean stop a file says it; else the checkpoint or the journal does.
        let start = if clean { model.borrow().start } else { Offset::ZERO };
        let (known, high_watermark) = match points.get(id()) {
            Some(point) if !clean => {
                let dirty = held.and_then(|held| held.dirty_from);
                let to = dirty.map_or(point.recovery_point, |from| from.min(point.recovery_point));
                let tail = held.is_none().then_some(KnownTail {
                    segment_base: point.segment_base,
                    len_bytes: point.segment_len_bytes,
                    end: point.end,
                    largest_timestamp_ms: point.largest_timestamp_ms,
                });
                let start = point.log_start;
                (Known { start, recovery_point: to, clean, tail }, point.high_watermark)
            }
            _ => (Known { start, recovery_point: start, clean, tail: None }, start),
        };
        let log =
            LogOptions { segment_bytes: 8 << 10, file_delete_delay_ms: 0, ..LogOptions::default() };
        let ack = AckRule { level: Level::Durable, flush_records: u64::MAX, flush_ms: i64::MAX };
        let options = OpenOptions { log, ack, known, high_watermark };
        let committer = Committer::new(&env, journal, points);
        let dir = Path::new(DIR);
        let opened =
            Partition::open(&env, id(), dir, options, Some(&replay), Group::Recovery).await;
        let (partition, recovered) = opened.unwrap();
        assert!(recovered.damage.is_empty(), "{:?}", recovered.damage);
        if held.is_some() {
            committer.adopt(&partition).await.unwrap();
        }
        env.spawn(Group::Produce, committer.clone().run());
        env.spawn(Group::Retention, committer.clone().upkeep());
        partition.lead(1, LeaderEpoch::new(epoch).unwrap(), [1]);
        let run = Run { env, partition, committer, model };
        run.committer.checkpoint(Group::Recovery).await.unwrap();
        replay.old_files().retire(&run.env).await.unwrap();
        let bounds = run.partition.bounds();
        {
            let mut model = run.model.borrow_mut();
            assert!(model.committed <= bounds.log_end, "{bounds:?} lost of {:?}", model.committed);
            assert!(start <= bounds.log_start);
            model.cut(bounds.log_end);
            model.start = bounds.log_start;
            model.committed = bounds.log_end;
        }
        run.commit().await;
        run.check().await;
        run
    }

    async fn commit(&self) {
        self.committer.enqueue(&self.partition);
        let end = self.partition.bounds().log_end;
        self.partition.acknowledged(end, AckWait::Committed).await.unwrap();
        self.model.borrow_mut().committed = end;
    }

    async fn step(&self, step: &Step) {
        match *step {
            Step::Batch { producer, transactional, records, len } => {
                self.batch(producer, transactional, records, len);
            }
            Step::End { producer, commit, bumps } => self.end(producer, commit, bumps),
            Step::Stale { producer, coordinator } => self.stale(producer, coordinator),
            Step::Commit => self.commit().await,
            Step::Checkpoint => self.committer.checkpoint(Group::Retention).await.unwrap(),
            Step::Check => self.check().await,
            Step::Truncate { to } => self.truncate(to).await,
            Step::DeleteRecords { to } => self.delete_records(to, true).await,
            Step::DropSegments { to } => self.delete_records(to, false).await,
            Step::Stop(_) => unreachable!("the caller stops"),
        }
    }

    fn batch(&self, producer: usize, transactional: bool, records: usize, len: usize) {
        let mut model = self.model.borrow_mut();
        let end = self.partition.bounds().log_end;
        assert_eq!(end, model.end());
        let batch = model.batch(producer, transactional, records, len);
        let rules = Rules {
            zstd_allowed: true,
            batch_bytes_max: 1 << 20,
            timestamps: Timestamps::LogAppendTime,
            compression: Compression::Producer,
            compacted: false,
            decompressed_bytes_max: 1 << 20,
            from_client: true,
        };
        let checked = validate(&batch, &rules, self.env.wall_ms()).unwrap();
        let placed = self.partition.append_as_leader(&batch, &checked, self.env.wall_ms());
        if !transactional && model.is_open(producer) {
            assert!(placed.is_err(), "a plain batch in a transaction");
            return;
        }
        if placed.is_err() && Offset::ZERO < model.start {
            // All of a producer may lie below the log start, and a marker begin it anew.
            return;
        }
        assert_eq!(placed.unwrap().base, end);
        model.appended(producer, transactional, records, len);
        drop(model);
        self.committer.enqueue(&self.partition);
    }

    fn marker(&self, producer: usize, epoch: i16, marker: EndTransaction, bumps: bool) -> bool {
        let producer = Producer {
            id: ProducerId::new(i64::try_from(producer).unwrap()),
            epoch: ProducerEpoch::new(epoch),
            base_sequence: -1,
        };
        let epochs = if bumps { MarkerEpochs::Bumped } else { MarkerEpochs::Same };
        let now_ms = self.env.wall_ms();
        self.partition.append_marker(producer, marker, epochs, now_ms).is_ok()
    }

    fn end(&self, producer: usize, commit: bool, bumps: bool) {
        let epoch = self.model.borrow().epoch(producer) + i16::from(bumps);
        let marker = EndTransaction { commit, coordinator_epoch: 5 };
        assert!(self.marker(producer, epoch, marker, bumps));
        self.model.borrow_mut().ended(producer, epoch, commit);
        self.committer.enqueue(&self.partition);
    }

    fn stale(&self, producer: usize, coordinator: bool) {
        let (epoch, knows_coordinator, known) = {
            let model = self.model.borrow();
            if Offset::ZERO < model.start {
                return;
            }
            (model.epoch(producer), model.had_marker(producer), model.is_known(producer))
        };
        let marker = EndTransaction { commit: true, coordinator_epoch: 4 };
        if coordinator && knows_coordinator {
            assert!(!self.marker(producer, epoch, marker, false), "an older coordinator");
        } else if known {
            let marker = EndTransaction { coordinator_epoch: 5, ..marker };
            assert!(!self.marker(producer, epoch - 1, marker, false), "an older epoch");
            assert!(!self.marker(producer, epoch, marker, true), "not a new epoch");
        }
        assert_eq!(self.partition.bounds().log_end, self.model.borrow().end());
    }

    async fn truncate(&self, to: u32) {
        self.commit().await;
        let (start, end) = (self.model.borrow().start, self.model.borrow().end());
        let to = at(start.raw() + (end.raw() - start.raw()) * i64::from(to) / 1_000);
        // A follower is never told to cut what it may not show any more.
        if end <= to || self.model.borrow().batch_of(to) < start {
            return;
        }
        // Only a snapshot knows of what began below the log start, and those above the cut go.
        if self.model.borrow().is_undecided_from_below(to) {
            return;
        }
        self.partition.truncate(to, &self.committer).await.unwrap();
        let end = self.partition.bounds().log_end;
        let mut model = self.model.borrow_mut();
        model.cut(end);
        model.committed = end;
    }

    async fn delete_records(&self, to: u32, checkpoint: bool) {
        self.commit().await;
        let (start, end) = (self.model.borrow().start, self.model.borrow().end());
        let to = at(start.raw() + (end.raw() - start.raw()) * i64::from(to.min(900)) / 1_000);
        let start = self.partition.delete_records(Some(to), &self.committer).await.unwrap();
        if checkpoint {
            // Of a transaction that lies below the log start only a snapshot knows.
            self.committer.checkpoint(Group::Retention).await.unwrap();
        }
        let keep = Retention { max_bytes: None, max_age_ms: None };
        self.partition.retain(keep, &self.committer, self.env.wall_ms()).await.unwrap();
        self.model.borrow_mut().start = start;
    }

    /// Compares with the model: the ends, the aborted transactions of ranges, and what each reader sees.
    async fn check(&self) {
        let bounds = self.partition.bounds();
        let model = self.model.borrow().clone();
        assert_eq!(bounds.log_end, model.end());
        assert_eq!(bounds.log_start, model.start);
        let (least, most) = model.last_stable(bounds.high_watermark);
        let stable = bounds.last_stable;
        assert!(least <= stable && stable <= most, "{bounds:?} {least:?} {most:?}");
        assert!(least == most || Offset::ZERO < model.start);
        let (from, until) = (bounds.log_start.raw(), stable.raw());
        for from in (from..until).step_by(7) {
            for until in [from + 1, from + 4, from + 30, until] {
                let (from, until) = (at(from), at(until.min(stable.raw())));
                let told = self.partition.aborted(from, until, Group::Fetch).await.unwrap();
                let told: Vec<_> =
                    told.iter().map(|one| (one.producer_id, one.last_offset)).collect();
                let (all, needed) = model.aborted(from, until);
                assert!(told.iter().all(|one| all.contains(one)), "{told:?} {all:?}");
                let lacks = needed.iter().any(|one| !told.contains(one));
                assert!(!lacks, "of {from:?}..{until:?}: {told:?} {needed:?}");
            }
        }
        for max_bytes in [1, 3_000, 1 << 20] {
            // The ends go on rising meanwhile.
            let seen = self.read(Isolation::Committed, max_bytes, stable).await;
            assert_eq!(seen, model.visible(stable, true), "committed, {max_bytes}");
            let seen = self.read(Isolation::HighWatermark, max_bytes, bounds.high_watermark).await;
            assert_eq!(seen, model.visible(bounds.high_watermark, false), "{max_bytes}");
        }
    }

    /// What a reader of the log below `until` sees.
    async fn read(&self, isolation: Isolation, max_bytes: usize, until: Offset) -> Vec<Visible> {
        let budget = ReadBudget { max_bytes, at_least_one: true };
        let mut from = self.partition.bounds().log_start;
        let mut seen = Vec::new();
        loop {
            let (read, aborted) = if isolation == Isolation::Committed {
                let read = self.partition.fetch_committed(from, budget, Group::Fetch).await;
                let read = read.unwrap();
                (read.read, Some(read.aborted))
            } else {
                (self.partition.fetch(from, isolation, budget, Group::Fetch).await.unwrap(), None)
            };
            let Some(next) = read.next.filter(|_| from < until) else {
                seen.retain(|(offset, _)| *offset < until);
                return seen;
            };
            let bytes: Vec<u8> = read.parts.iter().flat_map(|part| part.to_vec()).collect();
            read_committed(&bytes, from, aborted.as_deref(), &mut seen);
            from = next;
        }
    }

    async fn close(self) {
        self.commit().await;
        self.check().await;
        self.partition.close(Group::System).await.unwrap();
        self.check_closed().await;
        self.committer.checkpoint(Group::System).await.unwrap();
        self.committer.stop();
        self.committer.close_journal().await.unwrap();
        // As the broker does: the clean end is noted elsewhere.
        checkpoint::remove_all(&self.env).await.unwrap();
    }

    /// Every segment with aborted transactions has its index, with Kafka's content.
    async fn check_closed(&self) {
        let model = self.model.borrow().clone();
        for segment in self.partition.log().segments() {
            let path = format!("{DIR}/{:020}.txnindex", segment.base.raw());
            let content = env::read_all(&self.env, Path::new(&path), 1 << 20, Group::System).await;
            let Some(content) = content.unwrap() else {
                // One that was damaged is found out anew when somebody needs it, not before.
                let needless = model.index_of(segment.base, segment.next).is_empty();
                assert!(needless || model.damaged, "{segment:?}");
                continue;
            };
            let Ok(index) = segment::AbortedIndex::decode(&content) else {
                assert!(model.damaged, "{segment:?}");
                continue;
            };
            let entries: Vec<_> = index
                .entries()
                .iter()
                .map(|entry| (entry.producer_id, entry.last_offset, entry.last_stable))
                .collect();
            let mut want = model.index_of(segment.base, segment.next);
            if model.damaged || Offset::ZERO < model.start {
                // Below the log start may lie where a transaction began, or all of it.
                want.retain(|(_, marker, _)| entries.iter().any(|found| found.1 == *marker));
                want.iter_mut().zip(&entries).for_each(|(want, found)| want.2 = found.2);
            }
            assert_eq!(entries, want, "{segment:?}");
        }
    }
}

/// Removes or spoils some of the files that can be found out anew.
fn damage(contents: &mut Contents, seed: u8, start: Offset) {
    // Of a transaction that began below the log start only a snapshot may know.
    let kinds = if start == Offset::ZERO { &["txnindex", "snapshot"][..] } else { &["txnindex"] };
    let derived =
        |path: &Path| path.extension().is_some_and(|kind| kinds.contains(&kind.to_str().unwrap()));
    let paths: Vec<_> = contents.files.keys().filter(|path| derived(path)).cloned().collect();
    for (number, path) in paths.into_iter().enumerate() {
        match (usize::from(seed) + number * 7) % 5 {
            0 => drop(contents.files.remove(&path)),
            1 => drop(contents.files.insert(path, vec![1; 35])),
            _ => {}
        }
    }
}

fn run(steps: Vec<Step>) {
    let model = Rc::new(RefCell::new(Model::default()));
    let mut image = Image::of(&Contents::default());
    let mut clean = false;
    let mut steps = steps.into_iter().peekable();
    for epoch in 1.. {
        let mut now = Vec::new();
        let mut stop = Stop::Clean;
        for step in steps.by_ref() {
            if let Step::Stop(how) = step {
                stop = how;
                break;
            }
            now.push(step);
        }
        let over = steps.peek().is_none();
        let sim = Sim::restart(u64::try_from(epoch).unwrap(), SimOptions::default(), image);
        let env = sim.env(ShardId(0));
        let here = Rc::clone(&model);
        sim.run(async move {
            let run = Run::open(env, here, clean, epoch).await;
            for step in &now {
                run.step(step).await;
            }
            if matches!(stop, Stop::Clean | Stop::CleanAndDamage(_)) {
                run.close().await;
            }
        })
        .done();
        clean = matches!(stop, Stop::Clean | Stop::CleanAndDamage(_));
        image = match stop {
            Stop::Clean | Stop::Kill => sim.kill_process(),
            Stop::PowerCut => sim.cut_power(),
            Stop::CleanAndDamage(seed) => {
                let mut contents = sim.kill_process().contents();
                damage(&mut contents, seed, model.borrow().start);
                model.borrow_mut().damaged = true;
                Image::of(&contents)
            }
        };
        if over {
            return;
        }
    }
}

#[test]
fn what_the_journal_holds_does_not_hang_on_segments_that_were_dropped() {
    let batches = |count| {
        vec![Step::Batch { producer: 0, transactional: false, records: 3, len: 1_200 }; count]
    };
    for before in 1..5 {
        for after in 1..6 {
            for to in [0, 500, 730, 900] {
                let mut steps = batches(before);
                steps.push(Step::Stop(Stop::Clean));
                steps.extend(batches(after));
                steps.extend([Step::DropSegments { to }, Step::Stop(Stop::Kill), Step::Check]);
                run(steps);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn transactions_are_those_of_the_model(steps in prop::collection::vec(step(), 1..150)) {
        run(steps);
    }
}
