//! Files are bounded: a node's log is no longer than its snapshots allow, and nothing is left over beside it.

use std::path::Path;

use super::Found;

/// The rule's name.
pub const RULE: &str = "files are bounded";
/// Segments that a group may need before it must take a snapshot, as the log counts them.
const SEGMENTS_MAX: u64 = 16;
/// Segments for what comes while a snapshot is due and cannot be taken: a disk or a node stands still for 20 s at most.
const SEGMENTS_WHILE_DUE: u64 = 16;
/// The segment that is written and the one that is made ready.
const SEGMENTS_AT_HAND: u64 = 2;
/// Snapshots of one group: the present one, the one before while it is read, one that is received and one that is made.
const SNAPSHOTS_OF_GROUP: usize = 4;

/// From what the bounds are derived.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// `limits.log_segment_mib`, in bytes.
    pub segment_bytes: u64,
    /// Groups of which the node has a replica.
    pub groups: usize,
}

/// The files of one node, with their lengths.
///
/// # Errors
/// When the log or the number of snapshots is over its bound.
pub fn check<'f>(limits: Limits, files: impl IntoIterator<Item = (&'f Path, u64)>) -> Found {
    let (mut log_bytes, mut snapshots) = (0, 0);
    for (path, bytes) in files {
        let name = path.file_name().map(|name| name.to_string_lossy());
        let name = name.unwrap_or_default();
        if name.contains(".wal") {
            log_bytes += bytes;
        } else if name.contains(".snap") {
            snapshots += 1;
        }
    }
    let segments = SEGMENTS_MAX + SEGMENTS_WHILE_DUE + SEGMENTS_AT_HAND;
    let most = segments * limits.segment_bytes;
    if log_bytes > most {
        let seen = format!("the log has {log_bytes} bytes, and {most} are the most");
        return Err((RULE, seen));
    }
    let most = SNAPSHOTS_OF_GROUP * limits.groups;
    if snapshots > most {
        let seen = format!("there are {snapshots} snapshots, and {most} are the most");
        return Err((RULE, seen));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits {
        segment_bytes: 100,
        groups: 2,
    };

    #[test]
    fn a_log_and_snapshots_within_their_bounds_hold() {
        let files = [("log/0000000001.wal", 3_400), ("snap/a.snap", 1 << 40)];
        let files = files.map(|(path, bytes)| (Path::new(path), bytes));
        assert_eq!(check(LIMITS, files), Ok(()));
    }

    #[test]
    fn a_log_over_its_bound_is_found() {
        let files = [
            ("log/0000000001.wal", 3_000),
            ("log/0000000002.wal.new", 401),
        ];
        let files = files.map(|(path, bytes)| (Path::new(path), bytes));
        assert_eq!(check(LIMITS, files).unwrap_err().0, RULE);
    }

    #[test]
    fn snapshots_that_are_left_over_are_found() {
        let names: Vec<String> = (0..9).map(|n| format!("snap/{n}.snap")).collect();
        let files = names.iter().map(|name| (Path::new(name.as_str()), 1));
        assert_eq!(check(LIMITS, files).unwrap_err().0, RULE);
    }
}
