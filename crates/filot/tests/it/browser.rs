//! The desk in a real Chromium.
