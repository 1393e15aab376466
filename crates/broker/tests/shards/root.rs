//! A sync of the data directory's root that failed.

use std::time::Duration;

use env::Env;
use env::sim::{Errno, Fault, Op};
use record::{Builder, Codec};

use crate::world::on_two_shards;

/// KAFKA_STORAGE_ERROR.
const STORAGE_ERROR: i16 = 56;

fn batch(value_bytes: usize) -> Vec<u8> {
    let mut builder = Builder::new(Codec::None);
    builder.record(-1, None, Some(&vec![7; value_bytes]), &[]);
    builder.build()
}

#[test]
fn nothing_depends_on_a_root_whose_sync_failed_once() {
    for errno in [Errno::Eio, Errno::Enospc] {
        on_two_shards(1, async |cluster| {
            let mut client = cluster.connect(0);
            let id = client.topic("before", 2).await;
            for partition in 0..2 {
                assert_eq!(client.produce("before", partition, &batch(100)).await, Some(0));
            }
            let fault = Fault::of(Op::SyncDir, errno);
            cluster.sim.disk().inject(fault.on(|path| path.as_os_str().is_empty()));
            client.topic("after", 2).await;
            // The device works again; each shard has one of the logs.
            for _ in 0..2 {
                for partition in 0..2 {
                    let code = client.produce("after", partition, &batch(100)).await;
                    assert_eq!(code, Some(STORAGE_ERROR), "its directory may not be there");
                }
            }
            // What does not need the root goes on, until the journal needs a checkpoint.
            let mut taken = 0;
            loop {
                match client.produce("before", 0, &batch(20_000)).await {
                    Some(0) => taken += 1,
                    code => break assert_eq!(code, Some(STORAGE_ERROR), "after {taken}"),
                }
                assert!(taken < 1_000, "the journal is never released");
            }
            assert!(0 < taken && 0 < client.fetch(id, 0).await, "reads go on");
            cluster.sim.client_env().sleep(Duration::from_secs(1)).await;
            cluster.shards[0].0.stop().await.expect_err("it must not be marked clean");
        });
    }
}
