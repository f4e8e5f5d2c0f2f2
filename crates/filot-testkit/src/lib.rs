//! Invented cards with known truth.
