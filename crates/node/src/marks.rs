//! Marks in the data directory: which groups this node has ever started.
//! Promise: a mark is durable before the group's first vote; a group with a mark and without a log
//! is not started again.
//! Not here: the log itself (`store`).

use std::path::Path;

use bytes::Bytes;
use runtime::Env;
use store::{GroupId, Wal};

use crate::error::NodeError;
use crate::files;

/// Notes that the group is about to be started here.
///
/// # Errors
/// `LogLost` when the group ran before, by the mark or by the control group's word, and the log
/// here is empty.
pub(crate) async fn begin(
    env: &Env,
    dir: &Path,
    wal: &Wal,
    group: GroupId,
    (name, running): (&str, bool),
) -> Result<(), NodeError> {
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
        files::write(env, dir, &file, Bytes::from_static(b"started\n")).await?;
    }
    Ok(())
}
