//! A shard whose core is 100 % busy still serves its rings, timers, wakes and mail; shares hold.

use std::cell::Cell;
use std::path::Path;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use env::{Disk, Env, Envelope, File, Group, Mesh, OpenMode, ShardId, Stream};
use evenkeel_runtime::{Config, ShardEnv, Shares, run};

/// Work that takes about `micros`.
fn burn(micros: u64) {
    let start = Instant::now();
    while start.elapsed() < Duration::from_micros(micros) {
        std::hint::spin_loop();
    }
}

/// A task that never waits for anything.
fn spawn_hog(env: &ShardEnv<u64>, group: Group, stop: &Rc<Cell<bool>>) -> Rc<Cell<u64>> {
    let rounds = Rc::new(Cell::new(0));
    let (counted, stop, hog) = (Rc::clone(&rounds), Rc::clone(stop), env.clone());
    env.spawn(group, async move {
        while !stop.get() {
            burn(20);
            counted.set(counted.get() + 1);
            hog.yield_if_needed().await;
        }
    });
    rounds
}

/// A counter that another thread raises, and the waker it calls.
#[derive(Default)]
struct Outside {
    rung: AtomicU64,
    waker: Mutex<Option<Waker>>,
}

impl Outside {
    async fn after(&self, seen: u64) -> u64 {
        std::future::poll_fn(|context| {
            *self.waker.lock().expect("nobody panicked") = Some(context.waker().clone());
            match self.rung.load(Ordering::SeqCst) {
                rung if seen < rung => Poll::Ready(rung),
                _ => Poll::Pending,
            }
        })
        .await
    }

    fn ring(&self) {
        self.rung.fetch_add(1, Ordering::SeqCst);
        if let Some(waker) = self.waker.lock().expect("nobody panicked").take() {
            waker.wake();
        }
    }
}

async fn count_reads(env: ShardEnv<u64>, count: Rc<Cell<u64>>) {
    let file =
        env.disk().open(Path::new("f"), OpenMode::create().direct()).await.expect("it works");
    let buffer = env.pool().buffer(65536).expect("it works");
    file.write_at(buffer.seal(65536), 0, Group::Produce).await.expect("it works");
    let mut buffer = env.pool().buffer(4096).expect("it works");
    loop {
        let (read, back) = file.read_at(buffer, 4096, 4096, Group::Fetch).await;
        assert_eq!(read.expect("it works"), 4096);
        buffer = back;
        count.set(count.get() + 1);
    }
}

async fn count_ticks(env: ShardEnv<u64>, count: Rc<Cell<u64>>) {
    loop {
        env.sleep(Duration::from_millis(2)).await;
        count.set(count.get() + 1);
    }
}

async fn count_rings(outside: Arc<Outside>, count: Rc<Cell<u64>>) {
    let mut seen = 0;
    loop {
        seen = outside.after(seen).await;
        count.set(count.get() + 1);
    }
}

async fn count_messages(env: ShardEnv<u64>, count: Rc<Cell<u64>>) {
    loop {
        env.receive().await;
        count.set(count.get() + 1);
    }
}

/// Sends bytes through the driver's own ring to itself.
async fn count_echoes(env: ShardEnv<u64>, count: Rc<Cell<u64>>) {
    let listener = env.listen(([127, 0, 0, 1], 0).into()).expect("it works");
    let one = env.connect(listener.local_addr()).await.expect("it works");
    let other = listener.accept().await.expect("it works");
    let mut buffer = env.pool().buffer(4096).expect("it works");
    loop {
        one.write_all(vec![buf::Sealed::of_static(b"echo")]).await.expect("it works");
        let (read, back) = other.read(buffer, 0, 4).await;
        assert_eq!(read.expect("it works"), 4);
        buffer = back;
        count.set(count.get() + 1);
    }
}

fn envelope(env: &ShardEnv<u64>, message: u64) -> Envelope<u64> {
    let (from, group) = (env.shard(), Group::Produce);
    Envelope { from, group, depth: 0, deadline: None, trace: 0, message }
}

/// monoio 0.2.4 with a root that wakes itself: what comes through its ring starves.
#[test]
fn self_wake_io_starvation() {
    let dir = tempfile::tempdir().unwrap();
    let outside = Arc::new(Outside::default());
    let over = Arc::new(AtomicBool::new(false));
    let (ringing, until) = (Arc::clone(&outside), Arc::clone(&over));
    let ringer = std::thread::spawn(move || {
        while !until.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(2));
            ringing.ring();
        }
    });
    let ended = Arc::clone(&over);
    run(Config::new(2, dir.path().to_path_buf()), move |env: ShardEnv<u64>| {
        let (outside, over) = (Arc::clone(&outside), Arc::clone(&ended));
        async move {
            if env.shard() == ShardId(1) {
                while !over.load(Ordering::Relaxed) {
                    env.sleep(Duration::from_millis(2)).await;
                    env.send(ShardId(0), envelope(&env, 1)).await;
                }
                return;
            }
            let stop = Rc::new(Cell::new(false));
            let hogs = [Group::Compaction, Group::Recovery, Group::Produce]
                .map(|group| spawn_hog(&env, group, &stop));
            let counts: [Rc<Cell<u64>>; 5] = std::array::from_fn(|_| Rc::default());
            let [reads, ticks, rings, messages, echoes] = counts.clone();
            env.spawn(Group::Fetch, count_reads(env.clone(), reads));
            env.spawn(Group::Fetch, count_ticks(env.clone(), ticks));
            env.spawn(Group::Coordinator, count_rings(outside, rings));
            env.spawn(Group::Coordinator, count_messages(env.clone(), messages));
            env.spawn(Group::Fetch, count_echoes(env.clone(), echoes));
            let mut turns = 0;
            while counts.iter().any(|count| count.get() < 50) {
                env.sleep(Duration::from_millis(10)).await;
                turns += 1;
                let counts: Vec<u64> = counts.iter().map(|count| count.get()).collect();
                assert!(turns < 1000, "reads, ticks, wakes, messages, echoes served: {counts:?}");
            }
            let counters = env.counters();
            over.store(true, Ordering::Relaxed);
            stop.set(true);
            assert!(hogs.iter().all(|hog| 0 < hog.get()));
            assert!(10 * counters.parks < counters.kicks + 10, "the core was busy: {counters:?}");
        }
    })
    .unwrap();
    over.store(true, Ordering::Relaxed);
    ringer.join().unwrap();
}

#[test]
fn shares_of_200_and_800_divide_a_busy_core() {
    let dir = tempfile::tempdir().unwrap();
    run(Config::new(1, dir.path().to_path_buf()), |env: ShardEnv<u64>| async move {
        let shares = |shares| Shares::new(shares).unwrap();
        env.set_shares(Group::Recovery, shares(200), shares(200));
        env.set_shares(Group::Compaction, shares(800), shares(800));
        let stop = Rc::new(Cell::new(false));
        let less = spawn_hog(&env, Group::Recovery, &stop);
        let more: Vec<_> = (0..8).map(|_| spawn_hog(&env, Group::Compaction, &stop)).collect();
        env.sleep(Duration::from_millis(600)).await;
        let used = [Group::Recovery, Group::Compaction].map(|group| env.cpu_ns(group));
        stop.set(true);
        let part = used[0] * 1000 / (used[0] + used[1]);
        assert!((196..=204).contains(&part), "{part} of 1000 by time");
        // By rounds it is only that exact on a machine that does nothing else.
        let rounds = less.get() + more.iter().map(|rounds| rounds.get()).sum::<u64>();
        let part = less.get() * 1000 / rounds;
        assert!((120..=280).contains(&part), "{part} of 1000 by rounds");
    })
    .unwrap();
}

#[test]
fn new_shares_hold_from_then_on() {
    let dir = tempfile::tempdir().unwrap();
    run(Config::new(1, dir.path().to_path_buf()), |env: ShardEnv<u64>| async move {
        let shares = |shares| Shares::new(shares).unwrap();
        let stop = Rc::new(Cell::new(false));
        let groups = [Group::Recovery, Group::Compaction];
        for group in groups {
            env.set_shares(group, shares(500), shares(500));
            spawn_hog(&env, group, &stop);
        }
        env.sleep(Duration::from_millis(50)).await;
        env.set_shares(groups[0], shares(100), shares(100));
        env.set_shares(groups[1], shares(900), shares(900));
        assert_eq!(env.cpu_shares(groups[0]), shares(100));
        let before = groups.map(|group| env.cpu_ns(group));
        env.sleep(Duration::from_millis(400)).await;
        let used: Vec<u64> =
            groups.iter().zip(before).map(|(group, before)| env.cpu_ns(*group) - before).collect();
        stop.set(true);
        let part = used[0] * 1000 / (used[0] + used[1]);
        assert!((90..=110).contains(&part), "{part} of 1000");
    })
    .unwrap();
}

/// A yield that is needed lets the others run; one that is not costs no turn.
#[test]
fn yields_follow_the_turn() {
    let dir = tempfile::tempdir().unwrap();
    run(Config::new(1, dir.path().to_path_buf()), |env: ShardEnv<u64>| async move {
        let polls = env.counters().polls;
        for _ in 0..100 {
            env.yield_if_needed().await;
        }
        assert!(env.counters().polls <= polls + 10, "yields without need cost turns");
        let other = Rc::new(Cell::new(0u64));
        let (counted, inner) = (Rc::clone(&other), env.clone());
        env.spawn(Group::System, async move {
            loop {
                counted.set(counted.get() + 1);
                burn(50);
                inner.yield_if_needed().await;
            }
        });
        for _ in 0..400 {
            burn(50);
            env.yield_if_needed().await;
        }
        assert!(5 <= other.get(), "the other task of the group ran {} times", other.get());
    })
    .unwrap();
}

/// An answer leaves at the switch to another group, not at the end of that group's turn.
#[test]
fn submissions_do_not_wait_for_the_next_groups_turn() {
    let dir = tempfile::tempdir().unwrap();
    run(Config::new(1, dir.path().to_path_buf()), |env: ShardEnv<u64>| async move {
        let listener = env.listen("127.0.0.1:0".parse().unwrap()).unwrap();
        let stream = env.connect(listener.local_addr()).await.unwrap();
        let _other = listener.accept().await.unwrap();
        let stop = Rc::new(Cell::new(false));
        let rounds = spawn_hog(&env, Group::Compaction, &stop);
        let mut waited = Vec::new();
        for _ in 0..200 {
            env.sleep(Duration::from_micros(300)).await;
            let before = rounds.get();
            stream.write_all(vec![buf::Sealed::of_static(b"answer")]).await.unwrap();
            waited.push(rounds.get() - before);
        }
        stop.set(true);
        waited.sort_unstable();
        assert!(waited[100] <= 1, "rounds of the hog during a write: {waited:?}");
    })
    .unwrap();
}

/// Reads from the page cache, which the kernel completes at submission: how many rounds of the hog
/// pass meanwhile is the shard's doing alone.
async fn rounds_per_read(env: &ShardEnv<u64>, group: Group, rounds: &Cell<u64>) -> Vec<u64> {
    let file = env.disk().open(Path::new("cached"), OpenMode::create()).await.expect("it works");
    let buffer = env.pool().buffer(4096).expect("it works");
    file.write_at(buffer.seal(4096), 0, Group::Produce).await.expect("it works");
    let mut buffer = env.pool().buffer(4096).expect("it works");
    let mut waited = Vec::new();
    for _ in 0..200 {
        let before = rounds.get();
        let (read, back) = file.read_at(buffer, 4096, 0, group).await;
        assert_eq!(read.expect("it works"), 4096);
        buffer = back;
        waited.push(rounds.get() - before);
    }
    waited.sort_unstable();
    waited
}

/// Seastar's reproducer of that name: a shard without CPU to spare gets a part of the I/O that is
/// its due. Here its rings are visited whenever another group would run, and at every completion.
#[test]
fn starved_shard_io() {
    let dir = tempfile::tempdir().unwrap();
    run(Config::new(1, dir.path().to_path_buf()), |env: ShardEnv<u64>| async move {
        let stop = Rc::new(Cell::new(false));
        let rounds = spawn_hog(&env, Group::Compaction, &stop);
        for (group, most) in [(Group::Fetch, 4), (Group::ColdRead, 60)] {
            let (done, is_done) = env::sync::oneshot();
            let (reader, counted) = (env.clone(), Rc::clone(&rounds));
            env.spawn(group, async move {
                done.send(rounds_per_read(&reader, group, &counted).await);
            });
            let waited = is_done.await.expect("the reader ends");
            assert!(waited[180] <= most, "rounds of the hog during a read: {waited:?}");
        }
        stop.set(true);
        assert!(0 < rounds.get());
    })
    .unwrap();
}
