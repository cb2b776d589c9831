//! The index in sled 0.34, which is never trusted.
//! Promise: an error, a panic or a missing file of sled is a fault of the index, and nothing else.
//! Not here: what is done about a fault (`builder`).

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use runtime::Compute;

use super::index::{Change, Index, IndexFault, OpenIndex, Pair};

/// Below the archive's directory; no cell has such a name.
const DIR: &str = "index";
/// Broken indexes kept for whoever wants to look into them.
const SET_ASIDE_MAX: usize = 2;
/// Memory for pages of the map. Whatever is asked for, sled 0.34 takes some 105 MB with pages of 4,000
/// bytes once a million and a half conversations are in it, and no more with four millions.
const CACHE_BYTES: u64 = 16 << 20;

/// Indexes in sled.
#[derive(Clone, Copy, Debug, Default)]
pub struct SledIndexes;

struct SledIndex {
    /// Before the database: a tree must not outlive it.
    tree: sled::Tree,
    database: sled::Db,
    dir: PathBuf,
}

impl OpenIndex for SledIndexes {
    fn open(&self, dir: &Path) -> Result<Box<dyn Index>, IndexFault> {
        let dir = dir.join(DIR);
        let config = sled::Config::new()
            .path(&dir)
            .cache_capacity(CACHE_BYTES)
            // Written out with each run: in between nothing changes.
            .flush_every_ms(None);
        let database = config.open().map_err(failed)?;
        let tree = database.open_tree("archive").map_err(failed)?;
        Ok(Box::new(SledIndex {
            tree,
            database,
            dir,
        }))
    }

    fn set_aside(&self, dir: &Path) -> Result<(), IndexFault> {
        set_aside(dir).map_err(|error| IndexFault::Failed(error.to_string()))
    }

    fn compute(&self) -> io::Result<Compute> {
        Compute::threads(1)
    }
}

fn failed(error: sled::Error) -> IndexFault {
    IndexFault::Failed(error.to_string())
}

/// Renames the index to `index.damaged-N` with the next N.
fn set_aside(dir: &Path) -> io::Result<()> {
    let mut before: Vec<u64> = Vec::new();
    for entry in fs::read_dir(dir)? {
        let name = entry?.file_name();
        let number: Option<u64> = name
            .to_str()
            .and_then(|name| name.strip_prefix("index.damaged-")?.parse().ok());
        before.extend(number);
    }
    before.sort_unstable();
    let place = |number: u64| dir.join(format!("{DIR}.damaged-{number}"));
    let next = before.last().map_or(1, |last| last + 1);
    match fs::rename(dir.join(DIR), place(next)) {
        Ok(()) => before.push(next),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    for &number in before.iter().rev().skip(SET_ASIDE_MAX) {
        fs::remove_dir_all(place(number))?;
    }
    Ok(())
}

impl Index for SledIndex {
    fn last_within(&self, low: &[u8], high: &[u8]) -> Result<Option<Pair>, IndexFault> {
        let found = self.tree.range(low..=high).next_back();
        let found = found.transpose().map_err(failed)?;
        Ok(found.map(|(key, value)| (key.to_vec(), value.to_vec())))
    }

    fn each(&self, prefix: &[u8], visit: &mut dyn FnMut(&[u8], &[u8])) -> Result<(), IndexFault> {
        for pair in self.tree.scan_prefix(prefix) {
            let (key, value) = pair.map_err(failed)?;
            visit(&key, &value);
        }
        Ok(())
    }

    fn write(&mut self, changes: Vec<Change>) -> Result<(), IndexFault> {
        let mut batch = sled::Batch::default();
        for (key, value) in changes {
            match value {
                Some(value) => batch.insert(key, value),
                None => batch.remove(key),
            }
        }
        self.tree.apply_batch(batch).map_err(failed)
    }

    fn flush(&mut self) -> Result<(), IndexFault> {
        self.database.flush().map(drop).map_err(failed)
    }

    fn check(&self) -> Result<(), IndexFault> {
        let there = fs::metadata(self.dir.join("db"));
        there.map(drop).map_err(|error| {
            IndexFault::Failed(format!(
                "its file is gone from {}: {error}",
                self.dir.display()
            ))
        })
    }

    fn bytes(&self) -> u64 {
        self.database.size_on_disk().unwrap_or(0)
    }
}
