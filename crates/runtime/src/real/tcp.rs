//! TCP without delay of small writes; those of one turn of the scheduler leave together.
//! Promise: an error of `listen` says which address and what to do about it.
//! Not here: TLS, deadlines.

#![allow(clippy::disallowed_types, reason = "the production network")]

use std::io;
use std::net::SocketAddr;

use async_trait::async_trait;
use tokio::net::{TcpListener, TcpStream};

use super::coalesced::Coalesced;
use crate::network::{BoxConn, Conn, Listener, Network};

/// The machine's TCP.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tcp;

#[async_trait]
impl Network for Tcp {
    async fn listen(&self, addr: SocketAddr) -> io::Result<Box<dyn Listener>> {
        let listener = TcpListener::bind(addr)
            .await
            .map_err(|error| explained(error, addr))?;
        Ok(Box::new(Port { listener }))
    }

    async fn dial(&self, addr: &str) -> io::Result<BoxConn> {
        let stream = TcpStream::connect(addr).await.map_err(|error| {
            io::Error::new(error.kind(), format!("cannot connect to {addr}: {error}"))
        })?;
        stream.set_nodelay(true)?;
        Ok(Box::new(Coalesced::new(stream)))
    }
}

impl Conn for Coalesced<TcpStream> {
    fn moved_here(self: Box<Self>) -> io::Result<BoxConn> {
        let moved = self.map(|stream| TcpStream::from_std(stream.into_std()?))?;
        Ok(Box::new(moved))
    }
}

struct Port {
    listener: TcpListener,
}

#[async_trait]
impl Listener for Port {
    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    async fn accept(&mut self) -> io::Result<(BoxConn, SocketAddr)> {
        let (stream, from) = self.listener.accept().await?;
        stream.set_nodelay(true)?;
        Ok((Box::new(Coalesced::new(stream)), from))
    }
}

fn explained(error: io::Error, addr: SocketAddr) -> io::Error {
    let (ip, port) = (addr.ip(), addr.port());
    let text = match error.kind() {
        io::ErrorKind::AddrInUse => {
            format!(
                "port {port} of {ip} is in use by another process; stop it or choose another port"
            )
        }
        io::ErrorKind::AddrNotAvailable => {
            format!("cannot listen on {addr}: {ip} is not an address of this machine")
        }
        io::ErrorKind::PermissionDenied => {
            format!(
                "cannot listen on {addr}: port {port} needs a right that this user does not have"
            )
        }
        _ => format!("cannot listen on {addr}: {error}"),
    };
    io::Error::new(error.kind(), text)
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::runtime::Builder;

    use super::*;

    #[test]
    fn a_connection_that_moved_lives_on_without_the_lane_that_opened_it() {
        let lane = || Builder::new_current_thread().enable_all().build().unwrap();
        let (first, second) = (lane(), lane());
        let (near, far) = first.block_on(async {
            let mut port = Tcp.listen("127.0.0.1:0".parse().unwrap()).await.unwrap();
            let addr = port.local_addr().unwrap().to_string();
            let mut near = Tcp.dial(&addr).await.unwrap();
            let (mut far, _) = port.accept().await.unwrap();
            near.write_all(b"before").await.unwrap();
            near.flush().await.unwrap();
            let mut heard = [0; 6];
            far.read_exact(&mut heard).await.unwrap();
            // It leaves with the next flush, wherever that is.
            near.write_all(b"gathered ").await.unwrap();
            (near, far)
        });
        second.block_on(async {
            let (mut near, mut far) = (near.moved_here().unwrap(), far.moved_here().unwrap());
            first.shutdown_background();
            near.write_all(b"and after").await.unwrap();
            near.flush().await.unwrap();
            let mut heard = [0; 18];
            far.read_exact(&mut heard).await.unwrap();
            assert_eq!(&heard, b"gathered and after");
        });
    }

    #[tokio::test]
    async fn a_taken_port_is_named() {
        let first = Tcp.listen("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let addr = first.local_addr().unwrap();
        let error = Tcp.listen(addr).await.err().unwrap();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        assert!(
            error.to_string().contains(&addr.port().to_string()),
            "{error}"
        );
    }
}
