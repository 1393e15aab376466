//! A plane with shards that keep shares and nothing else.

use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use evenkeel_admin::{
    About, Ask, Client, GroupReading, GroupShares, Inbox, RequestReading, Running, ShardReading,
    Starting, mailbox, start,
};

pub(crate) const GROUPS: [&str; 3] = ["system", "produce", "compaction"];
const BEGIN: [GroupShares; 3] = [
    GroupShares { cpu: 2000, io: 2000, is_held: false },
    GroupShares { cpu: 1000, io: 1000, is_held: false },
    GroupShares { cpu: 50, io: 60, is_held: false },
];

/// What a shard holds, and what it was told, in order.
#[derive(Debug)]
pub(crate) struct Shard {
    pub(crate) groups: [GroupShares; 3],
    pub(crate) changes: Vec<(usize, GroupShares)>,
    pub(crate) readings: u32,
}

pub(crate) struct World {
    pub(crate) plane: Option<Running>,
    pub(crate) address: SocketAddr,
    pub(crate) shards: Vec<Arc<Mutex<Shard>>>,
    threads: Vec<JoinHandle<()>>,
    /// Inboxes of shards that say nothing.
    _deaf: Vec<Inbox>,
}

impl World {
    /// `shards` shards that answer, then `deaf` ones that do not.
    pub(crate) fn new(shards: u16, deaf: u16) -> World {
        let (mailbox, mut inboxes) = mailbox(shards + deaf);
        let _deaf = inboxes.split_off(shards.into());
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let about = About {
            version: "1.2.3",
            kafka_address: "127.0.0.1:9092".to_owned(),
            groups: GROUPS.to_vec(),
        };
        let starting = Starting { listener, about, mailbox };
        let plane = Some(start(starting, |why| panic!("{why}")).expect("it is done"));
        let begin = || Shard { groups: BEGIN, changes: Vec::new(), readings: 0 };
        let shards: Vec<_> = inboxes.iter().map(|_| Arc::new(Mutex::new(begin()))).collect();
        let threads = inboxes
            .into_iter()
            .zip(&shards)
            .map(|(inbox, shard)| (inbox, Arc::clone(shard)))
            .map(|(inbox, shard)| thread::spawn(move || serve(inbox, &shard)))
            .collect();
        World { plane, address, shards, threads, _deaf }
    }

    pub(crate) fn client(&self) -> Client {
        Client::connect(&self.address.to_string()).expect("it accepts")
    }

    /// What each shard holds of a group.
    pub(crate) fn held(&self, group: usize) -> Vec<GroupShares> {
        self.shards
            .iter()
            .map(|shard| shard.lock().expect("nobody panicked").groups[group])
            .collect()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if let Some(plane) = self.plane.take() {
            plane.stop();
        }
        for thread in self.threads.drain(..) {
            thread.join().expect("it does not panic");
        }
    }
}

fn serve(mut inbox: Inbox, shard: &Mutex<Shard>) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(async {
        while let Some(ask) = inbox.next().await {
            let mut shard = shard.lock().expect("nobody panicked");
            match ask {
                Ask::Read(reply) => {
                    shard.readings += 1;
                    reply.send(reading(&shard.groups));
                }
                Ask::SetShares { group, change, hold, reply } => {
                    let it = &mut shard.groups[group];
                    it.cpu = change.cpu.unwrap_or(it.cpu);
                    it.io = change.io.unwrap_or(it.io);
                    it.is_held = hold.unwrap_or(it.is_held);
                    let it = *it;
                    shard.changes.push((group, it));
                    reply.send(it);
                }
            }
        }
    });
}

fn reading(groups: &[GroupShares]) -> ShardReading {
    let of = |it: &GroupShares| GroupReading {
        shares: *it,
        cpu_used_ns: 7_000_000_000,
        ..GroupReading::default()
    };
    ShardReading {
        groups: groups.iter().map(of).collect(),
        requests: vec![RequestReading { name: "Produce", answered: 3, failed: 1 }],
        produced_bytes: 4096,
        ..ShardReading::default()
    }
}
