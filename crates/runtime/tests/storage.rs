//! Files under load: merged flushes, the background window, futures that are dropped.

use std::cell::Cell;
use std::future::Future;
use std::path::Path;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::Poll;
use std::time::Duration;

use buf::PAGE;
use env::sync::all;
use env::{Disk, Env, File, Group, OpenMode};
use evenkeel_runtime::{Config, ShardEnv, WORKERS_MAX, run};

fn one<F, Fut>(main: F)
where
    F: Fn(ShardEnv<()>) -> Fut + Send + Clone + 'static,
    Fut: Future<Output = ()> + 'static,
{
    let dir = tempfile::tempdir().expect("a temporary directory");
    run(Config::new(1, dir.path().to_path_buf()), main).expect("the shard starts");
}

#[test]
fn sixty_four_writers_share_flushes() {
    one(|env| async move {
        let file = env.disk().open(Path::new("f"), OpenMode::create().direct()).await.unwrap();
        file.allocate(64 * PAGE as u64).await.unwrap();
        let writers = (0..64u64).map(|n| {
            let (env, file) = (env.clone(), file.clone());
            async move {
                for _ in 0..10 {
                    let data = env.pool().buffer(PAGE).unwrap().seal(PAGE);
                    file.write_at(data, n * PAGE as u64, Group::Produce).await.unwrap();
                    file.sync(Group::Produce).await.unwrap();
                }
            }
        });
        all(writers.collect()).await;
        let counters = env.storage_counters();
        assert_eq!(counters.syncs_asked, 640);
        assert!(counters.syncs <= 160, "{} flushes for 640 requests", counters.syncs);
    });
}

/// The CPUs on which a thread of this process may run, as the kernel writes them: "0", "1-3,7".
fn allowed_cpus(task: &Path) -> String {
    let status = std::fs::read_to_string(task.join("status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
    line.unwrap_or_default().trim().to_owned()
}

#[test]
fn the_kernels_workers_are_not_on_the_shards_cpu() {
    one(|env| async move {
        let mut files = Vec::new();
        for n in 0..100 {
            let path = format!("f{n}");
            let file = env.disk().open(Path::new(&path), OpenMode::create()).await.unwrap();
            files.push(file);
        }
        let syncs = files.iter().map(|file| file.sync(Group::Produce));
        all(syncs.collect()).await.into_iter().for_each(Result::unwrap);
        let this = std::fs::canonicalize("/proc/thread-self").expect("procfs");
        let id = this.file_name().unwrap().to_string_lossy().into_owned();
        let mine = format!("iou-wrk-{id}");
        let own_cpu = allowed_cpus(&this);
        let tasks = std::fs::read_dir("/proc/self/task").expect("procfs").flatten();
        // They outlive their work for some seconds.
        let workers: Vec<_> = tasks
            .map(|task| task.path())
            .filter(|task| {
                std::fs::read_to_string(task.join("comm")).is_ok_and(|name| name.trim() == mine)
            })
            .collect();
        assert!(!workers.is_empty(), "flushes go to workers");
        // The main thread is not pinned.
        let several = allowed_cpus(Path::new("/proc/self")).contains([',', '-']);
        for worker in workers.iter().filter(|worker| several && worker.exists()) {
            assert_ne!(allowed_cpus(worker), own_cpu, "{}", worker.display());
        }
    });
}

/// The kernel would start a worker for each blocked operation up to a limit of its own, which on a
/// machine with many processors is hundreds for each shard.
#[test]
fn the_kernels_workers_are_capped() {
    one(|env| async move {
        let this = std::fs::canonicalize("/proc/thread-self").expect("procfs");
        let name = format!("iou-wrk-{}", this.file_name().unwrap().to_string_lossy());
        let workers = || {
            let tasks = std::fs::read_dir("/proc/self/task").expect("procfs").flatten();
            let comm = |task: std::fs::DirEntry| std::fs::read_to_string(task.path().join("comm"));
            tasks.filter_map(|task| comm(task).ok()).filter(|comm| comm.trim_end() == name).count()
        };
        let asked = 4 * u64::from(WORKERS_MAX);
        let most = Rc::new(Cell::new(0));
        let work = (0..asked).map(|n| {
            let (env, most) = (env.clone(), Rc::clone(&most));
            async move {
                let path = format!("f{n}");
                let file = env.disk().open(Path::new(&path), OpenMode::create()).await.unwrap();
                for round in 1..4 {
                    file.allocate(round << 16).await.unwrap();
                    file.sync(Group::Produce).await.unwrap();
                    most.set(most.get().max(workers()));
                }
            }
        });
        all(work.collect()).await;
        assert!(0 < most.get(), "flushes and allocations need workers");
        assert!(most.get() <= WORKERS_MAX as usize, "{} workers for {asked} tasks", most.get());
    });
}

#[test]
fn a_background_flush_that_somebody_waits_for_is_not_left_behind() {
    one(|env| async move {
        let open = |n: u32| {
            let env = env.clone();
            async move { env.disk().open(Path::new(&format!("f{n}")), OpenMode::create()).await }
        };
        let mut files = Vec::new();
        for n in 0..20 {
            files.push(open(n).await.unwrap());
        }
        let syncs = files.iter().flat_map(|file| {
            [Group::Retention, Group::Produce].map(|group| {
                let file = file.clone();
                async move { file.sync(group).await }
            })
        });
        for result in all(syncs.collect()).await {
            result.unwrap();
        }
        assert_eq!(env.storage_counters().syncs_asked, 40);
        assert!(env.storage_counters().syncs <= 21, "the second of each file joined the first");
    });
}

#[test]
fn background_bytes_in_flight_stay_in_the_window() {
    one(|env| async move {
        let file = env.disk().open(Path::new("bulk"), OpenMode::create().direct()).await.unwrap();
        file.allocate(16 << 20).await.unwrap();
        let fast = env.disk().open(Path::new("small"), OpenMode::create().direct()).await.unwrap();
        let running = Rc::new(Cell::new(32));
        let bulk = (0..32u64).map(|n| {
            let (env, file, running) = (env.clone(), file.clone(), Rc::clone(&running));
            let work: Pin<Box<dyn Future<Output = ()>>> = Box::pin(async move {
                for _ in 0..4 {
                    let data = env.pool().buffer(512 << 10).unwrap().seal(512 << 10);
                    file.write_at(data, n * (512 << 10), Group::Compaction).await.unwrap();
                }
                running.set(running.get() - 1);
            });
            work
        });
        let mut work: Vec<_> = bulk.collect();
        let (pool, still) = (env.pool().clone(), Rc::clone(&running));
        work.push(Box::pin(async move {
            while 0 < still.get() {
                let data = pool.buffer(PAGE).unwrap().seal(PAGE);
                fast.write_at(data, 0, Group::Produce).await.unwrap();
                fast.sync(Group::Produce).await.unwrap();
            }
        }));
        all(work).await;
        let counters = env.storage_counters();
        assert!(0 < counters.background_most_bytes);
        assert!(counters.background_most_bytes <= counters.window_most_bytes, "{counters:?}");
    });
}

/// The kernel must not write to memory that somebody else has by now.
#[test]
fn a_dropped_read_writes_to_nobody_elses_memory() {
    one(|env| async move {
        let file = env.disk().open(Path::new("f"), OpenMode::create().direct()).await.unwrap();
        let mut buffer = env.pool().buffer(1 << 20).unwrap();
        buffer.as_mut_slice().fill(0xEE);
        file.write_at(buffer.seal(1 << 20), 0, Group::Produce).await.unwrap();
        for round in 0..20u64 {
            {
                let reads = (0..16u64).map(|n| {
                    let buffer = env.pool().buffer(64 << 10).unwrap();
                    let file = file.clone();
                    Box::pin(async move {
                        file.read_at(buffer, 64 << 10, n * (64 << 10), Group::Fetch).await
                    })
                });
                let mut reads: Vec<_> = reads.collect();
                std::future::poll_fn(|context| {
                    for read in &mut reads {
                        assert!(read.as_mut().poll(context).is_pending());
                    }
                    Poll::Ready(())
                })
                .await;
                if round % 2 == 0 {
                    // They are with the kernel when they are dropped.
                    env.sleep(Duration::ZERO).await;
                    env.sleep(Duration::from_micros(30)).await;
                }
            }
            let mut mine: Vec<_> = (0..16).map(|_| env.pool().buffer(64 << 10).unwrap()).collect();
            mine.iter_mut().for_each(|buffer| buffer.as_mut_slice().fill(0x11));
            env.sleep(Duration::from_millis(2)).await;
            assert!(mine.iter().all(|buffer| buffer.as_slice().iter().all(|b| *b == 0x11)));
        }
        env.sleep(Duration::from_millis(5)).await;
        env.pool().collect();
        assert_eq!(env.pool().used(), 0, "every buffer came back");
    });
}

#[test]
fn more_operations_than_the_ring_holds_wait_their_turn() {
    one(|env| async move {
        let file = env.disk().open(Path::new("f"), OpenMode::create()).await.unwrap();
        let writes = (0..2000u64).map(|n| {
            let (env, file) = (env.clone(), file.clone());
            async move {
                let mut buffer = env.pool().buffer(8).unwrap();
                buffer.as_mut_slice()[..8].copy_from_slice(&n.to_be_bytes());
                file.write_at(buffer.seal(8), n * 8, Group::Produce).await
            }
        });
        for result in all(writes.collect()).await {
            result.unwrap();
        }
        let (read, buffer) =
            file.read_at(env.pool().buffer(16000).unwrap(), 16000, 0, Group::Fetch).await;
        assert_eq!(read.unwrap(), 16000);
        for (n, bytes) in (0u64..).zip(buffer.as_slice()[..16000].chunks(8)) {
            assert_eq!(bytes, n.to_be_bytes());
        }
    });
}

#[test]
fn a_misaligned_direct_request_is_refused() {
    one(|env| async move {
        let file = env.disk().open(Path::new("f"), OpenMode::create().direct()).await.unwrap();
        if file.alignment() == 1 {
            return;
        }
        let data = env.pool().buffer(PAGE).unwrap().seal(PAGE);
        for (part, position) in [(data.slice(0..100), 0), (data.clone(), 100)] {
            let failure = file.write_at(part, position, Group::Produce).await.unwrap_err();
            assert_eq!(failure.kind, std::io::ErrorKind::InvalidInput);
        }
        let mut read = pin!(file.read_at(env.pool().buffer(PAGE).unwrap(), 100, 0, Group::Fetch));
        assert!(read.as_mut().await.0.is_err());
        assert_eq!(file.len().await.unwrap(), 0);
    });
}

/// The kernel may leave its request for a system call set when there is nothing to do.
#[test]
fn a_shard_that_waits_makes_no_trips() {
    one(|env| async move {
        let file = env.disk().open(Path::new("f"), OpenMode::create().direct()).await.unwrap();
        for round in 0..10u64 {
            let writes = (0..64u64).map(|n| {
                let (env, file) = (env.clone(), file.clone());
                let group = if n % 2 == 0 { Group::Produce } else { Group::Recovery };
                async move {
                    let data = env.pool().buffer(PAGE).unwrap().seal(PAGE);
                    file.write_at(data, (round * 64 + n) * PAGE as u64, group).await.unwrap();
                    file.sync(group).await.unwrap();
                }
            });
            all(writes.collect()).await;
            let before = env.counters();
            env.sleep(Duration::from_millis(10)).await;
            let after = env.counters();
            let trips = after.kicks + after.parks - before.kicks - before.parks;
            assert!(trips <= 20, "{trips} trips in an idle phase: {after:?}");
        }
    });
}

/// Seastar 1430: a request of the foreground queues behind what other shards' background work has
/// reserved of the device. Here it is with the kernel when its future was polled once, however much
/// background work waits on the other shard and on its own.
#[test]
fn cross_shard_preempt() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let over = Arc::new(AtomicBool::new(false));
    let flooded = Arc::new(AtomicU64::new(0));
    run(Config::new(2, dir.path().to_path_buf()), move |env: ShardEnv<()>| {
        let (over, flooded) = (Arc::clone(&over), Arc::clone(&flooded));
        async move {
            let name = format!("bulk{}", env.shard().0);
            let mode = OpenMode::create().direct();
            let bulk = env.disk().open(Path::new(&name), mode).await.unwrap();
            bulk.allocate(16 << 20).await.unwrap();
            for n in 0..32u64 {
                let (env, bulk, over) = (env.clone(), bulk.clone(), Arc::clone(&over));
                let flooded = Arc::clone(&flooded);
                env.clone().spawn(Group::Compaction, async move {
                    while !over.load(Ordering::Relaxed) {
                        flooded.fetch_add(1, Ordering::Relaxed);
                        let data = env.pool().buffer(512 << 10).unwrap().seal(512 << 10);
                        bulk.write_at(data, n * (512 << 10), Group::Compaction).await.unwrap();
                    }
                });
            }
            if env.shard().0 == 1 {
                while !over.load(Ordering::Relaxed) {
                    env.sleep(Duration::from_millis(1)).await;
                }
                return;
            }
            let small = env.disk().open(Path::new("small"), mode).await.unwrap();
            small.allocate(PAGE as u64).await.unwrap();
            while flooded.load(Ordering::Relaxed) < 128 {
                env.sleep(Duration::from_millis(1)).await;
            }
            for _ in 0..50 {
                let data = env.pool().buffer(PAGE).unwrap().seal(PAGE);
                let issued = env.storage_counters().issued;
                let mut write = pin!(small.write_at(data, 0, Group::Produce));
                let first =
                    std::future::poll_fn(|context| Poll::Ready(write.as_mut().poll(context)));
                assert!(first.await.is_pending());
                assert_eq!(env.storage_counters().issued, issued + 1, "it waits for others");
                write.await.unwrap();
            }
            over.store(true, Ordering::Relaxed);
        }
    })
    .unwrap();
}
