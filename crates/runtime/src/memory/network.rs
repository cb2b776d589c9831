//! A network inside one process.
//! Promise: a dial reaches the listener of that port or is refused, as TCP would.
//! Not here: delay, loss, cuts (the simulation).

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::Mutex;
use tokio::io::duplex;

use crate::mailbox::{Receiver, Sender, bounded};
use crate::network::{BoxConn, Listener, Network};

/// Connections that wait to be accepted at one port, as a kernel's backlog.
const BACKLOG_MAX: usize = 128;
/// Bytes under way in one direction of one connection, about a TCP window.
const WINDOW_BYTES: usize = 256 * 1024;
/// Ports that the network chooses start here.
const FIRST_FREE_PORT: u16 = 40_000;

type Port = Sender<(BoxConn, SocketAddr)>;

/// A network for tests; clones share it. Hosts are not told apart: a port belongs to one listener.
#[derive(Clone, Default)]
pub struct MemoryNetwork {
    ports: Arc<Mutex<BTreeMap<u16, Port>>>,
}

impl MemoryNetwork {
    fn take_port(&self, wanted: u16, port: Port) -> io::Result<u16> {
        let mut ports = self.ports.lock();
        ports.retain(|_, port| !port.is_closed());
        let chosen = match wanted {
            0 => (FIRST_FREE_PORT..=u16::MAX).find(|port| !ports.contains_key(port)),
            wanted => Some(wanted).filter(|port| !ports.contains_key(port)),
        };
        let chosen = chosen.ok_or_else(|| {
            io::Error::new(io::ErrorKind::AddrInUse, format!("port {wanted} is in use"))
        })?;
        ports.insert(chosen, port);
        Ok(chosen)
    }
}

#[async_trait]
impl Network for MemoryNetwork {
    async fn listen(&self, addr: SocketAddr) -> io::Result<Box<dyn Listener>> {
        let (port, backlog) = bounded("backlog", BACKLOG_MAX);
        let chosen = self.take_port(addr.port(), port)?;
        Ok(Box::new(MemoryListener {
            addr: SocketAddr::new(addr.ip(), chosen),
            backlog,
        }))
    }

    async fn dial(&self, addr: &str) -> io::Result<BoxConn> {
        let refused = || {
            io::Error::new(
                io::ErrorKind::ConnectionRefused,
                format!("cannot connect to {addr}: refused"),
            )
        };
        let number = addr
            .rsplit(':')
            .next()
            .and_then(|port| port.parse::<u16>().ok());
        let port = number
            .and_then(|number| self.ports.lock().get(&number).cloned())
            .ok_or_else(refused)?;
        let (near, far) = duplex(WINDOW_BYTES);
        let from = SocketAddr::from(([127, 0, 0, 1], 0));
        port.send((Box::new(far), from))
            .await
            .map_err(|_| refused())?;
        Ok(Box::new(near))
    }
}

struct MemoryListener {
    addr: SocketAddr,
    backlog: Receiver<(BoxConn, SocketAddr)>,
}

#[async_trait]
impl Listener for MemoryListener {
    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.addr)
    }

    async fn accept(&mut self) -> io::Result<(BoxConn, SocketAddr)> {
        self.backlog
            .recv()
            .await
            .ok_or_else(|| io::ErrorKind::NotConnected.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[tokio::test]
    async fn a_dial_reaches_its_listener_until_that_is_dropped() {
        let network = MemoryNetwork::default();
        let mut listener = network
            .listen("127.0.0.1:0".parse().unwrap())
            .await
            .unwrap();
        let addr = listener.local_addr().unwrap().to_string();
        let mut near = network.dial(&addr).await.unwrap();
        let (mut far, _) = listener.accept().await.unwrap();
        near.write_all(b"hello").await.unwrap();
        let mut heard = [0; 5];
        far.read_exact(&mut heard).await.unwrap();
        assert_eq!(&heard, b"hello");
        assert!(network.listen(addr.parse().unwrap()).await.is_err());
        drop(listener);
        let error = network.dial(&addr).await.err().unwrap();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        assert!(network.listen(addr.parse().unwrap()).await.is_ok());
    }
}
