//! Our own command line: what scripts rely on.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use kit::{Broker, BrokerOptions, Finished, Outcome, evenkeel_binary, run};

use crate::bench::{Bench, ensure, ensure_contains};

fn evenkeel(arguments: &[&str]) -> Outcome<Finished> {
    let mut command = Command::new(evenkeel_binary()?);
    command.args(arguments);
    run(&mut command, b"", Duration::from_secs(30))
}

pub(super) fn start_and_stop(bench: &Bench) -> Outcome<String> {
    let version = evenkeel(&["--version"])?.success()?.text();
    ensure(version.starts_with("evenkeel "), || format!("--version prints {version:?}"))?;
    ready_and_clean_stop(bench)?;
    for wrong in [&["no-such-verb"][..], &["start", "--shards", "none"], &["start", "--no-such"]] {
        let finished = evenkeel(wrong)?;
        ensure(finished.code == Some(2), || format!("{wrong:?} exits with {:?}", finished.code))?;
    }
    cannot_start(bench)?;
    Ok("ready line, clean stop on both signals, exit codes 0 1 2, --version".to_owned())
}

fn ready_and_clean_stop(bench: &Bench) -> Outcome<()> {
    let root = tempfile::tempdir()?;
    let data = root.path().join("new").join("deeper");
    let options = BrokerOptions::new(bench.target.kind()).on(&data);
    let mut broker = Broker::start(options)?;
    let ready = format!("ready kafka={} admin={}", broker.address(), broker.admin_address());
    let printed = broker.output();
    ensure(printed.lines().eq([ready.as_str()]), || format!("it printed {printed:?}"))?;
    ensure(data.join("meta.properties").is_file(), || "it was not formatted".to_owned())?;
    broker.stop()?;
    broker.restart()?;
    broker.interrupt()
}

fn cannot_start(bench: &Bench) -> Outcome<()> {
    let taken = bench.broker.bootstrap();
    let root = tempfile::tempdir()?;
    let data = root.path().join("data").to_string_lossy().into_owned();
    one_line_and_exit_1(&["start", "--data", &data, "--listen", &taken, "--admin", "127.0.0.1:0"])?;
    let file = root.path().join("file");
    fs::write(&file, "not a directory")?;
    let file = file.to_string_lossy().into_owned();
    let free = format!("127.0.0.1:{}", kit::free_port());
    one_line_and_exit_1(&["start", "--data", &file, "--listen", &free, "--admin", "127.0.0.1:0"])?;
    let used = bench.broker.data().to_string_lossy().into_owned();
    one_line_and_exit_1(&["start", "--data", &used, "--listen", &free, "--admin", "127.0.0.1:0"])
}

fn one_line_and_exit_1(arguments: &[&str]) -> Outcome<()> {
    let finished = evenkeel(arguments)?;
    ensure(finished.code == Some(1), || format!("{arguments:?} exits with {:?}", finished.code))?;
    let errors = finished.errors();
    ensure(errors.lines().count() == 1, || format!("not one line on stderr: {errors:?}"))
}

pub(super) fn log_tools(bench: &Bench) -> Outcome<String> {
    let root = tempfile::tempdir()?;
    let data = root.path().join("data");
    let mut broker = Broker::start(BrokerOptions::new(bench.target.kind()).on(&data))?;
    let bootstrap = broker.bootstrap();
    let lines: String = (0..2_000).map(|number| format!("line {number}\n")).collect();
    let mut kcat = Command::new("kcat");
    kcat.args(["-q", "-b", &bootstrap, "-P", "-t", "inspected"]);
    run(&mut kcat, lines.as_bytes(), Duration::from_secs(30))?.success()?;
    broker.stop()?;
    let at = data.to_string_lossy().into_owned();
    let inspected = evenkeel(&["log", "inspect", &at])?.success()?.text();
    ensure_contains(&inspected, "inspected-0")?;
    ensure_contains(&inspected, "2000")?;
    evenkeel(&["log", "verify", &at])?.success()?;
    flip_a_bit(&data.join("inspected-0").join("00000000000000000000.log"))?;
    let found = evenkeel(&["log", "verify", &at])?;
    ensure(found.code == Some(1), || format!("verify of damage exits with {:?}", found.code))?;
    ensure_contains(&(found.text() + &found.errors()), "inspected-0")?;
    Ok("inspect shows, verify checks and finds a flipped bit".to_owned())
}

fn flip_a_bit(file: &Path) -> Outcome<()> {
    let mut bytes = fs::read(file)?;
    let middle = bytes.len() / 2;
    ensure(middle > 100, || format!("{} is too short", file.display()))?;
    bytes[middle] ^= 4;
    fs::write(file, bytes)?;
    Ok(())
}
