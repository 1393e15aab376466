//! How much a fetch answers: byte budgets of the request and of each partition, and empty answers.

use std::time::{Duration, Instant};

use evenkeel_requests::{
    Batch, Bytes, Client, Site, Topic, error, everywhere, holds, m, read_back, same,
};
use kit::Outcome;
use m::fetch_request::FetchRequestData;

/// Of one record in the tests; with its batch a little more.
const RECORD_BYTES: usize = 100_000;

/// A topic with three batches in each of two partitions, the second of a partition larger.
fn filled(site: &Site) -> Outcome<(Client, Topic)> {
    let topic = site.topic("t", &[])?;
    let mut client = site.client()?;
    for partition in [0, 1] {
        for bytes in [RECORD_BYTES, 2 * RECORD_BYTES, RECORD_BYTES] {
            client.append(&topic, partition, &Batch::sized(bytes))?;
        }
    }
    Ok((client, topic))
}

/// The offsets of the records that each partition brought, and all their bytes. Batches must be whole.
fn fetched(client: &mut Client, request: &FetchRequestData) -> Outcome<(Vec<Vec<i64>>, usize)> {
    let answer = client.ask(12, request)?;
    let mut offsets = Vec::new();
    let mut bytes = 0;
    for part in answer.responses.iter().flat_map(|topic| &topic.partitions) {
        same(part.error_code, error::NONE, "a partition")?;
        let records = part.records.clone().ok_or("null records")?;
        bytes += records.len();
        let batches = read_back(&records)?;
        offsets.push(batches.iter().flat_map(|one| &one.records).map(|one| one.offset).collect());
    }
    Ok((offsets, bytes))
}

/// What is asked, from where in both partitions, and what must come of each.
struct Case {
    what: &'static str,
    from: [i64; 2],
    max_bytes: usize,
    partition_max_bytes: usize,
    wanted: [&'static [i64]; 2],
}

const CASES: [Case; 7] = [
    Case {
        what: "everything",
        from: [0, 0],
        max_bytes: 10 << 20,
        partition_max_bytes: 1 << 20,
        wanted: [&[0, 1, 2], &[0, 1, 2]],
    },
    Case {
        what: "the first batch whole, though above both budgets, and no other",
        from: [0, 0],
        max_bytes: 1,
        partition_max_bytes: 1,
        wanted: [&[0], &[]],
    },
    Case {
        what: "the first batch whole, though above its partition's budget",
        from: [1, 1],
        max_bytes: 10 << 20,
        partition_max_bytes: RECORD_BYTES + 1_000,
        wanted: [&[1], &[]],
    },
    Case {
        what: "a partition's budget",
        from: [0, 0],
        max_bytes: 10 << 20,
        partition_max_bytes: 3 * RECORD_BYTES + 1_000,
        wanted: [&[0, 1], &[0, 1]],
    },
    Case {
        what: "the request's budget, used up by the first partition",
        from: [0, 0],
        max_bytes: 3 * RECORD_BYTES + 1_000,
        partition_max_bytes: 1 << 20,
        wanted: [&[0, 1], &[]],
    },
    Case {
        what: "an empty partition uses nothing up",
        from: [3, 0],
        max_bytes: 1,
        partition_max_bytes: 1,
        wanted: [&[], &[0]],
    },
    Case {
        what: "what is left of the request's budget",
        from: [2, 0],
        max_bytes: 2 * RECORD_BYTES + 1_000,
        partition_max_bytes: 1 << 20,
        wanted: [&[2], &[0]],
    },
];

#[test]
fn budgets_are_obeyed_and_the_first_batch_comes_whole() {
    everywhere(|site| {
        let (mut client, topic) = filled(site)?;
        for case in &CASES {
            let mut request = topic.fetch(12, &[(0, case.from[0]), (1, case.from[1])]);
            request.max_bytes = i32::try_from(case.max_bytes).expect("small");
            for partition in &mut request.topics[0].partitions {
                partition.partition_max_bytes =
                    i32::try_from(case.partition_max_bytes).expect("small");
            }
            let (offsets, _) = fetched(&mut client, &request)?;
            same(offsets, case.wanted.map(<[i64]>::to_vec), case.what)?;
        }
        Ok(())
    });
}

#[test]
fn no_budget_is_exceeded_but_by_the_first_batch() {
    everywhere(|site| {
        let (mut client, topic) = filled(site)?;
        for budget in (20_000..900_000).step_by(70_000) {
            let mut request = topic.fetch(12, &[(0, 0), (1, 0)]);
            request.max_bytes = i32::try_from(budget).expect("small");
            let (offsets, bytes) = fetched(&mut client, &request)?;
            let first = offsets.iter().map(Vec::len).sum::<usize>() == 1;
            holds(bytes <= budget || first, (bytes, offsets), &format!("at most {budget}"))?;
        }
        Ok(())
    });
}

#[test]
fn an_empty_answer_has_empty_records_in_every_version() {
    everywhere(|site| {
        let topic = site.topic("t", &[])?;
        let mut client = site.client()?;
        for version in 4..=18 {
            // Nothing there, beyond the end, and no such partition.
            let answer = client.ask(version, &topic.fetch(version, &[(0, 0), (1, 9), (7, 0)]))?;
            let parts: Vec<_> =
                answer.responses.into_iter().flat_map(|topic| topic.partitions).collect();
            let mut told: Vec<_> =
                parts.iter().map(|part| (part.partition_index, part.error_code)).collect();
            told.sort_unstable();
            let (beyond, unknown) = (error::OFFSET_OUT_OF_RANGE, error::UNKNOWN_TOPIC_OR_PARTITION);
            same(told, [(0, 0), (1, beyond), (7, unknown)], &format!("version {version}"))?;
            for part in parts {
                same(part.records, Some(Bytes::new()), &format!("version {version}"))?;
            }
        }
        Ok(())
    });
}

#[test]
fn too_little_waits_as_long_as_it_may_and_more_ends_the_wait() {
    everywhere(|site| {
        let topic = site.topic("t", &[])?;
        let mut client = site.client()?;
        client.append(&topic, 0, &Batch::of(&["one"]))?;
        let mut request = topic.fetch(12, &[(0, 0), (1, 0)]);
        (request.min_bytes, request.max_wait_ms) = (1_000, 300);
        let asked = Instant::now();
        let (offsets, _) = fetched(&mut client, &request)?;
        same(offsets, [vec![0], vec![]], "what there is")?;
        let waited = asked.elapsed();
        holds(Duration::from_millis(290) <= waited, waited, "it waits")?;
        request.max_wait_ms = 9_000;
        let asked = Instant::now();
        client.say(12, &request)?;
        site.client()?.append(&topic, 1, &Batch::sized(1_000))?;
        let answer = client.answer::<FetchRequestData>(12)?;
        let parts = answer.responses.iter().flat_map(|topic| &topic.partitions);
        let brought = parts.filter(|part| part.records.as_ref().is_some_and(|all| all.len() > 900));
        same(brought.count(), 1, "the partition that grew")?;
        let waited = asked.elapsed();
        holds(waited < Duration::from_secs(5), waited, "news end the wait")
    });
}
