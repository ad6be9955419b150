//! How freed memory is kept.

/// Allocations from this size on are taken from the system and given back when freed: the most that every
/// version of the library takes.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const MAPPED: i32 = 32 << 20;
/// Freed bytes at the end of the heap that are kept.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const KEPT: i32 = 256 << 20;

/// Keeps the buffers of blocks, of some MiB each, instead of giving each back to the system and asking
/// for the next: the system fills each page with zeros again, which was a sixth of a checkout's time.
pub(crate) fn keep_buffers() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    #[expect(unsafe_code, reason = "the allocator of the C library has no safe interface")]
    // SAFETY: both only set a number that the allocator looks at; nothing runs beside this yet.
    unsafe {
        // The second alone would fix the first at its beginning, 128 KiB.
        if libc::mallopt(libc::M_MMAP_THRESHOLD, MAPPED) == 1 {
            libc::mallopt(libc::M_TRIM_THRESHOLD, KEPT);
        }
    }
}
