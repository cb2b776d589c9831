//! The data directory of a node: its lock and the identity written into it.
//! Promise: one process at a time; a directory serves one node of one cluster for ever; a refusal says
//! what happened, why, and what to do next.
//! Not here: what lies in the parts of the directory.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use runtime::{Create, Disk, DiskLane, DiskLock, Env, Open};

const IDENTITY_FILE: &str = "identity";
const LOCK_FILE: &str = "lock";
/// The first line; the number is the format's version.
const TITLE: &str = "antiphon data directory, format 1";
/// Far above six short names.
const IDENTITY_BYTES_MAX: usize = 16 * 1024;

/// Who the directory belongs to. Written once, before the first vote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The cluster's id, made at `init`.
    pub cluster_id: String,
    /// Allotted by the control group at `join`; never used twice.
    pub node_id: u64,
    /// The node's name; not an id.
    pub node_name: String,
    /// The site's name.
    pub site: String,
    /// The site's region.
    pub region: String,
    /// The profile of time-outs: `lan`, `regional` or `global`.
    pub profile: String,
}

/// Why a data directory was refused.
#[derive(Debug, thiserror::Error)]
pub enum DataDirError {
    /// The disk failed.
    #[error("the data directory {} cannot be used: {source}", path.display())]
    Io {
        /// The directory.
        path: PathBuf,
        /// The disk's words.
        source: io::Error,
    },
    /// The user may not write there.
    #[error(
        "the data directory {} is not writable ({source}). Log and votes must be kept there. Give it to the user \
         that runs antiphon (`chown -R USER {}`), or name another directory with --data",
        path.display(),
        path.display()
    )]
    NotWritable {
        /// The directory.
        path: PathBuf,
        /// The disk's words.
        source: io::Error,
    },
    /// Another process has it.
    #[error(
        "the data directory {} is in use by another process. Two processes on one directory would vote twice. \
         Stop the other one (`fuser {}` names it), or start this one with a --data directory of its own",
        path.display(),
        path.join(LOCK_FILE).display()
    )]
    InUse {
        /// The directory.
        path: PathBuf,
    },
    /// It belongs to another cluster, or to another node of this one.
    #[error(
        "the data directory {} belongs to {what} {found}, and this node was started as {what} {wanted}. A directory \
         serves one node of one cluster for ever, because its votes would count where they were not given. \
         Name the directory of {what} {wanted} with --data, or set this one aside (`mv {} {}.old`) and join with an \
         empty one: the node then gets a new id",
        path.display(),
        path.display(),
        path.display()
    )]
    Foreign {
        /// The directory.
        path: PathBuf,
        /// Which part of the identity differs: `cluster` or `node`.
        what: &'static str,
        /// What the directory says.
        found: String,
        /// What was asked for.
        wanted: String,
    },
    /// A setting that is fixed for the life of a node differs.
    #[error(
        "the data directory {} was made with {what} \"{found}\", and this node was started with {what} \"{wanted}\". \
         It is fixed when a node joins. Start it with {what} \"{found}\", or replace the node: \
         set the directory aside (`mv {} {}.old`) and join with an empty one",
        path.display(),
        path.display(),
        path.display()
    )]
    Changed {
        /// The directory.
        path: PathBuf,
        /// Which setting: `node name`, `site`, `region` or `profile`.
        what: &'static str,
        /// What the directory says.
        found: String,
        /// What was asked for.
        wanted: String,
    },
    /// The identity file is unreadable or gone although the directory was used.
    #[error(
        "the data directory {} does not say which node it belongs to: {what}. Without that its votes cannot be \
         trusted. Restore {} from a copy made on this node, or set the directory aside (`mv {} {}.old`) and replace \
         the node: it joins with an empty directory and gets a new id",
        path.display(),
        path.join(IDENTITY_FILE).display(),
        path.display(),
        path.display()
    )]
    IdentityLost {
        /// The directory.
        path: PathBuf,
        /// What is wrong with the file.
        what: &'static str,
    },
}

/// An open data directory; the lock ends when it is dropped.
pub struct DataDir {
    path: PathBuf,
    disk: Arc<dyn Disk>,
    identity: Option<Identity>,
    _lock: DiskLock,
}

impl DataDir {
    /// Makes the directory if missing, locks it and reads its identity.
    pub async fn open(env: &Env, path: &Path) -> Result<Self, DataDirError> {
        let disk = env.disk.clone();
        let refused = |error| refusal(path, error);
        disk.create_dir_all(path).await.map_err(refused)?;
        let lock = match disk.lock(&path.join(LOCK_FILE)).await {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                return Err(DataDirError::InUse {
                    path: path.to_owned(),
                });
            }
            held => held.map_err(refused)?,
        };
        let mut opened = Self {
            path: path.to_owned(),
            disk,
            identity: None,
            _lock: lock,
        };
        opened.identity = opened.read_identity().await?;
        // A killed process may have written the identity without syncing the directory.
        opened.disk.sync_dir(path).await.map_err(refused)?;
        Ok(opened)
    }

    /// Who it belongs to; `None` before the first `claim`.
    pub fn identity(&self) -> Option<&Identity> {
        self.identity.as_ref()
    }

    /// Writes the identity into a new directory, durably; in a directory that has one, checks that
    /// it is the same.
    pub async fn claim(&mut self, identity: Identity) -> Result<(), DataDirError> {
        match &self.identity {
            Some(found) => self.check(found, &identity),
            None => {
                self.write_identity(&identity)
                    .await
                    .map_err(|error| refusal(&self.path, error))?;
                self.identity = Some(identity);
                Ok(())
            }
        }
    }

    /// The directory itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where the log lives.
    pub fn log_dir(&self) -> PathBuf {
        self.path.join("log")
    }

    /// Where snapshots live.
    pub fn snapshot_dir(&self) -> PathBuf {
        self.path.join("snapshots")
    }

    fn check(&self, found: &Identity, wanted: &Identity) -> Result<(), DataDirError> {
        let path = self.path.clone();
        let node = |of: &Identity| format!("{} ({})", of.node_id, of.node_name);
        if found.cluster_id != wanted.cluster_id {
            let (found, wanted) = (found.cluster_id.clone(), wanted.cluster_id.clone());
            return Err(DataDirError::Foreign {
                path,
                what: "cluster",
                found,
                wanted,
            });
        }
        if found.node_id != wanted.node_id {
            let (found, wanted) = (node(found), node(wanted));
            return Err(DataDirError::Foreign {
                path,
                what: "node",
                found,
                wanted,
            });
        }
        let settings = [
            ("node name", &found.node_name, &wanted.node_name),
            ("site", &found.site, &wanted.site),
            ("region", &found.region, &wanted.region),
            ("profile", &found.profile, &wanted.profile),
        ];
        match settings
            .into_iter()
            .find(|(_, found, wanted)| found != wanted)
        {
            Some((what, found, wanted)) => Err(DataDirError::Changed {
                path,
                what,
                found: found.clone(),
                wanted: wanted.clone(),
            }),
            None => Ok(()),
        }
    }

    async fn read_identity(&self) -> Result<Option<Identity>, DataDirError> {
        let open = Open {
            create: Create::Never,
            lane: DiskLane::Bulk,
        };
        let file = match self.disk.open(&self.path.join(IDENTITY_FILE), open).await {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return self.new_directory().await;
            }
            opened => opened.map_err(|error| refusal(&self.path, error))?,
        };
        let bytes = file
            .read_at(0, IDENTITY_BYTES_MAX)
            .await
            .map_err(|error| refusal(&self.path, error))?;
        match decode(&bytes) {
            Some(identity) => Ok(Some(identity)),
            None => Err(self.lost("the file identity does not fit its checksum")),
        }
    }

    /// Without an identity there must be no log: it would be somebody's.
    async fn new_directory(&self) -> Result<Option<Identity>, DataDirError> {
        match self.disk.list(&self.log_dir()).await {
            Ok(files) if !files.is_empty() => Err(self.lost("it holds a log and no file identity")),
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(refusal(&self.path, error))
            }
            _ => Ok(None),
        }
    }

    async fn write_identity(&self, identity: &Identity) -> io::Result<()> {
        let path = self.path.join(IDENTITY_FILE);
        let unfinished = self.path.join("identity.new");
        let open = Open {
            create: Create::IfMissing,
            lane: DiskLane::Bulk,
        };
        let file = self.disk.open(&unfinished, open).await?;
        file.truncate(0).await?;
        file.write_at(0, encode(identity)?).await?;
        file.sync().await?;
        self.disk.rename(&unfinished, &path).await?;
        self.disk.sync_dir(&self.path).await
    }

    fn lost(&self, what: &'static str) -> DataDirError {
        DataDirError::IdentityLost {
            path: self.path.clone(),
            what,
        }
    }
}

fn refusal(path: &Path, source: io::Error) -> DataDirError {
    let path = path.to_owned();
    match source.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            DataDirError::NotWritable { path, source }
        }
        _ => DataDirError::Io { path, source },
    }
}

/// Lines of text, so that an operator can read whose directory it is.
fn encode(identity: &Identity) -> io::Result<Bytes> {
    let lines = [
        TITLE.to_owned(),
        format!("cluster_id={}", identity.cluster_id),
        format!("node_id={}", identity.node_id),
        format!("node_name={}", identity.node_name),
        format!("site={}", identity.site),
        format!("region={}", identity.region),
        format!("profile={}", identity.profile),
    ];
    if lines.iter().any(|line| line.contains(['\n', '\r'])) {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "a name contains a line break",
        ));
    }
    let text = lines.join("\n") + "\n";
    Ok(format!("{text}crc32c={:08x}\n", crc32c::crc32c(text.as_bytes())).into())
}

fn decode(bytes: &[u8]) -> Option<Identity> {
    let all = std::str::from_utf8(bytes).ok()?;
    let (text, crc) = all.rsplit_once("crc32c=")?;
    if u32::from_str_radix(crc.strip_suffix('\n')?, 16).ok()? != crc32c::crc32c(text.as_bytes()) {
        return None;
    }
    let mut lines = text.strip_prefix(TITLE)?.strip_prefix('\n')?.lines();
    let mut value = |key: &str| {
        lines
            .next()?
            .strip_prefix(key)?
            .strip_prefix('=')
            .map(str::to_owned)
    };
    Some(Identity {
        cluster_id: value("cluster_id")?,
        node_id: value("node_id")?.parse().ok()?,
        node_name: value("node_name")?,
        site: value("site")?,
        region: value("region")?,
        profile: value("profile")?,
    })
}

#[cfg(test)]
#[path = "data_dir_test.rs"]
mod tests;
