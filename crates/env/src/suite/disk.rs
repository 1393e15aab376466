//! Files and directories.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use buf::{PAGE, Sealed, page_up};

use crate::sync::all;
use crate::{Disk, Env, File, Group, IoFailure, OpenMode, read_all, replace_file};

const GROUP: Group = Group::Produce;

/// Everything that the documentation of [`Disk`] and [`File`] promises, but durability. Works in
/// a directory `suite-disk` of its own, which must not exist and does not at the end.
///
/// # Panics
/// If the world breaks a promise.
pub async fn disk_suite<E: Env>(env: &E) {
    let root = Path::new("suite-disk");
    env.disk().create_dir(root).await.expect("a directory can be created");
    opening(env, root).await;
    reading_and_writing(env, root).await;
    lengths(env, root).await;
    names(env, root).await;
    directories(env, root).await;
    for mode in [OpenMode::create(), OpenMode::create().direct()] {
        aligned(env, root, mode).await;
        many_in_flight(env, root, mode).await;
        dropped(env, root, mode).await;
    }
    whole_files(env, root).await;
    if let Some(space) = env.disk().space().await.expect("the device can say its size") {
        assert!(space.usable_bytes <= space.total_bytes, "{space:?}");
    }
    for entry in env.disk().list(root).await.expect("the directory is there") {
        env.disk().remove_file(&root.join(entry.name)).await.expect("the file is there");
    }
    env.disk().remove_dir(root).await.expect("the directory is empty");
    assert_eq!(env.disk().stat(root).await, Ok(None), "a removed directory is gone");
}

fn kind<T>(result: Result<T, IoFailure>) -> Option<ErrorKind> {
    result.err().map(|failure| failure.kind)
}

/// A page-aligned view of `len` bytes, each of them `byte`.
fn bytes<E: Env>(env: &E, len: usize, byte: u8) -> Sealed {
    let mut buffer = env.pool().buffer(len).expect("the suite needs little memory");
    buffer.as_mut_slice()[..len].fill(byte);
    buffer.seal(len)
}

async fn read<E: Env>(env: &E, file: &FileOf<E>, position: u64, len: usize) -> Vec<u8> {
    let buffer = env.pool().buffer(len).expect("the suite needs little memory");
    let (n, buffer) = file.read_at(buffer, len, position, GROUP).await;
    buffer.as_slice()[..n.expect("reading works")].to_vec()
}

type FileOf<E> = <<E as Env>::Disk as Disk>::File;

async fn opening<E: Env>(env: &E, root: &Path) {
    let disk = env.disk();
    let path = root.join("opening");
    let missing = disk.open(&path, OpenMode::existing()).await;
    assert_eq!(kind(missing), Some(ErrorKind::NotFound), "existing() does not create");
    let first = disk.open(&path, OpenMode::create()).await.expect("create() creates");
    assert_eq!(first.len().await, Ok(0));
    let again = disk.open(&path, OpenMode::create()).await.expect("create() opens what is there");
    first.write_at(Sealed::of_static(b"seen"), 0, GROUP).await.expect("writing works");
    assert_eq!(read(env, &again, 0, 4).await, b"seen", "two handles are one file");
    let taken = disk.open(&path, OpenMode::new_file()).await;
    assert_eq!(kind(taken), Some(ErrorKind::AlreadyExists), "new_file() insists on a new one");
    let lost = disk.open(&root.join("nowhere/file"), OpenMode::create()).await;
    assert_eq!(kind(lost), Some(ErrorKind::NotFound), "a missing parent is not created");
    let failure = disk.open(&path, OpenMode::new_file()).await.err().expect("checked above");
    assert_eq!((failure.op, failure.path), ("open", path), "a failure says what and where");
}

async fn reading_and_writing<E: Env>(env: &E, root: &Path) {
    let path = root.join("bytes");
    let file = env.disk().open(&path, OpenMode::new_file()).await.expect("it is new");
    assert_eq!(file.alignment(), 1, "a buffered file takes any position");
    file.write_at(bytes(env, 10, 1), 5, GROUP).await.expect("writing works");
    assert_eq!(file.len().await, Ok(15), "a write extends the file to its end");
    assert_eq!(read(env, &file, 0, 6).await, [0, 0, 0, 0, 0, 1], "a hole reads as zeros");
    assert_eq!(read(env, &file, 13, 100).await, [1, 1], "a read is short at the end only");
    assert_eq!(read(env, &file, 15, 100).await, [], "there is nothing at the end");
    assert_eq!(read(env, &file, 1 << 30, 100).await, [], "there is nothing beyond the end");
    file.write_at(bytes(env, 2, 2), 6, GROUP).await.expect("writing works");
    assert_eq!(file.len().await, Ok(15), "a write inside does not change the length");
    assert_eq!(read(env, &file, 5, 5).await, [1, 2, 2, 1, 1]);
    file.write_at(Sealed::EMPTY, 3, GROUP).await.expect("writing nothing works");
    file.sync(GROUP).await.expect("a sync works");
    file.clone().sync(GROUP).await.expect("a sync of nothing works");
    assert_eq!(read(env, &file, 5, 5).await, [1, 2, 2, 1, 1], "a sync changes nothing");
    let part = bytes(env, 100, 7).slice(90..95);
    file.write_at(part, 0, GROUP).await.expect("a part of a buffer can be written");
    assert_eq!(read(env, &file, 0, 6).await, [7, 7, 7, 7, 7, 1]);
}

async fn lengths<E: Env>(env: &E, root: &Path) {
    let path = root.join("lengths");
    let file = env.disk().open(&path, OpenMode::new_file()).await.expect("it is new");
    file.write_at(bytes(env, 9000, 3), 0, GROUP).await.expect("writing works");
    file.set_len(4100).await.expect("a file can be cut");
    assert_eq!(file.len().await, Ok(4100));
    file.set_len(9000).await.expect("a file can be extended");
    let all = read(env, &file, 0, 9000).await;
    assert_eq!(all.len(), 9000);
    assert!(all[..4100].iter().all(|b| *b == 3), "a cut keeps what is before it");
    assert!(all[4100..].iter().all(|b| *b == 0), "what was cut off does not come back");
    file.allocate(20_000).await.expect("space can be allocated");
    assert_eq!(file.len().await, Ok(20_000), "allocate extends");
    let all = read(env, &file, 0, 20_000).await;
    assert!(all[..4100].iter().all(|b| *b == 3), "allocate keeps what is there");
    assert!(all[4100..].iter().all(|b| *b == 0), "allocated space reads as zeros");
    file.allocate(100).await.expect("space can be allocated");
    assert_eq!(file.len().await, Ok(20_000), "allocate never cuts");
    let stat = env.disk().stat(&path).await.expect("stat works").expect("it is there");
    assert_eq!((stat.is_dir, stat.len), (false, 20_000));
}

async fn names<E: Env>(env: &E, root: &Path) {
    let disk = env.disk();
    let (one, other) = (root.join("one"), root.join("other"));
    for (path, byte) in [(&one, 1), (&other, 2)] {
        let file = disk.open(path, OpenMode::new_file()).await.expect("it is new");
        file.write_at(bytes(env, 3, byte), 0, GROUP).await.expect("writing works");
    }
    let (first, replaced) = (
        disk.open(&one, OpenMode::existing()).await.expect("it is there"),
        disk.open(&other, OpenMode::existing()).await.expect("it is there"),
    );
    disk.rename(&one, &other).await.expect("a rename replaces");
    assert_eq!(disk.stat(&one).await, Ok(None), "the old name is gone");
    let named = disk.open(&other, OpenMode::existing()).await.expect("the new name is there");
    assert_eq!(read(env, &named, 0, 9).await, [1, 1, 1], "the new name has the renamed file");
    assert_eq!(read(env, &replaced, 0, 9).await, [2, 2, 2], "a replaced file can be read on");
    first.write_at(bytes(env, 1, 9), 3, GROUP).await.expect("a renamed file can be written on");
    assert_eq!(read(env, &named, 0, 9).await, [1, 1, 1, 9]);
    let missing = disk.rename(&one, &other).await;
    assert_eq!(kind(missing), Some(ErrorKind::NotFound), "a missing file cannot be renamed");
    disk.rename(&other, &other).await.expect("a rename to itself changes nothing");
    disk.remove_file(&other).await.expect("a file can be removed");
    assert_eq!(read(env, &named, 0, 9).await, [1, 1, 1, 9], "a removed file can be read on");
    assert_eq!(kind(disk.remove_file(&other).await), Some(ErrorKind::NotFound));
    assert_eq!(kind(disk.open(&other, OpenMode::existing()).await), Some(ErrorKind::NotFound));
}

async fn directories<E: Env>(env: &E, root: &Path) {
    let disk = env.disk();
    let dir = root.join("dir");
    disk.create_dir(&dir).await.expect("a directory can be created");
    disk.create_dir(&dir).await.expect("and again");
    let orphan = disk.create_dir(&root.join("no/dir")).await;
    assert_eq!(kind(orphan), Some(ErrorKind::NotFound), "a missing parent is not created");
    for name in ["b", "a", "c10", "c9"] {
        disk.open(&dir.join(name), OpenMode::new_file()).await.expect("it is new");
    }
    disk.create_dir(&dir.join("ab")).await.expect("a directory can be created");
    let entries = disk.list(&dir).await.expect("it is there");
    let found: Vec<(&str, bool)> = entries.iter().map(|e| (e.name.as_str(), e.is_dir)).collect();
    let want = [("a", false), ("ab", true), ("b", false), ("c10", false), ("c9", false)];
    assert_eq!(found, want, "a list is sorted by name");
    assert_eq!(kind(disk.list(&root.join("no")).await), Some(ErrorKind::NotFound));
    assert!(disk.list(Path::new("")).await.expect("the root is there").iter().any(|e| e.is_dir));
    let stat = disk.stat(&dir).await.expect("stat works").expect("it is there");
    assert_eq!((stat.is_dir, stat.len), (true, 0));
    assert!(disk.remove_dir(&dir).await.is_err(), "a directory with files stays");
    disk.sync_dir(&dir).await.expect("a directory can be synced");
    let moved = root.join("moved");
    disk.rename(&dir, &moved).await.expect("a directory can be renamed");
    disk.sync_dir(root).await.expect("a directory can be synced");
    let out = root.join("out");
    disk.rename(&moved.join("a"), &out).await.expect("a file can go to another directory");
    disk.remove_file(&out).await.expect("it went there");
    disk.remove_dir(&moved.join("ab")).await.expect("it is empty");
    for name in ["b", "c9", "c10"] {
        disk.remove_file(&moved.join(name)).await.expect("it is there");
    }
    disk.remove_dir(&moved).await.expect("it is empty");
    assert_eq!(kind(disk.remove_dir(&moved).await), Some(ErrorKind::NotFound));
}

/// What a direct file can do, and a buffered one as well.
async fn aligned<E: Env>(env: &E, root: &Path, mode: OpenMode) {
    let path = root.join("aligned");
    let file = env.disk().open(&path, mode).await.expect("it can be opened");
    assert!([1, PAGE].contains(&file.alignment()), "an alignment is a page or nothing");
    file.set_len(0).await.expect("a file can be cut");
    file.allocate(16 * PAGE as u64).await.expect("space can be allocated");
    file.write_at(bytes(env, 2 * PAGE, 4), PAGE as u64, GROUP).await.expect("writing works");
    let all = read(env, &file, 0, 4 * PAGE).await;
    assert_eq!(all.len(), 4 * PAGE);
    let pages: Vec<u8> = all.chunks(PAGE).map(|page| page[17]).collect();
    assert_eq!(pages, [0, 4, 4, 0]);
    file.set_len(3 * PAGE as u64 - 5).await.expect("a file can be cut inside a page");
    let tail = read(env, &file, 2 * PAGE as u64, 2 * PAGE).await;
    assert_eq!(tail, vec![4; PAGE - 5], "a read ends with the file, inside a page too");
    let buffered = env.disk().open(&path, OpenMode::existing()).await.expect("it is there");
    assert_eq!(read(env, &buffered, 2 * PAGE as u64, 3).await, [4, 4, 4], "both are one file");
    file.sync(GROUP).await.expect("a sync works");
}

async fn many_in_flight<E: Env>(env: &E, root: &Path, mode: OpenMode) {
    let path = root.join("many");
    let file = env.disk().open(&path, mode).await.expect("it can be opened");
    let writes = (0..32_u8).map(|n| {
        let data = bytes(env, PAGE, n);
        let file = &file;
        async move { file.write_at(data, u64::from(n) * PAGE as u64, GROUP).await }
    });
    for result in all(writes.collect()).await {
        result.expect("writing works");
    }
    file.sync(GROUP).await.expect("a sync works");
    let reads = (0..32_u8).map(|n| read(env, &file, u64::from(n) * PAGE as u64, PAGE));
    for (n, page) in all(reads.collect()).await.into_iter().enumerate() {
        assert_eq!(page.len(), PAGE);
        assert!(page.iter().all(|byte| usize::from(*byte) == n), "page {n} is as written");
    }
}

/// Futures that are dropped while their operation is under way.
async fn dropped<E: Env>(env: &E, root: &Path, mode: OpenMode) {
    let path = root.join("dropped");
    let file = env.disk().open(&path, mode).await.expect("it can be opened");
    file.write_at(bytes(env, PAGE, 1), 0, GROUP).await.expect("writing works");
    env.pool().collect();
    let used = env.pool().used();
    for n in 0..8 {
        let write = pin!(file.write_at(bytes(env, PAGE, 6), 0, GROUP));
        let buffer = env.pool().buffer(PAGE).expect("the suite needs little memory");
        let read = pin!(file.read_at(buffer, PAGE, 0, GROUP));
        let (mut write, mut read) = (Some(write), Some(read));
        std::future::poll_fn(|context| {
            if n % 2 == 0 {
                let _ = write.as_mut().map(|write| write.as_mut().poll(context));
            }
            let _ = read.as_mut().map(|read| read.as_mut().poll(context));
            (write, read) = (None, None);
            Poll::Ready(())
        })
        .await;
    }
    let mut patience = 1000;
    while env.pool().used() > used && patience > 0 {
        env.sleep(Duration::from_millis(1)).await;
        env.pool().collect();
        patience -= 1;
    }
    assert_eq!(env.pool().used(), used, "buffers come back when their operations are over");
    let page = read(env, &file, 0, PAGE).await;
    assert!(page.iter().all(|b| *b == 6) || page.iter().all(|b| *b == 1), "whole or not at all");
}

async fn whole_files<E: Env>(env: &E, root: &Path) {
    let path = root.join("whole");
    assert_eq!(read_all(env, &path, 100, GROUP).await, Ok(None));
    for content in [&b"first content"[..], b"second"] {
        replace_file(env, &path, content, GROUP).await.expect("replacing works");
        let found = read_all(env, &path, 100, GROUP).await;
        assert_eq!(found, Ok(Some(content.to_vec())));
    }
    assert_eq!(kind(read_all(env, &path, 5, GROUP).await), Some(ErrorKind::FileTooLarge));
    let large: Vec<u8> =
        (0..page_up(150_000)).map(|n| u8::try_from(n % 251).expect("small")).collect();
    replace_file(env, &path, &large, GROUP).await.expect("replacing works");
    assert_eq!(read_all(env, &path, 1 << 20, GROUP).await, Ok(Some(large)));
    let names = env.disk().list(root).await.expect("it is there");
    let mut names = names.into_iter().map(|entry| PathBuf::from(entry.name));
    assert!(names.all(|name| name.extension().is_none()), "no temporary file is left");
}
