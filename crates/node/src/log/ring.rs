//! The last lines of the log, in memory: what a support bundle shows without reading anybody's files.
//! Promise: bounded in lines and bytes; what falls out is the oldest; the level of the log that is
//! written out does not thin it.
//! Not here: the form of lines (`log`).

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use parking_lot::Mutex;
use tracing_subscriber::fmt::MakeWriter;

/// Lines that are kept: a node says a few hundred in its first minute and little afterwards.
const LINES_MAX: usize = 2_000;
/// Bytes of one line; what is longer is cut.
const LINE_BYTES_MAX: usize = 2 * 1_024;
/// Bytes of all lines.
const BYTES_MAX: usize = 512 * 1_024;

/// The last lines. Cheap to clone.
#[derive(Clone, Default)]
pub struct Ring(Arc<Mutex<Lines>>);

#[derive(Default)]
struct Lines {
    lines: VecDeque<String>,
    bytes: usize,
    dropped: u64,
}

impl Ring {
    /// The lines, oldest first, each with its end; and how many have fallen out before them.
    #[must_use]
    pub fn text(&self) -> (String, u64) {
        let lines = self.0.lock();
        (
            lines.lines.iter().map(String::as_str).collect(),
            lines.dropped,
        )
    }
}

impl Lines {
    fn push(&mut self, line: String) {
        self.bytes += line.len();
        self.lines.push_back(line);
        while self.lines.len() > LINES_MAX || self.bytes > BYTES_MAX {
            let Some(oldest) = self.lines.pop_front() else {
                return;
            };
            self.bytes -= oldest.len();
            self.dropped += 1;
        }
    }
}

/// One event is one write.
impl io::Write for &Ring {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let cut = bytes.len() > LINE_BYTES_MAX;
        let kept = bytes.get(..LINE_BYTES_MAX).unwrap_or(bytes);
        let mut line = String::from_utf8_lossy(kept).into_owned();
        if cut {
            line.push_str("...\n");
        }
        self.0.lock().push(line);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Ring {
    type Writer = &'a Ring;

    fn make_writer(&'a self) -> Self::Writer {
        self
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn the_oldest_lines_fall_out_and_are_counted() {
        let ring = Ring::default();
        for n in 0..LINES_MAX + 3 {
            (&ring).write_all(format!("line {n}\n").as_bytes()).unwrap();
        }
        let (text, dropped) = ring.text();
        assert_eq!(dropped, 3);
        assert!(text.starts_with("line 3\n"), "{}", &text[..20]);
        assert_eq!(text.lines().count(), LINES_MAX);
    }

    #[test]
    fn a_long_line_is_cut_and_the_whole_is_bounded_in_bytes() {
        let ring = Ring::default();
        for _ in 0..1_000 {
            (&ring).write_all(&[b'x'; 10_000]).unwrap();
        }
        let (text, dropped) = ring.text();
        assert!(text.len() <= BYTES_MAX, "{}", text.len());
        assert!(dropped > 0);
        let first = text.lines().next().unwrap();
        assert_eq!(first.len(), LINE_BYTES_MAX + 3);
        assert!(first.ends_with("..."));
    }
}
