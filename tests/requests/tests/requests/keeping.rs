//! How long and in which files a topic's records are kept: segments, indexes, retention.

use std::fs;
use std::thread::sleep;
use std::time::{Duration, Instant};

use evenkeel_requests::{Batch, Site, Topic, error, everywhere, holds, now_ms, same};
use kit::Outcome;

/// The smallest segment that Kafka allows.
const SEGMENT_BYTES: (&str, &str) = ("segment.bytes", "1048576");
/// Of one batch; two fit into a segment.
const BATCH_BYTES: usize = 400_000;
/// Retention looks every ten seconds.
const PATIENCE: Duration = Duration::from_secs(30);
const PARTITIONS: [i32; 2] = [0, 1];

/// The first offsets of a partition's segment files.
fn segments(site: &Site, topic: &Topic, partition: i32) -> Outcome<Vec<i64>> {
    let dir = site.broker.data().join(format!("{}-{partition}", topic.name));
    let mut bases = Vec::new();
    for entry in fs::read_dir(dir)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        bases.extend(name.strip_suffix(".log").and_then(|base| base.parse::<i64>().ok()));
    }
    bases.sort_unstable();
    Ok(bases)
}

fn await_segments(site: &Site, topic: &Topic, partition: i32, wanted: &[i64]) -> Outcome<()> {
    let asked = Instant::now();
    loop {
        let found = segments(site, topic, partition)?;
        if found == wanted {
            return Ok(());
        }
        if PATIENCE < asked.elapsed() {
            return same(found, wanted, &format!("segments of {}-{partition}", topic.name));
        }
        sleep(Duration::from_millis(50));
    }
}

/// Appends so many batches of [`BATCH_BYTES`] with this timestamp to both partitions.
fn fill(site: &Site, topic: &Topic, batches: usize, timestamp_ms: i64) -> Outcome<()> {
    let mut client = site.client()?;
    for partition in PARTITIONS {
        for _ in 0..batches {
            client.append(topic, partition, &Batch::sized(BATCH_BYTES).at(timestamp_ms))?;
        }
    }
    Ok(())
}

#[test]
fn a_segment_ends_at_segment_bytes() {
    everywhere(|site| {
        let topic = site.topic("t", &[SEGMENT_BYTES, ("max.message.bytes", "3000000")])?;
        fill(site, &topic, 5, now_ms())?;
        for partition in PARTITIONS {
            await_segments(site, &topic, partition, &[0, 2, 4])?;
        }
        let mut client = site.client()?;
        let part = client.produce(&topic, 0, &Batch::sized(1_200_000).bytes())?;
        same(part.error_code, error::RECORD_LIST_TOO_LARGE, "a batch larger than a segment")?;
        // A larger segment holds from then on.
        site.set(&topic, &[("segment.bytes", "2097152")])?;
        fill(site, &topic, 6, now_ms())?;
        for partition in PARTITIONS {
            await_segments(site, &topic, partition, &[0, 2, 4, 9])?;
        }
        let read = client.stored(&topic, 1, 0)?;
        same(read.len(), 11, "batches over all segments")
    });
}

#[test]
fn a_segment_ends_at_segment_ms_less_its_jitter() {
    everywhere(|site| {
        let timed = site.topic("timed", &[("segment.ms", "10000")])?;
        let jittered =
            site.topic("jittered", &[("segment.ms", "10000"), ("segment.jitter.ms", "10000")])?;
        let mut client = site.client()?;
        let begin = now_ms() - 100_000;
        for second in 0..50 {
            for topic in [&timed, &jittered] {
                let batch = Batch::of(&["a"]).at(begin + second * 1_000);
                client.append(topic, 1, &batch)?;
            }
        }
        // Small batches reach the files at the latest when the broker stops.
        site.broker.stop()?;
        // Kafka ends it when a batch is more than segment.ms younger than its first one.
        same(segments(site, &timed, 1)?, [0, 11, 22, 33, 44], "segments by time")?;
        let bases = segments(site, &jittered, 1)?;
        let longest = bases.windows(2).map(|pair| pair[1] - pair[0]).max();
        holds(longest.is_some_and(|most| most <= 11), &bases, "none is longer than segment.ms")?;
        holds(5 < bases.len(), &bases, "some are shorter")?;
        site.broker.restart()
    });
}

#[test]
fn a_segment_ends_when_its_index_is_full() {
    everywhere(|site| {
        let index = ("segment.index.bytes", "96");
        let dense = site.topic("dense", &[index, ("index.interval.bytes", "1000")])?;
        let sparse = site.topic("sparse", &[index, ("index.interval.bytes", "10000000")])?;
        let roomy = site.topic("roomy", &[("index.interval.bytes", "1000")])?;
        let mut client = site.client()?;
        for place in 0..40 {
            for topic in [&dense, &sparse, &roomy] {
                let batch = Batch::sized(2_000).at(now_ms() - 100_000 + place);
                client.append(topic, 0, &batch)?;
            }
        }
        // One entry a batch: 12 fit into the index, 8 into the time index.
        site.broker.stop()?;
        let found = segments(site, &dense, 0)?;
        let longest = found.windows(2).map(|pair| pair[1] - pair[0]).max();
        holds(longest.is_some_and(|most| (6..=10).contains(&most)), &found, "eight batches each")?;
        same(segments(site, &sparse, 0)?, [0], "no entries, no end")?;
        same(segments(site, &roomy, 0)?, [0], "room in the index, no end")?;
        site.broker.restart()
    });
}

#[test]
fn a_start_that_was_moved_stays_moved() {
    everywhere(|site| {
        let small = site.topic("small", &[])?;
        let large = site.topic("large", &[SEGMENT_BYTES])?;
        let all = site.topic("all", &[SEGMENT_BYTES])?;
        fill(site, &large, 5, now_ms())?;
        fill(site, &all, 5, now_ms())?;
        let mut client = site.client()?;
        for partition in PARTITIONS {
            client.append(&small, partition, &Batch::of(&["a", "b", "c"]))?;
            for (topic, to, start) in [(&small, 2, 2), (&large, 3, 3), (&all, -1, 5)] {
                same(client.delete_to(topic, partition, to)?, start, &topic.name)?;
            }
        }
        for kill in [true, false, true] {
            if kill {
                site.broker.kill()?
            } else {
                site.broker.stop()?
            }
            site.broker.restart()?;
            let mut client = site.client()?;
            for (topic, start) in [(&small, 2), (&large, 3), (&all, 5)] {
                await_start(site, topic, start)?;
                let below = client.fetch(topic, 1, start - 1)?.error_code;
                same(below, error::OFFSET_OUT_OF_RANGE, &format!("below {}", topic.name))?;
            }
            same(client.stored(&large, 1, 3)?.len(), 2, "what is left of large")?;
        }
        let mut client = site.client()?;
        same(client.append(&all, 0, &Batch::of(&["a"]))?, 5, "offsets go on")
    });
}

/// Waits until both partitions begin at this offset.
fn await_start(site: &Site, topic: &Topic, wanted: i64) -> Outcome<()> {
    let asked = Instant::now();
    let mut client = site.client()?;
    loop {
        let mut starts = [0; 2];
        for (start, partition) in starts.iter_mut().zip(PARTITIONS) {
            let found = client.offset(topic, partition, -2)?;
            same(found.error_code, error::NONE, &format!("the start of {}", topic.name))?;
            *start = found.offset;
        }
        if starts == [wanted; 2] {
            return Ok(());
        }
        if PATIENCE < asked.elapsed() {
            return same(starts, [wanted; 2], &format!("starts of {}", topic.name));
        }
        sleep(Duration::from_millis(50));
    }
}

#[test]
fn retention_drops_whole_segments_by_size_and_by_age() {
    everywhere(|site| {
        let now = now_ms();
        let hour_ago = now - 3_600_000;
        let by_age = ("retention.ms", "60000");
        let sized = site.topic("sized", &[SEGMENT_BYTES, ("retention.bytes", "2200000")])?;
        let aged = site.topic("aged", &[SEGMENT_BYTES, by_age])?;
        let gone = site.topic("gone", &[SEGMENT_BYTES, by_age])?;
        let brief =
            site.topic("brief", &[SEGMENT_BYTES, by_age, ("file.delete.delay.ms", "1000")])?;
        let young = site.topic("young", &[SEGMENT_BYTES, by_age])?;
        let kept = site.topic("kept", &[SEGMENT_BYTES, by_age, ("cleanup.policy", "")])?;
        let late = site.topic("late", &[SEGMENT_BYTES])?;
        fill(site, &sized, 10, now)?;
        fill(site, &aged, 4, hour_ago)?;
        fill(site, &aged, 2, now)?;
        fill(site, &gone, 3, hour_ago)?;
        fill(site, &brief, 3, hour_ago)?;
        fill(site, &young, 3, now)?;
        fill(site, &kept, 3, hour_ago)?;
        fill(site, &late, 3, hour_ago)?;
        // Two batches a segment. The first two segments go: with a third the log would be too small.
        await_start(site, &sized, 4)?;
        await_start(site, &aged, 4)?;
        // By age even the segment that is written to goes.
        await_start(site, &gone, 3)?;
        await_start(site, &brief, 3)?;
        for topic in [&young, &kept, &late] {
            await_start(site, topic, 0)?;
        }
        // What is altered later holds as well.
        site.set(&late, &[by_age])?;
        await_start(site, &late, 3)?;
        let mut client = site.client()?;
        let below = client.fetch(&sized, 1, 3)?.error_code;
        same(below, error::OFFSET_OUT_OF_RANGE, "below the new start")?;
        same(client.stored(&sized, 1, 4)?.len(), 6, "what is kept")?;
        same(client.append(&gone, 1, &Batch::of(&["a"]))?, 3, "offsets go on")?;
        // The files of dropped segments wait for a minute, or for as long as the topic says.
        for partition in PARTITIONS {
            await_segments(site, &sized, partition, &[4, 6, 8])?;
            let waiting = await_waiting(site, &sized, partition, 2)?;
            same(waiting, 2, "logs that wait to be deleted")?;
            same(await_waiting(site, &brief, partition, 0)?, 0, "with a delay of one second")?;
        }
        // A restart keeps the starts.
        site.broker.stop()?;
        site.broker.restart()?;
        for (topic, start) in [(&sized, 4), (&aged, 4), (&gone, 3), (&young, 0)] {
            await_start(site, topic, start)?;
        }
        // What waited goes when its log is opened.
        for partition in PARTITIONS {
            same(await_waiting(site, &sized, partition, 0)?, 0, "logs that still wait")?;
        }
        Ok(())
    });
}

/// How many dropped segments of the partition have files that wait to be deleted; looks for a while until
/// there are `wanted`.
fn await_waiting(site: &Site, topic: &Topic, partition: i32, wanted: usize) -> Outcome<usize> {
    let asked = Instant::now();
    let dir = site.broker.data().join(format!("{}-{partition}", topic.name));
    loop {
        let names = fs::read_dir(&dir)?.flatten().map(|entry| entry.file_name());
        let is_log = |name: &std::ffi::OsString| name.to_string_lossy().ends_with(".log.deleted");
        let waiting = names.filter(is_log).count();
        if waiting == wanted || PATIENCE < asked.elapsed() {
            return Ok(waiting);
        }
        sleep(Duration::from_millis(50));
    }
}
