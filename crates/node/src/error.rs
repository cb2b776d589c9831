//! Why a node does not start.
//! Promise: each sentence says what happened and what to do next.
//! Not here: problems of a running node (`status`).

use std::io;
use std::net::SocketAddr;

use crate::config::ConfigProblem;

/// Why a node was not founded, did not join or did not start.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// The configuration cannot work.
    #[error("the configuration cannot work: {}", list(.0))]
    Config(Vec<ConfigProblem>),
    /// The data directory was refused.
    #[error(transparent)]
    DataDir(#[from] store::DataDirError),
    /// The directory belongs to a cluster already.
    #[error(
        "the data directory {dir} belongs to node {node} of cluster {cluster} already; start it with \
         `antiphon serve`, or name an empty directory"
    )]
    AlreadyInitialised {
        /// The directory.
        dir: String,
        /// The node's name.
        node: String,
        /// The cluster's id.
        cluster: String,
    },
    /// The directory belongs to no cluster, and none to join is named.
    #[error(
        "the data directory {dir} belongs to no cluster yet; found one with `antiphon init`, or name a member of \
         one to join: cluster.join = [\"host:7401\"]"
    )]
    NoCluster {
        /// The directory.
        dir: String,
    },
    /// Configuration and data directory disagree.
    #[error(
        "{key} is \"{configured}\" in the configuration and \"{kept}\" in the data directory {dir}; a directory \
         belongs to one node: correct the key, or name another directory"
    )]
    IdentityDiffers {
        /// The key.
        key: &'static str,
        /// The value in the configuration.
        configured: String,
        /// The value in the directory.
        kept: String,
        /// The directory.
        dir: String,
    },
    /// The floor plan given at founding has faults.
    #[error("the floor plan has faults: {}", .0.join("; "))]
    FloorPlan(Vec<String>),
    /// An address could not be listened on.
    #[error("{key} = {address} cannot be listened on: {}", why(.source))]
    Listen {
        /// The key.
        key: &'static str,
        /// The address.
        address: SocketAddr,
        /// The system's words.
        source: io::Error,
    },
    /// The seeds are of another cluster than the data directory.
    #[error(
        "the data directory {dir} belongs to another cluster than the nodes to join: {message}; give the node an empty directory, or take the seeds out of cluster.join"
    )]
    OtherCluster {
        /// The directory.
        dir: String,
        /// What a seed said.
        message: String,
    },
    /// The cluster refused the node, for good.
    #[error("the cluster refused this node: {reason}: {message}")]
    JoinRefused {
        /// The stable reason.
        reason: String,
        /// The same as a sentence.
        message: String,
    },
    /// No member of the cluster could be asked in time.
    #[error("no node of {seeds} answered within {waited_s} s, the last said: {last}")]
    JoinUnanswered {
        /// The addresses.
        seeds: String,
        /// How long was waited, in seconds.
        waited_s: u64,
        /// The last failure.
        last: String,
    },
    /// The node's log of a group that ran before is empty.
    #[error(
        "{group} ran before on this node and its log in {dir} is empty; a node that lost its log may vote twice, so \
         it does not start. {}",
        store::OpenError::INSTEAD
    )]
    LogLost {
        /// The group.
        group: String,
        /// The directory.
        dir: String,
    },
    /// The log could not be opened.
    #[error(transparent)]
    Log(#[from] store::OpenError),
    /// The snapshots could not be opened.
    #[error(transparent)]
    Snapshots(#[from] store::SnapshotError),
    /// A group did not start.
    #[error(transparent)]
    Group(#[from] raft::StartError),
    /// A group was not initialised.
    #[error("a group was not initialised: {0}")]
    Members(#[from] raft::MemberError),
    /// The disk failed.
    #[error("the disk refused: {0}")]
    Disk(#[from] io::Error),
    /// The services could not be built.
    #[error(transparent)]
    Routes(#[from] api::RoutesError),
}

fn list(problems: &[ConfigProblem]) -> String {
    problems
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("; ")
}

/// The system's words where there is nothing better to say.
fn why(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            "it is in use by another process; stop it or choose another port".to_owned()
        }
        io::ErrorKind::AddrNotAvailable => "this machine has no such address".to_owned(),
        io::ErrorKind::PermissionDenied => {
            "ports below 1024 need a privilege: choose a higher one".to_owned()
        }
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_in_use_is_advised_on_once() {
        let said =
            "port 7400 of 127.0.0.1 is in use by another process; stop it or choose another port";
        let error = NodeError::Listen {
            key: "listen.api",
            address: SocketAddr::from(([127, 0, 0, 1], 7400)),
            source: io::Error::new(io::ErrorKind::AddrInUse, said),
        };
        assert_eq!(
            error.to_string(),
            "listen.api = 127.0.0.1:7400 cannot be listened on: it is in use by another process; stop it or \
             choose another port"
        );
    }
}
