//! An echo server on every processor: `cargo run --example echo -- 127.0.0.1:7007 [shards]`, with
//! `hog` as a third argument also background work that takes all that is left.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use env::{Env, Group, Stream};
use evenkeel_runtime::{Config, ShardEnv, TcpStream, run};

async fn echo(env: ShardEnv<()>, stream: TcpStream) -> std::io::Result<()> {
    loop {
        // Waits without a buffer, so that an idle connection costs none.
        stream.readable().await?;
        let buffer = env.pool().buffer(64 << 10).map_err(std::io::Error::other)?;
        let (read, buffer) = stream.read(buffer, 0, 64 << 10).await;
        match read? {
            0 => return Ok(()),
            read => stream.write_all(vec![buffer.seal(read)]).await?,
        }
    }
}

async fn hog(env: ShardEnv<()>) {
    loop {
        let start = Instant::now();
        while start.elapsed() < Duration::from_micros(20) {
            std::hint::spin_loop();
        }
        env.yield_if_needed().await;
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let addr: SocketAddr = args.next().as_deref().unwrap_or("127.0.0.1:7007").parse()?;
    let shards = args.next().as_deref().unwrap_or("2").parse()?;
    let hogs = if args.next().is_some() { 64 } else { 0 };
    run(Config::new(shards, std::env::temp_dir()), move |env: ShardEnv<()>| async move {
        for _ in 0..hogs {
            env.spawn(Group::Compaction, hog(env.clone()));
        }
        let listener = env.listen(addr).expect("the address is free");
        while let Ok(stream) = listener.accept().await {
            let served = env.clone();
            env.spawn(Group::Fetch, async move {
                let _ = echo(served, stream).await;
            });
        }
    })?;
    Ok(())
}
