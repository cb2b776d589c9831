//! The network as a host has it: listening, dialling, reading and writing.
//! Promise: what a machine without power still holds changes nothing in the network.
//! Not here: when bytes arrive (`net`).

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use async_trait::async_trait;
use bytes::Bytes;
use runtime::{BoxConn, Conn, Listener, Network};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::net::{Net, Port, address};
use super::pipe::{Content, HostId, Read};

/// Bytes of one write that go on the way together.
const PIECE_BYTES: usize = 64 * 1024;

/// How asking for a connection ended.
pub(super) enum Dialled {
    Up(SimConn),
    Refused,
}

/// The network of one host, in one of its lives.
pub struct HostNet {
    net: Net,
    host: HostId,
    life: u64,
}

impl HostNet {
    /// That of a machine as it is now.
    pub fn new(net: &Net, host: HostId) -> Self {
        let life = net.state.lock().hosts[host].life;
        Self {
            net: net.clone(),
            host,
            life,
        }
    }
}

#[async_trait]
impl Network for HostNet {
    async fn listen(&self, addr: SocketAddr) -> io::Result<Box<dyn Listener>> {
        let mut state = self.net.state.lock();
        let wanted = match addr.port() {
            0 => state.free_port(self.host),
            port => Some(port).filter(|port| !state.ports.contains_key(&(self.host, *port))),
        };
        let port = wanted.ok_or(io::ErrorKind::AddrInUse)?;
        state.ports.insert((self.host, port), Port::default());
        Ok(Box::new(SimListener {
            net: self.net.clone(),
            host: self.host,
            life: self.life,
            port,
        }))
    }

    async fn dial(&self, addr: &str) -> io::Result<BoxConn> {
        let to: SocketAddr = addr
            .parse()
            .map_err(|_| io::Error::new(io::ErrorKind::NotFound, format!("no host {addr}")))?;
        let id = self.net.state.lock().ask(self.host, to);
        // Given up, its answer is thrown away.
        let dial = Asking { net: &self.net, id };
        let dialled = poll_fn(|context| dial.poll(context)).await;
        match dialled {
            Some(Dialled::Up(conn)) => Ok(Box::new(conn)),
            Some(Dialled::Refused) => Err(io::Error::new(
                io::ErrorKind::ConnectionRefused,
                format!("cannot connect to {addr}: refused"),
            )),
            None => Err(io::ErrorKind::NotConnected.into()),
        }
    }
}

struct Asking<'n> {
    net: &'n Net,
    id: u64,
}

impl Asking<'_> {
    fn poll(&self, context: &Context<'_>) -> Poll<Option<Dialled>> {
        let mut state = self.net.state.lock();
        let Some(dial) = state.dials.get_mut(&self.id) else {
            return Poll::Ready(None);
        };
        if let Some(answer) = dial.answer.take() {
            return Poll::Ready(Some(answer));
        }
        dial.waker = Some(context.waker().clone());
        Poll::Pending
    }
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        let given_up = self.net.state.lock().dials.remove(&self.id);
        // A connection that came up meanwhile is closed outside the lock.
        drop(given_up);
    }
}

struct SimListener {
    net: Net,
    host: HostId,
    life: u64,
    port: u16,
}

#[async_trait]
impl Listener for SimListener {
    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(address(self.host, self.port))
    }

    async fn accept(&mut self) -> io::Result<(BoxConn, SocketAddr)> {
        poll_fn(|context| {
            let mut state = self.net.state.lock();
            let Some(port) = state.ports.get_mut(&(self.host, self.port)) else {
                return Poll::Ready(Err(io::ErrorKind::NotConnected.into()));
            };
            if let Some((conn, from)) = port.backlog.pop_front() {
                return Poll::Ready(Ok((Box::new(conn) as BoxConn, from)));
            }
            port.waker = Some(context.waker().clone());
            Poll::Pending
        })
        .await
    }
}

impl Drop for SimListener {
    fn drop(&mut self) {
        let mut state = self.net.state.lock();
        if state.hosts[self.host].life != self.life {
            return;
        }
        let port = state.ports.remove(&(self.host, self.port));
        drop(state);
        // Connections that nobody accepted are closed outside the lock.
        drop(port);
    }
}

/// One end of a connection.
pub(super) struct SimConn {
    net: Net,
    host: HostId,
    life: u64,
    read: u64,
    write: u64,
    shut: bool,
}

impl SimConn {
    /// The end of a machine in one of its lives that reads one pipe and writes the other.
    pub(super) fn new(net: &Net, (host, life): (HostId, u64), read: u64, write: u64) -> Self {
        Self {
            net: net.clone(),
            host,
            life,
            read,
            write,
            shut: false,
        }
    }
}

impl Conn for SimConn {
    fn moved_here(self: Box<Self>) -> io::Result<BoxConn> {
        Ok(self)
    }
}

fn reset() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionReset, "reset by the other end")
}

impl AsyncRead for SimConn {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut state = self.net.state.lock();
        let Some(pipe) = state.pipes.get(&self.read) else {
            return Poll::Ready(Err(reset()));
        };
        let told = state.gets_back(pipe);
        let Some(pipe) = state.pipes.get_mut(&self.read) else {
            return Poll::Ready(Err(reset()));
        };
        match pipe.read(buffer.remaining(), told) {
            Read::Bytes(bytes) => buffer.put_slice(&bytes),
            Read::End => {}
            Read::Reset => return Poll::Ready(Err(reset())),
            Read::Nothing => {
                pipe.reader = Some(context.waker().clone());
                return Poll::Pending;
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for SimConn {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut state = self.net.state.lock();
        let window = state.window;
        let Some(pipe) = state.pipes.get_mut(&self.write) else {
            return Poll::Ready(Err(reset()));
        };
        if self.shut {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        match pipe.room(window) {
            None => Poll::Ready(Err(reset())),
            Some(0) => {
                pipe.writer = Some(context.waker().clone());
                Poll::Pending
            }
            Some(room) => {
                let taken = &bytes[..bytes.len().min(room).min(PIECE_BYTES)];
                state.send(self.write, Content::Bytes(Bytes::copy_from_slice(taken)));
                Poll::Ready(Ok(taken.len()))
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !std::mem::replace(&mut self.shut, true) {
            self.net.state.lock().send(self.write, Content::End);
        }
        Poll::Ready(Ok(()))
    }
}

impl Drop for SimConn {
    fn drop(&mut self) {
        let mut state = self.net.state.lock();
        if state.hosts[self.host].life != self.life {
            return;
        }
        if !self.shut {
            state.send(self.write, Content::End);
        }
        if let Some(pipe) = state.pipes.get_mut(&self.write) {
            pipe.writer_gone = true;
        }
        if let Some(pipe) = state.pipes.get_mut(&self.read) {
            pipe.reader_gone = true;
        }
        state.forget(self.read);
    }
}
