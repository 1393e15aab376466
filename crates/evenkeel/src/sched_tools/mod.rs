//! `evenkeel sched ...`: what scheduling groups get of a running broker, over its admin plane.
//!
//! What is shown is made by pure functions (`tables`, `json`) of what the broker tells.

mod json;
mod tables;
mod usage;

use std::io::{IsTerminal, Write};
use std::ops::ControlFlow;
use std::process::ExitCode;
use std::time::Duration;

use admin::{Client, Groups, SharesChange};

use crate::cli::{Admin, OneGroup, Sched, SharesOf};
use usage::Usage;

/// To the upper left corner, and everything below is gone.
const CLEAR: &str = "\x1b[H\x1b[2J";

/// Runs the command. `Err` says why it could not.
pub(crate) fn run(command: &Sched) -> Result<ExitCode, String> {
    match command {
        Sched::Groups { by_shard, to } => groups(to, *by_shard),
        Sched::Top { every, count, to } => top(to, *every, *count),
        Sched::Set { shares, to } => set(to, shares),
        Sched::Release(one) => release(one),
        Sched::Trial { shares, time, to } => trial(to, shares, *time),
        Sched::Confirm(one) => confirm(one),
        Sched::Cancel(one) => cancel(one),
    }
}

fn connect(to: &Admin) -> Result<Client, String> {
    Client::connect(&to.admin).map_err(|error| error.to_string())
}

fn groups(to: &Admin, by_shard: bool) -> Result<ExitCode, String> {
    let told = connect(to)?.groups().map_err(|error| error.to_string())?;
    if to.json {
        show(&format!("{}\n", json::groups(&told)));
    } else {
        show(&tables::groups(&told, by_shard));
    }
    Ok(ExitCode::SUCCESS)
}

/// Shows the difference between two looks each time a new one comes.
fn top(to: &Admin, every: Duration, count: Option<u64>) -> Result<ExitCode, String> {
    let client = connect(to)?;
    let clear = if std::io::stdout().is_terminal() && !to.json { CLEAR } else { "" };
    let mut before: Option<Groups> = None;
    let mut looks = 0;
    let watched = client.watch(every, |now| {
        if let Some(before) = &before {
            let usage = Usage::between(before, &now);
            let text = if to.json {
                format!("{}\n", json::usage(&usage))
            } else {
                format!("{clear}{}", tables::top(&usage, &to.admin))
            };
            looks += 1;
            if !show(&text) || Some(looks) == count {
                return ControlFlow::Break(());
            }
        }
        before = Some(now);
        ControlFlow::Continue(())
    });
    watched.map_err(|error| error.to_string())?;
    Ok(ExitCode::SUCCESS)
}

fn set(to: &Admin, shares: &SharesOf) -> Result<ExitCode, String> {
    let now = connect(to)?
        .set_shares(&shares.group, change(shares))
        .map_err(|error| error.to_string())?;
    say(to, json::applied(&shares.group, now), tables::applied(&shares.group, now));
    Ok(ExitCode::SUCCESS)
}

fn release(one: &OneGroup) -> Result<ExitCode, String> {
    let now = connect(&one.to)?.release_shares(&one.group).map_err(|error| error.to_string())?;
    say(&one.to, json::applied(&one.group, now), tables::released(&one.group, now));
    Ok(ExitCode::SUCCESS)
}

fn trial(to: &Admin, shares: &SharesOf, time: Duration) -> Result<ExitCode, String> {
    if time.subsec_nanos() != 0 {
        return Err("a trial takes whole seconds".to_owned());
    }
    let seconds = u32::try_from(time.as_secs()).unwrap_or(u32::MAX);
    let (now, trial) = connect(to)?
        .try_shares(&shares.group, change(shares), seconds)
        .map_err(|error| error.to_string())?;
    let text = tables::trial(&shares.group, now, trial);
    say(to, json::trial(&shares.group, now, trial), text);
    Ok(ExitCode::SUCCESS)
}

fn confirm(one: &OneGroup) -> Result<ExitCode, String> {
    let kept = connect(&one.to)?.confirm_trial(&one.group).map_err(|error| error.to_string())?;
    say(&one.to, json::shares(&one.group, kept), tables::kept(&one.group, kept));
    Ok(ExitCode::SUCCESS)
}

fn cancel(one: &OneGroup) -> Result<ExitCode, String> {
    let now = connect(&one.to)?.cancel_trial(&one.group).map_err(|error| error.to_string())?;
    say(&one.to, json::applied(&one.group, now), tables::applied(&one.group, now));
    Ok(ExitCode::SUCCESS)
}

fn change(shares: &SharesOf) -> SharesChange {
    SharesChange { cpu: shares.cpu, io: shares.io }
}

fn say(to: &Admin, json: serde_json::Value, text: String) {
    show(&if to.json { format!("{json}\n") } else { text });
}

/// Writes to stdout, at once; false when nobody reads any more.
fn show(text: &str) -> bool {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).is_ok()
}
