//! What becomes of memory that is no longer needed. The only place with `unsafe` in this crate.

/// Buffers from this size on, in bytes, are taken from the system one by one, and given back to it when they are dropped.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const LARGE: i32 = 4 << 20;
/// What a thread may keep at the end of its heap, in bytes. Left at 128 KiB, readers of cards would give back and fault
/// in again tens of megabytes for each card.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const KEPT: i32 = 64 << 20;

/// Has large buffers (photos being decoded, hashes of passwords) given back when they are dropped. Left to itself glibc
/// raises the limit with the largest buffer that was freed; every thread then keeps tens of megabytes that it used once,
/// and a service grows with the number of threads that have ever signed somebody in.
pub(crate) fn give_back_large_buffers() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    #[expect(
        unsafe_code,
        reason = "calls into libc with two numbers; they are sound at any time and from any thread"
    )]
    // A limit that the allocator does not take leaves the one there was.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE);
        libc::mallopt(libc::M_TRIM_THRESHOLD, KEPT);
    }
}
