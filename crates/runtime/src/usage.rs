//! What the process uses of its machine, as a seam: it is shown, and nothing is decided by it.
//! Promise: what the system does not say is `None`.
//! Not here: how it is shown (`node`).

/// What the system says of this process. Several nodes of one process share it.
pub trait Usage: Send + Sync + 'static {
    /// User and system time, seconds.
    fn cpu_seconds(&self) -> Option<f64>;

    /// Resident memory, bytes.
    fn resident_bytes(&self) -> Option<u64>;

    /// Open file descriptors.
    fn open_files(&self) -> Option<u64>;
}
