//! Marks in the data directory: which groups this node has ever started.
//! Promise: a mark is durable after the group's log holds something and before its first vote; a
//! group with a mark and without a log is not started again.
//! Not here: the log itself (`store`).

use std::path::Path;

use bytes::Bytes;
use raft::Host;
use runtime::Env;
use store::{GroupId, Wal};

use crate::error::NodeError;
use crate::files;

/// Where groups are started.
pub(crate) struct Ground<'a> {
    pub(crate) env: &'a Env,
    pub(crate) dir: &'a Path,
    pub(crate) wal: &'a Wal,
    pub(crate) host: &'a Host,
}

/// Notes that the group is about to be started here. A node that is killed anywhere in here or
/// before its first entry starts again: the log holds a first vote before the mark exists.
///
/// # Errors
/// `LogLost` when the group ran before, by the mark or by the control group's word, and the log
/// here is empty.
pub(crate) async fn begin(
    ground: Ground<'_>,
    group: GroupId,
    (name, running): (&str, bool),
) -> Result<(), NodeError> {
    let Ground {
        env,
        dir,
        wal,
        host,
    } = ground;
    let file = format!("started-{}", group.0);
    let marked = files::read(env, &dir.join(&file)).await?.is_some();
    let log = wal.group(group);
    let empty = log.last().is_none() && log.vote().is_none();
    if empty && (marked || running) {
        return Err(NodeError::LogLost {
            group: name.to_owned(),
            dir: dir.display().to_string(),
        });
    }
    if !marked {
        host.found_log(wal, group).await?;
        files::write(env, dir, &file, Bytes::from_static(b"started\n")).await?;
    }
    Ok(())
}
