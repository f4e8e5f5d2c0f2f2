//! Named places where a test can make the process die, to show that nothing is lost there.
//!
//! Only builds with debug assertions have them, and only a call of [`arm`] makes one deadly.

#[cfg(debug_assertions)]
static ARMED: std::sync::OnceLock<(String, std::sync::atomic::AtomicU32)> = std::sync::OnceLock::new();

/// Lets the process abort at the `nth` passage (from 1) of the place called `name`. The first call counts.
#[cfg(debug_assertions)]
pub fn arm(name: &str, nth: u32) {
    let _ = ARMED.set((name.to_owned(), std::sync::atomic::AtomicU32::new(nth.max(1))));
}

/// Passes the place called `name`.
#[cfg(debug_assertions)]
pub(crate) fn hit(name: &str) {
    use std::sync::atomic::Ordering;
    if let Some((armed, left)) = ARMED.get()
        && armed == name
        && left.fetch_sub(1, Ordering::SeqCst) == 1
    {
        std::process::abort();
    }
}

/// Passes the place called `name`.
#[cfg(not(debug_assertions))]
pub(crate) fn hit(_name: &str) {}
