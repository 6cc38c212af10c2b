//! How the C library's allocator gives memory back.

/// Bytes from which a buffer is memory of its own that goes back to the kernel when it is freed.
#[cfg(target_env = "gnu")]
const OWN_MAPPING: i32 = 128 << 10;

/// Keeps the limit from which buffers are mapped by themselves where it starts.
///
/// glibc raises it with every large buffer that is freed, up to 32 MiB, and from then on takes such
/// buffers from its heaps, where they leave holes behind: a restore of 60,000 objects then peaked at
/// 91 MiB, with a fixed limit at 63 MiB and no slower.
pub(crate) fn return_large_buffers() {
    #[cfg(target_env = "gnu")]
    {
        #[allow(unsafe_code, reason = "mallopt takes two numbers and is called before any thread starts")]
        // It fails only for values out of range; then all is as it was.
        let _ = unsafe { libc::mallopt(libc::M_MMAP_THRESHOLD, OWN_MAPPING) };
    }
}
