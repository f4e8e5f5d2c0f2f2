//! What a KTP and an NPWP are.
