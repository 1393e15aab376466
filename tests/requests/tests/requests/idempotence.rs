//! Idempotent producers: duplicates, gaps and epochs, also after a restart.

use evenkeel_requests::{Batch, Client, Site, Topic, error, everywhere, m, same, text};
use kit::{Failure, Outcome};
use m::init_producer_id_request::InitProducerIdRequestData;

/// Batches of two records that a producer sends one after the other; as many as are remembered.
const SENT: i32 = 5;

/// A producer with its id and where its batches went.
struct Producer {
    topic: Topic,
    id: i64,
}

impl Producer {
    fn new(site: &Site, name: &str) -> Outcome<Producer> {
        let request = InitProducerIdRequestData {
            transaction_timeout_ms: 60_000,
            producer_id: -1,
            producer_epoch: -1,
            ..InitProducerIdRequestData::default()
        };
        let given = site.client()?.ask(4, &request)?;
        if given.error_code != error::NONE || given.producer_epoch != 0 {
            return Err(Failure::new(format!("InitProducerId answered {given:?}")));
        }
        Ok(Producer { topic: site.topic(name, &[])?, id: given.producer_id })
    }

    /// Error and base offset of a batch of two records.
    fn send(
        &self,
        client: &mut Client,
        partition: i32,
        (epoch, sequence): (i16, i32),
    ) -> Outcome<(i16, i64)> {
        let batch = Batch::of(&[format!("{epoch}-{sequence}"), "second".to_owned()])
            .from(self.id, epoch, sequence);
        let part = client.produce(&self.topic, partition, &batch.bytes())?;
        Ok((part.error_code, part.base_offset))
    }

    /// Sends the first batches to both partitions.
    fn begin(&self, client: &mut Client) -> Outcome<()> {
        for partition in [0, 1] {
            for batch in 0..SENT {
                let sent = self.send(client, partition, (0, batch * 2))?;
                same(sent, (error::NONE, i64::from(batch * 2)), "a batch in sequence")?;
            }
        }
        Ok(())
    }

    /// What must be answered from now on, in this order, when so many of the last batches are
    /// remembered. Only the new epoch is appended.
    fn check(&self, client: &mut Client, remembered: i32, after: &str) -> Outcome<()> {
        let next = SENT * 2;
        let gap = (error::OUT_OF_ORDER_SEQUENCE_NUMBER, -1);
        let fenced = (error::INVALID_PRODUCER_EPOCH, -1);
        for partition in [0, 1] {
            let mut expect = |what: &str, place, wanted| {
                let sent = self.send(client, partition, place)?;
                same(sent, wanted, &format!("{what} of partition {partition} {after}"))
            };
            for batch in 0..SENT {
                let known = SENT - remembered <= batch;
                let wanted = if known { (error::NONE, i64::from(batch * 2)) } else { gap };
                expect("a duplicate", (0, batch * 2), wanted)?;
            }
            expect("a gap", (0, next + 1), gap)?;
            expect("a part of a batch", (0, 1), gap)?;
            expect("a new epoch that does not begin at 0", (1, 2), gap)?;
            expect("a new epoch", (1, 0), (error::NONE, i64::from(next)))?;
            expect("an old epoch", (0, next), fenced)?;
            expect("a duplicate of the new epoch", (1, 0), (error::NONE, i64::from(next)))?;
            let end = client.offset(&self.topic, partition, -1)?.offset;
            same(end, i64::from(next + 2), &format!("the end {after}"))?;
        }
        Ok(())
    }
}

#[test]
fn duplicates_gaps_and_epochs_are_answered_as_kafka_does() {
    everywhere(|site| {
        let producer = Producer::new(site, "t")?;
        let mut client = site.client()?;
        producer.begin(&mut client)?;
        producer.check(&mut client, SENT, "at once")
    });
}

// Kafka forgets all but the last: its producer snapshot, which a clean stop writes, has room for no more.
#[test]
fn a_clean_restart_forgets_no_batch() {
    everywhere(|site| {
        let producer = Producer::new(site, "t")?;
        producer.begin(&mut site.client()?)?;
        site.broker.stop()?;
        site.broker.restart()?;
        producer.check(&mut site.client()?, SENT, "after a clean restart")
    });
}

#[test]
fn a_kill_forgets_no_batch() {
    everywhere(|site| {
        let producer = Producer::new(site, "t")?;
        producer.begin(&mut site.client()?)?;
        site.broker.kill()?;
        site.broker.restart()?;
        producer.check(&mut site.client()?, SENT, "after a kill")
    });
}

#[test]
fn the_sixth_batch_back_is_no_duplicate_any_more() {
    everywhere(|site| {
        let producer = Producer::new(site, "t")?;
        let mut client = site.client()?;
        producer.begin(&mut client)?;
        same(producer.send(&mut client, 0, (0, SENT * 2))?.0, error::NONE, "the sixth")?;
        let sent = producer.send(&mut client, 0, (0, 0))?;
        same(sent.0, error::OUT_OF_ORDER_SEQUENCE_NUMBER, "the first of six")
    });
}

#[test]
fn the_sequence_wraps_to_zero() {
    everywhere(|site| {
        let topic = site.topic("t", &[])?;
        let mut client = site.client()?;
        let mut send = |sequence| {
            let batch = Batch::of(&["a", "b"]).from(77, 0, sequence);
            client.produce(&topic, 1, &batch.bytes()).map(|part| part.error_code)
        };
        // A partition that does not know the producer takes any sequence (its state may have
        // expired), as Kafka does.
        same(send(i32::MAX - 1)?, error::NONE, "the last two")?;
        same(send(1)?, error::OUT_OF_ORDER_SEQUENCE_NUMBER, "one too far")?;
        same(send(0)?, error::NONE, "the first two")
    });
}

#[test]
fn one_producer_id_is_given_once() {
    everywhere(|site| {
        let mut given = Vec::new();
        for round in 0..3 {
            for _ in 0..20 {
                given.push(Producer::new(site, &format!("t{round}-{}", given.len()))?.id);
            }
            match round {
                0 => site.broker.stop()?,
                1 => site.broker.kill()?,
                _ => return distinct(given),
            }
            site.broker.restart()?;
        }
        Ok(())
    });
}

fn distinct(mut ids: Vec<i64>) -> Outcome<()> {
    let many = ids.len();
    ids.sort_unstable();
    ids.dedup();
    same(ids.len(), many, "different ids")
}

#[test]
fn a_transactional_id_has_no_coordinator_yet() {
    everywhere(|site| {
        let request = InitProducerIdRequestData {
            transactional_id: Some(text("tx")),
            transaction_timeout_ms: 60_000,
            producer_id: -1,
            producer_epoch: -1,
            ..InitProducerIdRequestData::default()
        };
        // COORDINATOR_NOT_AVAILABLE: retriable, and no id is given.
        let answer = site.client()?.ask(5, &request)?;
        same((answer.error_code, answer.producer_id), (15, -1), "a transactional id")
    });
}
