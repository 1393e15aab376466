//! Lanes between shards: nothing lost, nothing out of order, bounded.

use std::cell::Cell;
use std::future::Future;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::Duration;

use env::sync::oneshot;
use env::{Env, Envelope, Group, Mesh, ShardId};
use evenkeel_runtime::{BACKGROUND_LANE, Config, FOREGROUND_LANE, ShardEnv, run};

type World = ShardEnv<u64>;

fn two<F, Fut>(spin: Duration, main: F)
where
    F: Fn(World) -> Fut + Send + Clone + 'static,
    Fut: Future<Output = ()> + 'static,
{
    let dir = tempfile::tempdir().expect("a temporary directory");
    let config = Config { spin, ..Config::new(2, dir.path().to_path_buf()) };
    run(config, main).expect("the shards start");
}

fn other(env: &World) -> ShardId {
    ShardId(1 - env.shard().0)
}

fn envelope(env: &World, group: Group, message: u64) -> Envelope<u64> {
    Envelope { from: env.shard(), group, depth: 1, deadline: None, trace: 0, message }
}

/// Both shards send half a million messages while they receive as many, with pauses in which
/// the other one falls asleep.
#[test]
fn a_million_messages_arrive_in_order() {
    const EACH: u64 = 500_000;
    two(Duration::ZERO, |env: World| async move {
        let sender = env.clone();
        let (done, is_done) = oneshot();
        env.spawn(Group::Produce, async move {
            for n in 0..EACH {
                let group = if n % 2 == 0 { Group::Produce } else { Group::Compaction };
                sender.send(other(&sender), envelope(&sender, group, n)).await;
                if n % 50_000 == 0 {
                    sender.sleep(Duration::from_millis(1)).await;
                }
            }
            done.send(());
        });
        let mut next = [0, 1];
        for _ in 0..EACH {
            let got = env.receive().await;
            let class = usize::from(!got.group.is_foreground());
            assert_eq!((got.message, got.from), (next[class], other(&env)));
            next[class] += 2;
        }
        is_done.await.expect("the sender ends");
        assert!(env.mail_notified() < EACH / 4, "{} notifications", env.mail_notified());
    });
}

/// Both shards block after every message: a lost wake would hang.
#[test]
fn no_wake_is_lost_between_sleeping_shards() {
    for spin in [Duration::ZERO, Duration::from_micros(20)] {
        two(spin, |env: World| async move {
            for n in 0..10_000 {
                if env.shard() == ShardId(0) {
                    env.send(ShardId(1), envelope(&env, Group::Produce, n)).await;
                }
                assert_eq!(env.receive().await.message, n);
                if env.shard() == ShardId(1) {
                    env.send(ShardId(0), envelope(&env, Group::Produce, n)).await;
                }
            }
        });
    }
}

#[test]
fn a_full_lane_makes_the_sender_wait() {
    for (group, lane) in [(Group::Produce, FOREGROUND_LANE), (Group::Retention, BACKGROUND_LANE)] {
        let open = Arc::new(AtomicBool::new(false));
        two(Duration::ZERO, move |env: World| {
            let open = Arc::clone(&open);
            async move {
                let total = 3 * lane as u64;
                if env.shard() == ShardId(1) {
                    while !open.load(Ordering::SeqCst) {
                        env.sleep(Duration::from_millis(1)).await;
                    }
                    for n in 0..total {
                        assert_eq!(env.receive().await.message, n);
                    }
                    return;
                }
                let sent = Rc::new(Cell::new(0));
                let (counted, sender) = (Rc::clone(&sent), env.clone());
                let (done, is_done) = oneshot();
                env.spawn(group, async move {
                    for n in 0..total {
                        sender.send(ShardId(1), envelope(&sender, group, n)).await;
                        counted.set(n + 1);
                    }
                    done.send(());
                });
                env.sleep(Duration::from_millis(20)).await;
                assert_eq!(sent.get(), lane as u64, "no more than the lane holds");
                open.store(true, Ordering::SeqCst);
                is_done.await.expect("the sender ends");
            }
        });
    }
}

#[test]
fn waiting_senders_are_served_in_order_and_a_dropped_one_sends_nothing() {
    let open = Arc::new(AtomicBool::new(false));
    two(Duration::ZERO, move |env: World| {
        let open = Arc::clone(&open);
        async move {
            let lane = FOREGROUND_LANE as u64;
            if env.shard() == ShardId(1) {
                while !open.load(Ordering::SeqCst) {
                    env.sleep(Duration::from_millis(1)).await;
                }
                let got = (0..lane + 19).map(|_| env.receive());
                let mut messages = Vec::new();
                for next in got {
                    messages.push(next.await.message);
                }
                let want: Vec<u64> = (0..lane + 20).filter(|n| *n != lane + 10).collect();
                assert_eq!(messages, want);
                return;
            }
            for n in 0..lane {
                env.send(ShardId(1), envelope(&env, Group::Fetch, n)).await;
            }
            let mut ends = Vec::new();
            for n in lane..lane + 20 {
                let (sender, (done, is_done)) = (env.clone(), oneshot());
                env.spawn(Group::Fetch, async move {
                    let mut send =
                        pin!(sender.send(ShardId(1), envelope(&sender, Group::Fetch, n)));
                    if n == lane + 10 {
                        std::future::poll_fn(|context| {
                            assert!(send.as_mut().poll(context).is_pending());
                            Poll::Ready(())
                        })
                        .await;
                        sender.sleep(Duration::from_millis(5)).await;
                        return;
                    }
                    send.await;
                    done.send(());
                });
                ends.push(is_done);
            }
            env.sleep(Duration::from_millis(20)).await;
            open.store(true, Ordering::SeqCst);
            for (n, end) in ends.into_iter().enumerate() {
                assert_eq!(end.await.is_none(), n == 10);
            }
        }
    });
}

#[test]
fn a_send_to_a_shard_that_ended_does_not_wait() {
    two(Duration::ZERO, |env: World| async move {
        if env.shard() == ShardId(0) {
            for n in 0..10_000 {
                env.send(ShardId(1), envelope(&env, Group::Produce, n)).await;
            }
        } else {
            env.sleep(Duration::from_millis(20)).await;
        }
    });
}
