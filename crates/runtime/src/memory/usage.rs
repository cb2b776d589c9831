//! A process that uses the same whenever it is asked.
//! Not here: a real one (`real`).

use crate::Usage;

/// Resident memory that it says, bytes.
const RESIDENT_BYTES: u64 = 64 << 20;
/// Files that it says.
const OPEN_FILES: u64 = 16;

/// For tests and the simulation, where what the machine does must not show.
#[derive(Clone, Copy, Debug, Default)]
pub struct SteadyUsage;

impl Usage for SteadyUsage {
    fn cpu_seconds(&self) -> Option<f64> {
        Some(1.0)
    }

    fn resident_bytes(&self) -> Option<u64> {
        Some(RESIDENT_BYTES)
    }

    fn open_files(&self) -> Option<u64> {
        Some(OPEN_FILES)
    }
}
