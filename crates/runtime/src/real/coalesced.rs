//! Coalesced: a connection that gathers small writes of one turn of the scheduler into one.
//! Promise: bytes leave in order; a flush that has returned has handed everything to the system;
//! nothing waits for a timer: only tasks that are ready run before the write.
//! Not here: what is written (HTTP/2 frames, most of them smaller than a system call is worth).
//!
//! HTTP/2 writes after each frame that is ready. Frames become ready one task after the other, so
//! that a connection with many streams makes a system call, and wakes its peer, for each of them.
//! A flush therefore steps back once behind the tasks that are ready now.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes that are gathered before they are written without a flush: one frame of HTTP/2.
const GATHER_BYTES: usize = 16 * 1024;
/// A buffer that grew no further is kept between flushes; larger ones would add up over idle
/// connections.
const KEEP_BYTES: usize = 1024;

/// A connection whose small writes leave together.
pub(super) struct Coalesced<S> {
    stream: S,
    gathered: Vec<u8>,
    /// Bytes of `gathered` that were written already.
    written: usize,
    /// The flush under way has let other tasks run.
    stepped_back: bool,
}

impl<S> Coalesced<S> {
    pub(super) fn new(stream: S) -> Self {
        Self {
            stream,
            gathered: Vec::new(),
            written: 0,
            stepped_back: false,
        }
    }

    /// The same over another form of its stream; what was gathered goes with it.
    pub(super) fn map<T>(
        self,
        change: impl FnOnce(S) -> io::Result<T>,
    ) -> io::Result<Coalesced<T>> {
        Ok(Coalesced {
            stream: change(self.stream)?,
            gathered: self.gathered,
            written: self.written,
            stepped_back: self.stepped_back,
        })
    }
}

impl<S: AsyncWrite + Unpin> Coalesced<S> {
    /// Hands everything that was gathered to the system.
    fn poll_drain(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.written < self.gathered.len() {
            let rest = &self.gathered[self.written..];
            match ready!(Pin::new(&mut self.stream).poll_write(context, rest))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                bytes => self.written += bytes,
            }
        }
        self.written = 0;
        self.gathered.clear();
        if self.gathered.capacity() > KEEP_BYTES {
            self.gathered = Vec::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Coalesced<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Coalesced<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.gathered.len() >= GATHER_BYTES {
            ready!(self.poll_drain(context))?;
        }
        if self.gathered.is_empty() && bytes.len() >= GATHER_BYTES {
            return Pin::new(&mut self.stream).poll_write(context, bytes);
        }
        self.gathered.extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.gathered.is_empty() {
            return Pin::new(&mut self.stream).poll_flush(context);
        }
        if !std::mem::replace(&mut self.stepped_back, true) {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        ready!(self.poll_drain(context))?;
        self.stepped_back = false;
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_drain(context))?;
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    /// Notes each write that reaches the system.
    #[derive(Default)]
    struct Noted {
        writes: Vec<Vec<u8>>,
        at_most: Option<usize>,
    }

    impl AsyncWrite for Noted {
        fn poll_write(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            let bytes = &bytes[..bytes.len().min(self.at_most.unwrap_or(usize::MAX))];
            self.writes.push(bytes.to_vec());
            Poll::Ready(Ok(bytes.len()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[tokio::test]
    async fn what_is_written_while_a_flush_steps_back_leaves_with_it() {
        let mut conn = Coalesced::new(Noted::default());
        conn.write_all(b"one ").await.unwrap();
        let mut first = true;
        poll_fn(|context| {
            let flushed = Pin::new(&mut conn).poll_flush(context);
            if std::mem::take(&mut first) {
                assert!(flushed.is_pending());
                let more = Pin::new(&mut conn).poll_write(context, b"two");
                assert!(matches!(more, Poll::Ready(Ok(3))));
            }
            flushed
        })
        .await
        .unwrap();
        assert_eq!(conn.stream.writes, [b"one two"]);
    }

    #[tokio::test]
    async fn a_system_that_takes_little_gets_everything_in_order() {
        let taking = Noted {
            at_most: Some(3),
            ..Noted::default()
        };
        let mut conn = Coalesced::new(taking);
        conn.write_all(b"a longer text").await.unwrap();
        conn.flush().await.unwrap();
        assert_eq!(conn.stream.writes.concat(), b"a longer text");
    }

    #[tokio::test]
    async fn gathering_is_bounded_and_the_buffer_is_given_back() {
        let mut conn = Coalesced::new(Noted::default());
        for _ in 0..64 {
            conn.write_all(&[7; 1_000]).await.unwrap();
            assert!(conn.gathered.len() < GATHER_BYTES + 1_000);
        }
        conn.flush().await.unwrap();
        assert_eq!(conn.stream.writes.concat().len(), 64_000);
        assert_eq!(conn.gathered.capacity(), 0);
    }

    #[tokio::test]
    async fn closing_writes_what_waits_and_reading_is_untouched() {
        let (near, mut far) = tokio::io::duplex(64);
        let mut conn = Coalesced::new(near);
        conn.write_all(b"last words").await.unwrap();
        conn.shutdown().await.unwrap();
        let mut heard = String::new();
        far.read_to_string(&mut heard).await.unwrap();
        assert_eq!(heard, "last words");
    }
}
