//! One shard: tasks, time, files, sockets, stop.

use std::cell::Cell;
use std::future::Future;
use std::net::SocketAddr;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use env::sync::{all, oneshot};
use env::{Disk, Env, File, Group, OpenMode, Stream};
use evenkeel_runtime::{Config, HeldPort, ShardEnv, StartError, Stopper, run};

fn config(shards: u16, dir: &Path) -> Config {
    Config { memory_bytes_per_shard: 16 << 20, ..Config::new(shards, dir.to_path_buf()) }
}

fn one<F, Fut>(main: F)
where
    F: Fn(ShardEnv<()>) -> Fut + Send + Clone + 'static,
    Fut: Future<Output = ()> + 'static,
{
    let dir = tempfile::tempdir().expect("a temporary directory");
    run(config(1, dir.path()), main).expect("the shard starts");
}

fn loopback() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

#[test]
fn tasks_run_and_sleeps_last_at_least_as_long_as_asked() {
    one(|env| async move {
        let count = Rc::new(Cell::new(0));
        let (done, is_done) = oneshot();
        let start = env.now();
        for n in 0..10u64 {
            let (count, sleeper) = (Rc::clone(&count), env.clone());
            env.spawn(Group::Produce, async move {
                sleeper.sleep(Duration::from_micros(500 * n)).await;
                count.set(count.get() + 1);
            });
        }
        env.spawn(Group::Retention, {
            let env = env.clone();
            async move {
                env.sleep(Duration::from_millis(20)).await;
                done.send(env.now());
            }
        });
        let end = is_done.await.expect("the task ends");
        assert!(Duration::from_millis(20) <= end.since(start));
        assert_eq!(count.get(), 10);
        assert_ne!(env.random(), env.random());
        assert!(1_700_000_000_000 < env.wall_ms());
    });
}

#[test]
fn files_keep_what_was_written() {
    one(|env| async move {
        let disk = env.disk().clone();
        disk.create_dir(Path::new("a")).await.unwrap();
        disk.create_dir(Path::new("a")).await.unwrap();
        for direct in [false, true] {
            let path = Path::new("a/file");
            let mode = OpenMode { direct, ..OpenMode::new_file() };
            let file = disk.open(path, mode).await.unwrap();
            let mut buffer = env.pool().buffer(8192).unwrap();
            buffer.as_mut_slice().fill(7);
            buffer.as_mut_slice()[4096] = 8;
            file.write_at(buffer.seal(8192), 4096, Group::Produce).await.unwrap();
            file.sync(Group::Produce).await.unwrap();
            assert_eq!(file.len().await.unwrap(), 12288);
            let buffer = env.pool().buffer(16384).unwrap();
            let (read, buffer) = file.read_at(buffer, 16384, 0, Group::Fetch).await;
            assert_eq!(read.unwrap(), 12288);
            assert_eq!(buffer.as_slice()[4095..4097], [0, 7]);
            assert_eq!(buffer.as_slice()[8191..8193], [7, 8]);
            file.allocate(65536).await.unwrap();
            assert_eq!(disk.stat(path).await.unwrap().unwrap().len, 65536);
            file.set_len(100).await.unwrap();
            assert_eq!(file.len().await.unwrap(), 100);
            disk.rename(path, Path::new("b")).await.unwrap();
            disk.sync_dir(Path::new("")).await.unwrap();
            let names: Vec<String> =
                disk.list(Path::new("")).await.unwrap().into_iter().map(|e| e.name).collect();
            assert_eq!(names, ["a", "b"]);
            assert_eq!(disk.stat(path).await.unwrap(), None);
            disk.remove_file(Path::new("b")).await.unwrap();
        }
        disk.remove_dir(Path::new("a")).await.unwrap();
        let missing = disk.open(Path::new("x"), OpenMode::existing()).await.unwrap_err();
        assert_eq!(missing.kind, std::io::ErrorKind::NotFound);
    });
}

#[test]
fn large_background_requests_are_split_and_whole() {
    one(|env| async move {
        let file = env.disk().open(Path::new("f"), OpenMode::create()).await.unwrap();
        let mut buffer = env.pool().buffer(1 << 20).unwrap();
        for (n, byte) in buffer.as_mut_slice().iter_mut().enumerate() {
            *byte = u8::try_from(n / 4096 % 251).unwrap();
        }
        file.write_at(buffer.seal(1 << 20), 0, Group::Compaction).await.unwrap();
        let buffer = env.pool().buffer(1 << 20).unwrap();
        let (read, buffer) = file.read_at(buffer, 1 << 20, 0, Group::ColdRead).await;
        assert_eq!(read.unwrap(), 1 << 20);
        for (n, byte) in buffer.as_slice().iter().enumerate() {
            assert_eq!(usize::from(*byte), n / 4096 % 251);
        }
        assert!(16 <= env.storage_counters().issued);
    });
}

#[test]
fn streams_carry_bytes_both_ways_and_end() {
    one(|env| async move {
        let listener = env.listen(loopback()).unwrap();
        let addr = listener.local_addr();
        let server = env.clone();
        env.spawn(Group::Fetch, async move {
            let stream = listener.accept().await.unwrap();
            loop {
                stream.readable().await.unwrap();
                let buffer = server.pool().buffer(65536).unwrap();
                let (read, buffer) = stream.read(buffer, 0, 65536).await;
                let read = read.unwrap();
                if read == 0 {
                    break;
                }
                stream.write_all(vec![buffer.seal(read)]).await.unwrap();
            }
        });
        let stream = env.connect(addr).await.unwrap();
        let mut parts = Vec::new();
        for n in 0..600usize {
            let mut buffer = env.pool().buffer(4096).unwrap();
            buffer.as_mut_slice().fill(u8::try_from(n % 256).unwrap());
            parts.push(buffer.seal(n % 4096));
        }
        let total: usize = parts.iter().map(|part| part.len()).sum();
        let reader = stream.clone();
        let reading = async {
            let mut buffer = env.pool().buffer(total).unwrap();
            let mut at = 0;
            while at < total {
                let (read, back) = reader.read(buffer, at, total - at).await;
                buffer = back;
                at += read.unwrap();
            }
            buffer
        };
        let writing = async {
            stream.write_all(parts).await.unwrap();
            env.pool().buffer(1).unwrap()
        };
        let futures: Vec<std::pin::Pin<Box<dyn Future<Output = buf::Buffer>>>> =
            vec![Box::pin(reading), Box::pin(writing)];
        let got = all(futures).await.swap_remove(0);
        let mut at = 0;
        for n in 0..600usize {
            let len = n % 4096;
            assert!(got.as_slice()[at..at + len].iter().all(|b| usize::from(*b) == n % 256));
            at += len;
        }
        assert!(stream.peer().starts_with("127.0.0.1:"));
        stream.close();
        let (read, _) = stream.read(env.pool().buffer(10).unwrap(), 0, 10).await;
        assert_eq!(read.unwrap(), 0);
    });
}

#[test]
fn close_ends_a_pending_read_and_a_pending_wait() {
    one(|env| async move {
        let listener = env.listen(loopback()).unwrap();
        let stream = env.connect(listener.local_addr()).await.unwrap();
        let other = listener.accept().await.unwrap();
        for waits in [true, false] {
            let reading = if waits { stream.clone() } else { other.clone() };
            let (done, is_done) = oneshot();
            let pool = env.pool().clone();
            env.spawn(Group::Fetch, async move {
                if waits {
                    reading.readable().await.unwrap();
                }
                done.send(reading.read(pool.buffer(10).unwrap(), 0, 10).await.0.unwrap());
            });
            env.sleep(Duration::from_millis(2)).await;
            if waits {
                stream.close()
            } else {
                other.close()
            }
            assert_eq!(is_done.await, Some(0));
        }
    });
}

#[test]
fn a_stop_from_another_thread_is_seen_by_every_shard() {
    let dir = tempfile::tempdir().unwrap();
    let stopper = Stopper::new();
    let config = Config { stopper: stopper.clone(), ..config(2, dir.path()) };
    let thread = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(30));
        stopper.stop();
    });
    run(config, |env: ShardEnv<()>| async move { env.stopped().await }).unwrap();
    thread.join().unwrap();
}

#[test]
fn shards_share_a_port_that_was_held() {
    let dir = tempfile::tempdir().unwrap();
    let held = HeldPort::take(loopback()).unwrap();
    let addr = held.addr();
    run(config(2, dir.path()), move |env: ShardEnv<()>| async move {
        let listener = env.listen(addr).unwrap();
        assert_eq!(listener.local_addr(), addr);
    })
    .unwrap();
}

#[test]
fn a_start_that_fails_says_why() {
    let none = run(config(0, Path::new("/")), |_: ShardEnv<()>| async {}).unwrap_err();
    assert!(matches!(none, StartError::NoShards));
    let missing = Path::new("/nonexistent/evenkeel");
    let error = run(config(2, missing), |_: ShardEnv<()>| async {}).unwrap_err();
    assert!(error.to_string().contains("/nonexistent/evenkeel"), "{error}");
}

#[test]
fn tasks_that_still_wait_are_dropped_at_the_end() {
    struct Dropped(std::sync::Arc<std::sync::atomic::AtomicU32>);
    impl Drop for Dropped {
        fn drop(&mut self) {
            self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        }
    }
    let count = std::sync::Arc::new(std::sync::atomic::AtomicU32::new(0));
    let counted = std::sync::Arc::clone(&count);
    one(move |env| {
        let counted = std::sync::Arc::clone(&counted);
        async move {
            for n in 0..20u64 {
                let (dropped, sleeper) = (Dropped(std::sync::Arc::clone(&counted)), env.clone());
                env.spawn(Group::Telemetry, async move {
                    let _dropped = dropped;
                    let file =
                        sleeper.disk().open(Path::new("f"), OpenMode::create()).await.unwrap();
                    let buffer = sleeper.pool().buffer(4096).unwrap();
                    sleeper.sleep(Duration::from_millis(n / 4)).await;
                    let _ = file.read_at(buffer, 4096, 0, Group::Fetch).await;
                    sleeper.sleep(Duration::from_secs(3600)).await;
                });
            }
            env.sleep(Duration::from_millis(2)).await;
        }
    });
    assert_eq!(count.load(std::sync::atomic::Ordering::Relaxed), 20);
}

/// Each end of a connection waits; then all of them are closed without a trip to the driver.
#[test]
fn more_completions_than_the_ring_holds_are_not_lost() {
    one(|env| async move {
        let listener = env.listen(loopback()).unwrap();
        let ended = Rc::new(Cell::new(0));
        let mut streams = Vec::new();
        for _ in 0..400 {
            let one = env.connect(listener.local_addr()).await.unwrap();
            let other = listener.accept().await.unwrap();
            for end in [one.clone(), other] {
                let ended = Rc::clone(&ended);
                env.spawn(Group::Fetch, async move {
                    end.readable().await.unwrap();
                    ended.set(ended.get() + 1);
                });
            }
            streams.push(one);
        }
        env.sleep(Duration::from_millis(1)).await;
        streams.iter().for_each(Stream::close);
        while ended.get() < 800 {
            env.sleep(Duration::from_millis(1)).await;
        }
    });
}
