//! Small files of the data directory beside log and snapshots, over the disk seam.
//! Promise: a file is there completely and durably, or not at all.
//! Not here: identity (`store`), what the files mean (`found`, `join`, `cells`).

use std::io;
use std::path::Path;

use bytes::Bytes;
use runtime::{Create, DiskLane, Env, Open};

/// Far above a floor plan of 1 MiB with its envelope.
const FILE_BYTES_MAX: usize = 2 * 1024 * 1024;

/// The content of a file, or `None` if there is none.
pub(crate) async fn read(env: &Env, path: &Path) -> io::Result<Option<Bytes>> {
    let open = Open {
        create: Create::Never,
        lane: DiskLane::Bulk,
    };
    match env.disk.open(path, open).await {
        Ok(file) => Ok(Some(file.read_at(0, FILE_BYTES_MAX).await?)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Writes a file durably, replacing it.
pub(crate) async fn write(env: &Env, dir: &Path, name: &str, content: Bytes) -> io::Result<()> {
    let draft = dir.join(format!("{name}.new"));
    let open = Open {
        create: Create::IfMissing,
        lane: DiskLane::Bulk,
    };
    let file = env.disk.open(&draft, open).await?;
    file.truncate(0).await?;
    file.write_at(0, content).await?;
    file.sync().await?;
    drop(file);
    env.disk.rename(&draft, &dir.join(name)).await?;
    env.disk.sync_dir(dir).await
}

/// Removes a file durably; one that is not there is no error.
pub(crate) async fn remove(env: &Env, dir: &Path, name: &str) -> io::Result<()> {
    match env.disk.remove(&dir.join(name)).await {
        Ok(()) => env.disk.sync_dir(dir).await,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}
