//! Which protocol a new connection speaks, told by its first bytes.
//! Promise: reads at most the 24 bytes of the HTTP/2 preface, and gives them back to be read again.
//! Not here: the protocols (`hyper`), the time allowed (`mod`).

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use runtime::BoxConn;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};

/// How every HTTP/2 connection begins.
const HTTP2_PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What a connection speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Spoken {
    Http2,
    Http1,
}

/// A connection whose first bytes were read ahead.
pub(super) struct Prefaced {
    head: Bytes,
    rest: BoxConn,
}

/// Reads until it is certain which protocol is spoken.
pub(super) async fn read(mut connection: BoxConn) -> io::Result<(Spoken, Prefaced)> {
    let mut head = [0_u8; HTTP2_PREFACE.len()];
    let mut len = 0;
    while len < head.len() {
        match connection.read(&mut head[len..]).await? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            more => len += more,
        }
        if head[..len] != HTTP2_PREFACE[..len] {
            break;
        }
    }
    let spoken = if head == *HTTP2_PREFACE {
        Spoken::Http2
    } else {
        Spoken::Http1
    };
    Ok((
        spoken,
        Prefaced {
            head: Bytes::copy_from_slice(&head[..len]),
            rest: connection,
        },
    ))
}

impl AsyncRead for Prefaced {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.head.is_empty() {
            return Pin::new(&mut self.rest).poll_read(cx, buf);
        }
        let len = self.head.len().min(buf.remaining());
        buf.put_slice(&self.head[..len]);
        self.head.advance(len);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Prefaced {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.rest).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.rest).poll_write_vectored(cx, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.rest.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.rest).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.rest).poll_shutdown(cx)
    }
}
