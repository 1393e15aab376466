//! Two whole-file operations that every world can do with the trait alone.

use std::io;
use std::path::{Path, PathBuf};

use crate::{Disk, Env, File, Group, IoFailure, OpenMode};

/// The content of a small file, at most `max` bytes; `None` if it does not exist. A larger file
/// fails with `FileTooLarge` and is not read.
pub async fn read_all<E: Env>(
    env: &E,
    path: &Path,
    max: usize,
    group: Group,
) -> Result<Option<Vec<u8>>, IoFailure> {
    let file = match env.disk().open(path, OpenMode::existing()).await {
        Ok(file) => file,
        Err(failure) if failure.kind == io::ErrorKind::NotFound => return Ok(None),
        Err(failure) => return Err(failure),
    };
    let len = usize::try_from(file.len().await?).unwrap_or(usize::MAX);
    if max < len {
        return Err(IoFailure::of_kind("read", path, io::ErrorKind::FileTooLarge));
    }
    let mut content = Vec::with_capacity(len);
    while content.len() < len {
        let want = (len - content.len()).min(64 << 10);
        let buffer = env
            .pool()
            .buffer(want)
            .map_err(|_| IoFailure::of_kind("read", path, io::ErrorKind::OutOfMemory))?;
        let (read, buffer) = file.read_at(buffer, want, content.len() as u64, group).await;
        let read = read?;
        if read == 0 {
            break;
        }
        content.extend_from_slice(&buffer.as_slice()[..read]);
    }
    Ok(Some(content))
}

/// Replaces the content of `path` so that after a power cut it is either the old or the new one:
/// writes `path` with `.tmp` appended, syncs it, renames it, syncs the directory. When this
/// returns `Ok` the new content is durable.
pub async fn replace_file<E: Env>(
    env: &E,
    path: &Path,
    content: &[u8],
    group: Group,
) -> Result<(), IoFailure> {
    let mut name = path.as_os_str().to_owned();
    name.push(".tmp");
    let temporary = PathBuf::from(name);
    let file = env.disk().open(&temporary, OpenMode::create()).await?;
    file.set_len(0).await?;
    for (index, part) in content.chunks(64 << 10).enumerate() {
        let mut buffer = env
            .pool()
            .buffer(part.len())
            .map_err(|_| IoFailure::of_kind("write", path, io::ErrorKind::OutOfMemory))?;
        buffer.as_mut_slice()[..part.len()].copy_from_slice(part);
        let position = (index as u64) * (64 << 10);
        file.write_at(buffer.seal(part.len()), position, group).await?;
    }
    file.sync(group).await?;
    env.disk().rename(&temporary, path).await?;
    env.disk().sync_dir(path.parent().unwrap_or(Path::new(""))).await
}
