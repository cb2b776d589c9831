//! The trace of a run: everything that happened, in order, as one hash and on request as text.
//! Promise: two runs with the same hash carried the same bytes between the same hosts at the same moments, met the
//! same faults, applied the same entries and gave clients the same answers.
//! Not here: what is logged by the nodes (`main` writes that beside it).

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;

/// Bytes of a piece that a file shows.
const SHOWN_BYTES: usize = 256;

/// A trace; clones share it.
#[derive(Clone, Default)]
pub struct Trace {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Default)]
struct Inner {
    hasher: blake3::Hasher,
    file: Option<BufWriter<File>>,
    logged: blake3::Hasher,
}

impl Trace {
    /// A trace that is also written to a file, a line for each note.
    ///
    /// # Errors
    /// When the file cannot be made.
    pub fn to_file(path: &Path) -> io::Result<Self> {
        let file = BufWriter::new(File::create(path)?);
        Ok(Self {
            inner: Arc::new(Mutex::new(Inner {
                hasher: blake3::Hasher::new(),
                file: Some(file),
                logged: blake3::Hasher::new(),
            })),
        })
    }

    /// Notes what happened at a moment of the world.
    pub fn note(&self, now_us: u64, what: impl FnOnce() -> String) {
        let what = what();
        let mut inner = self.inner.lock();
        inner.hasher.update(&now_us.to_le_bytes());
        inner.hasher.update(what.as_bytes());
        inner.write(|| format!("{now_us} {what}"));
    }

    /// Notes that bytes arrived from one host at another.
    pub(crate) fn piece(&self, now_us: u64, (from, to): (usize, usize), bytes: &[u8]) {
        let mut inner = self.inner.lock();
        for number in [now_us, from as u64, to as u64, bytes.len() as u64] {
            inner.hasher.update(&number.to_le_bytes());
        }
        inner.hasher.update(bytes);
        inner.write(|| {
            let hash = blake3::hash(bytes).to_hex();
            let shown: String = bytes
                .iter()
                .take(SHOWN_BYTES)
                .map(|byte| format!("{byte:02x}"))
                .collect();
            format!(
                "{now_us} piece {from} {to} {} {} {shown}",
                bytes.len(),
                &hash[..16]
            )
        });
    }

    /// A line of a node's own log. It has a hash of its own: how much is logged must not change that of what happened.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn logged(&self, line: &[u8]) -> io::Result<()> {
        let mut inner = self.inner.lock();
        inner.logged.update(line);
        match &mut inner.file {
            Some(file) => file.write_all(line),
            None => Ok(()),
        }
    }

    /// The hash of all that was logged, 16 hex digits.
    pub fn logged_hash(&self) -> String {
        let hash = self.inner.lock().logged.finalize().to_hex();
        hash[..16].to_owned()
    }

    /// The hash of everything so far, 16 hex digits.
    pub fn hash(&self) -> String {
        let hash = self.inner.lock().hasher.finalize().to_hex();
        hash[..16].to_owned()
    }

    /// Writes out what is buffered.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn flush(&self) -> io::Result<()> {
        match &mut self.inner.lock().file {
            Some(file) => file.flush(),
            None => Ok(()),
        }
    }
}

impl Inner {
    fn write(&mut self, line: impl FnOnce() -> String) {
        if let Some(file) = &mut self.file {
            // A full disk of the tester costs the text, not the run: the hash tells what happened.
            drop(writeln!(file, "{}", line()));
        }
    }
}
