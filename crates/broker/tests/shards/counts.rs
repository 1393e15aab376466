//! What the shards count.

use record::{Builder, Codec};

use crate::world::on_two_shards;

#[test]
fn requests_errors_bytes_and_connections_are_counted() {
    on_two_shards(3, async |cluster| {
        let mut builder = Builder::new(Codec::None);
        builder.record(-1, None, Some(b"value"), &[]);
        let batch = builder.build();
        let bytes = u64::try_from(batch.len()).unwrap();
        let mut client = cluster.connect(0);
        let id = client.topic("t", 2).await;
        for partition in 0..2 {
            assert_eq!(client.produce("t", partition, &batch).await, Some(0));
        }
        assert_eq!(client.produce("unknown", 0, &batch).await, Some(3));
        let before: Vec<_> = cluster.shards.iter().map(|(shard, _)| shard.reading()).collect();
        let fetched = u64::try_from(client.fetch(id, 0).await).unwrap();
        let here = cluster.shards[0].0.reading();
        let there = cluster.shards[1].0.reading();

        let produces = here.requests[0];
        assert_eq!((produces.key.name(), produces.answered, produces.failed), ("Produce", 3, 1));
        assert_eq!([&here, &there].map(|it| it.produced_bytes), [bytes; 2], "by owner");
        assert_eq!(here.fetched_bytes - before[0].fetched_bytes, fetched, "by connection");
        assert_eq!((there.fetched_bytes, there.requests[0].answered), (0, 0));
        assert_eq!((here.connections_open, here.connections_accepted), (1, 1));
        let took = here.latencies[env::Group::Produce as usize];
        assert_eq!(took.counts.iter().sum::<u64>(), 3);
        assert!(0 < took.sum_ns, "a produce waits for its flush");
        assert!([&here, &there].iter().all(|it| 0 < it.journal_flushes), "{here:?} {there:?}");
        assert!(0 < here.memory_used_bytes && here.memory_limit_bytes == 16 << 20);
    });
}
