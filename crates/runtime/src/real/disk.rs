//! The machine's disk, owned by two threads: one for commits, one for all else.
//! Promise: one hop to a thread and one back per operation; a slow bulk operation delays no commit.
//! Not here: formats, retries (a failed sync is never repeated: the kernel may have dropped the pages).

use std::fs::{self, File, FileType, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};

use crate::disk::{Commit, Create, Disk, DiskFile, DiskLane, DiskLock, Open, named};

/// Operations waiting for one thread. Callers wait for their answers, so this is reached by 256
/// callers at once; full means that they wait.
const WAITING_OPERATIONS_MAX: usize = 256;

type Job = Box<dyn FnOnce() + Send>;

/// One of the two threads. It ends when the disk and all its files are dropped.
#[derive(Clone)]
struct Worker {
    jobs: mpsc::Sender<Job>,
}

impl Worker {
    #[allow(
        clippy::disallowed_methods,
        reason = "the production disk owns its threads"
    )]
    fn start(name: &str) -> io::Result<Self> {
        let (jobs, mut queue) = mpsc::channel::<Job>(WAITING_OPERATIONS_MAX);
        thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || {
                while let Some(job) = queue.blocking_recv() {
                    job();
                }
            })?;
        Ok(Self { jobs })
    }

    async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        self.answer(move |reply| drop(reply.send(job()))).await
    }

    async fn answer<T: Send + 'static>(
        &self,
        job: impl FnOnce(oneshot::Sender<io::Result<T>>) + Send + 'static,
    ) -> io::Result<T> {
        let (reply, answer) = oneshot::channel();
        self.jobs
            .send(Box::new(move || job(reply)))
            .await
            .map_err(|_| thread_gone())?;
        answer.await.map_err(|_| thread_gone())?
    }
}

fn thread_gone() -> io::Error {
    io::Error::other("the disk's thread has ended")
}

/// The machine's disk.
pub struct RealDisk {
    commit: Worker,
    bulk: Worker,
}

impl RealDisk {
    /// Starts the two threads.
    pub fn start() -> io::Result<Self> {
        Ok(Self {
            commit: Worker::start("disk-commit")?,
            bulk: Worker::start("disk-bulk")?,
        })
    }

    async fn run<T: Send + 'static>(
        &self,
        operation: &'static str,
        path: &Path,
        job: impl FnOnce(&Path) -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let path = path.to_owned();
        self.bulk
            .run(move || job(&path).map_err(|error| named(error, operation, &path)))
            .await
    }
}

#[async_trait]
impl Disk for RealDisk {
    fn has_paths(&self) -> bool {
        true
    }

    async fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        self.run("make the directory", dir, make_durably).await
    }

    async fn open(&self, path: &Path, open: Open) -> io::Result<Arc<dyn DiskFile>> {
        let file = self
            .run("open", path, move |path| options(open.create).open(path))
            .await?;
        let worker = match open.lane {
            DiskLane::Commit => self.commit.clone(),
            DiskLane::Bulk => self.bulk.clone(),
        };
        let file = Arc::new(OpenFile {
            file,
            path: path.to_owned(),
            trailer_error: Mutex::new(None),
        });
        Ok(Arc::new(RealFile { file, worker }))
    }

    async fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let to = to.to_owned();
        self.run("rename", from, move |from| fs::rename(from, to))
            .await
    }

    async fn remove(&self, path: &Path) -> io::Result<()> {
        self.run("remove", path, |path| fs::remove_file(path)).await
    }

    async fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        self.run("list", dir, |dir| names_in(dir, FileType::is_file))
            .await
    }

    async fn list_dirs(&self, dir: &Path) -> io::Result<Vec<String>> {
        self.run("list", dir, |dir| names_in(dir, FileType::is_dir))
            .await
    }

    async fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.run("sync the directory", dir, |dir| File::open(dir)?.sync_all())
            .await
    }

    async fn free_space(&self, dir: &Path) -> io::Result<u64> {
        self.run("ask the free space of", dir, |dir| {
            let found = rustix::fs::statvfs(dir)?;
            Ok(found.f_bavail.saturating_mul(found.f_frsize))
        })
        .await
    }

    async fn lock(&self, path: &Path) -> io::Result<DiskLock> {
        self.run("lock", path, |path| {
            let file = options(Create::IfMissing).open(path)?;
            match file.try_lock() {
                Ok(()) => Ok(DiskLock::new(file)),
                Err(TryLockError::WouldBlock) => Err(io::ErrorKind::WouldBlock.into()),
                Err(TryLockError::Error(error)) => Err(error),
            }
        })
        .await
    }
}

/// A directory whose parent was not synced is gone after a power cut, with all that was synced in it.
fn make_durably(dir: &Path) -> io::Result<()> {
    let missing: Vec<&Path> = dir
        .ancestors()
        .take_while(|ancestor| !ancestor.exists())
        .collect();
    fs::create_dir_all(dir)?;
    for made in missing.iter().rev() {
        let parent = made
            .parent()
            .filter(|parent| !parent.as_os_str().is_empty());
        File::open(parent.unwrap_or(Path::new(".")))?.sync_all()?;
    }
    Ok(())
}

fn options(create: Create) -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true);
    match create {
        Create::Never => {}
        Create::IfMissing => drop(options.create(true)),
        Create::New => drop(options.create_new(true)),
    }
    options
}

fn names_in(dir: &Path, wanted: fn(&FileType) -> bool) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if wanted(&entry.file_type()?) {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    names.sort();
    Ok(names)
}

struct OpenFile {
    file: File,
    path: PathBuf,
    /// The error of a trailer, told by the next operation.
    trailer_error: Mutex<Option<io::Error>>,
}

struct RealFile {
    file: Arc<OpenFile>,
    worker: Worker,
}

impl RealFile {
    async fn run<T: Send + 'static>(
        &self,
        operation: &'static str,
        job: impl FnOnce(&File) -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let file = self.file.clone();
        self.worker.run(move || file.guarded(operation, job)).await
    }
}

impl OpenFile {
    fn guarded<T>(
        &self,
        operation: &'static str,
        job: impl FnOnce(&File) -> io::Result<T>,
    ) -> io::Result<T> {
        if let Some(error) = self.trailer_error.lock().take() {
            return Err(named(error, "write", &self.path));
        }
        job(&self.file).map_err(|error| named(error, operation, &self.path))
    }

    fn write_trailer(&self, offset: u64, trailer: &Bytes) {
        if let Err(error) = self.file.write_all_at(trailer, offset) {
            *self.trailer_error.lock() = Some(error);
        }
    }
}

#[async_trait]
impl DiskFile for RealFile {
    async fn write_at(&self, offset: u64, bytes: Bytes) -> io::Result<()> {
        self.run("write", move |file| file.write_all_at(&bytes, offset))
            .await
    }

    async fn commit(&self, commit: Commit) -> io::Result<()> {
        let file = self.file.clone();
        self.worker
            .answer(move |reply| {
                let Commit {
                    offset,
                    bytes,
                    trailer,
                } = commit;
                let synced = file
                    .guarded("write", |file| file.write_all_at(&bytes, offset))
                    .and_then(|()| file.guarded("sync", File::sync_data));
                let durable = synced.is_ok();
                // The caller may have gone; what it asked for is done all the same.
                drop(reply.send(synced));
                if durable && !trailer.is_empty() {
                    file.write_trailer(offset + bytes.len() as u64, &trailer);
                }
            })
            .await
    }

    async fn read_at(&self, offset: u64, len: usize) -> io::Result<Bytes> {
        self.run("read", move |file| read_up_to(file, offset, len))
            .await
    }

    async fn truncate(&self, len: u64) -> io::Result<()> {
        self.run("truncate", move |file| file.set_len(len)).await
    }

    async fn sync(&self) -> io::Result<()> {
        self.run("sync", File::sync_data).await
    }

    async fn len(&self) -> io::Result<u64> {
        self.run("ask the length of", |file| Ok(file.metadata()?.len()))
            .await
    }
}

fn read_up_to(file: &File, offset: u64, len: usize) -> io::Result<Bytes> {
    let mut buffer = vec![0; len];
    let mut filled = 0;
    while filled < len {
        match file.read_at(&mut buffer[filled..], offset + filled as u64) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    buffer.truncate(filled);
    Ok(buffer.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_committed_is_read_back_with_its_trailer() {
        let dir = tempfile::tempdir().unwrap();
        let disk = RealDisk::start().unwrap();
        let open = Open {
            create: Create::New,
            lane: DiskLane::Commit,
        };
        let file = disk.open(&dir.path().join("log"), open).await.unwrap();
        let commit = Commit {
            offset: 4,
            bytes: Bytes::from_static(b"abc"),
            trailer: Bytes::from_static(b"!"),
        };
        file.commit(commit).await.unwrap();
        assert_eq!(file.read_at(0, 100).await.unwrap(), &b"\0\0\0\0abc!"[..]);
        assert_eq!(disk.list(dir.path()).await.unwrap(), ["log"]);
        assert!(disk.free_space(dir.path()).await.unwrap() > 0);
    }

    #[tokio::test]
    async fn a_lock_is_held_once_and_ends_with_its_guard() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let disk = RealDisk::start().unwrap();
        let held = disk.lock(&path).await.unwrap();
        assert_eq!(
            disk.lock(&path).await.unwrap_err().kind(),
            io::ErrorKind::WouldBlock
        );
        drop(held);
        disk.lock(&path).await.unwrap();
    }

    #[tokio::test]
    async fn directories_are_made_with_their_parents_and_again() {
        let dir = tempfile::tempdir().unwrap();
        let disk = RealDisk::start().unwrap();
        let deep = dir.path().join("a/b/c");
        disk.create_dir_all(&deep).await.unwrap();
        disk.create_dir_all(&deep).await.unwrap();
        assert!(deep.is_dir());
    }

    #[tokio::test]
    async fn an_error_names_operation_and_path() {
        let disk = RealDisk::start().unwrap();
        let open = Open {
            create: Create::Never,
            lane: DiskLane::Bulk,
        };
        let error = disk
            .open(Path::new("/nowhere/file"), open)
            .await
            .err()
            .unwrap();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        assert!(
            error.to_string().starts_with("cannot open /nowhere/file"),
            "{error}"
        );
    }
}
