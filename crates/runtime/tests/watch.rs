//! The watchdog names who holds a core; a panic names whose task it was.

use std::fmt::{Debug, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use env::{Env, Group};
use evenkeel_runtime::{Config, ShardEnv, run};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

#[derive(Clone, Default)]
struct Log {
    lines: Arc<Mutex<Vec<String>>>,
}

impl Log {
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.lines.lock().expect("it works"))
    }
}

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        write!(self.0, "{field}={value:?} ").expect("it works");
    }
}

impl Subscriber for Log {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }
    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, event: &Event<'_>) {
        let mut line = Line(String::new());
        event.record(&mut line);
        self.lines.lock().expect("it works").push(line.0);
    }
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

#[test]
fn a_task_that_holds_its_core_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let log = Log::default();
    tracing::subscriber::set_global_default(log.clone()).unwrap();
    run(Config::new(1, dir.path().to_path_buf()), move |env: ShardEnv<()>| {
        let log = log.clone();
        async move {
            assert_eq!(env.counters().stalls, 0);
            // Long enough to be seen before it ends, then short: seen when it ended.
            for (ms, what) in [(300, "a task holds its core"), (15, "a task held its core")] {
                let stalls = env.counters().stalls;
                env.spawn(Group::Recovery, async move {
                    std::thread::sleep(Duration::from_millis(ms));
                });
                // Beyond the rate limit of the reports.
                env.sleep(Duration::from_millis(1300)).await;
                assert!(stalls < env.counters().stalls);
                let lines = log.take();
                let named = |line: &&String| {
                    line.contains("group=\"recovery\"") && line.contains("tests/watch.rs:")
                };
                let line = lines.iter().find(named).expect("it is named");
                assert!(line.contains(what), "{lines:?}");
            }
        }
    })
    .unwrap();
}

#[test]
fn a_panic_ends_the_process_and_names_the_task() {
    const CHILD: &str = "EVENKEEL_RUNTIME_PANICS";
    if std::env::var_os(CHILD).is_some() {
        let dir = tempfile::tempdir().unwrap();
        let _ = run(Config::new(1, dir.path().to_path_buf()), |env: ShardEnv<()>| async move {
            env.spawn(Group::Retention, async { panic!("on purpose") });
            env.sleep(Duration::from_secs(10)).await;
        });
        return;
    }
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "a_panic_ends_the_process_and_names_the_task", "--nocapture"])
        .env(CHILD, "1")
        .output()
        .unwrap();
    assert_eq!(output.status.signal(), Some(6), "it aborts");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("a task of group retention, spawned at"), "{stderr}");
    assert!(stderr.contains("tests/watch.rs:") && stderr.contains("on purpose"), "{stderr}");
}
