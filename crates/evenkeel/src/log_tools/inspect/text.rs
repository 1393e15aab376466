//! What `inspect` prints. Pure.

use std::path::Path;

use super::{Batches, LogView, Report, SegmentLine};
use crate::table::{Align, Table, bytes, counted};

/// Leader epochs that are shown of one log; the newest.
const EPOCHS_SHOWN: usize = 4;

/// The whole report.
pub(super) fn render(dir: &Path, in_use: bool, report: &Report) -> String {
    let mut text = String::new();
    text.push_str(&head(dir, in_use, report));
    for part in [topics(report), logs(report), segments(report), journals(report)] {
        if !part.is_empty() {
            text.push('\n');
            text.push_str(&part);
        }
    }
    text
}

fn head(dir: &Path, in_use: bool, report: &Report) -> String {
    let mut text = format!("directory    {}\n", dir.display());
    if in_use {
        text.push_str("in use       a broker runs on it: what is shown moves\n");
    }
    match &report.identity {
        Ok(of) => {
            text.push_str(&format!("cluster      {}, node {}\n", of.cluster_id, of.node_id));
            if let Some(id) = of.directory_id {
                text.push_str(&format!("directory id {id}\n"));
            }
        }
        Err(why) => text.push_str(&format!("cluster      unknown: {why}\n")),
    }
    let state = match report.clean {
        Some(marker) => match marker.broker_epoch {
            Some(epoch) => format!("stopped cleanly in broker epoch {epoch}"),
            None => "stopped cleanly".to_owned(),
        },
        None if in_use => "running".to_owned(),
        None => {
            "not stopped cleanly: the next start recovers it, or `evenkeel log close`".to_owned()
        }
    };
    text.push_str(&format!("state        {state}\n"));
    let end =
        report.metadata.end.map_or_else(|| "nothing".to_owned(), |end| format!("to offset {end}"));
    text.push_str(&format!("metadata     {end}"));
    if let Some(why) = &report.metadata.stopped {
        text.push_str(&format!("; stopped at {why}"));
    }
    text.push('\n');
    match &report.checkpoints {
        Ok(points) if points.is_empty() => {}
        Ok(points) => {
            let count = counted(points.len() as u64, "partition");
            text.push_str(&format!("checkpoints  {count}\n"));
        }
        Err(why) => text.push_str(&format!("checkpoints  {why}\n")),
    }
    if !report.aside.is_empty() {
        text.push_str(&format!("set aside    {}\n", report.aside.join(", ")));
    }
    text
}

fn topics(report: &Report) -> String {
    let left = Align::Left;
    if report.topics.is_empty() {
        return String::new();
    }
    let mut table = Table::new(&[
        ("TOPIC", left),
        ("ID", left),
        ("PARTITIONS", Align::Right),
        ("HERE", Align::Right),
    ]);
    for topic in &report.topics {
        let (partitions, here) = (topic.partitions.to_string(), topic.here.to_string());
        table.row(vec![topic.name.clone(), topic.id.clone(), partitions, here]);
    }
    table.render()
}

fn logs(report: &Report) -> String {
    if report.logs.is_empty() {
        return String::new();
    }
    let right = Align::Right;
    let mut table = Table::new(&[
        ("LOG", Align::Left),
        ("START", right),
        ("END", right),
        ("HIGH WATERMARK", right),
        ("SEGMENTS", right),
        ("SIZE", right),
        ("EPOCH@OFFSET", Align::Left),
        ("NOTES", Align::Left),
    ]);
    for log in &report.logs {
        table.row(vec![
            log.name.clone(),
            log.start.to_string(),
            log.end.to_string(),
            log.high_watermark.map_or_else(|| "-".to_owned(), |at| at.to_string()),
            log.segments.len().to_string(),
            bytes(log.segments.iter().map(|segment| segment.bytes).sum()),
            epochs(log),
            notes(log),
        ]);
    }
    table.render()
}

fn epochs(log: &LogView) -> String {
    let known = match &log.epochs {
        Ok(known) if known.is_empty() => return "-".to_owned(),
        Ok(known) => known,
        Err(why) => return format!("unreadable ({why})"),
    };
    let hidden = known.len().saturating_sub(EPOCHS_SHOWN);
    let mut shown: Vec<String> =
        known[hidden..].iter().map(|(epoch, start)| format!("{epoch}@{start}")).collect();
    if 0 < hidden {
        shown.insert(0, format!("({hidden} older)"));
    }
    shown.join(" ")
}

fn notes(log: &LogView) -> String {
    let mut notes = Vec::new();
    if !log.known {
        notes.push("not in the metadata".to_owned());
    }
    if let Some(pending) = &log.pending {
        if let Some(until) = pending.until {
            let size = bytes(pending.bytes);
            let pieces = counted(pending.pieces as u64, "piece");
            notes.push(format!("journal holds {pieces}, {size}, to {until}"));
        }
        if let Some(from) = pending.dirty_from {
            notes.push(format!("dirty from {from}"));
        }
    }
    if 0 < log.unfinished_bytes {
        notes.push(format!("{} behind the last batch", bytes(log.unfinished_bytes)));
    }
    notes.join("; ")
}

fn segments(report: &Report) -> String {
    if report.logs.iter().all(|log| log.segments.is_empty()) {
        return String::new();
    }
    let right = Align::Right;
    let mut table = Table::new(&[
        ("LOG", Align::Left),
        ("SEGMENT", right),
        ("BYTES", right),
        ("BATCHES", right),
        ("INDEX", right),
        ("TIMEINDEX", right),
    ]);
    for log in &report.logs {
        for segment in &log.segments {
            table.row(segment_row(log, segment));
        }
    }
    table.render()
}

fn segment_row(log: &LogView, segment: &SegmentLine) -> Vec<String> {
    let entries = |count: Option<u64>| count.map_or_else(|| "none".to_owned(), |n| n.to_string());
    let batches = match segment.batches {
        Batches::Exactly(count) => count.to_string(),
        Batches::About(count) => format!("~{count}"),
    };
    vec![
        log.name.clone(),
        segment.base.to_string(),
        segment.bytes.to_string(),
        batches,
        entries(segment.index_entries),
        entries(segment.time_entries),
    ]
}

fn journals(report: &Report) -> String {
    let mut text = String::new();
    if !report.journals.is_empty() {
        let mut table = Table::new(&[
            ("JOURNAL", Align::Left),
            ("SIZE", Align::Right),
            ("FRAMES", Align::Right),
        ]);
        for file in &report.journals {
            table.row(vec![file.name.clone(), bytes(file.bytes), file.frames.to_string()]);
        }
        text = table.render();
    }
    for trouble in &report.journal_troubles {
        text.push_str(&format!("journal: {trouble}\n"));
    }
    text
}
