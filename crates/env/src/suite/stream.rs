//! Connections.

use std::time::Duration;

use buf::Sealed;

use crate::sync::oneshot;
use crate::{Env, Group, Stream};

/// How many bytes go each way.
const BYTES: usize = 600_000;

/// Everything that the documentation of [`Stream`] promises, on connections that `connect`
/// makes: both ends of a new one each time.
///
/// # Panics
/// If the world breaks a promise.
pub async fn stream_suite<E: Env, S: Stream>(env: &E, mut connect: impl AsyncFnMut() -> (S, S)) {
    let (one, other) = connect().await;
    assert!(!one.peer().is_empty() && !other.peer().is_empty(), "a peer has a name");
    both_ways(env, &one, &other).await;
    readiness(env, &one, &other).await;
    the_last_bytes_arrive(env, one, &other).await;
    let (one, other) = connect().await;
    closing_ends_a_read(env, &one).await;
    drop(other);
    let (one, other) = connect().await;
    closing_ends_a_write(env, one, other).await;
}

/// The byte at `place` of what is sent.
fn byte(place: usize, salt: usize) -> u8 {
    u8::try_from((place + salt) * 31 % 251).expect("below 251")
}

fn data<E: Env>(env: &E, from: usize, len: usize, salt: usize) -> Sealed {
    let mut buffer = env.pool().buffer(len).expect("the suite needs little memory");
    for (at, to) in buffer.as_mut_slice()[..len].iter_mut().enumerate() {
        *to = byte(from + at, salt);
    }
    buffer.seal(len)
}

async fn write_all<E: Env, S: Stream>(env: &E, to: &S, salt: usize) {
    let mut sent = 0;
    let mut len = 1;
    while sent < BYTES {
        let n = len.min(BYTES - sent);
        let half = n / 2;
        let parts = vec![
            data(env, sent, half, salt),
            Sealed::EMPTY,
            data(env, sent + half, n - half, salt),
        ];
        to.write_all(parts).await.expect("the peer reads");
        sent += n;
        len = (len * 3).min(100_000);
    }
}

async fn read_all<E: Env, S: Stream>(env: &E, from: &S, salt: usize) {
    let mut buffer = env.pool().buffer(8192).expect("the suite needs little memory");
    let mut seen = 0;
    while seen < BYTES {
        let at = seen % 100;
        buffer.as_mut_slice()[..at].fill(255);
        let (read, back) = from.read(buffer, at, 8000.min(BYTES - seen)).await;
        buffer = back;
        let n = read.expect("the peer writes");
        assert!(n > 0, "the end is not reached before it");
        assert!(buffer.as_slice()[..at].iter().all(|b| *b == 255), "a read begins at its place");
        for (place, found) in buffer.as_slice()[at..at + n].iter().enumerate() {
            assert_eq!(*found, byte(seen + place, salt), "byte {} of the stream", seen + place);
        }
        seen += n;
    }
}

async fn both_ways<E: Env, S: Stream>(env: &E, one: &S, other: &S) {
    let mut ends = Vec::new();
    for (stream, salt) in [(one, 0), (other, 5)] {
        let (tell, told) = oneshot();
        ends.push(told);
        let (env, stream) = (env.clone(), stream.clone());
        env.clone().spawn(Group::Produce, async move {
            write_all(&env, &stream, salt).await;
            tell.send(());
        });
    }
    let (tell, told) = oneshot();
    ends.push(told);
    let (task, stream) = (env.clone(), other.clone());
    env.spawn(Group::Fetch, async move {
        read_all(&task, &stream, 0).await;
        tell.send(());
    });
    read_all(env, one, 5).await;
    for told in ends {
        told.await.expect("each direction ends");
    }
}

async fn readiness<E: Env, S: Stream>(env: &E, one: &S, other: &S) {
    let (tell, told) = oneshot();
    let (task, late) = (env.clone(), other.clone());
    env.spawn(Group::Produce, async move {
        task.sleep(Duration::from_millis(2)).await;
        late.write_all(vec![Sealed::of_static(b"x")]).await.expect("the peer reads");
        tell.send(());
    });
    let before = env.now();
    one.readable().await.expect("the peer writes");
    assert!(Duration::from_millis(2) <= env.now().since(before), "nothing was there before");
    one.readable().await.expect("what was not read is still there");
    let buffer = env.pool().buffer(10).expect("the suite needs little memory");
    let (read, buffer) = one.read(buffer, 0, 10).await;
    assert_eq!((read.expect("it is readable"), buffer.as_slice()[0]), (1, b'x'));
    told.await.expect("the writer ends");
}

/// What was written before a close is read before the end.
async fn the_last_bytes_arrive<E: Env, S: Stream>(env: &E, one: S, other: &S) {
    one.write_all(vec![Sealed::of_static(b"bye")]).await.expect("the peer is there");
    one.close();
    drop(one);
    let mut seen = Vec::new();
    loop {
        other.readable().await.expect("an end is readable too");
        let buffer = env.pool().buffer(10).expect("the suite needs little memory");
        let (read, buffer) = other.read(buffer, 0, 10).await;
        match read.expect("a close is an end, not an error") {
            0 => break,
            n => seen.extend_from_slice(&buffer.as_slice()[..n]),
        }
    }
    assert_eq!(seen, b"bye");
    other.close();
}

async fn closing_ends_a_read<E: Env, S: Stream>(env: &E, one: &S) {
    let (tell, told) = oneshot();
    let (task, reading) = (env.clone(), one.clone());
    env.spawn(Group::Fetch, async move {
        let buffer = task.pool().buffer(10).expect("the suite needs little memory");
        let (read, _buffer) = reading.read(buffer, 0, 10).await;
        tell.send(read.unwrap_or(0));
    });
    env.sleep(Duration::from_millis(1)).await;
    one.close();
    assert_eq!(told.await, Some(0), "a pending read ends when its own side closes");
    one.close();
}

async fn closing_ends_a_write<E: Env, S: Stream>(env: &E, one: S, other: S) {
    let (tell, told) = oneshot();
    let (task, writing) = (env.clone(), one.clone());
    env.spawn(Group::Fetch, async move {
        let mut rounds = 0;
        while writing.write_all(vec![data(&task, 0, 50_000, 0)]).await.is_ok() {
            rounds += 1;
            assert!(rounds < 10_000, "nobody reads, so writing does not go on for ever");
        }
        tell.send(());
    });
    env.sleep(Duration::from_millis(1)).await;
    other.close();
    drop(other);
    told.await.expect("a write ends when the peer closes");
    let more = one.write_all(vec![Sealed::of_static(b"more")]).await;
    assert!(more.is_err(), "nothing can be written to a closed peer");
}
