//! Names of the journal's files, and which there are.
//! Promise: a name gives day and number of its segment alone; other files are left where they are.
//! Not here: what stands in them (`read`).

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::Path;

use runtime::{Create, Disk, DiskLane, Open};

use super::super::segment::{SEGMENT_HEAD_BYTES, read_head};
use crate::day;
use crate::frame::FileHead;

const OPEN: Open = Open {
    create: Create::Never,
    lane: DiskLane::Bulk,
};

/// A segment's name in the journal. The order is that of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FileName {
    /// Its number in the log.
    pub number: u32,
    /// The UTC day on which it left the log.
    pub day: u16,
}

impl fmt::Display for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{:010}.wal", day::text_of(self.day), self.number)
    }
}

impl FileName {
    /// The name read back.
    pub fn named(text: &str) -> Option<Self> {
        let (date, number) = text.strip_suffix(".wal")?.rsplit_once('-')?;
        let name = Self {
            number: number.parse().ok()?,
            day: day::named(date)?,
        };
        (name.to_string() == text).then_some(name)
    }

    /// The salt of the segment, if its head can be read.
    pub async fn salt(self, disk: &dyn Disk, dir: &Path) -> io::Result<Option<u32>> {
        let file = disk.open(&dir.join(self.to_string()), OPEN).await?;
        let head = file.read_at(0, SEGMENT_HEAD_BYTES).await?;
        Ok(match read_head(&head, self.number) {
            FileHead::Valid { salt } => Some(salt),
            FileHead::Newer(_) | FileHead::Invalid => None,
        })
    }
}

/// The journal's files with their bytes, in the order of the log.
pub async fn list(disk: &dyn Disk, dir: &Path) -> io::Result<BTreeMap<FileName, u64>> {
    let texts = disk.list(dir).await?;
    let mut files = BTreeMap::new();
    for name in texts.iter().filter_map(|text| FileName::named(text)) {
        let file = disk.open(&dir.join(name.to_string()), OPEN).await?;
        files.insert(name, file.len().await?);
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_found_by_its_name_and_others_are_not() {
        let name = FileName {
            day: 20_784,
            number: 17,
        };
        assert_eq!(name.to_string(), "2026-11-27-0000000017.wal");
        assert_eq!(FileName::named("2026-11-27-0000000017.wal"), Some(name));
        for none in [
            "0000000017.wal",
            "2026-11-27-17.wal",
            "2026-02-30-0000000017.wal",
            "2026-11-27-0000000017.wal.new",
        ] {
            assert_eq!(FileName::named(none), None, "{none}");
        }
    }
}
