//! The traits that the outside plugs into.
//! Promise: actors, router and API know these and never Raft, a log or a socket.
//! Not here: any implementation (`raft`, `node`).

mod archive;
mod door;
mod group;
mod machine;

pub use archive::{
    ARCHIVE_PAGE_MAX, Archive, ArchiveBy, ArchiveError, ArchivePage, ArchiveQuery, NoArchive,
};
pub use door::{
    CallAnswer, ClientSide, Cluster, Door, Downs, Hands, Opened, Operator, StreamDown, StreamUp,
    TracedUp, Ups,
};
pub use group::{
    Committed, FollowerStatus, Group, GroupStatus, HandOverError, Leadership, ProposeError,
    ReadError,
};
pub use machine::{Cure, Frozen, Halt, LogChain, Machine, MustStop, Position, RestoreError};
