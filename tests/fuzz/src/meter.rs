//! How much memory this thread has in use, and the most that it had.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// The system's allocator, with a meter for each thread.
pub(crate) struct Meter;

thread_local! {
    /// Bytes in use now, and the most since the last look. Memory that another thread frees is counted wrong there.
    static USE: Cell<(usize, usize)> = const { Cell::new((0, 0)) };
}

/// Runs something and tells how many bytes more than before it held at its peak.
pub(crate) fn peak<T>(run: impl FnOnce() -> T) -> (T, usize) {
    let (before, _) = USE.get();
    USE.set((before, before));
    let done = run();
    (done, USE.get().1.saturating_sub(before))
}

#[expect(unsafe_code, reason = "an allocator is")]
// SAFETY: every call goes to the system's allocator unchanged; counting allocates nothing and touches none of it.
unsafe impl GlobalAlloc for Meter {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let _ = USE.try_with(|used| {
            let (now, most) = used.get();
            let now = now.saturating_add(layout.size());
            used.set((now, most.max(now)));
        });
        // SAFETY: the caller promises what System asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        let _ = USE.try_with(|used| {
            let (now, most) = used.get();
            used.set((now.saturating_sub(layout.size()), most));
        });
        // SAFETY: as above; the memory came from System.
        unsafe { System.dealloc(memory, layout) }
    }
}
