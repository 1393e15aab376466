//! Time, tasks, randomness, memory, and what waits inside a shard.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use crate::sync::{Signal, oneshot, race};
use crate::{Env, Group};

/// Everything that the documentation of [`Env`] promises but the disk, and what
/// [`sync`](crate::sync) needs of a world. Takes some 50 milliseconds of the world's time.
///
/// # Panics
/// If the world breaks a promise.
pub async fn world_suite<E: Env>(env: &E) {
    assert!(env.shard().0 < env.shards(), "a shard is one of the shards");
    time(env).await;
    sleeps_end_in_order(env).await;
    a_dropped_sleep_is_harmless(env).await;
    tasks(env).await;
    yielding(env).await;
    signals(env).await;
    randomness(env);
    memory(env).await;
}

async fn time<E: Env>(env: &E) {
    let wall_ms = env.wall_ms();
    assert!(1_600_000_000_000 < wall_ms, "the wall clock counts milliseconds since 1970");
    let before = env.now();
    env.sleep(Duration::from_millis(5)).await;
    let slept = env.now().since(before);
    assert!(Duration::from_millis(5) <= slept, "a sleep is never short: {slept:?}");
    env.sleep(Duration::ZERO).await;
    assert!(before < env.now());
}

async fn sleeps_end_in_order<E: Env>(env: &E) {
    let order = Rc::new(RefCell::new(Vec::new()));
    let mut ends = Vec::new();
    for ms in [20_u64, 1, 40, 10] {
        let (tell, told) = oneshot();
        let (task, order) = (env.clone(), Rc::clone(&order));
        env.spawn(Group::Telemetry, async move {
            task.sleep(Duration::from_millis(ms)).await;
            order.borrow_mut().push(ms);
            tell.send(());
        });
        ends.push(told);
    }
    for told in ends {
        told.await.expect("the task ends");
    }
    assert_eq!(*order.borrow(), [1, 10, 20, 40]);
}

async fn a_dropped_sleep_is_harmless<E: Env>(env: &E) {
    for _ in 0..100 {
        let long = async {
            env.sleep(Duration::from_secs(3600)).await;
            "long"
        };
        let short = async {
            env.sleep(Duration::from_micros(1)).await;
            "short"
        };
        assert_eq!(race(long, short).await, "short");
    }
}

async fn tasks<E: Env>(env: &E) {
    let ran = Rc::new(Cell::new(0));
    let done = Signal::new();
    for group in Group::ALL {
        let (inner, ran, done) = (env.clone(), Rc::clone(&ran), done.clone());
        env.spawn(group, async move {
            let (tell, told) = oneshot();
            inner.clone().spawn(group, async move {
                inner.yield_if_needed().await;
                tell.send(());
            });
            told.await.expect("a task that a task spawned runs");
            ran.set(ran.get() + 1);
            done.notify();
        });
    }
    assert_eq!(ran.get(), 0, "spawn does not run the task itself");
    loop {
        let seen = done.seen();
        if ran.get() == Group::ALL.len() {
            break;
        }
        done.after(seen).await;
    }
}

/// A task that yields does not keep others from running, however busy it is.
async fn yielding<E: Env>(env: &E) {
    let stop = Rc::new(Cell::new(false));
    let (task, asked) = (env.clone(), Rc::clone(&stop));
    let (tell, told) = oneshot();
    env.spawn(Group::Compaction, async move {
        let mut rounds = 0_u64;
        while !asked.get() {
            task.yield_if_needed().await;
            rounds += 1;
        }
        tell.send(rounds);
    });
    env.sleep(Duration::from_millis(1)).await;
    stop.set(true);
    assert!(told.await.expect("the task ends") > 0);
}

async fn signals<E: Env>(env: &E) {
    let signal = Signal::new();
    let (tell, told) = oneshot::<u32>();
    let (dropped, nothing) = oneshot::<u32>();
    let (task, notified) = (env.clone(), signal.clone());
    let seen = signal.seen();
    env.spawn(Group::Fetch, async move {
        task.sleep(Duration::from_millis(1)).await;
        notified.notify();
        drop(dropped);
        task.sleep(Duration::from_millis(1)).await;
        tell.send(7);
    });
    signal.after(seen).await;
    signal.after(seen).await;
    assert_eq!(nothing.await, None, "a sender that is dropped gives nothing");
    assert_eq!(told.await, Some(7));
}

fn randomness<E: Env>(env: &E) {
    let mut numbers: Vec<u64> = (0..1000).map(|_| env.random()).collect();
    let ones: u32 = numbers.iter().map(|n| n.count_ones()).sum();
    assert!((31_000..33_000).contains(&ones), "half of the bits are ones, not {ones} of 64,000");
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!(numbers.len(), 1000, "1,000 numbers of 64 bits are different");
}

async fn memory<E: Env>(env: &E) {
    let pool = env.pool();
    assert_eq!(pool.origin(), env.shard().0, "a pool belongs to its shard");
    let view = pool.buffer(10).expect("there is memory").seal(10);
    let (tell, told) = oneshot();
    let kept = view.clone();
    env.spawn(Group::Fetch, async move {
        tell.send(kept.len());
    });
    assert_eq!(told.await, Some(10));
    drop(view);
}
