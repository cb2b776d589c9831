//! Memory as the allocator sees it, for benchmarks that count what lives.
//! Promise: every byte that is asked for, and what the common allocator takes for it.
//! Not here: what the kernel gives to the process.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

/// Counts bytes that are asked for, and those that the common allocator takes for them: 8 for itself,
/// rounded up to 16.
struct Counting;

static ASKED: AtomicUsize = AtomicUsize::new(0);
static TAKEN: AtomicUsize = AtomicUsize::new(0);

fn rounded(size: usize) -> usize {
    ((size + 8 + 15) & !15).max(32)
}

#[expect(unsafe_code, reason = "an allocator cannot be written without")]
// SAFETY: every call is handed on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ASKED.fetch_add(layout.size(), Ordering::Relaxed);
        TAKEN.fetch_add(rounded(layout.size()), Ordering::Relaxed);
        // SAFETY: as promised by the caller.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        ASKED.fetch_sub(layout.size(), Ordering::Relaxed);
        TAKEN.fetch_sub(rounded(layout.size()), Ordering::Relaxed);
        // SAFETY: as promised by the caller.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Bytes asked for and bytes taken.
pub fn live() -> (usize, usize) {
    (ASKED.load(Ordering::Relaxed), TAKEN.load(Ordering::Relaxed))
}
