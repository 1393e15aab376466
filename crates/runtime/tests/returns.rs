//! Memory that comes home from other threads.

use std::cell::Cell;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use buf::{COLLECT_BLOCKS_MAX, PAGE, Sealed};
use env::{Env, Group};
use evenkeel_runtime::{Config, ShardEnv, run};

const BLOCKS: usize = 20_000;

fn lend(env: &ShardEnv<()>) -> Vec<Sealed> {
    (0..BLOCKS).map(|_| env.pool().buffer(PAGE).expect("within the limit").seal(PAGE)).collect()
}

/// Gives way once, whether or not the turn is over.
async fn give_way() {
    let mut gave = false;
    poll_fn(|context| {
        if gave {
            return Poll::Ready(());
        }
        gave = true;
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// ScyllaDB 24818: one task for each foreign drop made queues that stalled the shard. Here a
/// hundred thousand drops elsewhere are a bounded piece of each turn, and no task at all.
#[test]
fn foreign_drop_storm() {
    let dir = tempfile::tempdir().unwrap();
    run(Config::new(1, dir.path().to_path_buf()), |env: ShardEnv<()>| async move {
        for _ in 0..5 {
            let views = lend(&env);
            let lent = env.pool().used();
            assert_eq!(lent, BLOCKS * PAGE);
            std::thread::spawn(move || drop(views)).join().expect("it only drops");
            let polls = env.counters().polls;
            let (mut own_polls, mut before) = (0, env.pool().used());
            assert_eq!(before, lent, "nothing was taken back behind the shard's back");
            while 0 < env.pool().used() {
                give_way().await;
                own_polls += 1;
                let used = env.pool().used();
                let taken = (before - used) / PAGE;
                assert!(taken <= COLLECT_BLOCKS_MAX, "{taken} blocks between two polls");
                before = used;
            }
            assert!(BLOCKS / COLLECT_BLOCKS_MAX <= own_polls);
            let others = env.counters().polls - polls - own_polls as u64;
            assert!(others <= 10, "{others} polls of tasks that nobody spawned");
        }
    })
    .unwrap();
}

/// A shard with nothing else to do takes everything back before it blocks.
#[test]
fn an_idle_shard_takes_all_of_a_storm_back() {
    let dir = tempfile::tempdir().unwrap();
    run(Config::new(1, dir.path().to_path_buf()), |env: ShardEnv<()>| async move {
        let views = lend(&env);
        let seen = Rc::new(Cell::new(usize::MAX));
        let (sees, watcher) = (Rc::clone(&seen), env.clone());
        std::thread::spawn(move || drop(views)).join().expect("it only drops");
        let parks = env.counters().parks;
        env.spawn(Group::Telemetry, async move {
            watcher.sleep(Duration::from_millis(100)).await;
            sees.set(watcher.pool().used());
        });
        env.sleep(Duration::from_millis(150)).await;
        assert_eq!(seen.get(), 0);
        assert!(env.counters().parks - parks <= 10, "it did not block in between");
    })
    .unwrap();
}
