//! The network as a seam: listening and dialling.
//! Promise: an error of `listen` names the address; connections send small writes at once.
//! Not here: TLS, HTTP/2, deadlines (the caller's), what nodes say first to each other (`purpose`).

use std::io;
use std::net::SocketAddr;

use async_trait::async_trait;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream};

/// One connection in both directions.
pub trait Conn: AsyncRead + AsyncWrite + Unpin + Send + 'static {
    /// The same connection, woken by the lane that runs this call from now on: a socket is watched by
    /// the lane on which it was opened, and would else go on to cost that lane a turn for every read.
    ///
    /// # Errors
    /// When the system does not let the lane watch it; the connection is lost.
    fn moved_here(self: Box<Self>) -> io::Result<BoxConn>;
}

/// A connection of whichever network.
pub type BoxConn = Box<dyn Conn>;

/// A pipe inside one process: its two ends wake each other, no lane watches it.
impl Conn for DuplexStream {
    fn moved_here(self: Box<Self>) -> io::Result<BoxConn> {
        Ok(self)
    }
}

/// Where connections come from.
#[async_trait]
pub trait Network: Send + Sync + 'static {
    /// Takes connections at `addr`; port 0 lets the network choose.
    async fn listen(&self, addr: SocketAddr) -> io::Result<Box<dyn Listener>>;

    /// Connects to `addr`, written `host:port`. No deadline: the caller sets one.
    async fn dial(&self, addr: &str) -> io::Result<BoxConn>;
}

/// An open port.
#[async_trait]
pub trait Listener: Send {
    /// The address in use, with the port that was chosen.
    fn local_addr(&self) -> io::Result<SocketAddr>;

    /// The next connection and where it comes from. An error concerns one connection, not the port.
    async fn accept(&mut self) -> io::Result<(BoxConn, SocketAddr)>;
}
