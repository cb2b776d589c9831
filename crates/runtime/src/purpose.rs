//! Purpose: the first 16 bytes of a connection between nodes, which say what it is for.
//! Promise: a connection without them, of another version or for something unknown is told apart before
//! anything of it is believed; never more than those 16 bytes are read.
//! Not here: who speaks (`Hello` of each service), the wait (the caller's).
//!
//! ```text
//! bytes 0..8    "antiphon"
//! bytes 8..12   version of these bytes, big-endian: 1
//! bytes 12..16  purpose, big-endian: 1 consensus, 2 forwarding
//! ```

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::network::{BoxConn, Network};

/// How many bytes a connection between nodes says first.
pub const PURPOSE_BYTES: usize = 16;
/// How they begin.
const MAGIC: &[u8; 8] = b"antiphon";
/// Their version.
const VERSION: u32 = 1;
/// How a connection of HTTP/2 begins that says no purpose: a node of an older program.
const HTTP2: &[u8; 8] = b"PRI * HT";

/// What a connection between nodes is for. Each is served by a lane of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Votes, heartbeats, appends, snapshots: the lane `raft`.
    Consensus,
    /// Clients' calls on their way to an owner, joining: the lane `edge`.
    Forwarding,
}

/// Why a connection is not one between nodes.
#[derive(Debug, thiserror::Error)]
pub enum PurposeError {
    /// It ended or broke first.
    #[error("it ended before it said what it is for: {0}")]
    Ended(#[from] io::Error),
    /// It speaks HTTP/2 at once.
    #[error(
        "it does not say what it is for: a node of an older program, or a client at the port for nodes"
    )]
    Unsaid,
    /// It speaks something else.
    #[error("it is not a node of Antiphon")]
    Stranger,
    /// It says what it is for in another way than we know.
    #[error("it speaks version {0} of the first bytes, this node version {VERSION}")]
    Version(u32),
    /// It is for something that we do not know.
    #[error("it is for purpose {0}, which this node does not know")]
    Unknown(u32),
}

impl Purpose {
    fn number(self) -> u32 {
        match self {
            Self::Consensus => 1,
            Self::Forwarding => 2,
        }
    }

    fn bytes(self) -> [u8; PURPOSE_BYTES] {
        let mut bytes = [0; PURPOSE_BYTES];
        bytes[..8].copy_from_slice(MAGIC);
        bytes[8..12].copy_from_slice(&VERSION.to_be_bytes());
        bytes[12..].copy_from_slice(&self.number().to_be_bytes());
        bytes
    }

    /// Dials another node for this purpose. The first bytes leave with whatever is written next.
    ///
    /// # Errors
    /// As [`Network::dial`]. No deadline: the caller sets one.
    pub async fn dial(self, network: &dyn Network, addr: &str) -> io::Result<BoxConn> {
        let mut conn = network.dial(addr).await?;
        conn.write_all(&self.bytes()).await?;
        Ok(conn)
    }

    /// Reads what a connection that was accepted is for. No deadline: the caller sets one.
    ///
    /// # Errors
    /// See [`PurposeError`]; the connection is of no use then.
    pub async fn of(conn: &mut BoxConn) -> Result<Self, PurposeError> {
        let mut bytes = [0; PURPOSE_BYTES];
        // The first half tells who else it may be, who may have said less than all of it.
        conn.read_exact(&mut bytes[..8]).await?;
        match &bytes[..8] {
            known if known == MAGIC => {}
            http if http == HTTP2 => return Err(PurposeError::Unsaid),
            _ => return Err(PurposeError::Stranger),
        }
        conn.read_exact(&mut bytes[8..]).await?;
        let number = |at: usize| u32::from_be_bytes([0, 1, 2, 3].map(|next| bytes[at + next]));
        match (number(8), number(12)) {
            (VERSION, 1) => Ok(Self::Consensus),
            (VERSION, 2) => Ok(Self::Forwarding),
            (VERSION, unknown) => Err(PurposeError::Unknown(unknown)),
            (version, _) => Err(PurposeError::Version(version)),
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::duplex;

    use super::*;
    use crate::memory::MemoryNetwork;

    async fn heard(bytes: &[u8]) -> Result<Purpose, PurposeError> {
        let (mut near, far) = duplex(64);
        near.write_all(bytes).await.unwrap();
        drop(near);
        Purpose::of(&mut (Box::new(far) as BoxConn)).await
    }

    #[tokio::test]
    async fn a_purpose_is_heard_as_it_was_said_and_what_follows_is_left() {
        let network = MemoryNetwork::default();
        let mut listener = network
            .listen("127.0.0.1:0".parse().unwrap())
            .await
            .unwrap();
        let addr = listener.local_addr().unwrap().to_string();
        for purpose in [Purpose::Consensus, Purpose::Forwarding] {
            let mut near = purpose.dial(&network, &addr).await.unwrap();
            near.write_all(b"more").await.unwrap();
            let (mut far, _) = listener.accept().await.unwrap();
            assert_eq!(Purpose::of(&mut far).await.unwrap(), purpose);
            let mut more = [0; 4];
            far.read_exact(&mut more).await.unwrap();
            assert_eq!(&more, b"more");
        }
    }

    #[tokio::test]
    async fn whoever_is_no_node_of_this_version_is_told_apart() {
        let mut newer = Purpose::Consensus.bytes();
        newer[11] = 2;
        let mut other = Purpose::Consensus.bytes();
        other[15] = 9;
        assert!(matches!(
            heard(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await,
            Err(PurposeError::Unsaid)
        ));
        assert!(matches!(
            heard(b"GET / HTTP/1.1\r\n\r\n").await,
            Err(PurposeError::Stranger)
        ));
        assert!(matches!(heard(&newer).await, Err(PurposeError::Version(2))));
        assert!(matches!(heard(&other).await, Err(PurposeError::Unknown(9))));
        assert!(matches!(
            heard(b"antiphon\0\0").await,
            Err(PurposeError::Ended(_))
        ));
    }
}
